import Logging
import NIOCore
import Signalling
import WireFormats

/// Brings one version of an object from its origin, for all who read it: what a reader wants and is not here is fetched from where he is, and what
/// comes is kept, on the disk where there is an object for it, else within bounds in memory. Belongs to the event loop.
final class ObjectFill {
    /// What is to be brought, and how.
    struct Order {
        var header: ASFHeader
        /// Nil: the origin does not say.
        var packetCount: UInt32?
        /// Where it is kept; nil: in memory alone.
        var object: CacheObject?
        var desk: CacheDesk?
        /// What of it may be held in memory.
        var memory: Memory
        /// Sessions that fetch at the same time.
        var sessionsMax: Int
        var leaving: FillPlanner.Leaving
        /// What an operator's own password opened may be kept for others.
        var sharesOperators = false
        var counts: FillCounts
        var logger: Logger
        /// Makes a session with the origin, on behalf of whoever asked.
        var makePlay: (_ ask: ProxyAsk?, _ owner: any OriginPlayOwner) -> OriginPlay
    }

    /// How much may be held in memory.
    enum Memory {
        /// So many bytes, for one player alone.
        case window(Int)
        /// Set aside when it was made.
        case share(ProxyMemory.Share)
        /// What there is room for when it turns out that it cannot be kept; a window in any case.
        case common(ProxyMemory)
    }

    var header: ASFHeader { order.header }
    let packets: ProxiedPackets
    /// What is here and can be read.
    var here = PacketRanges()
    /// The same with what came and is being written: it is not asked for again.
    var come = PacketRanges()
    /// Everything is here, if not on the disk yet.
    var isWhole = false
    /// Everything is on the disk, flushed and in the index.
    var isOnDisk: Bool { isWhole && order.object?.isWhole == true }
    /// The origin has another version: what is here is all that there will be of this one.
    var isOutdated = false
    /// Nobody new is given it.
    var isLetGo = false
    /// Why it is not kept any more; nil: it is, or never was.
    var degradation: String?
    /// On whose behalf the origin is asked: whoever was given it last.
    var ask: ProxyAsk?
    /// Those who want to know when something of its state changed, by who they are.
    private var listeners: [ObjectIdentifier: () -> Void] = [:]
    /// So many bytes of it came.
    var onBrought: ((Int) -> Void)?

    let order: Order
    let eventLoop: any EventLoop
    var end: UInt32
    var plays: [ObjectPlay] = []
    var readers: [ObjectIdentifier: Reader] = [:]
    /// Players that wait for a session which finds out where they begin, the first one first.
    var searches: [Search] = []
    var nextNumber = 0
    var bytesInMemory = 0
    var bytesToWrite = 0
    private var share: ProxyMemory.Share?
    /// The last session was refused or broke off: no other is made until somebody waits for something, or it is time to try again.
    var isAway = false
    let retry: LoopTimer
    var retryMilliseconds = ObjectFill.retryMillisecondsMin
    private var isPlanning = false
    private var planIsDue = false
    let idle: LoopTimer
    var limits = FillPlanner.Limits()

    struct Reader {
        let reader: SupplyReader
        let id: Int
        var range: Range<UInt32>
        /// It stands for somebody who is about to read from there.
        var isHeld = false
        var done: ((Result<Range<UInt32>, WindowsMediaFile.Trouble>) -> Void)?
    }

    /// Bytes that wait to be written before the origin is held back.
    static let writeBytesMax = 4 << 20
    /// How long sessions that nobody needs are kept for whoever comes next, in milliseconds.
    static let idleMilliseconds = 10_000

    /// Until the origin is tried again, in milliseconds: at first, and at most.
    static let retryMillisecondsMin = 1_000, retryMillisecondsMax = 300_000

    init(_ order: Order, on eventLoop: any EventLoop) {
        self.order = order
        self.eventLoop = eventLoop
        idle = LoopTimer(eventLoop)
        retry = LoopTimer(eventLoop)
        end = order.packetCount ?? UInt32(Int32.max)
        packets = ProxiedPackets(head: order.header.bytes, packetBytes: order.header.packetBytes, object: order.object)
        limits.sessionsMax = max(order.sessionsMax, 1)
        for range in order.object?.ranges ?? [] { here.insert(range) }
        // In memory nothing is fetched beside those who read it.
        if order.object == nil { limits.aheadPackets = .max / 2 }
        come = here
        isWhole = order.packetCount.map { here.isWhole(Int($0)) } ?? false
    }

    /// It is kept where it can be read again later.
    var isKept: Bool { order.object != nil && degradation == nil && order.object?.isGone != true }
    /// Somebody reads it, or it is being fetched.
    var isActive: Bool { !isUnused || plays.contains { $0.next != nil } || bytesToWrite > 0 }
    /// Nobody reads it, or is about to.
    var isUnused: Bool { readers.isEmpty && searches.isEmpty }
    var readerCount: Int { readers.count }
    var sessionCount: Int { plays.count }

    /// Bytes of it that may lie in memory.
    var memoryBytesMax: Int {
        switch order.memory {
        case .window(let bytes): return bytes
        case .share(let share): return share.bytes
        case .common(let memory):
            if share == nil {
                let missing = Int(clamping: UInt64(end)) - here.count
                share = memory.share(max(missing, 0) &* header.packetBytes, least: 0)
            }
            return max(share?.bytes ?? 0, Self.windowBytesMax)
        }
    }

    /// Bytes of what is not kept that wait for players, whatever room there is.
    static let windowBytesMax = 4 << 20

    /// Calls `listener` when something of its state changed; one for each owner.
    func onChange(_ owner: AnyObject, _ listener: @escaping () -> Void) { listeners[ObjectIdentifier(owner)] = listener }

    func sayChange() { for listener in Array(listeners.values) { listener() } }

    // MARK: Sessions

    /// Takes over a session that described the object, for its first play.
    func adopt(_ play: ObjectPlay) {
        play.fill = self
        plays.append(play)
        rest()
    }

    /// Lets go of the origin.
    func stop() {
        idle.stop()
        retry.stop()
        let plays = plays
        self.plays = []
        for play in plays { play.leave() }
        fail("Weir lets go of it")
        endSearches("Weir lets go of it")
    }

    /// Also where nothing is kept: what has nowhere to go holds the origin back.
    var pace: OriginPlay.Pace { .asFastAsAllowed }

    var spare: ObjectPlay? { plays.first { $0.next == nil && $0.onBegan == nil } }

    /// A session that plays nothing, or a new one.
    func session() -> ObjectPlay {
        if let spare { return spare }
        nextNumber += 1
        let play = ObjectPlay(id: nextNumber)
        play.fill = self
        plays.append(play)
        let ask = ask
        play.open { [order] in order.makePlay(ask, $0) }
        return play
    }

    func drop(_ play: ObjectPlay) {
        plays.removeAll { $0 === play }
        play.leave()
    }

    // MARK: PacketSupply

    func isFor(_ reader: Reader, _ next: UInt32) -> Bool {
        reader.done != nil && next <= reader.range.lowerBound && reader.range.lowerBound - next <= UInt32(limits.waitPacketsMax)
    }

    /// Somebody will read from there: until he does, what plays there is not taken away.
    func hold(_ packet: UInt32) {
        let reader = SupplyReader()
        nextNumber += 1
        readers[ObjectIdentifier(reader)] = Reader(reader: reader, id: nextNumber, range: packet..<(packet &+ 1), isHeld: true)
        let timer = LoopTimer(eventLoop)
        timer.start(milliseconds: Self.holdMilliseconds) { [weak self] in
            _ = timer
            self?.left(reader)
        }
    }

    /// How long, in milliseconds.
    private static let holdMilliseconds = 1_000

    static let outdated = WindowsMediaFile.Trouble(description: "the origin has another version now")

    func want(
        _ range: Range<UInt32>, for reader: SupplyReader, _ done: @escaping (Result<Range<UInt32>, WindowsMediaFile.Trouble>) -> Void
    ) {
        idle.stop()
        let key = ObjectIdentifier(reader)
        if readers[key] == nil {
            nextNumber += 1
            readers[key] = Reader(reader: reader, id: nextNumber, range: range)
        }
        readers[key]?.range = range
        readers[key]?.done = done
        answer()
        if readers[key]?.done != nil { isAway = false }
        makeRoom()
        plan()
    }

    func lost(_ range: Range<UInt32>) {
        guard let object = order.object else {
            here.remove(Int(range.lowerBound)..<Int(range.upperBound))
            come.remove(Int(range.lowerBound)..<Int(range.upperBound))
            return plan()
        }
        // What the disk has of it cannot be relied on: what comes from now on goes to memory.
        if object.isGone {
            degrade("what was kept is damaged")
            here = PacketRanges()
            for number in packets.numbersInMemory { here.insert(Int(number)..<(Int(number) + 1)) }
            for gap in packets.leftOut.ranges { here.insert(gap) }
        } else {
            here.remove(Int(range.lowerBound)..<Int(range.upperBound))
            for kept in object.ranges where kept.overlaps(Int(range.lowerBound)..<Int(range.upperBound)) { here.insert(kept) }
        }
        isWhole = false
        come = here
        plan()
    }

    func left(_ reader: SupplyReader) {
        guard readers.removeValue(forKey: ObjectIdentifier(reader)) != nil else { return }
        makeRoom()
        if isUnused { rest() } else { plan() }
        sayChange()
    }

    /// Nobody reads it: what fetches goes on to the end, or ends soon.
    func rest() {
        guard isUnused else { return }
        idle.start(milliseconds: Self.idleMilliseconds) { [weak self] in
            guard let self, isUnused else { return }
            if goesOn { return plan() }
            for play in plays { drop(play) }
            commit()
            sayChange()
        }
        if goesOn { plan() } else { for play in plays where play.next != nil && order.object != nil { play.pause() } }
    }

    private var goesOn: Bool {
        guard isKept, !isOutdated, let count = order.packetCount else { return false }
        return !readers.isEmpty ? order.leaving != .stop : order.leaving.goesOn(here: here, count: Int(count))
    }

    func answer() {
        // Whoever is answered may want something else at once, or end others.
        for key in Array(readers.keys) {
            guard let reader = readers[key], let done = reader.done else { continue }
            let low = reader.range.lowerBound
            let run = here.run(from: Int(low))
            if !run.isEmpty {
                readers[key]?.done = nil
                done(.success(low..<min(UInt32(clamping: run.upperBound), reader.range.upperBound)))
            } else if low >= end {
                readers[key]?.done = nil
                done(.success(low..<low))
            }
        }
    }

    func fail(_ words: String, but isSpared: (Reader) -> Bool = { _ in false }) {
        for key in readers.filter({ $0.value.done != nil && !isSpared($0.value) }).keys {
            guard let done = readers[key]?.done else { continue }
            readers[key]?.done = nil
            done(.failure(WindowsMediaFile.Trouble(description: words)))
        }
    }

    // MARK: The plan

    func plan() {
        planIsDue = true
        guard !isPlanning else { return }
        isPlanning = true
        defer { isPlanning = false }
        while planIsDue {
            planIsDue = false
            takeSteps()
            search()
        }
    }

    private func takeSteps() {
        if isWhole || isOutdated {
            if isWhole { for play in plays where play.next != nil { drop(play) } }
            return isOutdated ? fail(Self.outdated.description) : ()
        }
        // Between two readers sessions rest a while, for the next one.
        guard !readers.isEmpty || goesOn else { return hold() }
        let places = readers.values.map { FillPlanner.Reader(id: $0.id, place: Int($0.range.lowerBound)) }
        let running = plays.compactMap { play in play.next.map { FillPlanner.Play(id: play.id, next: Int($0)) } }
        // Those that find a place for somebody are not to be had.
        var limits = limits
        limits.sessionsMax = max(limits.sessionsMax - plays.count { $0.onBegan != nil }, 0)
        let steps = FillPlanner.plan(
            readers: places, plays: running, here: come, count: Int(end), goesOn: goesOn, limits: limits)
        for step in steps {
            switch step {
            case .start where spare == nil && (isAway || plays.count >= self.limits.sessionsMax): break
            case .start(let packet): session().move(to: UInt32(clamping: packet), pace: pace)
            case .move(let id, let packet): plays.first { $0.id == id }?.move(to: UInt32(clamping: packet), pace: pace)
            case .end(let id): plays.first { $0.id == id }.map(drop)
            // It is served when one of the others is done.
            case .starve: break
            }
        }
        hold()
    }

    /// Holds the origin back while what came has nowhere to go.
    private func hold() {
        let isWaiting = readers.values.contains { $0.done != nil }
        let isFull =
            isKept ? bytesToWrite >= Self.writeBytesMax : bytesInMemory > 0 && bytesInMemory >= memoryBytesMax * (isWaiting ? 2 : 1)
        for play in plays where play.next != nil {
            if isFull, !play.isPaused { play.pause() } else if !isFull, play.isPaused { play.resume() }
        }
    }
}

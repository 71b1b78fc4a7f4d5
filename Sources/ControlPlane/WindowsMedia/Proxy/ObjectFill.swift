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
        var memoryBytesMax: Int
        /// Sessions that fetch at the same time.
        var sessionsMax: Int
        var leaving: FillPlanner.Leaving
        var logger: Logger
        /// Makes a session with the origin.
        var makePlay: (any OriginPlayOwner) -> OriginPlay
    }

    var header: ASFHeader { order.header }
    let packets: ProxiedPackets
    /// What is here and can be read.
    private(set) var here = PacketRanges()
    /// The same with what came and is being written: it is not asked for again.
    private var come = PacketRanges()
    /// Everything is here.
    private(set) var isWhole = false
    /// The origin has another version: what is here is all that there will be of this one.
    private(set) var isOutdated = false
    /// Why it is not kept any more; nil: it is, or never was.
    private(set) var degradation: String?
    /// Those who want to know when something of its state changed, by who they are.
    private var listeners: [ObjectIdentifier: () -> Void] = [:]
    /// So many bytes of it came.
    var onBrought: ((Int) -> Void)?

    private let order: Order
    let eventLoop: any EventLoop
    private(set) var end: UInt32
    private var plays: [ObjectPlay] = []
    private var readers: [ObjectIdentifier: Reader] = [:]
    private var nextNumber = 0
    private var bytesInMemory = 0
    private var bytesToWrite = 0
    /// The last session was refused or broke off: no other is made until somebody waits for something, or it is time to try again.
    private var isAway = false
    private let retry: LoopTimer
    private var retryMilliseconds = ObjectFill.retryMillisecondsMin
    private var isPlanning = false
    private var planIsDue = false
    private let idle: LoopTimer
    private var limits = FillPlanner.Limits()

    private struct Reader {
        let reader: SupplyReader
        let id: Int
        var range: Range<UInt32>
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
    var isActive: Bool { !readers.isEmpty || plays.contains { $0.next != nil } || bytesToWrite > 0 }
    var readerCount: Int { readers.count }
    var sessionCount: Int { plays.count }

    /// Calls `listener` when something of its state changed; one for each owner.
    func onChange(_ owner: AnyObject, _ listener: @escaping () -> Void) { listeners[ObjectIdentifier(owner)] = listener }

    private func sayChange() { for listener in Array(listeners.values) { listener() } }

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
    }

    /// Also where nothing is kept: what has nowhere to go holds the origin back.
    private var pace: OriginPlay.Pace { .asFastAsAllowed }

    private var spare: ObjectPlay? { plays.first { $0.next == nil && $0.onBegan == nil } }

    /// A session that plays nothing, or a new one.
    private func session() -> ObjectPlay {
        if let spare { return spare }
        nextNumber += 1
        let play = ObjectPlay(id: nextNumber)
        play.fill = self
        plays.append(play)
        play.open(order.makePlay)
        return play
    }

    private func drop(_ play: ObjectPlay) {
        plays.removeAll { $0 === play }
        play.leave()
    }

    // MARK: PacketSupply

    /// The origin says where that is: it plays from there.
    func ask(
        _ position: WMSPPosition, _ done: @escaping (Result<WindowsMediaFile.Beginning, WindowsMediaFile.Trouble>) -> Void
    ) {
        guard !isOutdated else { return done(.failure(Self.outdated)) }
        idle.stop()
        // Of those that fetch what nobody waits for, the last one makes room.
        if plays.filter({ $0.next != nil }).count >= limits.sessionsMax,
            let idle = plays.last(where: { play in play.next.map { next in !readers.values.contains { isFor($0, next) } } ?? false })
        {
            drop(idle)
        }
        let play = session()
        play.find(position, pace: pace) { [weak self] start in
            guard let self else { return }
            guard let start else { return done(.failure(WindowsMediaFile.Trouble(description: "the origin does not play from there"))) }
            hold(start.packet)
            done(
                .success(
                    WindowsMediaFile.Beginning(
                        packet: start.packet, sendTime: start.sendTime, milliseconds: UInt64(start.milliseconds))))
        }
    }

    /// Somebody will read from there: until he does, what plays there is not taken away.
    private func hold(_ packet: UInt32) {
        let reader = SupplyReader()
        nextNumber += 1
        readers[ObjectIdentifier(reader)] = Reader(reader: reader, id: nextNumber, range: packet..<(packet &+ 1), done: nil)
        let timer = LoopTimer(eventLoop)
        timer.start(milliseconds: Self.holdMilliseconds) { [weak self] in
            _ = timer
            self?.left(reader)
        }
    }

    /// How long, in milliseconds.
    private static let holdMilliseconds = 1_000

    private func isFor(_ reader: Reader, _ next: UInt32) -> Bool {
        reader.done != nil && next <= reader.range.lowerBound && reader.range.lowerBound - next <= UInt32(limits.waitPacketsMax)
    }

    private static let outdated = WindowsMediaFile.Trouble(description: "the origin has another version now")

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
        if readers.isEmpty { rest() } else { plan() }
        sayChange()
    }

    /// Nobody reads it: what fetches goes on to the end, or ends soon.
    private func rest() {
        guard readers.isEmpty else { return }
        idle.start(milliseconds: Self.idleMilliseconds) { [weak self] in
            guard let self, readers.isEmpty else { return }
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

    private func answer() {
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

    private func fail(_ words: String, but isSpared: (Reader) -> Bool = { _ in false }) {
        for key in readers.filter({ $0.value.done != nil && !isSpared($0.value) }).keys {
            guard let done = readers[key]?.done else { continue }
            readers[key]?.done = nil
            done(.failure(WindowsMediaFile.Trouble(description: words)))
        }
    }

    // MARK: The plan

    private func plan() {
        planIsDue = true
        guard !isPlanning else { return }
        isPlanning = true
        defer { isPlanning = false }
        while planIsDue {
            planIsDue = false
            takeSteps()
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
        let steps = FillPlanner.plan(
            readers: places, plays: running, here: come, count: Int(end), goesOn: goesOn, limits: limits)
        for step in steps {
            switch step {
            case .start where isAway && spare == nil: break
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
        let isFull = isKept ? bytesToWrite >= Self.writeBytesMax : bytesInMemory >= order.memoryBytesMax * (isWaiting ? 2 : 1)
        for play in plays where play.next != nil {
            if isFull, !play.isPaused { play.pause() } else if !isFull, play.isPaused { play.resume() }
        }
    }

    // MARK: What sessions bring

    /// Whether that packet is of any use; then it is counted as come.
    func takes(_ number: UInt32) -> Bool {
        number < end && !come.contains(Int(number)) && come.insert(Int(number)..<(Int(number) + 1))
    }

    func brought(_ bytes: [UInt8], first: UInt32) {
        guard isKept, let object = order.object, let desk = order.desk else { return remember(bytes, first: first) }
        bytesToWrite += bytes.count
        desk.writing { _ in
            _ = try object.write(bytes, atUnit: Int(first))
            if object.wantsCommit { try object.commit() }
        }.assumeIsolated().whenComplete { [weak self] result in
            guard let self else { return }
            bytesToWrite -= bytes.count
            switch result {
            case .success:
                here.insert(Int(first)..<(Int(first) + bytes.count / header.packetBytes))
                arrived()
            case .failure(let error):
                degrade("\(error)")
                remember(bytes, first: first)
            }
        }
    }

    private func remember(_ bytes: [UInt8], first: UInt32) {
        let size = header.packetBytes
        for index in 0..<(bytes.count / size) {
            packets.put(first + UInt32(index), Array(bytes[(index * size)..<((index + 1) * size)]))
        }
        bytesInMemory += bytes.count
        here.insert(Int(first)..<(Int(first) + bytes.count / size))
        arrived()
    }

    private func arrived() {
        answer()
        if !isWhole, let count = order.packetCount, here.isWhole(Int(count)) {
            isWhole = true
            commit()
            sayChange()
        }
        plan()
    }

    private func commit() {
        guard isKept, let object = order.object, let desk = order.desk else { return }
        desk.writing { _ in try object.commit() }.assumeIsolated().whenFailure { [weak self] in self?.degrade("\($0)") }
    }

    /// What comes from now on is not kept.
    private func degrade(_ words: String) {
        guard degradation == nil else { return }
        degradation = words
        limits.aheadPackets = .max / 2
        order.logger.warning("what the origin sends is not kept any more", metadata: ["why": "\(words)"])
        sayChange()
    }

    /// Takes out of memory what no reader is about to read, where there is too much in it.
    private func makeRoom() {
        guard bytesInMemory >= order.memoryBytesMax, header.packetBytes > 0 else { return }
        let window = UInt32(clamping: max(order.memoryBytesMax / max(readers.count, 1) / header.packetBytes, 1))
        let ahead = readers.values.map { $0.range.lowerBound..<($0.range.lowerBound &+ min(window, .max - $0.range.lowerBound)) }
        let gone = packets.numbersInMemory.filter { number in !ahead.contains { $0.contains(number) } }
        packets.drop(gone)
        bytesInMemory -= gone.count * header.packetBytes
        for number in gone {
            here.remove(Int(number)..<(Int(number) + 1))
            come.remove(Int(number)..<(Int(number) + 1))
        }
    }

    /// The origin leaves packets out: players are given nothing in their place, and nothing of the kind is kept.
    func leftOut(_ range: Range<UInt32>) {
        let range = range.clamped(to: 0..<end)
        guard !range.isEmpty else { return }
        degrade("the origin leaves packets out")
        // Too many to be bridged: it would be asked for them again and again.
        guard range.count * header.packetBytes <= Self.leftOutBytesMax else {
            end = range.lowerBound
            return answer()
        }
        for number in range where takes(number) { remember(Self.nothing(bytes: header.packetBytes), first: number) }
    }

    /// So much at a time is bridged.
    private static let leftOutBytesMax = 4 << 20

    /// What nobody takes for a packet: it is left out wherever packets are sent.
    private static func nothing(bytes: Int) -> [UInt8] { [UInt8](repeating: 0xFF, count: bytes) }

    func flushed(_ play: ObjectPlay) { plan() }

    /// A play came to the content's end, behind its last packet.
    func finished(at packet: UInt32) {
        if packet < end {
            end = packet
            if order.packetCount != nil { degrade("it ends at packet \(packet), before the end that its header names") }
        }
        answer()
        plan()
    }

    /// A play was at the content's end at once. Where there is more, as is known, the origin does not give what it was asked for.
    func finishedAtOnce(_ play: ObjectPlay, at packet: UInt32?) {
        guard let packet, packet < end else { return plan() }
        guard let last = come.ranges.last, last.upperBound > Int(packet) else { return finished(at: packet) }
        drop(play)
        goesAway("the origin has nothing from packet \(packet) on")
    }

    func ended(_ play: ObjectPlay, _ end: OriginPlay.End) {
        plays.removeAll { $0 === play }
        if case .changed(let words) = end { return changed(words) }
        goesAway("the origin: \(end.words)")
        commit()
        sayChange()
    }

    /// No other session is made for a while, longer each time. The others go on, and with them those for whom they bring something.
    private func goesAway(_ words: String) {
        isAway = true
        limits.sessionsMax = min(max(plays.count, 1), order.sessionsMax)
        retry.start(milliseconds: retryMilliseconds) { [weak self] in
            guard let self else { return }
            isAway = false
            limits.sessionsMax = max(order.sessionsMax, 1)
            plan()
        }
        retryMilliseconds = min(2 * retryMilliseconds, Self.retryMillisecondsMax)
        plan()
        fail(words) { reader in plays.contains { play in play.next.map { isFor(reader, $0) } ?? false } }
    }

    /// A new session plays.
    func playsAgain() { retryMilliseconds = Self.retryMillisecondsMin }

    /// The origin has something else under its name now.
    func changed(_ words: String) {
        guard !isOutdated else { return }
        isOutdated = true
        retry.stop()
        order.logger.notice("the origin has another version", metadata: ["why": "\(words)"])
        let plays = plays
        self.plays = []
        for play in plays { play.leave() }
        fail(Self.outdated.description)
        sayChange()
    }

    /// The origin does not number its packets: nothing that is located by time can be kept.
    func isUnnumbered() { degrade("the origin does not number its packets") }
}

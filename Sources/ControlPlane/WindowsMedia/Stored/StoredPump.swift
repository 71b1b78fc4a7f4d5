import Glibc
import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// What carries the packets of a file to its player: its connection, whose writing goes to the engine and back.
protocol StoredLine: AnyObject {
    var isChunked: Bool { get }
    /// Names a play to its player ([MS-WMSP] 2.2.3.1.1).
    var incarnation: UInt8 { get }
    /// The flags of the next packet: packets are counted with them.
    var flags: UInt8 { get }
    /// The engine sent so many packets.
    func sent(_ packets: UInt32)
    func whenFree(_ body: @escaping () -> Void)
    func duplicateDescriptor() throws -> CInt
    func handWritesOver(to send: @escaping (_ bytes: [UInt8], _ onLeft: @escaping () -> Void) -> Bool)
    func writesReturn()
    func writesReturned()
    func whenOver(_ body: @escaping () -> Void)
    func close()
}

/// Sends a file to one player as ``FilePump`` does, but leaves reading and sending to the engine as long as packets go as they lie: this only says
/// how far they are due. What has to be filtered, at the beginning and when other streams are chosen, a ``FilePump`` sends. Belongs to the event
/// loop.
final class StoredPump: MediaPump {
    /// A reader in the engine.
    private struct Feed {
        let file: StoredFile
        let subscription: Subscription
        /// The packet that it began with.
        let first: UInt32
    }

    private enum Phase {
        /// The pump sends.
        case filtered(FilePump)
        /// The connection has to be free before the engine writes.
        case handing(FilePump)
        case stored(Feed)
        /// On the way back to a pump.
        case returning(Feed)
    }

    var write: ((_ packet: [UInt8], _ number: UInt32) -> Void)?
    var flush: (() -> Bool)?
    var onEnd: ((PumpEnd) -> Void)?

    private var plan: FilePump.Plan
    private let files: StoredFiles
    private let line: any StoredLine
    private let port: EnginePort
    private var phase: Phase
    /// How far it is while the engine sends: what was released, and when the next packet is due.
    private var progress: FilePump.Progress
    /// What was released and may not have been sent yet: up to which packet, and when its first one is due.
    private var released: [(end: UInt32, due: NIODeadline)] = []
    private var isReleaseOwed = false
    private var isPaused = true
    private var pausedAt: NIODeadline?
    private var isFinishing = false
    private var isOver = false
    private var isLettingGo = false
    private var aheadFrom: UInt32?
    /// When it is woken next.
    private var tick: UInt64?
    private var isFilterOwed = false
    /// The engine tells when there is room for more.
    private(set) var awaitsRoom = false
    /// The stretch that it waits for.
    private var awaited: UInt32?
    /// How often the engine has refused the play.
    private var refusals = 0

    /// A block is released so long before its first packet is due.
    static let leadMilliseconds: Int64 = 150
    /// A player who takes less than is due has no more than this before it: what was released is not taken back.
    private static let windowBytes = 512 << 10
    /// What the engine's full queue did not take is tried again after so long.
    private static let retryMilliseconds: Int64 = 40
    /// A play that the engine refused is offered again after so long, the next time after twice that, and so on up to a minute.
    private let offerMilliseconds: Int64
    private static let offerMillisecondsMax: Int64 = 60_000

    /// A pump over one that was made for the play and has not begun.
    init(_ pump: FilePump, files: StoredFiles, line: any StoredLine, port: EnginePort, offerMilliseconds: Int64 = 1_000) {
        self.offerMilliseconds = offerMilliseconds
        plan = pump.plan
        progress = pump.progress
        self.files = files
        self.line = line
        self.port = port
        phase = .filtered(pump)
    }

    private var now: NIODeadline { port.eventLoop.now }

    /// When the last packet that was released is due, for tests.
    var lastDue: NIODeadline? { progress.lastDue }
    /// Whether the engine sends.
    var isStored: Bool { if case .stored = phase { true } else { false } }

    // MARK: As any pump

    func start() {
        guard isPaused else { return }
        isPaused = false
        switch phase {
        case .filtered(let pump), .handing(let pump):
            watch(pump)
            pump.start()
        case .stored, .returning:
            if let pausedAt {
                // A pause is no time that would have to be made up for.
                let pause = now - pausedAt
                progress.clock?.shift(by: pause)
                progress.due = progress.due.map { $0 + pause }
            }
            run()
        }
        pausedAt = nil
    }

    func pause() {
        if !isPaused { pausedAt = now }
        isPaused = true
        tick = nil
        switch phase {
        case .filtered(let pump), .handing(let pump): pump.pause()
        case .stored, .returning: break
        }
    }

    func resume() { if case .filtered(let pump) = phase { pump.resume() } }

    func select(_ selection: WMSPSelection) {
        plan.selection = selection
        switch phase {
        case .filtered(let pump), .handing(let pump): pump.select(selection)
        case .stored(let feed): if !passesAll { filter(feed) }
        case .returning: break
        }
    }

    private var passesAll: Bool {
        plan.selection.keyFramesOnly.isEmpty && plan.file.header.streams.allSatisfy { plan.selection.whole.contains($0.number) }
    }

    var lagMilliseconds: Double {
        switch phase {
        case .filtered(let pump), .handing(let pump): return pump.lagMilliseconds
        case .stored(let feed), .returning(let feed):
            let packet = feed.subscription.packet
            guard !isPaused, let due = released.first(where: { $0.end > packet })?.due ?? progress.due else { return 0 }
            return max(Double((now - due).nanoseconds) / 1e6, 0)
        }
    }

    /// Packets that the engine sends just now, and has sent; what was counted with ``StoredLine/sent(_:)`` is not among them.
    var packetsSent: UInt32 {
        switch phase {
        case .filtered, .handing: 0
        case .stored(let feed), .returning(let feed): feed.subscription.packet &- feed.first
        }
    }

    func stop() {
        guard !isOver else { return }
        isOver = true
        tick = nil
        write = nil
        flush = nil
        onEnd = nil
        switch phase {
        case .filtered(let pump), .handing(let pump): pump.stop()
        case .stored(let feed), .returning(let feed): letGo(feed) {}
        }
    }

    // MARK: To the engine

    private func watch(_ pump: FilePump) {
        pump.write = { [weak self] packet, number in self?.write?(packet, number) }
        pump.flush = { [weak self] in self?.flush?() ?? false }
        pump.onEnd = { [weak self] (end: PumpEnd) in self?.end(end) }
        pump.onWhole = { [weak self, weak pump] in if let pump { self?.hand(pump) } }
    }

    /// Everything goes as it is now: the engine takes over as soon as nothing waits in NIO.
    private func hand(_ pump: FilePump) {
        guard !isOver, case .filtered = phase else { return }
        phase = .handing(pump)
        line.whenFree { [weak self] in
            guard let self, !isOver, case .handing(let pump) = phase else { return }
            attach(pump)
        }
    }

    private func attach(_ pump: FilePump) {
        // It may have changed its mind meanwhile.
        guard passesAll, let feed = makeFeed(pump) else {
            phase = .filtered(pump)
            pump.onWhole = nil
            if passesAll { offerLater() }
            return pump.resume()
        }
        if refusals > 0 { files.countTakenLater() }
        refusals = 0
        plan = pump.plan
        progress = pump.progress
        pump.stop()
        released = []
        aheadFrom = nil
        awaited = nil
        phase = .stored(feed)
        feed.subscription.onGone = { [weak self, line] in
            line.writesReturned()
            self?.refused(feed)
        }
        feed.subscription.onFailed = { [line] (_: SubscriberFailure) in line.close() }
        feed.subscription.onEnded = { [weak self] (packet: UInt32, number: CInt) in self?.ended(packet, number) }
        // Bytes of the protocol go behind all packets that were released until now.
        line.handWritesOver { [weak self, subscription = feed.subscription] bytes, onLeft in
            subscription.send(bytes, before: self?.progress.position ?? 0, onLeft: onLeft)
        }
        if !isPaused { run() }
    }

    /// The engine has no room now. It is asked again, more and more seldom: others leave.
    private func offerLater() {
        if refusals == 0 { files.countRefused() }
        let wait = min(offerMilliseconds << min(refusals, 6), Self.offerMillisecondsMax)
        refusals += 1
        sleep(until: now + .milliseconds(wait))
    }

    /// A reader that is sent nothing yet; nil where the engine has no room.
    private func makeFeed(_ pump: FilePump) -> Feed? {
        guard let file = try? files.enter(pump.plan.file) else { return nil }
        let framing = StoredFraming(incarnation: line.incarnation, firstFlags: line.flags, isChunked: line.isChunked)
        do {
            let subscription = try Subscription.stored(
                port: port, stream: file.handle, descriptor: try line.duplicateDescriptor(), first: pump.position, framing: framing)
            return Feed(file: file, subscription: subscription, first: pump.position)
        } catch {
            files.leave(file)
            return nil
        }
    }

    // MARK: What is due

    private func run() {
        guard !isOver, !isPaused, !isFinishing, case .stored(let feed) = phase else { return }
        tick = nil
        if isFilterOwed { return filter(feed) }
        if isReleaseOwed, !release(feed) { return }
        let now = now
        let horizon = now + .milliseconds(Self.leadMilliseconds + StoredTicks.milliseconds)
        let packet = feed.subscription.packet
        released.removeAll { $0.end <= packet }
        while true {
            let position = progress.position
            guard position < plan.packets.upperBound else { return finish(feed) }
            let ahead = Int(position) - Int(packet)
            guard ahead <= 0 || ahead * plan.file.header.packetBytes < Self.windowBytes else { return waitForRoom(feed) }
            guard let stretch = stretch(feed, position) else { return }
            let index = Int(position - stretch.first)
            guard index < stretch.sendTimes.count else {
                // Who brings what is missing does so for a pump.
                if plan.file.supply != nil { return filter(feed) }
                return end(.failed("\(plan.file.name) ends at packet \(position); it had \(plan.packets.upperBound)"))
            }
            guard stretch.isPlain else { return filter(feed) }
            let time = stretch.sendTimes[index]
            if isBehindEnd(time) { return cut(feed, position) }
            let due = progress.due ?? take(time)
            progress.due = due
            guard due <= horizon else { return sleep(until: due - .milliseconds(Self.leadMilliseconds)) }
            guard releaseBlock(feed, stretch, due) else { return }
        }
    }

    /// The stretch of a packet; nil while it is read, or after the end.
    private func stretch(_ feed: Feed, _ position: UInt32) -> PacketTimes.Stretch? {
        guard awaited != position else { return nil }
        let stretch = feed.file.times.ask(position) { [weak self] failure in
            guard let self, awaited == position else { return }
            awaited = nil
            guard let failure else { return run() }
            guard !isOver, !isPaused, !isFinishing, case .stored(let feed) = phase else { return }
            if plan.file.supply == nil { end(.failed(failure)) } else { filter(feed) }
        }
        guard let stretch else {
            awaited = position
            return nil
        }
        if aheadFrom != stretch.first {
            aheadFrom = stretch.first
            feed.file.times.readAhead(of: position)
        }
        return stretch
    }

    /// The player takes less than is due: it is looked at again when it was sent half of what was released.
    private func waitForRoom(_ feed: Feed) {
        guard !awaitsRoom else { return }
        let half = UInt32(clamping: Self.windowBytes / 2 / plan.file.header.packetBytes)
        awaitsRoom = feed.subscription.send([], before: progress.position - min(half, progress.position)) { [weak self] in
            guard let self else { return }
            awaitsRoom = false
            run()
        }
        if !awaitsRoom { retry() }
    }

    /// Releases what there is of the next packet's block.
    private func releaseBlock(_ feed: Feed, _ stretch: PacketTimes.Stretch, _ due: NIODeadline) -> Bool {
        let block = feed.file.plan.blockPackets
        let start = progress.position
        let end = min((start / block + 1) * block, plan.packets.upperBound, stretch.first + UInt32(stretch.sendTimes.count))
        var next = start + 1
        progress.lastDue = due
        while next < end {
            let time = stretch.sendTimes[Int(next - stretch.first)]
            if isBehindEnd(time) { break }
            progress.lastDue = take(time)
            next += 1
        }
        progress.due = nil
        progress.position = next
        released.append((next, due))
        return release(feed)
    }

    private func release(_ feed: Feed) -> Bool {
        isReleaseOwed = !feed.subscription.release(upTo: progress.position)
        if isReleaseOwed { retry() }
        return !isReleaseOwed
    }

    private func retry() { sleep(until: now + .milliseconds(Self.retryMilliseconds)) }

    private func sleep(until time: NIODeadline) { tick = files.ticks.wake(self, at: time) }

    /// It is that tick's time.
    func wake(_ tick: UInt64) {
        guard self.tick == tick else { return }
        self.tick = nil
        if case .filtered(let pump) = phase, !isOver { return watch(pump) }
        run()
    }

    /// Whether a packet is due behind the end that was asked for.
    private func isBehindEnd(_ time: UInt32) -> Bool { plan.endMilliseconds.map { time > $0 } ?? false }

    private func cut(_ feed: Feed, _ position: UInt32) {
        plan.packets = min(plan.packets.lowerBound, position)..<position
        finish(feed)
    }

    private func take(_ sendTime: UInt32) -> NIODeadline {
        if progress.clock == nil {
            progress.clock = SendClock(start: plan.start ?? now, fastStart: plan.fastStart, speedThousandths: plan.speedThousandths)
        }
        return progress.clock?.take(sendTime: sendTime, bytes: plan.file.header.packetBytes) ?? now
    }

    // MARK: The end, or other streams

    /// All was released: it is over when it has left.
    private func finish(_ feed: Feed) {
        isFinishing = true
        let isTaken = feed.subscription.last(before: progress.position) { [weak self] in if self?.isFinishing == true { self?.end(.done) } }
        guard !isTaken else { return }
        isFinishing = false
        retry()
    }

    /// The engine did not take the reader, or let go of it without being told to.
    private func refused(_ feed: Feed) {
        switch phase {
        case .stored, .returning: break
        case .filtered, .handing: return
        }
        // What ends now has nothing in the engine.
        line.sent(feed.subscription.packet &- feed.first)
        phase = .filtered(FilePump(plan: plan, eventLoop: port.eventLoop))
        files.leave(feed.file)
        end(.failed("the engine cannot send \(plan.file.name) from packet \(feed.subscription.packet) on"))
    }

    /// The file gives no more.
    private func ended(_ packet: UInt32, _ number: CInt) {
        // Who brings what is missing, or mends what is broken, does so for a pump. A disk that does not answer it would wait for, too.
        if plan.file.supply != nil, packet < plan.packets.upperBound, number != ETIMEDOUT {
            progress.position = packet
            progress.due = nil
            isReleaseOwed = false
            isFinishing = false
            // On its way back already, it goes on from there.
            if case .stored(let feed) = phase { filter(feed) }
            return
        }
        // What is said to the player now comes behind what it was sent.
        progress.position = packet
        let words =
            switch number {
            case 0: "\(plan.file.name) ends at packet \(packet); it had \(plan.packets.upperBound)"
            case ETIMEDOUT:
                "cannot read \(plan.file.name) at packet \(packet): what it lies on has not answered for "
                    + "\(port.engine.limits.storedWaitNanoseconds / 1_000_000_000) s"
            default: "cannot read \(plan.file.name) at packet \(packet): \(unsafe String(cString: strerror(number)))"
            }
        end(.failed(words))
    }

    private func end(_ end: PumpEnd) {
        guard !isOver, let onEnd else { return }
        tick = nil
        isFinishing = true
        self.onEnd = nil
        onEnd(end)
    }

    /// A pump filters again, behind what was released.
    private func filter(_ feed: Feed) {
        guard !isFinishing else { return }
        tick = nil
        isFilterOwed = false
        phase = .returning(feed)
        let isTaken = feed.subscription.last(before: progress.position) { [weak self] in
            guard let self, !isOver, case .returning = phase else { return }
            letGo(feed) { [weak self] in self?.returned(feed) }
        }
        guard !isTaken else { return }
        phase = .stored(feed)
        isFilterOwed = true
        retry()
    }

    private func returned(_ feed: Feed) {
        isLettingGo = false
        guard !isOver else { return }
        line.sent(feed.subscription.packet &- feed.first)
        var plan = plan
        plan.packets = min(progress.position, plan.packets.upperBound)..<plan.packets.upperBound
        let pump = FilePump(plan: plan, eventLoop: port.eventLoop)
        pump.goOn(progress)
        watch(pump)
        // What does not go as it lies does not so later, either.
        if passesAll { pump.onWhole = nil }
        phase = .filtered(pump)
        if !isPaused { pump.start() }
    }

    /// What was begun is finished, and what is said in this turn leaves, before the engine lets go; then `done`.
    private func letGo(_ feed: Feed, _ done: @escaping () -> Void) {
        guard !isLettingGo else { return }
        isLettingGo = true
        _ = feed.subscription.pause()
        let line = line, files = files
        var isGone = false
        feed.subscription.onGone = {
            isGone = true
            line.writesReturned()
            done()
        }
        port.eventLoop.assumeIsolated().execute {
            line.whenOver {
                if !isGone {
                    line.writesReturn()
                    feed.subscription.remove()
                }
                files.leave(feed.file)
            }
        }
    }
}

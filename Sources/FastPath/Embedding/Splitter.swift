import Glibc
import Synchronization

/// Splits streams of RTP to many readers: an engine with its handles, its memory and its sockets kept.
///
/// ## Threads
/// All calls belong to one thread at a time; the type is not `Sendable`, and the compiler sees to it. The engine's own threads never
/// call back: what happens is told by events, which wait until they are taken with ``nextEvent()``.
///
/// ## What may wait
/// Nothing. No call waits for the engine, a socket or a peer. ``addStream(_:)`` allocates and touches the stream's memory, which takes
/// about a millisecond for every few megabytes; the calls whose names begin with `open`, and ``addMulticastSource(_:group:channel:)``,
/// make a few system calls. Where the engine cannot take more, a call throws ``SplitterError/queueFull`` at once.
///
/// ## Ownership
/// Descriptors given to a splitter stay the caller's. Keep them open until the event that says that the thing they were given for is
/// gone (`…Removed`), and do not read from a source's or write to a reader's meanwhile. Packets, replies and text are copied.
///
/// ## The end
/// What is removed with a `remove…` call ends with an event, exactly once, and nothing is heard of it in between. After
/// ``shutdown()`` everything that is left ends so, and then ``SplitterEvent/stopped(leaks:)`` is the last event. A splitter that is let
/// go without that ends by itself, and frees its memory in the background; but nobody then says when descriptors may be closed.
public final class Splitter {
    let engine: any EngineControl
    /// The capacities that it was made with.
    public let limits: Limits

    var streams: SlotTable<StreamEntry>
    var sources: SlotTable<SourceEntry>
    var readers: SlotTable<ReaderEntry>
    var senders: SlotTable<SenderEntry>
    var budget: PacketLogBudget
    /// Descriptors in use by sources and TCP readers: none may be in use twice.
    var descriptorsInUse: Set<Int32> = []
    /// Buffers that the engine holds, by address.
    var loans: [UInt: Loan] = [:]
    var pushedBytesLent = 0
    /// Packets pushed by hand that the engine has not been given yet.
    var pushed: [UInt8] = []
    var pushedSource: SourceHandle?
    /// Commands that must not be lost, and found the queue full.
    var postponed = FIFO<Command>()
    var events = FIFO<SplitterEvent>()
    var state = State.running
    private var wakeIsDue = false

    enum State { case running, stopping, stopped }

    /// Each splitter's generations begin elsewhere, so that handles of one hardly ever fit another.
    private static let made = Atomic<UInt32>(0)

    /// Makes an engine and starts its threads. Throws ``SplitterError/argument(name:allowed:)`` for limits that cannot be, and
    /// ``SplitterError/engine(_:)`` where no engine can be made.
    public convenience init(options: EngineOptions = EngineOptions()) throws(SplitterError) {
        try options.limits.check()
        guard (1...Limits.workersMax).contains(options.workers) else {
            throw .argument(name: "workers", allowed: "1...\(Limits.workersMax)")
        }
        let engine: Engine
        do { engine = try Engine(options: options) } catch { throw .engine(error) }
        self.init(engine: engine)
    }

    /// Keeps an engine that nobody else uses.
    init(engine: any EngineControl) {
        self.engine = engine
        limits = engine.limits
        let first = Self.made.wrappingAdd(1, ordering: .relaxed).newValue &* 0x9E37_79B1
        streams = SlotTable(slotsMax: limits.streamsMax, firstGeneration: first)
        sources = SlotTable(slotsMax: limits.sourcesMax, firstGeneration: first)
        readers = SlotTable(slotsMax: limits.subscribersMax, firstGeneration: first)
        senders = SlotTable(slotsMax: Limits.egressMax, firstGeneration: first)
        budget = PacketLogBudget(limits: limits)
    }

    deinit {
        guard state != .stopped else { return }
        Remains(
            engine: engine, isShuttingDown: state == .stopping && postponed.isEmpty, memories: streams.used.map(\.entry.memory),
            buffers: loans.values.map(\.buffer),
            descriptors: sources.used.flatMap(\.entry.owned) + senders.used.flatMap(\.entry.owned)
        ).settle()
    }

    // MARK: What it is

    /// Which backend carries the media, and why.
    public var backend: BackendChoice { engine.backend }

    /// How many workers, each a thread, carry media.
    public var workerCount: Int { engine.workerCount }

    /// An eventfd that is readable while events wait (and while commands wait for room in the engine's queue). For poll, epoll, or an
    /// event loop; take events with ``nextEvent()`` until there are none. Reading from it is needless, and harmless where that follows.
    /// It belongs to the splitter and is closed with it; whoever wants to close it himself takes a duplicate (`dup`).
    public var eventDescriptor: Int32 { engine.reportDescriptor }

    /// Bytes of `Limits.packetLogBytesMax` that streams hold just now.
    public var packetLogBytesInUse: Int { budget.bytesInUse }

    // MARK: Commands

    /// Has the engine carry out all calls made so far. ``nextEvent()`` does it, too; without either, calls take effect when the engine
    /// next wakes by itself.
    public func flush() {
        guard state != .stopped else { return }
        _ = settlePushes()
        retryPostponed()
        if !postponed.isEmpty { signal() }
        if wakeIsDue || !postponed.isEmpty {
            wakeIsDue = false
            engine.wake()
        }
    }

    /// Removes everything and ends the engine. Ends with ``SplitterEvent/stopped(leaks:)``, at the latest some five seconds later;
    /// until then events must be taken. All other calls throw ``SplitterError/stopped`` from now on. A second call does nothing.
    public func shutdown() {
        guard state == .running else { return }
        submitAlways(.shutdown)
        state = .stopping
        flush()
    }

    func checkRunning() throws(SplitterError) {
        if state != .running { throw .stopped }
    }

    /// Queues a command behind all that were made before it; throws when there is no room.
    func submit(_ command: Command) throws(SplitterError) {
        guard settlePushes(), postponed.isEmpty, engine.submit(command) else {
            // Whoever is refused takes events next; by then the engine should have made room.
            flush()
            throw .queueFull
        }
        wakeIsDue = true
    }

    /// Queues a command that must not be lost: one that ends something, or belongs to one that was taken.
    func submitAlways(_ command: Command) {
        if !settlePushes() { postponePushes() }
        if postponed.isEmpty, engine.submit(command) {
            wakeIsDue = true
        } else {
            postponed.append(command)
            signal()
        }
    }

    private func retryPostponed() {
        while let command = postponed.head, engine.submit(command) {
            _ = postponed.popFirst()
            wakeIsDue = true
        }
    }

    /// Notes that the engine is to be woken.
    func noteSubmitted() { wakeIsDue = true }

    // MARK: The event descriptor

    /// Makes the event descriptor readable.
    func signal() {
        var one: UInt64 = 1
        _ = unsafe write(engine.reportDescriptor, &one, 8)
    }

    /// Makes it unreadable until the engine reports something new.
    func clearSignal() {
        var value: UInt64 = 0
        _ = unsafe read(engine.reportDescriptor, &value, 8)
    }
}

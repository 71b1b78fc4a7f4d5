import Logging
import NIOCore
import PlaneLink

/// Hears what the engine says of one reader.
protocol SubscriberDelegate: AnyObject {
    func subscriberJoined(at point: JoinPoint)
    func subscriberFailed(_ failure: SubscriberFailure)
    /// The reader missed so many packets; at most once a minute.
    func subscriberLagged(_ cause: LagCause, packets: UInt32)
    /// The file that it is sent cannot be read from that packet on: it ends there (0), or for this reason.
    func subscriberEnded(packet: UInt32, errorNumber: Int32)
    /// The engine is done with the descriptor; the handle is no longer valid.
    func subscriberRemoved()
}

extension SubscriberDelegate {
    func subscriberEnded(packet: UInt32, errorNumber: Int32) {}
}

/// Hears what the engine says of one source.
protocol SourceDelegate: AnyObject {
    func sourceActive()
    /// Text came between interleaved frames. Answer with ``EnginePort/resume(_:consumed:)``.
    func sourceText(_ bytes: [UInt8])
    func sourceEnded(errorNumber: Int32)
    /// The engine is done with the descriptor; the handle is no longer valid.
    func sourceRemoved()
}

/// Hears what the engine says of one stream.
protocol StreamDelegate: AnyObject {
    func senderReport(track: Int, ssrc: UInt32, ntp: UInt64, rtpTime: UInt32)
    func sourceBye(track: Int)
    /// The track shows other parameter sets than before: ``EnginePort/parameterSets(of:track:)``.
    func parameterSets(track: Int)
    /// The track sends packets that are larger than its stream's policy wants them for UDP.
    func packetTooLarge(track: Int, bytes: Int)
}

/// The control plane's end of the link: gives out handles, owns what it lent to the engine until it comes back, and routes
/// reports to whoever they concern. Belongs to the event loop.
///
/// An entry stays, with its delegate, until the engine reported it removed, so descriptors are closed exactly once and after
/// their last use.
final class EnginePort {
    let engine: any EngineControl
    let eventLoop: any EventLoop
    /// For other threads.
    let door: LoopDoor
    /// For all that must be looked at now and then.
    let pulse: Pulse
    private let logger: Logger

    private struct StreamEntry {
        let memory: StreamMemory
        let sizing: StreamSizing
        weak var delegate: (any StreamDelegate)?
        let generation: UInt32
        let onRemoved: () -> Void
    }

    private var streamHandles: HandleTable
    private var subscriberHandles: HandleTable
    private var sourceHandles: HandleTable
    private var streams: [UInt32: StreamEntry] = [:]
    private var subscribers: [UInt32: any SubscriberDelegate] = [:]
    private var sources: [UInt32: any SourceDelegate] = [:]
    private var egresses: [UInt8: () -> Void] = [:]
    private var budget: PacketLogBudget
    /// Who wants to know that a buffer came back, by its identity.
    private var lent: [UInt: () -> Void] = [:]
    private var wakeIsDue = false
    private var onStopped: ((UInt32) -> Void)?
    /// At most one per thing that exists: what ends something is said once.
    private var postponed: [Command] = []

    /// Commands that found the queue full; the caller was told.
    private(set) var commandsRefused = 0
    /// Workers that can carry nothing any more.
    private(set) var workersFailed = 0

    init(engine: any EngineControl, eventLoop: any EventLoop, door: LoopDoor? = nil, logger: Logger) {
        self.engine = engine
        self.eventLoop = eventLoop
        self.door = door ?? LoopDoor(eventLoop)
        pulse = Pulse(eventLoop)
        self.logger = logger
        streamHandles = HandleTable(slotsMax: engine.limits.streamsMax)
        subscriberHandles = HandleTable(slotsMax: engine.limits.subscribersMax)
        sourceHandles = HandleTable(slotsMax: engine.limits.sourcesMax)
        budget = PacketLogBudget(limits: engine.limits)
    }

    /// How much of what there may be is in use.
    var use: (streams: Int, sources: Int, packetLogBytes: Int, egresses: Int) {
        (streams.count, sources.count, budget.bytesInUse, egresses.count)
    }

    /// Why nothing could be added.
    enum Refusal: Error, CustomStringConvertible {
        case memory(PacketLogRefusal)
        case noHandle(kind: String, max: Int)
        case queueFull

        var description: String {
            switch self {
            case .memory(let refusal): refusal.description
            case .noHandle(let kind, let max): "all \(max) \(kind) are in use; raise the limit `\(kind)`"
            case .queueFull: "the engine's command queue is full; it takes no more joins just now"
            }
        }
    }

    // MARK: Commands

    /// Submits a command. The engine is woken once, at the end of this turn of the event loop.
    @discardableResult
    func submit(_ command: Command) -> Bool {
        guard engine.submit(command) else {
            commandsRefused += 1
            engine.wake()
            return false
        }
        if !wakeIsDue {
            wakeIsDue = true
            eventLoop.assumeIsolated().execute { [self] in
                wakeIsDue = false
                engine.wake()
            }
        }
        return true
    }

    /// Submits a command that must not be lost (one that ends something): when the queue is full it waits its turn here.
    func submitAlways(_ command: Command) {
        if postponed.isEmpty, submit(command) { return }
        postponed.append(command)
        guard postponed.count == 1 else { return }
        retryPostponed()
    }

    private func retryPostponed() {
        eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(2)) { [self] in
            while let command = postponed.first, submit(command) { postponed.removeFirst() }
            if !postponed.isEmpty { retryPostponed() }
        }
    }

    /// Opens a stream with these tracks, whose readers are treated by `policy`. `onRemoved` runs after the engine let go of it.
    func addStream(
        tracks: [TrackPlan], sizing: StreamSizing, policy: StreamPolicy = StreamPolicy(), delegate: any StreamDelegate,
        onRemoved: @escaping () -> Void = {}
    ) throws(Refusal) -> (handle: StreamHandle, counters: StreamCounters) {
        precondition(tracks.count <= tracksPerStreamMax)
        let count = UInt8(tracks.count)
        let opened = try open(sizing: sizing, delegate: delegate, onRemoved: onRemoved) { .addStream($0, $1, trackCount: count) }
        submit(.setPolicy(opened.handle, policy))
        for (number, plan) in tracks.enumerated() { submit(.setTrack(opened.handle, track: UInt8(number), plan)) }
        return opened
    }

    /// Opens a stream whose packets go as they are fed, whose readers are treated by `policy`. `onRemoved` runs after the engine let go of it.
    func addVerbatimStream(
        sizing: StreamSizing, policy: StreamPolicy, delegate: any StreamDelegate, onRemoved: @escaping () -> Void = {}
    ) throws(Refusal) -> (handle: StreamHandle, counters: StreamCounters) {
        let opened = try open(sizing: sizing, delegate: delegate, onRemoved: onRemoved) { .addVerbatimStream($0, $1) }
        submit(.setPolicy(opened.handle, policy))
        return opened
    }

    /// Opens a stream whose packets lie in a file. `onRemoved` runs after the engine let go of the file.
    func addStoredStream(
        _ plan: StoredPlan, delegate: any StreamDelegate, onRemoved: @escaping () -> Void
    ) throws(Refusal) -> (handle: StreamHandle, counters: StreamCounters) {
        try open(sizing: .stored, delegate: delegate, onRemoved: onRemoved) { .addStoredStream($0, $1, plan) }
    }

    private func open(
        sizing: StreamSizing, delegate: any StreamDelegate, onRemoved: @escaping () -> Void,
        command: (StreamHandle, StreamMemory) -> Command
    ) throws(Refusal) -> (handle: StreamHandle, counters: StreamCounters) {
        do { try budget.take(sizing) } catch { throw .memory(error) }
        guard let slot = streamHandles.take() else {
            budget.giveBack(sizing)
            throw .noHandle(kind: "streams", max: engine.limits.streamsMax)
        }
        let handle = StreamHandle(index: slot.index, generation: slot.generation)
        let memory = StreamMemory(sizing: sizing, workers: engine.workerCount)
        guard submit(command(handle, memory)) else {
            memory.free()
            streamHandles.release(index: slot.index)
            budget.giveBack(sizing)
            throw .queueFull
        }
        streams[slot.index] = StreamEntry(
            memory: memory, sizing: sizing, delegate: delegate, generation: slot.generation, onRemoved: onRemoved)
        return (handle, memory.counters)
    }

    /// Names a pair of sockets that readers are sent from beside the unicast readers' (number 0), for one of the workers. `onRemoved`
    /// runs when the engine let go of the sockets, after ``removeEgress(_:)``.
    func addEgress(rtp: CInt, rtcp: CInt, onRemoved: @escaping () -> Void) throws(Refusal) -> UInt8 {
        guard let number = (1..<UInt8(clamping: Limits.egressMax)).first(where: { egresses[$0] == nil }) else {
            throw .noHandle(kind: "multicast destinations", max: Limits.egressMax - 1)
        }
        let worker = UInt8(truncatingIfNeeded: Int(number) % max(engine.workerCount, 1))
        guard submit(.addDatagramEgress(number, worker: worker, rtp: rtp, rtcp: rtcp)) else { throw .queueFull }
        egresses[number] = onRemoved
        return number
    }

    /// Has the engine let go of the sockets of a number, of which no reader is left.
    func removeEgress(_ number: UInt8) { submitAlways(.removeDatagramEgress(number)) }

    /// A handle for a source; the delegate is kept until the engine reported the source removed. Submit the matching `add…Source`
    /// command next, or give the handle back with ``abandon(_:)`` if that fails.
    func takeSourceHandle(delegate: any SourceDelegate) throws(Refusal) -> SourceHandle {
        guard let slot = sourceHandles.take() else { throw .noHandle(kind: "sources", max: engine.limits.sourcesMax) }
        sources[slot.index] = delegate
        return SourceHandle(index: slot.index, generation: slot.generation)
    }

    /// Gives back a handle that the engine never saw.
    func abandon(_ handle: SourceHandle) {
        sources[handle.index] = nil
        sourceHandles.release(index: handle.index)
    }

    /// A handle for a reader; see ``takeSourceHandle(delegate:)``.
    func takeSubscriberHandle(delegate: any SubscriberDelegate) throws(Refusal) -> SubscriberHandle {
        guard let slot = subscriberHandles.take() else {
            throw .noHandle(kind: "sessions", max: engine.limits.subscribersMax)
        }
        subscribers[slot.index] = delegate
        return SubscriberHandle(index: slot.index, generation: slot.generation)
    }

    /// Gives back a handle that the engine never saw.
    func abandon(_ handle: SubscriberHandle) {
        subscribers[handle.index] = nil
        subscriberHandles.release(index: handle.index)
    }

    /// Queues bytes on an interleaved reader, between two packets; false when the engine takes no more just now.
    func send(_ handle: SubscriberHandle, _ bytes: [UInt8]) -> Bool {
        let buffer = LinkBuffer(bytes)
        if submit(.send(handle, buffer)) { return true }
        buffer.free()
        return false
    }

    /// The same, before the packet of that number of a stream that is sent as it is fed. `onLeft` runs when the bytes have left, or never
    /// will.
    func send(_ handle: SubscriberHandle, _ bytes: [UInt8], before packet: UInt32, onLeft: @escaping () -> Void) -> Bool {
        let buffer = LinkBuffer(bytes)
        guard submit(.sendBefore(handle, buffer, packet: packet)) else {
            buffer.free()
            return false
        }
        lent[buffer.identity] = onLeft
        return true
    }

    /// Nothing more of the stream from the packet of that number on: `onLeft` runs when all before it has left, or never will. False when the
    /// engine takes no commands just now.
    func sendLast(_ handle: SubscriberHandle, before packet: UInt32, onLeft: @escaping () -> Void) -> Bool {
        let buffer = LinkBuffer([])
        guard submit(.sendLast(handle, buffer, packet: packet)) else {
            buffer.free()
            return false
        }
        lent[buffer.identity] = onLeft
        return true
    }

    /// Gives interleaved frames to a fed source; false when the engine takes no more just now.
    func feed(_ handle: SourceHandle, _ bytes: [UInt8]) -> Bool {
        let buffer = LinkBuffer(bytes)
        if submit(.feed(handle, buffer)) { return true }
        buffer.free()
        return false
    }

    /// The NAL units that the engine shows of a track, after ``StreamDelegate/parameterSets(track:)``. It shows no others until
    /// ``acceptParameterSets(of:track:)``.
    func parameterSets(of handle: StreamHandle, track: Int) -> [[UInt8]] {
        guard let entry = streams[handle.index], entry.generation == handle.generation else { return [] }
        return entry.memory.parameterSets.units(track)
    }

    /// Lets the engine show the next ones.
    func acceptParameterSets(of handle: StreamHandle, track: Int) {
        guard let entry = streams[handle.index], entry.generation == handle.generation else { return }
        entry.memory.parameterSets.empty(track)
    }

    /// Answers ``SourceDelegate/sourceText(_:)``.
    func resume(_ handle: SourceHandle, consumed: Int) {
        submit(.resumeSource(handle, consumed: UInt32(clamping: consumed)))
    }

    /// Ends the engine after its run-down; `done` gets the number of things that did not come home (0).
    func shutdown(_ done: @escaping (UInt32) -> Void) {
        onStopped = done
        submitAlways(.shutdown)
        engine.wake()
    }

    // MARK: Reports

    /// Takes all reports that wait. Called by the event loop when the report descriptor is readable.
    func drainReports() {
        while let report = engine.takeReport() { deliver(report) }
    }

    private func deliver(_ report: Report) {
        switch report {
        case .joined(let handle, let point): subscribers[handle.index]?.subscriberJoined(at: point)
        case .subscriberFailed(let handle, let failure): subscribers[handle.index]?.subscriberFailed(failure)
        case .subscriberLagged(let handle, let cause, let packets):
            subscribers[handle.index]?.subscriberLagged(cause, packets: packets)
        case .storedEnded(let handle, let packet, let errorNumber):
            subscribers[handle.index]?.subscriberEnded(packet: packet, errorNumber: errorNumber)
        case .subscriberRemoved(let handle):
            let delegate = subscribers.removeValue(forKey: handle.index)
            subscriberHandles.release(index: handle.index)
            delegate?.subscriberRemoved()
        case .sourceActive(let handle): sources[handle.index]?.sourceActive()
        case .sourceText(let handle, let view): sources[handle.index]?.sourceText(view.copy())
        case .sourceEnded(let handle, let errorNumber): sources[handle.index]?.sourceEnded(errorNumber: errorNumber)
        case .sourceRemoved(let handle):
            let delegate = sources.removeValue(forKey: handle.index)
            sourceHandles.release(index: handle.index)
            delegate?.sourceRemoved()
        case .senderReport(let handle, let track, let ssrc, let ntp, let rtpTime):
            streams[handle.index]?.delegate?.senderReport(track: Int(track), ssrc: ssrc, ntp: ntp, rtpTime: rtpTime)
        case .sourceBye(let handle, let track): streams[handle.index]?.delegate?.sourceBye(track: Int(track))
        case .parameterSets(let handle, let track): streams[handle.index]?.delegate?.parameterSets(track: Int(track))
        case .packetTooLarge(let handle, let track, let bytes):
            streams[handle.index]?.delegate?.packetTooLarge(track: Int(track), bytes: Int(bytes))
        case .bufferReturned(let buffer):
            let onLeft = lent.removeValue(forKey: buffer.identity)
            buffer.free()
            onLeft?()
        case .streamRemoved(let handle):
            guard let entry = streams.removeValue(forKey: handle.index) else { return }
            entry.memory.free()
            budget.giveBack(entry.sizing)
            streamHandles.release(index: handle.index)
            entry.onRemoved()
        case .egressRemoved(let number): egresses.removeValue(forKey: number)?()
        case .refused(.ringFailed, let errorNumber):
            workersFailed += 1
            logger.error(
                "a worker's backend ended for good; its readers and sources are let go, others carry on",
                metadata: [
                    "backend": "\(engine.backend.name)", "errno": "\(errorNumber)", "workers-left": "\(engine.workerCount - workersFailed)",
                ])
        case .refused(let refusal, let errorNumber):
            logger.error("engine refused", metadata: ["what": "\(refusal)", "errno": "\(errorNumber)"])
        case .stopped(let leaks):
            onStopped?(leaks)
            onStopped = nil
        }
    }
}

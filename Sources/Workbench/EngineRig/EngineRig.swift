import CSinks
import FastPath
import Glibc
import PlaneLink

/// The engine by itself, without RTSP: driven through ``EngineControl`` as the control plane would, and metered.
///
/// One per run: an engine lives as long as its process, or until it has reported that it stopped.
final class EngineRig {
    let engine: any EngineControl
    private var handles = HandleTable(slotsMax: 1 << 20)
    private var memories: [StreamMemory] = []
    private var meter: ProcessMeter
    private var joined = 0
    private var toJoin = 0
    private var removed = 0
    private var hasStopped = false
    /// Reports that should not come while measuring.
    private(set) var failures = 0

    /// Makes an engine and starts its thread.
    init(_ options: EngineOptions) throws(WorkbenchError) {
        do { engine = try Engine(options: options) } catch { throw WorkbenchError("the engine cannot start: \(error)") }
        // The worker's thread, and those that the kernel makes for its ring. Not this one, nor anything that feeds or drains.
        meter = try ProcessMeter(process: getpid()) { name, _ in name.hasPrefix("weir-worker") || name.hasPrefix("iou-") }
    }

    /// Threads that carry media.
    var workerCount: Int { engine.workerCount }

    /// The call that sends packets: of the ring, an operation; zero copy once it was used.
    func sendCall(_ transport: ReaderTransport) -> String {
        switch engine.backend.name {
        case BackendName.ioUring.rawValue: break
        case BackendName.epoll.rawValue where transport == .udp: return "sendmmsg"
        default: return "sendmsg"
        }
        // A trial of a few sends does not make it the way that the engine sends.
        return engine.counters[.zcSent] * 2 > engine.counters[.sendsSubmitted] ? "io_uring send_zc" : "io_uring send"
    }

    /// CPU time of the engine's threads so far.
    var cpuNanoseconds: UInt64 {
        meter.poll()
        return meter.cpuNanoseconds
    }

    /// Packets that should have left and did not: refused, overrun or given up.
    var packetsDropped: UInt64 {
        let counters = engine.counters
        return counters[.packetsOverrun] &+ counters[.packetsDroppedNoRoom] &+ counters[.packetsRefused]
    }

    /// Packets that left or will never leave.
    var packetsAccounted: UInt64 { engine.counters[.packetsSent] &+ packetsDropped }

    // MARK: Setting up

    /// A stream with one track of a codec in which every packet may be the first; or one whose packets are no RTP, and are sent as they
    /// are fed.
    func addStream(
        bitRate: Int, isVerbatim: Bool = false, collectNanoseconds: UInt64 = 0
    ) throws(WorkbenchError) -> StreamHandle {
        let slot = try takeHandle()
        let handle = StreamHandle(index: slot.index, generation: slot.generation)
        let memory = StreamMemory(
            sizing: StreamSizing(bitRate: bitRate, windowMilliseconds: engine.limits.windowMilliseconds), workers: workerCount)
        memories.append(memory)
        try submit(isVerbatim ? .addVerbatimStream(handle, memory) : .addStream(handle, memory, trackCount: 1))
        // What is measured is the engine at full speed, from the packet that a reader joins at.
        var policy = StreamPolicy()
        policy.pacing = .off
        policy.joinBurst = nil
        policy.collectNanoseconds = collectNanoseconds
        try submit(.setPolicy(handle, policy))
        if isVerbatim { return handle }
        try submit(.setTrack(handle, track: 0, TrackPlan(clockRate: 90_000, codec: .opaque, ssrc: 0x5745_4952)))
        return handle
    }

    /// A source that is fed from here.
    func addFedSource(_ stream: StreamHandle) throws(WorkbenchError) -> SourceHandle {
        let slot = try takeHandle()
        let handle = SourceHandle(index: slot.index, generation: slot.generation)
        try submit(.addFedSource(handle, stream, channels: ChannelMap(identity: 2)))
        return handle
    }

    /// A source that receives from a bound UDP socket.
    func addDatagramSource(_ stream: StreamHandle, descriptor: Int32) throws(WorkbenchError) -> SourceHandle {
        let slot = try takeHandle()
        let handle = SourceHandle(index: slot.index, generation: slot.generation)
        let loopback = HostAddress(ipv4: 0x7F00_0001)
        try submit(.addDatagramSource(handle, stream, descriptor: descriptor, channel: 0, peer: loopback, port: 0))
        return handle
    }

    /// Sockets that UDP readers are sent from, a pair for each worker.
    func addDatagramEgress(_ pairs: [DatagramPair]) throws(WorkbenchError) {
        for (worker, pair) in pairs.enumerated() {
            try submit(.addDatagramEgress(0, worker: UInt8(clamping: worker), rtp: pair.rtp.number, rtcp: pair.rtcp.number))
        }
    }

    /// A UDP reader, armed: ``letGo(_:)`` after a first packet came.
    func addReader(_ stream: StreamHandle, host: HostAddress, port: UInt16) throws(WorkbenchError) -> SubscriberHandle {
        let slot = try takeHandle()
        let handle = SubscriberHandle(index: slot.index, generation: slot.generation)
        var ports = PortMap()
        ports[0] = port
        try submit(.addDatagramSubscriber(handle, stream, host: host, ports: ports, sockets: 0))
        try submit(.arm(handle, now: true))
        return handle
    }

    /// An interleaved reader, armed.
    func addReader(_ stream: StreamHandle, connection: Int32) throws(WorkbenchError) -> SubscriberHandle {
        let slot = try takeHandle()
        let handle = SubscriberHandle(index: slot.index, generation: slot.generation)
        try submit(.addInterleavedSubscriber(handle, stream, descriptor: connection, channels: ChannelMap(identity: 2)))
        try submit(.arm(handle, now: true))
        return handle
    }

    /// A reader of a stream whose packets are no RTP, armed.
    func addVerbatimReader(_ stream: StreamHandle, connection: Int32, chunked: Bool) throws(WorkbenchError) -> SubscriberHandle {
        let slot = try takeHandle()
        let handle = SubscriberHandle(index: slot.index, generation: slot.generation)
        try submit(.addVerbatimSubscriber(handle, stream, descriptor: connection, chunked: chunked))
        try submit(.arm(handle, now: true))
        return handle
    }

    /// Feeds frames until every reader's beginning is known, lets them begin there, and waits until they have what was fed.
    func letGo(_ readers: [SubscriberHandle], feeding source: SourceHandle, _ nextFrame: () -> [UInt8]) throws(WorkbenchError) {
        let end = monotonicNanoseconds() + 20_000_000_000
        toJoin += readers.count
        // A worker that hears of its readers after a frame has passed lets them join at the next one.
        while joined < toJoin {
            guard monotonicNanoseconds() < end else { throw WorkbenchError("\(toJoin - joined) readers do not join") }
            try feed(source, nextFrame())
            let patience = monotonicNanoseconds() + 50_000_000
            try wait("the readers to join", seconds: 1) { joined >= toJoin || monotonicNanoseconds() > patience }
        }
        for reader in readers { try submit(.go(reader)) }
        engine.wake()
        try feed(source, nextFrame())
        // How many packets that makes depends on where each one began: it is over when nothing comes any more.
        var last = UInt64.max
        var changed = monotonicNanoseconds()
        try wait("the readers to be sent what they joined for", seconds: 20) {
            let now = packetsAccounted
            if now != last { (last, changed) = (now, monotonicNanoseconds()) }
            return now > 0 && monotonicNanoseconds() - changed > 100_000_000
        }
    }

    // MARK: Running

    /// Hands a frame over: interleaved frames of the source's channels.
    func feed(_ source: SourceHandle, _ frames: [UInt8]) throws(WorkbenchError) {
        try submit(.feed(source, LinkBuffer(frames)))
        engine.wake()
        takeReports()
    }

    /// Waits, by looking now and then, until `isDone` or the time is over.
    func wait(_ what: String, seconds: Double, until isDone: () -> Bool) throws(WorkbenchError) {
        let end = monotonicNanoseconds() + UInt64(seconds * 1e9)
        takeReports()
        while !isDone() {
            guard monotonicNanoseconds() < end else { throw WorkbenchError("waited \(seconds) s in vain for \(what)") }
            csinks_sleep_ns(20_000)
            takeReports()
        }
    }

    /// Ends the engine and frees what it used.
    func stop() throws(WorkbenchError) {
        try submit(.shutdown)
        engine.wake()
        try wait("the engine to stop", seconds: 20) { hasStopped }
        for memory in memories { memory.free() }
        memories = []
    }

    private func takeHandle() throws(WorkbenchError) -> (index: UInt32, generation: UInt32) {
        guard let slot = handles.take() else { throw WorkbenchError("no handle is free") }
        return slot
    }

    private func submit(_ command: Command) throws(WorkbenchError) {
        let end = monotonicNanoseconds() + 10_000_000_000
        while !engine.submit(command) {
            guard monotonicNanoseconds() < end else { throw WorkbenchError("the engine takes no commands") }
            engine.wake()
            takeReports()
            csinks_sleep_ns(100_000)
        }
    }

    private func takeReports() {
        while let report = engine.takeReport() {
            switch report {
            case .joined: joined += 1
            case .bufferReturned(let buffer): buffer.free()
            case .stopped: hasStopped = true
            case .subscriberFailed, .refused: failures += 1
            case .subscriberLagged, .subscriberRemoved, .sourceActive, .sourceText, .sourceEnded, .sourceRemoved, .senderReport,
                .sourceBye, .parameterSets, .packetTooLarge, .storedEnded, .streamRemoved, .egressRemoved:
                break
            }
        }
    }
}

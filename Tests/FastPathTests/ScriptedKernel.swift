import Glibc
import PlaneLink

@testable import FastPath

/// What a scripted kernel did and shall do; shared with the test, which runs on the same thread.
@safe final class Script {
    struct Sent: Equatable {
        var slot: Int32
        var bytes: [UInt8]
        var segment: Int
        var port: UInt16
    }

    var sent: [Sent] = []
    /// Answers the n-th send (from 0): nil takes it whole, a negative number refuses it, a positive one takes so many bytes.
    var answer: (Int) -> Int32? = { _ in nil }
    var sends = 0
    var watched: [RequestTag] = []
    var segments: [Int32: Int] = [:]
    var attached: Set<Int32> = []
    var cancelled = 0
    /// Files whose connections were reset.
    var aborted: [Int32] = []
    /// The descriptor of each file.
    var descriptors: [Int32: Int32] = [:]
    /// What waits to be received, by descriptor: datagrams, or pieces of a connection of which an empty one is its end.
    var inbox: [Int32: [Arrival]] = [:]
    /// Connections that are watched have room at the next wait.
    var tellsWritable = false
    /// Time that passes in a wait.
    var waitNanoseconds: UInt64 = 0

    struct Arrival {
        var bytes: [UInt8]
        var host = HostAddress(ipv4: 0x7F00_0001)
        var port: UInt16 = 0
    }
    /// Bytes that connections say are on their way.
    var unsent = 0
    /// The longest segment that the path to a host takes.
    var segmentMax: (HostAddress) -> Int = { _ in .max }
    /// The most packets that a message may carry.
    var segmentsMax = Train.segmentsMax
    /// What the kernel ended with, 0 while it works.
    var failure: Int32 = 0
    /// The time that the kernel tells; the test moves it. Never 0.
    var time: UInt64 = 1_000_000_000
    /// Of the wall clock when `time` was 0.
    static let unixNanoseconds: UInt64 = 1_750_000_000_000_000_000
    /// Workers that were woken, by their kernels' peer descriptors.
    var notified: [Int32] = []
    /// Reads of files that were asked for and did not end, and what lies in the file.
    @unsafe struct Read {
        var slot: Int32
        var bytes: UnsafeMutableRawPointer
        var count: Int
        var offset: UInt64
        var buffer: Int
        var waits: Bool
        var tag: RequestTag
    }
    var reads: [Read] = unsafe []
    var readsCancelled = 0
    var file: [UInt8] = []
    /// Zero-copy sends whose memory the kernel holds.
    var held: [RequestTag] = []
    var canZeroCopy = false
    /// Sent while the bytes are still to be looked at: what a zero-copy send points to, checked when it is let go.
    var heldBytes: [(place: UnsafeRawPointer, bytes: [UInt8])] = unsafe []
}

/// A kernel that does what a test's script says: no socket, no thread, no clock of its own.
@safe struct ScriptedKernel: Kernel, ~Copyable {
    let script: Script
    let peerDescriptor: Int32
    private var results: [SendResult] = []
    private var events: [KernelEvent] = unsafe []
    private var nextSlot: Int32 = 0
    private var receives: [Receive] = unsafe []
    private var lent: [Int32: UnsafeMutableRawPointer] = unsafe [:]
    private var nextBuffer: Int32 = 0

    /// A receive that was asked for; without a place it is one of datagrams, which repeats.
    @unsafe private struct Receive {
        var slot: Int32
        var tag: RequestTag
        var place: UnsafeMutableRawPointer?
        var count: Int
    }

    init(script: Script, peerDescriptor: Int32 = 0) {
        self.script = script
        self.peerDescriptor = peerDescriptor
    }

    mutating func start() -> Int32 { 0 }
    func clock() -> UInt64 { script.time }
    func wallClock() -> UInt64 { Script.unixNanoseconds + script.time }
    mutating func notify(peer: Int32) { script.notified.append(peer) }

    mutating func attach(descriptor: Int32) -> KernelFile? {
        nextSlot += 1
        script.attached.insert(nextSlot)
        script.descriptors[nextSlot] = descriptor
        return KernelFile(slot: nextSlot)
    }

    mutating func detach(_ file: KernelFile) { script.attached.remove(file.slot) }
    mutating func receiveDatagrams(_ file: KernelFile, tag: RequestTag) {
        unsafe receives.append(Receive(slot: file.slot, tag: tag, place: nil, count: 0))
    }
    @unsafe mutating func receive(_ file: KernelFile, into bytes: UnsafeMutableRawPointer, count: Int, tag: RequestTag) {
        unsafe receives.append(Receive(slot: file.slot, tag: tag, place: bytes, count: count))
    }
    mutating func receiveWake(_ file: KernelFile, tag: RequestTag) {}
    @unsafe mutating func readFile(
        _ file: KernelFile, into bytes: UnsafeMutableRawPointer, count: Int, offset: UInt64, buffer: Int, waits: Bool, tag: RequestTag
    ) {
        unsafe script.reads.append(
            Script.Read(slot: file.slot, bytes: bytes, count: count, offset: offset, buffer: buffer, waits: waits, tag: tag))
    }

    /// Ends the oldest read with so many of the script's bytes, or with an error number.
    mutating func endRead(_ result: Int32) {
        let read = unsafe script.reads.removeFirst()
        if result > 0 {
            let start = unsafe Int(read.offset)
            unsafe script.file[start..<(start + Int(result))].withUnsafeBytes {
                if let base = $0.baseAddress { unsafe read.bytes.copyMemory(from: base, byteCount: $0.count) }
            }
        }
        unsafe finish(read.tag, result)
    }

    mutating func acknowledge(_ file: KernelFile) {}
    func unsentBytes(_ file: KernelFile) -> Int { script.unsent }
    mutating func watchWritable(_ file: KernelFile, tag: RequestTag) { script.watched.append(tag) }

    mutating func cancel(_ file: KernelFile, tag: RequestTag) {
        // A disk that does not answer is not to be persuaded.
        if tag.kind == .fileRead { return script.readsCancelled += 1 }
        script.cancelled += 1
        script.watched.removeAll { $0 == tag }
        unsafe receives.removeAll { unsafe $0.tag == tag }
        finish(tag, -ECANCELED)
    }

    mutating func recycle(_ buffer: Int32) {
        if let memory = unsafe lent.removeValue(forKey: buffer) { unsafe memory.deallocate() }
    }

    /// Receives what the script has for those that asked.
    private mutating func deliver() {
        var place = 0
        while unsafe place < receives.count {
            let receive = unsafe receives[place]
            let descriptor = unsafe script.descriptors[receive.slot] ?? -1
            guard let first = script.inbox[descriptor]?.first else {
                place += 1
                continue
            }
            guard let base = unsafe receive.place else {
                script.inbox[descriptor]?.removeFirst()
                unsafe deliver(first, receive.tag)
                continue
            }
            let count = unsafe min(first.bytes.count, receive.count)
            unsafe first.bytes.withUnsafeBytes { if let start = $0.baseAddress { unsafe base.copyMemory(from: start, byteCount: count) } }
            script.inbox[descriptor]?[0].bytes.removeFirst(count)
            if script.inbox[descriptor]?[0].bytes.isEmpty == true { script.inbox[descriptor]?.removeFirst() }
            unsafe _ = receives.remove(at: place)
            unsafe finish(receive.tag, Int32(count))
        }
    }

    @unsafe private mutating func deliver(_ arrival: Script.Arrival, _ tag: RequestTag) {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: max(arrival.bytes.count, 1), alignment: 16)
        unsafe arrival.bytes.withUnsafeBytes {
            if let start = $0.baseAddress { unsafe memory.copyMemory(from: start, byteCount: $0.count) }
        }
        nextBuffer += 1
        unsafe lent[nextBuffer] = memory
        var event = unsafe KernelEvent(tag: tag, result: Int32(arrival.bytes.count), continues: true)
        unsafe event.payload = memory
        unsafe event.payloadCount = arrival.bytes.count
        unsafe event.host = arrival.host
        unsafe event.port = arrival.port
        unsafe event.buffer = nextBuffer
        unsafe events.append(event)
    }

    var segmentsMax: Int { script.segmentsMax }
    var failure: Int32 { script.failure }
    mutating func abandon() {}

    mutating func setSegment(_ file: KernelFile, segmentBytes: Int, bytes: Int) {
        let now = Int32(script.segments[file.slot] ?? 0)
        if let wanted = SegmentOption.change(from: now, segmentBytes: segmentBytes, bytes: bytes) {
            script.segments[file.slot] = Int(wanted)
        }
    }

    @unsafe mutating func sendDatagram(
        _ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, host: HostAddress, port: UInt16, tag: RequestTag
    ) {
        var answer = script.answer(script.sends)
        // As Linux has it: a socket that cuts segments refuses any message when a segment is longer than the path takes.
        if let segment = script.segments[file.slot], segment > script.segmentMax(host) { answer = -EMSGSIZE }
        script.sends += 1
        if let answer, answer < 0 {
            results.append(SendResult(tag: tag, result: answer))
        } else {
            let copy = unsafe Array(UnsafeRawBufferPointer(start: bytes, count: count))
            script.sent.append(.init(slot: file.slot, bytes: copy, segment: script.segments[file.slot] ?? 0, port: port))
        }
    }

    @unsafe mutating func sendGathered(_ file: KernelFile, _ vectors: UnsafeMutableRawPointer, vectorCount: Int, tag: RequestTag) {
        var bytes: [UInt8] = []
        let list = unsafe vectors.assumingMemoryBound(to: iovec.self)
        for place in 0..<vectorCount { unsafe bytes += UnsafeRawBufferPointer(start: list[place].iov_base, count: list[place].iov_len) }
        let answer = script.answer(script.sends) ?? Int32(bytes.count)
        script.sends += 1
        if answer > 0 {
            script.sent.append(.init(slot: file.slot, bytes: Array(bytes.prefix(Int(answer))), segment: 0, port: 0))
        }
        results.append(SendResult(tag: tag, result: min(answer, Int32(bytes.count))))
    }

    @unsafe mutating func sendBytes(_ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, tag: RequestTag) {
        let answer = script.answer(script.sends) ?? Int32(count)
        script.sends += 1
        if answer > 0 {
            let copy = unsafe Array(UnsafeRawBufferPointer(start: bytes, count: min(Int(answer), count)))
            script.sent.append(.init(slot: file.slot, bytes: copy, segment: 0, port: 0))
        }
        results.append(SendResult(tag: tag, result: min(answer, Int32(count))))
    }

    mutating func abort(_ file: KernelFile) { script.aborted.append(file.slot) }
    var canZeroCopy: Bool { script.canZeroCopy }
    @unsafe mutating func register(_ base: UnsafeMutableRawPointer, count: Int, index: Int) -> Bool { true }
    mutating func unregister(index: Int) {}

    @unsafe mutating func sendDatagramZeroCopy(
        _ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, host: HostAddress, port: UInt16, buffer: Int, tag: RequestTag
    ) {
        unsafe sendDatagram(file, bytes, count: count, host: host, port: port, tag: tag)
        unsafe hold(bytes, count, tag)
    }

    @unsafe mutating func sendBytesZeroCopy(_ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, buffer: Int, tag: RequestTag) {
        unsafe sendBytes(file, bytes, count: count, tag: tag)
        unsafe hold(bytes, count, tag)
    }

    @unsafe private func hold(_ bytes: UnsafeRawPointer, _ count: Int, _ tag: RequestTag) {
        script.held.append(tag)
        unsafe script.heldBytes.append((bytes, Array(UnsafeRawBufferPointer(start: bytes, count: count))))
    }

    /// Lets go of the n-th zero-copy send. Whether its bytes are still what they were when it was sent.
    mutating func letGo(_ place: Int, copied: Bool) -> Bool {
        let tag = script.held.remove(at: place)
        let (start, bytes) = unsafe script.heldBytes.remove(at: place)
        finish(tag, copied ? 1 : 0)
        return unsafe UnsafeRawBufferPointer(start: start, count: bytes.count).elementsEqual(bytes)
    }

    var sendBatchMax: Int { 4 }
    mutating func flush() {}
    mutating func nextSendResult() -> SendResult? { results.isEmpty ? nil : results.removeFirst() }
    mutating func wait(nanoseconds: Int64) {
        script.time += script.waitNanoseconds
        deliver()
        guard script.tellsWritable else { return }
        for tag in script.watched { finish(tag, 4) }
        script.watched.removeAll()
    }
    @unsafe mutating func nextEvent() -> KernelEvent? { unsafe events.isEmpty ? nil : events.removeFirst() }
    var outstanding: Int { 0 }
    var systemCalls: UInt64 { 0 }
    var overflows: UInt64 { 0 }

    /// Completes a request.
    mutating func finish(_ tag: RequestTag, _ result: Int32) {
        unsafe events.append(
            KernelEvent(tag: tag, result: result))
    }
}

/// A worker over a scripted kernel, one stream, one fed source; every step by hand.
struct ScriptedWorker: ~Copyable {
    let script = Script()
    var worker: Worker<ScriptedKernel>
    let commands = BoundedRing<Command>(capacity: 1_024)
    let reports = BoundedRing<Report>(capacity: 4_096)
    let memory: StreamMemory
    let stream = StreamHandle(index: 0, generation: 1)
    let source = SourceHandle(index: 0, generation: 1)
    private let wake: Int32

    init(
        sizing: StreamSizing = StreamSizing(bitRate: 0, windowMilliseconds: 0), delayMicroseconds: Int = 0,
        policy: StreamPolicy = ScriptedWorker.unpaced, zeroCopy: ZeroCopy = .off, codec: TrackCodec = .opaque,
        plans: [TrackPlan] = [], _ change: (inout Limits) -> Void = { _ in }
    ) throws {
        let plans = plans.isEmpty ? [TrackPlan(clockRate: 90_000, codec: codec, ssrc: 1)] : plans
        var limits = Limits()
        limits.subscribersMax = 64
        limits.sourcesMax = 8
        limits.streamsMax = 4
        limits.delayMicrosecondsMax = delayMicroseconds
        change(&limits)
        wake = unsafe open("/dev/null", O_WRONLY)
        script.canZeroCopy = zeroCopy != .off
        worker = try Worker(
            kernel: ScriptedKernel(script: script),
            parts: WorkerParts(
                index: 0, limits: limits, zeroCopy: zeroCopy, counters: EngineCounters(), commands: commands, reports: reports,
                commandWake: wake, reportWake: wake, board: WorkerBoard(workers: 1, streamsMax: limits.streamsMax)))
        memory = StreamMemory(sizing: sizing)
        run(
            .addDatagramEgress(0, worker: 0, rtp: 10, rtcp: 11), .addStream(stream, memory, trackCount: UInt8(plans.count)),
            .setPolicy(stream, policy), .addFedSource(source, stream, channels: ChannelMap(identity: 2 * plans.count)))
        for (track, plan) in plans.enumerated() { run(.setTrack(stream, track: UInt8(track), plan)) }
    }

    deinit {
        memory.free()
        close(wake)
    }

    mutating func run(_ list: Command...) {
        for command in list { _ = commands.push(command) }
        script.time += 1_000
        worker.turn()
    }

    mutating func feed(_ packets: [[UInt8]]) {
        run(.feed(source, LinkBuffer(packets.flatMap { framed(0, $0) })))
    }

    mutating func turn() { worker.turn() }

    /// What is fed in one go is sent in one go.
    static var unpaced: StreamPolicy {
        var policy = StreamPolicy()
        policy.pacing = .off
        return policy
    }

    /// Lets time pass, and turns.
    mutating func pass(milliseconds: UInt64) {
        script.time += milliseconds * 1_000_000
        worker.turn()
    }

    mutating func addDatagramReader(_ index: UInt32, now: Bool = true) -> SubscriberHandle {
        let handle = SubscriberHandle(index: index, generation: 1)
        var ports = PortMap()
        ports[0] = 5_000 + UInt16(index)
        run(
            .addDatagramSubscriber(handle, stream, host: HostAddress(ipv4: index << 8), ports: ports, sockets: 0), .arm(handle, now: now),
            .go(handle))
        return handle
    }

    mutating func addInterleavedReader(_ index: UInt32) -> SubscriberHandle {
        let handle = SubscriberHandle(index: index, generation: 1)
        run(
            .addInterleavedSubscriber(handle, stream, descriptor: 20, channels: ChannelMap(identity: 2)), .arm(handle, now: true),
            .go(handle))
        return handle
    }

    /// All reports so far; lent buffers are freed.
    func takeReports() -> [Report] {
        var list: [Report] = []
        while let report = reports.pop() {
            if case .bufferReturned(let buffer) = report { buffer.free() }
            list.append(report)
        }
        return list
    }

    /// What went to one port, train by train.
    func sent(to port: UInt16) -> [[UInt8]] { script.sent.filter { $0.port == port }.map(\.bytes) }
}

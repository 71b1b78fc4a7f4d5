import Glibc
import PlaneLink

@testable import FastPath

/// What a scripted kernel did and shall do; shared with the test, which runs on the same thread.
final class Script {
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
}

/// A kernel that does what a test's script says: no socket, no thread, no clock of its own.
@safe struct ScriptedKernel: Kernel, ~Copyable {
    let script: Script
    private var results: [SendResult] = []
    private var events: [KernelEvent] = unsafe []
    private var nextSlot: Int32 = 0

    init(script: Script) { self.script = script }

    mutating func start() -> Int32 { 0 }

    mutating func attach(descriptor: Int32) -> KernelFile? {
        nextSlot += 1
        script.attached.insert(nextSlot)
        return KernelFile(slot: nextSlot)
    }

    mutating func detach(_ file: KernelFile) { script.attached.remove(file.slot) }
    mutating func receiveDatagrams(_ file: KernelFile, tag: RequestTag) {}
    @unsafe mutating func receive(_ file: KernelFile, into bytes: UnsafeMutableRawPointer, count: Int, tag: RequestTag) {}
    mutating func receiveWake(_ file: KernelFile, tag: RequestTag) {}
    mutating func watchWritable(_ file: KernelFile, tag: RequestTag) { script.watched.append(tag) }

    mutating func cancel(_ file: KernelFile, tag: RequestTag) {
        script.cancelled += 1
        finish(tag, -ECANCELED)
    }

    mutating func recycle(_ buffer: Int32) {}

    mutating func setSegment(_ file: KernelFile, bytes: Int) -> Int32 {
        script.segments[file.slot] = bytes
        return 0
    }

    @unsafe mutating func sendDatagram(
        _ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, host: HostAddress, port: UInt16, tag: RequestTag
    ) {
        let answer = script.answer(script.sends)
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

    var sendBatchMax: Int { 4 }
    mutating func flush() {}
    mutating func nextSendResult() -> SendResult? { results.isEmpty ? nil : results.removeFirst() }
    mutating func wait(nanoseconds: Int64) {}
    @unsafe mutating func nextEvent() -> KernelEvent? { unsafe events.isEmpty ? nil : events.removeFirst() }
    var outstanding: Int { 0 }
    var systemCalls: UInt64 { 0 }
    var overflows: UInt64 { 0 }

    /// Completes a request.
    mutating func finish(_ tag: RequestTag, _ result: Int32) {
        unsafe events.append(
            KernelEvent(
                tag: tag, result: result, continues: false, payload: nil, payloadCount: 0, segmentBytes: 0, isCut: false,
                host: HostAddress(ipv4: 0), port: 0, buffer: -1))
    }
}

/// A worker over a scripted kernel, one stream, one fed source; every step by hand.
struct ScriptedWorker: ~Copyable {
    let script = Script()
    var worker: Worker<ScriptedKernel>
    let commands = BoundedRing<Command>(capacityMin: 1_024)
    let reports = BoundedRing<Report>(capacityMin: 4_096)
    let memory: StreamMemory
    let stream = StreamHandle(index: 0, generation: 1)
    let source = SourceHandle(index: 0, generation: 1)
    private let wake: Int32

    init(sizing: StreamSizing = StreamSizing(bitRate: 0, windowMilliseconds: 0), delayMicroseconds: Int = 0) throws {
        var limits = Limits()
        limits.subscribersMax = 64
        limits.sourcesMax = 8
        limits.streamsMax = 4
        limits.delayMicrosecondsMax = delayMicroseconds
        wake = unsafe open("/dev/null", O_WRONLY)
        worker = try Worker(
            kernel: ScriptedKernel(script: script), limits: limits, counters: EngineCounters(), commands: commands, reports: reports,
            commandWake: wake, reportWake: wake)
        memory = StreamMemory(sizing: sizing)
        run(
            .addDatagramEgress(0, rtp: 10, rtcp: 11), .addStream(stream, memory, trackCount: 1),
            .setTrack(stream, track: 0, TrackPlan(clockRate: 90_000, codec: .opaque, ssrc: 1)),
            .addFedSource(source, stream, channels: ChannelMap(identity: 2)))
    }

    deinit {
        memory.free()
        close(wake)
    }

    mutating func run(_ list: Command...) {
        for command in list { _ = commands.push(command) }
        worker.turn()
    }

    mutating func feed(_ packets: [[UInt8]]) {
        run(.feed(source, LinkBuffer(packets.flatMap { framed(0, $0) })))
    }

    mutating func turn() { worker.turn() }

    mutating func addDatagramReader(_ index: UInt32) -> SubscriberHandle {
        let handle = SubscriberHandle(index: index, generation: 1)
        var ports = PortMap()
        ports[0] = 5_000 + UInt16(index)
        run(
            .addDatagramSubscriber(handle, stream, host: HostAddress(ipv4: 1), ports: ports, sockets: 0), .arm(handle, now: true),
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

import Glibc
import PlaneLink
import Testing

@testable import FastPath

/// Sockets of a test, on 127.0.0.1.
final class TestSocket {
    let descriptor: Int32
    let port: UInt16

    /// A bound UDP socket with a large receive buffer.
    init(datagram: Void) {
        descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
        var bytes: Int32 = 4 << 20
        _ = unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, 4)
        port = Self.bindLoopback(descriptor)
    }

    init(descriptor: Int32, port: UInt16) {
        self.descriptor = descriptor
        self.port = port
    }

    deinit { close(descriptor) }

    private static func bindLoopback(_ descriptor: Int32) -> UInt16 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        unsafe withUnsafeMutablePointer(to: &address) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = unsafe bind(descriptor, $0, size)
                _ = unsafe getsockname(descriptor, $0, &size)
            }
        }
        return UInt16(bigEndian: address.sin_port)
    }

    /// Sends a datagram to a port on loopback.
    func send(_ bytes: [UInt8], to port: UInt16) {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        address.sin_port = port.bigEndian
        unsafe withUnsafePointer(to: &address) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = unsafe sendto(descriptor, bytes, bytes.count, 0, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    /// The next datagram or bytes, or nil when none came within `milliseconds`.
    func receive(milliseconds: Int32 = 2_000, room: Int = 65_536) -> [UInt8]? {
        var poller = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        // A signal of another test's child process may end a wait early.
        var ready = unsafe poll(&poller, 1, milliseconds)
        while ready < 0, errno == EINTR { ready = unsafe poll(&poller, 1, milliseconds) }
        guard ready > 0 else { return nil }
        var bytes = [UInt8](repeating: 0, count: room)
        let count = unsafe recv(descriptor, &bytes, room, 0)
        return count < 0 ? nil : Array(bytes[0..<count])
    }

    /// A connected pair of TCP sockets: ours and the engine's.
    static func connectedPair(sendBuffer: Int32? = nil, receiveBuffer: Int32? = nil) -> (TestSocket, TestSocket) {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(listener) }
        let port = bindLoopback(listener)
        listen(listener, 1)
        let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        if var receiveBuffer { _ = unsafe setsockopt(client, SOL_SOCKET, SO_RCVBUF, &receiveBuffer, 4) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        address.sin_port = port.bigEndian
        unsafe withUnsafePointer(to: &address) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = unsafe connect(client, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        let server = accept(listener, nil, nil)
        if var sendBuffer { _ = unsafe setsockopt(server, SOL_SOCKET, SO_SNDBUF, &sendBuffer, 4) }
        return (TestSocket(descriptor: client, port: 0), TestSocket(descriptor: server, port: 0))
    }
}

/// An RTP packet.
func rtp(
    sequence: UInt16, timestamp: UInt32, ssrc: UInt32 = 0xAAAA, marker: Bool = false, type: UInt8 = 96, payload: [UInt8]
) -> [UInt8] {
    [0x80, (marker ? 0x80 : 0) | type, UInt8(sequence >> 8), UInt8(sequence & 0xFF)] + big(timestamp) + big(ssrc) + payload
}

func big(_ value: UInt32) -> [UInt8] {
    [UInt8(value >> 24), UInt8(value >> 16 & 0xFF), UInt8(value >> 8 & 0xFF), UInt8(value & 0xFF)]
}

/// An interleaved frame.
func framed(_ channel: UInt8, _ packet: [UInt8]) -> [UInt8] {
    [0x24, channel, UInt8(packet.count >> 8), UInt8(packet.count & 0xFF)] + packet
}

func sequence(_ packet: [UInt8]) -> UInt16 { UInt16(packet[2]) << 8 | UInt16(packet[3]) }
func timestamp(_ packet: [UInt8]) -> UInt32 { packet[4..<8].reduce(0) { $0 << 8 | UInt32($1) } }
func ssrc(_ packet: [UInt8]) -> UInt32 { packet[8..<12].reduce(0) { $0 << 8 | UInt32($1) } }

/// H.264: the first slice of an IDR picture (first_mb_in_slice 0), and a slice of another picture, `count` bytes long.
func idr(_ count: Int = 100) -> [UInt8] { [0x65, 0x88] + [UInt8](repeating: 0x11, count: count - 2) }
func slice(_ count: Int = 100) -> [UInt8] { [0x41] + [UInt8](repeating: 0x22, count: count - 1) }

/// An engine's shape, as a test's argument.
struct EngineShape: CustomTestStringConvertible, Sendable {
    var backend: BackendName
    var workers = 1
    var zeroCopy = ZeroCopy.off

    var testDescription: String { "\(backend.rawValue), \(workers) workers, zero copy \(zeroCopy.rawValue)" }

    static let all = [
        EngineShape(backend: .ioUring), EngineShape(backend: .ioUring, workers: 3), EngineShape(backend: .ioUring, zeroCopy: .on),
        EngineShape(backend: .ioUring, workers: 2, zeroCopy: .on), EngineShape(backend: .epoll), EngineShape(backend: .epoll, workers: 3),
        EngineShape(backend: .plain), EngineShape(backend: .plain, workers: 2),
    ]
}

/// An engine under test, with reports collected and lent memory freed.
final class Bench {
    let engine: Engine
    private(set) var reports: [Report] = []
    private var memories: [StreamMemory] = []
    let egress = (TestSocket(datagram: ()), TestSocket(datagram: ()))
    let stream = StreamHandle(index: 0, generation: 1)
    let counters: StreamCounters
    private var kept: [TestSocket] = []

    /// Keeps a socket open until the engine has ended: it knows descriptors by number.
    func keep(_ sockets: TestSocket...) { kept += sockets }

    /// Frees a stream's memory when the engine has ended.
    func keep(_ memory: StreamMemory) { memories.append(memory) }

    convenience init(
        backend: BackendName?, codec: TrackCodec = .h264, tracks: Int = 1, limits: Limits = Limits(), sizing: StreamSizing? = nil,
        policy: StreamPolicy = Bench.withoutBurst, workers: Int = 1, zeroCopy: ZeroCopy = .off, isVerbatim: Bool = false
    ) throws {
        self.init(
            try Engine(options: EngineOptions(limits: limits, backend: backend, workers: workers, zeroCopy: zeroCopy)), codec: codec,
            tracks: tracks, sizing: sizing, policy: policy, workers: workers, isVerbatim: isVerbatim)
    }

    init(
        _ engine: Engine, codec: TrackCodec = .h264, tracks: Int = 1, sizing: StreamSizing? = nil,
        policy: StreamPolicy = Bench.withoutBurst, workers: Int = 1, isVerbatim: Bool = false
    ) {
        self.engine = engine
        let memory = StreamMemory(
            sizing: sizing ?? StreamSizing(bitRate: 8_000_000, windowMilliseconds: 1_000), workers: workers)
        memories.append(memory)
        counters = memory.counters
        for worker in 0..<workers {
            let pair = worker == 0 ? egress : (TestSocket(datagram: ()), TestSocket(datagram: ()))
            keep(pair.0, pair.1)
            submit(.addDatagramEgress(0, worker: UInt8(worker), rtp: pair.0.descriptor, rtcp: pair.1.descriptor))
        }
        if isVerbatim {
            submit(.addVerbatimStream(stream, memory))
            submit(.setPolicy(stream, policy))
            return
        }
        submit(.addStream(stream, memory, trackCount: UInt8(tracks)))
        submit(.setPolicy(stream, policy))
        submit(.setTrack(stream, track: 0, TrackPlan(clockRate: 90_000, codec: codec, ssrc: 0x5EED)))
        for track in 1..<max(tracks, 1) {
            submit(.setTrack(stream, track: UInt8(track), TrackPlan(clockRate: 48_000, codec: .opaque, ssrc: 0x5EED + UInt32(track))))
        }
    }

    convenience init(
        _ shape: EngineShape, codec: TrackCodec = .h264, tracks: Int = 1, limits: Limits = Limits(), sizing: StreamSizing? = nil,
        policy: StreamPolicy = Bench.withoutBurst, isVerbatim: Bool = false
    ) throws {
        try self.init(
            backend: shape.backend, codec: codec, tracks: tracks, limits: limits, sizing: sizing, policy: policy, workers: shape.workers,
            zeroCopy: shape.zeroCopy, isVerbatim: isVerbatim)
    }

    /// Newcomers wait for the next key frame.
    static var withoutBurst: StreamPolicy {
        var policy = StreamPolicy()
        policy.joinBurst = nil
        return policy
    }

    func submit(_ command: Command) {
        _ = engine.submit(command)
        engine.wake()
    }

    /// A fed source on slot 0.
    func addFed(tracks: Int = 1) -> SourceHandle {
        let handle = SourceHandle(index: 0, generation: 1)
        submit(.addFedSource(handle, stream, channels: ChannelMap(identity: 2 * tracks)))
        return handle
    }

    func feed(_ source: SourceHandle, _ frames: [UInt8]...) {
        submit(.feed(source, LinkBuffer(frames.flatMap(\.self))))
    }

    /// Adds an interleaved reader of all channels and starts it at the next packet, or at a key frame.
    func addInterleaved(_ index: UInt32, _ connection: TestSocket, now: Bool = true) -> SubscriberHandle {
        keep(connection)
        let handle = SubscriberHandle(index: index, generation: 1)
        submit(.addInterleavedSubscriber(handle, stream, descriptor: connection.descriptor, channels: ChannelMap(identity: 2)))
        submit(.arm(handle, now: now))
        return handle
    }

    /// Adds a UDP reader of track 0 and starts it at the next packet, or at a key frame.
    func addReader(_ index: UInt32, _ socket: TestSocket, rtcp: TestSocket? = nil, now: Bool = true) -> SubscriberHandle {
        let handle = SubscriberHandle(index: index, generation: 1)
        var ports = PortMap()
        ports[0] = socket.port
        if let rtcp { ports[1] = rtcp.port }
        submit(.addDatagramSubscriber(handle, stream, host: HostAddress(ipv4: 0x7F00_0001), ports: ports, sockets: 0))
        submit(.arm(handle, now: now))
        return handle
    }

    /// Waits for a report; nil after `milliseconds`.
    func wait(milliseconds: Int = 2_000, for matches: (Report) -> Bool) -> Report? {
        let deadline = monotonicNanoseconds() + UInt64(milliseconds) * 1_000_000
        var seen = 0
        while true {
            while let report = engine.takeReport() {
                if case .bufferReturned(let buffer) = report { buffer.free() }
                reports.append(report)
            }
            while seen < reports.count {
                if matches(reports[seen]) { return reports.remove(at: seen) }
                seen += 1
            }
            guard monotonicNanoseconds() < deadline else { return nil }
            var poller = pollfd(fd: engine.reportDescriptor, events: Int16(POLLIN), revents: 0)
            _ = unsafe poll(&poller, 1, 20)
            var value: UInt64 = 0
            _ = unsafe read(engine.reportDescriptor, &value, 8)
        }
    }

    /// Waits until the reader's first packet is known, then lets it have media.
    func join(_ handle: SubscriberHandle) -> JoinPoint? {
        guard case .joined(_, let point) = wait(for: { if case .joined(handle, _) = $0 { true } else { false } }) else { return nil }
        submit(.go(handle))
        return point
    }

    /// Waits until a counter reaches a value.
    func reaches(_ value: UInt64, milliseconds: Int = 2_000, _ read: () -> UInt64) -> Bool {
        let deadline = monotonicNanoseconds() + UInt64(milliseconds) * 1_000_000
        while read() < value {
            if monotonicNanoseconds() > deadline { return false }
            usleep(500)
        }
        return true
    }

    /// Ends the engine. How many things did not come home, or nil when it did not end.
    func stop() -> UInt32? {
        submit(.shutdown)
        guard case .stopped(let leaks) = wait(milliseconds: 6_000, for: { if case .stopped = $0 { true } else { false } }) else {
            return nil
        }
        memories.forEach { $0.free() }
        return leaks
    }
}

import Glibc
import PlaneLink
import Testing

@testable import FastPath

/// What an event is about.
enum Subject: Hashable {
    case stream(StreamHandle)
    case source(SourceHandle)
    case reader(SubscriberHandle)
    case sender(SenderID)
}

extension SplitterEvent {
    /// What it is about, and whether it is its end.
    var subject: (subject: Subject, isEnd: Bool)? {
        switch self {
        case .readerJoined(let handle, _), .readerFailed(let handle, _), .readerLagged(let handle, _, _): (.reader(handle), false)
        case .readerRemoved(let handle): (.reader(handle), true)
        case .sourceActive(let handle), .sourceText(let handle, _), .sourceEnded(let handle, _): (.source(handle), false)
        case .sourceRemoved(let handle): (.source(handle), true)
        case .senderReport(let handle, _, _, _, _), .sourceBye(let handle, _): (.stream(handle), false)
        case .streamRemoved(let handle): (.stream(handle), true)
        case .senderRemoved(let sender): (.sender(sender), true)
        case .refused, .stopped: nil
        }
    }
}

/// Holds every event against what there is: each end comes once, nothing comes after it, and nothing of what never was.
struct EventLedger {
    private(set) var alive: Set<Subject> = []
    private(set) var ended: Set<Subject> = []
    private(set) var faults: [String] = []
    private(set) var leaks: UInt32?
    private var streams: [Subject: StreamHandle] = [:]

    mutating func made(_ subject: Subject, of stream: StreamHandle? = nil) {
        if alive.contains(subject) || ended.contains(subject) { faults.append("\(subject) was given out twice") }
        alive.insert(subject)
        if let stream { streams[subject] = stream }
    }

    mutating func heard(_ event: SplitterEvent) {
        if leaks != nil { faults.append("\(event) after the end") }
        if case .stopped(let count) = event { leaks = count }
        guard let (subject, isEnd) = event.subject else { return }
        guard alive.contains(subject) else {
            faults.append("\(event) of something that \(ended.contains(subject) ? "has ended" : "never was")")
            return
        }
        guard isEnd else { return }
        alive.remove(subject)
        ended.insert(subject)
        if case .stream(let stream) = subject, alive.contains(where: { streams[$0] == stream }) {
            faults.append("\(event) before the ends of its members")
        }
    }
}

/// A splitter under test, with its events taken and held against the ledger.
final class SplitterBench {
    let splitter: Splitter
    private(set) var events: [SplitterEvent] = []
    private(set) var ledger = EventLedger()
    private var kept: [TestSocket] = []

    init(backend: BackendName? = nil, workers: Int = 1, limits: Limits = Limits()) throws {
        splitter = try Splitter(options: EngineOptions(limits: limits, backend: backend, workers: workers))
    }

    init(splitter: Splitter) { self.splitter = splitter }

    /// Keeps sockets open as long as the bench.
    func keep(_ sockets: TestSocket...) { kept += sockets }

    // MARK: Making things

    static let video = TrackPlan(clockRate: 90_000, codec: .h264, ssrc: 0x5EED)
    static let audio = TrackPlan(clockRate: 48_000, codec: .opaque, ssrc: 0x5EEE)

    static var withoutBurst: StreamPolicy {
        var policy = StreamPolicy()
        policy.joinBurst = nil
        return policy
    }

    func addStream(_ configuration: StreamConfiguration = .init(tracks: [video], policy: withoutBurst)) throws -> StreamHandle {
        let stream = try splitter.addStream(configuration)
        ledger.made(.stream(stream))
        return stream
    }

    func made(_ stream: StreamHandle) { ledger.made(.stream(stream)) }

    func added(_ source: SourceHandle, _ stream: StreamHandle? = nil) -> SourceHandle {
        ledger.made(.source(source), of: stream)
        return source
    }

    func added(_ reader: SubscriberHandle, _ stream: StreamHandle? = nil) -> SubscriberHandle {
        ledger.made(.reader(reader), of: stream)
        return reader
    }

    func added(_ sender: SenderID) -> SenderID {
        ledger.made(.sender(sender))
        return sender
    }

    func addPushed(_ stream: StreamHandle) throws -> SourceHandle { added(try splitter.addPushedSource(stream), stream) }

    /// A UDP reader of channel 0, from the next packet on.
    func addReader(
        _ stream: StreamHandle, _ sender: SenderID, _ socket: TestSocket, begin: Beginning = .now, waits: Bool = false
    ) throws -> SubscriberHandle {
        var ports = PortMap()
        ports[0] = socket.port
        return added(
            try splitter.addDatagramReader(
                stream, host: HostAddress(ipv4: 0x7F00_0001), ports: ports, sender: sender, begin: begin, waits: waits), stream)
    }

    /// A TCP reader of all channels.
    func addInterleaved(
        _ stream: StreamHandle, _ connection: TestSocket, begin: Beginning = .now, waits: Bool = false, overload: OverloadPolicy? = nil
    ) throws -> SubscriberHandle {
        keep(connection)
        return added(
            try splitter.addInterleavedReader(
                stream, descriptor: connection.descriptor, channels: ChannelMap(identity: 16), begin: begin, waits: waits,
                overload: overload), stream)
    }

    // MARK: Events

    /// Takes all events that wait.
    func drain() {
        while let event = splitter.nextEvent() {
            ledger.heard(event)
            events.append(event)
        }
    }

    /// Waits for an event; nil after `milliseconds`. What it is taken for is not there for the next call.
    func wait<T>(milliseconds: Int = 3_000, for match: (SplitterEvent) -> T?) -> T? {
        let deadline = monotonicNanoseconds() + UInt64(milliseconds) * 1_000_000
        while true {
            drain()
            for (place, event) in events.enumerated() {
                if let value = match(event) {
                    events.remove(at: place)
                    return value
                }
            }
            guard monotonicNanoseconds() < deadline else { return nil }
            var poller = pollfd(fd: splitter.eventDescriptor, events: Int16(POLLIN), revents: 0)
            _ = unsafe poll(&poller, 1, 20)
        }
    }

    func joined(_ reader: SubscriberHandle) -> JoinPoint? {
        wait { if case .readerJoined(reader, let point) = $0 { point } else { nil } }
    }

    func removed(_ reader: SubscriberHandle) -> Bool { wait { if case .readerRemoved(reader) = $0 { true } else { nil } } ?? false }
    func removed(_ source: SourceHandle) -> Bool { wait { if case .sourceRemoved(source) = $0 { true } else { nil } } ?? false }
    func removed(_ stream: StreamHandle) -> Bool { wait { if case .streamRemoved(stream) = $0 { true } else { nil } } ?? false }
    func removed(_ sender: SenderID) -> Bool { wait { if case .senderRemoved(sender) = $0 { true } else { nil } } ?? false }
    func active(_ source: SourceHandle) -> Bool { wait { if case .sourceActive(source) = $0 { true } else { nil } } ?? false }

    /// The error number that a source's connection ended with; nil when it did not end.
    func ended(_ source: SourceHandle) -> Int32? {
        wait { event -> Int32? in if case .sourceEnded(source, let number) = event { number } else { nil } }
    }

    /// Waits until something is so.
    func reaches(milliseconds: Int = 3_000, _ condition: () -> Bool) -> Bool {
        let deadline = monotonicNanoseconds() + UInt64(milliseconds) * 1_000_000
        while !condition() {
            drain()
            if monotonicNanoseconds() > deadline { return false }
            usleep(500)
        }
        return true
    }

    /// Ends the splitter. Nil when it did not end, or when an event was amiss; else what did not come home.
    func stop() -> UInt32? {
        splitter.shutdown()
        let leaks = wait(milliseconds: 7_000) { if case .stopped(let leaks) = $0 { leaks } else { nil } }
        #expect(ledger.faults.isEmpty)
        #expect(ledger.alive.isEmpty, "these have not ended: \(ledger.alive)")
        #expect(splitter.nextEvent() == nil)
        return leaks
    }
}

/// RTP of one frame a packet, numbered.
func numbered(_ number: Int, marker: Bool = true, bytes: Int = 200) -> [UInt8] {
    rtp(
        sequence: UInt16(truncatingIfNeeded: number), timestamp: UInt32(truncatingIfNeeded: number * 3_000), marker: marker,
        payload: [0x41] + [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: bytes))
}

/// A stream socket's bytes, cut into frames and what lies between.
final class FrameReader {
    private let socket: TestSocket
    private var bytes: [UInt8] = []
    /// What came between frames so far.
    private(set) var text = ""

    init(_ socket: TestSocket) { self.socket = socket }

    /// The next frame, or nil.
    func next(milliseconds: Int32 = 3_000) -> (channel: UInt8, packet: [UInt8])? {
        while true {
            let words = bytes.prefix { $0 != 0x24 }
            text += String(decoding: words, as: UTF8.self)
            bytes.removeFirst(words.count)
            if bytes.count >= 4 {
                let length = Int(bytes[2]) << 8 | Int(bytes[3])
                if bytes.count >= 4 + length {
                    let frame = (channel: bytes[1], packet: Array(bytes[4..<4 + length]))
                    bytes.removeFirst(4 + length)
                    return frame
                }
            }
            guard let more = socket.receive(milliseconds: milliseconds), !more.isEmpty else { return nil }
            bytes += more
        }
    }

    /// Whether so many bytes of text came; waits for them.
    func hasText(_ count: Int) -> Bool {
        while text.utf8.count < count {
            guard let more = socket.receive(), !more.isEmpty else { return false }
            bytes += more
            let words = bytes.prefix { $0 != 0x24 }
            text += String(decoding: words, as: UTF8.self)
            bytes.removeFirst(words.count)
        }
        return true
    }
}

extension TestSocket {
    /// The next datagram and the port that it came from.
    func receiveFrom(milliseconds: Int32 = 3_000) -> (bytes: [UInt8], port: UInt16)? {
        var poller = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard unsafe poll(&poller, 1, milliseconds) > 0 else { return nil }
        var bytes = [UInt8](repeating: 0, count: 65_536)
        var address = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let count = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe recvfrom(descriptor, &bytes, bytes.count, 0, $0, &size)
            }
        }
        guard count >= 0 else { return nil }
        return (Array(bytes[..<count]), UInt16(bigEndian: address.sin_port))
    }
}

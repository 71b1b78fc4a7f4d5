import Glibc
import PlaneLink

@testable import FastPath

/// Random calls on a splitter over real sockets, and what must come of them. The same seed makes the same calls; the engine's threads
/// and the kernel answer as they like.
final class SplitterSpin {
    private var random: SpinRandom
    private let splitter: Splitter
    private(set) var ledger = EventLedger()
    private(set) var faults: [String] = []
    private var streams: [StreamHandle] = []
    private var sources: [SourceHandle] = []
    private var readers: [SubscriberHandle] = []
    private var senders: [SenderID] = []
    /// What calls must be refused with, because a removal was asked for, or because it has ended.
    private var goneStreams: Set<StreamHandle> = []
    private var gone: Set<Subject> = []
    private var streamOf: [Subject: StreamHandle] = [:]
    private var texts: [SourceHandle: Int] = [:]
    /// Our ends of what the splitter was lent, until it gives it back; and the other ends.
    private var lent: [Subject: TestSocket] = [:]
    private var peers: [TestSocket] = []
    private var idle: [TestSocket] = []
    private var sequence: UInt16 = 0
    private var step = 0

    /// A splitter of small limits, so that they are met.
    init(seed: UInt64) throws {
        random = SpinRandom(state: seed)
        var limits = Limits()
        limits.streamsMax = 4
        limits.sourcesMax = 10
        limits.subscribersMax = 16
        limits.queuedSendsMax = 3
        limits.packetLogBytesMax = 8 << 20
        limits.datagramBuffers = 16
        limits.delayMicrosecondsMax = random.pick([0, 2_000, 20_000])
        limits.writeStallNanoseconds = random.pick([50_000_000, 10_000_000_000])
        splitter = try Splitter(
            options: EngineOptions(
                limits: limits, backend: random.pick(BackendName.allCases), workers: random.pick([1, 1, 2, 3]),
                zeroCopy: random.pick(ZeroCopy.allCases)))
    }

    /// Runs so many steps and the end; what went wrong, or nothing.
    func run(steps: Int) -> [String] {
        while step < steps {
            act()
            if random.chance(4) { takeEvents(atMost: random.below(40)) }
            step += 1
        }
        finish()
        return faults + ledger.faults
    }

    // MARK: One step

    private func act() {
        switch random.below(30) {
        case 0: addStream()
        case 1: if random.chance(4) { removeStream() }
        case 2: attempt("beginEpoch", stream: random.any(streams)) { stream throws(SplitterError) in try self.splitter.beginEpoch(stream) }
        case 3, 4: addSource()
        case 5: if random.chance(2) { removeSource() }
        case 6, 7, 8, 9: push()
        case 10, 11: feedSockets()
        case 12: answerText()
        case 13: addSender()
        case 14: if random.chance(3) { removeSender() }
        case 15, 16, 17: addReader()
        case 18: if random.chance(2) { removeReader() }
        case 19: reader("start") { reader throws(SplitterError) in try self.splitter.start(reader) }
        case 20: reader("pause") { reader throws(SplitterError) in try self.splitter.pause(reader) }
        case 21:
            let begin = random.pick(Beginning.allCases)
            reader("resume") { reader throws(SplitterError) in try self.splitter.resume(reader, begin: begin) }
        case 22:
            let overload = randomOverload()
            reader("setOverload") { reader throws(SplitterError) in try self.splitter.setOverload(reader, overload) }
        case 23, 24:
            let bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: step), count: random.pick([0, 1, 20, 5_000, 300_000]))
            reader("send") { reader throws(SplitterError) in try self.splitter.send(reader, bytes) }
        case 25: peersMove()
        case 26: splitter.flush()
        case 27: nonsense()
        case 28: usleep(UInt32(random.below(2_000)))
        default: takeEvents(atMost: 200)
        }
    }

    // MARK: Expectations

    /// Makes a call, and holds its error against whether its subject may be used.
    private func attempt(_ name: String, _ subject: Subject, _ call: () throws(SplitterError) -> Void) {
        let isGone = gone.contains(subject) || streamOf[subject].map(goneStreams.contains) ?? false
        do throws(SplitterError) {
            try call()
            if isGone { fault("\(name) of \(subject) was taken") }
        } catch {
            if case .stale = error {
                if !isGone { fault("\(name): \(subject) is called stale") }
            } else if isGone {
                fault("\(name) of \(subject), which is gone: \(error)")
            }
        }
    }

    private func attempt(_ name: String, stream: StreamHandle?, _ call: (StreamHandle) throws(SplitterError) -> Void) {
        guard let stream else { return }
        attempt(name, .stream(stream)) { () throws(SplitterError) in try call(stream) }
    }

    private func reader(_ name: String, _ call: (SubscriberHandle) throws(SplitterError) -> Void) {
        guard let reader = random.any(readers) else { return }
        attempt(name, .reader(reader)) { () throws(SplitterError) in try call(reader) }
    }

    private func fault(_ words: String) { faults.append("step \(step): \(words)") }

    private func isGone(_ stream: StreamHandle) -> Bool { goneStreams.contains(stream) }

    private func made(_ subject: Subject, of stream: StreamHandle, lent socket: TestSocket? = nil) {
        ledger.made(subject, of: stream)
        streamOf[subject] = stream
        if isGone(stream) { fault("\(subject) was made of a stream that is gone") }
        if let socket { lent[subject] = socket }
    }

    // MARK: Streams

    private func addStream() {
        var policy = StreamPolicy()
        policy.pacing = random.pick([.off, .adaptive, .fixed(bitsPerSecond: 5_000_000)])
        if random.chance(2) { policy.joinBurst = nil }
        policy.overload = randomOverload()
        policy.lagNanosecondsMax = random.pick([0, 1, 100_000_000, .max])
        policy.lagBytesMax = random.pick([0, 1, 200_000, .max])
        let codec = random.pick([TrackCodec.h264, .opaque])
        let tracks = (0..<random.pick([0, 1, 1, 2, 8, 9])).map { TrackPlan(clockRate: 90_000, codec: codec, ssrc: UInt32($0) + 1) }
        let configuration = StreamConfiguration(
            tracks: tracks, bitRate: random.pick([nil, 1, 8_000_000, 1_000_000_000, 0]), windowMilliseconds: random.pick([nil, 500, -1]),
            policy: policy)
        guard let stream = try? splitter.addStream(configuration) else { return }
        ledger.made(.stream(stream))
        streams.append(stream)
    }

    private func randomOverload() -> OverloadPolicy {
        random.pick([.skipToKeyFrame, .dropOldest, .disconnect(afterNanoseconds: 20_000_000), .disconnect(afterNanoseconds: .max)])
    }

    private func removeStream() {
        guard let stream = random.any(streams) else { return }
        attempt("removeStream", .stream(stream)) { () throws(SplitterError) in
            try splitter.removeStream(stream)
        }
        goneStreams.insert(stream)
        gone.insert(.stream(stream))
    }

    // MARK: Sources

    private func addSource() {
        guard let stream = random.any(streams) else { return }
        let channel = random.pick([0, 0, 1, 2, -1, 16])
        switch random.below(5) {
        case 0:
            let socket = TestSocket(datagram: ())
            let peer = random.pick([HostAddress.any, HostAddress(ipv4: 0x7F00_0001), HostAddress(ipv4: 1)])
            guard let source = try? splitter.addDatagramSource(stream, descriptor: socket.descriptor, channel: channel, peer: peer) else {
                return
            }
            made(.source(source), of: stream, lent: socket)
            sources.append(source)
        case 1:
            guard let source = try? splitter.openDatagramSource(stream, port: 0, channel: channel) else { return }
            made(.source(source), of: stream)
            sources.append(source)
        case 2:
            let group = MulticastGroup(address: HostAddress(ipv4: 0xEFFF_4D10), port: 27_600, interface: "lo")
            guard let source = try? splitter.addMulticastSource(stream, group: group, channel: channel) else { return }
            made(.source(source), of: stream)
            sources.append(source)
        case 3:
            let (peer, ours) = TestSocket.connectedPair()
            let prefix = random.pick([[], [0x24], Array("text".utf8), framed(0, numbered(step))])
            guard
                let source = try? splitter.addInterleavedSource(
                    stream, descriptor: ours.descriptor, channels: ChannelMap(identity: random.below(17)), prefix: prefix)
            else { return }
            made(.source(source), of: stream, lent: ours)
            sources.append(source)
            peers.append(peer)
        default:
            guard let source = try? splitter.addPushedSource(stream) else { return }
            made(.source(source), of: stream)
            sources.append(source)
        }
    }

    private func removeSource() {
        guard let source = random.any(sources) else { return }
        attempt("removeSource", .source(source)) { () throws(SplitterError) in try splitter.removeSource(source) }
        gone.insert(.source(source))
    }

    private func packet() -> [UInt8] {
        sequence &+= 1
        switch random.below(12) {
        case 0: return []
        case 1: return [UInt8](repeating: 0x80, count: random.pick([1, 11, 12, 65_507, 65_535, 65_536]))
        case 2: return (0..<random.below(60)).map { _ in UInt8(random.below(256)) }
        case 3: return [0x80, 0xC8, 0, 6] + big(0xAAAA) + big(1) + big(2) + big(3) + big(4) + big(5)
        case 4, 5:
            return rtp(sequence: sequence, timestamp: UInt32(sequence) &* 3_000, marker: true, payload: idr(random.pick([100, 1_400])))
        default:
            return rtp(sequence: sequence, timestamp: UInt32(sequence) &* 3_000, marker: true, payload: slice(random.pick([50, 1_200])))
        }
    }

    private func push() {
        guard let source = random.any(sources) else { return }
        for _ in 0..<random.pick([1, 5, 40]) {
            let packet = packet()
            attempt("push", .source(source)) { () throws(SplitterError) in
                try splitter.push(source, channel: random.pick([0, 0, 0, 1, 2, 15, -1]), packet)
            }
        }
    }

    /// Sends to sockets that are sources.
    private func feedSockets() {
        let sender = TestSocket(datagram: ())
        for source in sources.suffix(6) {
            if let port = splitter.port(of: source) {
                for _ in 0..<random.below(8) { sender.send(packet(), to: port) }
            }
        }
        if let peer = random.any(peers) {
            let bytes = random.pick([
                framed(0, numbered(step)), framed(3, packet().suffix(60_000)), Array("OPTIONS * ".utf8), [0x24], [0x24, 0, 0, 40],
            ])
            _ = unsafe Glibc.send(peer.descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
        }
    }

    private func answerText() {
        guard let source = random.any(sources.filter { texts[$0] != nil }), let count = texts[source] else { return }
        let consumed = random.pick([0, 1, count, count + 1, -1])
        attempt("resume", .source(source)) { () throws(SplitterError) in
            try splitter.resume(source, consumed: consumed)
            texts[source] = nil
        }
    }

    // MARK: Senders and readers

    private func addSender() {
        let socket = TestSocket(datagram: ())
        let sender: SenderID?
        switch random.below(3) {
        case 0: sender = try? splitter.openDatagramSender(rtpPort: random.pick([0, 0, 1]))
        case 1: sender = try? splitter.addMulticastSender(interface: "lo", timeToLive: 1)
        default:
            sender = try? splitter.addDatagramSender(rtp: socket.descriptor, rtcp: socket.descriptor)
            if let sender { lent[.sender(sender)] = socket }
        }
        guard let sender else { return }
        ledger.made(.sender(sender))
        senders.append(sender)
    }

    private func removeSender() {
        guard let sender = random.any(senders) else { return }
        attempt("removeSender", .sender(sender)) { () throws(SplitterError) in try splitter.removeSender(sender) }
        gone.insert(.sender(sender))
    }

    private func addReader() {
        guard let stream = random.any(streams) else { return }
        let begin = random.pick(Beginning.allCases), waits = random.chance(3), overload = random.chance(3) ? randomOverload() : nil
        if random.chance(2), let sender = random.any(senders) {
            let socket = TestSocket(datagram: ())
            var ports = PortMap()
            for channel in 0..<random.below(4) { ports[channel] = random.pick([0, socket.port]) }
            let host = random.pick([HostAddress(ipv4: 0x7F00_0001), HostAddress(ipv4: 0xEFFF_4D10), .any, HostAddress(high: 0, low: 1)])
            guard
                let reader = try? splitter.addDatagramReader(
                    stream, host: host, ports: ports, sender: sender, begin: begin, waits: waits, overload: overload)
            else { return }
            if gone.contains(.sender(sender)) { fault("a reader was added to a sender that is gone") }
            made(.reader(reader), of: stream)
            readers.append(reader)
            idle.append(socket)
        } else {
            let (peer, ours) =
                random.chance(3) ? TestSocket.connectedPair(sendBuffer: 4_096, receiveBuffer: 4_096) : TestSocket.connectedPair()
            guard
                let reader = try? splitter.addInterleavedReader(
                    stream, descriptor: ours.descriptor, channels: ChannelMap(identity: random.below(5)), begin: begin, waits: waits,
                    overload: overload)
            else { return }
            made(.reader(reader), of: stream, lent: ours)
            readers.append(reader)
            peers.append(peer)
        }
    }

    private func removeReader() {
        guard let reader = random.any(readers) else { return }
        attempt("removeReader", .reader(reader)) { () throws(SplitterError) in try splitter.removeReader(reader) }
        gone.insert(.reader(reader))
    }

    /// Other ends read, or go away.
    private func peersMove() {
        var bytes = [UInt8](repeating: 0, count: 65_536)
        for peer in peers where random.chance(2) {
            _ = unsafe recv(peer.descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
        }
        if !peers.isEmpty, random.chance(3) { peers.remove(at: random.below(peers.count)) }
        if idle.count > 20 { idle.removeFirst(10) }
    }

    /// Handles that never were.
    private func nonsense() {
        let index: UInt32 = random.pick([0, 3, .max])
        let generation: UInt32 = random.pick([0, 1, .max])
        attempt("nonsense", .reader(.init(index: index, generation: generation)), isNonsense: true) { () throws(SplitterError) in
            try splitter.removeReader(.init(index: index, generation: generation))
        }
        attempt("nonsense", .source(.init(index: index, generation: generation)), isNonsense: true) { () throws(SplitterError) in
            try splitter.removeSource(.init(index: index, generation: generation))
        }
        attempt("nonsense", .stream(.init(index: index, generation: generation)), isNonsense: true) { () throws(SplitterError) in
            try splitter.removeStream(.init(index: index, generation: generation))
        }
    }

    private func attempt(_ name: String, _ subject: Subject, isNonsense: Bool, _ call: () throws(SplitterError) -> Void) {
        guard !ledger.alive.contains(subject) else { return }
        do throws(SplitterError) {
            try call()
            fault("\(name): \(subject) was taken")
        } catch {
            if case .stale = error { return }
            fault("\(name): \(subject): \(error)")
        }
    }

    // MARK: Events

    private func takeEvents(atMost count: Int) {
        for _ in 0..<count {
            guard let event = splitter.nextEvent() else { return }
            heard(event)
        }
    }

    private func heard(_ event: SplitterEvent) {
        ledger.heard(event)
        if case .sourceText(let source, let text) = event { texts[source] = text.count }
        guard let (subject, isEnd) = event.subject, isEnd else { return }
        gone.insert(subject)
        switch subject {
        case .stream(let stream):
            goneStreams.insert(stream)
            streams.removeAll { $0 == stream && random.chance(2) }
        case .source(let source):
            texts[source] = nil
            sources.removeAll { $0 == source && random.chance(2) }
        case .reader(let reader): readers.removeAll { $0 == reader && random.chance(2) }
        case .sender(let sender): senders.removeAll { $0 == sender && random.chance(2) }
        }
        if let socket = lent.removeValue(forKey: subject), fcntl(socket.descriptor, F_GETFD) < 0 {
            fault("the descriptor of \(subject) was closed")
        }
    }

    private func finish() {
        splitter.shutdown()
        let deadline = monotonicNanoseconds() + 8_000_000_000
        while ledger.leaks == nil, monotonicNanoseconds() < deadline {
            var poller = pollfd(fd: splitter.eventDescriptor, events: Int16(POLLIN), revents: 0)
            _ = unsafe poll(&poller, 1, 100)
            takeEvents(atMost: .max)
        }
        if ledger.leaks != 0 { fault("leaks: \(String(describing: ledger.leaks)), backend \(splitter.backend.name)") }
        if !ledger.alive.isEmpty { fault("these have not ended: \(ledger.alive)") }
        if splitter.packetLogBytesInUse != 0 { fault("\(splitter.packetLogBytesInUse) bytes of packet logs are out") }
        if !splitter.loans.isEmpty { fault("\(splitter.loans.count) buffers are out") }
    }
}

/// A small generator of random numbers (SplitMix64).
struct SpinRandom: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }

    mutating func below(_ bound: Int) -> Int { bound <= 0 ? 0 : Int(next() % UInt64(bound)) }
    mutating func chance(_ oneIn: Int) -> Bool { below(oneIn) == 0 }
    mutating func pick<T>(_ values: [T]) -> T { values[below(values.count)] }
    mutating func any<T>(_ values: [T]) -> T? { values.isEmpty ? nil : values[below(values.count)] }
}

import CBareLoops
import CSinks
import Glibc

/// Where both sides of `bench fanout` send to, and what they send from.
final class FanoutSinks {
    enum Target {
        case datagrams(DatagramSinks)
        case connections(StreamSinks)
        /// All subscribers are one address of somebody else's.
        case elsewhere(Endpoint)
    }

    let target: Target
    /// The engine's sockets, UDP: a pair for each worker.
    private(set) var enginePairs: [DatagramPair] = []
    /// The bare loop's, of the same make.
    private var bareSocket: DatagramSocket?
    private let addresses: (bytes: [UInt8], each: Int)
    private let connections: [Int32]
    private let packetReader = PacketReader()
    private let readMemory = ReadMemory()
    private var samples: [ReaderConnection] = []

    init(_ options: FanoutOptions, sampled: Int, workers: Int) throws(WorkbenchError) {
        if options.transport == .tcp {
            let sinks = try StreamSinks(count: options.subscribers, sampled: sampled)
            target = .connections(sinks)
            addresses = ([], 0)
            connections = sinks.senders
            for sample in sinks.samples { samples.append(try ReaderConnection(adopting: sample)) }
            return
        }
        connections = []
        let home: Endpoint
        if let destination = options.destination {
            let there = try FanoutOptions.endpoint(destination)
            target = .elsewhere(there)
            home = try Endpoint(host: there.isIPv4 ? "0.0.0.0" : "::", port: 0)
            addresses = ((0..<options.subscribers).flatMap { _ in there.bytes }, there.bytes.count)
        } else {
            let sample = EvenSample(max: sampled, of: options.subscribers)
            let sinks = try DatagramSinks(count: options.subscribers, sample: sample, receiveGRO: options.receiveGRO)
            target = .datagrams(sinks)
            home = try Endpoint(host: "127.0.0.1", port: 0)
            addresses = try sinks.addresses()
        }
        for _ in 0..<workers {
            let rtp = try DatagramSocket(at: home, sendBytes: Self.sendBytes)
            enginePairs.append(DatagramPair(rtp: rtp, rtcp: try DatagramSocket(at: home)))
        }
        bareSocket = try DatagramSocket(at: home, sendBytes: Self.sendBytes)
    }

    private static let sendBytes = 4 << 20

    /// How packets are counted; nil when they go elsewhere.
    var kind: SinkKind? {
        switch target {
        case .datagrams(let sinks): sinks.kind
        case .connections: .trunc
        case .elsewhere: nil
        }
    }

    /// Packets that the sinks saw so far; nil for TCP, which loses nothing, and where the sinks cannot count.
    var arrived: UInt64? {
        if case .datagrams(let sinks) = target { return sinks.total?.packets }
        return nil
    }

    /// As ``arrived``, but waits a moment for packets that were handed to the other core and are not there yet.
    func settledArrivals(expecting expected: UInt64) -> UInt64? {
        for _ in 0..<100 {
            guard let now = arrived else { return nil }
            if now >= expected { return now }
            csinks_sleep_ns(1_000_000)
        }
        return arrived
    }

    /// Another sender comes: its sequence numbers and its packets have nothing to do with the last one's.
    func expectNewSequence() {
        if case .datagrams(let sinks) = target { sinks.expectNewSequence() }
    }

    /// Milliseconds from first to last subscriber, of packets since the last call; empty when the sinks cannot tell.
    func takeSpread() -> [Double] {
        guard case .datagrams(let sinks) = target else { return [] }
        return sinks.takeSpread().map(\.milliseconds)
    }

    /// Runs the bare loop.
    func bare(_ frame: inout bare_frame, gather: Bool, bounds: bare_bounds) throws(WorkbenchError) -> bare_result {
        let result: bare_result
        switch target {
        case .datagrams, .elsewhere:
            let count = UInt32(addresses.bytes.count / max(addresses.each, 1))
            result = unsafe addresses.bytes.withUnsafeBytes { bytes in
                unsafe bare_fanout_udp(
                    bareSocket?.number ?? -1, bytes.baseAddress, UInt32(addresses.each), count, &frame, gather, bounds)
            }
        case .connections:
            result = unsafe connections.withUnsafeBufferPointer { list in
                unsafe bare_fanout_tcp(list.baseAddress, UInt32(list.count), &frame, bounds)
            }
        }
        guard result.error == 0 else { throw WorkbenchError("the bare loop stopped: \(errorText(-result.error))") }
        return result
    }

    /// Hands over what came to a sampled sink.
    func readSample(_ index: Int, _ body: (ArrivedPacket) -> Void) {
        switch target {
        case .elsewhere: break
        case .datagrams(let sinks): packetReader.read(sinks.descriptor(sinks.sample.indices[index])) { packet, _ in body(packet) }
        case .connections:
            // A sample that breaks shows as a stop of its packets; the engine's own report says why.
            _ = try? samples[index].read(with: readMemory) { _, bytes, arrival in
                if let packet = ArrivedPacket(bytes, arrivalNanoseconds: arrival) { body(packet) }
            }
        }
    }
}

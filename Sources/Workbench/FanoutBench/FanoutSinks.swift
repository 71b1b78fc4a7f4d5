import CBareLoops
import CSinks
import Glibc

/// Where both sides of `bench fanout` send to, and what they send from.
final class FanoutSinks {
    enum Target {
        case datagrams(DatagramSinks)
        case connections(StreamSinks)
    }

    let target: Target
    /// The engine's RTP and RTCP sockets, UDP.
    let engineSocket: Int32
    let engineControlSocket: Int32
    private let sockets: [DatagramSocket]
    private let bareSocket: Int32
    private let addresses: (bytes: [UInt8], each: Int)
    private let connections: [Int32]
    private let packetReader = PacketReader()
    private let readMemory = ReadMemory()
    private var samples: [ReaderConnection] = []

    init(_ options: FanoutOptions, sampled: Int) throws(WorkbenchError) {
        switch options.transport {
        case .udp:
            let sample = EvenSample(max: sampled, of: options.subscribers)
            let sinks = try DatagramSinks(count: options.subscribers, sample: sample, receiveGRO: options.receiveGRO)
            target = .datagrams(sinks)
            addresses = try sinks.addresses()
            connections = []
            // Both sides send from sockets of the same make.
            let home = try Endpoint(host: "127.0.0.1", port: 0)
            sockets = [
                try DatagramSocket(at: home, sendBytes: 4 << 20), try DatagramSocket(at: home),
                try DatagramSocket(at: home, sendBytes: 4 << 20),
            ]
        case .tcp:
            let sinks = try StreamSinks(count: options.subscribers, sampled: sampled)
            target = .connections(sinks)
            addresses = ([], 0)
            connections = sinks.senders
            sockets = []
            for sample in sinks.samples { samples.append(try ReaderConnection(adopting: sample)) }
        }
        engineSocket = sockets.first?.number ?? -1
        engineControlSocket = sockets.count > 1 ? sockets[1].number : -1
        bareSocket = sockets.last?.number ?? -1
    }

    var kind: SinkKind {
        if case .datagrams(let sinks) = target { return sinks.kind }
        return .trunc
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

    func expectNewSequence() {
        if case .datagrams(let sinks) = target { sinks.expectNewSequence() }
    }

    /// Runs the bare loop.
    func bare(_ frame: inout bare_frame, gather: Bool, bounds: bare_bounds) throws(WorkbenchError) -> bare_result {
        let result: bare_result
        switch target {
        case .datagrams(let sinks):
            result = unsafe addresses.bytes.withUnsafeBytes { bytes in
                unsafe bare_fanout_udp(
                    bareSocket, bytes.baseAddress, UInt32(addresses.each), UInt32(sinks.count), &frame, gather, bounds)
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
        case .datagrams(let sinks): packetReader.read(sinks.descriptor(sinks.sample.indices[index])) { packet, _ in body(packet) }
        case .connections:
            // A sample that breaks shows as a stop of its packets; the engine's own report says why.
            _ = try? samples[index].read(with: readMemory) { _, bytes, arrival in
                if let packet = ArrivedPacket(bytes, arrivalNanoseconds: arrival) { body(packet) }
            }
        }
    }
}

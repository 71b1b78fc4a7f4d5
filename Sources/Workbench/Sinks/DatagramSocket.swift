import CSinks
import WireFormats

/// A UDP socket that media arrives on.
final class DatagramSocket {
    private let descriptor: Descriptor
    let port: UInt16

    var number: Int32 { descriptor.number }

    /// Bound to the endpoint; port 0 lets the kernel choose.
    init(at endpoint: Endpoint, receiveGRO: Bool = false, timestamps: Bool = false, receiveBytes: Int = 0, sendBytes: Int = 0)
        throws(WorkbenchError)
    {
        var options = csinks_udp_options()
        options.receive_gro = receiveGRO
        options.timestamps = timestamps
        options.receive_bytes = UInt32(clamping: receiveBytes)
        options.send_bytes = UInt32(clamping: sendBytes)
        var raw = endpoint.raw
        descriptor = Descriptor(try kernel("cannot bind a UDP port", unsafe csinks_udp_bind(&raw, &options)))
        port = try Endpoint(of: descriptor.number).port
    }

    /// Rejects everything that comes.
    func discardAll() throws(WorkbenchError) {
        try kernel("cannot put a filter on a socket", csinks_discard_attach(descriptor.number))
    }

    /// What a filter rejected or a full queue lost.
    var drops: UInt64 { UInt64(clamping: csinks_drops(descriptor.number)) }
}

/// An even port and the next, as RTP and RTCP want them (RFC 3550 section 11).
struct DatagramPair {
    let rtp: DatagramSocket
    /// A socket of its own on the next port, or one that all readers share.
    let rtcp: DatagramSocket

    /// As SETUP names them.
    var ports: PortPair { PortPair(rtp: rtp.port, rtcp: rtcp.port) }
}

/// Gives out port pairs, low to high, so that the filter's rows lie close together.
struct PortPairs {
    private var next: Int
    private let end: Int
    private let endpoint: Endpoint
    private let shared: DatagramSocket?
    private static let ports = 20_000..<65_536

    /// Pairs on this address: of all ports the part of one process of several. With `sharesRTCP` every reader names the same
    /// RTCP port, which saves a descriptor each.
    init(on endpoint: Endpoint, part: LoadPart, sharesRTCP: Bool) throws(WorkbenchError) {
        self.endpoint = endpoint
        let size = Self.ports.count / part.count / 2 * 2
        next = Self.ports.lowerBound + part.index * size
        end = next + size
        shared = sharesRTCP ? try DatagramSocket(at: endpoint.withPort(0)) : nil
        try shared?.discardAll()
    }

    /// The next pair that nobody has; nothing that comes to its RTCP port is kept.
    mutating func take(receiveGRO: Bool, timestamps: Bool, receiveBytes: Int) throws(WorkbenchError) -> DatagramPair {
        while next + 1 < end {
            let even = endpoint.withPort(UInt16(next))
            let odd = endpoint.withPort(UInt16(next + 1))
            next += 2
            do {
                let rtp = try DatagramSocket(at: even, receiveGRO: receiveGRO, timestamps: timestamps, receiveBytes: receiveBytes)
                if let shared { return DatagramPair(rtp: rtp, rtcp: shared) }
                let rtcp = try DatagramSocket(at: odd)
                try rtcp.discardAll()
                return DatagramPair(rtp: rtp, rtcp: rtcp)
            } catch {
                if error.description.hasSuffix(errorText(98)) { continue }  // EADDRINUSE: somebody else's
                throw error
            }
        }
        throw WorkbenchError("no UDP port pair is free between \(Self.ports.lowerBound) and \(Self.ports.upperBound - 1)")
    }
}

/// A UDP socket that sends to ports of loopback.
final class DatagramSender {
    private let descriptor: Descriptor
    private var destination: Endpoint

    /// For addresses like this one.
    init(like endpoint: Endpoint) throws(WorkbenchError) {
        var raw = endpoint.raw
        descriptor = Descriptor(try kernel("cannot make a UDP socket", unsafe csinks_udp_sender(&raw, 4 << 20)))
        destination = endpoint
    }

    /// Sends packets as one train; `segmentBytes` is the size of each but the last.
    func send(_ bytes: [UInt8], segmentBytes: Int, toPort port: UInt16) throws(WorkbenchError) {
        destination.port = port
        var raw = destination.raw
        let result = unsafe bytes.withUnsafeBytes { buffer in
            unsafe csinks_udp_send(descriptor.number, buffer.baseAddress, UInt32(buffer.count), UInt16(clamping: segmentBytes), &raw)
        }
        try kernel("cannot send to port \(port)", result)
    }
}

import FastPath

/// What `bench fanout` measures.
package struct FanoutOptions: Sendable {
    /// How subscribers are sent to.
    package var transport = ReaderTransport.udp
    /// Subscribers of the one stream.
    package var subscribers = 1_000
    /// RTP packets of a frame.
    package var packetsPerFrame = 12
    /// Bytes of an RTP packet, header included.
    package var packetSize = 1_200
    /// Seconds in all, half of them for the engine and half for the bare loop.
    package var duration = 10.0
    /// Frames per second; nil offers a frame when the one before it has completed.
    package var framesPerSecond: Double?
    /// Whether the sinks take trains whole.
    package var receiveGRO = true
    /// Where packets go instead of to sinks here, UDP: `HOST` or `HOST:PORT`, where somebody discards them. Whether they arrive is
    /// then not known.
    package var destination: String?
    /// Whether the bare loop is also run with an iovec per packet, to tell what contiguous memory is worth.
    package var gather = false
    /// How the engine is made.
    package var engine = EngineOptions()

    /// The defaults.
    package init() {}

    /// Alternations of engine and bare loop.
    package var pairs: Int { min(max(Int(duration), 3), 30) }

    /// Throws a usage error for a value that cannot be.
    package func check() throws(WorkbenchError) {
        let room = engine.limits.subscribersMax
        guard (1...room).contains(subscribers) else { throw .usage("--subscribers \(subscribers): 1 to \(room)") }
        guard (1...1_000).contains(packetsPerFrame) else { throw .usage("--packets-per-frame \(packetsPerFrame): 1 to 1000") }
        guard (64...9_000).contains(packetSize) else { throw .usage("--packet-size \(packetSize): 64 to 9000 bytes, RTP header included") }
        guard duration >= 0.2, duration <= 3_600 else { throw .usage("--duration \(duration): 0.2 to 3600 seconds") }
        if let destination {
            guard transport == .udp else {
                throw .usage("--to \(destination) wants --transport udp: nobody there would accept connections")
            }
            _ = try Self.endpoint(destination)
        }
        if let rate = framesPerSecond, !(rate > 0 && rate <= 10_000) { throw .usage("--fps \(rate): above 0 and at most 10000") }
    }

    /// The discard protocol's port (RFC 863).
    private static let discardPort: UInt16 = 9

    /// `HOST`, `HOST:PORT` or `[IPV6]:PORT`.
    static func endpoint(_ text: String) throws(WorkbenchError) -> Endpoint {
        var host = text[...]
        var port = discardPort
        // One colon parts host and port; more are an IPv6 address, which has brackets when a port follows.
        if let colon = text.lastIndex(of: ":"), text.firstIndex(of: ":") == colon || text[..<colon].hasSuffix("]") {
            guard let number = UInt16(text[text.index(after: colon)...]), number > 0 else {
                throw .usage("--to \(text): the port is a number from 1 to 65535")
            }
            port = number
            host = text[..<colon]
        }
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty else { throw .usage("--to \(text): HOST or HOST:PORT is wanted") }
        do { return try Endpoint(host: String(host), port: port) } catch { throw .usage("--to \(text): \(error)") }
    }
}

import Glibc
import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// The media of one connection to a server: its sockets, its sources in the engine, and the receiver reports.
final class PullMedia {
    private struct Track {
        /// The stream's number of it; nil for one that is not taken.
        let number: Int?
        var pair: DatagramPair?
        /// The engine uses the pair, and it is closed when the engine is done with it.
        var isLeased = false
        var transport: TrackTransport?
        /// Whom to take a group's packets from.
        var peer: HostAddress?
        var reporter: ReceiverReporter
    }

    private let description: StreamDescription
    private let port: EnginePort
    private let remote: SocketAddress
    private let channel: any Channel
    /// Writes to the server; leaves it out when the server does not read.
    private let send: ([UInt8]) -> Void
    /// By the media's place in the source's description (``TrackMap``), as the client counts them.
    private var tracks: [Track]
    private var sources: [EngineSource] = []
    private(set) var isAttached = false
    /// Whether the engine reads the connection.
    private(set) var isHandedOver = false
    private var isDetached = false

    /// The first RTP packet arrived.
    var onActive: (() -> Void)?
    /// Text came on the connection; answers with how many bytes of it were whole messages.
    var onText: (([UInt8]) -> Int)?
    /// The connection ended.
    var onEnded: (() -> Void)?

    /// No socket yet. `remote` is the server's address on the connection.
    init(
        description: StreamDescription, port: EnginePort, remote: SocketAddress, channel: any Channel, send: @escaping ([UInt8]) -> Void
    ) {
        self.description = description
        self.port = port
        self.remote = remote
        self.channel = channel
        self.send = send
        let ssrc = UInt32.random(in: 1...UInt32.max)
        tracks = (0..<description.map.count).map { place in
            let number = description.map[place]
            return Track(
                number: number,
                reporter: ReceiverReporter(
                    track: number ?? 0, ssrc: ssrc &+ UInt32(place), leg: description.leg,
                    clockRate: number.flatMap { description.track($0)?.plan.clockRate } ?? 0, scope: description.scope))
        }
    }

    /// A socket pair is offered to the server for a track.
    func offer(_ pair: DatagramPair, track: Int) { tracks[track].pair = pair }

    /// The server said how it sends a track.
    func ready(track: Int, _ transport: TrackTransport) {
        guard tracks.indices.contains(track) else { return }
        tracks[track].transport = transport
        guard case .datagrams(let ports, _, let isMultiplexed) = transport, let pair = tracks[track].pair else { return }
        // Opens the way back through a firewall or an address translator, as LIVE555 and FFmpeg do: an RTP packet without payload
        // and an empty report.
        if let rtp = ports?.rtp, rtp != 0 { pair.send(Self.punch, from: pair.rtp, to: remote.withPort(rtp)) }
        if let rtcp = Self.reportPort(ports, isMultiplexed) {
            pair.send(tracks[track].reporter.empty(), from: isMultiplexed ? pair.rtp : pair.rtcp, to: remote.withPort(rtcp))
        }
    }

    /// A track comes from a group that was joined.
    func joined(_ pair: DatagramPair, track: Int, _ plan: ReceptionPlan.Track) {
        guard tracks.indices.contains(track) else { return pair.close() }
        tracks[track].pair?.close()
        tracks[track].pair = pair
        tracks[track].peer = plan.peer
    }

    private static let punch: [UInt8] = [0x80] + [UInt8](repeating: 0, count: 11)

    /// Gives everything that was set up to the engine. `prefix` is what was read of the connection beyond PLAY's answer.
    func attach(prefix: [UInt8]) throws { try port.adding(to: description) { try attachAll(prefix) } }

    private func attachAll(_ prefix: [UInt8]) throws {
        isAttached = true
        var map = ChannelMap()
        var isInterleaved = false
        for place in tracks.indices {
            guard let number = tracks[place].number else { continue }
            if let pair = tracks[place].pair, let peer = tracks[place].peer {
                // A sender of a group is known by its host alone.
                tracks[place].isLeased = true
                try attach(pair, track: number, host: peer, rtp: 0, rtcp: 0)
            }
            switch tracks[place].transport {
            case .interleaved(let rtp, let rtcp):
                map[2 * number] = rtp
                map[2 * number + 1] = rtcp
                isInterleaved = true
            // Where RTP and RTCP share a port, what comes on the other one is the server's mistake, and heard all the same.
            case .datagrams(let ports, let source, _):
                guard let pair = tracks[place].pair, let host = host(source) else { continue }
                tracks[place].isLeased = true
                try attach(pair, track: number, host: host, rtp: ports?.rtp ?? 0, rtcp: ports?.rtcpPort ?? 0)
            case .multicast, nil: break
            }
        }
        if isInterleaved { try attachConnection(map, prefix) }
    }

    private func attach(_ pair: DatagramPair, track: Int, host: HostAddress, rtp: UInt16, rtcp: UInt16) throws {
        let lease = PairLease(pair)
        let stream = description.stream
        let first = try EngineSource(port: port, release: lease.release) { handle in
            .addDatagramSource(handle, stream, descriptor: pair.rtp, channel: UInt8(2 * track), peer: host, port: rtp)
        }
        lease.uses += 1
        first.onActive = { [weak self] in self?.onActive?() }
        sources.append(first)
        lease.uses += 1
        let second = try EngineSource(port: port, release: lease.release) { handle in
            .addDatagramSource(handle, stream, descriptor: pair.rtcp, channel: UInt8(2 * track + 1), peer: host, port: rtcp)
        }
        sources.append(second)
    }

    private func attachConnection(_ map: ChannelMap, _ prefix: [UInt8]) throws {
        let descriptor = try ChannelDescriptor.handOver(channel)
        isHandedOver = true
        let buffer = LinkBuffer(prefix)
        let stream = description.stream
        let source: EngineSource
        do {
            source = try EngineSource(port: port, release: { close(descriptor) }) { handle in
                .addInterleavedSource(handle, stream, descriptor: descriptor, channels: map, prefix: buffer)
            }
        } catch {
            buffer.free()
            throw error
        }
        source.onActive = { [weak self] in self?.onActive?() }
        source.onEnded = { [weak self] _ in self?.onEnded?() }
        source.onText = { [weak self, weak source, port] bytes in
            let consumed = self?.onText?(bytes) ?? bytes.count
            if let handle = source?.handle { port.resume(handle, consumed: consumed) }
        }
        sources.append(source)
    }

    /// Lets go of everything.
    func detach() {
        guard !isDetached else { return }
        isDetached = true
        onActive = nil
        onText = nil
        onEnded = nil
        for source in sources { source.remove() }
        sources = []
        for track in tracks where !track.isLeased { track.pair?.close() }
    }

    /// How many datagrams the kernel dropped since the last call because a receive buffer was full.
    func takeDrops() -> UInt64 { isDetached ? 0 : tracks.reduce(0) { $0 &+ ($1.pair?.takeDrops() ?? 0) } }

    /// Sends a receiver report for each track (RFC 3550 section 6.4.2). Cameras want to hear them, over TCP too.
    func sendReports() {
        guard !isDetached else { return }
        for number in tracks.indices {
            switch tracks[number].transport {
            case .datagrams(let ports, _, let isMultiplexed):
                guard let pair = tracks[number].pair, let rtcp = Self.reportPort(ports, isMultiplexed) else { continue }
                pair.send(
                    tracks[number].reporter.report(description.counters), from: isMultiplexed ? pair.rtp : pair.rtcp,
                    to: remote.withPort(rtcp))
            case .interleaved(_, let rtcp):
                guard let rtcp else { continue }
                send(tracks[number].reporter.report(description.counters, channel: rtcp))
            // A report to a group would reach every member; the server hears of us by the keep-alive.
            case .multicast, nil: break
            }
        }
    }

    /// Where the server wants RTCP; nil: it does not say.
    private static func reportPort(_ ports: PortPair?, _ isMultiplexed: Bool) -> UInt16? {
        let port = isMultiplexed ? ports?.rtp : ports?.rtcpPort
        return port == 0 ? nil : port
    }

    private func host(_ source: String?) -> HostAddress? { HostAddress(sending: source, to: remote) }
}

/// Closes a pair when the engine is done with both of its sockets.
final class PairLease {
    private let pair: DatagramPair
    var uses = 0

    init(_ pair: DatagramPair) { self.pair = pair }

    /// One socket is free.
    func release() {
        uses -= 1
        if uses <= 0 { pair.close() }
    }
}

/// The descriptor below a NIO channel, for the engine to read.
enum ChannelDescriptor {
    struct Unavailable: Error, CustomStringConvertible {
        var description: String { "the connection's descriptor cannot be had" }
    }

    /// Stops NIO's reading and duplicates the descriptor; the caller owns the duplicate. Writing stays with NIO.
    static func handOver(_ channel: any Channel) throws -> CInt {
        try channel.syncOptions?.setOption(.autoRead, value: false)
        let duplicate = try channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) { descriptor in
            fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        }
        guard let duplicate, duplicate >= 0 else { throw Unavailable() }
        return duplicate
    }
}

extension HostAddress {
    /// Whom to take datagrams from that a server promised. A `source=` within a private network, or seen through a loopback connection, is
    /// often not where the packets come from (LIVE555 names its first interface); the connection's other end is.
    init?(sending source: String?, to remote: SocketAddress) {
        guard let peer = HostAddress(remote) else { return nil }
        self = peer
        guard let source, let address = try? SocketAddress(ipAddress: source, port: 0), let host = HostAddress(address) else { return }
        if host.isGlobal, peer.isGlobal { self = host }
    }

    /// Neither loopback nor private nor link-local nor unspecified.
    var isGlobal: Bool {
        if let ipv4 {
            return
                !(ipv4 >> 24 == 0 || ipv4 >> 24 == 10 || ipv4 >> 24 == 127 || ipv4 >> 20 == 0xAC1 || ipv4 >> 16 == 0xC0A8
                || ipv4 >> 16 == 0xA9FE)
        }
        // ::, ::1, fe80::/10, fc00::/7
        return !((high == 0 && low <= 1) || high >> 54 == 0x3FA || high >> 57 == 0x7E)
    }
}

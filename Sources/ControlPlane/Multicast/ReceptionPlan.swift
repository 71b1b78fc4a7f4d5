import Glibc
import PlaneLink
import WireFormats

/// Where each track of an ``RTPSource`` is received, and from whom.
struct ReceptionPlan: Equatable {
    /// One track.
    struct Track: Equatable {
        /// A group to join, or the address to listen at; ``HostAddress/any`` or `0.0.0.0` for every one.
        let address: HostAddress
        let rtpPort: UInt16
        /// The same as RTP's where they share it (RFC 5761).
        let rtcpPort: UInt16
        let senders: GroupSocket.Senders

        /// The one sender that the engine is to take packets from; any where several may send.
        var peer: HostAddress {
            if case .only(let sources) = senders, sources.count == 1, let only = sources.first { return only }
            return .any
        }
    }

    /// By the media's place among those that a relay takes (``TrackMap``).
    let tracks: [Track]
    let description: SessionDescription

    /// Sources of one filter that are looked at (the kernel's own limit for IPv4 is 10).
    private static let sourcesMax = 10

    /// Reads the file; throws ``ValueProblem``.
    static func read(_ source: RTPSource) throws(ValueProblem) -> ReceptionPlan {
        let bytes: [UInt8]
        do throws(FileBytes.Trouble) { bytes = try FileBytes.read(source.file, bytesMax: SessionDescription.bytesMax) } catch {
            throw ValueProblem(error.description)
        }
        let description: SessionDescription
        do throws(SDPError) { description = try SessionDescription(bytes) } catch {
            throw ValueProblem("\(source.file) is no session description: \(error)")
        }
        return try ReceptionPlan(description, source)
    }

    /// A plan of a description; throws what is wrong with it.
    init(_ description: SessionDescription, _ source: RTPSource) throws(ValueProblem) {
        self.description = description
        let indices = description.receivableMedia
        guard !indices.isEmpty else { throw ValueProblem("\(source.file) names no media") }
        var tracks: [Track] = []
        for (number, index) in indices.enumerated() {
            let track = try Self.track(description, index, number: number, source)
            if tracks.contains(where: { $0.address == track.address && $0.sharesPort(with: track) }) {
                throw ValueProblem(
                    "\(source.file): the media number \(number + 1) uses a port of another one; each needs one for RTP and one for RTCP")
            }
            tracks.append(track)
        }
        self.tracks = tracks
    }

    private static func track(
        _ description: SessionDescription, _ index: Int, number: Int, _ source: RTPSource
    ) throws(ValueProblem) -> Track {
        let media = description.media[index]
        let name = "\(source.file): the media number \(number + 1) (\(media.kind))"
        let rtp: UInt16
        let rtcp: UInt16
        if let first = source.port {
            rtp = first &+ UInt16(truncatingIfNeeded: 2 * number)
            rtcp = media.isMultiplexed ? rtp : rtp &+ 1
        } else {
            guard media.port > 0 else {
                throw ValueProblem("\(name) has the port 0, as descriptions of RTSP servers do; write rtp://GROUP:PORT?sdp=\(source.file)")
            }
            rtp = media.port
            if media.isMultiplexed {
                rtcp = media.port
            } else {
                guard let second = media.rtcpPort, second != media.port else {
                    throw ValueProblem("\(name) has no port for RTCP beside \(media.port), and no a=rtcp-mux, by which they share it")
                }
                rtcp = second
            }
        }
        let address: HostAddress
        let filter: SDPSourceFilter?
        if let given = source.address {
            address = given
            filter = description.sourceFilter(media: index, destination: given.text)
        } else {
            guard let connection = description.connection(media: index) else {
                throw ValueProblem("\(name) has no `c=` line that says where it is sent to; write rtp://GROUP:PORT?sdp=\(source.file)")
            }
            // A name is no group: it is some address of this machine.
            address = HostAddress(numeric: connection.address) ?? (connection.isIPv6 ? .any : HostAddress(ipv4: 0))
            filter = description.sourceFilter(media: index, destination: connection.address)
        }
        return Track(
            address: address, rtpPort: rtp, rtcpPort: rtcp,
            senders: try senders(of: address, filter: filter, given: source.source, name))
    }

    private static func senders(
        of address: HostAddress, filter: SDPSourceFilter?, given: HostAddress?, _ name: String
    ) throws(ValueProblem) -> GroupSocket.Senders {
        if let given {
            guard (given.ipv4 == nil) == (address.ipv4 == nil) else {
                throw ValueProblem("\(name): source=\(given.text) is not of the same family (IPv4 or IPv6) as \(address.text)")
            }
            return .only([given])
        }
        guard let filter else {
            guard !address.isSourceSpecific else {
                throw ValueProblem(
                    "\(name): \(address.text) is a source-specific group (RFC 4607): say who sends, by `?source=ADDRESS` or a line "
                        + "`a=source-filter: incl IN \(address.ipv4 == nil ? "IP6" : "IP4") \(address.text) ADDRESS`")
            }
            return .all
        }
        guard filter.sources.count <= sourcesMax else {
            throw ValueProblem("\(name): its source-filter names more than \(sourcesMax) senders")
        }
        var sources: [HostAddress] = []
        for text in filter.sources {
            guard let host = HostAddress(numeric: text) else {
                throw ValueProblem("\(name): its source-filter names `\(text.prefix(64))`, which is no numeric address")
            }
            sources.append(host)
        }
        // The kernel filters groups only, the engine takes one sender or any.
        guard address.isMulticast || (filter.isInclusive && sources.count == 1) else {
            throw ValueProblem(
                "\(name): \(address.text) is no group, and there its source-filter can name one sender to take, no more and none to leave out"
            )
        }
        return filter.isInclusive ? .only(sources) : .allBut(sources)
    }
}

extension ReceptionPlan.Track {
    fileprivate func sharesPort(with other: Self) -> Bool {
        !Set([rtpPort, rtcpPort]).isDisjoint(with: [other.rtpPort, other.rtcpPort])
    }

    /// `239.1.2.3:5004`, with `from …` where only some may send.
    var words: String {
        let place = address.text(port: rtpPort)
        if case .only(let sources) = senders { return "\(place) from \(sources.map(\.text).joined(separator: ", "))" }
        return place
    }

    /// Binds both sockets, or the one for both, and joins the group; throws what the user should know.
    ///
    /// Bound to the group itself, so that other groups on the same port stay out, and shared with other programs that listen.
    func open(interface: NetworkInterface?, buffers: SocketBuffers) throws -> DatagramPair {
        let rtp = try socket(rtpPort, interface)
        if rtcpPort == rtpPort { return DatagramPair(rtp: rtp, rtcp: rtp, rtpPort: rtpPort, buffers: buffers) }
        do {
            return DatagramPair(rtp: rtp, rtcp: try socket(rtcpPort, interface), rtpPort: rtpPort, buffers: buffers)
        } catch {
            close(rtp)
            throw error
        }
    }

    private func socket(_ port: UInt16, _ interface: NetworkInterface?) throws -> CInt {
        guard address.isMulticast else {
            // An address that is not ours is where the sender thinks we are (an address translator between us).
            let isOurs = address.isUnspecified || address.isLoopback || NetworkInterface.holding(address) != nil
            let every = address.ipv4 == nil ? HostAddress.any : HostAddress(ipv4: 0)
            guard let local = (isOurs ? address : every).socketAddress(port: port) else {
                throw MulticastTrouble("\(address.text) is no address of a socket")
            }
            return try BoundSocket.open(.datagram, at: local)
        }
        let scoped = HostAddress(
            high: address.high, low: address.low, scope: address.isLinkLocalGroup ? UInt32(interface?.index ?? 0) : 0)
        guard let local = scoped.socketAddress(port: port) else { throw MulticastTrouble("\(address.text) is no address of a socket") }
        let descriptor = try BoundSocket.open(.datagram, at: local, reusesAddress: true)
        do {
            try GroupSocket.join(descriptor, group: address, interface: interface, senders: senders)
        } catch {
            close(descriptor)
            throw error
        }
        return descriptor
    }
}

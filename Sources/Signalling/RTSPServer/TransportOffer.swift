import WireFormats

/// Chooses the transport of a SETUP: the first spec of the client's that can be used (RFC 2326 section 12.39).
package struct TransportOffer: Sendable {
    /// What a choice depends on.
    package struct Situation: Sendable {
        /// What the session is for.
        package var role: ServerSessionMachine.Role
        /// What the session's other tracks use; nil for the first track, or when it is set up anew.
        package var kind: SessionTrack.Kind?
        /// The peer's address as people write it: the one `destination=` may name.
        package var peer: String
        /// Why the connection cannot carry this session's media, if so.
        package var interleavedRefusal: String?
        /// Why this stream is not sent over UDP, if so.
        package var datagramRefusal: String?
        /// Channels of the connection that other tracks use.
        package var channelsTaken: Set<UInt8>
        /// Whether RTCP may travel on RTP's port (RFC 5761) for those who ask for it.
        package var multiplexes = true
        /// The track's part of the path's multicast group; nil when the path has none.
        package var multicast: MulticastOffer?

        /// A situation.
        package init(
            role: ServerSessionMachine.Role, kind: SessionTrack.Kind?, peer: String, interleavedRefusal: String? = nil,
            datagramRefusal: String? = nil, channelsTaken: Set<UInt8> = [], multicast: MulticastOffer? = nil
        ) {
            self.role = role
            self.kind = kind
            self.peer = peer
            self.interleavedRefusal = interleavedRefusal
            self.datagramRefusal = datagramRefusal
            self.channelsTaken = channelsTaken
            self.multicast = multicast
        }
    }

    /// The spec that was chosen, as the client wrote it.
    package let spec: TransportSpec
    /// How the track's packets travel.
    package let transport: SessionTrack.Transport
    private let multicast: MulticastOffer?

    /// The choice; throws what to answer when there is none.
    package init(header: String?, situation: Situation) throws(RequestRefusal) {
        guard let header else { throw .headerMissing("Transport") }
        let specs: [TransportSpec]
        do { specs = try TransportHeader.parse(header) } catch { throw .headerMalformed("Transport", "\(error)") }
        var reasons: [String] = []
        for spec in specs {
            // Media goes to whoever asks for it: we are no amplifier (RFC 2326 section 16). Refused outright, not skipped.
            if let destination = spec.destination, !destination.isEmpty, !spec.isMulticast, destination != situation.peer {
                throw .destinationForeign(String(destination.prefix(64)))
            }
            switch Self.judge(spec, situation) {
            case .success(let transport):
                self.spec = spec
                self.transport = transport
                multicast = situation.multicast
                return
            case .failure(let reason): reasons.append("\(spec.protocolToken.prefix(32)): \(reason.words)")
            }
        }
        // With a transport among the others that it could have had over UDP, the client is to know what would do.
        if let refusal = situation.datagramRefusal, specs.contains(where: { Self.isPlainDatagram($0, situation) }) {
            throw .datagramsUnfit(refusal)
        }
        throw .transportUnsupported(reasons.joined(separator: "; "))
    }

    private static func isPlainDatagram(_ spec: TransportSpec, _ situation: Situation) -> Bool {
        var open = situation
        open.datagramRefusal = nil
        guard case .success(.datagram) = judge(spec, open) else { return false }
        return true
    }

    private struct Unfit: Error {
        let words: String
        init(_ words: String) { self.words = words }
    }

    private static func judge(_ spec: TransportSpec, _ situation: Situation) -> Result<SessionTrack.Transport, Unfit> {
        guard spec.isPlainRTP else { return .failure(.init("only RTP/AVP and RTP/AVPF are offered")) }
        switch spec.mode {
        case .record? where situation.role == .reader: return .failure(.init("mode=record needs an ANNOUNCE first"))
        case .other(let word)?: return .failure(.init("mode=\(word.prefix(32)) is not known"))
        case .play?, .record?, nil: break
        }
        let kind: SessionTrack.Kind = spec.isMulticast ? .multicast : spec.lowerTransport == .tcp ? .interleaved : .datagram
        if let used = situation.kind, used != kind { return .failure(.init("the session's other tracks use \(used.words)")) }
        if kind != .multicast, let multicast = situation.multicast, multicast.isOnly, situation.role == .reader {
            return .failure(.init("the path is sent by multicast only: ask for RTP/AVP;multicast"))
        }
        switch kind {
        case .multicast:
            if situation.role == .publisher { return .failure(.init("a publisher sends to the server alone, not to a group")) }
            guard let multicast = situation.multicast else { return .failure(.init("the path has no multicast group")) }
            // Which group and which ports is the server's choice, whatever the client proposes (RFC 2326 section 12.39).
            return .success(.multicast(rtp: multicast.port, rtcp: multicast.port &+ 1))
        case .interleaved:
            if let refusal = situation.interleavedRefusal { return .failure(.init(refusal)) }
            guard let pair = channels(spec.interleaved, taken: situation.channelsTaken) else {
                return .failure(.init("all channels of this connection are taken"))
            }
            return .success(.interleaved(rtp: pair.rtp, rtcp: pair.rtcp))
        case .datagram:
            guard let ports = spec.clientPort else { return .failure(.init("client_port is missing")) }
            if let refusal = situation.datagramRefusal { return .failure(.init(refusal)) }
            guard ports.rtp > 0, let rtcp = ports.rtcpPort, rtcp > 0 else {
                return .failure(.init("client_port=\(ports.text) names no pair of ports"))
            }
            // Who names one port twice means it (LIVE555 does where the description has a=rtcp-mux); a publisher's reports have a port.
            let isAsked = spec.rtcpMux && situation.multiplexes && situation.role == .reader
            return .success(.datagram(rtp: ports.rtp, rtcp: isAsked ? ports.rtp : rtcp))
        }
    }

    /// The pair that the client asks for, unless it is taken; then, or when none is asked for, the next free even pair.
    private static func channels(_ asked: ChannelPair?, taken: Set<UInt8>) -> (rtp: UInt8, rtcp: UInt8)? {
        if let asked, let rtcp = asked.rtcpChannel, rtcp != asked.rtp, !taken.contains(asked.rtp), !taken.contains(rtcp) {
            return (asked.rtp, rtcp)
        }
        for rtp in stride(from: UInt8(0), through: 254, by: 2) where !taken.contains(rtp) && !taken.contains(rtp + 1) {
            return (rtp, rtp + 1)
        }
        return nil
    }

    /// The spec to answer with: the client's protocol token literally, and what was settled. `source` is where a group's packets come
    /// from.
    package func answer(serverPorts: (rtp: UInt16, rtcp: UInt16)?, source: String? = nil, ssrc: UInt32?) -> TransportSpec {
        var answer = TransportSpec(protocolToken: spec.protocolToken)
        answer.isUnicast = transport.kind != .multicast
        switch transport {
        case .datagram(let rtp, let rtcp):
            answer.clientPort = spec.rtcpMux ? spec.clientPort : PortPair(rtp: rtp, rtcp: rtcp)
            answer.serverPort = serverPorts.map { PortPair(rtp: $0.rtp, rtcp: $0.rtcp) }
            answer.rtcpMux = spec.rtcpMux && rtp == rtcp
        case .interleaved(let rtp, let rtcp): answer.interleaved = ChannelPair(rtp: rtp, rtcp: rtcp)
        case .multicast(let rtp, let rtcp):
            answer.isMulticast = true
            answer.destination = multicast?.group
            answer.source = source
            answer.port = PortPair(rtp: rtp, rtcp: rtcp)
            answer.ttl = multicast?.ttl
        }
        answer.ssrc = ssrc
        answer.mode = spec.mode
        return answer
    }
}

/// The `o=` line (RFC 8866 section 5.2).
package struct SDPOrigin: Sendable, Hashable {
    /// Names the session for all time.
    package var sessionID: UInt64
    /// Grows whenever the description changes.
    package var sessionVersion: UInt64
    /// The relay's address, IPv4 or IPv6 without brackets.
    package var address: String

    /// An origin.
    package init(sessionID: UInt64, sessionVersion: UInt64, address: String) {
        self.sessionID = sessionID
        self.sessionVersion = sessionVersion
        self.address = address
    }

    var isIPv6: Bool { address.utf8.contains(ASCII.colon) }

    /// The line's value.
    package var text: String { "- \(sessionID) \(sessionVersion) IN \(isIPv6 ? "IP6" : "IP4") \(address)" }
}

extension SessionDescription {
    /// The description as a relay's readers get it: the relay's own `o=` and `c=`, port 0, `a=control:*` and
    /// `a=control:trackID=N`, one `a=range`. All the rest is kept, unknown lines too, but for what holds for the source's
    /// connection only: ICE, DTLS, candidate, SSRC, RTCP port and multicast-source lines, `t=` and bandwidth of RTCP.
    ///
    /// - Parameter tracks: which media to keep, by index; their new numbers are their places in this list. Nil keeps
    ///   ``receivableMedia``. Numbers that do not exist are left out.
    /// - Parameter controls: the kept media's `a=control`, in the order of `tracks`; nil: `trackID=` and the number.
    /// - Parameter range: the session's `a=range`; nil for none.
    package func forReaders(
        origin: SDPOrigin, tracks: [Int]? = nil, controls: [String]? = nil, range: RangeHeader? = .live
    ) -> SessionDescription {
        var session: [SDPLine] = [
            SDPLine("v", "0"), SDPLine("o", origin.text),
            lines.first { $0.isType("s") && !$0.bytes.isEmpty } ?? SDPLine("s", " "),
        ]
        for type in ["i", "u", "e", "p"] as [Unicode.Scalar] { session += lines.filter { $0.isType(type) } }
        session.append(SDPLine("c", origin.isIPv6 ? "IN IP6 ::" : "IN IP4 0.0.0.0"))
        session += lines.filter { $0.isType("b") && !Self.isRTCPBandwidth($0) }
        session.append(SDPLine("t", "0 0"))
        session.append(.attribute("control", "*"))
        if let range { session.append(.attribute("range", range.text)) }
        session += lines.filter { $0.isType("a") && Self.isKept($0) }
        // Lines of letters that no standard knows.
        session += lines.filter { line in !"vosiuepcbtrzka".utf8.contains(line.typeByte) }

        var kept: [MediaDescription] = []
        for index in tracks ?? receivableMedia where media.indices.contains(index) {
            let control = controls.flatMap { kept.count < $0.count ? $0[kept.count] : nil }
            kept.append(media(index, control: control ?? "trackID=\(kept.count)"))
        }
        return SessionDescription(lines: session, media: kept)
    }

    /// Puts another `o=` in place of the one that is there.
    package mutating func setOrigin(_ origin: SDPOrigin) {
        if let place = lines.firstIndex(where: { $0.isType("o") }) { lines[place] = SDPLine("o", origin.text) }
    }

    private func media(_ index: Int, control: String) -> MediaDescription {
        var block = media[index]
        block.port = 0
        block.portCount = nil
        block.lines.removeAll { line in
            line.isType("c") || line.isType("b") && Self.isRTCPBandwidth(line) || line.isType("a") && !Self.isKept(line)
        }
        // Format parameters that stand under another media come home.
        for type in block.payloadTypes where media[index].formatParameters(type) == nil {
            if let text = formatParameters(media: index, payloadType: type) { block.lines.append(.attribute("fmtp", "\(type) \(text)")) }
        }
        block.lines.append(.attribute("control", control))
        return block
    }

    private static func isRTCPBandwidth(_ line: SDPLine) -> Bool {
        let name = line.bytes[...].split(atFirst: ASCII.colon).0.trimmed
        return ASCII.equalIgnoringCase(name, "RS") || ASCII.equalIgnoringCase(name, "RR")
    }

    /// Attributes that say something of one connection, not of the media.
    private static let dropped: Set<String> = [
        "control", "range", "candidate", "remote-candidates", "end-of-candidates", "fingerprint", "setup", "connection", "dtls-id",
        "tls-id", "ssrc", "ssrc-group", "rtcp", "rtcp-mux", "rtcp-mux-only", "rtcp-rsize", "source-filter", "bundle-only", "msid",
        "msid-semantic", "sendonly", "inactive", "mptime", "x-plgroup",
    ]

    private static func isKept(_ line: SDPLine) -> Bool {
        guard let name = line.attributeName?.lowercased() else { return true }
        if dropped.contains(name) || name.startsWithBytes(of: "ice-") { return false }
        // Bundled media share a port, which RTSP has no word for.
        return !(name == "group" && (line.colonValue ?? "").byteSlice.hasPrefixIgnoringCase("BUNDLE"))
    }
}

/// Where a description's media travels: a `c=` line (RFC 8866 section 5.7).
package struct SDPConnection: Sendable, Hashable {
    /// The address as spelled, without the slashes behind it.
    package var address: String
    /// `IP6` instead of `IP4`.
    package var isIPv6: Bool
    /// Time to live of an IPv4 group; nil when not said (and never for IPv6, which has none).
    package var ttl: UInt8?
    /// How many groups follow one another from this one on; 1 when not said.
    package var count: UInt16

    /// A connection.
    package init(address: String, isIPv6: Bool, ttl: UInt8? = nil, count: UInt16 = 1) {
        self.address = address
        self.isIPv6 = isIPv6
        self.ttl = ttl
        self.count = count
    }

    /// The value of a `c=` line: `IN IP4 239.1.2.3/16/2`, `IN IP6 ff15::1/2`; nil when it is not of that form. The address itself
    /// is not looked at, since it may be a name.
    package init?(_ value: String) {
        let words = value.byteSlice.split(whereSeparator: ASCII.isBlank)
        guard words.count == 3, ASCII.equalIgnoringCase(words[0], "IN") else { return nil }
        isIPv6 = ASCII.equalIgnoringCase(words[1], "IP6")
        guard isIPv6 || ASCII.equalIgnoringCase(words[1], "IP4") else { return nil }
        let parts = words[2].split(separator: ASCII.slash, omittingEmptySubsequences: false)
        guard let first = parts.first, !first.isEmpty, parts.count <= (isIPv6 ? 2 : 3) else { return nil }
        address = first.text
        var count: UInt16 = 1
        var ttl: UInt8?
        for (place, part) in parts.dropFirst().enumerated() {
            let isTTL = !isIPv6 && place == 0
            guard let number = ASCII.decimal(part, max: isTTL ? 255 : 65_535) else { return nil }
            if isTTL { ttl = UInt8(truncatingIfNeeded: number) } else { count = UInt16(truncatingIfNeeded: max(number, 1)) }
        }
        self.ttl = ttl
        self.count = count
    }

    /// The value of the line.
    package var text: String {
        var text = "IN \(isIPv6 ? "IP6" : "IP4") \(address)"
        if let ttl, !isIPv6 { text += "/\(ttl)" }
        if count > 1 { text += ttl == nil && !isIPv6 ? "" : "/\(count)" }
        return text
    }
}

/// Which senders of a group are wanted, or not: `a=source-filter` (RFC 4570).
package struct SDPSourceFilter: Sendable, Hashable {
    /// Whether the sources are the only ones wanted (`incl`), or those not wanted (`excl`).
    package var isInclusive: Bool
    /// The group it is for; nil for every one (`*`).
    package var destination: String?
    /// At least one source, as spelled.
    package var sources: [String]

    /// A filter.
    package init(isInclusive: Bool, destination: String?, sources: [String]) {
        self.isInclusive = isInclusive
        self.destination = destination
        self.sources = sources
    }

    /// The value behind `a=source-filter:`, as ` incl IN IP4 232.3.4.5 192.0.2.10`; nil when it is not of that form.
    package init?(_ value: String) {
        let words = value.byteSlice.split(whereSeparator: ASCII.isBlank)
        guard words.count >= 5, ASCII.equalIgnoringCase(words[1], "IN") else { return nil }
        isInclusive = ASCII.equalIgnoringCase(words[0], "incl")
        guard isInclusive || ASCII.equalIgnoringCase(words[0], "excl") else { return nil }
        // `*` stands for both address types.
        guard ["IP4", "IP6", "*"].contains(where: { ASCII.equalIgnoringCase(words[2], $0) }) else { return nil }
        destination = words[3].elementsEqual("*".utf8) ? nil : words[3].text
        sources = words[4...].map(\.text)
    }

    /// The value of the attribute for a group of that family.
    package func text(isIPv6: Bool) -> String {
        // RFC 4570's grammar has a blank behind the colon.
        " \(isInclusive ? "incl" : "excl") IN \(isIPv6 ? "IP6" : "IP4") \(destination ?? "*") \(sources.joined(separator: " "))"
    }
}

extension SessionDescription {
    /// Where a media travels: its own `c=`, else the session's; nil when neither says it, or not in its form.
    package func connection(media index: Int) -> SDPConnection? {
        guard media.indices.contains(index) else { return nil }
        return (media[index].lines.first("c") ?? lines.first("c")).flatMap(SDPConnection.init)
    }

    /// The filter for a media that travels to `destination`: its own, else the session's. One for another group does not count.
    package func sourceFilter(media index: Int, destination: String) -> SDPSourceFilter? {
        guard media.indices.contains(index) else { return nil }
        for value in media[index].lines.attributes("source-filter") + lines.attributes("source-filter") {
            guard let filter = SDPSourceFilter(value) else { continue }
            if filter.destination == nil || ASCII.equalIgnoringCase(filter.destination ?? "", destination) { return filter }
        }
        return nil
    }

    /// The description for those who listen to a group without a word to the server: each media's port, two apart from `firstPort`
    /// on by the numbers in `tracks` (nil: the media's places), the group in `c=`, and the sender in `a=source-filter` if it is known.
    package func forGroup(
        _ group: SDPConnection, firstPort: UInt16, tracks: [Int]? = nil, source: String?
    ) -> SessionDescription {
        var copy = self
        copy.lines.removeAll { $0.isType("c") || $0.isAttribute("source-filter") }
        // The order of RFC 8866 section 5: c= stands behind i=, u=, e= and p=.
        let place = copy.lines.lastIndex { line in "vosiuep".utf8.contains(line.typeByte) }.map { $0 + 1 } ?? 0
        copy.lines.insert(SDPLine("c", group.text), at: place)
        if let source {
            let filter = SDPSourceFilter(isInclusive: true, destination: group.address, sources: [source])
            copy.lines.append(.attribute("source-filter", filter.text(isIPv6: group.isIPv6)))
        }
        for (index, track) in zip(copy.media.indices, tracks ?? Array(copy.media.indices)) {
            copy.media[index].port = firstPort &+ UInt16(truncatingIfNeeded: 2 * track)
        }
        return copy
    }
}

extension SessionDescription {
    /// The same with `a=rtcp-mux` for each media: RTP and RTCP may share a port (RFC 5761 section 5.1.1).
    package var offeringMultiplexing: SessionDescription {
        var copy = self
        for index in copy.media.indices where !copy.media[index].isMultiplexed { copy.media[index].lines.append(.attribute("rtcp-mux")) }
        return copy
    }
}

extension MediaDescription {
    /// Where RTCP travels (`a=rtcp`, RFC 3605), else the port above RTP's; nil when there is none.
    package var rtcpPort: UInt16? {
        if let value = lines.attribute("rtcp") {
            let word = value.byteSlice.split(whereSeparator: ASCII.isBlank).first ?? []
            if let port = ASCII.decimal(word, max: 65_535), port > 0 { return UInt16(truncatingIfNeeded: port) }
        }
        return port == 0 || port == .max ? nil : port &+ 1
    }

    /// Whether RTP and RTCP share the port (RFC 5761).
    package var isMultiplexed: Bool { lines.attribute("rtcp-mux") != nil }
}

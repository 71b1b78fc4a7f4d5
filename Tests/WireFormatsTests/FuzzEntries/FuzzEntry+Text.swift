#if canImport(WireFormats)
    import WireFormats
#endif

// RTSP's byte stream, its headers, URLs and session descriptions.

extension FuzzEntry {
    static func rtspStream(_ bytes: [UInt8]) {
        let limits = RTSPLimits(lineBytesMax: 256, headBytesMax: 1_024, headerCountMax: 16, bodyBytesMax: 512)
        let whole = parsed(bytes, step: max(bytes.count, 1), limits: limits)
        check(whole == parsed(bytes, step: 1, limits: limits), "one by one, the bytes give other elements")
        check(whole == parsed(bytes, step: 7, limits: limits), "in pieces, the bytes give other elements")
        for element in whole.elements {
            switch element {
            case .request(let request):
                touch(request.headers)
                rewritten(element, request.serialized())
            case .response(let response):
                touch(response.headers)
                rewritten(element, response.serialized())
            case .interleaved(let channel, let payload): rewritten(element, InterleavedHeader.frame(channel: channel, payload: payload))
            }
        }
    }

    /// The first line is an expression, the second a name.
    static func nameExpression(_ bytes: [UInt8]) {
        let lines = bytes.split(separator: 10, maxSplits: 1, omittingEmptySubsequences: false)
        guard let expression = try? NameExpression(String(decoding: lines[0], as: UTF8.self)) else { return }
        let name = lines.count > 1 ? String(decoding: lines[1], as: UTF8.self) : ""
        guard let match = expression.match(name) else { return }
        check(match.count == expression.groupCount + 1 && match[0] != nil, "a match without its groups")
        check(match.allSatisfy { $0.map { name.utf8.count >= $0.utf8.count } ?? true }, "a group that is longer than the name")
        check(expression.groupNames.values.allSatisfy((1...NameExpression.groupsMax).contains), "a name of no group")
    }

    /// The first line is `Max-Forwards`, the others are lines of `Via`.
    static func via(_ text: String) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        if let left = ViaHeader.maxForwards(lines[0]) {
            check(ViaHeader.maxForwards("\(left)") == left, "a number that is not read again")
        }
        let entries = ViaHeader.entries(lines)
        check(entries.count <= ViaHeader.countMax, "more entries than there may be")
        for entry in entries {
            check(entry.text.utf8.count <= ViaHeader.entryBytesMax + 3, "an entry that is too long")
            check(entry.text.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F }, "an entry that cannot be written")
        }
        let again = ViaHeader.entries([entries.map(\.text).joined(separator: ", ")])
        check(again == entries, "what was written is read otherwise")
    }

    private struct Outcome: Equatable {
        var elements: [RTSPElement] = []
        var error: RTSPParseError?
        var consumed: UInt64 = 0
        var rest: [UInt8] = []
    }

    private static func parsed(_ bytes: [UInt8], step: Int, limits: RTSPLimits) -> Outcome {
        var outcome = Outcome()
        var parser = RTSPParser(limits: limits)
        var index = 0
        do {
            while index < bytes.count {
                parser.append(bytes[index..<min(index + step, bytes.count)])
                index += step
                while let element = try parser.next() { outcome.elements.append(element) }
            }
            outcome.consumed = parser.bytesConsumed
            outcome.rest = parser.takeRemainder()
            check(Int(outcome.consumed) + outcome.rest.count == bytes.count, "bytes consumed and left are not all bytes")
        } catch {
            // How much was taken when the fault was noticed depends on how the bytes came; the fault itself does not.
            outcome.error = error
            check((400...599).contains(error.status.code) && !error.description.isEmpty, "an error without status")
        }
        return outcome
    }

    /// What was written and read again is the same, but for what writing makes uniform.
    private static func rewritten(_ element: RTSPElement, _ bytes: [UInt8]) {
        var parser = RTSPParser(
            limits: RTSPLimits(lineBytesMax: 8 << 10, headBytesMax: 64 << 10, headerCountMax: 64, bodyBytesMax: 64 << 10))
        parser.append(bytes)
        guard let again = try? parser.next() else { return check(false, "a written element cannot be read") }
        check(parser.bytesBuffered == 0, "a written element is more than one")
        switch (element, again) {
        case (.request(let a), .request(let b)):
            check(a.method == b.method && a.version == b.version && a.body == b.body, "a written request reads differently")
        case (.response(let a), .response(let b)):
            check(a.status == b.status && a.version == b.version && a.body == b.body, "a written response reads differently")
        case (.interleaved, .interleaved): check(element == again, "a written frame reads differently")
        default: check(false, "a written element reads as another kind")
        }
    }

    private static func touch(_ headers: RTSPHeaders) {
        _ = (headers.cseq, headers.cseqNumber, headers.session?.text, headers.publicMethods, headers.allowedMethods)
        _ = (headers.requiredOptions, headers.unsupportedOptions, headers.contentBase, headers.contentType)
        _ = (headers.retryAfterSeconds, headers.scale, headers.speed)
        _ = ControlURL.base(request: "rtsp://h/p", headers: headers)
        for field in headers.fields {
            transport(field.value)
            range(field.value)
            rtpInfo(field.value)
            authentication(field.value)
        }
    }

    static func register(_ text: String) {
        guard let header = try? RegisterHeader(parsing: text) else { return }
        check((header.suffix?.utf8.count ?? 1) > 0, "an empty suffix")
        guard let again = try? RegisterHeader(parsing: header.text) else { return check(false, "cannot be read: \(header.text)") }
        check(again == header, "reads differently: \(header.text)")
    }

    static func transport(_ text: String) {
        guard let specs = try? TransportHeader.parse(text) else { return }
        check(!specs.isEmpty, "no spec and no error")
        for spec in specs {
            _ = (spec.profile, spec.isPlainRTP, spec.lowerTransport, spec.clientPort?.rtcpPort, spec.interleaved?.rtcpChannel)
        }
        let written = TransportHeader.text(specs)
        guard let again = try? TransportHeader.parse(written) else { return check(false, "cannot be read: \(written)") }
        check(TransportHeader.text(again) == written, "reads differently: \(written)")
    }

    static func range(_ text: String) {
        guard let range = try? RangeHeader.parse(text) else { return }
        guard let again = try? RangeHeader.parse(range.text) else { return check(false, "cannot be read: \(range.text)") }
        check(again == range, "reads differently: \(range.text)")
    }

    static func rtpInfo(_ text: String) {
        let elements = RTPInfoHeader.parse(text)
        check(elements.count <= RTPInfoHeader.countMax, "too many elements")
        let written = RTPInfoHeader.text(elements)
        check(RTPInfoHeader.parse(written).count <= RTPInfoHeader.countMax, "too many elements")
    }

    static func authentication(_ text: String) {
        for challenge in WWWAuthenticateHeader.parse(text) {
            _ = (challenge.isBasic, challenge.isDigest, challenge.realm, challenge.nonce, challenge.qop, challenge.isStale)
            let again = WWWAuthenticateHeader.parse(challenge.text)
            check(again.count >= 1, "a written challenge is none: \(challenge.text)")
            check(again[0].nonce == challenge.nonce && again[0].realm == challenge.realm, "reads differently: \(challenge.text)")
        }
        guard let credentials = AuthorizationHeader(text) else { return }
        check(AuthorizationHeader(credentials.text) != nil, "written credentials are none")
    }

    static func url(_ text: String) {
        canonicalURL(text)
        _ = ControlURL.resolve(text, base: "rtsp://h/p")
        _ = ControlURL.base(request: text, headers: ["Content-Base": text])
        for allowing in [false, true] {
            guard let url = try? RTSPURL(text, allowingNoScheme: allowing) else { continue }
            check(!url.host.isEmpty && url.port != 0, "no host, or port 0")
            check(url.path.isEmpty || url.path.utf8.first == UInt8(ascii: "/"), "a path without a slash")
            guard url.textWithPassword.utf8.count <= RTSPURL.bytesMax else { continue }
            guard let again = try? RTSPURL(url.textWithPassword) else { return check(false, "cannot be read: \(url.textWithPassword)") }
            check(again == url, "reads differently: \(url.textWithPassword)")
            if let (aggregate, component) = url.splittingLastComponent() { _ = (aggregate.pathName, url.removing(control: component)) }
            _ = url.removing(control: text)
        }
    }

    /// What is asked for upstream is what is kept under it: written and read again it is the same, and nothing in it ends a line.
    private static func canonicalURL(_ text: String) {
        guard let places = try? CanonicalURL.candidates(text) else {
            return check((try? CanonicalURL(text)) == nil, "a place without candidates")
        }
        check(!places.isEmpty && places.count <= 2, "no place, or too many")
        for place in places {
            let url = place.url
            check(url.utf8.count <= CanonicalURL.bytesMax && url.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }, "not a URL: \(url)")
            check(place.port > 0 && !place.host.isEmpty && place.target.utf8.first == UInt8(ascii: "/"), "not a place: \(url)")
            check(
                !place.target.utf8.contains(UInt8(ascii: "#")) && !place.authority.utf8.contains(UInt8(ascii: "@")),
                "more than a place: \(url)")
            check((try? CanonicalURL(url)) == place, "reads differently: \(url)")
        }
    }

    static func sdp(_ bytes: [UInt8]) {
        guard let description = try? SessionDescription(bytes) else { return }
        _ = description.warnings.map(\.description)
        let written = description.serialized()
        guard let again = try? SessionDescription(written) else { return check(false, "a written description cannot be read") }
        check(again.lines == description.lines && again.media == description.media, "a written description reads differently")
        let origin = SDPOrigin(sessionID: 1, sessionVersion: 1, address: "127.0.0.1")
        let readers = description.forReaders(origin: origin)
        check(readers.media.count == description.receivableMedia.count, "a media is missing for readers")
        for (index, media) in readers.media.enumerated() {
            check(media.clockRate > 0 && media.port == 0 && media.control == "trackID=\(index)", "not a reader's media")
            _ = (media.codec.name, media.bitRate, media.direction, media.formatParameter("sprop-parameter-sets"))
            for type in media.payloadTypes { _ = readers.formatParameters(media: index, payloadType: type) }
        }
        _ = (readers.range, readers.sessionName)
        for index in description.media.indices {
            let connection = description.connection(media: index)
            if let connection { check(SDPConnection(connection.text) == connection, "a c= line reads differently when written") }
            _ = description.sourceFilter(media: index, destination: connection?.address ?? "")
            _ = (description.media[index].rtcpPort, description.media[index].isMultiplexed)
        }
        let group = readers.forGroup(SDPConnection(address: "239.1.2.3", isIPv6: false, ttl: 1), firstPort: 65_534, source: "10.0.0.1")
        guard let listeners = try? SessionDescription(group.serialized()) else {
            return check(false, "a group's description cannot be read")
        }
        check(listeners.media.count == readers.media.count, "a media is missing for listeners")
        guard let twice = try? SessionDescription(readers.serialized()) else { return check(false, "cannot be read for readers") }
        check(twice.forReaders(origin: origin) == twice.forReaders(origin: origin), "not the same twice")
    }

    /// A line that says which tracks are wanted, and behind it a description.
    static func tracks(_ bytes: [UInt8]) {
        let line = bytes.prefix { $0 != 10 }
        guard let selection = try? TrackSelection(String(decoding: line, as: UTF8.self)) else { return }
        check((try? TrackSelection(selection.description)) == selection, "what a selection says of itself reads differently")
        guard let description = try? SessionDescription(Array(bytes.dropFirst(line.count + 1))) else { return }
        for index in description.media.indices { _ = selection.wants(description.media[index], index: index) }
    }

    /// The head of a tunnel's half, and the same bytes as what a POST brings.
    static func tunnel(_ bytes: [UInt8]) {
        if let request = try? TunnelRequest.parse(bytes) {
            check(TunnelRequest.beginning(bytes) == .http, "a head that does not begin as one")
            check((1...TunnelRequest.headBytesMax).contains(request.headBytes) && request.headBytes <= bytes.count, "a head outside")
            check(request.cookie.map { (1...TunnelRequest.cookieBytesMax).contains($0.utf8.count) } ?? true, "a cookie too long")
            check((try? TunnelRequest.parse(Array(bytes[..<request.headBytes]))) == request, "the head alone reads differently")
        }
        var whole = TunnelDecoder()
        var pieces = TunnelDecoder()
        var plain: [UInt8] = []
        for byte in bytes {
            guard let more = try? pieces.decode([byte]) else {
                check((try? whole.decode(bytes)) == nil, "a cut makes an error")
                return
            }
            plain += more
        }
        check((try? whole.decode(bytes)) == plain, "a cut makes a difference")
        check(plain.count <= bytes.count, "more came out than went in")
        var again = TunnelDecoder()
        check((try? again.decode(Array(Base64.encode(plain).utf8))) == plain, "what was read and written reads differently")
    }
}

/// A place at an origin, in the one way in which it is written *and asked for*: what a cache keeps content under.
///
/// The rule that keeps others from putting something of theirs under it: what goes upstream is made from this (``url``), and from nothing else
/// of a player's request. So two spellings may be one only where the origin is asked the same for both, and what a player adds beyond it never
/// reaches what others are given.
package struct CanonicalURL: Sendable, Hashable, CustomStringConvertible {
    /// Which protocol the origin is asked by. `mmsh`, `mmshttp` and `http` are one; `rtsp`, `rtspt`, `rtspu` and `rtsph` are one. The two are
    /// not: port 80 and port 554 of a host are two services, which may belong to two people, and their validators do not compare.
    package enum Scheme: String, Sendable, Hashable, CaseIterable {
        /// Windows Media over HTTP.
        case mmsh
        /// RTSP of any kind.
        case rtsp
        /// RTSP over TLS.
        case rtsps

        /// Left out of the text.
        package var defaultPort: UInt16 {
            switch self {
            case .mmsh: 80
            case .rtsp: 554
            case .rtsps: 322
            }
        }
    }

    /// Why nothing can be kept under a URL. It is served all the same, to each player from the origin.
    package enum Trouble: Error, Hashable, CustomStringConvertible {
        /// Longer than ``CanonicalURL/bytesMax`` when written out.
        case tooLong(bytes: Int)
        /// Not one that can be kept from.
        case scheme
        /// Not a name, an IPv4 address, or an IPv6 address in brackets.
        case host
        /// Not a number of 1 to 65535.
        case port
        /// A `%` without two hexadecimal digits, or `%00`.
        case percent
        /// A control character, or a `#`.
        case character
        /// More `..` than there are folders.
        case outside

        /// What is wrong, in words that repeat nothing of the URL.
        package var description: String {
            switch self {
            case .tooLong(let bytes): "the URL takes \(bytes) bytes, more than \(CanonicalURL.bytesMax)"
            case .scheme: "the URL does not begin with mmsh, mms, mmshttp, http, rtsp, rtspt, rtspu, rtsph or rtsps, and ://"
            case .host: "the URL's host is no name of ASCII letters, digits, '-', '_' and '.', and no IP address"
            case .port: "the URL's port is not a number of 1 to 65535"
            case .percent: "a '%' in the URL is not followed by two hexadecimal digits, or stands for NUL"
            case .character: "the URL holds a control character or a '#'"
            case .outside: "the URL's path leads out of the server with '..'"
            }
        }
    }

    /// Of ``url``, and so of what is asked upstream.
    package static let bytesMax = 2_048

    /// Which protocol the origin is asked by.
    package let scheme: Scheme
    /// In small letters; an IPv6 address without its brackets.
    package let host: String
    /// The port to connect to.
    package let port: UInt16
    /// Path and query as they are asked for, beginning with `/`.
    package let target: String

    /// A URL. For `mms://`, which leaves open which protocol is spoken, that of HTTP: see ``candidates(_:)``.
    package init(_ url: String) throws(Trouble) {
        let (name, rest) = try Self.split(url)
        guard let scheme = Self.scheme(name) else { throw .scheme }
        try self.init(scheme: scheme, rest)
    }

    /// The places under which content of a URL may be kept, in the order in which they are tried: for `mms://` what came by RTSP (where no port is
    /// named, at 554), then what came by HTTP (at 80); for all others the one. Content is kept under the protocol by which it came.
    package static func candidates(_ url: String) throws(Trouble) -> [CanonicalURL] {
        let (name, rest) = try split(url)
        if name == "mms" { return [try CanonicalURL(scheme: .rtsp, rest), try CanonicalURL(scheme: .mmsh, rest)] }
        guard let scheme = scheme(name) else { throw .scheme }
        return [try CanonicalURL(scheme: scheme, rest)]
    }

    /// `host:port`, the port only where it is not the scheme's, brackets around an IPv6 address.
    package var authority: String {
        let name = host.utf8.contains(ASCII.colon) ? "[\(host)]" : host
        return port == scheme.defaultPort ? name : "\(name):\(port)"
    }

    /// The URL to ask the origin for, and the text that names the object in the store: `mmsh://host/path?query`. Read again it is the same.
    package var url: String { "\(scheme.rawValue)://\(authority)\(target)" }
    /// ``url``.
    package var description: String { url }

    private static func scheme(_ name: String) -> Scheme? {
        switch name {
        case "mmsh", "mms", "mmshttp", "http": .mmsh
        case "rtsp", "rtspt", "rtspu", "rtsph": .rtsp
        case "rtsps": .rtsps
        default: nil
        }
    }

    /// The scheme in small letters, and what stands behind `://`.
    private static func split(_ url: String) throws(Trouble) -> (String, ArraySlice<UInt8>) {
        let bytes = url.byteSlice.trimmed
        // Escapes only make it longer: three bytes for one.
        guard bytes.count <= bytesMax else { throw .tooLong(bytes: bytes.count) }
        guard let colon = bytes.firstIndex(of: ASCII.colon), bytes[colon...].starts(with: "://".utf8) else { throw .scheme }
        return (bytes[..<colon].lowercasedText, bytes[(colon + 3)...])
    }

    private init(scheme: Scheme, _ rest: ArraySlice<UInt8>) throws(Trouble) {
        guard rest.allSatisfy({ $0 >= 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "#") }) else { throw .character }
        let end = rest.firstIndex { $0 == ASCII.slash || $0 == UInt8(ascii: "?") } ?? rest.endIndex
        var authority = rest[..<end]
        // Who asks is no part of what is asked for.
        if let at = authority.lastIndex(of: UInt8(ascii: "@")) { authority = authority[(at + 1)...] }
        self.scheme = scheme
        let (host, port) = try Self.hostAndPort(authority)
        self.host = host
        self.port = port ?? scheme.defaultPort
        let question = rest[end...].firstIndex(of: UInt8(ascii: "?"))
        var target = try Self.path(rest[end..<(question ?? rest.endIndex)])
        if let question, let query = try Self.query(rest[(question + 1)...]) {
            target.append(UInt8(ascii: "?"))
            target += query
        }
        self.target = String(decoding: target, as: UTF8.self)
        let bytes = url.utf8.count
        guard bytes <= Self.bytesMax else { throw .tooLong(bytes: bytes) }
    }
}

extension CanonicalURL {
    private static func hostAndPort(_ authority: ArraySlice<UInt8>) throws(Trouble) -> (String, UInt16?) {
        var host = authority
        var portText: ArraySlice<UInt8>?
        var isAddress = false
        if authority.first == UInt8(ascii: "[") {
            guard let close = authority.firstIndex(of: UInt8(ascii: "]")) else { throw .host }
            host = authority[(authority.startIndex + 1)..<close]
            let behind = authority[(close + 1)...]
            guard behind.isEmpty || behind.first == ASCII.colon else { throw .host }
            portText = behind.isEmpty ? nil : behind.dropFirst()
            isAddress = true
        } else if let colon = authority.firstIndex(of: ASCII.colon) {
            host = authority[..<colon]
            portText = authority[(colon + 1)...]
        }
        guard !host.isEmpty, host.count <= 255, host.allSatisfy({ isHostByte($0, inAddress: isAddress) }) else { throw .host }
        if isAddress { guard host.contains(ASCII.colon) else { throw .host } }
        let name = host.lowercasedText
        guard let portText, !portText.isEmpty else { return (name, nil) }
        guard let port = ASCII.decimal(portText, max: 65_535), port > 0 else { throw .port }
        return (name, UInt16(truncatingIfNeeded: port))
    }

    /// Names beyond ASCII are asked for in their ASCII form (`xn--…`): there are too many ways of writing the others.
    private static func isHostByte(_ byte: UInt8, inAddress: Bool) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            ASCII.dot:
            true
        case ASCII.dash, UInt8(ascii: "_"): !inAddress
        case ASCII.colon: inAddress
        default: false
        }
    }

    /// RFC 3986 section 6.2.2: escapes of what needs none are undone, others get capital letters, then dot segments are removed. Small and
    /// capital letters, `//` and `%2F` stay what they are: what they mean is the origin's affair.
    private static func path(_ bytes: ArraySlice<UInt8>) throws(Trouble) -> [UInt8] {
        let plain = try normalized(bytes, isQuery: false)
        var segments: [ArraySlice<UInt8>] = []
        let parts = plain.split(separator: ASCII.slash, omittingEmptySubsequences: false).dropFirst()
        for (index, part) in parts.enumerated() {
            let isLast = index == parts.count - 1
            if part.elementsEqual("..".utf8) {
                guard segments.popLast() != nil else { throw .outside }
                if isLast { segments.append([]) }
            } else if part.elementsEqual(".".utf8) {
                if isLast { segments.append([]) }
            } else {
                segments.append(part)
            }
        }
        return segments.isEmpty ? [ASCII.slash] : segments.flatMap { [ASCII.slash] + $0 }
    }

    /// What is left of a query without `WMCache` and `WMBitrate`, which speak of the player; nil: nothing.
    private static func query(_ bytes: ArraySlice<UInt8>) throws(Trouble) -> [UInt8]? {
        let parts = try normalized(bytes, isQuery: true).split(separator: UInt8(ascii: "&"), omittingEmptySubsequences: false).filter {
            part in
            let name = part.split(atFirst: ASCII.equals).0
            return !ASCII.equalIgnoringCase(name, "WMCache") && !ASCII.equalIgnoringCase(name, "WMBitrate")
        }
        let left = Array(parts.joined(separator: [UInt8(ascii: "&")]))
        return left.isEmpty ? nil : left
    }

    private static func normalized(_ bytes: ArraySlice<UInt8>, isQuery: Bool) throws(Trouble) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var index = bytes.startIndex
        while index < bytes.endIndex {
            let byte = bytes[index]
            index += 1
            if byte == ASCII.percent {
                guard bytes.endIndex - index >= 2, let high = ASCII.hexValue(bytes[index]), let low = ASCII.hexValue(bytes[index + 1])
                else {
                    throw .percent
                }
                index += 2
                let plain = high << 4 | low
                guard plain != 0 else { throw .percent }
                if isUnreserved(plain) { result.append(plain) } else { appendEscaped(plain, to: &result) }
            } else if isUnreserved(byte) || isPlain(byte, inQuery: isQuery) {
                result.append(byte)
            } else {
                appendEscaped(byte, to: &result)
            }
        }
        return result
    }

    private static func appendEscaped(_ byte: UInt8, to result: inout [UInt8]) {
        let digits = "0123456789ABCDEF".utf8.span
        result.append(ASCII.percent)
        result.append(digits[Int(byte >> 4)])
        result.append(digits[Int(byte & 15)])
    }

    private static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            ASCII.dash, ASCII.dot, UInt8(ascii: "_"), UInt8(ascii: "~"):
            true
        default: false
        }
    }

    /// What may stand in a path and a query as it is, and then means something else than its escape.
    private static func isPlain(_ byte: UInt8, inQuery: Bool) -> Bool {
        switch byte {
        case UInt8(ascii: "!"), UInt8(ascii: "$"), UInt8(ascii: "&"), UInt8(ascii: "'"), UInt8(ascii: "("), UInt8(ascii: ")"),
            UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: ","), UInt8(ascii: ";"), ASCII.equals, ASCII.colon,
            UInt8(ascii: "@"), ASCII.slash:
            true
        case UInt8(ascii: "?"): inQuery
        default: false
        }
    }
}

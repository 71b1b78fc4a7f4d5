import PlaneLink
import Signalling
import WireFormats

/// A URL with places for what the groups of an expression matched: `rtsp://origin.example/$1?profile=${quality}`.
///
/// `$1` and `${1}` stand for a group's text, `${name}` for a named group's, `$0` for the whole match, `$$` for a dollar; `$G1` is `$1`, as
/// MediaMTX writes it. They may stand in the path and the query, where what is put in is escaped, and in the host, where what comes out must
/// be allowed by a list. In a user, a password and a port nothing is put in, and `$` is itself.
package struct URLTemplate: Sendable, Equatable, CustomStringConvertible {
    enum Piece: Sendable, Equatable {
        case text(String)
        case group(Int)
    }

    /// As it was written, without user information.
    package private(set) var description: String
    /// Before the host: scheme and user information.
    private let opening: String
    let host: [Piece]
    /// `:554`, or nothing.
    private let port: String
    private let path: [Piece]
    /// With its question mark, or nothing.
    private let query: [Piece]

    /// Whether whoever asks for a name has a say in which machine is dialled.
    package var variesHost: Bool { Self.varies(host) }

    /// Reads a template for an expression. The words of the error hold no password.
    package init(_ text: String, for expression: NameExpression) throws(ValueProblem) {
        guard let colon = text.firstRange(of: "://") else {
            throw ValueProblem("it is no URL; write rtsp://HOST/PATH with $1 and the like")
        }
        let rest = text[colon.upperBound...]
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        var authority = rest[..<end]
        var opening = String(text[..<colon.upperBound])
        let scheme = opening
        if let at = authority.lastIndex(of: "@") {
            opening += authority[...at]
            authority = authority[authority.index(after: at)...]
        }
        self.opening = opening
        let brackets = authority.firstIndex(of: "]") ?? authority.startIndex
        let split = authority[brackets...].firstIndex(of: ":") ?? authority.endIndex
        port = String(authority[split...])
        guard !port.contains("$") else { throw ValueProblem("a port stands as it is; $ is for the host, the path and the query") }
        host = try Self.pieces(authority[..<split], expression)
        let behind = rest[end...]
        let mark = behind.firstIndex(of: "?") ?? behind.endIndex
        path = try Self.pieces(behind[..<mark], expression)
        query = try Self.pieces(behind[mark...], expression)
        description = scheme + authority + behind[..<mark] + (mark < behind.endIndex ? "?…" : "")
        // Whether it is a URL at all, whatever is put in.
        let example = url { _ in "1" }
        if namesWindowsMedia {
            do throws(WMSPSourceURL.Trouble) { _ = try WMSPSourceURL(example) } catch { throw ValueProblem(error.description) }
        } else {
            do throws(SourceURL.Trouble) { _ = try SourceURL(text: example) } catch { throw ValueProblem(error.description) }
        }
    }

    /// A URL in which nothing is put in.
    init(literal text: String) throws(ValueProblem) {
        guard let nothing = try? NameExpression("") else { throw ValueProblem("it cannot be read") }
        try self.init(text.replacing("$", with: "$$"), for: nothing)
        description = description.replacing("$$", with: "$")
    }

    /// Whether it names a user.
    var holdsCredentials: Bool { opening.hasSuffix("@") }

    /// What is pulled for what matched, Windows Media or RTSP as the scheme says; nil where ``url(for:)`` is.
    func source(for match: [String?]) -> PathSettings.Source? {
        guard namesWindowsMedia else { return url(for: match).map { .pull($0) } }
        return text(for: match).flatMap { try? WMSPSourceURL($0) }.map { .windowsMedia($0) }
    }

    /// It is Windows Media's, by HTTP or whatever its server speaks.
    var namesWindowsMedia: Bool { WMSPSourceURL.isOne(opening) }

    /// The URL for what matched, or nil when a group's text cannot stand where it is to stand.
    package func url(for match: [String?]) -> SourceURL? { text(for: match).flatMap { try? SourceURL(text: $0) } }

    private func text(for match: [String?]) -> String? {
        func text(_ group: Int) -> String { match.indices.contains(group) ? match[group] ?? "" : "" }
        for case .group(let group) in host {
            let text = text(group)
            // Neither a port, nor user information, nor brackets.
            guard !text.isEmpty, text.utf8.allSatisfy(Self.isHostByte) else { return nil }
        }
        return url(text)
    }

    private func url(_ text: (Int) -> String) -> String {
        func joined(_ pieces: [Piece], _ escaped: (String) -> String) -> String {
            pieces.map { piece in
                switch piece {
                case .text(let text): text
                case .group(let group): escaped(text(group))
                }
            }.joined()
        }
        // Names have neither empty parts nor `..` between their slashes: those that are put in lead nowhere else.
        let path = joined(path) {
            $0.split(separator: "/", omittingEmptySubsequences: false).map { PercentEncoding.encoded(String($0)) }.joined(separator: "/")
        }
        return opening + joined(host) { $0 } + port + path + joined(query) { PercentEncoding.encoded($0) }
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        ByteRanges.letters(byte) || ByteRanges.digits(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".")
    }

    private enum ByteRanges {
        static func letters(_ byte: UInt8) -> Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) }
        static func digits(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
    }

    private static func varies(_ pieces: [Piece]) -> Bool {
        pieces.contains { if case .group = $0 { true } else { false } }
    }

    private static func pieces(_ text: Substring, _ expression: NameExpression) throws(ValueProblem) -> [Piece] {
        var pieces: [Piece] = []
        var plain = ""
        var rest = text
        while let dollar = rest.firstIndex(of: "$") {
            plain += rest[..<dollar]
            rest = rest[dollar...].dropFirst()
            if rest.first == "$" {
                plain += "$"
                rest = rest.dropFirst()
                continue
            }
            let name: String
            if rest.first == "{" {
                guard let close = rest.firstIndex(of: "}") else { throw ValueProblem("a ${ without its }") }
                name = String(rest[rest.index(after: rest.startIndex)..<close])
                rest = rest[close...].dropFirst()
            } else {
                if rest.first == "G" { rest = rest.dropFirst() }
                let digits = rest.prefix { $0.isASCII && $0.isNumber }
                guard !digits.isEmpty else { throw ValueProblem("behind a $ stands a group's number, or ${name}; write $$ for a dollar") }
                name = String(digits)
                rest = rest[digits.endIndex...]
            }
            if !plain.isEmpty { pieces.append(.text(plain)) }
            plain = ""
            pieces.append(.group(try group(name, expression)))
        }
        plain += rest
        if !plain.isEmpty { pieces.append(.text(plain)) }
        return pieces
    }

    private static func group(_ name: String, _ expression: NameExpression) throws(ValueProblem) -> Int {
        if let number = Int(name), number >= 0 {
            guard number <= expression.groupCount else {
                throw ValueProblem("there is no group \(number): the expression has \(expression.groupCount)")
            }
            return number
        }
        guard let number = expression.groupNames[name] else {
            let names = expression.groupNames.keys.sorted().joined(separator: ", ")
            throw ValueProblem(
                "there is no group `\(name.prefix(32))`" + (names.isEmpty ? "; (?<name>…) gives one a name" : "; there is \(names)"))
        }
        return number
    }
}

extension SourceURL {
    fileprivate init(text: String) throws(Trouble) { try self.init(text) }
}

/// One item of a list of hosts that may be dialled: an address, a network, a name, or `*.example.org` for all below it.
package enum HostRule: Sendable, Equatable, CustomStringConvertible {
    case network(NetworkPrefix)
    case name(String)
    case below(String)

    /// Reads one item.
    init(parsing text: String) throws(ValueProblem) {
        if text.contains("/") || text.contains(":") || HostAddress(numeric: text) != nil {
            self = .network(try NetworkPrefix(parsing: text))
            return
        }
        let isBelow = text.hasPrefix("*.")
        let name = (isBelow ? String(text.dropFirst(2)) : text).lowercased()
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        guard !name.isEmpty, name.utf8.count <= 253, parts.allSatisfy({ !$0.isEmpty }),
            name.utf8.allSatisfy({
                $0 < 0x7F
                    && ($0 == 0x2D || $0 == 0x2E || $0 == 0x5F || Character(Unicode.Scalar($0)).isLetter
                        || Character(Unicode.Scalar($0)).isNumber)
            })
        else {
            throw ValueProblem("`\(text)` is no host; write a name, *.example.org, an address or a network such as 10.0.0.0/24")
        }
        self = isBelow ? .below(name) : .name(name)
    }

    /// Whether this host may be dialled. A name fits a name alone: what it resolves to is not looked at.
    func permits(_ host: String) -> Bool {
        let host = host.lowercased()
        switch self {
        case .network(let network): return HostAddress(numeric: host).map(network.contains) ?? false
        case .name(let name): return host == name
        case .below(let name): return host.hasSuffix("." + name)
        }
    }

    /// As it may be written.
    package var description: String {
        switch self {
        case .network(let network): network.description
        case .name(let name): name
        case .below(let name): "*." + name
        }
    }
}

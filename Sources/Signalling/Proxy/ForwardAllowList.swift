import WireFormats

/// Whom the forward proxy asks on behalf of players: nobody but who is listed, so that it opens no door to what lies behind it.
package struct ForwardAllowList: Sendable, Hashable {
    /// What is wrong with an entry, in words.
    package struct Trouble: Error, Hashable, CustomStringConvertible {
        /// What is wrong, and what is expected.
        package let description: String
    }

    /// Entries; more are refused.
    package static let countMax = 256

    private enum Ports: Hashable {
        case standard
        case any
        case one(UInt16)
    }

    private enum Hosts: Hashable {
        case any
        case named(String)
        /// `.example.org`: what ends with it.
        case below(String)
    }

    private struct Entry: Hashable {
        var hosts: Hosts
        var ports: Ports
    }

    private let entries: [Entry]

    /// Nobody is listed: the forward proxy is off.
    package var isEmpty: Bool { entries.isEmpty }

    /// `origin.example.org`, `*.example.org` (what is below it, not itself), `192.0.2.7`, `[2001:db8::1]` or `*`; behind it `:8080` or `:*`. Without a
    /// port only the protocol's own (80, 554, 322).
    package init(_ texts: [String]) throws(Trouble) {
        guard texts.count <= Self.countMax else { throw Trouble(description: "\(texts.count) entries are more than \(Self.countMax)") }
        var entries: [Entry] = []
        for text in texts {
            guard let entry = Self.entry(text.trimmedBlanks) else {
                throw Trouble(
                    description: "`\(text)` is none of HOST, *.DOMAIN, an IPv4 address, an IPv6 address in brackets and *, "
                        + "with :PORT or :* behind it where another port than the protocol's own is meant")
            }
            entries.append(entry)
        }
        self.entries = entries
    }

    /// Whether players may have content of this place.
    package func permits(_ key: CacheKey) -> Bool {
        entries.contains { entry in
            switch entry.ports {
            case .standard: guard key.port == key.scheme.defaultPort else { return false }
            case .any: break
            case .one(let port): guard key.port == port else { return false }
            }
            switch entry.hosts {
            case .any: return true
            case .named(let name): return key.host == name
            case .below(let domain): return key.host.utf8.count > domain.utf8.count && key.host.hasSuffix(domain)
            }
        }
    }

    private static func entry(_ text: String) -> Entry? {
        var host = Substring(text), ports = Ports.standard
        if let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")), !text.utf8[colon...].contains(UInt8(ascii: "]")) {
            host = text[..<colon]
            let port = text[text.utf8.index(after: colon)...]
            if port == "*" {
                ports = .any
            } else {
                guard let number = UInt16(port), number > 0, port.utf8.allSatisfy({ $0 &- 0x30 < 10 }) else { return nil }
                ports = .one(number)
            }
        }
        if host == "*" { return Entry(hosts: .any, ports: ports) }
        let isBelow = host.hasPrefix("*.")
        // A host is one that a key can have, in the form in which keys have it.
        guard let key = try? CacheKey("mmsh://\(isBelow ? host.dropFirst(2) : host)/"), key.port == 80, key.target == "/",
            host.hasPrefix("[") || !host.utf8.contains(UInt8(ascii: ":")), !host.utf8.contains(UInt8(ascii: "/")),
            !host.utf8.contains(UInt8(ascii: "@")), !host.utf8.contains(UInt8(ascii: "?"))
        else { return nil }
        if isBelow { return key.host.utf8.contains(UInt8(ascii: ":")) ? nil : Entry(hosts: .below("." + key.host), ports: ports) }
        return Entry(hosts: .named(key.host), ports: ports)
    }
}

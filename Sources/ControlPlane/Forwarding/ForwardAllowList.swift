import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// Whom the forward proxy asks on behalf of players: nobody but who is listed, so that it opens no door to what lies behind it.
///
/// What a name leads to counts, too: addresses that are not the internet's (``reserved``) are asked only where they are listed themselves, as
/// addresses or as a network; neither `*` nor a name opens them.
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

        /// `standard`: the protocol's own.
        func permits(_ port: UInt16, _ standard: Set<UInt16>) -> Bool {
            switch self {
            case .standard: standard.contains(port)
            case .any: true
            case .one(let one): port == one
            }
        }
    }

    private enum Hosts: Hashable {
        case any
        case named(String)
        /// `.example.org`: what ends with it.
        case below(String)
        case network(NetworkPrefix)
    }

    private struct Entry: Hashable {
        var hosts: Hosts
        var ports: Ports
    }

    private let entries: [Entry]
    private let texts: [String]

    /// Nobody is listed: the forward proxy is off.
    package var isEmpty: Bool { entries.isEmpty }
    /// As it may be written.
    package var words: String { texts.joined(separator: ", ") }

    /// Nobody.
    package init() {
        entries = []
        texts = []
    }

    /// `origin.example.org`, `*.example.org` (what is below it, not itself), `192.0.2.7`, `[2001:db8::1]`, `10.0.0.0/8`, `[fd00::/8]` or `*`; behind it
    /// `:8080` or `:*`. Without a port only the protocol's own (80, 554, 322).
    package init(_ texts: [String]) throws(Trouble) {
        guard texts.count <= Self.countMax else { throw Trouble(description: "\(texts.count) entries are more than \(Self.countMax)") }
        var entries: [Entry] = []
        for text in texts {
            guard let entry = Self.entry(text.trimmedBlanks) else {
                throw Trouble(
                    description: "`\(text)` is none of HOST, *.DOMAIN, an IPv4 address or network (10.0.0.0/8), an IPv6 address or network "
                        + "in brackets and *, with :PORT or :* behind it where another port than the protocol's own is meant")
            }
            entries.append(entry)
        }
        self.entries = entries
        self.texts = texts.map(\.trimmedBlanks)
    }

    /// Whether players may have content of this place, as far as its name says.
    package func permits(_ key: CacheKey) -> Bool { permits(key.host, key.port, [key.scheme.defaultPort]) }

    /// Whether a host may be dialled at a port, as far as its name says. What protocol is spoken there is not known.
    package func permits(_ host: String, port: UInt16) -> Bool { permits(host.lowercased(), port, Self.standardPorts) }

    /// Whether what a permitted name leads to may be dialled.
    package func permits(_ address: HostAddress, port: UInt16) -> Bool {
        !Self.isReserved(address) || names(address, port, Self.standardPorts)
    }

    /// Whether it is no address of the internet: this machine, this link, this site, or nobody's.
    package static func isReserved(_ address: HostAddress) -> Bool { reserved.contains { $0.contains(address) } }

    private func permits(_ host: String, _ port: UInt16, _ standard: Set<UInt16>) -> Bool {
        if let address = HostAddress(numeric: host) {
            if names(address, port, standard) { return true }
            guard !Self.isReserved(address) else { return false }
        }
        return entries.contains { entry in
            guard entry.ports.permits(port, standard) else { return false }
            switch entry.hosts {
            case .any: return true
            case .named(let name): return host == name
            case .below(let domain): return host.utf8.count > domain.utf8.count && host.hasSuffix(domain)
            case .network: return false
            }
        }
    }

    private func names(_ address: HostAddress, _ port: UInt16, _ standard: Set<UInt16>) -> Bool {
        entries.contains { entry in
            guard case .network(let network) = entry.hosts else { return false }
            return network.contains(address) && entry.ports.permits(port, standard)
        }
    }

    private static let standardPorts: Set<UInt16> = [80, 554, 322]

    /// RFC 6890 and its like: "this" network, private, shared (RFC 6598), loopback, link-local, protocol assignments, benchmarks, multicast and
    /// reserved of IPv4; unspecified, loopback, IPv4 in another form (compatible, NAT64, 6to4), discarded, protocol assignments (Teredo among them),
    /// unique local, link- and site-local and multicast of IPv6.
    package static let reserved: [NetworkPrefix] = [
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16",
        "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2002::/16",
        "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
    ].compactMap { try? NetworkPrefix(parsing: $0) }

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
        let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
        let address = isBracketed ? host.dropFirst().dropLast() : host
        if isBracketed == address.utf8.contains(UInt8(ascii: ":")), let network = try? NetworkPrefix(parsing: String(address)) {
            return Entry(hosts: .network(network), ports: ports)
        }
        let isBelow = host.hasPrefix("*.")
        // A host is one that a key can have, in the form in which keys have it.
        guard let key = try? CacheKey("mmsh://\(isBelow ? host.dropFirst(2) : host)/"), key.port == 80, key.target == "/",
            !host.hasPrefix("["), !host.utf8.contains(where: { ":/@?".utf8.contains($0) })
        else { return nil }
        return Entry(hosts: isBelow ? .below("." + key.host) : .named(key.host), ports: ports)
    }
}

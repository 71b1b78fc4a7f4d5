import NIOCore
import PlaneLink

/// How a path is sent to a multicast group, for readers that ask for it or for everybody who listens.
package struct MulticastSettings: Sendable, Equatable {
    /// A group and the port of the first track's RTP. RTCP is one above; each further track lies two above the one before.
    package struct Destination: Sendable, Hashable {
        /// IPv4 or IPv6.
        package let group: HostAddress
        /// Even, with room above it for all tracks.
        package let port: UInt16
    }

    /// Where the path is sent to; nil: nowhere.
    package var destination: Destination?
    /// Time to live (IPv4) or hop limit (IPv6). 16 is what RFC 2326's examples and most servers use: through the routers of one site,
    /// and no further where borders are drawn by the old thresholds (32 and above leaves the site).
    package var ttl: UInt8 = 16
    /// The name or an address of the interface that packets leave by; nil: as the routes say.
    package var interface: String?
    /// The address that packets come from; nil: the interface's.
    package var source: HostAddress?
    /// Whether players on this machine hear the group, too.
    package var loops = true
    /// Whether the path is sent from the start on, without anybody asking.
    package var isAlways = false
    /// Whether readers may have the path by multicast only.
    package var isOnly = false

    /// No group.
    package init() {}

    /// Where it is sent and to whom, in one line; nil when there is no group.
    var words: String? {
        guard let destination else { return nil }
        var parts = ["multicast to \(destination.group.text(port: destination.port))", "ttl \(ttl)"]
        if let interface { parts.append("at \(interface)") }
        if let source { parts.append("from \(source.text)") }
        parts.append(isAlways ? "always" : "when asked for")
        if isOnly { parts.append("and nothing else") }
        return parts.joined(separator: ", ")
    }

    /// Something is set that means nothing without a group.
    var isUseless: Bool {
        var plain = Self()
        plain.destination = destination
        return destination == nil && self != plain
    }
}

extension MulticastSettings.Destination {
    /// The highest port of a first track: every track that a stream can have fits above it.
    static let portMax = 65_534 - 2 * (tracksPerStreamMax - 1)

    /// Reads `239.1.2.3:5004` or `[ff15::1]:5004`.
    init(parsing text: String) throws(ValueProblem) {
        let form = "write GROUP:PORT, such as 239.1.2.3:5004 or [ff15::1:2]:5004"
        guard let colon = text.lastIndex(of: ":"), !text.hasSuffix("]") else { throw ValueProblem("`\(text)` has no port; \(form)") }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            throw ValueProblem("`\(text)`: an IPv6 group needs brackets; \(form)")
        }
        group = try Self.group(String(host), form)
        let number = try SettingValue.number(String(text[text.index(after: colon)...]), in: 1...65_535)
        guard number % 2 == 0 else {
            throw ValueProblem("the port \(number) is odd: RTP takes an even one and RTCP the next; write \(number - 1) or \(number + 1)")
        }
        guard number <= Self.portMax else {
            throw ValueProblem(
                "the port \(number) leaves no room for \(tracksPerStreamMax) tracks above it; take one up to \(Self.portMax)")
        }
        port = UInt16(number)
    }

    private static func group(_ text: String, _ form: String) throws(ValueProblem) -> HostAddress {
        guard let group = HostAddress(numeric: text) else { throw ValueProblem("`\(text)` is no numeric address; \(form)") }
        guard group.isMulticast else {
            throw ValueProblem(
                "\(text) is no multicast address: those are 224.0.0.0 to 239.255.255.255 (239.… for your own use) and ff00::/8")
        }
        if let ipv4 = group.ipv4, ipv4 >> 8 == 0xE00000 {
            throw ValueProblem(
                "\(text) belongs to the routing protocols (224.0.0.0/24), and no router passes it on; take one from 239.0.0.0/8")
        }
        return group
    }
}

extension HostAddress {
    /// Of a numeric address without brackets and scope; nil for anything else.
    init?(numeric text: String) {
        guard let address = try? SocketAddress(ipAddress: text, port: 0) else { return nil }
        self.init(address)
    }

    /// Whether it names a group (RFC 5771, RFC 4291 section 2.7).
    var isMulticast: Bool { ipv4.map { $0 >> 28 == 0xE } ?? (high >> 56 == 0xFF) }

    /// Whether it names a group that must be joined with a source (232.0.0.0/8 and ff3x::/32, RFC 4607).
    var isSourceSpecific: Bool { ipv4.map { $0 >> 24 == 232 } ?? (high >> 32 & 0xFFF0_FFFF == 0xFF30_0000) }

    /// Whether it reaches no further than one link, so that an interface must be named (RFC 4291 section 2.7).
    var isLinkLocalGroup: Bool { ipv4 == nil && isMulticast && high >> 48 & 0xF <= 2 }

    /// Whether it is 127.0.0.0/8 or ::1.
    var isLoopback: Bool { ipv4.map { $0 >> 24 == 127 } ?? (high == 0 && low == 1) }

    /// Whether it stands for no address at all.
    var isUnspecified: Bool { self == .any || ipv4 == 0 }

    /// `239.1.2.3:5004`, `[ff15::1]:5004`.
    func text(port: UInt16) -> String { ipv4 == nil ? "[\(text)]:\(port)" : "\(text):\(port)" }

    /// As an address of a socket of its own family.
    func socketAddress(port: UInt16) -> SocketAddress? { socketAddress(port: port, mapped: false) }
}

/// Why a group cannot be sent to or listened to, in words for the user.
struct MulticastTrouble: Error, Equatable, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

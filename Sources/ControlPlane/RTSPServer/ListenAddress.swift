/// Where a server listens, as `--listen HOST:PORT` says it.
package struct ListenAddress: Sendable, Equatable, CustomStringConvertible {
    /// A numeric address without brackets, or a name of this machine. `::` means every address of both families.
    package let host: String
    /// `0...65535`; 0 lets the kernel choose.
    package let port: UInt16

    /// A host and a port.
    package init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// Port 8554 on all addresses, IPv4 and IPv6.
    package static let standard = Self(host: "::", port: 8_554)

    /// Reads `HOST:PORT`, `[IPv6]:PORT`, `:PORT` (all addresses) or `HOST` (port 8554); throws what is wrong with it.
    package init(parsing text: String) throws(ListenAddressError) {
        let host: Substring
        let port: Substring
        if text.hasPrefix("[") {
            guard let close = text.firstIndex(of: "]") else { throw .init(text: text, trouble: "the bracket is not closed") }
            host = text[text.index(after: text.startIndex)..<close]
            let rest = text[text.index(after: close)...]
            guard rest.isEmpty || rest.hasPrefix(":") else { throw .init(text: text, trouble: "a colon must follow the bracket") }
            port = rest.dropFirst()
            if rest == ":" { throw .init(text: text, trouble: "the port is missing after the colon") }
        } else if let colon = text.lastIndex(of: ":") {
            host = text[..<colon]
            port = text[text.index(after: colon)...]
            if host.contains(":") { throw .init(text: text, trouble: "an IPv6 address needs brackets, like [::1]:8554") }
            if port.isEmpty { throw .init(text: text, trouble: "the port is missing after the colon") }
        } else {
            host = text[...]
            port = ""
            if text.isEmpty { throw .init(text: text, trouble: "it is empty") }
        }
        var number = Self.standard.port
        if !port.isEmpty {
            guard port.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let parsed = UInt16(port) else {
                throw .init(text: text, trouble: "`\(port)` is not a port from 0 to 65535")
            }
            number = parsed
        }
        self.init(host: host.isEmpty || host == "*" ? "::" : String(host), port: number)
    }

    /// How many addresses one server may listen on.
    package static let listMax = 16

    /// Reads one address or several with commas between them; none may be there twice. Never empty.
    package static func list(parsing text: String) throws(ListenAddressError) -> [ListenAddress] {
        var addresses: [ListenAddress] = []
        for item in text.split(separator: ",", omittingEmptySubsequences: false) {
            let item = String(item.drop { $0 == " " })
            let address = try ListenAddress(parsing: item)
            // With port 0 each gets another one.
            guard address.port == 0 || !addresses.contains(address) else { throw .init(text: item, trouble: "it is there twice") }
            guard addresses.count < listMax else { throw .init(text: item, trouble: "more than \(listMax) addresses are there") }
            addresses.append(address)
        }
        return addresses
    }

    /// As `--listen` takes it.
    package var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

/// A listen address that cannot be read.
package struct ListenAddressError: Error, CustomStringConvertible {
    let text: String
    let trouble: String

    /// What is wrong and what is expected.
    package var description: String {
        "`\(text)` is no address to listen on: \(trouble); write HOST:PORT, for example 0.0.0.0:8554 or [::]:8554"
    }
}

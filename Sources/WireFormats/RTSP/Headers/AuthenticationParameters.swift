/// `name=value` pairs of a challenge or of credentials, in order.
package struct AuthenticationParameters: Sendable, Hashable, ExpressibleByArrayLiteral {
    /// Pairs that are looked at.
    static let countMax = 32

    private var pairs: [RTSPHeaderField] = []

    /// Pairs in the order given.
    package init(arrayLiteral elements: (String, String)...) {
        pairs = elements.map { RTSPHeaderField(name: $0, value: $1) }
    }

    /// Whether there is none.
    package var isEmpty: Bool { pairs.isEmpty }
    /// How many there are.
    package var count: Int { pairs.count }

    /// The value of a name, small and capital letters being the same; the first of several.
    package subscript(name: String) -> String? {
        for pair in pairs where ASCII.equalIgnoringCase(pair.name, name) { return pair.value }
        return nil
    }

    /// Adds a pair at the end.
    package mutating func add(_ name: String, _ value: String) {
        pairs.append(RTSPHeaderField(name: name, value: value))
    }

    /// The pairs as they stand in a header. LIVE555 reads `stale` only without quotes, and RFC 7616 section 3.3 and 3.4 want
    /// `algorithm`, `nc` and the `qop` of credentials without.
    package var text: String {
        let isCredentials = self["response"] != nil
        return pairs.map { pair in
            let isBare = ["stale", "algorithm", "nc"].contains(pair.name) || pair.name == "qop" && isCredentials
            // Only a token may stand without quotes, whatever the name.
            return isBare && !pair.value.isEmpty && pair.value.utf8.allSatisfy(ASCII.isToken)
                ? "\(pair.name)=\(pair.value)" : "\(pair.name)=\"\(Self.escaped(pair.value))\""
        }.joined(separator: ", ")
    }

    private static func escaped(_ value: String) -> String {
        guard value.utf8.contains(where: { $0 == ASCII.quote || $0 == ASCII.backslash }) else { return value }
        var bytes: [UInt8] = []
        for byte in value.utf8 {
            if byte == ASCII.quote || byte == ASCII.backslash { bytes.append(ASCII.backslash) }
            bytes.append(byte)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// Takes `scheme name=value, name="value", scheme …` apart. Never fails: what does not fit is skipped.
enum AuthenticationScanner {
    private static let schemesMax = 16

    static func schemes(_ value: String) -> [(scheme: String, parameters: AuthenticationParameters)] {
        var found: [(scheme: String, parameters: AuthenticationParameters)] = []
        var rest = value.byteSlice
        while true {
            rest = rest.drop { $0 == ASCII.comma || ASCII.isBlank($0) }
            guard !rest.isEmpty else { return found }
            let name = token(&rest)
            if name.isEmpty {
                rest = rest.dropFirst()  // Not a token at all; goes on behind it.
                continue
            }
            rest = rest.drop(while: ASCII.isBlank)
            if rest.first == ASCII.equals {
                rest = rest.dropFirst().drop(while: ASCII.isBlank)
                let value = rest.first == ASCII.quote ? quoted(&rest) : token(&rest).text
                // The first of equal names counts; parameters before any scheme belong to nothing.
                if let last = found.indices.last, found[last].parameters[name.text] == nil,
                    found[last].parameters.count < AuthenticationParameters.countMax
                {
                    found[last].parameters.add(name.text, value)
                }
            } else {
                if found.count == schemesMax { return found }
                found.append((name.text, []))
            }
        }
    }

    private static func token(_ rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let token = rest.prefix { !ASCII.isBlank($0) && $0 != ASCII.comma && $0 != ASCII.equals && $0 != ASCII.quote }
        rest = rest[token.endIndex...]
        return token
    }

    private static func quoted(_ rest: inout ArraySlice<UInt8>) -> String {
        rest = rest.dropFirst()
        var text: [UInt8] = []
        while let byte = rest.popFirst(), byte != ASCII.quote {
            if byte == ASCII.backslash, let next = rest.popFirst() { text.append(next) } else { text.append(byte) }
        }
        return String(decoding: text, as: UTF8.self)
    }
}

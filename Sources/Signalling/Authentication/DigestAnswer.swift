/// The answer to a Digest challenge (RFC 7616 section 3.4, and RFC 2069 when no `qop` was offered).
struct DigestAnswer {
    /// The parts that `qop=auth` adds.
    struct Quality {
        let count: UInt32
        let clientNonce: String
    }

    let credentials: Credentials
    let realm: String
    let algorithm: DigestAlgorithm
    let nonce: String
    let opaque: String?
    let quality: Quality?

    /// The `response` value.
    func response(method: String, uri: String) -> String {
        let secret = algorithm.hash("\(credentials.user):\(realm):\(credentials.password)")
        return Self.response(secret: secret, algorithm: algorithm, nonce: nonce, quality: quality, method: method, uri: uri)
    }

    /// The `response` value for a secret, H(A1).
    static func response(
        secret: String, algorithm: DigestAlgorithm, nonce: String, quality: Quality?, method: String, uri: String
    ) -> String {
        let request = algorithm.hash("\(method):\(uri)")
        guard let quality else { return algorithm.hash("\(secret):\(nonce):\(request)") }
        return algorithm.hash("\(secret):\(nonce):\(digits(quality.count)):\(quality.clientNonce):auth:\(request)")
    }

    /// The `Authorization` header's value.
    func header(method: String, uri: String) -> String {
        // The order of LIVE555 and FFmpeg; naive servers look for it.
        var text =
            "Digest username=\"\(Self.escaped(credentials.user))\", realm=\"\(Self.escaped(realm))\", nonce=\"\(Self.escaped(nonce))\", "
        text += "uri=\"\(Self.escaped(uri))\", response=\"\(response(method: method, uri: uri))\""
        // Without a word about the algorithm a server takes MD5; some old cameras choke on the parameter.
        if algorithm != .md5 { text += ", algorithm=\(algorithm.rawValue)" }
        if let opaque { text += ", opaque=\"\(Self.escaped(opaque))\"" }
        if let quality { text += ", qop=auth, nc=\(Self.digits(quality.count)), cnonce=\"\(Self.escaped(quality.clientNonce))\"" }
        return text
    }

    private static func digits(_ count: UInt32) -> String {
        let text = String(count, radix: 16)
        return String(repeating: "0", count: max(0, 8 - text.count)) + text
    }

    private static func escaped(_ text: String) -> String {
        var escaped = ""
        for character in text.unicodeScalars where character.value >= 0x20 && character.value != 0x7F {
            if character == "\"" || character == "\\" { escaped.append("\\") }
            escaped.unicodeScalars.append(character)
        }
        return escaped
    }
}

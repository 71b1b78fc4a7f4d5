import Signalling

/// A user of the server.
package struct UserSettings: Sendable, Equatable {
    /// The name, which is also the key in the file.
    package let name: String
    /// The password, or its hashes; nil until it was read.
    var password: UserPassword?
    /// Where the user may log in from; empty: anywhere.
    var networks: [NetworkPrefix] = []

    /// A user without a password, who cannot log in yet.
    init(name: String) { self.name = name }

    /// Why a user cannot have this name, or nil.
    static func problem(ofName name: String) -> String? {
        if AccessRule.words.contains(name) { return "`\(name)` has a meaning of its own in `read:` and `publish:`; choose another name" }
        guard !name.isEmpty, name.utf8.count <= 64, name.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && !":/,\"\\".utf8.contains($0) }) else {
            return "a user's name is made of 1 to 64 printable ASCII characters without blanks and : / , \" \\"
        }
        return nil
    }
}

/// A password as the configuration gives it. Prints nothing of it.
package enum UserPassword: Sendable, Equatable, CustomStringConvertible {
    case plain(String)
    /// H(A1) of Digest in hexadecimal digits, by algorithm.
    case hashed([DigestAlgorithm: String])

    private static let prefixes: [(text: String, algorithm: DigestAlgorithm, digits: Int)] = [("sha256:", .sha256, 64), ("md5:", .md5, 32)]

    /// Reads a password, or hashes: `sha256:` and 64 hexadecimal digits, `md5:` and 32, or both with a blank between them.
    init(parsing text: String) throws(ValueProblem) {
        guard !text.isEmpty else { throw ValueProblem("it is empty; a user needs a password") }
        guard Self.prefixes.contains(where: { text.hasPrefix($0.text) }) else {
            guard text.utf8.count <= 256 else { throw ValueProblem("it is longer than 256 bytes") }
            guard text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else { throw ValueProblem("it holds control characters") }
            self = .plain(text)
            return
        }
        var hashes: [DigestAlgorithm: String] = [:]
        for part in text.split(separator: " ") {
            guard let prefix = Self.prefixes.first(where: { part.hasPrefix($0.text) }) else {
                throw ValueProblem("behind a hash only another hash may stand, with sha256: or md5: before it")
            }
            let digits = part.dropFirst(prefix.text.count)
            guard digits.utf8.count == prefix.digits, digits.allSatisfy(\.isHexDigit) else {
                throw ValueProblem(
                    "\(prefix.text) is followed by \(prefix.digits) hexadecimal digits, the \(prefix.algorithm.rawValue) of "
                        + "user:realm:password (printf '%s' 'alice:Weir:secret' | \(prefix.algorithm == .md5 ? "md5sum" : "sha256sum"))")
            }
            hashes[prefix.algorithm] = String(digits)
        }
        self = .hashed(hashes)
    }

    /// What the server keeps of it.
    func secret(user: String, realm: String) -> UserSecret {
        switch self {
        case .plain(let password): UserSecret(user: user, realm: realm, password: password)
        case .hashed(let hashes): UserSecret(user: user, realm: realm, hashes: hashes)
        }
    }

    /// That there is one.
    package var description: String { "…" }
}

/// Who may do what on the RTSP server.
package struct AccessSettings: Sendable, Equatable {
    /// How users log in.
    var login = ServerAuthenticator.Settings()
    /// What holds for paths that say nothing; nil: any, as long as there are no users, else every user.
    var rules: [AccessRight: AccessRule] = [:]
    /// Wrong passwords that one address (of IPv6 one network of 64 bits) may send at once.
    var failuresMax = 10
    /// How many of them are forgiven a minute.
    var failuresForgivenPerMinute = 10
    /// Addresses whose wrong passwords are remembered at the same time.
    var addressesMax = 16_384
    /// Who can log in.
    var users: [UserSettings] = []

    /// Everybody may do everything.
    package init() {}

    /// What holds, for `weir serve --check`.
    var summary: [String] {
        guard !users.isEmpty || !rules.isEmpty else { return ["access: any may read and publish"] }
        let defaults = AccessRight.allCases.filter { $0 != .control || rules[$0] != nil }.map { "\($0.rawValue): \(rule($0, of: nil))" }
            .joined(separator: "; ")
        let methods = LoginMethod.allCases.filter(login.methods.contains).map(\.rawValue).joined(separator: ", ")
        return ["access: \(defaults); \(users.count) users, by \(methods)"]
    }

    /// The rule of a path, or of what is no path.
    func rule(_ right: AccessRight, of path: PathSettings?) -> AccessRule {
        let standard = right == .control ? AccessRule(grants: []) : users.isEmpty ? .any : .users
        return path?.access[right] ?? rules[right] ?? standard
    }
}

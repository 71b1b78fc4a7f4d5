/// What the server knows of a user's password: the hash that Digest calls H(A1), of `user:realm:password`, in one or both algorithms.
/// The password itself is not kept.
package struct UserSecret: Sendable, Equatable {
    /// The name.
    package let user: String
    /// The realm that the hashes belong to.
    package let realm: String
    private let hashes: [DigestAlgorithm: String]

    /// Hashes that were made elsewhere, in hexadecimal digits of any case.
    package init(user: String, realm: String, hashes: [DigestAlgorithm: String]) {
        self.user = user
        self.realm = realm
        self.hashes = hashes.mapValues { $0.lowercased() }
    }

    /// The hashes of a password.
    package init(user: String, realm: String, password: String) {
        let pairs = DigestAlgorithm.allCases.map { ($0, $0.hash("\(user):\(realm):\(password)")) }
        self.init(user: user, realm: realm, hashes: Dictionary(uniqueKeysWithValues: pairs))
    }

    /// Whether a Digest answer in that algorithm can be checked.
    package func serves(_ algorithm: DigestAlgorithm) -> Bool { hashes[algorithm] != nil }

    /// H(A1); nil when it is not known for that algorithm.
    func hash(_ algorithm: DigestAlgorithm) -> String? { hashes[algorithm] }

    /// Whether this is the password, as Basic brings it.
    func matches(password: String) -> Bool {
        for algorithm in [DigestAlgorithm.sha256, .md5] {
            guard let hash = hashes[algorithm] else { continue }
            return ConstantTime.equal(hash, algorithm.hash("\(user):\(realm):\(password)"))
        }
        return false
    }
}

/// Comparing without telling by the time taken where the difference is.
enum ConstantTime {
    /// Whether both texts are the same. The time depends on their lengths alone.
    static func equal(_ left: String, _ right: String) -> Bool {
        let left = Array(left.utf8)
        let right = Array(right.utf8)
        guard left.count == right.count else { return false }
        var difference: UInt8 = 0
        for index in left.indices { difference |= left[index] ^ right[index] }
        return difference == 0
    }
}

/// One thing that is wrong in a configuration: where, what, and what would be right. Never repeats a value that may hold a secret.
public struct ConfigurationError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Where it was found.
    public enum Place: Sendable, Equatable {
        case file(String, line: Int?)
        case environment(String)
        case option(String)
    }

    /// Where it was found.
    public let place: Place
    /// The key with its sections, such as `paths.cam.source`; empty for the file as a whole.
    public let key: String
    /// What is wrong and what is allowed.
    public let problem: String

    /// `weir.yml:7: paths.cam.dial: …`
    public var description: String {
        let start: String
        switch place {
        case .file(let name, let line): start = line.map { "\(name):\($0)" } ?? name
        case .environment(let name): start = "environment variable \(name)"
        case .option(let name): start = name
        }
        return key.isEmpty ? "\(start): \(problem)" : "\(start): \(key): \(problem)"
    }
}

/// All that is wrong in a configuration, so that a user can mend it in one go.
public struct ConfigurationErrors: Error, Sendable, CustomStringConvertible {
    /// At least one.
    public let errors: [ConfigurationError]

    /// One line each.
    public var description: String { errors.map(\.description).joined(separator: "\n") }
}

/// What is wrong with a value, in words that go behind the key.
package struct ValueProblem: Error, Equatable, CustomStringConvertible {
    let text: String
    init(_ text: String) { self.text = text }

    /// What is wrong and what is allowed.
    package var description: String { text }
}

/// Finds what the user may have meant.
enum Suggestion {
    /// The words for an unknown key: the nearest known one if it is near enough, and all that are allowed.
    static func unknown(_ key: String, among known: [String]) -> String {
        let nearest = known.map { (distance(key, $0), $0) }.min { $0.0 < $1.0 }
        let allowed = "allowed: " + known.sorted().joined(separator: ", ")
        if let nearest, nearest.0 <= max(1, nearest.1.count / 3) { return "did you mean `\(nearest.1)`? (\(allowed))" }
        return allowed
    }

    /// How many letters must be put in, taken out or replaced (Levenshtein).
    static func distance(_ left: String, _ right: String) -> Int {
        let left = Array(left.prefix(64).lowercased()), right = Array(right.prefix(64).lowercased())
        var row = Array(0...right.count)
        for (i, a) in left.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, b) in right.enumerated() {
                let cost = min(row[j + 1] + 1, row[j] + 1, diagonal + (a == b ? 0 : 1))
                diagonal = row[j + 1]
                row[j + 1] = cost
            }
        }
        return row[right.count]
    }
}

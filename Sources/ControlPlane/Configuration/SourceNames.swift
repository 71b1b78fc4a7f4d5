/// The names of sources that a command line lists.
package enum SourceNames {
    /// How they are made up where none are given.
    package enum Scheme: String, Sendable, CaseIterable {
        /// `stream` for one source, `stream-1`, `stream-2` and so on for several.
        case stream
        /// As LIVE555's proxy server names them: `proxyStream`, or `proxyStream-1`, `proxyStream-2` and so on.
        case live555

        /// Reads the word of the command line.
        package init(parsing text: String) throws(ValueProblem) { self = try SettingValue.word(text, of: Self.self) }

        fileprivate var word: String {
            switch self {
            case .stream: "stream"
            case .live555: "proxyStream"
            }
        }
    }

    /// More sources belong into a file.
    package static let sourcesMax = 1_024

    /// A name for each of `count` sources: those that were given, in their order, else by the scheme. Throws what is wrong with them.
    package static func names(count: Int, given: [String], scheme: Scheme?) throws(ValueProblem) -> [String] {
        guard count <= sourcesMax else {
            throw ValueProblem("\(count) sources are more than \(sourcesMax); write them into a file for weir serve")
        }
        guard given.isEmpty || scheme == nil else { throw ValueProblem("--as and --names exclude each other; leave one out") }
        guard !given.isEmpty else {
            let word = (scheme ?? .stream).word
            return count == 1 ? [word] : (1...max(count, 1)).map { "\(word)-\($0)" }
        }
        guard given.count == count else {
            throw ValueProblem(
                "\(count) source\(count == 1 ? "" : "s") and \(given.count) name\(given.count == 1 ? "" : "s"); write --as once for each "
                    + "source, in the same order, or leave it out")
        }
        var seen: Set<String> = []
        for name in given.map(PathSettings.trimmed) where !seen.insert(name).inserted {
            throw ValueProblem("two sources cannot both be /\(name); give each another name with --as")
        }
        return given
    }
}

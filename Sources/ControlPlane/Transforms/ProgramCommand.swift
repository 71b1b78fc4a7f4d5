/// A program and its words, as the configuration has them, with the names of what Weir puts in.
///
/// There is no shell unless the user names one: nothing is expanded but the names below, each within its word.
package struct ProgramCommand: Sendable, Equatable {
    /// The program first.
    package let words: [String]

    /// What Weir puts in for `$NAME` or `${NAME}`, and gives to the program as an environment variable.
    enum Name: String, CaseIterable {
        /// The file that describes what the program is sent.
        case inputSDP = "INPUT_SDP"
        /// Where it is sent to: `rtp://127.0.0.1:PORT`.
        case inputURL = "INPUT_URL"
        case inputRTPPort = "INPUT_RTP_PORT"
        case inputRTCPPort = "INPUT_RTCP_PORT"
        /// Where it is to send to: `rtp://127.0.0.1:PORT`.
        case outputURL = "OUTPUT_URL"
        case outputRTPPort = "OUTPUT_RTP_PORT"
        case outputRTCPPort = "OUTPUT_RTCP_PORT"
        /// The file in which it may describe what it sends.
        case outputSDP = "OUTPUT_SDP"
    }

    /// Words that are used as they are.
    package init(words: [String]) { self.words = words }

    /// The largest command line that is read, in words and in bytes.
    static let wordsMax = 256
    static let bytesMax = 32 << 10

    /// A command of words that were written one by one; throws what is wrong with them.
    init(checking words: [String]) throws(ValueProblem) {
        guard let program = words.first, !program.isEmpty else { throw ValueProblem("it names no program") }
        guard words.count <= Self.wordsMax, words.reduce(0, { $0 + $1.utf8.count }) <= Self.bytesMax else {
            throw ValueProblem("it is longer than \(Self.wordsMax) words or \(Self.bytesMax) bytes; put it into a script")
        }
        for word in words {
            guard !word.utf8.contains(0) else { throw ValueProblem("a word holds the character NUL, which no program can be given") }
            _ = try Self.filled(word) { _ in "" }
        }
        self.words = words
    }

    /// Reads one line as a shell would split it: blanks part words, `'…'` and `"…"` keep them together, `\` takes the next character
    /// as it is (not within `'…'`). Pipes, `;`, `*` and the like mean nothing.
    init(line: String) throws(ValueProblem) {
        var words: [String] = []
        var word: String?
        var quote: Character?
        var isEscaped = false
        for character in line {
            if isEscaped {
                isEscaped = false
                word = (word ?? "") + String(character)
            } else if character == "\\", quote != "'" {
                isEscaped = true
            } else if let open = quote {
                if character == open { quote = nil } else { word = (word ?? "") + String(character) }
            } else if character == "'" || character == "\"" {
                quote = character
                word = word ?? ""
            } else if character == " " || character == "\t" || character == "\n" || character == "\r\n" {
                if let whole = word { words.append(whole) }
                word = nil
            } else {
                word = (word ?? "") + String(character)
            }
        }
        if let quote { throw ValueProblem("a \(quote) is opened and not closed") }
        if isEscaped { throw ValueProblem("it ends with a \\ that nothing follows") }
        if let word { words.append(word) }
        for symbol in ["|", ">", "<", ";", "&", "&&", "||", "2>&1"] where words.contains(symbol) {
            throw ValueProblem("no shell reads it, so `\(symbol)` means nothing; write [sh, -c, '…'] if you want one")
        }
        try self.init(checking: words)
    }

    /// The words with everything put in.
    func words(_ value: (Name) -> String) -> [String] { words.map { (try? Self.filled($0, value)) ?? $0 } }

    /// The program's name without its folders, for the log.
    var programName: String { words.first?.split(separator: "/").last.map(String.init) ?? "" }

    /// A word with the names in it replaced. What stands behind another `$` stays; a name that looks like one of ours and is none is a
    /// mistake.
    private static func filled(_ word: String, _ value: (Name) -> String) throws(ValueProblem) -> String {
        var result = ""
        var rest = Substring(word)
        while let dollar = rest.firstIndex(of: "$") {
            result += rest[..<dollar]
            rest = rest[rest.index(after: dollar)...]
            let isBraced = rest.first == "{"
            let letters = rest.dropFirst(isBraced ? 1 : 0).prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
            let end = letters.endIndex
            let isClosed = !isBraced || (end < rest.endIndex && rest[end] == "}")
            if let name = Name(rawValue: String(letters)), isClosed {
                result += value(name)
                rest = isBraced ? rest[rest.index(after: end)...] : rest[end...]
            } else if letters.hasPrefix("INPUT_") || letters.hasPrefix("OUTPUT_") {
                throw ValueProblem(
                    "`$\(letters)` is not known; " + Suggestion.unknown(String(letters), among: Name.allCases.map(\.rawValue)))
            } else {
                result += "$"
            }
        }
        return result + rest
    }
}

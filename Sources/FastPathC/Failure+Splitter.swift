import CFastPath
import FastPath

extension Failure {
    /// What a splitter throws, in the words of the header.
    init(_ error: SplitterError) {
        switch error {
        case .engine(.backend): self.init(FP_ERROR_BACKEND, error.description)
        case .engine(.system(_, let number)): self.init(FP_ERROR_SYSTEM, error.description, errorNumber: number)
        case .engine: self.init(FP_ERROR_SYSTEM, error.description)
        case .argument(let name, let allowed):
            self.init(argument: "`\(Self.nameInC(name))` cannot have this value; it must be \(Self.wordsInC(allowed))")
        case .stale(let kind): self.init(FP_ERROR_STALE, "the id names no \(kind.rawValue): it was removed, or is another engine's")
        case .full: self.init(FP_ERROR_LIMIT, error.description)
        case .queueFull:
            self.init(FP_ERROR_AGAIN, "the engine has more to do than it can note; take events with fp_next_event(), and try again")
        case .memory: self.init(FP_ERROR_MEMORY, error.description)
        case .system(_, let number): self.init(FP_ERROR_SYSTEM, error.description, errorNumber: number)
        case .stopped: self.init(FP_ERROR_STOPPED, "the engine was shut down")
        }
    }

    /// `limits.datagramBuffers` is `limits.datagram_buffers` in C.
    private static func nameInC(_ name: String) -> String {
        var result = ""
        for character in name {
            if character.isUppercase { result += "_" }
            result += character.lowercased()
        }
        return result == "limits.subscribers_max" ? "limits.readers_max" : result
    }

    /// What Swift's words for functions and events are called in C.
    private static let words: [(swift: String, inC: String)] = [
        ("addPushedSource", "fp_source_add_pushed()"), ("addInterleavedReader", "fp_reader_add_tcp()"),
        ("readerJoined", "FP_EVENT_READER_JOINED"), (", or nil", ", or 0 for the default"),
    ]

    private static func wordsInC(_ text: String) -> String {
        var result = text
        for (swift, inC) in words { result = replacing(swift, by: inC, in: result) }
        return result
    }

    private static func replacing(_ word: String, by other: String, in text: String) -> String {
        var rest = Substring(text)
        var result = ""
        while !rest.isEmpty {
            if rest.hasPrefix(word) {
                result += other
                rest = rest.dropFirst(word.count)
            } else {
                result += rest.prefix(1)
                rest = rest.dropFirst()
            }
        }
        return result
    }
}

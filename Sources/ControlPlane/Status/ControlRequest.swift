/// One request to a relay's control socket: a line `weir/1 COMMAND name=value …`. Values are percent-encoded (RFC 3986 section 2.1)
/// where they hold a space, a percent sign or anything that is no printable ASCII.
package struct ControlRequest: Sendable, Equatable {
    /// The version of the protocol.
    package static let version = 1
    /// Bytes of a request line, its end not counted.
    package static let bytesMax = 4_096
    /// Named values of one request.
    package static let argumentsMax = 32

    /// What is to be done: `status`.
    package var command: String
    /// What it is done with.
    package var arguments: [String: String]

    /// A request.
    package init(_ command: String, _ arguments: [String: String] = [:]) {
        self.command = command
        self.arguments = arguments
    }

    /// Reads a line without its end.
    package init(parsing line: String) throws(ControlAnswer.Trouble) {
        let words = line.split(separator: " ")
        guard let first = words.first, first.hasPrefix("weir/") else {
            throw .init(code: "version", message: "a request begins with its protocol: weir/\(Self.version) status")
        }
        guard first == "weir/\(Self.version)" else {
            throw .init(
                code: "version",
                message: "this relay speaks weir/\(Self.version), not \(Self.shown(first)); use the weir program that it was started with")
        }
        guard words.count >= 2 else {
            throw .init(code: "command", message: "the command is missing, for example weir/\(Self.version) status")
        }
        guard words.count - 2 <= Self.argumentsMax else {
            throw .init(code: "argument", message: "a request takes at most \(Self.argumentsMax) arguments")
        }
        command = String(words[1])
        arguments = [:]
        for word in words[2...] {
            guard let equals = word.firstIndex(of: "="), equals != word.startIndex,
                let value = Self.decoded(word[word.index(after: equals)...])
            else { throw .init(code: "argument", message: "`\(Self.shown(word))` is not name=value with a percent-encoded value") }
            let name = String(word[..<equals])
            guard arguments.updateValue(value, forKey: name) == nil else {
                throw .init(code: "argument", message: "`\(Self.shown(name[...]))` is given twice")
            }
        }
    }

    /// As it is sent, without the line's end.
    package var line: String {
        (["weir/\(Self.version)", command] + arguments.sorted { $0.key < $1.key }.map { "\($0.key)=\(Self.encoded($0.value))" })
            .joined(separator: " ")
    }

    /// Throws when an argument is there that the command does not know: a wish that is not heard would look fulfilled.
    func check(takes names: Set<String>) throws(ControlAnswer.Trouble) {
        for name in arguments.keys.sorted() where !names.contains(name) {
            throw .init(
                code: "argument",
                message: "`\(command)` takes no `\(Self.shown(name[...]))`; it takes \(names.sorted().joined(separator: ", "))")
        }
    }

    /// A whole number among the arguments.
    func number(_ name: String, in range: ClosedRange<Int>, else standard: Int) throws(ControlAnswer.Trouble) -> Int {
        guard let text = arguments[name] else { return standard }
        guard let number = Int(text), range.contains(number) else {
            throw .init(
                code: "argument",
                message: "\(name)=\(Self.shown(text[...])): write a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// What a peer wrote, fit to be shown.
    private static func shown(_ text: Substring) -> String { PeerWords.printable(String(text.prefix(64))) }

    private static func encoded(_ value: String) -> String {
        var out = ""
        for byte in value.utf8 {
            if byte > 0x20, byte < 0x7F, byte != UInt8(ascii: "%") {
                out.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                out += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }
        return out
    }

    private static func decoded(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(digit), let low = rest.popFirst().flatMap(digit) else { return nil }
            bytes.append(high << 4 | low)
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        Character(Unicode.Scalar(byte)).hexDigitValue.flatMap { UInt8(exactly: $0) }
    }
}

/// Words of peers on their way to a terminal or a log.
enum PeerWords {
    /// Control characters, and others that a terminal may take for more than text, become `?`.
    static func printable(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map { isPrintable($0) ? $0 : "?" }))
    }

    private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
        default: true
        }
    }
}

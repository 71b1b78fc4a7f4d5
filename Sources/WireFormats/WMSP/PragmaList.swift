/// The tokens of a message's `Pragma` lines, which are one list ([MS-WMSP] 2.2.1.4).
///
/// Names are compared without regard to case; of equals the first counts. A comma inside of double quotes separates nothing. A line that
/// begins with `stream-switch-entry=` or `log-line=` is one token to its end. Numbers are read as far as their digits go: FFmpeg sends
/// `stream-time=0Connection: Close`.
package struct PragmaList: Sendable, Hashable {
    /// A token.
    package struct Token: Sendable, Hashable {
        /// As it was spelled.
        package let name: String
        /// Without blanks at its ends and without quotes around it; nil when there is no `=`.
        package let value: String?
    }

    /// Why a list is not taken.
    package enum Trouble: Error, Hashable, CustomStringConvertible {
        /// More bytes than ``PragmaList/bytesMax`` in all lines together.
        case tooLong(bytes: Int)
        /// More tokens than ``PragmaList/tokensMax``.
        case tooManyTokens

        /// What was wrong, in words.
        package var description: String {
            switch self {
            case .tooLong(let bytes): "the Pragma headers take \(bytes) bytes, more than \(PragmaList.bytesMax)"
            case .tooManyTokens: "the Pragma headers list more than \(PragmaList.tokensMax) tokens"
            }
        }
    }

    /// Bytes of all lines together. A selection of 127 streams takes 1.5 KiB, a line of log 2 KiB.
    package static let bytesMax = 8 << 10
    /// Tokens of all lines together; players send about 25.
    package static let tokensMax = 128

    private static let wholeLines = ["stream-switch-entry=", "log-line="]

    /// In their order.
    package let tokens: [Token]

    /// The tokens of these lines.
    package init(_ lines: [String]) throws(Trouble) {
        let bytes = lines.reduce(0) { $0 + $1.utf8.count }
        guard bytes <= Self.bytesMax else { throw .tooLong(bytes: bytes) }
        var tokens: [Token] = []
        for line in lines {
            let line = line.byteSlice.trimmed
            let parts = Self.wholeLines.contains { line.hasPrefixIgnoringCase($0) } ? [line] : line.splitAtCommas(countMax: Self.tokensMax)
            for part in parts {
                let (name, value) = part.split(atFirst: ASCII.equals)
                let trimmed = name.trimmed
                if trimmed.isEmpty { continue }
                guard tokens.count < Self.tokensMax else { throw .tooManyTokens }
                tokens.append(Token(name: trimmed.text, value: value?.trimmed.unquoted.text))
            }
        }
        self.tokens = tokens
    }

    /// The tokens of a message.
    package init(_ headers: HTTPHeaders) throws(Trouble) { try self.init(headers.values(named: "Pragma")) }

    /// Whether the token is there, with a value or without.
    package func contains(_ name: String) -> Bool { token(name) != nil }

    /// The value of a token; nil when there is none.
    package subscript(name: String) -> String? { token(name)?.value }

    /// The value as a number of at most 32 bits: its leading digits. Nil when there are none, or too many.
    package func number(_ name: String) -> UInt32? {
        self[name].flatMap { PragmaNumber.leading($0.byteSlice) }
    }

    /// The value as a number with a fraction, such as a rate: a sign, digits, a dot, digits, as far as they go. At most nine digits on
    /// either side of the dot. Nil when there are none.
    package func fraction(_ name: String) -> Double? { self[name].flatMap { PragmaNumber.fraction($0.byteSlice) } }

    /// The value is the number 1.
    package func isOn(_ name: String) -> Bool { number(name) == 1 }

    /// Two numbers with a colon between them make one of 64 bits, the high half first: `stream-offset=hi:lo`.
    package func pair(_ name: String) -> UInt64? {
        guard let value = self[name] else { return nil }
        let (high, low) = value.byteSlice.split(atFirst: ASCII.colon)
        guard let low, let high = PragmaNumber.leading(high), let low = PragmaNumber.leading(low) else { return nil }
        return UInt64(high) << 32 | UInt64(low)
    }

    private func token(_ name: String) -> Token? {
        for token in tokens where ASCII.equalIgnoringCase(token.name, name) { return token }
        return nil
    }
}

/// Numbers that end where their digits end.
enum PragmaNumber {
    static func leading(_ bytes: ArraySlice<UInt8>) -> UInt32? {
        let digits = bytes.trimmed.prefix { ASCII.isDigit($0) }
        return ASCII.decimal(digits, max: UInt64(UInt32.max)).map { UInt32(truncatingIfNeeded: $0) }
    }

    static func fraction(_ bytes: ArraySlice<UInt8>) -> Double? {
        var rest = bytes.trimmed
        let isNegative = rest.first == ASCII.dash
        if isNegative || rest.first == UInt8(ascii: "+") { rest = rest.dropFirst() }
        let whole = rest.prefix { ASCII.isDigit($0) }
        rest = rest[whole.endIndex...]
        var part: ArraySlice<UInt8> = []
        if rest.first == ASCII.dot { part = rest.dropFirst().prefix { ASCII.isDigit($0) }.prefix(9) }
        guard !(whole.isEmpty && part.isEmpty), whole.count <= 9 else { return nil }
        var value = Double(ASCII.decimal(whole, max: .max) ?? 0)
        var scale = 1.0
        for _ in part.indices { scale *= 10 }
        value += Double(ASCII.decimal(part, max: .max) ?? 0) / scale
        return isNegative ? -value : value
    }
}

extension ArraySlice<UInt8> {
    /// The parts between commas, but never cut inside of double quotes; a quote that is never closed counts as a letter. At most one part
    /// more than `countMax` is made, which holds all the rest.
    fileprivate func splitAtCommas(countMax: Int) -> [ArraySlice<UInt8>] {
        let quotes = count { $0 == ASCII.quote }
        var quotesLeft = quotes
        var parts: [ArraySlice<UInt8>] = []
        var start = startIndex
        var isQuoted = false
        var index = startIndex
        while index < endIndex, parts.count < countMax + 1 {
            let byte = self[index]
            if byte == ASCII.quote {
                quotesLeft -= 1
                isQuoted = !isQuoted && quotesLeft > 0
            } else if byte == ASCII.comma, !isQuoted {
                parts.append(self[start..<index])
                start = index + 1
            }
            index += 1
        }
        parts.append(self[start..<endIndex])
        return parts
    }
}

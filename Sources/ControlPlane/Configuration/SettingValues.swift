import Logging
import PlaneLink

/// Reads single values of a configuration. Each says what it takes when it gets something else.
enum SettingValue {
    /// `10s`, `500ms`, `2m` or `0`, as milliseconds.
    static func milliseconds(_ text: String, max: Int = 86_400_000) throws(ValueProblem) -> Int {
        let units: [(suffix: String, factor: Int)] = [("ms", 1), ("us", 0), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)]
        if text == "0" { return 0 }
        for unit in units where unit.factor > 0 && text.hasSuffix(unit.suffix) {
            let digits = text.dropLast(unit.suffix.count)
            guard let number = wholeNumber(digits) else { continue }
            let (product, overflow) = number.multipliedReportingOverflow(by: unit.factor)
            guard !overflow, product <= max else { throw ValueProblem("`\(text)` is more than the largest, \(max / 1_000)s") }
            return product
        }
        throw ValueProblem("`\(text)` is no duration; write a number with a unit, such as 500ms, 10s or 2m")
    }

    /// A number of workers.
    static func workers(_ text: String) throws(ValueProblem) -> Int {
        guard let number = wholeNumber(text[...]), (1...Limits.workersMax).contains(number) else {
            throw ValueProblem("`\(text)` is neither auto nor a whole number from 1 to \(Limits.workersMax)")
        }
        return number
    }

    /// `1s`, `2ms`, `500us` or `0`, as microseconds.
    static func microseconds(_ text: String, max: Int) throws(ValueProblem) -> Int {
        let number: Int?
        if text == "0" {
            number = 0
        } else if text.hasSuffix("us") {
            number = wholeNumber(text.dropLast(2))
        } else if text.hasSuffix("ms") {
            number = wholeNumber(text.dropLast(2)).flatMap { $0 <= max ? $0 * 1_000 : nil }
        } else if text.hasSuffix("s") {
            number = wholeNumber(text.dropLast()).flatMap { $0 <= max ? $0 * 1_000_000 : nil }
        } else {
            number = nil
        }
        guard let number, number <= max else {
            throw ValueProblem("`\(text)` is no duration from 0 to \(max / 1_000)ms; write a number with a unit, such as 500us or 2ms")
        }
        return number
    }

    /// `4M`, `800k` or a plain number, as bits per second.
    static func bitRate(_ text: String) throws(ValueProblem) -> Int {
        guard let number = scaled(text, suffixes: [("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000)]),
            (1_000...10_000_000_000).contains(number)
        else { throw ValueProblem("`\(text)` is no bit rate from 1k to 10G; write bits per second, such as 4M or 800k") }
        return number
    }

    /// `512MiB`, `2GiB` or a plain number, as bytes.
    static func bytes(_ text: String) throws(ValueProblem) -> Int {
        guard let number = scaled(text, suffixes: [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)]), number > 0 else {
            throw ValueProblem("`\(text)` is no size; write bytes, or a number with KiB, MiB or GiB, such as 512MiB")
        }
        return number
    }

    /// A whole number within a range.
    static func number(_ text: String, in range: ClosedRange<Int>) throws(ValueProblem) -> Int {
        guard let number = wholeNumber(text[...]), range.contains(number) else {
            throw ValueProblem("`\(text)` is no whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// `true` or `false`.
    static func flag(_ text: String) throws(ValueProblem) -> Bool {
        switch text {
        case "true", "yes", "on": return true
        case "false", "no", "off": return false
        default: throw ValueProblem("`\(text)` is neither true nor false")
        }
    }

    /// One of an enumeration's words.
    static func word<Word: RawRepresentable & CaseIterable>(_ text: String, of type: Word.Type) throws(ValueProblem) -> Word
    where Word.RawValue == String {
        guard let word = Word(rawValue: text) else {
            let known = Word.allCases.map(\.rawValue)
            throw ValueProblem("`\(text)` is not known; " + Suggestion.unknown(text, among: known))
        }
        return word
    }

    /// `30000-30999`: at least one even port with its odd neighbour.
    static func portRange(_ text: String) throws(ValueProblem) -> ClosedRange<UInt16> {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let low = wholeNumber(parts[0]), let high = wholeNumber(parts[1]), (1...65_535).contains(low),
            high <= 65_535,
            low + low % 2 + 1 <= high
        else {
            throw ValueProblem(
                "`\(text)` is no port range; write the first and the last, such as 30000-30999, with room for an even port and the next")
        }
        return UInt16(low)...UInt16(high)
    }

    private static func scaled(_ text: String, suffixes: [(String, Int)]) -> Int? {
        for (suffix, factor) in suffixes where text.hasSuffix(suffix) {
            guard let number = wholeNumber(text.dropLast(suffix.count)) else { return nil }
            let (product, overflow) = number.multipliedReportingOverflow(by: factor)
            return overflow ? nil : product
        }
        return wholeNumber(text[...])
    }

    /// Digits only (underscores between them are allowed, as in YAML 1.1 and Swift).
    private static func wholeNumber(_ text: Substring) -> Int? {
        let digits = text.replacing("_", with: "")
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return Int(digits)
    }
}

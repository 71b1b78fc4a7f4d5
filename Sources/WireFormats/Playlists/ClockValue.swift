/// Times as playlists write them, in milliseconds.
enum ClockValue {
    /// No playlist needs more: 366 days.
    static let millisecondsMax: UInt64 = 366 * 86_400_000

    /// SMIL's: `02:30:03.5`, `02:33`, `15s`, `1.5h`, `30min`, `250ms`; a number alone is seconds. Nil for anything else.
    static func smil(_ text: String) -> UInt64? {
        let bytes = Array(text.utf8)[...].trimmed
        if bytes.contains(ASCII.colon) { return colons(bytes) }
        for (unit, milliseconds) in units where bytes.count > unit.utf8.count && bytes.suffix(unit.utf8.count).elementsEqual(unit.utf8) {
            return decimal(bytes.dropLast(unit.utf8.count), unit: milliseconds)
        }
        return decimal(bytes, unit: 1_000)
    }

    /// ASX's: `hh:mm:ss.fff`, or fewer of them; a number alone is seconds.
    static func asx(_ text: String) -> UInt64? {
        let bytes = Array(text.utf8)[...].trimmed
        return bytes.contains(ASCII.colon) ? colons(bytes) : decimal(bytes, unit: 1_000)
    }

    /// The longest first: `ms` and `min` end as others do.
    private static let units: [(String, UInt64)] = [("min", 60_000), ("ms", 1), ("s", 1_000), ("h", 3_600_000)]

    private static func colons(_ bytes: ArraySlice<UInt8>) -> UInt64? {
        let parts = bytes.split(separator: ASCII.colon, omittingEmptySubsequences: false)
        guard (2...3).contains(parts.count), let last = parts.last, let seconds = decimal(last, unit: 1_000) else { return nil }
        var minutes: UInt64 = 0
        for part in parts.dropLast() {
            guard let value = ASCII.decimal(part, max: 1_000_000) else { return nil }
            minutes = minutes * 60 + value
        }
        guard seconds < 60_000 else { return nil }
        let sum = minutes * 60_000 + seconds
        return sum <= millisecondsMax ? sum : nil
    }

    private static func decimal(_ bytes: ArraySlice<UInt8>, unit: UInt64) -> UInt64? {
        let point = bytes.firstIndex(of: ASCII.dot) ?? bytes.endIndex
        guard let whole = ASCII.decimal(bytes[..<point], max: millisecondsMax) else { return nil }
        var value = whole * unit
        if point < bytes.endIndex {
            let digits = bytes[(point + 1)...]
            guard !digits.isEmpty, digits.allSatisfy(ASCII.isDigit) else { return nil }
            let shown = digits.prefix(6)
            guard let fraction = ASCII.decimal(shown, max: 999_999) else { return nil }
            value += fraction * unit / (0..<shown.count).reduce(1) { power, _ in power * 10 }
        }
        return value <= millisecondsMax ? value : nil
    }
}

extension PlaylistTiming {
    /// A time as `.wsx` writes it, in milliseconds.
    package static func milliseconds(_ text: String) -> UInt64? { ClockValue.smil(text) }
}

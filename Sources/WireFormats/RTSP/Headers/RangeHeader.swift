/// A point of normal play time (RFC 2326 section 3.6).
package enum NormalPlayTime: Sendable, Hashable {
    /// The live edge.
    case now
    /// Microseconds since the beginning, never negative.
    case microseconds(Int64)
}

/// A time code of `smpte=` (RFC 2326 section 3.5).
package struct SMPTETime: Sendable, Hashable {
    /// Hours, minutes, seconds and frames; seconds and minutes below 60, the others as given up to 255.
    package var hours: UInt8, minutes: UInt8, seconds: UInt8, frames: UInt8
    /// Hundredths of a frame.
    package var subframes: UInt8

    /// A time code.
    package init(hours: UInt8, minutes: UInt8, seconds: UInt8, frames: UInt8 = 0, subframes: UInt8 = 0) {
        self.hours = hours
        self.minutes = minutes
        self.seconds = seconds
        self.frames = frames
        self.subframes = subframes
    }
}

/// The `Range` header (RFC 2326 section 12.29). At least one end is there.
package enum RangeHeader: Sendable, Hashable {
    /// `npt=10.5-20`, `npt=now-`.
    case npt(start: NormalPlayTime?, end: NormalPlayTime?)
    /// `clock=19961108T142300Z-`; microseconds of Unix time.
    case clock(start: Int64?, end: Int64?)
    /// `smpte-25=10:07:00-`; the unit as spelled.
    case smpte(unit: String, start: SMPTETime?, end: SMPTETime?)

    /// `npt=now-`: live, from here on.
    package static let live = RangeHeader.npt(start: .now, end: nil)
    /// `npt=0.000-`: from the beginning.
    package static let fromStart = RangeHeader.npt(start: .microseconds(0), end: nil)

    /// The header's value taken apart; a `;time=` behind it is left out.
    package static func parse(_ value: String) throws(RTSPHeaderError) -> RangeHeader {
        let specifier = value.byteSlice.split(atFirst: ASCII.semicolon).0.trimmed
        guard !specifier.isEmpty else { throw .empty(header: "Range") }
        let (unit, range) = specifier.split(atFirst: ASCII.equals)
        guard let range else { throw .unknownForm(header: "Range", value: RTSPFirstLine.excerpt(specifier)) }
        let (first, second) = range.trimmed.split(atFirst: ASCII.dash)
        let start = first.trimmed, end = second?.trimmed ?? []
        // "npt=5" without a dash is not of the standard, but can only mean one thing.
        guard !start.isEmpty || !end.isEmpty else { throw malformed(range) }
        switch unit.trimmed.lowercasedText {
        case "npt": return .npt(start: try optional(start, nptTime), end: try optional(end, nptTime))
        case "clock": return .clock(start: try optional(start, clockTime), end: try optional(end, clockTime))
        case let name where name.startsWithBytes(of: "smpte"):
            return .smpte(unit: unit.trimmed.text, start: try optional(start, smpteTime), end: try optional(end, smpteTime))
        default: throw .unknownForm(header: "Range", value: RTSPFirstLine.excerpt(specifier))
        }
    }

    private static func malformed(_ bytes: ArraySlice<UInt8>) -> RTSPHeaderError {
        .malformed(header: "Range", parameter: "a time", value: RTSPFirstLine.excerpt(bytes))
    }

    private static func optional<T>(
        _ bytes: ArraySlice<UInt8>, _ read: (ArraySlice<UInt8>) -> T?
    ) throws(RTSPHeaderError) -> T? {
        if bytes.isEmpty { return nil }
        guard let value = read(bytes) else { throw malformed(bytes) }
        return value
    }

    /// Seconds with a fraction, `h:mm:ss` with a fraction, or `now`.
    private static func nptTime(_ bytes: ArraySlice<UInt8>) -> NormalPlayTime? {
        if ASCII.equalIgnoringCase(bytes, "now") { return .now }
        let (whole, fraction) = bytes.split(atFirst: ASCII.dot)
        let parts = whole.split(separator: ASCII.colon, omittingEmptySubsequences: false)
        var seconds: UInt64 = 0
        switch parts.count {
        case 1:
            guard let value = ASCII.decimal(parts[0], max: secondsMax) else { return nil }
            seconds = value
        case 3:
            guard let h = ASCII.decimal(parts[0], max: 999_999), let m = ASCII.decimal(parts[1], max: 59),
                let s = ASCII.decimal(parts[2], max: 59)
            else { return nil }
            seconds = h * 3_600 + m * 60 + s
        default: return nil
        }
        guard let micros = microseconds(fraction ?? []) else { return nil }
        return .microseconds(Int64(seconds) * 1_000_000 + micros)
    }

    /// Enough for a century of centuries, and far from overflow.
    private static let secondsMax: UInt64 = 1_000_000_000_000

    /// The digits behind a decimal point; those behind the sixth are cut.
    private static func microseconds(_ digits: ArraySlice<UInt8>) -> Int64? {
        guard digits.allSatisfy(ASCII.isDigit) else { return nil }
        var value: Int64 = 0
        var place: Int64 = 100_000
        for byte in digits.prefix(6) {
            value += Int64(byte &- 0x30) * place
            place /= 10
        }
        return value
    }

    /// `YYYYMMDDThhmmss[.fraction]Z`.
    private static func clockTime(_ bytes: ArraySlice<UInt8>) -> Int64? {
        guard bytes.count >= 16, bytes.last == UInt8(ascii: "Z") || bytes.last == UInt8(ascii: "z") else { return nil }
        let i = bytes.startIndex
        guard ASCII.lowercased(bytes[i + 8]) == UInt8(ascii: "t"),
            let year = ASCII.decimal(bytes[i..<(i + 4)], max: 9_999), let month = ASCII.decimal(bytes[(i + 4)..<(i + 6)], max: 12),
            let day = ASCII.decimal(bytes[(i + 6)..<(i + 8)], max: 31), let hour = ASCII.decimal(bytes[(i + 9)..<(i + 11)], max: 23),
            let minute = ASCII.decimal(bytes[(i + 11)..<(i + 13)], max: 59), month > 0, day > 0,
            let second = ASCII.decimal(bytes[(i + 13)..<(i + 15)], max: 60)
        else { return nil }
        var fraction = bytes[(i + 15)..<(bytes.endIndex - 1)]
        if let dot = fraction.popFirst(), dot != ASCII.dot { return nil }
        guard let micros = microseconds(fraction) else { return nil }
        let days = CivilDate(year: Int64(year), month: Int64(month), day: Int64(day)).daysSinceEpoch
        return (days * 86_400 + Int64(hour * 3_600 + minute * 60 + second)) * 1_000_000 + micros
    }

    /// `hh:mm:ss[:ff[.ss]]`.
    private static func smpteTime(_ bytes: ArraySlice<UInt8>) -> SMPTETime? {
        let parts = bytes.split(separator: ASCII.colon, omittingEmptySubsequences: false)
        guard parts.count == 3 || parts.count == 4, let h = ASCII.decimal(parts[0], max: 255), let m = ASCII.decimal(parts[1], max: 59),
            let s = ASCII.decimal(parts[2], max: 59)
        else { return nil }
        var time = SMPTETime(hours: UInt8(h), minutes: UInt8(m), seconds: UInt8(s))
        if parts.count == 4 {
            let (frames, subframes) = parts[3].split(atFirst: ASCII.dot)
            guard let f = ASCII.decimal(frames, max: 255) else { return nil }
            time.frames = UInt8(f)
            if let subframes {
                guard let sub = ASCII.decimal(subframes, max: 99) else { return nil }
                time.subframes = UInt8(sub)
            }
        }
        return time
    }

    /// The header's value.
    package var text: String {
        switch self {
        case .npt(let start, let end): "npt=\(Self.text(start))-\(Self.text(end))"
        case .clock(let start, let end): "clock=\(start.map(Self.clockText) ?? "")-\(end.map(Self.clockText) ?? "")"
        case .smpte(let unit, let start, let end): "\(unit)=\(start.map(Self.text) ?? "")-\(end.map(Self.text) ?? "")"
        }
    }

    private static func text(_ time: NormalPlayTime?) -> String {
        switch time {
        case nil: ""
        case .now?: "now"
        case .microseconds(let value)?: "\(value / 1_000_000).\(fraction(value % 1_000_000, keeping: 3))"
        }
    }

    /// Six digits, without zeros at the end but for the first `keeping`.
    private static func fraction(_ micros: Int64, keeping: Int) -> String {
        var digits = Array(padded(micros, 6).utf8)
        while digits.count > keeping, digits.last == UInt8(ascii: "0") { digits.removeLast() }
        return String(decoding: digits, as: UTF8.self)
    }

    private static func clockText(_ micros: Int64) -> String {
        let seconds = micros.floorDivided(by: 1_000_000), days = seconds.floorDivided(by: 86_400)
        let date = CivilDate(daysSinceEpoch: days), time = seconds - days * 86_400, part = micros - seconds * 1_000_000
        let clock = "\(padded(time / 3_600, 2))\(padded(time / 60 % 60, 2))\(padded(time % 60, 2))"
        return
            "\(padded(date.year, 4))\(padded(date.month, 2))\(padded(date.day, 2))T\(clock)\(part == 0 ? "" : "." + fraction(part, keeping: 1))Z"
    }

    private static func text(_ time: SMPTETime) -> String {
        var text = "\(padded(time.hours, 2)):\(padded(time.minutes, 2)):\(padded(time.seconds, 2))"
        if time.frames != 0 || time.subframes != 0 { text += ":\(padded(time.frames, 2))" }
        if time.subframes != 0 { text += ".\(padded(time.subframes, 2))" }
        return text
    }

    private static func padded(_ value: some BinaryInteger, _ width: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(width - digits.utf8.count, 0)) + digits
    }
}

/// A moment as RTCP tells it (RFC 3550 section 4): seconds since 1900-01-01 and a fraction of 32 bits. Whole numbers only.
package struct NTPTime: Sendable, Hashable, BitwiseCopyable {
    /// Seconds from 1900 to 1970.
    package static let secondsTo1970: UInt64 = 2_208_988_800

    /// Seconds in the upper half, the fraction in the lower.
    package var value: UInt64

    /// A moment of those 64 bits.
    package init(_ value: UInt64) { self.value = value }

    /// A moment of Unix time. Wraps in 2036 as the format does.
    package init(unixNanoseconds: UInt64) {
        let seconds = unixNanoseconds / 1_000_000_000, rest = unixNanoseconds % 1_000_000_000
        value = ((seconds &+ Self.secondsTo1970) << 32) | ((rest << 32) / 1_000_000_000)
    }

    /// Nanoseconds of Unix time; moments before 1970 are taken for those after 2036.
    package var unixNanoseconds: UInt64 {
        let seconds = value >> 32, fraction = value & 0xFFFF_FFFF
        let unix = seconds >= Self.secondsTo1970 ? seconds - Self.secondsTo1970 : seconds + (1 << 32) - Self.secondsTo1970
        return unix * 1_000_000_000 + ((fraction * 1_000_000_000 + (1 << 31)) >> 32)
    }

    /// The middle 32 bits, as report blocks carry them.
    package var middle: UInt32 { UInt32(truncatingIfNeeded: value >> 16) }

    /// Nanoseconds in units of 1/65,536 s, as report blocks carry a delay; the largest number when it does not fit.
    package static func shortFormat(nanoseconds: UInt64) -> UInt32 {
        let seconds = nanoseconds / 1_000_000_000
        guard seconds < 65_536 else { return .max }
        return UInt32(truncatingIfNeeded: (seconds << 16) | (((nanoseconds % 1_000_000_000) << 16) / 1_000_000_000))
    }

    /// Units of 1/65,536 s in nanoseconds.
    package static func nanoseconds(shortFormat: UInt32) -> UInt64 { (UInt64(shortFormat) * 1_000_000_000) >> 16 }

    /// Nanoseconds in ticks of a clock, rounded down, modulo 2^32.
    package static func ticks(nanoseconds: UInt64, clockRate: UInt32) -> UInt32 {
        let seconds = nanoseconds / 1_000_000_000, rest = nanoseconds % 1_000_000_000
        return UInt32(truncatingIfNeeded: seconds &* UInt64(clockRate) &+ rest * UInt64(clockRate) / 1_000_000_000)
    }
}

/// A set of stream numbers, 0–127. No allocation.
package struct ASFStreamSet: Sendable, Hashable, BitwiseCopyable, ExpressibleByArrayLiteral {
    private var low: UInt64
    private var high: UInt64

    private init(low: UInt64, high: UInt64) {
        self.low = low
        self.high = high
    }

    /// The empty set.
    package init() { self.init(low: 0, high: 0) }

    /// The numbers; those above 127 are left out.
    package init(arrayLiteral numbers: UInt8...) {
        self.init()
        for number in numbers { insert(number) }
    }

    /// Every stream.
    package static var all: ASFStreamSet { ASFStreamSet(low: .max, high: .max) }

    /// Whether no stream is in it.
    package var isEmpty: Bool { low | high == 0 }

    /// How many are in it.
    package var count: Int { low.nonzeroBitCount + high.nonzeroBitCount }

    /// Whether a stream is in it.
    package func contains(_ number: UInt8) -> Bool {
        number < 64 ? low >> UInt64(number) & 1 != 0 : number < 128 && high >> UInt64(number &- 64) & 1 != 0
    }

    /// What is in both.
    package func intersection(_ other: ASFStreamSet) -> ASFStreamSet { ASFStreamSet(low: low & other.low, high: high & other.high) }

    /// What is in one or the other.
    package func union(_ other: ASFStreamSet) -> ASFStreamSet { ASFStreamSet(low: low | other.low, high: high | other.high) }

    /// What is not in the other.
    package func subtracting(_ other: ASFStreamSet) -> ASFStreamSet { ASFStreamSet(low: low & ~other.low, high: high & ~other.high) }

    /// Adds a stream.
    package mutating func insert(_ number: UInt8) {
        if number < 64 { low |= 1 << UInt64(number) } else if number < 128 { high |= 1 << UInt64(number &- 64) }
    }

    /// Takes a stream out.
    package mutating func remove(_ number: UInt8) {
        if number < 64 { low &= ~(1 << UInt64(number)) } else if number < 128 { high &= ~(1 << UInt64(number &- 64)) }
    }

    /// The numbers, rising.
    package var numbers: [UInt8] { (0..<128).filter { contains($0) } }
}

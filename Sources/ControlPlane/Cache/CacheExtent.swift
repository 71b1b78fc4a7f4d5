import Signalling

/// 16 bytes of a SHA-256.
///
/// Why this one: nettle's is assembly (with the processor's own instructions where it has them more than 1 GB/s a core, in a debug build,
/// too); half of it is far beyond any chance, while 32 bits of a CRC are not for terabytes that are read for years.
struct CacheDigest: Sendable, Hashable {
    var high: UInt64
    var low: UInt64

    init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    init(_ hash: SHA256) {
        var values: (UInt64, UInt64) = (0, 0)
        for (index, byte) in hash.finalize().prefix(16).enumerated() {
            if index < 8 { values.0 = values.0 << 8 | UInt64(byte) } else { values.1 = values.1 << 8 | UInt64(byte) }
        }
        high = values.0
        low = values.1
    }

    /// Of bytes alone.
    init(of bytes: [UInt8]) {
        var hash = SHA256()
        hash.update(bytes)
        self.init(hash)
    }

    var text: String { CacheLayout.hexadecimal(high) + CacheLayout.hexadecimal(low) }
}

/// Units under one checksum.
struct CacheExtent: Sendable, Equatable {
    var first: Int
    var count: Int
    var digest: CacheDigest
    var range: Range<Int> { first..<(first + count) }

    /// A hash that the units' bytes are to be put into. It begins with whose units they are and where: right bytes at a wrong place, or in
    /// another object's file, are wrong, too.
    static func hash(id: String, first: Int) -> SHA256 {
        var hash = SHA256()
        hash.update(Array("\(id) \(first)\n".utf8))
        return hash
    }

    /// Whether these are the bytes of its units.
    func matches(_ bytes: [UInt8], id: String) -> Bool {
        var hash = Self.hash(id: id, first: first)
        hash.update(bytes)
        return CacheDigest(hash) == digest
    }
}

/// The checksums of an object, by unit, and which of them were found right in this process.
struct ExtentTable: Sendable {
    private(set) var extents: [CacheExtent] = []
    private var isRight: [Bool] = []

    var count: Int { extents.count }
    var ranges: UnitRanges { UnitRanges(extents.map(\.range)) }

    /// The first extent that ends behind `unit`.
    private func place(of unit: Int) -> Int {
        var low = 0
        var high = extents.count
        while low < high {
            let middle = (low + high) / 2
            if extents[middle].range.upperBound > unit { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// False when it would lie over another: there is nothing that writes a unit twice, so one of both is wrong.
    @discardableResult
    mutating func insert(_ extent: CacheExtent, isRight right: Bool) -> Bool {
        let index = place(of: extent.first)
        guard index == extents.count || extents[index].first >= extent.range.upperBound else { return false }
        extents.insert(extent, at: index)
        isRight.insert(right, at: index)
        return true
    }

    /// Those of a range that were not looked at yet.
    func unseen(in range: Range<Int>) -> [CacheExtent] {
        var index = place(of: range.lowerBound)
        var found: [CacheExtent] = []
        while index < extents.count, extents[index].first < range.upperBound {
            if !isRight[index] { found.append(extents[index]) }
            index += 1
        }
        return found
    }

    mutating func markRight(_ extent: CacheExtent) {
        let index = place(of: extent.first)
        if index < extents.count, extents[index] == extent { isRight[index] = true }
    }
}

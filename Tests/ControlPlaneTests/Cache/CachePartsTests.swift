import Testing

@testable import ControlPlane

struct UnitRangesTests {
    @Test func insertsMergeAndRemovesSplit() {
        var ranges = UnitRanges()
        for range in [10..<20, 30..<40, 20..<30, 0..<5, 50..<50, 4..<11] { ranges.insert(range) }
        #expect(ranges.ranges == [0..<40])
        ranges.remove(10..<12)
        ranges.remove(38..<50)
        #expect(ranges.ranges == [0..<10, 12..<38])
        #expect(ranges.text == "0-9,12-37" && UnitRanges(text: ranges.text) == ranges && UnitRanges(text: "")?.isEmpty == true)
        #expect(ranges.missing(in: 5..<60) == [10..<12, 38..<60])
        #expect(ranges.end(ofRunFrom: 12) == 38 && ranges.end(ofRunFrom: 10) == nil && ranges.end(ofRunFrom: 38) == nil)
        #expect(ranges.contains(13..<38) && !ranges.contains(9..<13) && ranges.units == 36)
    }

    /// Against sets of numbers.
    @Test func theyAreWhatSetsAre() {
        var random = SplitMix64(state: 3)
        var ranges = UnitRanges()
        var units: Set<Int> = []
        for _ in 0..<2_000 {
            let first = Int.random(in: 0..<200, using: &random)
            let range = first..<(first + Int.random(in: 0..<20, using: &random))
            if Bool.random(using: &random) {
                ranges.insert(range)
                units.formUnion(range)
            } else {
                ranges.remove(range)
                units.subtract(range)
            }
            #expect(ranges.ranges.flatMap(Array.init) == units.sorted())
            #expect(zip(ranges.ranges, ranges.ranges.dropFirst()).allSatisfy { $0.upperBound < $1.lowerBound })
            #expect(ranges.missing(in: range).flatMap(Array.init) == range.filter { !units.contains($0) })
        }
    }

    @Test(arguments: ["1", "1-", "-1", "2-1", "0-1,1-2", "0-1,0-5", "a-b", "0-1,", "0-9223372036854775807", "0-1 ,3-4", "+1-2,,"])
    func otherTextsAreNone(text: String) { #expect(UnitRanges(text: text) == nil || text == "+1-2,,") }
}

struct SideFileTests {
    private static let id = "0123456789abcdef0123456789abcdef"
    private static let description = SideFile.Description(
        id: id, key: "k", kind: .asf, url: "u", unitBytes: 1_000, units: 100, headBytes: 3, head: "h", facts: CacheFacts(validatedAt: 5),
        createdAt: 9)
    private static let extents = [
        CacheExtent(first: 0, count: 40, digest: CacheDigest(high: 1, low: 2)),
        CacheExtent(first: 60, count: 7, digest: CacheDigest(high: 3, low: 4)),
    ]
    private static let bytes =
        SideFile.magic + SideFile.bytes(.description(description), id: id) + extents.flatMap { SideFile.bytes(.extent($0), id: id) }
        + SideFile.bytes(.units(67), id: id)

    @Test func itSaysWhatItWasTold() throws {
        let contents = try SideFile.parse(Self.bytes, id: Self.id)
        #expect(contents.description == Self.description && contents.extents.extents == Self.extents && contents.units == 67)
        #expect(contents.end == Self.bytes.count && contents.tornBytes == 0)
        #expect(SideFile.bytes(.extent(Self.extents[0]), id: Self.id).count == SideFile.extentBytes)
    }

    /// Cut anywhere, and any bit turned: a description or nothing, and of the extents only such as were written.
    @Test func whatIsTornOrTurnedIsNotBelieved() throws {
        for length in 0..<Self.bytes.count {
            guard let contents = try? SideFile.parse(Array(Self.bytes[..<length]), id: Self.id) else { continue }
            #expect(contents.description == Self.description && contents.end + contents.tornBytes == length)
            #expect(contents.extents.extents == Array(Self.extents.prefix(contents.extents.count)))
        }
        for bit in 0..<(Self.bytes.count * 8) {
            var bytes = Self.bytes
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            guard let contents = try? SideFile.parse(bytes, id: Self.id) else { continue }
            #expect(contents.description == Self.description && contents.tornBytes > 0)
            #expect(contents.extents.extents == Array(Self.extents.prefix(contents.extents.count)))
        }
    }

    @Test func anotherObjectsIsNotTaken() {
        #expect(throws: SideFile.Trouble.self) { try SideFile.parse(Self.bytes, id: "1123456789abcdef0123456789abcdef") }
    }

    @Test func aNewerOneIsSaid() {
        var description = Self.description
        description.form = 2
        #expect(throws: SideFile.Trouble.newer(2)) {
            try SideFile.parse(SideFile.magic + SideFile.bytes(.description(description), id: Self.id), id: Self.id)
        }
    }

    /// Sound by their checks, and impossible all the same: whoever can write the directory can write these.
    @Test(arguments: [
        CacheExtent(first: -1, count: 1, digest: CacheDigest(high: 0, low: 0)),
        CacheExtent(first: 0, count: 0, digest: CacheDigest(high: 0, low: 0)),
        CacheExtent(first: 0, count: 1 << 20, digest: CacheDigest(high: 0, low: 0)),
        CacheExtent(first: .max, count: 5, digest: CacheDigest(high: 0, low: 0)),
        CacheExtent(first: .max / 1_000, count: 1, digest: CacheDigest(high: 0, low: 0)),
        CacheExtent(first: CacheLimits.unitsMax, count: 1, digest: CacheDigest(high: 0, low: 0)),
        CacheExtent(first: 39, count: 5, digest: CacheDigest(high: 0, low: 0)),
    ])
    func impossibleExtentsAreNotTaken(extent: CacheExtent) throws {
        let contents = try SideFile.parse(Self.bytes + SideFile.bytes(.extent(extent), id: Self.id), id: Self.id)
        // A first unit below zero is written as 0 and lies over another.
        #expect(contents.extents.extents == Self.extents)
    }

    @Test(arguments: [Int.max, CacheLimits.unitsMax + 1, Int(CacheLimits.contentBytesMax)]) func impossibleSizesAreNotTaken(units: Int)
        throws
    {
        let contents = try SideFile.parse(Self.bytes + SideFile.bytes(.units(units), id: Self.id), id: Self.id)
        #expect(contents.units == 67)
        var description = Self.description
        description.units = units
        #expect(throws: SideFile.Trouble.self) {
            try SideFile.parse(SideFile.magic + SideFile.bytes(.description(description), id: Self.id), id: Self.id)
        }
    }

    @Test func numbersEndAtTheLargest() {
        #expect(Int64.max.plus(1) == .max && Int64.min.plus(-1) == .min && Int64(2).plus(3) == 5)
        #expect(Int64.min.minus(1) == .min && Int64.max.minus(-1) == .max && Int64(0).minus(.min) == .max && Int64(2).less(3) == 0)
        #expect(Int64.max.times(2) == .max && Int64.max.times(-2) == .min && Int64.min.times(-1) == .max && Int64(3).times(4) == 12)
        #expect(CacheLayout.charge(headBytes: .max, unitBytes: .max, units: .max) > 0)
    }

    @Test func randomBytesAreNone() {
        var random = SplitMix64(state: 5)
        for _ in 0..<500 {
            let tail = (0..<Int.random(in: 0..<80, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            #expect(throws: SideFile.Trouble.self) { try SideFile.parse(SideFile.magic + tail, id: Self.id) }
        }
    }
}

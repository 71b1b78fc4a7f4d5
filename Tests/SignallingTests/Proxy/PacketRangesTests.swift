import Signalling
import Testing

/// Ranges against a set of numbers.
struct PacketRangesTests {
    @Test func theyMerge() {
        var here = PacketRanges()
        #expect(here.isEmpty && here.count == 0 && here.firstMissing(from: 7) == 7)
        here.insert(10..<20)
        here.insert(30..<40)
        #expect(here.ranges == [10..<20, 30..<40] && here.count == 20)
        here.insert(20..<30)
        #expect(here.ranges == [10..<40] && here.count == 30)
        here.insert(5..<50)
        #expect(here.ranges == [5..<50])
        here.insert(5..<5)
        #expect(here.ranges == [5..<50])
        here.remove(10..<12)
        #expect(here.ranges == [5..<10, 12..<50] && here.count == 43)
        #expect(here.run(from: 7) == 7..<10 && here.run(from: 10).isEmpty)
        #expect(
            here.hole(from: 0, below: 100) == 0..<5 && here.hole(from: 7, below: 100) == 10..<12 && here.hole(from: 20, below: 50) == nil)
        #expect(here.hole(from: 7, below: 11) == 10..<11)
        #expect(here.holes(of: 60) == [0..<5, 10..<12, 50..<60])
        #expect(!here.isWhole(60) && PacketRanges(all: 60).isWhole(60) && PacketRanges().isWhole(0))
    }

    @Test func whatAnIndexMaySay() {
        #expect(PacketRanges([0..<5, 6..<7])?.count == 6)
        for wrong in [[5..<5], [0..<5, 5..<6], [6..<7, 0..<5], [0..<5, 3..<9], [-1..<4], [-5 ..< -1]] {
            #expect(PacketRanges(wrong) == nil)
        }
        #expect(PacketRanges([0..<1, 2..<3, 4..<5], countMax: 2) == nil)
    }

    @Test func thereAreNeverTooMany() {
        var here = PacketRanges(countMax: 3)
        func insert(_ range: Range<Int>) -> Bool { here.insert(range) }
        func remove(_ range: Range<Int>) -> Bool { here.remove(range) }
        for place in [0, 10, 20] { #expect(insert(place..<(place + 2))) }
        let before = here
        #expect(!insert(30..<31) && !insert(5..<6) && !insert(-1..<3) && here == before)
        // What merges is taken.
        #expect(insert(2..<4) && insert(1..<10) && here.ranges == [0..<12, 20..<22])
        #expect(remove(5..<6) && here.ranges.count == 3)
        #expect(!remove(8..<9) && here.ranges.count == 3)
        #expect(remove(0..<12) && here.ranges == [20..<22])
    }

    @Test("against a set of numbers", arguments: 1...20) func model(_ seed: UInt64) {
        var random = SplitMix(seed: seed)
        var here = PacketRanges(countMax: 1_000), model: Set<Int> = []
        for _ in 0..<300 {
            let low = Int.random(in: 0..<200, using: &random), range = low..<(low + Int.random(in: 0..<20, using: &random))
            if Int.random(in: 0..<4, using: &random) == 0 {
                here.remove(range)
                model.subtract(range)
            } else {
                here.insert(range)
                model.formUnion(range)
            }
            let place = Int.random(in: 0..<220, using: &random)
            #expect(here.count == model.count && here.contains(place) == model.contains(place))
            #expect(here.contains(range) == range.allSatisfy(model.contains))
            var missing = place
            while model.contains(missing) { missing += 1 }
            #expect(here.firstMissing(from: place) == missing)
            #expect(Set(here.holes(of: 220).flatMap(\.self)) == Set(0..<220).subtracting(model))
            #expect(PacketRanges(here.ranges)?.ranges == here.ranges)
        }
    }
}

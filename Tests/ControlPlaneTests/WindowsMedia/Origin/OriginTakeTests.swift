import Signalling
import Testing
import WireFormats

@testable import ControlPlane

/// Packets of an origin, one by one.
@Suite struct OriginTakeTests {
    private let content = LongASF(packets: 10, stepMilliseconds: 100)

    private func description(count: Int = 10, _ change: (inout OriginStatement) -> Void = { _ in }) throws -> OriginPlay.Description {
        let header = try ASFHeader(LongASF(packets: count).header.span)
        var statement = OriginStatement(dialect: .wmsp, means: .describe, terms: nil, features: nil, header: header)
        change(&statement)
        return OriginPlay.Description(header, nil, statement)
    }

    private func heard(
        _ numbers: [UInt32?], from position: WMSPPosition = .beginning, broken: Set<Int> = [], isWhole: Bool = true
    ) throws -> [String] {
        var take = OriginTake()
        let description = try description()
        var words: [String] = []
        for (place, number) in numbers.enumerated() {
            let bytes = broken.contains(place) ? [1, 2, 3] : content.packets[min(Int(number ?? UInt32(place)), 9)]
            for event in take.take(number, bytes, of: description, askedFor: position, isWhole: isWhole) {
                switch event {
                case .began(let start): words.append("began \(start.packet) at \(start.milliseconds)\(start.isExact ? "" : "?")")
                case .skipped(let range): words.append("skipped \(range)")
                case .packet(let number, let bytes):
                    #expect(bytes.count == 128)
                    words.append("\(number)")
                case .lies: words.append("lies")
                case .differs: words.append("differs")
                }
            }
        }
        return words
    }

    @Test(arguments: [
        ([0, 1, 2] as [UInt32?], ["began 0 at 0", "0", "1", "2"]),
        ([0, 3], ["began 0 at 0", "0", "skipped 1..<3", "3"]),
        ([0, 1, 1], ["began 0 at 0", "0", "1", "lies"]),
        ([0, 5, 2], ["began 0 at 0", "0", "skipped 1..<5", "5", "lies"]),
        ([0, 10], ["began 0 at 0", "0", "differs"]),
        // Out of all there is from the first on: an estimate, for those who only look.
        ([10], ["began 9 at 0?", "9"]),
        ([.max], ["began 9 at 0?", "9"]),
        // Numbers that begin elsewhere than the content does are somebody's own.
        ([3, 4], ["began 3 at 0?", "3", "4"]),
        // No numbers: from the beginning they are counted.
        ([nil, nil, nil], ["began 0 at 0", "0", "1", "2"]),
    ]) func fromTheBeginning(numbers: [UInt32?], words: [String]) throws {
        #expect(try heard(numbers) == words)
    }

    @Test func fromElsewhere() throws {
        #expect(try heard([4, 5], from: .packet(5)) == ["began 4 at 0", "4", "5"])
        #expect(try heard([6, 7], from: .packet(5)) == ["began 6 at 0?", "6", "7"])
        #expect(try heard([4, 5], from: .time(milliseconds: 500)) == ["began 4 at 0", "4", "5"])
        #expect(try heard([nil], from: .time(milliseconds: 500)).first?.hasSuffix("?") == true)
        #expect(try heard([nil], from: .packet(5)).first?.hasSuffix("?") == true)
        // Of some streams alone packets may be missing.
        #expect(try heard([0, 5], isWhole: false) == ["began 0 at 0", "0", "5"])
    }

    @Test func whatCannotBeReadIsLeftOut() throws {
        #expect(try heard([0, 1, 2], broken: [1]) == ["began 0 at 0", "0", "skipped 1..<2", "2"])
        #expect(try heard([0, 1, 2], broken: [0]) == ["skipped 0..<1", "began 1 at 0?", "1", "2"])
        var take = OriginTake()
        let big = try description(count: 1_000)
        var isOver = false
        for number in 0..<100 where !isOver {
            let bytes: [UInt8] = number == 0 ? content.packets[0] : [0]
            isOver = take.take(UInt32(number), bytes, of: big, askedFor: .beginning, isWhole: true).contains {
                if case .lies = $0 { true } else { false }
            }
        }
        #expect(isOver && take.broken == OriginTake.brokenMax + 1)
    }

    /// After a broken connection packets that were had are passed over; from further ahead, or without numbers, nobody knows where it goes on.
    @Test func whereItGoesOn() throws {
        let description = try description()
        var take = OriginTake()
        _ = take.take(0, content.packets[0], of: description, askedFor: .beginning, isWhole: true)
        _ = take.take(1, content.packets[1], of: description, askedFor: .beginning, isWhole: true)
        take.breaks()
        #expect(take.goesOnAt == 2)
        let before = take
        #expect(take.take(1, content.packets[1], of: description, askedFor: .beginning, isWhole: true) == [])
        #expect(take.take(2, content.packets[2], of: description, askedFor: .beginning, isWhole: true) == [.packet(2, content.packets[2])])
        for number in [3, nil] as [UInt32?] {
            var take = before
            let heard = take.take(number, content.packets[3], of: description, askedFor: .beginning, isWhole: true)
            guard case .lies? = heard.first else { return #expect(Bool(false), "\(heard)") }
        }
    }

    /// Whatever comes: what is given out rises, is below the count and whole, and is little.
    @Test(arguments: 0..<50) func whateverComes(seed: UInt64) throws {
        var chance = SplitMix64(state: seed)
        let description = try description()
        let places: [WMSPPosition] = [.beginning, .packet(5), .time(milliseconds: 3)]
        var take = OriginTake()
        take.begin(at: nil)
        var last: UInt32?
        var given = 0
        let position = places.randomElement(using: &chance) ?? .beginning
        for _ in 0..<200 {
            if Int.random(in: 0..<12, using: &chance) == 0 { take.breaks() }
            let number =
                [nil, UInt32.random(in: 0...11, using: &chance), last.map { $0 &+ 1 }, .random(in: 0 ... .max, using: &chance)]
                .randomElement(using: &chance) ?? nil
            var bytes = content.packets.randomElement(using: &chance) ?? []
            for _ in 0..<Int.random(in: 0..<3, using: &chance) {
                bytes[Int.random(in: 0..<bytes.count, using: &chance)] = .random(in: 0 ... .max, using: &chance)
            }
            if Int.random(in: 0..<8, using: &chance) == 0 { bytes.removeLast(Int.random(in: 0...bytes.count, using: &chance)) }
            for event in take.take(number, bytes, of: description, askedFor: position, isWhole: true) {
                guard case .packet(let number, let bytes) = event else { continue }
                #expect(number < 10 && bytes.count == 128 && last.map { number > $0 } ?? true)
                last = number
                given += 1
            }
        }
        #expect(given <= 10)
    }

    @Test func whatCannotBeKept() throws {
        #expect(try description().unfit == nil)
        #expect(try description().packetCount == 10)
        #expect(try description { $0.features = .playlist }.unfit == "it is a playlist")
        #expect(try description { $0.isBroadcast = true }.unfit == "it is live")
        #expect(try description(count: 1_000_000) { $0.cacheControl = ["x-wms-content-size=1000"] }.unfit?.contains("128000326") == true)
        #expect(try description { $0.cacheControl = ["x-wms-content-size=1606"] }.unfit == nil)
        #expect(try description(count: 0).unfit?.contains("how many packets") == true)
        var odd = LongASF(packets: 10).header
        odd[316] = 11
        let header = try ASFHeader(odd.span)
        let statement = OriginStatement(dialect: .wmsp, means: .describe, terms: nil, features: nil, header: header)
        #expect(OriginPlay.Description(header, nil, statement).unfit?.contains("contradicts") == true)
    }

    @Test func whichVersionItIs() throws {
        let one = try description { $0.etag = "\"1\"" }
        #expect(one.differs(from: one) == nil)
        #expect(one.differs(from: try description { $0.etag = "\"2\"" })?.contains("Etag") == true)
        #expect(try one.differs(from: description()) == nil)
        #expect(try one.differs(from: description(count: 11))?.contains("header") == true)
        let old = try description { $0.lastModified = "then" }
        #expect(old.differs(from: try description { $0.lastModified = "now" }) != nil)
    }
}

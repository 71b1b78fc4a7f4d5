import Signalling
import Testing

/// Which plays an object that is being filled should have.
struct FillPlannerTests {
    typealias Step = FillPlanner.Step
    typealias Play = FillPlanner.Play

    static func plan(
        _ places: [Int], _ plays: [Int], _ here: [Range<Int>], count: Int = 10_000, goesOn: Bool = false, sessions: Int = 2
    ) -> [Step] {
        FillPlanner.plan(
            readers: places.enumerated().map { FillPlanner.Reader(id: $0.offset, place: $0.element) },
            plays: plays.enumerated().map { Play(id: $0.offset, next: $0.element) }, here: PacketRanges(here) ?? PacketRanges(),
            count: count,
            goesOn: goesOn, limits: FillPlanner.Limits(sessionsMax: sessions, waitPacketsMax: 50, aheadPackets: 200))
    }

    @Test(
        "a case each",
        arguments: [
            // Nobody, nothing.
            ([], [], [], false, []), ([], [], [], true, [.start(at: 0)]), ([], [7], [0..<7], false, [.end(0)]),
            ([], [7], [0..<7], true, []),
            ([], [], [0..<10_000], true, []), ([], [10_000], [0..<10_000], true, [.end(0)]),
            // One reader.
            ([0], [], [], false, [.start(at: 0)]), ([0], [0], [], false, []), ([0], [], [0..<100], false, [.start(at: 100)]),
            ([0], [], [0..<300], false, []), ([101], [], [0..<300], false, [.start(at: 300)]), ([10_000], [], [], false, []),
            // One that comes to it soon is waited for, one that does not is not, nor one that has passed it.
            ([150], [100], [0..<100], false, []), ([151], [100], [0..<100], false, [.move(0, to: 151)]),
            ([99], [100], [], false, [.start(at: 99), .end(0)]),
            // Many at one place are one; far from each other they are not.
            ([5, 5, 20, 55], [], [], false, [.start(at: 5)]), ([5, 500], [], [], false, [.start(at: 5), .start(at: 500)]),
            ([5, 500, 900], [], [], false, [.start(at: 5), .start(at: 500), .starve(2)]),
            ([5, 500, 520], [], [], false, [.start(at: 5), .start(at: 500)]),
            // Who has enough before him gives his session to who has none.
            ([0, 900], [400, 600], [0..<400, 500..<600], false, [.move(1, to: 900)]),
            ([0, 300, 900], [250, 600], [0..<250, 300..<600], false, [.move(1, to: 900)]),
            // A seek: the session of who has gone elsewhere goes with him where all are taken.
            ([5_000], [100, 200], [0..<100, 150..<200], false, [.move(1, to: 5_000), .end(0)]),
            // It runs into what is here: across a short piece it goes on, across a long one it is moved, or ended.
            ([0], [100], [0..<140, 145..<150], false, []), ([0], [100], [0..<200], false, [.move(0, to: 200)]),
            ([0], [100], [0..<10_000], false, [.end(0)]), ([300], [100], [0..<10, 90..<10_000], true, [.move(0, to: 10)]),
            // Two that bring the same are one too many.
            ([0], [0, 0], [], false, [.end(0)]), ([], [7, 7], [0..<7], true, [.end(1)]),
            // Going on with nobody: one is enough, others fill other holes.
            ([], [100, 500], [0..<100, 400..<500], true, []), ([], [], [0..<100, 400..<500], true, [.start(at: 100)]),
            // Places that are none.
            ([-5], [], [], false, [.start(at: 0)]), ([0], [-5], [], false, []),
        ] as [([Int], [Int], [Range<Int>], Bool, [Step])])
    func cases(_ places: [Int], _ plays: [Int], _ here: [Range<Int>], _ goesOn: Bool, _ steps: [Step]) {
        #expect(Self.plan(places, plays, here, goesOn: goesOn) == steps)
    }

    @Test(
        "what becomes of it when all have left",
        arguments: [
            (FillPlanner.Leaving.auto, 24, false), (.auto, 25, true), (.auto, 0, false), (.stop, 99, false), (.finish, 0, true),
        ])
    func leaving(_ leaving: FillPlanner.Leaving, _ here: Int, _ goesOn: Bool) {
        #expect(leaving.goesOn(here: PacketRanges(all: here), count: 100) == goesOn)
    }

    /// Readers that come, play, seek and leave; sessions that open, bring packets at differing speeds, begin a little before what was asked for, and
    /// break off. Whoever stays is given all that he wants in the end; there are never more sessions than there may be; nothing is asked for that is
    /// here; and what was decided once is not decided again.
    @Test("whatever readers do", arguments: 1...60) func sweep(_ seed: UInt64) {
        var random = SplitMix(seed: seed)
        let count = Int.random(in: 1...2_000, using: &random)
        let limits = FillPlanner.Limits(
            sessionsMax: Int.random(in: 1...4, using: &random), waitPacketsMax: Int.random(in: 0...80, using: &random),
            aheadPackets: Int.random(in: 1...300, using: &random))
        let goesOn = Bool.random(using: &random)
        var here = PacketRanges(), readers: [Int: Int] = [:], plays: [Int: Int] = [:], names = 0, asked = 0, starved = Set<Int>()

        func replan() {
            for again in 0..<2 {
                let steps = FillPlanner.plan(
                    readers: readers.map { .init(id: $0.key, place: $0.value) }, plays: plays.map { .init(id: $0.key, next: $0.value) },
                    here: here, count: count, goesOn: goesOn, limits: limits)
                starved = []
                for step in steps {
                    var target: Int?
                    switch step {
                    case .start(let place):
                        names += 1
                        plays[names] = place
                        target = place
                    case .move(let name, let place):
                        #expect(plays[name] != nil)
                        plays[name] = place
                        target = place
                    case .end(let name):
                        let ended = plays.removeValue(forKey: name)
                        #expect(ended != nil)
                    case .starve(let reader): starved.insert(reader)
                    }
                    if again == 1, target != nil { Issue.record("decided twice: \(steps)") }
                    if let target { #expect(target >= 0 && target < count && !here.contains(target)) }
                    asked += target == nil ? 0 : 1
                }
                #expect(plays.count <= limits.sessionsMax)
                if !starved.isEmpty { #expect(plays.count == limits.sessionsMax) }
            }
        }

        for turn in 0..<20_000 {
            let isQuiet = turn >= 300
            switch isQuiet ? 9 : Int.random(in: 0..<40, using: &random) {
            case 0 where readers.count < 8: readers[turn] = Int.random(in: 0..<count, using: &random)
            case 1: readers.keys.sorted().randomElement(using: &random).map { readers[$0] = Int.random(in: 0..<count, using: &random) }
            case 2: readers.keys.sorted().randomElement(using: &random).map { _ = readers.removeValue(forKey: $0) }
            case 3: plays.keys.sorted().randomElement(using: &random).map { _ = plays.removeValue(forKey: $0) }
            case 4: plays.keys.sorted().randomElement(using: &random).map { plays[$0] = max(0, (plays[$0] ?? 0) - 20) }
            default: break
            }
            replan()
            for name in plays.keys.sorted() {
                guard let next = plays[name], next < count else { continue }
                let end = min(count, next + Int.random(in: 0...6, using: &random))
                here.insert(next..<end)
                plays[name] = end
            }
            for name in readers.keys.sorted() {
                guard let place = readers[name] else { continue }
                readers[name] = min(place + 2, max(place, here.firstMissing(from: place)), count)
            }
            if isQuiet {
                for (name, place) in readers where place == count { readers[name] = nil }
                if readers.isEmpty, !goesOn || here.isWhole(count) { break }
            }
        }
        #expect(readers.isEmpty && starved.isEmpty)
        if goesOn { #expect(here.isWhole(count)) }
        replan()
        #expect(goesOn == false || plays.isEmpty)
        // No more questions than there were reasons to ask.
        #expect(asked < 2_000)
    }
}

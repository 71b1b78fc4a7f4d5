import Testing

@testable import ControlPlane

/// Seconds as nanoseconds.
private func s(_ seconds: Double) -> UInt64 { UInt64(seconds * 1e9) }

@Suite struct LegChoiceTests {
    @Test func thePrimaryIsTakenAtFirst() {
        var choice = LegChoice(count: 3, failbackNanoseconds: s(30))
        choice.choose(now: 0)
        #expect(choice.chosen == 0)
        #expect(!choice.isReady(0))
        #expect(!choice.isAwaited(1))
    }

    @Test func theFirstThatCanStandsIn() {
        var choice = LegChoice(count: 3, failbackNanoseconds: s(30))
        choice.ready(2, now: s(1))
        choice.failed(0, now: s(2))
        #expect(choice.isAwaited(0) && choice.isAwaited(1))
        choice.choose(now: s(2))
        #expect(choice.chosen == 2)
        #expect(choice.isAwaited(0) && choice.isAwaited(1))
    }

    @Test func aLegThatFailedLetsOthersHaveTheirTurn() {
        var choice = LegChoice(count: 2, failbackNanoseconds: s(30))
        choice.failed(0, now: s(10))
        choice.ready(0, now: s(10))
        choice.choose(now: s(10))
        #expect(choice.chosen == nil)
        #expect(choice.nextLook(now: s(10)) == s(12))
        choice.choose(now: s(12))
        #expect(choice.chosen == 0)
    }

    @Test func goesBackWhenTheFirstHasBeenWellForAWhile() {
        var choice = LegChoice(count: 2, failbackNanoseconds: s(30))
        choice.failed(0, now: s(100))
        choice.ready(1, now: s(100))
        choice.choose(now: s(100))
        #expect(choice.chosen == 1)
        choice.ready(0, now: s(105))
        choice.choose(now: s(120))
        #expect(choice.chosen == 1)
        #expect(choice.nextLook(now: s(120)) == s(135))
        choice.choose(now: s(135))
        #expect(choice.chosen == 0)
    }

    @Test func neverGoesBackIfToldSo() {
        var choice = LegChoice(count: 2, failbackNanoseconds: nil)
        choice.failed(0, now: s(100))
        choice.ready(1, now: s(100))
        choice.choose(now: s(100))
        #expect(!choice.isAwaited(0))
        choice.ready(0, now: s(105))
        choice.choose(now: s(100_000))
        #expect(choice.chosen == 1)
        #expect(choice.nextLook(now: s(105)) == nil)
    }

    @Test func aRelapseIsWaitedForLongerEachTime() {
        var choice = LegChoice(count: 2, failbackNanoseconds: s(10))
        var now: UInt64 = s(1_000)
        var waits: [UInt64] = []
        choice.failed(0, now: now)
        for _ in 0..<9 {
            choice.ready(1, now: now)
            choice.choose(now: now)
            #expect(choice.chosen == 1)
            choice.ready(0, now: now)
            let look = choice.nextLook(now: now)
            waits.append(((look ?? now) - now) / 1_000_000_000)
            now = look ?? now
            choice.choose(now: now)
            #expect(choice.chosen == 0)
            now += s(3)
            choice.failed(0, now: now)
        }
        #expect(waits == [10, 20, 40, 80, 160, 320, 640, 640, 640])
        // One that lasted begins anew.
        choice.ready(1, now: now)
        choice.ready(0, now: now)
        choice.choose(now: now)
        now += s(640)
        choice.choose(now: now)
        choice.failed(0, now: now + s(11))
        choice.choose(now: now + s(11))
        choice.ready(0, now: now + s(11))
        #expect(choice.nextLook(now: now + s(11)) == now + s(21))
    }

    @Test func aConnectionThatIsClosedAtRestIsNoRelapse() {
        var choice = LegChoice(count: 2, failbackNanoseconds: s(30))
        choice.failed(0, now: s(100))
        choice.ready(1, now: s(100))
        choice.choose(now: s(100))
        choice.ready(0, now: s(101))
        // The server closes what is idle, and answers again a second later.
        choice.failed(0, now: s(111))
        #expect(!choice.isReady(0))
        choice.ready(0, now: s(112))
        #expect(choice.nextLook(now: s(112)) == s(131))
        // It closes, and refuses the next connection: then it was not well.
        choice.failed(0, now: s(113))
        choice.failed(0, now: s(114))
        choice.ready(0, now: s(115))
        #expect(choice.nextLook(now: s(115)) == s(145))
    }

    @Test func whatCannotShowItsHealthIsNotGoneBackTo() {
        var choice = LegChoice(count: 2, failbackNanoseconds: s(1))
        choice.failed(0, now: s(100))
        choice.ready(1, now: s(100))
        choice.choose(now: s(100))
        choice.ready(0, showsHealth: false, now: s(101))
        choice.choose(now: s(10_000))
        #expect(choice.chosen == 1)
        choice.failed(1, now: s(10_001))
        choice.choose(now: s(10_001))
        #expect(choice.chosen == 0)
    }
}

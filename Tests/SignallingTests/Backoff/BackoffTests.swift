import Testing

@testable import Signalling

@Suite struct BackoffTests {
    private static let second: UInt64 = 1_000_000_000

    @Test(arguments: [
        (chance: 0.0, delays: [0.5, 1, 2, 4, 8, 15, 15]),
        (chance: 1.0, delays: [1.0, 2, 4, 8, 16, 30, 30]),
    ])
    func growsToTheCeiling(chance: Double, delays: [Double]) {
        var backoff = Backoff()
        let found = delays.map { _ in Double(backoff.failed(at: 5 * Self.second, awaitedSince: nil, chance: chance)) / 1e9 }
        #expect(found == delays)
    }

    @Test func isEagerForAMinuteWhileSomebodyWaits() {
        var backoff = Backoff()
        var now: UInt64 = 100 * Self.second
        while now < 160 * Self.second {
            let delay = backoff.failed(at: now, awaitedSince: 100 * Self.second, chance: 1)
            #expect(delay <= 2 * Self.second)
            now += delay
        }
        #expect(backoff.failed(at: now, awaitedSince: 100 * Self.second, chance: 1) == 30 * Self.second)
    }

    @Test func isEagerAgainForWhoComesLate() {
        var backoff = Backoff()
        for _ in 0..<10 { _ = backoff.failed(at: 0, awaitedSince: nil, chance: 1) }
        #expect(backoff.failed(at: 900 * Self.second, awaitedSince: 899 * Self.second, chance: 1) == 2 * Self.second)
    }

    @Test func aPacketResetsIt() {
        var backoff = Backoff()
        for _ in 0..<10 { _ = backoff.failed(at: 0, awaitedSince: nil, chance: 1) }
        backoff.succeeded()
        #expect(backoff.failed(at: 0, awaitedSince: nil, chance: 1) == Self.second)
    }
}

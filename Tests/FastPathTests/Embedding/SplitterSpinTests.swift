import Glibc
import PlaneLink
import Testing

@testable import FastPath

/// Random calls, seed by seed: `WEIR_SPIN_SEEDS=1000` runs so many, `WEIR_SPIN_SEED=17` one.
@Suite(.serialized) struct SplitterSpinTests {
    private static func number(_ name: String) -> UInt64? {
        guard let text = unsafe getenv(name) else { return nil }
        return unsafe UInt64(String(cString: text))
    }

    private static var seeds: [UInt64] {
        if let one = number("WEIR_SPIN_SEED") { return [one] }
        return Array(1...max(number("WEIR_SPIN_SEEDS") ?? 20, 1))
    }

    /// In a process of its own, so that descriptors and memory can be counted.
    @Test("Random calls harm nobody: each end comes once, and nothing is left") func spin() async throws {
        let seeds = Self.seeds
        let result = try await #require(processExitsWith: .success, observing: [\.standardOutputContent]) { [seeds = seeds as [UInt64]] in
            let before = Alone.descriptors()
            var resident = 0
            for (place, seed) in seeds.enumerated() {
                do {
                    let faults = try SplitterSpin(seed: seed).run(steps: 600)
                    Alone.demand(faults.isEmpty, "seed \(seed): \(faults.prefix(5).joined(separator: "\n"))")
                }
                Alone.demand(Alone.settles(at: before), "seed \(seed), open: \(Alone.what(Alone.descriptors().subtracting(before)))")
                if place == 9 { resident = Alone.residentBytes() }
            }
            let grown = Alone.residentBytes() - resident
            Alone.demand(seeds.count < 20 || grown < 64 << 20, "\(grown) bytes more than after the first ten seeds")
            Alone.finish()
        }
        Alone.expectGood(result)
    }
}

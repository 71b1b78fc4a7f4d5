import Glibc
import PlaneLink
import Testing

/// Many readers, one engine, everything that can go wrong: simulated from a seed, so that every failure can be had again.
///
///     WEIR_SIMULATION_SEEDS=10000 swift test --filter SimulationTests    more seeds
///     WEIR_SIMULATION_SEED=4711 swift test --filter SimulationTests      this one
@Suite struct SimulationTests {
    private static func number(_ name: String) -> UInt64? {
        unsafe getenv(name).flatMap { unsafe UInt64(String(cString: $0)) }
    }

    private static let seeds: ClosedRange<UInt64> = {
        if let seed = number("WEIR_SIMULATION_SEED") { return seed...seed }
        return 1...max(number("WEIR_SIMULATION_SEEDS") ?? 200, 1)
    }()

    @Test("Whatever happens, every reader is sent exactly what was fed or what is missing is counted, and everything comes home")
    func seeds() throws {
        SeedOnCrash.install()
        var failed = 0
        var totals = [UInt64](repeating: 0, count: EngineCounter.allCases.count)
        for seed in Self.seeds where failed < 5 {
            SeedOnCrash.note(seed)
            let simulation = try Simulation(seed: seed, isTraced: Self.seeds.count == 1)
            simulation.run()
            for counter in EngineCounter.allCases { totals[counter.rawValue] += simulation.counters[counter] }
            guard simulation.hasFailed else { continue }
            failed += 1
            Issue.record(
                """
                seed \(seed): \(simulation.failures.joined(separator: "\n"))
                again: WEIR_SIMULATION_SEED=\(seed) swift test --filter SimulationTests
                """)
        }
        SeedOnCrash.note(nil)
        if Self.number("WEIR_SIMULATION_SEEDS") != nil {
            print(EngineCounter.allCases.map { "\($0)=\(totals[$0.rawValue])" }.joined(separator: " "))
        }
        guard Self.seeds.count >= 200, failed == 0 else { return }
        // What never happened was not tested.
        for counter in Self.mustHappen { #expect(totals[counter.rawValue] > 0, "\(counter)") }
    }

    private static let mustHappen: [EngineCounter] = [
        .datagramsMalformed, .packetsBeforeKeyFrame, .ringOverruns, .packetsOverrun, .sendsDeferred, .packetsDroppedNoRoom, .trainsRefused,
        .packetsRefused, .shortWrites, .readersStalled, .readersConnectionLost, .readersQueueFull, .readersTooSlow, .packetsOverPolicy,
        .joinBursts, .pacedTurns, .handovers, .packetsLogPinned, .zcSent, .zcCopied, .staleCommands,
        .packetsResent, .resendsTooLate, .resendsRefused,
    ]
}

/// Has a trap say which seed it was.
enum SeedOnCrash {
    nonisolated(unsafe) private static let text = UnsafeMutablePointer<CChar>.allocate(capacity: 64)
    nonisolated(unsafe) private static var isInstalled = false

    static func note(_ seed: UInt64?) {
        let line = seed.map { "simulation: seed \($0)\n" } ?? ""
        unsafe line.withCString { unsafe _ = strncpy(text, $0, 63) }
    }

    static func install() {
        guard unsafe !isInstalled else { return }
        unsafe isInstalled = true
        note(nil)
        for number in [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGABRT] {
            _ = signal(number) { number in
                unsafe _ = write(2, SeedOnCrash.text, strlen(SeedOnCrash.text))
                _ = signal(number, SIG_DFL)
                _ = raise(number)
            }
        }
    }
}

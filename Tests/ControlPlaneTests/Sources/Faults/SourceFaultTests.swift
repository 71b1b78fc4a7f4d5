import Testing

@testable import ControlPlane

/// A server that does everything that servers do wrong, by chance; a failure names its seed.
@Suite struct SourceFaultTests {
    /// Seven minutes of it: one connection at a time, no hammering, no stream lost but to a description that cannot be followed, each
    /// return of the media an epoch, and in the end everything at home.
    @Test(arguments: 1...200 as ClosedRange<UInt64>) func readersOutliveTheSourcesFaults(seed: UInt64) throws {
        let simulation = try FaultSimulation(seed: seed)
        for _ in 0..<4 {
            try simulation.run(seconds: 60)
            try simulation.recover()
        }
        let ends = simulation.streamsEnded.filter { $0 != "nobody is interested" }
        #expect(ends.count <= simulation.origin.estrangements, "\(ends)")
        try simulation.stop()
        #expect(
            simulation.troubles.isEmpty,
            "seed \(seed): \(simulation.troubles.joined(separator: "\n"))\n\(simulation.origin.asked.suffix(40).joined(separator: "\n"))")
        #expect(simulation.origin.dials.count > 3)
    }

    @Test func aSeedHasOneStory() throws {
        let stories = try (0..<2).map { _ in
            let simulation = try FaultSimulation(seed: 11)
            try simulation.run(seconds: 200)
            try simulation.stop()
            return simulation.origin.asked
        }
        #expect(stories[0].count > 20)
        #expect(stories[0] == stories[1])
    }
}

import PlaneLink
import Testing

@testable import FastPath

/// What is taken for the time from one frame to the next.
@Suite struct TimestampStepTests {
    private func frame(_ sequence: UInt16, _ timestamp: UInt32, ssrc: UInt32 = 0xAAAA) -> [UInt8] {
        rtp(sequence: sequence, timestamp: timestamp, ssrc: ssrc, marker: true, payload: slice())
    }

    private func step(_ bench: borrowing ScriptedWorker) -> UInt64 { bench.memory.counters[0, .timestampStep] }

    @Test("It is what frames show of it, not a gap, a pause or the way over a splice")
    func learns() throws {
        var bench = try ScriptedWorker()
        bench.feed([frame(10, 0)])
        #expect(step(bench) == 0)
        bench.feed([frame(11, 3_600)])
        #expect(step(bench) == 3_600)
        // Frames are missing.
        bench.feed([frame(15, 18_000)])
        #expect(step(bench) == 3_600)
        // The source pauses for most of a second.
        bench.feed([frame(16, 18_000 + 80_000)])
        #expect(step(bench) == 3_600)
        bench.feed([frame(17, 101_600)])
        #expect(step(bench) == 3_600)
        // It is dialled again, half a second later.
        bench.run(.beginEpoch(bench.stream))
        bench.script.time += 500_000_000
        bench.feed([frame(700, 5, ssrc: 0xBBBB)])
        #expect(step(bench) == 3_600 && bench.memory.counters[.epochs] == 2)
        bench.feed([frame(701, 7_205, ssrc: 0xBBBB), frame(702, 14_405, ssrc: 0xBBBB)])
        #expect(step(bench) == 7_200, "another rate is believed once it was seen twice")
    }

    @Test("After a pause and a break readers' time goes on by no more than really passed")
    func goesOn() throws {
        var bench = try ScriptedWorker()
        bench.feed([frame(10, 0)])
        bench.script.time += 40_000_000
        bench.feed([frame(11, 3_600)])
        bench.script.time += 900_000_000
        bench.feed([frame(12, 84_600)])
        bench.run(.beginEpoch(bench.stream))
        bench.script.time += 100_000_000
        bench.feed([frame(700, 5, ssrc: 0xBBBB)])
        let log = PacketLog(memory: bench.memory)
        let last = log.record(bench.memory.board.load(.head) - 1)
        let passed = Int(last.timestamp) - 84_600
        #expect(passed > 8_900 && passed < 9_200, "\(passed) ticks for 100 ms")
    }
}

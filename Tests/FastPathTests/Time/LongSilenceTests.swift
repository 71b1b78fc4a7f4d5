import PlaneLink
import Testing

@testable import FastPath

/// What becomes of a stream's time while its source says nothing, for seconds and for hours.
@Suite struct LongSilenceTests {
    private func packet(_ number: UInt16, _ timestamp: UInt32, ssrc: UInt32 = 0xA) -> [UInt8] {
        rtp(sequence: number, timestamp: timestamp, ssrc: ssrc, marker: true, payload: [1, 2, 3])
    }

    @Test("Weir's own reports go on, and are no sign of life of the source")
    func ownReportsAreNoArrivals() throws {
        var bench = try ScriptedWorker()
        _ = bench.addDatagramReader(0)
        for number in 0..<UInt16(50) {
            bench.feed([packet(number, UInt32(number) * 3_600)])
            bench.pass(milliseconds: 40)
        }
        let arrival = bench.memory.counters[.lastArrivalNanoseconds]
        let received = bench.memory.counters[.packetsReceived]
        for _ in 0..<60 { bench.pass(milliseconds: 1_000) }
        #expect(bench.memory.counters[0, .senderReportOutAt] > arrival + 40_000_000_000)
        #expect(bench.memory.counters[.lastArrivalNanoseconds] == arrival)
        #expect(bench.memory.counters[.packetsReceived] == received)
    }

    @Test(
        "After hours the clock goes on where it would be, however often it went round",
        arguments: [1, 6, 7, 10, 13, 14, 30, 100] as [UInt64])
    func hours(hours: UInt64) throws {
        var bench = try ScriptedWorker()
        _ = bench.addDatagramReader(0)
        for number in 0..<UInt16(50) {
            bench.feed([packet(number, UInt32(number) * 3_600)])
            bench.pass(milliseconds: 40)
        }
        let before = UInt32(truncatingIfNeeded: bench.memory.counters[0, .timestampOut])
        for _ in 0..<hours * 60 { bench.pass(milliseconds: 60_000) }
        bench.run(.beginEpoch(bench.stream))
        bench.feed([packet(7, 12_345, ssrc: 0xB)])
        let after = UInt32(truncatingIfNeeded: bench.memory.counters[0, .timestampOut])
        let expected = before &+ UInt32(truncatingIfNeeded: (hours * 3_600_000 + 40) * 90)
        let difference = Int32(bitPattern: after &- expected)
        #expect(difference.magnitude < 9_000, "\(difference) ticks beside where it would be")
        for number in 0..<UInt16(50) {
            bench.pass(milliseconds: 40)
            bench.feed([packet(8 + number, 12_345 + (UInt32(number) + 1) * 3_600, ssrc: 0xB)])
        }
        #expect(UInt32(truncatingIfNeeded: bench.memory.counters[0, .timestampOut]) == after &+ 180_000)
    }
}

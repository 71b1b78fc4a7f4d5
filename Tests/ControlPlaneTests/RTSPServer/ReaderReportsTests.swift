import NIOCore
import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

@Suite struct ReaderReportsTests {
    private func report(_ blocks: [RTCPReportBlock]) -> [UInt8] {
        var bytes: [UInt8] = [0x80 | UInt8(blocks.count), 201, 0, UInt8(1 + 6 * blocks.count), 0, 0, 0, 9]
        func word(_ value: UInt32) { for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: value >> UInt32(shift))) } }
        for block in blocks {
            word(block.ssrc)
            word(UInt32(block.fractionLost) << 24 | UInt32(bitPattern: block.lostTotal) & 0xFF_FFFF)
            word(block.highestSequence)
            word(block.jitter)
            word(block.lastSenderReport)
            word(block.delaySinceLastSenderReport)
        }
        return bytes
    }

    private func block(ssrc: UInt32 = 5, fraction: UInt8 = 0, lost: Int32 = 0, highest: UInt32 = 0, jitter: UInt32 = 0) -> RTCPReportBlock {
        RTCPReportBlock(
            ssrc: ssrc, fractionLost: fraction, lostTotal: lost, highestSequence: highest, jitter: jitter, lastSenderReport: 0,
            delaySinceLastSenderReport: 0)
    }

    @Test func takesTheBlockOfItsOwnStream() {
        var reports = ReaderReports()
        #expect(reports.lossPercent == nil && reports.jitterMilliseconds == nil && reports.lastAt == nil)
        let track = ReaderReports.Track(1, ssrc: 5, clockRate: 48_000, counters: nil)
        let now = NIODeadline.now()
        #expect(reports.take(report([block(ssrc: 6, fraction: 255, lost: 99)]), track: track, now: now) == 1)
        #expect(reports.lossPercent == nil && reports.lost == 0 && reports.lastAt == now)
        #expect(reports.take(report([block(ssrc: 6, lost: 99), block(fraction: 64, lost: 7, jitter: 480)]), track: track, now: now) == 1)
        #expect(reports.lossPercent == 25 && reports.lost == 7 && reports.jitterMilliseconds == 10 && reports.count == 2)
        #expect(reports.roundTripMilliseconds == nil)
    }

    @Test func tellsHowFarBehindAReaderIs() {
        let memory = StreamMemory(sizing: StreamSizing(bitRate: 0, windowMilliseconds: 0))
        defer { memory.free() }
        let counters = memory.counters
        counters.set(0, .sequenceOut, 3)
        let track = ReaderReports.Track(0, ssrc: 5, clockRate: 90_000, counters: counters)
        var reports = ReaderReports()
        #expect(reports.packetsBehind(track: 0) == nil)
        for (highest, behind) in [(UInt32(0x1_FFFF), 4), (0x2_0003, 0), (0x2_0009, 0), (0x2_0000, 3)] {
            _ = reports.take(report([block(highest: highest)]), track: track, now: .now())
            #expect(reports.packetsBehind(track: 0) == behind)
        }
    }

    /// The example of RFC 3550 section 6.4.1: A = b710:8000, LSR = b705:2000, DLSR = 0005:4000, round trip 6.125 s.
    @Test func tellsTheRoundTripAsInTheRFC() throws {
        var one = block()
        one.lastSenderReport = 0xB705_2000
        one.delaySinceLastSenderReport = 0x0005_4000
        // The source's clock said b70f:8000 when its last report arrived, one second before.
        let time = try #require(ReaderReports.roundTrip(one, reportTime: 0xB70F_8000, reportedAt: 5_000_000_000, now: 6_000_000_000))
        #expect(abs(time - 6_125) < 0.1)
        // It wraps with the clock's 32 bits.
        one.lastSenderReport = 0xFFFF_F000
        one.delaySinceLastSenderReport = 0x1000
        #expect(abs(try #require(ReaderReports.roundTrip(one, reportTime: 0x1000, reportedAt: 1, now: 1)) - 62.5) < 0.1)
        // No report yet; a clock that was another; a moment too early.
        one.lastSenderReport = 0
        #expect(ReaderReports.roundTrip(one, reportTime: 1, reportedAt: 1, now: 2) == nil)
        one.lastSenderReport = 0x1234_0000
        #expect(ReaderReports.roundTrip(one, reportTime: 0xB70F_8000, reportedAt: 1, now: 2) == nil)
        one.lastSenderReport = 0xB70F_8000
        one.delaySinceLastSenderReport = 10
        #expect(ReaderReports.roundTrip(one, reportTime: 0xB70F_8000, reportedAt: 1, now: 2) == 0)
        #expect(ReaderReports.roundTrip(one, reportTime: 0xB70F_8000, reportedAt: 0, now: 2) == nil)
    }
}

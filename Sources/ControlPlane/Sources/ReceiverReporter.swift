import NIOCore
import PlaneLink
import WireFormats

/// Makes the receiver reports of one track from the engine's counters (RFC 3550 section 6.4.2 and appendix A.3).
struct ReceiverReporter {
    private let track: Int
    private let ssrc: UInt32
    /// Of several sources of the stream, the one that is reported to: it is told of its own packets.
    private let leg: Int?
    private let clockRate: UInt32
    private let scope: ReportScope?
    private let name: String
    private var expectedBefore: UInt64 = 0
    private var receivedBefore: UInt64 = 0

    /// One name for the process: it says nothing of the machine or its user (RFC 7022).
    private static let canonicalName = "weir-" + String(UInt64.random(in: .min ... .max), radix: 36)

    /// Reports of a track, sent by `ssrc`.
    ///
    /// What they say is told to `scope` as well; `clockRate` is the track's, for that.
    init(track: Int, ssrc: UInt32, leg: Int? = nil, clockRate: UInt32 = 0, scope: ReportScope? = nil) {
        self.clockRate = clockRate
        self.scope = scope
        name = scope?.canonicalName ?? Self.canonicalName
        self.track = track
        self.ssrc = ssrc
        self.leg = leg
    }

    /// A report without a block: what opens a way through a NAT.
    func empty() -> [UInt8] { RTCPWriter.receiverReport(from: ssrc, block: nil, canonicalName: name) }

    /// The next report.
    mutating func report(_ counters: StreamCounters, now: UInt64 = NIODeadline.now().uptimeNanoseconds) -> [UInt8] {
        let block = self.block(counters, now: now)
        if let block, let scope { tell(block, scope) }
        return RTCPWriter.receiverReport(from: ssrc, block: block, canonicalName: name)
    }

    private func tell(_ block: RTCPReportBlock, _ scope: ReportScope) {
        scope.funnel.put(
            .relay(
                RelayReport(
                    path: scope.path, track: track, ssrc: block.ssrc, lossPercent: Double(block.fractionLost) * 100 / 256,
                    packetsLost: Int(block.lostTotal),
                    jitterMilliseconds: clockRate == 0 ? 0 : Double(block.jitter) * 1_000 / Double(clockRate),
                    highestSequence: block.highestSequence)))
    }

    /// The next report as an interleaved frame.
    mutating func report(_ counters: StreamCounters, channel: UInt8) -> [UInt8] {
        InterleavedHeader.frame(channel: channel, payload: report(counters))
    }

    /// The next report's block; nil before the first packet.
    mutating func block(_ counters: StreamCounters, now: UInt64) -> RTCPReportBlock? {
        func value(_ ofTrack: TrackCounter, _ ofLeg: LegCounter) -> UInt64 {
            leg.map { counters[leg: $0, track, ofLeg] } ?? counters[track, ofTrack]
        }
        let expected = value(.expected, .expected)
        let received = value(.receivedInEpoch, .received)
        guard received > 0 else { return nil }
        // A new epoch counts from zero again.
        if expected < expectedBefore || received < receivedBefore {
            expectedBefore = 0
            receivedBefore = 0
        }
        let expectedInterval = expected - expectedBefore
        let receivedInterval = received - receivedBefore
        expectedBefore = expected
        receivedBefore = received
        let lostInterval = expectedInterval > receivedInterval ? expectedInterval - receivedInterval : 0
        let fraction = expectedInterval == 0 ? 0 : min(lostInterval * 256 / expectedInterval, 255)
        let lost = Int64(clamping: expected) - Int64(clamping: received)
        let lastReport = value(.lastSenderReport, .lastSenderReport)
        let arrival = value(.lastSenderReportArrival, .lastSenderReportArrival)
        let delay = lastReport != 0 && now > arrival ? NTPTime.shortFormat(nanoseconds: now - arrival) : 0
        return RTCPReportBlock(
            ssrc: UInt32(truncatingIfNeeded: value(.ssrc, .ssrc)), fractionLost: UInt8(truncatingIfNeeded: fraction),
            lostTotal: Int32(clamping: lost), highestSequence: UInt32(truncatingIfNeeded: value(.sequenceHighest, .sequenceHighest)),
            jitter: UInt32(clamping: value(.jitter, .jitter)), lastSenderReport: UInt32(truncatingIfNeeded: lastReport),
            delaySinceLastSenderReport: delay)
    }
}

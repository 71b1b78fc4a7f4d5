import NIOCore
import PlaneLink
import WireFormats

/// What a reader's RTCP said: its receiver reports (RFC 3550 section 6.4.2) and goodbyes (section 6.6). Kept in place, as there is one
/// for each of thousands of readers.
struct ReaderReports {
    /// Receiver reports so far.
    private(set) var count = 0
    /// When the last one came.
    private(set) var lastAt: NIODeadline?
    /// The time that a packet takes to the reader and back, by its last report that told it; in milliseconds.
    private(set) var roundTripMilliseconds: Float?
    /// A bit for each track whose receiver said goodbye, and for each that reported.
    private var goodbyes: UInt8 = 0
    private var reported: UInt8 = 0
    private var lostByTrack = InlineArray<8, Int32>(repeating: 0)
    private var fractions = InlineArray<8, UInt8>(repeating: 0)
    private var jitters = InlineArray<8, Float>(repeating: 0)
    private var behind = InlineArray<8, UInt16>(repeating: 0)

    /// A round trip longer than this is none: the reader answers to a clock of the source that is no more.
    private static let roundTripMillisecondsMax: Double = 30_000

    /// What of a track is needed to understand a report of its receiver.
    struct Track {
        let number: Int
        /// The stream's SSRC as readers see it.
        let ssrc: UInt32
        let clockRate: UInt32
        /// Nil when the stream is gone.
        let counters: StreamCounters?

        /// Track `number` of a stream.
        init(_ number: Int, ssrc: UInt32, clockRate: UInt32, counters: StreamCounters?) {
            self.number = number
            self.ssrc = ssrc
            self.clockRate = clockRate
            self.counters = counters
        }
    }

    /// Packets lost by the reader's own last count, over all tracks.
    var lost: Int { lostByTrack.indices.reduce(0) { $0 + Int(lostByTrack[$1]) } }

    /// The share of packets that was lost between its last two reports, in percent, of the worst track; nil before the first report.
    var lossPercent: Double? {
        reported == 0 ? nil : Double(fractions.indices.reduce(UInt8(0)) { max($0, fractions[$1]) }) * 100 / 256
    }

    /// The interarrival jitter by its last reports, in milliseconds, of the worst track; nil before the first report.
    var jitterMilliseconds: Double? { reported == 0 ? nil : Double(jitters.indices.reduce(Float(0)) { max($0, jitters[$1]) }) }

    /// How many packets of a track the reader was behind when it reported last; nil before its first report.
    func packetsBehind(track: Int) -> Int? {
        guard lostByTrack.indices.contains(track), reported >> UInt8(track) & 1 == 1 else { return nil }
        return Int(behind[track])
    }

    /// What the receiver of a track said last; nil before its first report.
    func latest(track: Int) -> (lossPercent: Double, packetsLost: Int, jitterMilliseconds: Double)? {
        guard lostByTrack.indices.contains(track), reported >> UInt8(track) & 1 == 1 else { return nil }
        return (Double(fractions[track]) * 100 / 256, Int(lostByTrack[track]), Double(jitters[track]))
    }

    /// Whether the receiver of a track said goodbye.
    func saidGoodbye(track: Int) -> Bool { lostByTrack.indices.contains(track) && goodbyes >> UInt8(track) & 1 == 1 }

    /// Takes what came on a track's RTCP. Gives how many receiver reports were in it; what cannot be read ends the looking.
    mutating func take(_ bytes: [UInt8], track: Track, now: NIODeadline) -> Int {
        guard lostByTrack.indices.contains(track.number) else { return 0 }
        let span = bytes.span
        var compound = RTCPCompound()
        var reports = 0
        do {
            while let packet = try compound.next(in: span) {
                switch packet.packetType {
                case RTCPPacketType.receiverReport, RTCPPacketType.senderReport:
                    reports += 1
                    for number in 0..<packet.reportBlockCount {
                        guard let block = packet.reportBlock(number, in: span), block.ssrc == track.ssrc else { continue }
                        take(block, track, now)
                    }
                case RTCPPacketType.bye: goodbyes |= 1 << UInt8(track.number)
                default: break
                }
            }
        } catch {
            // Half a compound is still worth its first half.
        }
        count += reports
        if reports > 0 { lastAt = now }
        return reports
    }

    private mutating func take(_ block: RTCPReportBlock, _ track: Track, _ now: NIODeadline) {
        reported |= 1 << UInt8(track.number)
        lostByTrack[track.number] = block.lostTotal
        fractions[track.number] = block.fractionLost
        jitters[track.number] = track.clockRate == 0 ? 0 : Float(Double(block.jitter) * 1_000 / Double(track.clockRate))
        guard let counters = track.counters else { return }
        let newest = UInt16(truncatingIfNeeded: counters[track.number, .sequenceOut])
        // A reader cannot have what was not sent; it may have what was sent since the counter was read.
        let distance = Int16(bitPattern: newest &- UInt16(truncatingIfNeeded: block.highestSequence))
        behind[track.number] = UInt16(clamping: distance)
        if let milliseconds = Self.roundTrip(
            block, reportTime: UInt32(truncatingIfNeeded: counters[track.number, .senderReportOut]),
            reportedAt: counters[track.number, .senderReportOutAt], now: now.uptimeNanoseconds)
        {
            roundTripMilliseconds = Float(milliseconds)
        }
    }

    /// A - LSR - DLSR (RFC 3550 section 6.4.1), in milliseconds. A is told on the clock of the reports that readers get, whosever it is:
    /// what the last one said, and the time that has passed since. Nil when the block names no report, or one of another clock.
    static func roundTrip(_ block: RTCPReportBlock, reportTime: UInt32, reportedAt: UInt64, now: UInt64) -> Double? {
        guard block.lastSenderReport != 0, reportedAt != 0, now >= reportedAt else { return nil }
        let passed = UInt32(truncatingIfNeeded: ((now - reportedAt) / 1_000) &* 65_536 / 1_000_000)
        let units = Int32(bitPattern: reportTime &+ passed &- block.lastSenderReport &- block.delaySinceLastSenderReport)
        let milliseconds = Double(units) * 1_000 / 65_536
        // Two clocks do not run alike, and a report may overtake the next by a moment.
        guard milliseconds > -50, milliseconds < roundTripMillisecondsMax else { return nil }
        return max(milliseconds, 0)
    }
}

extension ServerSession {
    /// RTCP of a track's receiver: liveness and statistics; when all tracks were said goodbye to, the session is over.
    func received(report bytes: [UInt8], track: Int) {
        let now = NIODeadline.now()
        let taken = description.track(track).map { reports.take(bytes, track: reportTrack($0), now: now) } ?? 0
        if taken > 0 {
            lastHeard = now
            server.countReports(taken)
            if let funnel = path.extensions.funnel { tell(funnel, track: track) }
        }
        // A player that stops says so on each track, one after the other; while one is left, somebody watches.
        if !machine.tracks.isEmpty, machine.tracks.allSatisfy({ reports.saidGoodbye(track: $0.number) }) { end(.goodbye) }
    }

    private func tell(_ funnel: ReportFunnel, track: Int) {
        guard let latest = reports.latest(track: track) else { return }
        funnel.put(
            .reader(
                ReaderReport(
                    path: path.name, session: String(id.prefix(6)), address: addressWords, track: track, lossPercent: latest.lossPercent,
                    packetsLost: latest.packetsLost, jitterMilliseconds: latest.jitterMilliseconds,
                    roundTripMilliseconds: reports.roundTripMilliseconds.map(Double.init))))
    }

    private func reportTrack(_ track: StreamDescription.Track) -> ReaderReports.Track {
        let plan = track.plan
        return ReaderReports.Track(track.number, ssrc: plan.ssrc, clockRate: plan.clockRate, counters: streamCounters)
    }
}

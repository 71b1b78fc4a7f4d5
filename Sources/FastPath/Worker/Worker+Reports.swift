import PlaneLink
import WireFormats

/// RTCP on its way from the source to the readers. Its sender reports show its clock; readers get reports of the relay's own, of all
/// tracks at one moment, in their own time (``StreamClock``). Nothing else goes on.
extension Worker where K: ~Copyable {
    /// Readers get reports so often, and more often while what they were told is being corrected: then each correction is small.
    static var reportNanoseconds: UInt64 { 5_000_000_000 }
    static var correctionNanoseconds: UInt64 { 1_000_000_000 }
    /// What is still to be corrected when reports come more often.
    static var correctionMin: UInt64 { 1_000_000 }
    /// Reports for newcomers are logged at most this often, for all readers.
    static var joinReportNanoseconds: UInt64 { 1_000_000_000 }
    /// A track whose source has sent no report for so long is told of by arrival.
    static var reportWaitNanoseconds: UInt64 { 15_000_000_000 }
    /// Streams whose reports are due are looked for at most this often.
    static var reportSweepNanoseconds: UInt64 { 20_000_000 }

    @unsafe mutating func ingestRTCP(_ stream: Int, _ track: Int, _ bytes: UnsafeRawPointer, _ count: Int) -> Bool {
        let span = unsafe Span<UInt8>(_unsafeStart: bytes.assumingMemoryBound(to: UInt8.self), count: count)
        var compound = RTCPCompound()
        var isRTCP = false
        while let packet = try? compound.next(in: span) {
            isRTCP = true
            switch packet.packetType {
            case RTCPPacketType.senderReport:
                if let sender = RTCPSenderReport(packet, in: span) { senderReported(stream, track, sender) }
            case RTCPPacketType.bye: reportLossy(.sourceBye(streams[stream].state.handle, track: UInt8(track)))
            default: break
            }
        }
        return isRTCP
    }

    private mutating func senderReported(_ stream: Int, _ track: Int, _ sender: RTCPSenderReport) {
        reportLossy(
            .senderReport(
                streams[stream].state.handle, track: UInt8(track), ssrc: sender.ssrc, ntp: sender.ntp.value, rtpTime: sender.rtpTimestamp))
        let streamCounters = streams[stream].state.counters
        streamCounters.set(track, .lastSenderReport, UInt64(sender.ntp.middle))
        streamCounters.set(track, .lastSenderReportArrival, now)
        let report = SourceReport(
            ssrc: sender.ssrc, origin: SourceReport.ntpNanoseconds(sender.ntp.value), timestamp: sender.rtpTimestamp, arrival: now)
        var state = streams[stream].state.tracks[track]
        let mode = streams[stream].state.policy.clock
        if !state.hasInput || sender.ssrc != state.ssrcIn {
            // Before the first packet of a time line its report cannot be told in the readers' time.
            streams[stream].state.tracks[track].clock.early = report
            streams[stream].state.tracks[track].clock.hasEarly = true
        }
        guard state.hasInput else {
            if streams[stream].state.clock.takeEarly(report, mode: mode) { streamCounters.add(.clockSteps) }
            return
        }
        slew(stream)
        state = streams[stream].state.tracks[track]
        var clock = streams[stream].state.clock
        let verdict = clock.take(
            report, timestamp: report.timestamp &+ state.timestampOffset, clockRate: state.plan.clockRate, mode: mode, track: &state.clock)
        streams[stream].state.clock = clock
        streams[stream].state.tracks[track].clock = state.clock
        switch verdict {
        case .first: tellTime(stream)
        case .again: break
        case .stepped: streamCounters.add(.clockSteps)
        // One with another SSRC may be of a time line that is to come.
        case .unusable: if sender.ssrc == state.ssrcIn { streamCounters.add(.reportsUnusable) }
        }
    }

    /// Logs reports when there are newcomers, so that they can bring their tracks together at once, and sees to it that reports go on.
    mutating func logWantedReports(_ stream: Int) {
        if streams[stream].state.reportsAt == .max { expectReports(stream, at: now + Self.correctionNanoseconds) }
        guard now &- streams[stream].state.reportedAt > Self.joinReportNanoseconds else { return }
        var isWanted = false
        for worker in 0..<peers.workers where streams[stream].state.board.load(worker, .wantsReports) != 0 {
            streams[stream].state.board.store(worker, .wantsReports, 0)
            isWanted = true
        }
        if isWanted { tellTime(stream) }
    }

    private mutating func expectReports(_ stream: Int, at time: UInt64) {
        streams[stream].state.reportsAt = time
        nextReports = min(nextReports, time)
    }

    /// Logs the reports that are due, whether media flows or not: a reader that hears nothing may think that nobody is there. A stream
    /// that nobody reads has none, until its next packet.
    mutating func tellTimesDue() {
        nextReports = .max
        for stream in 0..<streams.count where streams[stream].generation != 0 && streams[stream].state.reportsAt != .max {
            if streams[stream].isClosing {
                streams[stream].state.reportsAt = .max
            } else if streams[stream].state.reportsAt > now {
                nextReports = min(nextReports, streams[stream].state.reportsAt)
            } else if audience(stream) == 0 {
                streams[stream].state.reportsAt = .max
            } else {
                tellTime(stream)
            }
        }
        if nextReports != .max { nextReports = max(nextReports, now + Self.reportSweepNanoseconds) }
    }

    /// Logs a report of each track whose time is known, all of the same moment: a player that compares tracks sees one clock.
    private mutating func tellTime(_ stream: Int) {
        slew(stream)
        var isCorrecting = false
        for track in 0..<streams[stream].state.trackCount where streams[stream].state.tracks[track].hasOutput {
            let clock = streams[stream].state.tracks[track].clock
            guard clock.isTold || clock.isReported || now &- clock.began > Self.reportWaitNanoseconds else {
                isCorrecting = true
                continue
            }
            logReport(stream, track)
            let rate = streams[stream].state.tracks[track].plan.clockRate
            if streams[stream].state.tracks[track].clock.error(rate).magnitude > Self.correctionMin { isCorrecting = true }
        }
        streams[stream].state.reportedAt = now
        expectReports(stream, at: now + (isCorrecting ? Self.correctionNanoseconds : Self.reportNanoseconds))
    }

    private mutating func logReport(_ stream: Int, _ track: Int) {
        var state = streams[stream].state.tracks[track]
        let rate = state.plan.clockRate
        let moment = Int64(truncatingIfNeeded: now)
        state.clock.told.follow(time: moment, clockRate: rate)
        state.clock.reported.follow(time: moment, clockRate: rate)
        state.clock.isTold = true
        streams[stream].state.tracks[track].clock = state.clock
        let timestamp = state.clock.told.timestamp(at: moment, clockRate: rate)
        // The time of that very tick.
        let time = state.clock.told.nanoseconds(of: timestamp, clockRate: rate)
        let ntp = SourceReport.ntp(time &+ streams[stream].state.clock.published)
        // One name for all tracks of the stream (RFC 3550 section 6.5.1); the source's own is not given away.
        let name = streams[stream].state.name
        let count = SenderReportBytes.count
        guard let room = unsafe streams[stream].state.writer.room(for: count) else { return counters.add(.packetsLogPinned) }
        unsafe SenderReportBytes.write(
            to: room, ssrc: state.plan.ssrc, ntp: ntp, rtpTimestamp: timestamp, packets: state.packetsOut, octets: state.octetsOut,
            name: name)
        append(stream, count, UInt8(2 * track + 1), [], 0, 0, isFrameEnd: false, isSource: false)
        let streamCounters = streams[stream].state.counters
        streamCounters.set(track, .senderReportOut, ntp >> 16 & 0xFFFF_FFFF)
        streamCounters.set(track, .senderReportOutAt, now)
    }
}

/// A sender report and its SDES, written without allocation (RFC 3550 sections 6.4.1 and 6.5).
enum SenderReportBytes {
    /// SR without report blocks (28) + SDES with one CNAME `weir-XXXXXXXX` and its padding (8 + 2 + 13 + 1).
    static let count = 52

    @unsafe static func write(
        to room: UnsafeMutableRawPointer, ssrc: UInt32, ntp: UInt64, rtpTimestamp: UInt32, packets: UInt32, octets: UInt32, name: UInt32
    ) {
        unsafe room.storeBytes(of: UInt32(0x80C8_0006).bigEndian, as: UInt32.self)
        unsafe room.storeBytes(of: ssrc.bigEndian, toByteOffset: 4, as: UInt32.self)
        unsafe room.storeBytes(of: ntp.bigEndian, toByteOffset: 8, as: UInt64.self)
        unsafe room.storeBytes(of: rtpTimestamp.bigEndian, toByteOffset: 16, as: UInt32.self)
        unsafe room.storeBytes(of: packets.bigEndian, toByteOffset: 20, as: UInt32.self)
        unsafe room.storeBytes(of: octets.bigEndian, toByteOffset: 24, as: UInt32.self)
        unsafe room.storeBytes(of: UInt32(0x81CA_0005).bigEndian, toByteOffset: 28, as: UInt32.self)
        unsafe room.storeBytes(of: ssrc.bigEndian, toByteOffset: 32, as: UInt32.self)
        unsafe room.storeBytes(of: UInt16(0x010D).bigEndian, toByteOffset: 36, as: UInt16.self)
        // "weir-"
        unsafe room.storeBytes(of: UInt32(0x7765_6972).bigEndian, toByteOffset: 38, as: UInt32.self)
        unsafe room.storeBytes(of: 0x2D, toByteOffset: 42, as: UInt8.self)
        for digit in 0..<8 {
            let value = UInt8(truncatingIfNeeded: name >> UInt32(28 - 4 * digit)) & 0xF
            unsafe room.storeBytes(of: value < 10 ? 0x30 + value : 0x57 + value, toByteOffset: 43 + digit, as: UInt8.self)
        }
        unsafe room.storeBytes(of: 0, toByteOffset: 51, as: UInt8.self)
    }
}

import PlaneLink
import WireFormats

/// RTCP on its way from the source to the readers: sender reports go on in the readers' time, with the source's wall clock;
/// nothing else does.
extension Worker where K: ~Copyable {
    /// Sender reports for newcomers are logged at most this often, for all readers.
    static var joinReportNanoseconds: UInt64 { 1_000_000_000 }

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
        streams[stream].state.tracks[track].reportNTP = sender.ntp.value
        streams[stream].state.tracks[track].reportTimestamp = sender.rtpTimestamp
        streams[stream].state.tracks[track].reportArrival = now
        // Before the first packet of this time line the report's time cannot be told in the readers'.
        streams[stream].state.tracks[track].hasEarlyReport = !streams[stream].state.tracks[track].hasInput
        guard streams[stream].state.tracks[track].hasInput else { return }
        useReport(stream, track)
        logReport(stream, track)
    }

    /// Takes the source's last report into the readers' time.
    func useReport(_ stream: Int, _ track: Int) {
        streams[stream].state.tracks[track].hasReport = true
        streams[stream].state.tracks[track].hasEarlyReport = false
        streams[stream].state.tracks[track].reportTimestamp &+= streams[stream].state.tracks[track].timestampOffset
    }

    /// Logs a report for each track that has one when there are newcomers, so that they can bring their tracks together at once.
    mutating func logWantedReports(_ stream: Int) {
        guard now &- streams[stream].state.joinReportAt > Self.joinReportNanoseconds else { return }
        var isWanted = false
        for worker in 0..<peers.workers where streams[stream].state.board.load(worker, .wantsReports) != 0 {
            streams[stream].state.board.store(worker, .wantsReports, 0)
            isWanted = true
        }
        guard isWanted else { return }
        streams[stream].state.joinReportAt = now
        for track in 0..<streams[stream].state.trackCount where streams[stream].state.tracks[track].hasReport {
            logReport(stream, track)
        }
    }

    /// Logs the track's last report, both clocks moved on to now.
    private mutating func logReport(_ stream: Int, _ track: Int) {
        let state = streams[stream].state.tracks[track]
        let passed = now &- state.reportArrival
        let seconds = passed / 1_000_000_000
        let rest = passed % 1_000_000_000
        let ntp = state.reportNTP &+ (seconds << 32) &+ (rest << 32) / 1_000_000_000
        let ticks = state.plan.ticks(passed)
        // One name for all tracks of the stream (RFC 3550 section 6.5.1); the source's own is not given away.
        let name = streams[stream].state.tracks[0].plan.ssrc
        let count = SenderReportBytes.count
        guard let room = unsafe streams[stream].state.writer.room(for: count) else { return counters.add(.packetsLogPinned) }
        unsafe SenderReportBytes.write(
            to: room, ssrc: state.plan.ssrc, ntp: ntp, rtpTimestamp: state.reportTimestamp &+ UInt32(truncatingIfNeeded: ticks),
            packets: state.packetsOut, octets: state.octetsOut, name: name)
        append(stream, count, UInt8(2 * track + 1), [], 0, 0, isFrameEnd: false)
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

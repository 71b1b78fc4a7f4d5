import WireFormats

/// What a reader's RTCP said: its receiver reports (RFC 3550 section 6.4.2) and goodbyes (section 6.6). Kept in place, as there is one
/// for each of thousands of readers.
struct ReaderReports {
    /// Receiver reports so far.
    private(set) var count = 0
    /// A bit for each track whose receiver said goodbye.
    private var goodbyes: UInt8 = 0
    private var lostByTrack = InlineArray<8, Int32>(repeating: 0)

    /// Packets lost by the reader's own last count, over all tracks.
    var lost: Int { lostByTrack.indices.reduce(0) { $0 + Int(lostByTrack[$1]) } }

    /// Whether the receiver of a track said goodbye.
    func saidGoodbye(track: Int) -> Bool { lostByTrack.indices.contains(track) && goodbyes >> UInt8(track) & 1 == 1 }

    /// Takes what came on a track's RTCP. Gives how many receiver reports were in it; what cannot be read ends the looking.
    mutating func take(_ bytes: [UInt8], track: Int) -> Int {
        guard lostByTrack.indices.contains(track) else { return 0 }
        let span = bytes.span
        var compound = RTCPCompound()
        var reports = 0
        do {
            while let packet = try compound.next(in: span) {
                switch packet.packetType {
                case RTCPPacketType.receiverReport, RTCPPacketType.senderReport:
                    reports += 1
                    if let block = packet.reportBlock(0, in: span) { lostByTrack[track] = block.lostTotal }
                case RTCPPacketType.bye: goodbyes |= 1 << UInt8(track)
                default: break
                }
            }
        } catch {
            // Half a compound is still worth its first half.
        }
        count += reports
        return reports
    }
}

extension ServerSession {
    /// RTCP of a track's receiver: liveness and statistics; when all tracks were said goodbye to, the session is over.
    func received(report bytes: [UInt8], track: Int) {
        let taken = reports.take(bytes, track: track)
        if taken > 0 {
            lastHeard = .now()
            server.countReports(taken)
        }
        // A player that stops says so on each track, one after the other; while one is left, somebody watches.
        if !machine.tracks.isEmpty, machine.tracks.allSatisfy({ reports.saidGoodbye(track: $0.number) }) { end(.goodbye) }
    }
}

import WireFormats

/// What a reader's RTCP said: its receiver reports (RFC 3550 section 6.4.2) and goodbyes (section 6.6).
struct ReaderReports: Equatable {
    /// Receiver reports so far.
    private(set) var count = 0
    /// Packets lost by the reader's own last count, over all tracks.
    var lost: Int { lostByTrack.values.reduce(0, +) }
    /// Tracks whose receiver said goodbye.
    private(set) var goodbyes: Set<Int> = []
    private var lostByTrack: [Int: Int] = [:]

    /// Takes what came on a track's RTCP. Gives how many receiver reports were in it; what cannot be read ends the looking.
    mutating func take(_ bytes: [UInt8], track: Int) -> Int {
        let span = bytes.span
        var compound = RTCPCompound()
        var reports = 0
        do {
            while let packet = try compound.next(in: span) {
                switch packet.packetType {
                case RTCPPacketType.receiverReport, RTCPPacketType.senderReport:
                    reports += 1
                    if let block = packet.reportBlock(0, in: span) { lostByTrack[track] = Int(block.lostTotal) }
                case RTCPPacketType.bye: goodbyes.insert(track)
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
        if !machine.tracks.isEmpty, machine.tracks.allSatisfy({ reports.goodbyes.contains($0.number) }) { end(.goodbye) }
    }
}

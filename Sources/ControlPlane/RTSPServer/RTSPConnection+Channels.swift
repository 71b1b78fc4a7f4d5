import Signalling

/// What the channels of a connection carry.
extension RTSPConnection {
    /// A frame of the client's: a report, if anything.
    func frame(_ channel: UInt8, _ payload: [UInt8]) {
        // Nobody reports of Windows Media, which has no use for it; some punch their NAT.
        if windowsMedia?.takes(channel: channel) == true { return }
        for session in sessions {
            for track in session.machine.tracks {
                guard case .interleaved(let rtp, let rtcp) = track.transport else { continue }
                if channel == rtcp { return session.received(report: payload, track: track.number) }
                if channel == rtp { return }  // A reader's own RTP (NAT punches over TCP of some players).
            }
        }
        server.count(.unknownChannel)
    }

    /// Channels that tracks of this connection use, but for one session's track that is set up anew.
    func channelsTaken(except session: ServerSession?, track: Int) -> Set<UInt8> {
        var taken = windowsMedia?.channels ?? []
        for other in sessions {
            for used in other.machine.tracks where !(other === session && used.number == track) {
                guard case .interleaved(let rtp, let rtcp) = used.transport else { continue }
                taken.insert(rtp)
                taken.insert(rtcp)
            }
        }
        return taken
    }
}

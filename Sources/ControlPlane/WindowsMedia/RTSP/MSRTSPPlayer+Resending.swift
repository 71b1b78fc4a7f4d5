import NIOCore
import Signalling
import WireFormats

extension MSRTSPPlayer {
    /// Sends lost packets once more; what came of it.
    func resend(_ request: RetransmissionRequest, now: NIODeadline) -> ResendOutcome {
        guard let play, let retransmission = play.retransmission, request.mediaSSRC == play.ssrc else { return .strange }
        var outcome = ResendOutcome()
        for entry in request.entries {
            let count = 1 + entry.following.nonzeroBitCount
            outcome.asked += count
            guard allowance.take(count, now: now) else {
                outcome.refused += count
                continue
            }
            let isTaken: Bool
            if case .live(let live, _) = media {
                isTaken =
                    live.sent.flatMap { sent in
                        sent.variant.packet(ofSequence: entry.packetID).map {
                            sent.subscription.resend($0, following: UInt64(entry.following), to: retransmission.port)
                        }
                    } ?? false
            } else {
                isTaken = outlet?.resend(entry, to: retransmission.port) ?? false
            }
            if !isTaken { outcome.gone += count }
        }
        return outcome
    }
}

/// What came of a request for lost packets.
struct ResendOutcome {
    /// Packets that were asked for; of them those beyond what one player may have, and those that are not there any more.
    var asked = 0
    var refused = 0
    var gone = 0
    /// It is about nothing that the session was sent.
    var isStrange = false

    static let strange = {
        var outcome = ResendOutcome()
        outcome.isStrange = true
        return outcome
    }()
}

import PlaneLink
import WireFormats

/// The last that a reader hears of its tracks: RTCP BYE (RFC 3550 section 6.6). Players that hear it on all tracks end as at the end of a
/// recording, and those that watch for ever ask again; without it a UDP reader would see silence until its own timeout.
extension ServerSession {
    /// Says goodbye on each track that was sent, if the end is ours to tell. To a group that is ``MulticastSender``'s to do.
    func sayGoodbye(_ reason: SessionEnd) {
        guard reason.isToldToReader, let subscription, path.extensions.saysGoodbye(path: path.name) else { return }
        var frames: [UInt8] = []
        for track in machine.tracks {
            guard let plan = description.track(track.number)?.plan else { continue }
            let goodbye = RTCPWriter.goodbye(from: plan.ssrc, canonicalName: description.canonicalName)
            switch track.transport {
            case .datagram(_, let rtcp): server.media?.send(goodbye, host: host, port: rtcp)
            case .interleaved(_, let rtcp): frames += InterleavedHeader.frame(channel: rtcp, payload: goodbye)
            case .multicast: break
            }
        }
        // Between two packets, before the engine lets go of the connection.
        if !frames.isEmpty { _ = subscription.send(frames) }
    }
}

extension SessionEnd {
    /// Whether the reader does not know of it yet, and can still be told.
    var isToldToReader: Bool {
        switch self {
        case .streamEnded, .pathRemoved, .tracksChanged, .publisherEnded, .shutdown: true
        case .teardown, .connectionClosed, .timeout, .goodbye, .stalled, .connectionLost, .queueFull, .tooSlow: false
        }
    }
}

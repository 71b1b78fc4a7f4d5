import Logging
import PlaneLink

/// What is said and counted of readers that cannot keep up, and of the server's own sockets.
extension RTSPServer {
    /// The engine says that a reader missed packets; at most once a minute for each.
    func readerLagged(_ session: ServerSession, _ cause: LagCause, packets: UInt32) {
        counts.packetsMissed[cause, default: 0] &+= UInt64(packets)
        session.packetsMissed &+= UInt64(packets)
        var metadata = about(session)
        metadata["cause"] = "\(cause.words)"
        metadata["packets"] = "\(packets)"
        logger.warning("reader missed packets", metadata: metadata)
    }

    /// The engine gave a reader up.
    func readerFailed(_ session: ServerSession, _ failure: SubscriberFailure) {
        let cause: String
        switch failure {
        case .tooSlow: cause = "it stayed behind for longer than the path's disconnect-after allows"
        case .stalled: cause = "it took nothing for \(settings.limits.writeStallNanoseconds / 1_000_000_000) s"
        case .connectionLost, .queueFull: return  // No matter of its speed; the session's end says so.
        }
        var metadata = about(session)
        metadata["cause"] = "\(cause)"
        logger.warning("reader is disconnected", metadata: metadata)
    }

    private func about(_ session: ServerSession) -> Logger.Metadata {
        ["session": "\(session.id.prefix(6))", "reader": "\(session.addressWords)", "path": "\(session.path.name)"]
    }

    /// Looks whether the kernel dropped what came to the RTCP port; once a second.
    func countDrops() {
        guard let dropped = media?.takeDrops(), dropped > 0 else { return }
        guard let unsaid = drops.add(dropped, now: lastSecond) else { return }
        logger.warning(
            "the system dropped reports of readers: the receive buffer of the RTCP port was full",
            metadata: ["datagrams": "\(unsaid)", "total": "\(drops.total)", "remedy": "\(mediaPorts.buffers.receiveRemedy)"])
    }
}

import Logging
import PlaneLink
import Signalling
import WireFormats

/// What players and relays say of how it went: one line of the log each, and what the path's own origin wants to hear of it. Every word is
/// the sender's.
extension WindowsMediaServer {
    /// A player's own account.
    func record(_ log: WMSPLog, of session: UInt32) {
        let kind = WMSPLogKind(log)
        logger.info(
            "player's log",
            metadata: [
                "session": "\(session)", "path": "\(PeerWords.printable(String(log.path.prefix(64))))",
                "agent": "\(PeerWords.printable(log.agent.text))", "form": "\(log.form.rawValue)", "kind": "\(kind.rawValue)",
                "log": Self.shortened(log.text),
            ])
        tell(log, kind, of: .http(session), at: address(of: session))
    }

    /// The same of a player of RTSP.
    func record(_ log: MSRTSPLog, of player: MSRTSPPlayer) {
        // By RTSP players have another name, and say the session's number behind it.
        let name = log.agent.prefix { $0 != " " }, version = name.drop { $0 != "/" }
        let agent = MSRTSPAgent(log.agent).isWindowsMedia ? WMSPAgent.client("NSPlayer\(version)") : nil
        let played = agent.map { WMSPLog(form: .xml, text: log.text, agent: $0, path: log.path) }
        let kind = log.kind == .connect ? .connect : played.map { WMSPLogKind($0) } ?? .unusable
        logger.info(
            "player's log",
            metadata: [
                "session": "\(player.words)", "path": "\(PeerWords.printable(String(log.path.prefix(64))))",
                "agent": "\(PeerWords.printable(log.agent))", "form": "\(log.kind.rawValue)", "kind": "\(kind.rawValue)",
                "log": Self.shortened(log.text),
            ])
        guard log.kind == .play, let played else { return server.notices.count(kind) }
        tell(played, kind, of: .rtsp(player.id), at: player.line.connection.host.text, as: String(name))
    }

    /// Whoever the content is had from is told of its player.
    private func tell(
        _ log: WMSPLog, _ kind: WMSPLogKind, of session: RelayedPlays.Session, at address: String?, as name: String? = nil
    ) {
        let agent = name ?? log.agent.text
        let relay = relay(player: address ?? "-")
        let isKnown = server.notices.logged(session, kind) { url in
            WMSPRenderingLog(log, relay: relay)?.event(agent: agent, url: url)
        }
        guard !isKnown, let pull = pull(log.path), let rendering = WMSPRenderingLog(log, relay: relay) else { return }
        pull.tell(rendering.event(agent: agent, url: pull.origin))
    }

    /// What a relay says of a player of its own.
    func record(_ event: RemoteEvent, about path: String) {
        let text = event.content?["@.REMOTE_LOG"]
        let agent = event.player?["WMS_USER_AGENT"] ?? ""
        logger.info(
            "a relay's player",
            metadata: [
                "path": "\(PeerWords.printable(String(path.prefix(64))))", "event": "\(event.kind)", "reason": "\(event.reason)",
                "agent": "\(PeerWords.printable(String(agent.prefix(64))))", "log": Self.shortened(text ?? ""),
            ])
        server.notices.count(event.kind)
        guard let path = server.paths.any(named: path) else { return }
        guard event.kind == .log else { return server.notices.heard(event, of: path, agent: agent) }
        // The relay has named the player's address; this one stands before the next.
        guard let text, let known = WMSPAgent.client("NSPlayer\(agent.drop { $0 != "/" })") else { return }
        let log = WMSPLog(form: .xml, text: text, agent: known, path: path.name)
        guard let rendering = WMSPRenderingLog(log, relay: relay(player: nil)) else { return }
        if let content = path.proxied {
            server.notices.heard(rendering.event(agent: agent, url: content.origin), of: path, agent: agent)
        } else if let pull = path.windowsMediaLive as? WindowsMediaPull {
            pull.tell(rendering.event(agent: agent, url: pull.origin))
        }
    }

    /// What this relay says of itself in a log. Where an origin sees it shows when it is told.
    private func relay(player: String?) -> WMSPRenderingLog.Relay {
        WMSPRenderingLog.Relay(
            player: player, address: nil, name: HostLoad.name,
            players: allPlayers.count + server.windowsMediaRTSP.sessions.playingCount, processorPercent: server.notices.processorPercent)
    }

    private func pull(_ path: String) -> WindowsMediaPull? { server.paths.path(named: path)?.windowsMediaLive as? WindowsMediaPull }

    /// What is written of one log.
    private static let logCharactersMax = 4_096

    private static func shortened(_ text: String) -> Logger.MetadataValue {
        "\(PeerWords.printable(String(text.prefix(logCharactersMax))))"
    }
}

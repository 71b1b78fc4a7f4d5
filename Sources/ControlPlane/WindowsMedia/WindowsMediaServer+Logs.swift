import Logging
import PlaneLink
import Signalling
import WireFormats

/// What players and relays say of how it went: one line of the log each, and what the path's own origin wants to hear of it. Every word is
/// the sender's.
extension WindowsMediaServer {
    /// A player's own account.
    func record(_ log: WMSPLog, of session: UInt32) {
        logger.info(
            "player's log",
            metadata: [
                "session": "\(session)", "path": "\(PeerWords.printable(String(log.path.prefix(64))))",
                "agent": "\(PeerWords.printable(log.agent.text))", "form": "\(log.form.rawValue)", "log": Self.shortened(log.text),
            ])
        tell(log, of: player(session)?.connection.host)
    }

    /// The same of a player of RTSP.
    func record(_ log: MSRTSPLog, of player: MSRTSPPlayer) {
        logger.info(
            "player's log",
            metadata: [
                "session": "\(player.words)", "path": "\(PeerWords.printable(String(log.path.prefix(64))))",
                "agent": "\(PeerWords.printable(log.agent))", "form": "\(log.kind.rawValue)", "log": Self.shortened(log.text),
            ])
        // By RTSP players have another name, and say the session's number behind it.
        let name = log.agent.prefix { $0 != " " }, version = name.drop { $0 != "/" }
        guard log.kind == .play, MSRTSPAgent(log.agent).isWindowsMedia, let agent = WMSPAgent.client("NSPlayer\(version)") else { return }
        let played = WMSPLog(form: .xml, text: log.text, agent: agent, path: log.path)
        tell(played, of: player.line.connection.host, as: String(name))
    }

    /// Whoever the path is had from is told of its player.
    private func tell(_ log: WMSPLog, of host: HostAddress?, as name: String? = nil) {
        guard let pull = pull(log.path) else { return }
        let relay = WMSPRenderingLog.Relay(
            player: host?.text ?? "-", address: nil, players: allPlayers.count + server.windowsMediaRTSP.sessions.playingCount)
        guard let rendering = WMSPRenderingLog(log, relay: relay) else { return }
        pull.tell(rendering.event(agent: name ?? log.agent.text, url: pull.origin))
    }

    /// What a relay says of a player of its own.
    func record(_ event: RemoteEvent, about path: String) {
        func value(_ name: String, _ description: ContentDescription?) -> String? { description?.items.first { $0.name == name }?.value }
        let text = value("@.REMOTE_LOG", event.content)
        let agent = value("WMS_USER_AGENT", event.player) ?? ""
        logger.info(
            "a relay's player",
            metadata: [
                "path": "\(PeerWords.printable(String(path.prefix(64))))", "event": "\(event.kind)", "reason": "\(event.reason)",
                "agent": "\(PeerWords.printable(String(agent.prefix(64))))", "log": Self.shortened(text ?? ""),
            ])
        guard let text, let pull = pull(path), let known = WMSPAgent.client(agent) else { return }
        // The relay has named the player's address; this one stands before the next.
        let log = WMSPLog(form: .xml, text: text, agent: known, path: path)
        let relay = WMSPRenderingLog.Relay(player: nil, address: nil, players: allPlayers.count)
        guard let rendering = WMSPRenderingLog(log, relay: relay) else { return }
        pull.tell(rendering.event(agent: known.text, url: pull.origin))
    }

    private func pull(_ path: String) -> WindowsMediaPull? { server.paths.path(named: path)?.windowsMediaLive as? WindowsMediaPull }

    /// What is written of one log.
    private static let logCharactersMax = 4_096

    private static func shortened(_ text: String) -> Logger.MetadataValue {
        "\(PeerWords.printable(String(text.prefix(logCharactersMax))))"
    }
}

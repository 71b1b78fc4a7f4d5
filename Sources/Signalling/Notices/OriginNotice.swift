import WireFormats

/// What an origin is told of a player that a relay served (SendEvent, [MS-WMSP] 2.2.2.9): the event, and where it goes.
package struct OriginNotice: Sendable, Equatable {
    /// The URL of the content at its origin, without user information: what the event is about and where it is sent. `http:`, `mmsh:` and `mms:`
    /// go by WMSP, `rtsp:` by MS-RTSP.
    package let url: String
    /// What happened. A log says `-` for the relay's own address; ``event(from:)`` puts it in.
    package let event: RemoteEvent
    /// The player's `User-Agent`, for X-Proxy-Client-Agent; empty where it is not known.
    package let agent: String

    /// A notice.
    package init(url: String, event: RemoteEvent, agent: String) {
        self.url = url
        self.event = event
        self.agent = agent
    }

    /// Those of one place are told one after the other: scheme, host and port of ``url``, in small letters.
    package var place: String {
        guard let start = url.firstRange(of: "://") else { return url.lowercased() }
        let authority = url[start.upperBound...].prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        return (url[..<start.upperBound] + authority).lowercased()
    }

    /// What it takes to keep it.
    package var byteCount: Int {
        let items = (event.player?.items ?? []) + (event.content?.items ?? [])
        return items.reduce(url.utf8.count + agent.utf8.count) { $0 + $1.name.utf8.count + $1.value.utf8.count }
    }

    private static let logName = "@.REMOTE_LOG"

    /// The event as the origin is to get it over a connection that it sees come from that address.
    package func event(from address: String?) -> RemoteEvent {
        guard event.kind == .log, let address, let text = event.content?[Self.logName], let log = WMSPRenderingLog(made: text) else {
            return event
        }
        var told = event
        told.content = ContentDescription(
            (event.content?.items ?? []).map { $0.name == Self.logName ? .init($0.name, $0.type, log.seen(at: address).xml) : $0 })
        return told
    }
}

/// What became of a notice.
package enum OriginNoticeOutcome: Sendable, Equatable {
    /// The origin has it.
    case taken
    /// It does not want it, and will not later; in words.
    case refused(String)
    /// It could not be reached, or asks to come later: the notice waits; in words.
    case away(String)
}

import WireFormats

/// What origins are to hear of the plays that a relay serves, and in which order: of content out of the cache its opening behind the Play, what the
/// player logs, and its closing behind that; of anything else what the player logs alone. What an origin did not ask for it is not told.
package struct RelayedPlays: Sendable {
    /// Whose plays.
    package enum Session: Sendable, Hashable {
        case http(UInt32)
        case rtsp(UInt64)
    }

    /// What is played.
    package struct Content: Sendable, Equatable {
        /// Its URL at the origin, without user information.
        package var url: String
        /// What the origin wants to hear of it.
        package var events: MSRTSPCacheControl.Events
        /// It is, at least in part, kept by the relay.
        package var isCached: Bool
        /// The player's `User-Agent`.
        package var agent: String

        /// All of it.
        package init(url: String, events: MSRTSPCacheControl.Events, isCached: Bool, agent: String) {
            self.url = url
            self.events = events
            self.isCached = isCached
            self.agent = agent
        }
    }

    private struct Play {
        var content: Content
        var isOpen = false
        /// When the closing is told even if the player logs nothing; nil: it is being sent media.
        var closing: UInt64?
    }

    /// So long after the end of the media its player may log before the closing is told.
    package static let logWaitMilliseconds: UInt64 = 10_000

    private var plays: [Session: Play] = [:]

    /// Nobody plays.
    package init() {}

    /// Sessions that something may still be told of.
    package var count: Int { plays.count }

    /// When ``timeElapsed(now:)`` is to be called; nil: nothing waits for time.
    package var deadline: UInt64? { plays.values.lazy.compactMap { $0.isOpen ? $0.closing : nil }.min() }

    /// What a session plays, or played last.
    package subscript(session: Session) -> Content? { plays[session]?.content }

    /// A session is being sent media from now on. The same content again, before its closing was told, is the same opening.
    package mutating func began(_ session: Session, _ content: Content) -> [OriginNotice] {
        if plays[session]?.isOpen == true, plays[session]?.content.url == content.url {
            plays[session]?.content = content
            plays[session]?.closing = nil
            return []
        }
        let closing = over(session)
        plays[session] = Play(content: content, isOpen: content.isCached)
        return closing + (content.isCached ? notice(.open, .open, content) : [])
    }

    /// It is sent no more.
    package mutating func mediaEnded(_ session: Session, now: UInt64) {
        if plays[session] != nil, plays[session]?.closing == nil { plays[session]?.closing = now &+ Self.logWaitMilliseconds }
    }

    /// Its player logged: what is to be told of that (nil: nothing), and behind it the closing, if the media ended.
    package mutating func logged(_ session: Session, _ event: RemoteEvent?) -> [OriginNotice] {
        guard let play = plays[session] else { return [] }
        var notices: [OriginNotice] = []
        if let event, play.content.events.contains(.log) {
            notices.append(OriginNotice(url: play.content.url, event: event, agent: play.content.agent))
        }
        if play.closing != nil { notices += close(session) }
        return notices
    }

    /// The session is over.
    package mutating func over(_ session: Session) -> [OriginNotice] {
        defer { plays[session] = nil }
        return close(session)
    }

    /// All sessions are over.
    package mutating func allOver() -> [OriginNotice] {
        let all = plays.keys.map { $0 }
        return all.flatMap { over($0) }
    }

    /// Looks who will log nothing any more.
    package mutating func timeElapsed(now: UInt64) -> [OriginNotice] {
        let due = plays.filter { $0.value.isOpen && $0.value.closing.map { $0 <= now } ?? false }.map(\.key)
        return due.flatMap { close($0) }
    }

    private mutating func close(_ session: Session) -> [OriginNotice] {
        guard let play = plays[session], play.isOpen else { return [] }
        plays[session]?.isOpen = false
        return notice(.close, .close, play.content)
    }

    private func notice(_ kind: RemoteEvent.Kind, _ wanted: MSRTSPCacheControl.Events, _ content: Content) -> [OriginNotice] {
        guard content.events.contains(wanted) else { return [] }
        return [OriginNotice(url: content.url, event: RemoteEvent(kind: kind), agent: content.agent)]
    }
}

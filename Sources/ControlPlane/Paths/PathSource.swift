import NIOCore
import Signalling
import WireFormats

/// How far a path wants its source to be.
enum SourceLevel: Int, Comparable {
    /// Nobody is interested: let go of it.
    case idle
    /// Its description should be known.
    case described
    /// Its media should flow.
    case playing

    static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

/// Where a path's media comes from. It goes after the level that the path wants by itself, again and again, until told otherwise.
protocol PathSource: AnyObject {
    /// What the source is doing, in a few words, for status and errors.
    var words: String { get }
    /// When it is tried again, while it waits after a failure.
    var nextTry: NIODeadline? { get }
    /// It knows what it is, and will not say so again before it was let go of.
    var isDescribed: Bool { get }
    /// Whether being described shows that there is media to be had.
    var showsHealth: Bool { get }
    /// The sources that it is made of, where it is made of several.
    var legOverviews: [LegOverview] { get }
    /// Asks what a reader asked; `done` is called once.
    func pass(_ request: ParameterRequest, _ done: @escaping (ParameterOutcome) -> Void)
    /// Media is wanted so far, from now on.
    func want(_ level: SourceLevel)
    /// All tracks said goodbye (RTCP BYE).
    func saidGoodbye()
    /// The path's stream ended; its handle is no longer valid.
    func streamEnded()
    /// Lets go of everything and calls `done`, in a second or two at most.
    func stop(_ done: @escaping () -> Void)
}

extension PathSource {
    /// For those that ask no server.
    func pass(_ request: ParameterRequest, _ done: @escaping (ParameterOutcome) -> Void) { done(.unsupported) }
    /// For those that cannot say.
    var nextTry: NIODeadline? { nil }
    /// For those that describe themselves anew with each connection.
    var isDescribed: Bool { false }
    /// For those that ask a server.
    var showsHealth: Bool { true }
    /// For those that are one.
    var legOverviews: [LegOverview] { [] }
    /// For those that hear of it otherwise.
    func streamEnded() {}
}

/// Who made a path dial its source, in his own words.
struct SourceAsker: Equatable {
    /// His `User-Agent`; the verb that he asked with.
    var agent: String
    var verb: String

    private static let agentBytesMax = 256

    /// Nil for one who does not say who he is.
    init?(agent: String?, verb: String) {
        guard let agent, !agent.isEmpty else { return nil }
        self.agent = PeerWords.printable(String(agent.prefix(Self.agentBytesMax)))
        self.verb = PeerWords.printable(String(verb.prefix(32)))
    }

    /// Whoever a request comes from in the end: what a relay before this one says of its player counts, as the next is to hear of the player,
    /// not of the relay ([MS-RTSP] 2.2.6.31, 2.2.6.32; over HTTP the token `proxy-client-agent`, too).
    init?(headers: HTTPHeaders, agent: String?, verb: String) {
        let pragma = headers["Pragma"] == nil ? nil : (try? PragmaList(headers))?["proxy-client-agent"]
        let told = [headers["X-Proxy-Client-Agent"], pragma].lazy.compactMap { $0 }
            .first { !$0.isEmpty }
        self.init(agent: told ?? agent, verb: Self.verb(in: headers) ?? verb)
    }

    /// The method by which a relay before this one was asked; nil where it says none.
    static func verb(in headers: HTTPHeaders) -> String? {
        guard let verb = headers["X-Proxy-Client-Verb"], (1...32).contains(verb.utf8.count),
            verb.utf8.allSatisfy({ (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0) || $0 == UInt8(ascii: "_") })
        else { return nil }
        return verb
    }
}

/// The path as its source sees it.
protocol PathSourceHost: AnyObject {
    /// Somebody waits for this source just now.
    var isAwaited: Bool { get }
    /// The source described itself. Answers with the stream to feed: the one there is, if the new description fits it, else a new
    /// one. Throws ``PathError/refused(_:)``.
    func sourceDescribed(_ sdp: SessionDescription) throws -> StreamDescription
    /// A source that stands by described itself: answers with the stream that it would feed, nil when there is none yet. Nothing
    /// changes. Throws ``PathError/refused(_:)`` with words about why its description does not fit.
    func standbyDescribed(_ sdp: SessionDescription) throws -> StreamDescription?
    /// Media is about to be attached to the stream: with what was there before, a new epoch begins.
    func mediaBegins()
    /// Media that flows already goes on as it was described last, in the same stream: of that description readers may have other
    /// parameter sets.
    func parameterSetsChange()
    /// Media flows, or will any moment: readers may be armed.
    func sourcePlays()
    /// The `Via` of requests that are made for this path; nil: none.
    var via: String? { get }
    /// Their `Max-Forwards`; nil: none.
    var maxForwards: Int? { get }
    /// The player that asked last, whom a server of Windows Media is told of; nil: none did.
    var asker: SourceAsker? { get }
    /// The server refused with this status; ``sourceFailed(_:)`` follows.
    func sourceRefused(_ status: RTSPStatus)
    /// What the server has is Windows Media, or is not any more. Where that can be served, another source takes the place of the one that says
    /// so, which is to let go of everything, and the answer is yes.
    func sourceTurnsOut(windowsMedia: Bool) -> Bool
    /// Media does not flow any more, or could not be had; the source goes on trying if it is wanted.
    func sourceFailed(_ words: String)
    /// So many of the source's datagrams were dropped by the kernel since the last call, because a socket's receive buffer was full.
    func sourceDropped(_ datagrams: UInt64)
    /// So many bytes of media came from somebody else's server, for players of it.
    func sourceBrought(_ bytes: Int)
    /// The source let go of everything, as ``SourceLevel/idle`` asked for.
    func sourceReleased()
}

extension PathSourceHost {
    /// For those that stand between a path and its source and know nothing of it.
    var via: String? { nil }
    var maxForwards: Int? { nil }
    var asker: SourceAsker? { nil }
    func sourceRefused(_ status: RTSPStatus) {}
    func sourceBrought(_ bytes: Int) {}
    func sourceTurnsOut(windowsMedia: Bool) -> Bool { false }
    /// For those whose sources say first what they are, and then send it.
    func parameterSetsChange() {}
}

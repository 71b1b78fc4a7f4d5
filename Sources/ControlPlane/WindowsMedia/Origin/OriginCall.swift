import Logging
import NIOCore
import Signalling
import WireFormats

/// Where on-demand content comes from: the ways in which its origin may be reached, and which of them worked last. One for each source, shared by
/// all that is asked of it. Belongs to the event loop.
final class OriginRoute {
    /// What logs and keys name, without user information.
    let origin: String
    /// At least one; media comes over connections only, so that nothing of it is lost.
    let ways: [WindowsMediaRoute.Way]
    /// The way that answered last is tried first.
    var place = 0

    /// Of the ways that differ in how RTSP carries media, one is taken: on the connection.
    init(_ route: WindowsMediaRoute) {
        origin = route.origin
        var ways: [WindowsMediaRoute.Way] = []
        for way in route.ways {
            switch way {
            case .rtsp(let url, _):
                let way = WindowsMediaRoute.Way.rtsp(url, .tcp)
                if !ways.contains(way) { ways.append(way) }
            case .http: ways.append(way)
            }
        }
        self.ways = ways
    }
}

/// On whose behalf an origin is asked, and how.
struct OriginCall {
    /// `WMCacheProxy` where what comes may be kept; `NSServer … via WMCacheProxy` or `WMServer` where it is only passed on.
    var isCache: Bool
    /// The player for whom it is asked: `proxy-client-agent`, `X-Proxy-Client-Agent`, `X-Proxy-Client-Verb`. What a proxy behind this one says of
    /// its player goes before what it says of itself: that is the caller's to put in. Nil: nobody's (prefetch, revalidation by itself).
    var asker: SourceAsker?
    /// `Via` with everybody who was before, and this relay, as RTSP has it; nil: none.
    var via: String?
    /// `Max-Forwards` as it is to be sent: decremented already; nil: none. Never ask with a number below 0.
    var maxForwards: Int?
    /// The player's own `Authorization`, passed on where it fits: Basic always, Digest where the URI in it is what is asked upstream (path and query
    /// over HTTP, the whole URL over RTSP). With it, what comes is his alone. To another host, by a redirection, it does not go.
    var authorization: String?
    /// Without a packet for so long a play is broken, and gone on with.
    var silenceMilliseconds = 10_000
    /// Whether a redirection to that host is followed (`allow:`).
    var permits: (String) -> Bool = { _ in true }

    /// The same on behalf of another player, who has no words of his own.
    func asked(by ask: ProxyAsk?) -> OriginCall {
        guard let ask else { return self }
        var call = self
        call.asker = ask.asker
        call.via = ask.via ?? via
        call.maxForwards = ask.maxForwards
        return call
    }

    /// The cache's name, as Windows Media's own calls itself.
    static let cacheVersion = "WMCacheProxy/9.00.00.1234"
}

/// What carries calls out: the relay's.
struct OriginTools {
    var eventLoop: any EventLoop
    var dialler: SourceDialler = .tcp
    var logger: Logger
}

/// What an origin says of its content, word for word. Policy makes facts of it.
struct OriginStatement: Equatable {
    /// Which protocol it was asked by: `Cache-Control` does not mean the same in both.
    enum Dialect: String { case wmsp, rtsp }

    /// How it was asked: what GetContentInfo does not know, Describe did.
    enum Means: String { case contentInfo, describe }

    /// Who had to say who he is.
    enum Opener: String {
        case nobody
        /// The source's URL has credentials, and they were wanted.
        case configuration
        /// The player's `Authorization` went along.
        case player
    }

    var dialect: Dialect
    var means: Means
    /// The `Cache-Control` lines; empty: it says nothing (VLC, FFmpeg).
    var cacheControl: [String] = []
    /// As it stands in the header, quotes and all; nil: none.
    var etag: String?
    /// As it stands in the header; nil: none.
    var lastModified: String?
    /// The `Vary` lines.
    var vary: [String] = []
    /// As Describe told them; nil: it was not asked, or does not say.
    var features: WMSPFeatures?
    /// Of Describe: with the first 50 bytes of the Data Object.
    var header: [UInt8]?
    /// The header says live, or the features do, or `x-wms-stream-type` does.
    var isBroadcast: Bool
    var openedBy = Opener.nobody
    /// Who it says it is.
    var server: String?
    /// Where redirections led, without user information; nil: nowhere else.
    var movedTo: String?

    init(dialect: Dialect, means: Means, terms: ContentTerms?, features: WMSPFeatures?, header: ASFHeader?) {
        self.dialect = dialect
        self.means = means
        cacheControl = terms?.cacheControl ?? []
        etag = terms?.etag
        lastModified = terms?.lastModified
        vary = terms?.vary ?? []
        self.features = features
        self.header = header?.bytes
        isBroadcast =
            header?.file.isBroadcast ?? false || !(features ?? []).isDisjoint(with: [.broadcast, .live])
            || MSRTSPCacheControl(cacheControl).isBroadcast
    }

    /// By what one version of the content is told from another.
    var validators: [String?] { [etag, etag == nil ? lastModified : nil] }
}

/// What came of a question.
enum OriginReply {
    case says(OriginStatement)
    /// It wants to know who asks.
    case challenged(PassedChallenge)
    /// It sends elsewhere, where nobody may go (`allow:`), in a circle or too far; with words.
    case redirected(String)
    /// It answers that there is no such thing, or not for this one: the status, and words.
    case refused(status: Int, String)
    /// It is no Windows Media.
    case plain(String)
    /// The connection was refused, or it was silent for ``OriginQuestion/silenceMilliseconds``; with words.
    case unreachable(String)
}

/// What came of an event that was to be told.
enum OriginDelivery: Equatable {
    case delivered
    /// It answered, and did not take it: once more would be the same.
    case refused(String)
    /// It did not answer, or has too much to do (408, 429, 5xx): later, perhaps.
    case unreachable(String)
}

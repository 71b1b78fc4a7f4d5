import Signalling
import WireFormats

/// What a player asks of content that comes from an origin.
struct ProxyAsk {
    /// What of a player's way through content a request is.
    enum Stage: Int, Comparable {
        case contentInfo, describe, play
        static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    }

    /// The language that the player speaks: what it is told of the content is put so.
    var dialect: OriginFacts.Dialect
    var stage: Stage
    /// By what requests of one player are known to belong together; nil: this one stands alone.
    var player: String?
    var asker: SourceAsker?
    /// What it says to a challenge (`Authorization`), and what of the URL it says that about.
    var authorization: String?
    /// The request may go on to the origin.
    var mayForward = true
    var maxForwards: Int?
    /// Whom it came through, and this relay (`Via`), as long as the origin is asked for it; nil: as the path says.
    var via: String?
    /// By what its GetContentInfo may be known, where that came another way.
    var earlier: String?

    /// By what its requests belong together: whoever says other words is somebody else.
    var key: String? { player.map { "\($0) \(authorization ?? "")" } }
    /// The same for its GetContentInfo.
    var earlierKey: String? { earlier.map { "\($0) \(authorization ?? "")" } }

    /// One that nobody in particular asks.
    init(dialect: OriginFacts.Dialect, stage: Stage) {
        self.dialect = dialect
        self.stage = stage
    }
}

/// Why content that comes from an origin is not given.
enum ProxyRefusal: Error, Equatable, CustomStringConvertible {
    /// The origin wants to know who asks: the values of `WWW-Authenticate`.
    case challenged([String])
    /// It answered with that status, or this relay does.
    case refused(status: Int, String)
    /// It is to be asked itself, at that URL.
    case moved(String)

    var description: String {
        switch self {
        case .challenged: "the origin wants a name and a password"
        case .refused(let status, let words): words.isEmpty ? "the origin answers \(status)" : words
        case .moved(let url): "it is served at \(url)"
        }
    }

    /// As WMSP has it.
    var overHTTP: WMSPRefusal {
        switch self {
        case .challenged(let lines): .unauthorized(lines, description)
        case .refused(403, _): .forbidden(description)
        case .refused(404, _): .notFound(description)
        case .refused(415, _): .unplayable(description)
        case .refused(451, _): .origin(.unavailableForLegalReasons, description, retryAfterSeconds: Path.retryAfterSeconds)
        case .refused(let status, _): .origin(Self.told(status), description, retryAfterSeconds: Path.retryAfterSeconds)
        case .moved(let url): .moved(Self.location(of: url, for: .wmsp))
        }
    }

    /// As RTSP has it.
    var overRTSP: RequestRefusal {
        switch self {
        case .challenged(let lines): .unauthorized(lines, description)
        case .refused(403, _), .refused(451, _): .forbidden(description)
        case .refused(404, _): .notFound(description)
        case .refused(let status, _): .origin(Self.told(status), description, retryAfterSeconds: Path.retryAfterSeconds)
        case .moved(let url): .moved(Self.location(of: url, for: .msRTSP))
        }
    }

    /// What players are told of another status, in either language: those that mean the same in both, of the rest that it is not to be had now.
    private static func told(_ status: Int) -> RTSPStatus {
        switch status {
        case 410: .gone
        case 415: .unsupportedMediaType
        case 502: .badGateway
        case 504: .gatewayTimeout
        default: .serviceUnavailable
        }
    }

    /// A source's URL as players are told it who are sent there: what their protocol understands, where the place speaks it. `mms` leaves open what
    /// is spoken; players over HTTP know no scheme but HTTP's own.
    static func location(of url: String, for dialect: OriginFacts.Dialect) -> String {
        guard WMSPSourceURL.isOne(url), let end = url.firstRange(of: "://") else { return url }
        let place = url[end.upperBound...]
        if dialect == .wmsp { return "http://\(place)" }
        return (url.lowercased().hasPrefix("mms://") ? "rtsp://" : "mmsh://") + place
    }
}

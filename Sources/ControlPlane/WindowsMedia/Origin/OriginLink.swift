import NIOCore
import Signalling
import WireFormats

/// One attempt at an origin by one protocol: performs what the client machine says. Belongs to the event loop.
protocol OriginLink: AnyObject {
    /// Hears what comes of it; not once it is nil.
    var onEvent: ((OriginLinkEvent) -> Void)? { get set }
    /// What the server said of its content so far.
    var terms: ContentTerms? { get }
    var features: WMSPFeatures? { get }
    var server: String? { get }
    var openedBy: OriginStatement.Opener { get }
    var bytesReceived: UInt64 { get }
    /// Begins.
    func dial()
    /// After ``OriginLinkEvent/described(header:_:)``, and again while it plays or after its end.
    func play(from position: WMSPPosition, streams: WMSPSelection?, haste: OriginHaste)
    /// No more media for now.
    func stop()
    /// Whether the socket is left alone while media comes.
    func hold(_ isHeld: Bool)
    func send(_ event: RemoteEvent)
    /// Says what there is to say, and then `done`, soon in any case.
    func leave(_ done: @escaping () -> Void)
    /// Over at once.
    func drop()
}

/// What comes of an attempt.
enum OriginLinkEvent {
    /// What the client was for, if not media, was answered.
    case answered
    case described(header: [UInt8], WMSPMetadata?)
    /// Media of this header follows.
    case playing(header: [UInt8])
    /// The number is nil where the server does not tell it.
    case packet(number: UInt32?, [UInt8])
    case flushed
    /// Another header: of the next entry of a playlist, or unannounced.
    case entered(header: [UInt8], WMSPMetadata?, isEntry: Bool)
    case finished
    case redirectedHTTP(WMSPSourceURL)
    case redirectedRTSP(SourceURL)
    case failed(OriginLinkFailure)
}

/// Why an attempt is over.
enum OriginLinkFailure: Equatable {
    /// No connection, or no answer over it.
    case unreachable(String)
    /// It broke while media came.
    case broken(String)
    case challenged(PassedChallenge)
    case redirection(String)
    case refused(status: Int, String)
    /// The way of carrying media does not work.
    case unsuitable(String)
    case plain(String)
    /// What comes is not what the protocol says.
    case lying(String)
}

/// How much faster than it is played media may come.
enum OriginHaste: Equatable {
    /// As fast as the origin allows.
    case most
    /// As a player would take it, with a fast start of his own.
    case player(WMSPPlay.FastStart?)

    /// An hour of content faster than any disk writes: origins grant what they like of it.
    private static let burstBitsPerSecond: UInt32 = 1_000_000_000
    private static let burstMilliseconds: UInt32 = 3_600_000
    /// As Windows Media's own cache asks; origins grant 5.
    private static let speed: UInt32 = 100

    var http: WMSPClient.Haste {
        switch self {
        case .most:
            WMSPClient.Haste(
                burst: .init(bitsPerSecond: Self.burstBitsPerSecond, milliseconds: Self.burstMilliseconds),
                speedThousandths: Self.speed * 1_000)
        case .player(let start): WMSPClient.Haste(acceleration: start)
        }
    }

    var rtsp: MSRTSPClient.Haste {
        switch self {
        case .most:
            MSRTSPClient.Haste(
                burst: MSRTSPRate(milliseconds: Self.burstMilliseconds, bitsPerSecond: Self.burstBitsPerSecond),
                speed: "\(Self.speed).0")
        case .player(let start):
            MSRTSPClient.Haste(
                acceleration: start.map { MSRTSPRate(milliseconds: $0.milliseconds, bitsPerSecond: $0.bitsPerSecond) })
        }
    }
}

/// What an attempt is to do.
struct OriginOrder {
    enum Errand {
        case media
        case contentInfo
        /// Made when it is known under which address of ours the origin sees it.
        case event((String?) -> RemoteEvent)
    }

    var errand: Errand
    var call: OriginCall
    var tools: OriginTools
    /// So long a connection, and each answer, may take.
    var answerMilliseconds: UInt64 = 10_000
    var connectMilliseconds: Int64 = 5_000
    /// It is not known that the server speaks the protocol.
    var isTrial = false
    var isReconnecting = false
    /// Goes on with the next entry of a playlist by itself.
    var followsEntries = true

    /// Attempts at a target.
    func link(to target: OriginCourse.Target, passes: Bool) -> any OriginLink {
        var order = self
        if !passes { order.call.authorization = nil }
        return switch target {
        case .http(let url, let trail): OriginHTTPLink(url, trail, order)
        case .rtsp(let url, let trail): OriginRTSPLink(url, trail, order)
        }
    }
}

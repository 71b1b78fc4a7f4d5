import Signalling
import WireFormats

/// The ways in which a server of Windows Media may be reached, the best one first.
struct WindowsMediaRoute: Equatable {
    /// One of them.
    enum Way: Equatable {
        case rtsp(SourceURL, TransportSpec.LowerTransport)
        case http(WMSPSourceURL)

        var words: String {
            switch self {
            case .rtsp(_, .udp): "rtsp/udp"
            case .rtsp(_, .tcp): "rtsp/tcp"
            case .http: "http"
            }
        }

        /// Without a password.
        var url: String {
            switch self {
            case .rtsp(let url, _): url.description
            case .http(let url): url.description
            }
        }
    }

    /// At least one.
    let ways: [Way]
    /// Any failure before media comes leads to the next way; else only that a way of carrying media does not work.
    let rollsOver: Bool
    /// What players' logs call it, without user information.
    let origin: String

    /// `mms://` is whatever there is: RTSP over UDP, over TCP, then HTTP, each at the port that is named, or at its own. The others are HTTP.
    init(_ url: WMSPSourceURL) {
        origin = url.whole
        if url.isAnyProtocol, let rtsp = url.rtsp {
            ways = [.rtsp(rtsp, .udp), .rtsp(rtsp, .tcp), .http(url)]
            rollsOver = true
        } else {
            ways = [.http(url)]
            rollsOver = false
        }
    }

    /// The same, with other words to whoever asks who it is.
    func opened(by credentials: Credentials) -> WindowsMediaRoute {
        WindowsMediaRoute(
            ways: ways.map { way in
                switch way {
                case .http(let url): .http((try? WMSPSourceURL(url.whole, inherited: credentials)) ?? url)
                case .rtsp(let url, let transport): .rtsp((try? SourceURL(url.request, inherited: credentials)) ?? url, transport)
                }
            }, rollsOver: rollsOver, origin: origin)
    }

    private init(ways: [Way], rollsOver: Bool, origin: String) {
        self.ways = ways
        self.rollsOver = rollsOver
        self.origin = origin
    }

    /// An RTSP server, whose URL or path may say how its media is carried.
    init(_ url: SourceURL, transport: PathSettings.Transport) {
        origin = url.request
        rollsOver = false
        switch (url.transport, transport) {
        case (.udp?, _), (nil, .udp): ways = [.rtsp(url, .udp)]
        case (.tcp?, _), (nil, .tcp), (nil, .http): ways = [.rtsp(url, .tcp)]
        case (nil, .auto), (nil, .multicast): ways = [.rtsp(url, .udp), .rtsp(url, .tcp)]
        }
    }
}

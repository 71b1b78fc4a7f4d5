import Signalling

/// Which way of a route is being tried, and where redirections led from it. A redirection holds for one attempt: what comes after is what was
/// configured.
struct OriginCourse {
    /// Where it is asked.
    enum Target {
        case http(WMSPSourceURL, trail: [WMSPSourceURL])
        case rtsp(SourceURL, trail: [SourceURL])

        var host: String {
            switch self {
            case .http(let url, _): url.host
            case .rtsp(let url, _): url.host
            }
        }

        /// Without user information.
        var text: String {
            switch self {
            case .http(let url, _): url.whole
            case .rtsp(let url, _): url.request
            }
        }

        var port: UInt16 {
            switch self {
            case .http(let url, _): url.port
            case .rtsp(let url, _): url.port
            }
        }
    }

    private let route: OriginRoute
    private let permits: (String) -> Bool
    private var place: Int
    private var failed = 0
    private var detour: Target?
    private var hops = 0

    init(_ route: OriginRoute, permits: @escaping (String) -> Bool) {
        self.route = route
        self.permits = permits
        place = route.place < route.ways.count ? route.place : 0
    }

    var target: Target {
        if let detour { return detour }
        switch route.ways[place] {
        case .http(let url): return .http(url, trail: [])
        case .rtsp(let url, _): return .rtsp(url, trail: [])
        }
    }

    /// It is elsewhere than what is configured.
    var isDetour: Bool { detour != nil }
    /// A player's credentials are for the host that asked him.
    var isSameHost: Bool {
        guard let detour else { return true }
        let own: (host: String, port: UInt16) =
            switch route.ways[place] {
            case .http(let url): (url.host, url.port)
            case .rtsp(let url, _): (url.host, url.port)
            }
        return detour.host.lowercased() == own.host.lowercased() && detour.port == own.port
    }
    /// There is another way: of this one it is not known that the server knows it.
    var isTrial: Bool { route.ways.count > 1 && route.place != place && detour == nil }

    /// This way answered.
    mutating func succeeded() {
        route.place = place
        failed = 0
    }

    /// Begins again with what is configured.
    mutating func restart() {
        detour = nil
        hops = 0
        failed = 0
        place = route.place < route.ways.count ? route.place : 0
    }

    /// The next way, if there is one that was not tried.
    mutating func nextWay() -> Bool {
        failed += 1
        guard failed < route.ways.count else { return false }
        detour = nil
        hops = 0
        place = (place + 1) % route.ways.count
        return true
    }

    /// Goes where a server sends; words where it may not.
    mutating func follow(http url: WMSPSourceURL) -> String? {
        if let why = refusal(url.host) { return why }
        if case .http(let from, let trail) = target {
            detour = .http(url, trail: trail + [from])
        } else {
            detour = .http(url, trail: [])
        }
        return nil
    }

    mutating func follow(rtsp url: SourceURL, _ refusal: (SourceURL) -> String?) -> String? {
        if let why = self.refusal(url.host) ?? refusal(url) { return why }
        if case .rtsp(let from, let trail) = target {
            detour = .rtsp(url, trail: trail + [from])
        } else {
            detour = .rtsp(url, trail: [])
        }
        return nil
    }

    private mutating func refusal(_ host: String) -> String? {
        hops += 1
        // From one protocol to the other and back the machines see no circle.
        guard hops <= WMSPClient.redirectionsMax else { return "more than \(WMSPClient.redirectionsMax) redirections" }
        return permits(host) ? nil : "the source redirects to \(host), which `allow:` does not name"
    }
}

import Signalling
import WireFormats

/// What is served under one name, and how it is obtained.
package struct PathSettings: Sendable, Equatable {
    /// Where the media comes from.
    package enum Source: Sendable, Equatable {
        /// An encoder sends it (ANNOUNCE, RECORD).
        case publish
        /// Pulled from a server.
        case pull(SourceURL)
        /// RTP that comes without being asked for, to a group or to us.
        case rtp(RTPSource)
        /// An rtpdump file, with its SDP beside it, played in a loop.
        case file(String)
        /// Pulled from a server of Windows Media by HTTP.
        case windowsMedia(WMSPSourceURL)
        /// An ASF file (`.asf`, `.wmv`, `.wma`), which each reader plays from its beginning.
        case windowsMediaFile(String)
        /// A playlist of such files and sources (`.wsx`, `.asx`), which each reader goes through from its beginning.
        case playlist(String)
        /// The demonstration clip that the program carries.
        case demonstration
        /// Pulled from a server, whose URL depends on the name that was asked for.
        case template(URLTemplate)
        /// Dialled by code of the program that embeds Weir.
        case custom(CustomURL)
        /// Nowhere here: readers are sent to this URL.
        case redirect(URLTemplate)

        /// What comes is ASF, not RTP.
        package var isWindowsMedia: Bool {
            switch self {
            case .windowsMedia, .windowsMediaFile, .playlist: true
            case .template(let template): template.namesWindowsMedia
            case .publish, .pull, .rtp, .file, .demonstration, .redirect, .custom: false
            }
        }

        /// Whether it is pulled from there.
        func isPlace(_ url: WMSPSourceURL) -> Bool { if case .windowsMedia(let own) = self { own.isSamePlace(as: url) } else { false } }

        /// Readers are sent elsewhere.
        var isRedirect: Bool { if case .redirect = self { true } else { false } }
    }

    /// When the source is dialled.
    package enum Dial: String, Sendable, CaseIterable {
        /// At the first reader, until some time after the last.
        case onDemand = "on-demand"
        /// From start to end.
        case always
        /// Described from start to end, playing on demand.
        case warm
    }

    /// How media is asked of a server.
    package enum Transport: String, Sendable, CaseIterable {
        /// UDP first; TCP when nothing arrives or UDP is refused.
        case auto
        case udp, tcp
        /// TCP in an RTSP-over-HTTP tunnel.
        case http
        /// To a group that the server chooses.
        case multicast
    }

    /// RTP and RTCP on one port (RFC 5761), of readers and of servers that are pulled from.
    package enum Multiplexing: String, Sendable, CaseIterable {
        /// For readers that ask for it, and of servers whose description says that they can.
        case auto
        /// The same, and the description that readers get says so, too.
        case offer
        case off
    }

    /// Who brings players the Windows Media of another server.
    package enum Serving: String, Sendable, CaseIterable {
        /// This relay.
        case proxy
        /// Nobody: they are sent to the server.
        case redirect
        /// This relay, as long as it has room for one more reader (`readers-max`); then they are sent to the server.
        case redirectWhenFull = "redirect-when-full"
    }

    /// The name in the URL, without slashes at the ends.
    package private(set) var name: String
    package var source: Source
    /// For a name that is an expression: what becomes of names that match.
    package var expression: ExpressionSettings?
    /// The only hosts that may be dialled; empty: any that the source, or a server that redirects, names.
    package private(set) var hostsAllowed: [HostRule] = []
    /// How many readers there may be, and where others go.
    package var distribution = Distribution()
    package var dial: Dial = .onDemand
    /// An ASF file that all players see at the same place, over and over, in place of each from its beginning.
    package var isBroadcast = false
    /// What players of Windows Media over RTSP are offered against loss; nil: nothing.
    package var fec: FECParameters?
    /// What relays that have it from here are to tell of its plays; nil: what players log of a broadcast, nothing of what is on demand.
    package var remoteEvents: MSRTSPCacheControl.Events?
    /// How long a source stays dialled after the last reader, in milliseconds.
    package var lingerMilliseconds = 10_000
    /// How long a DESCRIBE is held for a source that is not known yet, in milliseconds.
    package var sourceWaitMilliseconds = 10_000
    /// How long readers are held while a publisher is away, in milliseconds.
    package var publisherWaitMilliseconds = 10_000
    package var transport: Transport = .auto
    /// Which of the source's media the stream consists of.
    package var tracks = TrackSelection()
    /// With ``Transport/auto``: how long to wait for the first datagram after PLAY, in milliseconds.
    package var udpWaitMilliseconds = 3_000
    /// RTP and RTCP on one port.
    package var multiplexing: Multiplexing = .auto
    /// A source that is silent on all tracks for so long is dialled again, in milliseconds.
    package var silenceMilliseconds = 10_000
    /// A server whose video track is silent for so long while another track goes on is dialled again, in milliseconds; nil: it is not.
    package var trackSilenceMilliseconds: Int? = 15_000
    /// What readers are sent while the source is away, and how long nothing may come before that.
    package var slate = SlateSettings.off
    package var slateAfterMilliseconds = 500
    /// The time that the packet log should hold; nil: ``Limits/windowMilliseconds``.
    package var windowMilliseconds: Int?
    /// Bits per second that the packet log is sized for; nil: from the SDP, else ``Limits/bitRateDefault``.
    package var bitRate: Int?
    /// The programs that its tracks go through; of several that fit a track the first counts.
    package var transforms: [TransformRule] = []
    /// How readers are treated.
    package var readers = ReaderSettings()
    /// What stands in for the source when it fails.
    package var redundancy = RedundancySettings()
    /// What becomes of packets that are too large for UDP.
    package var packets = PacketSettings()
    /// Who may read and publish; what is not here is as ``AccessSettings`` says.
    package var access: [AccessRight: AccessRule] = [:]
    /// Proxies that are asked to serve it, too.
    package var registerAt: [RegisterTarget] = []
    /// What readers may ask its source.
    package var parameters = ParameterPassing.off
    /// How much its playlist may be.
    package var playlist = PlaylistSettings()
    /// What is kept of its source.
    package var cache = PathCacheSettings()
    /// Who brings what another server has.
    package var serving = Serving.proxy
    /// A player named it in full, and no operator did.
    package private(set) var isForwarded = false
    /// The group that it is sent to.
    package var multicast = MulticastSettings()

    /// A path with the defaults.
    package init(name: String, source: Source) {
        self.name = Self.trimmed(name)
        self.source = source
    }

    /// The same under a name that its expression fits: a path like others.
    func instance(named name: String) -> PathSettings {
        var settings = self
        settings.name = Self.trimmed(name)
        settings.hostsAllowed = expression?.allow ?? []
        settings.expression = nil
        return settings
    }

    /// The same for what a player named in full: all that is known of its path. Who may use the proxy may read it; nobody publishes to it.
    func forwarding(_ key: CacheKey, from source: Source) -> PathSettings {
        var settings = self
        settings.name = key.url
        settings.source = source
        settings.isForwarded = true
        settings.access = [.read: .any, .publish: AccessRule(grants: []), .control: AccessRule(grants: [])]
        return settings
    }

    /// The path's URL for players of Windows Media, where `base` is the one of RTSP (`rtsp://HOST:PORT`).
    package func windowsMediaURL(_ base: String) -> String { "mmsh" + base.dropFirst("rtsp".count) + "/\(name)" }

    /// Whether a source may be on this host.
    func permits(_ host: String) -> Bool { hostsAllowed.isEmpty || hostsAllowed.contains { $0.permits(host) } }

    /// The name without slashes at its ends.
    package static func trimmed(_ name: String) -> String {
        var rest = Substring(name)
        while rest.hasPrefix("/") { rest.removeFirst() }
        while rest.hasSuffix("/") { rest.removeLast() }
        return String(rest)
    }
}

extension PathSettings.Source: CustomStringConvertible {
    /// As the user wrote it, without a password.
    package var description: String {
        switch self {
        case .publish: "publish"
        case .pull(let url): url.description
        case .file(let file), .windowsMediaFile(let file), .playlist(let file): file
        case .rtp(let source): source.description
        case .custom(let url): url.description
        case .windowsMedia(let url): url.description
        case .demonstration: "the demonstration clip"
        case .template(let template): template.description
        case .redirect(let template): "redirect to \(template)"
        }
    }
}

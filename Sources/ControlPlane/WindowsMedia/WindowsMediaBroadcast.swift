import Logging
import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// Hears what becomes of a broadcast.
protocol WindowsMediaBroadcastObserver: AnyObject {
    /// Nothing more comes.
    func broadcastEnded(_ reason: String)
}

/// Takes the packets of a broadcast in the control plane: for an entry of a playlist.
protocol WindowsMediaTap: AnyObject {
    func tapped(_ packet: [UInt8], number: UInt32)
    /// What came together was given.
    func tapFlushed()
    /// Packets of another header follow.
    func tapHeaderChanged()
    /// Nothing more comes.
    func tapEnded(_ reason: String)
}

/// Live Windows Media of one path: the header that holds just now, and a stream in the engine for each selection of its streams that
/// somebody plays. Those who play the same selection are sent the same bytes. Belongs to the event loop.
final class WindowsMediaBroadcast {
    /// As players get it.
    private(set) var header: ASFHeader
    /// How many headers there were.
    private(set) var generation = 1
    /// Packets that the source sent so far; the lower 32 bits are the next one's LocationId.
    private(set) var packetsReceived: UInt64 = 0
    private(set) var bytesReceived: UInt64 = 0
    /// Packets that could not be read, and were left out.
    private(set) var packetsBroken: UInt64 = 0
    /// Nothing more comes.
    private(set) var isOver = false

    /// Where it comes from and how that was met; nil for what is made here.
    var proxied: ProxiedContent?
    /// How many have begun to play it.
    var playsBegun: UInt64 = 0
    /// Somebody was sent it before.
    var wasPlayed: Bool { playsBegun > 0 }
    /// Who is sent it just now.
    var playerCount: Int { variants.values.reduce(taps.count) { $0 + $1.players } }

    private let port: EnginePort
    private let settings: PathSettings
    private let logger: Logger
    private var variants: [WindowsMediaClass: WindowsMediaVariant] = [:]
    /// Players that go over to another selection when it can be entered, and when that is not waited for any longer.
    private var waiting: [ObjectIdentifier: (play: LivePlay, variant: WindowsMediaVariant, deadline: NIODeadline)] = [:]
    private var taps: [ObjectIdentifier: any WindowsMediaTap] = [:]
    private var entry: Entry?
    private var observers: [ObjectIdentifier: any WindowsMediaBroadcastObserver] = [:]
    /// Who wants to hear that another header holds for the packets that come from now on.
    private var headerListeners: [ObjectIdentifier: () -> Void] = [:]
    /// By which RTP tells its streams apart.
    private var sources: [UInt8: UInt32] = [:]
    /// Players that could not go over to another selection with the packet at hand, as too many did, and went with a later one.
    private(set) var crossingsPutOff: UInt64 = 0
    private var made: (generation: Int, facts: WMSPContent)?
    private let identity = UInt32.random(in: 1...UInt32.max)

    /// Different selections, and forms of them, that may be played at the same time: each has a packet log of its own.
    static let variantsMax = 64
    /// Of them those of single players, who were told which sequence number comes next.
    static let promisesMax = 16
    /// Of them those of players that came from other selections.
    static let continuationsMax = 24
    /// With so many ways of FEC in use new players get it as the path offers it.
    private static let fecFreeMax = 4
    /// So many players go over to another selection with one packet; others with a later one.
    static let crossingsMax = 64
    /// Seconds for which a selection that nobody plays any more is kept.
    static let variantLingerMilliseconds = 10_000

    /// A broadcast of which nothing came yet but its header.
    init(header: ASFHeader, settings: PathSettings, port: EnginePort, logger: Logger) {
        self.header = header
        self.settings = settings
        self.port = port
        self.logger = logger
    }

    /// The entry of a playlist that is being broadcast.
    struct Entry {
        var generation: UInt32
        var descriptions: [ContentDescription]
    }

    // MARK: The source

    /// Another entry of a playlist, behind this header, which may be the one that there is.
    func enters(_ entry: Entry, _ header: ASFHeader) {
        self.entry = entry
        let isNew = header.bytes != self.header.bytes
        self.header = header
        generation += 1
        for variant in variants.values { variant.begins(header) }
        if isNew { for tap in Array(taps.values) { tap.tapHeaderChanged() } }
        sayHeader()
    }

    /// Another header. Packets behind it are of its kind.
    func take(_ header: ASFHeader) {
        guard header.bytes != self.header.bytes else { return }
        let goesOn = header.continues(self.header)
        self.header = header
        generation += 1
        for variant in variants.values { variant.begins(header) }
        for tap in Array(taps.values) { tap.tapHeaderChanged() }
        logger.notice("another ASF header", metadata: ["goes-on": "\(goesOn)", "streams": "\(header.streams.count)"])
        sayHeader()
    }

    private func sayHeader() {
        for listener in Array(headerListeners.values) { listener() }
    }

    /// The source came back, or goes on elsewhere, with this header: nobody begins with what was before, and streams go on where they can
    /// be entered.
    func begins(_ header: ASFHeader) {
        guard header.bytes == self.header.bytes || header.continues(self.header) else { return take(header) }
        for variant in variants.values { variant.begins(header) }
    }

    /// A packet came that could not be read.
    func countBroken() { packetsBroken += 1 }

    /// A packet, at its full size.
    func take(packet: [UInt8]) {
        let number = UInt32(truncatingIfNeeded: packetsReceived)
        if !waiting.isEmpty { admit(at: packet) }
        packetsReceived += 1
        bytesReceived += UInt64(packet.count)
        for variant in variants.values { variant.take(packet, number: number) }
        for tap in Array(taps.values) { tap.tapped(packet, number: number) }
    }

    /// Players that wait to enter a selection with this packet do so.
    private func admit(at packet: [UInt8]) {
        let now = NIODeadline.now()
        var isEntry: [ObjectIdentifier: Bool] = [:]
        var crossings = 0
        for (id, one) in waiting {
            let variant = ObjectIdentifier(one.variant)
            let mayEnter = isEntry[variant] ?? one.variant.mayBeEntered(with: packet)
            isEntry[variant] = mayEnter
            guard mayEnter || now >= one.deadline else { continue }
            guard crossings < Self.crossingsMax else {
                crossingsPutOff += 1
                continue
            }
            crossings += 1
            waiting[id] = nil
            one.play.enter()
        }
    }

    /// What came together was taken: lets the engine have it.
    func flush() {
        for variant in variants.values { variant.flush() }
        for tap in Array(taps.values) { tap.tapFlushed() }
    }

    /// Nothing more comes.
    func end(_ reason: String) {
        isOver = true
        let observers = Array(observers.values)
        self.observers = [:]
        for observer in observers { observer.broadcastEnded(reason) }
        let taps = Array(taps.values)
        self.taps = [:]
        for tap in taps { tap.tapEnded(reason) }
        for variant in variants.values { variant.retire() }
        variants = [:]
        headerListeners = [:]
    }

    // MARK: Players

    /// Calls `listener` whenever another header holds for the packets that come from then on; one for each owner.
    func onHeader(_ owner: AnyObject, _ listener: @escaping () -> Void) { headerListeners[ObjectIdentifier(owner)] = listener }

    /// By which RTP knows each stream, for all players.
    var rtpSources: [UInt8: UInt32] {
        for stream in header.streamNumbers.numbers where sources[stream] == nil { sources[stream] = .random(in: 1...UInt32.max) }
        return sources
    }

    func addTap(_ tap: any WindowsMediaTap) { taps[ObjectIdentifier(tap)] = tap }

    func removeTap(_ tap: any WindowsMediaTap) { taps[ObjectIdentifier(tap)] = nil }

    func addObserver(_ observer: any WindowsMediaBroadcastObserver) { observers[ObjectIdentifier(observer)] = observer }

    func removeObserver(_ observer: any WindowsMediaBroadcastObserver) { observers[ObjectIdentifier(observer)] = nil }

    /// Calls ``LivePlay/enter()`` before the next packet with which a selection can be entered.
    func await(_ variant: WindowsMediaVariant, for play: LivePlay) {
        waiting[ObjectIdentifier(play)] = (play, variant, .now() + .seconds(LivePlay.keyFrameWaitSeconds))
    }

    func forget(_ play: LivePlay) { waiting[ObjectIdentifier(play)] = nil }

    /// What players of that class are sent. Throws ``PathError``.
    func variant(_ wanted: WindowsMediaClass) throws(PathError) -> WindowsMediaVariant {
        if let variant = variants[wanted] { return variant }
        guard !isOver else { throw .notReady("the broadcast is over", retryAfterSeconds: Path.retryAfterSeconds) }
        if case .promise? = wanted.origin, variants.keys.count(where: \.isPromised) >= Self.promisesMax {
            throw .notReady("\(Self.promisesMax) players are sent something of their own already", retryAfterSeconds: 5)
        }
        if case .crossing? = wanted.origin, variants.keys.count(where: \.isCrossed) >= Self.continuationsMax {
            throw .notReady("too many players choose other streams just now", retryAfterSeconds: 5)
        }
        guard variants.count < Self.variantsMax else {
            throw .notReady("\(Self.variantsMax) different selections of its streams are played already", retryAfterSeconds: 5)
        }
        let variant: WindowsMediaVariant
        do {
            variant = try WindowsMediaVariant(wanted, of: header, settings: settings, port: port) { [weak self] in
                guard let self, let variant = variants.removeValue(forKey: wanted) else { return }
                variant.end()
            }
        } catch { throw .refused("\(error)") }
        variants[wanted] = variant
        return variant
    }

    /// What the session machine has to know of it, made once for each header.
    var facts: WMSPContent {
        if let made, made.generation == generation { return made.facts }
        let facts = makeFacts()
        made = (generation, facts)
        return facts
    }

    private func makeFacts() -> WMSPContent {
        var facts = WMSPContent(features: [.broadcast], header: header, playlistGenID: UInt32(truncatingIfNeeded: generation))
        facts.broadcastID = identity
        let window = Self.windowMilliseconds(settings, port)
        // An eighth of the log may be written over while it is being sent.
        let burst = settings.policy.joinBurst.map { $0.nanosecondsMax / 1_000_000 } ?? 0
        facts.fastStartMillisecondsMax = UInt32(clamping: min(UInt64(clamping: window / 8 * 7), burst))
        // Whoever has it from elsewhere passes on what is wanted there.
        let events = settings.remoteEvents ?? proxied?.events ?? .log
        let type = entry == nil ? "broadcast" : "broadcast,playlist"
        facts.cacheControl =
            "max-age=0, user-public, must-revalidate, x-wms-proxy-split, \(events.isEmpty ? "" : "\(events.directive), ")"
            + "x-wms-stream-type=\"\(type)\""
        if let entry {
            facts.playlistGenID = entry.generation
            facts.descriptions = entry.descriptions
            facts.features.insert(.playlist)
        }
        return facts
    }

    /// How much of what came is kept for those who join.
    static func windowMilliseconds(_ settings: PathSettings, _ port: EnginePort) -> Int {
        settings.windowMilliseconds ?? max(port.engine.limits.windowMilliseconds, 10_000)
    }

    /// Whether players have chosen many ways of FEC already.
    var hasManyFEC: Bool { Set(variants.keys.compactMap(\.fec)).count >= Self.fecFreeMax }

    /// The counters of all selections.
    var counters: [StreamCounters] { variants.values.map(\.counters) }
}

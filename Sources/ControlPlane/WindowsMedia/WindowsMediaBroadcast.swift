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

    /// Another header holds for the packets that come from now on.
    var onHeader: (() -> Void)?

    private let port: EnginePort
    private let settings: PathSettings
    private let logger: Logger
    private var variants: [WMSPSelection: WindowsMediaVariant] = [:]
    /// Players that go over to another selection when it can be entered, and when that is not waited for any longer.
    private var waiting: [ObjectIdentifier: (play: LivePlay, variant: WindowsMediaVariant, deadline: NIODeadline)] = [:]
    private var taps: [ObjectIdentifier: any WindowsMediaTap] = [:]
    private var entry: Entry?
    private var observers: [ObjectIdentifier: any WindowsMediaBroadcastObserver] = [:]
    private var made: (generation: Int, facts: WMSPContent)?
    private let identity = UInt32.random(in: 1...UInt32.max)

    /// Different selections that may be played at the same time: each has a packet log of its own.
    static let variantsMax = 16
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
        onHeader?()
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
        onHeader?()
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
        for (id, one) in waiting {
            let variant = ObjectIdentifier(one.variant)
            let mayEnter = isEntry[variant] ?? one.variant.mayBeEntered(with: packet)
            isEntry[variant] = mayEnter
            guard mayEnter || now >= one.deadline else { continue }
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
    }

    // MARK: Players

    func addTap(_ tap: any WindowsMediaTap) { taps[ObjectIdentifier(tap)] = tap }

    func removeTap(_ tap: any WindowsMediaTap) { taps[ObjectIdentifier(tap)] = nil }

    func addObserver(_ observer: any WindowsMediaBroadcastObserver) { observers[ObjectIdentifier(observer)] = observer }

    func removeObserver(_ observer: any WindowsMediaBroadcastObserver) { observers[ObjectIdentifier(observer)] = nil }

    /// Calls ``LivePlay/enter()`` before the next packet with which a selection can be entered.
    func await(_ variant: WindowsMediaVariant, for play: LivePlay) {
        waiting[ObjectIdentifier(play)] = (play, variant, .now() + .seconds(LivePlay.keyFrameWaitSeconds))
    }

    func forget(_ play: LivePlay) { waiting[ObjectIdentifier(play)] = nil }

    /// What a player of that selection is sent. Throws ``PathError``.
    func variant(_ selection: WMSPSelection) throws(PathError) -> WindowsMediaVariant {
        if let variant = variants[selection] { return variant }
        guard variants.count < Self.variantsMax else {
            throw .notReady("\(Self.variantsMax) different selections of its streams are played already", retryAfterSeconds: 5)
        }
        let variant: WindowsMediaVariant
        do {
            variant = try WindowsMediaVariant(selection, of: header, settings: settings, port: port) { [weak self] in
                guard let self, let variant = variants.removeValue(forKey: selection) else { return }
                variant.end()
            }
        } catch { throw .refused("\(error)") }
        variants[selection] = variant
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
        let type = entry == nil ? "broadcast" : "broadcast,playlist"
        facts.cacheControl =
            "max-age=0, user-public, must-revalidate, x-wms-proxy-split, x-wms-event-subscription=\"remote-log\", "
            + "x-wms-stream-type=\"\(type)\""
        if let entry {
            facts.playlistGenID = entry.generation
            facts.descriptions = entry.descriptions
            facts.features.insert(.playlist)
        }
        return facts
    }

    /// How much of what came is kept for those who join.
    fileprivate static func windowMilliseconds(_ settings: PathSettings, _ port: EnginePort) -> Int {
        settings.windowMilliseconds ?? max(port.engine.limits.windowMilliseconds, 10_000)
    }

    /// The counters of all selections.
    var counters: [StreamCounters] { variants.values.map(\.counters) }
}

/// One selection of a broadcast's streams: a stream in the engine that carries `$D` packets as they go over the wire.
final class WindowsMediaVariant {
    let stream: StreamHandle
    let counters: StreamCounters
    /// What comes within this time goes out together. With packets of 1,400 bytes 2,000 players cost 2.6 times the processor time of
    /// interleaved RTP without it, and 1.25 times with it. Packets of 3,200 bytes come 26 ms apart at 1 Mbit/s: with a longer time each of
    /// them would wait for the next one.
    private static let collectNanoseconds: UInt64 = 15_000_000

    /// Packets fed so far: the next one's number in the engine.
    private(set) var packetsFed: UInt32 = 0
    private let port: EnginePort
    private let selection: WMSPSelection
    private var filter: ASFFilter
    private var source: EngineSource?
    private var batch: [UInt8] = []
    private var batchPackets: UInt32 = 0
    private var sequence: UInt8 = 0
    private var players = 0
    private var isRetired = false
    private var isEnded = false
    private let linger: LoopTimer
    private let onUnused: () -> Void
    private let delegate = Delegate()

    /// Nothing that the engine says of such a stream is of interest.
    private final class Delegate: StreamDelegate {
        func senderReport(track: Int, ssrc: UInt32, ntp: UInt64, rtpTime: UInt32) {}
        func sourceBye(track: Int) {}
        func parameterSets(track: Int) {}
        func packetTooLarge(track: Int, bytes: Int) {}
    }

    init(
        _ selection: WMSPSelection, of header: ASFHeader, settings: PathSettings, port: EnginePort, onUnused: @escaping () -> Void
    ) throws {
        self.selection = selection
        self.port = port
        self.onUnused = onUnused
        linger = LoopTimer(port.eventLoop)
        filter = ASFFilter(selection, of: header)
        let limits = port.engine.limits
        let sizing = StreamSizing(
            bitRate: settings.bitRate ?? Int(clamping: max(header.bitrate(of: selection.whole) * 2, UInt64(limits.bitRateDefault / 4))),
            windowMilliseconds: WindowsMediaBroadcast.windowMilliseconds(settings, port))
        var policy = settings.policy
        // TCP paces itself.
        policy.pacing = .off
        policy.collectNanoseconds = Self.collectNanoseconds
        let opened = try port.addVerbatimStream(sizing: sizing, policy: policy, delegate: delegate)
        stream = opened.handle
        counters = opened.counters
        do {
            source = try EngineSource(port: port, release: {}) { .addFedSource($0, opened.handle, channels: ChannelMap(identity: 2)) }
        } catch {
            port.submitAlways(.removeStream(opened.handle))
            throw error
        }
    }

    func playerArrived() {
        players += 1
        linger.stop()
    }

    func playerLeft() {
        players -= 1
        guard players == 0 else { return }
        if isRetired { return end() }
        linger.start(milliseconds: WindowsMediaBroadcast.variantLingerMilliseconds) { [weak self] in self?.onUnused() }
    }

    func begins(_ header: ASFHeader) {
        flush()
        filter = ASFFilter(selection, of: header)
        port.submit(.beginEpoch(stream))
    }

    /// Whether a player that has played other streams can go on with this packet: no object of sound that it heard begin is cut.
    func mayBeEntered(with packet: [UInt8]) -> Bool { filter.hasSound && filter.isStart(packet) }

    func take(_ packet: [UInt8], number: UInt32) {
        let isStart = filter.isStart(packet)
        guard let kept = filter.filter(packet) else { return }
        let length = WMSPFraming.dataHeadBytes + kept.count
        guard let frame = UInt16(exactly: length) else { return }
        let at = batch.count + 4
        batch.append(WMSPFraming.magic)
        batch.append(isStart ? 1 : 0)
        batch.append(UInt8(truncatingIfNeeded: frame >> 8))
        batch.append(UInt8(truncatingIfNeeded: frame))
        batch.append(contentsOf: repeatElement(0, count: WMSPFraming.dataHeadBytes))
        var span = batch.mutableSpan
        WMSPFraming.writeDataHead(payloadBytes: kept.count, locationID: number, flags: sequence, to: &span, at: at)
        batch.append(contentsOf: kept)
        sequence &+= 1
        batchPackets += 1
        if batch.count >= 64 << 10 { flush() }
    }

    func flush() {
        guard !batch.isEmpty, let handle = source?.handle else { return }
        // The engine counts what it was given.
        if port.feed(handle, batch) { packetsFed &+= batchPackets } else { packetsRefused += UInt64(batchPackets) }
        batch.removeAll(keepingCapacity: true)
        batchPackets = 0
    }

    /// Packets that the engine's full queue did not take.
    private(set) var packetsRefused: UInt64 = 0

    /// Nothing more is fed. Ends when the last player has what it was given, or soon.
    func retire() {
        isRetired = true
        source?.remove()
        source = nil
        guard players > 0 else { return end() }
        linger.start(milliseconds: WindowsMediaBroadcast.variantLingerMilliseconds) { [weak self] in self?.end() }
    }

    func end() {
        linger.stop()
        source?.remove()
        source = nil
        guard !isEnded else { return }
        isEnded = true
        port.submitAlways(.removeStream(stream))
    }
}

import WireFormats

/// What the server knows of one client ([MS-RTSP] 3.2.1). It outlives connections.
struct MSRTSPSession: Sendable {
    /// Where it stands. Before the first SETUP there is no session.
    enum State: Sendable, Hashable {
        /// Sent nothing.
        case ready
        /// A Play waits for the place where it begins.
        case starting
        /// Sent media.
        case playing
    }

    /// A stream that was selected, and its place.
    struct Slot: Sendable, Equatable {
        /// What it carries now.
        var stream: UInt8
        var thinning: StreamSwitchEntry.Thinning
        /// Of its SETUP, literally: it keeps the name whatever it carries.
        let url: String
        let transport: SessionTrack.Transport
        /// As SETUP was answered.
        let spec: TransportSpec
        let ssrc: UInt32
        /// Of the entry before: the client has not said yet what it wants of this one.
        var isStale = false
    }

    /// Where lost packets go once more.
    struct Retransmission: Sendable, Equatable {
        let ssrc: UInt32
        let url: String
        let port: UInt16
        let spec: TransportSpec
    }

    /// Another entry that the client must be told of.
    struct Change: Sendable {
        var content: WMSPContent
        var isReceding: Bool
        /// The end of the entry before was told.
        var isEndTold: Bool
        /// Not before.
        var dueAt: UInt64
        /// What the next packet bears.
        var sequence: UInt16?
    }

    /// What waits for the place where media begins.
    enum Start: Sendable {
        /// The answer to a Play.
        case answering(connection: UInt64, Reply)
        /// Nobody: the client was told before.
        case told
    }

    /// What the answer to a Play says besides.
    struct Reply: Sendable {
        var headers: RTSPHeaders
        /// Where the range ends, if it is known.
        var endMilliseconds: UInt64?
        var hasRange: Bool
    }

    let id: UInt64
    let host: String
    let path: String
    /// The aggregate URL, without a slash at its end.
    let url: String
    var connection: UInt64?
    var agent: MSRTSPAgent
    var features: MSRTSPSupported
    var state = State.ready
    var content: WMSPContent
    var slots: [Slot] = []
    var retransmission: Retransmission?
    /// What the client asked for against loss.
    var fec: FECSettings?
    /// What is offered, and described.
    var offer: (retransmits: Bool, fec: FECSettings?)
    /// Streams have one number each, whatever becomes of their slots.
    var ssrcs: [UInt8: UInt32] = [:]
    /// The owner has somebody who sends, or held what was sent.
    var hasMedia = false
    /// What was sent last is at an end: a Play without a place begins anew.
    var hasEnded = false
    /// Its connection is closed because all was sent.
    var isDismissed = false
    var start: Start?
    /// Another entry came while a Play waited.
    var deferred: Change?
    var change: Change?
    /// No Play came since the last Announce, or since the beginning (Play-Expected-Before-Announce).
    var expectsPlay = true
    /// Its client paused: it is told of nothing before it plays again.
    var isPaused = false
    /// Pause-Allowed-In-READY.
    var allowsPause = false
    /// The first packet of the entry that was announced.
    var entrySequence: UInt16?
    var rate = 1.0
    var speed = 1.0
    var lagMilliseconds: UInt64 = 0
    var bitsPerSecond: UInt32?
    /// Where all packets go, and what they bear, since the last Play that began.
    var sent: (transport: SessionTrack.Transport, ssrc: UInt32)?
    var heartbeat: UInt64
    var transactions = 0
    var selectionsInTransaction = 0
    var pairSequence: UInt16 = 0
    var idleSince: UInt64

    init(id: UInt64, incoming: MSRTSPSessions.Incoming, content: WMSPContent, features: MSRTSPSupported) {
        self.id = id
        self.content = content
        self.features = features
        host = incoming.host
        path = incoming.request.path
        url = incoming.request.baseURL
        connection = incoming.connection
        offer = (incoming.place.retransmits, incoming.place.fec)
        agent = incoming.request.agent
        heartbeat = incoming.now
        idleSince = incoming.now
    }

    /// `Session` as this server writes it.
    func header(timeoutMilliseconds: UInt64) -> SessionHeader {
        SessionHeader(id: "\(id)", timeoutSeconds: UInt32(clamping: timeoutMilliseconds / 1_000))
    }

    // MARK: What is selected

    /// What is sent by the slots that count.
    var selection: WMSPSelection {
        var selection = WMSPSelection()
        for slot in slots where !slot.isStale {
            switch slot.thinning {
            case .full: selection.whole.insert(slot.stream)
            case .keyFrames: selection.keyFramesOnly.insert(slot.stream)
            case .off: break
            }
        }
        return selection
    }

    /// The slot whose place all packets take: that of the lowest stream that is sent.
    var carrier: Slot? { slots.filter { !$0.isStale && $0.thinning != .off }.min { $0.stream < $1.stream } }

    /// What carries media; nil before a stream was set up.
    var kind: SessionTrack.Kind? { slots.first?.transport.kind }
    /// Media goes over the connection.
    var isInterleaved: Bool { kind == .interleaved }

    /// What is sent, or held, goes over the connection.
    var isSentInterleaved: Bool { sent?.transport.isInterleaved ?? isInterleaved }

    /// It is told of other entries; whoever is not gets them as one.
    var followsEntries: Bool { features.contains(.endOfStream) }

    /// The slots that a client would choose of another entry, in the place that media has: what the first of them bears goes on.
    mutating func foresee(_ next: WMSPContent, makeID: () -> UInt64) {
        let chosen = selection.predicted(from: content.header, to: next.header, linkBitsPerSecond: bitsPerSecond)
        guard let place = slots.first(where: { $0.ssrc == sent?.ssrc }) ?? carrier ?? slots.first else { return }
        let controls = MSRTSPControls(next.header)
        slots = chosen.streams.numbers.enumerated().map { index, stream in
            let ssrc = index == 0 ? sent?.ssrc ?? place.ssrc : ssrcs[stream] ?? Self.unused(taken, makeID)
            ssrcs[stream] = ssrc
            var spec = place.spec
            spec.ssrc = ssrc
            return Slot(
                stream: stream, thinning: chosen.keyFramesOnly.contains(stream) ? .keyFrames : .full,
                url: "\(url)/\(controls.control(of: stream))", transport: sent?.transport ?? place.transport, spec: spec, ssrc: ssrc)
        }
    }

    /// Of its streams, and of lost packets.
    var taken: Set<UInt32> { Set(ssrcs.values).union(retransmission.map { [$0.ssrc] } ?? []) }

    /// A number drawn that is none of these.
    static func unused(_ taken: Set<UInt32>, _ makeID: () -> UInt64) -> UInt32 {
        var ssrc = UInt32(truncatingIfNeeded: makeID() >> 16)
        while taken.contains(ssrc) { ssrc &+= 1 }
        return ssrc
    }

    // MARK: What the client said

    /// A request came: its client may say what it can.
    mutating func seen(_ request: MSRTSPRequest, now: UInt64) {
        if let supported = request.supported { features = supported }
        idleSince = now
    }

    /// What a client can do that has not said it: Microsoft's always knew other entries and other streams.
    static func features(of agent: MSRTSPAgent) -> MSRTSPSupported {
        agent.isWindowsMedia ? [.endOfStream, .streamSwitch] : []
    }

    // MARK: RTP-Info

    /// The streams that are sent, and where each begins. Those that have no packets of their own keep a number.
    func beginnings(sequence: UInt16?, rtpTime: UInt32? = nil) -> [MSRTSPInfo] {
        let carrier = slots.first { $0.ssrc == sent?.ssrc && !$0.isStale } ?? carrier
        return slots.filter { !$0.isStale && $0.thinning != .off }.map { slot in
            let own = slot == carrier ? sequence : sequence.map { _ in UInt16(truncatingIfNeeded: slot.ssrc) }
            return MSRTSPInfo(url: slot.url, sequence: own, rtpTime: rtpTime)
        }
    }
}

/// What the owner may want to know of a session.
package struct MSRTSPSessionFacts: Sendable, Equatable {
    /// The name of the path that it plays.
    package var path: String
    /// Its client's address.
    package var host: String
    /// Nil while no connection is known.
    package var connection: UInt64?
    /// Its client.
    package var agent: MSRTSPAgent
    /// It is being sent media.
    package var isPlaying: Bool
    /// What is sent, or would be.
    package var selection: WMSPSelection
    /// The entry that the client was told of last.
    package var playlistGenID: UInt32
    /// Where media goes; nil before a stream was set up.
    package var transport: SessionTrack.Transport?
    /// Where lost packets go once more; nil where the client did not ask for them.
    package var retransmission: MSRTSPPlay.Retransmission?
    /// It is told of other entries.
    package var followsEntries: Bool
}

import PlaneLink
import WireFormats

/// One track's time line: what the source says, and what readers see.
struct TrackState: BitwiseCopyable {
    var plan = TrackPlan(clockRate: 90_000, codec: .opaque, ssrc: 0)
    /// How the plan's codec shows its key frames.
    var keyFrames = KeyFrameCodec.opaque
    /// Readers have been sent something.
    var hasOutput = false
    /// A packet of the current epoch was taken.
    var hasInput = false
    /// Video that goes on after a splice: packets before the key frame are dropped, until this time.
    var keyFrameDeadline: UInt64 = 0
    /// The source's SSRC, and one that may be about to replace it.
    var ssrcIn: UInt32 = 0
    var ssrcCandidate: UInt32 = 0
    var candidateCount = 0
    /// Added to the source's numbers.
    var sequenceOffset: UInt16 = 0
    var timestampOffset: UInt32 = 0
    /// Of the newest packet, as readers see it.
    var sequenceOut: UInt16 = 0
    var timestampOut: UInt32 = 0
    /// The highest timestamp that readers have seen: with pictures out of order not that of the newest packet.
    var timestampMax: UInt32 = 0
    /// From one frame to the next: the smaller of the last two such steps, so that one pause of the source is none.
    var timestampStep: UInt32 = 0
    var stepBefore: UInt32 = 0
    /// The next packet is the first of a time line: what lies between it and the last one is no step.
    var isLineNew = false
    /// The newest packet was not the last of its frame.
    var isFrameOpen = false
    var arrival: UInt64 = 0
    /// The source's payload type, for packets of the relay's own.
    var payloadType: UInt8 = 0
    /// The source is away and something fills the gap; it has begun; something was sent since the source was there.
    var isSlate = false
    var isSlateOpen = false
    var hasSlatePicture = false
    /// Added to a clip's timestamps.
    var slateOffset: UInt32 = 0
    /// The timestamp of the last key frame, to take its packets for one.
    var keyFrameTimestamp: UInt32 = 0
    var hasKeyFrame = false
    /// Where its timestamps are in the stream's time.
    var clock = TrackClock()
    var packetsOut: UInt32 = 0
    var octetsOut: UInt32 = 0
    /// The last packet that was cut into several, by the source's numbers: what comes from before it comes too late.
    var hasCut = false
    var cutSequence: UInt16 = 0
    var packetBytesMax: UInt32 = 0
    var hasSaidTooLarge = false
    /// Parameter sets in the making: bytes of them in the mailbox, where an unfinished one begins and which packet goes on with it.
    var setBytes: UInt16 = 0
    var setOpenAt: UInt16 = 0
    var isSetOpen = false
    var setSequence: UInt16 = 0
    /// What was handed up last; 0 nothing in this epoch.
    var setHash: UInt64 = 0
    /// What goes before key frames (``StreamState/prefaces``), in bytes, and whether it goes before the next packet, whatever that is.
    var prefaceBytes: UInt16 = 0
    var isPrefaceOwed = false
    /// Of the source's own numbers in this epoch.
    var reception = ReceptionStatistics(needsProbation: false)

    init() {}
}

/// How often each track was planned anew, modulo 256. Each packet's record says which plan it was logged under; a worker that knows
/// another one sends it to nobody. So however the workers' commands overtake each other, no reader of a track is sent another track.
struct TrackPlans: BitwiseCopyable, Equatable {
    /// A byte for each track, track 0's lowest.
    private(set) var word: UInt64 = 0

    init(word: UInt64 = 0) { self.word = word }

    /// The number of a track's plan.
    subscript(track: Int) -> UInt8 { UInt8(truncatingIfNeeded: word >> UInt64(8 * track)) }

    /// A track is planned anew.
    mutating func count(_ track: Int) {
        let shift = UInt64(8 * track)
        word = word & ~(0xFF << shift) | UInt64(self[track] &+ 1) << shift
    }

    /// Whether a packet was logged under the plan of its track.
    @inline(__always) func hold(_ record: PacketRecord) -> Bool { record.plan == self[Int(record.channel) / 2] }
}

/// One stream as a worker keeps it. Every worker has one, with its own readers; one worker is the stream's home: it receives, and
/// writes the log.
struct StreamState: BitwiseCopyable {
    let handle: StreamHandle
    let board: StreamBoard
    let counters: StreamCounters
    let parameterSets: ParameterSetMailbox
    let prefaces: TrackPrefaces
    let log: PacketLog
    let isHome: Bool
    /// Its packets are no RTP: they are stored and sent as they were fed (``Command/addVerbatimStream(_:_:)``).
    let isVerbatim: Bool
    /// Its packets lie in a file (``Command/addStoredStream(_:_:_:)``); reads of it that the kernel holds.
    var stored: StoredPlan?
    var storedFile = KernelFile.none
    var storedReads = 0
    /// Its file system cannot say what is in memory.
    var storedWaits = false
    /// Its readers that wait for a block to be free, and the next stream that has such.
    var storedShort = StoredList()
    var nextShort = SubscriberList.end
    var isStored: Bool { stored != nil }
    var policy = StreamPolicy()
    var trackCount: Int
    var tracks: InlineArray<8, TrackState>
    /// Which plan of each track holds, as far as this worker has got.
    var plans = TrackPlans()
    /// The tracks that were planned so far, as bits.
    var tracksPlanned: UInt8 = 0
    /// What readers know the stream by in RTCP (the CNAME), whatever becomes of its tracks: the first plan's SSRC of track 0.
    var name: UInt32 = 0
    /// The track whose key frames readers begin at, or -1.
    var anchor = -1
    /// Home: the anchor's last key frame, where it may have to be sent again.
    var keeper: KeyFrameKeeper?
    /// Home: the picture that is coming in, where readers get whole ones.
    var pictures: PictureStage?
    /// The newest key frame that readers of this worker were told of, plus one.
    var keyFrameSeen: UInt64 = 0
    /// Of a verbatim stream that is at home elsewhere: how far its readers may be sent packets (``Worker/limit(_:)``).
    var fence: UInt64 = 0
    var fenceNext: UInt64 = 0
    /// Live UDP readers have been sent everything before this number.
    var sent: UInt64 = 0
    var quiet = SubscriberList()
    var live = SubscriberList()
    var lagging = SubscriberList()
    var interleaved = SubscriberList()
    /// Readers that wait for a key frame.
    var waiting = 0
    /// When this worker's readers are looked at next, `.max` when there is nothing for them.
    var dueAt: UInt64 = .max
    /// When TCP readers are, where several frames are collected for them.
    var interleavedDueAt: UInt64 = .max
    /// Home: when packets that were logged are released, `.max` when none waits.
    var releaseAt: UInt64 = .max
    /// Home: packets that wait for others before them, and when the first of them has waited long enough; `.max`: none waits.
    var reorder = ReorderStage.none
    var reorderAt: UInt64 = .max
    var legOfNewSources: UInt8 = 0
    var isDirty = false
    var nextDirty = SubscriberList.end
    /// Home: the end of the log, and how far it was released.
    var writer: LogWriter
    var released: UInt64 = 0
    /// Home: bytes that may be released at once, when that was reckoned, and at which rate they grow (bytes per second).
    var paceTokens: UInt64 = 0
    var pacedAt: UInt64 = 0
    var paceRate: UInt64 = 0
    /// Home: bytes logged since then, for the stream's rate.
    var rateBytes: UInt64 = 0
    var rateSince: UInt64 = 0
    /// Home: the time of all tracks.
    var clock = StreamClock()
    /// Home: when sender reports were last logged, and when the next are due, `.max` when none are.
    var reportedAt: UInt64 = 0
    var reportsAt: UInt64 = .max
    /// Readers of this worker that want media, or wait for their first packet: what the board says of the audience.
    var interested: UInt64 = 0
    /// What the kernel still holds of the log without a copy: how many holds, and the oldest packet, `.max` when none.
    var zeroCopyHolds = 0
    var zeroCopyPin: UInt64 = .max
    /// The arena is known to this worker's kernel as memory with this number, or -1.
    var registered: Int32 = -1

    init(handle: StreamHandle, memory: StreamMemory, trackCount: Int, isVerbatim: Bool, worker: Int, workers: Int) {
        self.handle = handle
        board = memory.board
        counters = memory.counters.forWorker(worker)
        parameterSets = memory.parameterSets
        prefaces = TrackPrefaces(memory: memory)
        log = PacketLog(memory: memory)
        isHome = memory.board.load(.home) == UInt64(worker)
        keeper = isHome ? KeyFrameKeeper(memory: memory) : nil
        pictures = isHome ? PictureStage(memory: memory) : nil
        writer = LogWriter(log: log, board: memory.board, workers: workers)
        self.trackCount = min(trackCount, tracksPerStreamMax)
        tracks = InlineArray(repeating: TrackState())
        self.isVerbatim = isVerbatim
        // Readers begin at the packets of which the feeder says that they may.
        if isVerbatim { anchor = 0 }
    }
}

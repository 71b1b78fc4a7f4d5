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
    var timestampStep: UInt32 = 0
    var arrival: UInt64 = 0
    /// The timestamp of the last key frame, to take its packets for one.
    var keyFrameTimestamp: UInt32 = 0
    var hasKeyFrame = false
    /// The source's last sender report, in readers' time; or in the source's, while the time line has no packet yet.
    var hasReport = false
    var hasEarlyReport = false
    var reportNTP: UInt64 = 0
    var reportTimestamp: UInt32 = 0
    var reportArrival: UInt64 = 0
    var packetsOut: UInt32 = 0
    var octetsOut: UInt32 = 0
    /// Of the source's own numbers in this epoch.
    var reception = ReceptionStatistics(needsProbation: false)

    init() {}
}

/// One stream as the worker keeps it.
struct StreamState: BitwiseCopyable {
    let handle: StreamHandle
    let memory: StreamMemory
    let counters: StreamCounters
    var log: PacketLog
    var trackCount: Int
    var tracks: InlineArray<8, TrackState>
    /// The track whose key frames readers begin at, or -1.
    var anchor = -1
    /// The newest key frame's first packet.
    var keyFrame: UInt64 = 0
    var hasKeyFrame = false
    /// Live UDP readers have been sent everything before this number.
    var sent: UInt64 = 0
    var quiet = SubscriberList()
    var live = SubscriberList()
    var lagging = SubscriberList()
    var interleaved = SubscriberList()
    /// Readers that wait for a key frame.
    var waiting = 0
    /// Since when packets wait to be sent, 0 when none does.
    var dueAt: UInt64 = 0
    var isDirty = false
    var nextDirty = SubscriberList.end
    /// When the last sender report for newcomers was logged.
    var joinReportAt: UInt64 = 0

    init(handle: StreamHandle, memory: StreamMemory, trackCount: Int) {
        self.handle = handle
        self.memory = memory
        counters = memory.counters
        log = PacketLog(memory: memory)
        self.trackCount = min(trackCount, tracksPerStreamMax)
        tracks = InlineArray(repeating: TrackState())
    }

    /// Readers that a packet is sent to.
    var audience: Int { Int(live.count) + Int(lagging.count) + Int(interleaved.count) }
}

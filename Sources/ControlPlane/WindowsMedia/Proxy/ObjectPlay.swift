import Signalling
import WireFormats

/// One session with the origin that brings packets of an object: what it describes goes to whoever opened it, what it plays to the object's fill.
/// Belongs to the event loop.
final class ObjectPlay {
    /// How opening it came out.
    enum Opened {
        case described(OriginPlay.Description)
        case ended(OriginPlay.End)
    }

    /// Names it in plans.
    let id: Int
    /// Whose packets it brings, once that is known.
    weak var fill: ObjectFill?
    /// Once, when it is described or cannot be.
    var onOpened: ((Opened) -> Void)?
    /// Once for each play that was to be located: where it began, or that it cannot.
    var onBegan: ((OriginPlay.Start?) -> Void)?
    /// The packet that comes next; where it was asked to play and has not come there yet, the one that was asked for: an origin begins at a key frame
    /// before it, which may be far away. Nil: it plays nothing.
    private(set) var next: UInt32?
    private var play: OriginPlay?
    /// What came together and is not written yet.
    private var batch: [UInt8] = []
    private var batchFirst: UInt32 = 0
    /// The number behind the last packet that came since then, also of those that are here already; nil: none came.
    private var seen: UInt32?
    private var hasPlayed = false

    /// Bytes that are written at once.
    static let batchBytes = 256 << 10

    init(id: Int) { self.id = id }

    /// Opens it; `make` makes the session for its owner.
    func open(_ make: (any OriginPlayOwner) -> OriginPlay) {
        let play = make(self)
        self.play = play
        play.open()
    }

    var words: String { play?.words ?? "over" }
    var bytesReceived: UInt64 { play?.bytesReceived ?? 0 }
    var isPaused: Bool { play?.isPaused ?? false }

    /// Plays from that packet.
    func move(to packet: UInt32, pace: OriginPlay.Pace) {
        handOver()
        next = packet
        start(packet == 0 ? .beginning : .packet(UInt64(packet)), pace)
    }

    /// Plays from a position whose packet only the origin knows.
    func find(_ position: WMSPPosition, pace: OriginPlay.Pace, _ began: @escaping (OriginPlay.Start?) -> Void) {
        handOver()
        next = nil
        onBegan?(nil)
        onBegan = began
        start(position, pace)
    }

    private func start(_ position: WMSPPosition, _ pace: OriginPlay.Pace) {
        seen = nil
        play?.play(from: position, pace: pace)
    }

    func pause() { play?.pause() }
    func resume() { play?.resume() }

    /// Tells the origin what a player did.
    func send(_ event: RemoteEvent) { play?.send(event) }

    /// Lets go of the origin.
    func leave() {
        handOver()
        fill = nil
        onOpened = nil
        let play = play
        self.play = nil
        next = nil
        play?.leave()
        tellBegan(nil)
    }

    private func tellBegan(_ start: OriginPlay.Start?) {
        let onBegan = onBegan
        self.onBegan = nil
        onBegan?(start)
    }

    private func handOver() {
        guard !batch.isEmpty else { return }
        let bytes = batch, first = batchFirst
        batch = []
        fill?.brought(bytes, first: first)
    }
}

extension ObjectPlay: OriginPlayOwner {
    func originDescribed(_ play: OriginPlay, _ description: OriginPlay.Description) {
        let onOpened = onOpened
        self.onOpened = nil
        onOpened?(.described(description))
        if let fill, description.header.bytes != fill.header.bytes { fill.changed("another header than the one that was kept") }
    }

    func originBegan(_ play: OriginPlay, _ start: OriginPlay.Start) {
        if !hasPlayed { fill?.playsAgain() }
        hasPlayed = true
        if !start.isExact { fill?.isUnnumbered() }
        // Behind what was asked for: what lies between is not to be had.
        if let next, start.packet > next { fill?.leftOut(next..<start.packet) }
        next = max(next ?? 0, start.packet)
        tellBegan(start)
    }

    func origin(_ play: OriginPlay, packet number: UInt32, _ bytes: [UInt8]) {
        fill?.onBrought?(bytes.count)
        guard let fill, bytes.count == fill.header.packetBytes else { return }
        seen = number &+ 1
        next = max(next ?? 0, number &+ 1)
        guard fill.takes(number) else { return }
        if batch.isEmpty || UInt64(batchFirst) + UInt64(batch.count / bytes.count) != UInt64(number) {
            handOver()
            batchFirst = number
        }
        batch += bytes
        if batch.count >= Self.batchBytes { handOver() }
    }

    func originAsksWho(_ play: OriginPlay, _ opener: OriginStatement.Opener) { fill?.isGuarded(by: opener) }

    func origin(_ play: OriginPlay, skipped range: Range<UInt32>) { fill?.leftOut(range) }

    func originFlushes(_ play: OriginPlay) {
        handOver()
        fill?.flushed(self)
    }

    func originFinished(_ play: OriginPlay) {
        handOver()
        let asked = next
        next = nil
        tellBegan(nil)
        if let seen { fill?.finished(at: seen) } else { fill?.finishedAtOnce(self, at: asked) }
    }

    func originEnded(_ play: OriginPlay, _ end: OriginPlay.End) {
        handOver()
        self.play = nil
        next = nil
        let onOpened = onOpened
        self.onOpened = nil
        onOpened?(.ended(end))
        // It is not to be had for anything else any more when somebody hears of it.
        fill?.ended(self, end)
        tellBegan(nil)
    }
}

import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// Stored media of an RTSP server: its description, and its packets as far as they are here. One that is being made grows; what is
/// whole stays as it is. Belongs to the event loop.
final class Recording {
    /// Where it stands.
    enum State: Equatable {
        /// Nothing was asked for yet.
        case described
        /// The origin sends, or will at once.
        case growing
        /// All of it is here.
        case whole
        /// The origin stopped before the end; why.
        case broken(String)
    }

    /// One track that is taken.
    struct Track {
        /// Its place among the media that a relay receives, and in the description.
        let place: Int
        let media: Int
        let clockRate: UInt32
        let codec: MediaCodec
    }

    let description: SessionDescription
    /// What the origin said beside it, when it was asked first.
    let words: OriginWords
    /// The version: what another is, is not to be mixed with it, nor sent in its place.
    let tag: String
    /// The media's length by the origin's word.
    let microseconds: Int64
    let tracks: [Track]
    let log: RecordingLog
    private(set) var state = State.described
    /// Where packets end; behind it may be the index.
    private(set) var endOfPackets: UInt64
    private(set) var indexer: RecordingIndexer
    /// The timestamps that stand for the media's beginning, by track; empty before the origin began to send.
    private(set) var bases: [UInt32] = []
    /// Sessions that hold it.
    private(set) var readers = 0
    /// Nobody holds it any more.
    var onUnused: (() -> Void)?
    /// It is kept, or that failed.
    var onSettled: (() -> Void)?
    /// A window's reader takes more.
    var onConsumed: (() -> Void)?
    /// It ended, and is not what it should be, and why: those who play it play it to its end, and nobody new is to be given it.
    var unfitness: String?
    private var whole: RecordingIndex?
    private var waiters: [() -> Void] = []
    private let controlSession = UInt64.random(in: 1...(1 << 62))

    /// What a server described and said with it, of which these tracks are wanted; `isWindow`: for one reader, and nothing is kept.
    init(_ description: SessionDescription, _ words: OriginWords, microseconds: Int64, tracks: [Track], isWindow: Bool = false) {
        self.description = description
        self.words = words
        tag = words.tag(of: description)
        self.microseconds = microseconds
        self.tracks = tracks
        log = RecordingLog(isWindow: isWindow)
        endOfPackets = 0
        indexer = RecordingIndexer(anchor: Self.anchor(tracks))
    }

    /// A whole one that is kept.
    init(_ head: RecordingHead, _ words: OriginWords, tracks: [Track], index: RecordingIndex, bytesOfPackets: UInt64, log: RecordingLog) {
        description = head.description
        self.words = words
        tag = words.tag(of: head.description)
        microseconds = head.microseconds
        self.tracks = tracks
        self.log = log
        endOfPackets = bytesOfPackets
        indexer = RecordingIndexer(anchor: Self.anchor(tracks))
        whole = index
        bases = head.tracks.map(\.base)
        state = .whole
    }

    private static func anchor(_ tracks: [Track]) -> Int? { tracks.firstIndex { $0.codec.keyFrameCodec != .opaque } }

    /// The track whose key frames playing begins at.
    var anchor: Int? { Self.anchor(tracks) }
    var index: RecordingIndex { whole ?? indexer.index }
    /// How far it reaches.
    var reach: Int64 { whole?.endMicroseconds ?? indexer.latest ?? -1 }
    /// What is the last that is played, as far as is known.
    var endMicroseconds: Int64 { state == .whole ? max(index.endMicroseconds, 0) : microseconds }

    /// The tracks of a description that are wanted; nil where there is none.
    static func tracks(of sdp: SessionDescription, _ selection: TrackSelection) -> [Track]? {
        var tracks: [Track] = []
        for (place, media) in sdp.receivableMedia.enumerated() {
            guard tracks.count < tracksPerStreamMax, selection.wants(sdp.media[media], index: media) else { continue }
            tracks.append(Track(place: place, media: media, clockRate: sdp.media[media].clockRate, codec: sdp.media[media].codec))
        }
        return tracks.isEmpty ? nil : tracks
    }

    /// As a reader gets it, with SSRCs of its own.
    func makeDescription() -> StreamDescription {
        let ssrcs = tracks.map { _ in UInt32.random(in: 1...UInt32.max) }
        let origin = SDPOrigin(sessionID: controlSession, sessionVersion: 1, address: "127.0.0.1")
        let sdp = description.forReaders(
            origin: origin, tracks: tracks.map(\.media), range: .npt(start: .microseconds(0), end: .microseconds(microseconds)))
        let described = tracks.enumerated().map { number, track in
            StreamDescription.Track(
                number: number, control: "trackID=\(number)",
                plan: TrackPlan(clockRate: track.clockRate, codec: TrackCodec(track.codec.keyFrameCodec), ssrc: ssrcs[number]),
                codec: track.codec)
        }
        let digits = String(ssrcs[0], radix: 16)
        return StreamDescription(
            sdp: sdp, tracks: described, map: TrackMap([]), leftOut: [],
            canonicalName: "weir-" + String(repeating: "0", count: 8 - digits.count) + digits,
            stream: StreamHandle(index: .max, generation: 0), counters: .none, version: 1)
    }

    // MARK: Readers

    func readerArrived() { readers += 1 }

    func readerLeft() {
        readers -= 1
        if readers == 0 { onUnused?() }
    }

    /// Runs `body` once, when there is more of it, or its state is another.
    func whenChanged(_ body: @escaping () -> Void) { waiters.append(body) }

    /// A window's reader has had all before that place.
    func consumed(to position: UInt64) {
        log.consumed(to: position)
        onConsumed?()
    }

    // MARK: Whoever makes it

    func begins() { state = .growing }

    func begins(bases: [UInt32]) { self.bases = bases }

    /// Takes a packet; ``changed()`` is owed.
    func append(_ record: RecordedPacket, _ packet: [UInt8]) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(record.recordByteCount)
        record.append(packet, to: &bytes)
        indexer.take(record, at: endOfPackets)
        log.append(bytes)
        endOfPackets = log.end
    }

    /// The origin has no more: all is here. Gives what is to stand behind the packets.
    func ends() -> [UInt8] {
        whole = indexer.index
        state = .whole
        return indexer.index.serialized(behind: endOfPackets)
    }

    func breaks(_ words: String) { state = .broken(words) }

    /// Tells whoever waits.
    func changed() {
        let waiting = waiters
        waiters = []
        for waiter in waiting { waiter() }
    }
}

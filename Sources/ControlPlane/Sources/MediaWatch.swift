import NIOCore
import PlaneLink

/// Looks after the media of one connection: whether it begins, whether it goes on, and when to report on it.
final class MediaWatch {
    enum Event {
        /// Nothing arrived within the first time.
        case noFirstPacket
        /// Nothing arrived on any track for so many seconds. (One silent track may be normal: a muted camera.)
        case silent(seconds: Int)
        /// Nothing arrived on this video track for so many seconds, while others went on.
        case trackSilent(track: Int, codec: String, seconds: Int)
        /// RTCP is due.
        case reportIsDue
        /// The sockets' drop counters are to be read.
        case dropsAreDue
    }

    private let first: LoopTimer
    private let pulse: Pulse
    private let eventLoop: any EventLoop
    private var listener: Int?
    private let silenceMilliseconds: Int
    private let firstMilliseconds: Int?
    private let trackSilenceMilliseconds: Int?
    private var hasArrived = false

    /// RFC 3550 section 6.2's least interval.
    static let reportMilliseconds = 5_000
    private static let dropsMilliseconds: Int64 = 1_000
    /// A track that has not begun may still wait for a key frame: it is given at least so long.
    private static let beginMilliseconds = 15_000
    /// Others go on when a packet of theirs is no older.
    private static let othersMilliseconds: UInt64 = 2_000

    /// A watch that does not look yet.
    init(_ port: EnginePort, silenceMilliseconds: Int, firstMilliseconds: Int?, trackSilenceMilliseconds: Int? = nil) {
        self.trackSilenceMilliseconds = trackSilenceMilliseconds
        first = LoopTimer(port.eventLoop)
        pulse = port.pulse
        eventLoop = port.eventLoop
        self.silenceMilliseconds = silenceMilliseconds
        self.firstMilliseconds = firstMilliseconds
    }

    /// Begins to look; ``Event/reportIsDue`` comes at once and then every five seconds.
    func start(_ description: StreamDescription, _ onEvent: @escaping (Event) -> Void) {
        let began = eventLoop.now
        var reported = began, drained = began
        if let firstMilliseconds, !hasArrived { first.start(milliseconds: firstMilliseconds) { onEvent(.noFirstPacket) } }
        if let listener { pulse.remove(listener) }
        var tracks = TrackWatch(description, began)
        listener = pulse.add { [silenceMilliseconds, trackSilenceMilliseconds, eventLoop] in
            let now = eventLoop.now
            if now - reported >= .milliseconds(Int64(Self.reportMilliseconds)) {
                reported = now
                onEvent(.reportIsDue)
            }
            if now - drained >= .milliseconds(Self.dropsMilliseconds) {
                drained = now
                onEvent(.dropsAreDue)
            }
            let last = max(description.lastArrivalNanoseconds, began.uptimeNanoseconds)
            let silence = now.uptimeNanoseconds > last ? (now.uptimeNanoseconds - last) / 1_000_000 : 0
            if silence >= UInt64(silenceMilliseconds) { return onEvent(.silent(seconds: silenceMilliseconds / 1_000)) }
            guard let limit = trackSilenceMilliseconds, silence < Self.othersMilliseconds,
                let track = tracks.silent(description, now, milliseconds: limit, first: max(limit, Self.beginMilliseconds))
            else { return }
            onEvent(.trackSilent(track: track.number, codec: track.codec.name, seconds: limit / 1_000))
        }
        onEvent(.reportIsDue)
    }

    /// Media began.
    func firstPacketArrived() {
        hasArrived = true
        first.stop()
    }

    /// Looks no more.
    func stop() {
        first.stop()
        if let listener { pulse.remove(listener) }
        listener = nil
    }
}

/// The video tracks of a description that has others as well, and when each was heard.
private struct TrackWatch {
    private var tracks: [(track: StreamDescription.Track, packets: UInt64, at: NIODeadline, hasBegun: Bool)]

    init(_ description: StreamDescription, _ now: NIODeadline) {
        let videos = description.tracks.count > 1 ? description.tracks.filter { $0.plan.codec != .opaque } : []
        tracks = videos.map { ($0, description.packets(ofTrack: $0.number), now, false) }
    }

    /// A track that was silent for too long.
    mutating func silent(
        _ description: StreamDescription, _ now: NIODeadline, milliseconds: Int, first: Int
    ) -> StreamDescription.Track? {
        for index in tracks.indices {
            let packets = description.packets(ofTrack: tracks[index].track.number)
            if packets != tracks[index].packets {
                tracks[index] = (tracks[index].track, packets, now, true)
            } else if now - tracks[index].at >= .milliseconds(Int64(tracks[index].hasBegun ? milliseconds : first)) {
                tracks[index].at = now
                return tracks[index].track
            }
        }
        return nil
    }
}

extension StreamDescription {
    /// Packets of a track so far, of this leg where the stream has legs.
    fileprivate func packets(ofTrack number: Int) -> UInt64 {
        leg.map { counters[leg: $0, number, .packets] } ?? counters[number, .packets]
    }
}

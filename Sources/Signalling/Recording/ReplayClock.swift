import WireFormats

/// The RTP time of a session that is sent stored media: one even clock from its first PLAY to its end, whatever place of the media is
/// sent, so that players see no jump (RFC 2326 section B) and any two sender reports tell the same line. Pure; times are monotonic, in
/// nanoseconds.
package struct ReplayClock: Sendable {
    /// One track.
    private struct Track {
        let clockRate: UInt32
        /// The RTP time of the session's beginning.
        let offset: UInt32
    }

    private let tracks: [Track]
    private var sessionBegan: UInt64?
    /// When the media's ``microseconds`` are due.
    package private(set) var began: UInt64 = 0
    /// Where the play began in the media.
    package private(set) var microseconds: Int64 = 0

    /// A clock for tracks of these rates; `random` gives where their RTP time begins.
    package init(clockRates: [UInt32], random: () -> UInt32) {
        tracks = clockRates.map { Track(clockRate: max($0, 1), offset: random()) }
    }

    /// The media is played from there on.
    package mutating func begin(at microseconds: Int64, now: UInt64) {
        if sessionBegan == nil { sessionBegan = now }
        began = now
        self.microseconds = microseconds
    }

    /// When what is at that time of the media is due.
    package func due(_ time: Int64) -> UInt64 {
        let ahead = time - microseconds
        return ahead <= 0 ? began : began &+ UInt64(ahead) &* 1_000
    }

    /// Where the media is at a moment.
    package func position(now: UInt64) -> Int64 { microseconds + Int64(clamping: (now > began ? now - began : 0) / 1_000) }

    /// The RTP time of a moment: what sender reports say.
    package func rtpTime(track: Int, now: UInt64) -> UInt32 {
        guard tracks.indices.contains(track), let sessionBegan else { return 0 }
        let passed = now > sessionBegan ? now - sessionBegan : 0
        return tracks[track].offset &+ NTPTime.ticks(nanoseconds: passed, clockRate: tracks[track].clockRate)
    }

    /// The RTP time of the place where the play began: `rtptime` of `RTP-Info`.
    package func rtpTimeOfBeginning(track: Int) -> UInt32 { rtpTime(track: track, now: began) }

    /// What is to be added to a recorded timestamp; `base` is the one that stands for the media's beginning.
    package func shift(track: Int, base: UInt32) -> UInt32 {
        guard tracks.indices.contains(track) else { return 0 }
        let ticks = MediaTime.ticks(microseconds: microseconds, clockRate: tracks[track].clockRate)
        return rtpTimeOfBeginning(track: track) &- UInt32(truncatingIfNeeded: ticks) &- base
    }
}

import NIOCore
import PlaneLink

/// Since when each track of each path has been silent, from counters that are looked at once a second.
struct TrackSilence {
    private struct Heard {
        var stream: StreamHandle
        var packets: UInt64
        var at: NIODeadline
    }

    private var heard: [String: [Int: Heard]] = [:]

    /// Looks at the counters.
    mutating func take(_ paths: [Path], now: NIODeadline) {
        let before = heard
        heard = [:]
        for path in paths {
            guard let live = path.live else { continue }
            for track in live.description.tracks {
                let packets = live.counters[track.number, .packets]
                let former = before[path.name]?[track.number]
                let isSame = former.map { $0.stream == live.handle && $0.packets == packets } ?? false
                heard[path.name, default: [:]][track.number] = Heard(
                    stream: live.handle, packets: packets, at: isSame ? former?.at ?? now : now)
            }
        }
    }

    /// What a track does, in words, and for how many seconds it has been silent.
    func words(path: String, track: Int, now: NIODeadline) -> (words: String, seconds: Double) {
        guard let heard = heard[path]?[track] else { return ("no packet yet", 0) }
        let seconds = Double((now - heard.at).nanoseconds) / 1e9
        if heard.packets == 0 { return ("no packet yet", seconds.tenths) }
        return seconds < Self.secondsMin ? ("plays", 0) : ("no packet for \(Int(seconds)) s", seconds.tenths)
    }

    /// A shorter silence is none.
    private static let secondsMin = 2.5
}

import WireFormats

/// Makes a recording's index while its packets come. Pure.
package struct RecordingIndexer: Sendable {
    /// What is known so far.
    package private(set) var index = RecordingIndex()
    /// The latest time of all packets so far.
    package private(set) var latest: Int64?
    private let anchor: UInt8?
    private var recent: [(microseconds: Int64, position: UInt64)] = []
    private var oldest = 0

    /// Packets that are looked back at for what belongs behind a key frame's time and was sent before it.
    static let recentMax = 4_096
    /// Tracks that are further apart than this are not waited for.
    static let latenessMicrosecondsMax: Int64 = 3_000_000
    /// How far places are apart where there are no key frames.
    static let strideMicroseconds: Int64 = 500_000

    /// `anchor`: the track whose key frames playing begins at; nil: any packet will do.
    package init(anchor: Int?) { self.anchor = anchor.map { UInt8(truncatingIfNeeded: $0) } }

    /// Takes the packet whose record lies at `position`.
    package mutating func take(_ record: RecordedPacket, at position: UInt64) {
        let time = record.microseconds
        let latest = max(self.latest ?? time, time)
        self.latest = latest
        index.latenessMicroseconds = max(index.latenessMicroseconds, min(latest - time, Self.latenessMicrosecondsMax))
        index.endMicroseconds = max(index.endMicroseconds, time)
        remember(time, position)
        let isPlace: Bool
        if let anchor {
            isPlace = record.track == anchor && record.startsKeyFrame
        } else {
            isPlace = index.entries.last.map { time >= $0.microseconds + Self.strideMicroseconds } ?? true
        }
        guard isPlace else { return }
        var first = position
        for packet in recent where packet.microseconds >= time { first = min(first, packet.position) }
        index.append(RecordingIndex.Entry(microseconds: time, first: first, keyFrame: position))
    }

    private mutating func remember(_ time: Int64, _ position: UInt64) {
        if recent.count < Self.recentMax {
            recent.append((time, position))
        } else {
            recent[oldest] = (time, position)
            oldest = (oldest + 1) % Self.recentMax
        }
    }
}

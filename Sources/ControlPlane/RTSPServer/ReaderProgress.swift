import NIOCore
import PlaneLink
import Signalling

/// How far a reader is with what it was due, by the counters of its tracks and what the kernel knows of its connection. Costs nothing
/// while nobody asks.
struct ReaderProgress {
    /// Of each track, packets that had come before the reader's first one, modulo 2^32.
    private var packetsBefore = InlineArray<8, UInt32>(repeating: 0)
    /// Bytes of its tracks before its first packet.
    private var bytesBefore: UInt64 = 0
    /// What its connection had carried before.
    private let handedBefore: UInt64
    let began: NIODeadline

    /// A reader that begins at `point`, perhaps in the past (a join burst).
    init(at point: JoinPoint, tracks: [SessionTrack], counters: StreamCounters, connection: ConnectionState?, now: NIODeadline) {
        began = now
        handedBefore = connection?.bytesHanded ?? 0
        for track in tracks where packetsBefore.indices.contains(track.number) {
            let packets = counters[track.number, .packets], bytes = counters[track.number, .bytes]
            var past: UInt64 = 0
            let start = point[track.number]
            if start.isKnown {
                let newest = UInt16(truncatingIfNeeded: counters[track.number, .sequenceOut])
                // One that begins at the next packet has none of the past.
                past = min(UInt64(clamping: Int16(bitPattern: newest &- start.sequence &+ 1)), packets)
            }
            packetsBefore[track.number] = UInt32(truncatingIfNeeded: packets - past)
            bytesBefore &+= bytes &- (packets == 0 ? 0 : UInt64(Double(bytes) / Double(packets) * Double(past)))
        }
    }

    /// What the reader was due since, without framing.
    struct Due {
        var packets: UInt64 = 0
        var bytes: UInt64 = 0
        /// As long as it took.
        var seconds: Double = 0
    }

    /// What came for it so far.
    func due(_ tracks: [SessionTrack], _ counters: StreamCounters, now: NIODeadline) -> Due {
        var due = Due(seconds: max(Double((now - began).nanoseconds) / 1e9, 0.001))
        var bytes: UInt64 = 0
        for track in tracks where packetsBefore.indices.contains(track.number) {
            due.packets &+= packets(track.number, counters)
            bytes &+= counters[track.number, .bytes]
        }
        due.bytes = bytes > bytesBefore ? bytes - bytesBefore : 0
        return due
    }

    private func packets(_ track: Int, _ counters: StreamCounters) -> UInt64 {
        UInt64(UInt32(truncatingIfNeeded: counters[track, .packets]) &- packetsBefore[track])
    }

    /// Milliseconds behind the live stream of a reader over its connection: what it was due and has not acknowledged, at the mean rate.
    func lagMilliseconds(_ due: Due, _ connection: ConnectionState, missed: UInt64) -> Double {
        guard due.packets > 0, due.bytes > 0 else { return 0 }
        let framed = Double(due.bytes) + Double(due.packets) * 4
        var behind = Double(connection.bytesQueued)
        if connection.isBlocked {
            // Not all that waits has found room in the connection: the rest is in the stream's log.
            let acknowledged = Double(connection.bytesHanded) - Double(handedBefore) - Double(connection.bytesQueued)
            behind = max(behind, framed - acknowledged - Double(missed) * framed / Double(due.packets))
        }
        return behind / framed * due.seconds * 1_000
    }

    /// Milliseconds that a reader was behind when it reported last, by its worst track; nil before its first report.
    func lagMilliseconds(_ reports: ReaderReports, _ tracks: [SessionTrack], _ counters: StreamCounters, now: NIODeadline) -> Double? {
        let seconds = max(Double((now - began).nanoseconds) / 1e9, 0.001)
        var worst: Double?
        for track in tracks where packetsBefore.indices.contains(track.number) {
            guard let behind = reports.packetsBehind(track: track.number) else { continue }
            let packets = packets(track.number, counters)
            let milliseconds = packets == 0 ? 0 : Double(behind) / Double(packets) * seconds * 1_000
            worst = max(worst ?? 0, milliseconds)
        }
        return worst
    }

    /// What its connection has carried of its media.
    func bytesHanded(_ connection: ConnectionState) -> UInt64 {
        connection.bytesHanded > handedBefore ? connection.bytesHanded - handedBefore : 0
    }
}

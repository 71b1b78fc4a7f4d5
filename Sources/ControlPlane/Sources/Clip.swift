import PlaneLink
import WireFormats

/// A recording that can be played as a live source: an rtpdump file and its SDP, in memory.
///
/// Packets belong to tracks by their payload types. RTCP of the recording is not used: a live source reports on itself.
struct Clip: Sendable {
    /// One packet of the recording.
    struct Packet: Sendable, Equatable {
        let offset: Int
        let length: Int
        let track: Int
        let milliseconds: UInt32
    }

    /// What is known of one track.
    struct Track: Sendable, Equatable {
        let clockRate: UInt32
        let ssrc: UInt32
        var firstSequence: UInt16 = 0
        var firstTimestamp: UInt32 = 0
        /// When its first packet is due, in milliseconds.
        var firstMilliseconds: UInt32 = 0
        /// How far the sequence numbers go in one loop, modulo 2¹⁶.
        var sequenceSpan: UInt16 = 0
        var packets = 0
    }

    /// Larger recordings are refused: they are kept in memory.
    static let bytesMax = 512 << 20

    /// A file that cannot be played, in words.
    struct Trouble: Error, CustomStringConvertible {
        let description: String
    }

    let description: SessionDescription
    let bytes: [UInt8]
    let packets: [Packet]
    let tracks: [Track]
    /// One loop's length in ticks of ``loopClock``: from the first frame to the end of the last one.
    let loopTicks: UInt64
    let loopClock: UInt32

    /// Reads `name` and the `.sdp` beside it.
    static func read(_ name: String) throws(Trouble) -> Clip {
        let sdpName = String(name.dropLast(".rtpdump".count)) + ".sdp"
        let dump: [UInt8], sdp: [UInt8]
        do throws(FileBytes.Trouble) {
            dump = try FileBytes.read(name, bytesMax: bytesMax)
            sdp = try FileBytes.read(sdpName, bytesMax: SessionDescription.bytesMax)
        } catch { throw Trouble(description: error.description) }
        return try Clip(dump: dump, sdp: sdp, name: name)
    }

    /// A recording from its two files' bytes; `name` is for messages.
    init(dump: [UInt8], sdp: [UInt8], name: String) throws(Trouble) {
        do throws(SDPError) { description = try SessionDescription(sdp) } catch { throw Trouble(description: "\(name): its SDP: \(error)") }
        let media = description.receivableMedia.map { [description] in description.media[$0] }
        var trackOfType: [UInt8: Int] = [:]
        for (number, media) in media.enumerated() {
            for type in media.payloadTypes where trackOfType[type] == nil { trackOfType[type] = number }
        }
        bytes = dump
        var packets: [Packet] = []
        var tracks: [Track?] = Array(repeating: nil, count: media.count)
        // Where each frame of the track that sets the pace begins, relative to its first.
        let pacer = media.firstIndex { $0.kind == "video" } ?? 0
        var frames: Set<UInt32> = []
        do throws(RTPDumpError) {
            var reader = try RTPDumpReader(dump.span)
            while let record = try reader.next(in: dump.span) {
                let span = dump.span.extracting(record.packetOffset..<(record.packetOffset + record.packetLength))
                guard !record.isRTCP, let header = try? RTPHeader(span), let number = trackOfType[header.payloadType] else { continue }
                var track =
                    tracks[number]
                    ?? Track(
                        clockRate: max(media[number].clockRate, 1), ssrc: UInt32.random(in: 1...UInt32.max), firstSequence: header.sequence,
                        firstTimestamp: header.timestamp, firstMilliseconds: record.milliseconds)
                // The highest number so far, going round as often as it must; a late packet does not take it back.
                let step = header.sequence &- (track.firstSequence &+ track.sequenceSpan)
                if step < 0x8000 { track.sequenceSpan &+= step }
                track.packets += 1
                tracks[number] = track
                if number == pacer { frames.insert(header.timestamp &- track.firstTimestamp) }
                packets.append(
                    Packet(offset: record.packetOffset, length: record.packetLength, track: number, milliseconds: record.milliseconds))
            }
        } catch { throw Trouble(description: "\(name): \(error)") }
        guard let last = packets.last else { throw Trouble(description: "\(name): it holds no packet of the tracks that its SDP names") }
        self.tracks = tracks.enumerated().map { number, track in track ?? Track(clockRate: max(media[number].clockRate, 1), ssrc: 1) }
        self.packets = packets
        loopClock = self.tracks[pacer].clockRate
        // Frames before the first in time (reordered video) wrap around: they are taken as numbers with a sign.
        let times = frames.map { Int32(bitPattern: $0) }.sorted()
        if let first = times.first, let end = times.last, let frame = Self.commonest(zip(times.dropFirst(), times).map { $0 &- $1 }) {
            loopTicks = UInt64(Int64(end) - Int64(first) + Int64(frame))
        } else {
            loopTicks = (UInt64(last.milliseconds) + 1_000) * UInt64(loopClock) / 1_000
        }
    }

    private static func commonest(_ steps: [Int32]) -> Int32? {
        Dictionary(grouping: steps) { $0 }.max { ($0.value.count, $1.key) < ($1.value.count, $0.key) }?.key
    }

    /// Ticks of a track's clock in so many loops, exactly.
    func ticks(loops: UInt64, track: Int) -> UInt32 {
        UInt32(truncatingIfNeeded: UInt128(loops) * UInt128(loopTicks) * UInt128(tracks[track].clockRate) / UInt128(loopClock))
    }

    /// Nanoseconds in so many loops, exactly.
    func nanoseconds(loops: UInt64) -> UInt64 {
        UInt64(truncatingIfNeeded: UInt128(loops) * UInt128(loopTicks) * 1_000_000_000 / UInt128(loopClock))
    }
}

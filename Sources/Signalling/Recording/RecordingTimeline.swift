import WireFormats

/// Puts the packets that an origin sends of stored media where they belong in the media's time. Pure.
package struct RecordingTimeline: Sendable {
    /// One track.
    package struct Track: Sendable {
        /// Ticks per second of its timestamps.
        package let clockRate: UInt32
        /// How its key frames are told.
        package let codec: KeyFrameCodec
        /// The timestamp that stands for the media's beginning (npt 0), whether the origin sent from there or not.
        package fileprivate(set) var base: UInt32
        fileprivate var ticks: Int64
        fileprivate var timestamp: UInt32
        fileprivate var next: UInt16?
        fileprivate var ssrc: UInt32?
        fileprivate var keyTimestamp: UInt32?
        /// The origin has no more of it.
        package fileprivate(set) var saidGoodbye = false
    }

    /// What of a track is known when the origin begins to send.
    package struct Beginning: Sendable {
        package var clockRate: UInt32
        package var codec: KeyFrameCodec
        /// `rtptime` of `RTP-Info`. Its `seq` is not looked at: GStreamer's server is off by one now and then.
        package var rtpTime: UInt32

        /// A beginning.
        package init(clockRate: UInt32, codec: KeyFrameCodec, rtpTime: UInt32) {
            self.clockRate = clockRate
            self.codec = codec
            self.rtpTime = rtpTime
        }
    }

    /// By number.
    package private(set) var tracks: [Track]
    /// Packets that came, and places where some are missing or the numbering begins anew.
    package private(set) var packets: UInt64 = 0
    package private(set) var gaps = 0
    /// The end of what came, as far as it is known: the latest time.
    package private(set) var endMicroseconds: Int64 = 0
    /// Tracks whose ``Track/base`` is by their first packet.
    package private(set) var corrections = 0
    private let isLenient: Bool
    private let start: Int64

    /// A first packet that is further than this from where its track is said to begin shows that it is said wrongly.
    static let strayMicroseconds: Int64 = 1_500_000

    /// Packets from that time on, which the tracks' `rtpTime` stand for. `isLenient`: where the first packet of a track shows that it does not
    /// (GStreamer's server names the timestamp of the media's beginning for pictures that it plays from elsewhere), the packet stands for it.
    package init(_ beginnings: [Beginning], from microseconds: Int64, isLenient: Bool = false) {
        self.isLenient = isLenient
        start = microseconds
        tracks = beginnings.map { beginning in
            let ticks = MediaTime.ticks(microseconds: microseconds, clockRate: beginning.clockRate)
            return Track(
                clockRate: beginning.clockRate, codec: beginning.codec,
                base: beginning.rtpTime &- UInt32(truncatingIfNeeded: ticks), ticks: ticks, timestamp: beginning.rtpTime)
        }
    }

    /// Where a packet belongs; nil for what is no RTP, of no track, or of no time that there can be.
    package mutating func take(_ packet: Span<UInt8>, track number: Int) -> RecordedPacket? {
        guard tracks.indices.contains(number), let header = try? RTPHeader(packet) else { return nil }
        var track = tracks[number]
        var step = Int64(Int32(bitPattern: header.timestamp &- track.timestamp))
        let isStray = track.next == nil && abs(step) > MediaTime.ticks(microseconds: Self.strayMicroseconds, clockRate: track.clockRate)
        if isLenient, isStray {
            track.base = header.timestamp &- UInt32(truncatingIfNeeded: MediaTime.ticks(microseconds: start, clockRate: track.clockRate))
            step = 0
        }
        let ticks = track.ticks + step
        let time = MediaTime.microseconds(ticks: ticks, clockRate: track.clockRate)
        let marks = frameMarks(codec: track.codec, payload: packet.extracting(header.payloadOffset..<header.payloadEnd))
        let isKey = marks.contains(.startsKeyFrame) && track.keyTimestamp != header.timestamp
        guard
            let record = RecordedPacket(
                track: UInt8(truncatingIfNeeded: number), startsKeyFrame: isKey, microseconds: time, byteCount: packet.count)
        else { return nil }
        if let next = track.next, next != header.sequence { gaps += 1 }
        if let ssrc = track.ssrc, ssrc != header.ssrc { gaps += 1 }
        if isLenient, isStray { corrections += 1 }
        track.next = header.sequence &+ 1
        track.ssrc = header.ssrc
        track.ticks = ticks
        track.timestamp = header.timestamp
        if isKey { track.keyTimestamp = header.timestamp }
        tracks[number] = track
        packets &+= 1
        endMicroseconds = max(endMicroseconds, time)
        return record
    }

    /// Takes a track's RTCP. True when all tracks have said goodbye: the origin has nothing more.
    package mutating func take(report: Span<UInt8>, track number: Int) -> Bool {
        guard tracks.indices.contains(number) else { return false }
        var compound = RTCPCompound()
        while let packet = try? compound.next(in: report) {
            if packet.packetType == RTCPPacketType.bye { tracks[number].saidGoodbye = true }
        }
        return tracks.allSatisfy(\.saidGoodbye)
    }
}

/// Media's time in microseconds, and in ticks of a track's clock.
package enum MediaTime {
    /// Rounded down, so that equal times have equal ticks. Within ``RecordedPacket/microsecondsMax`` nothing overflows.
    package static func ticks(microseconds: Int64, clockRate: UInt32) -> Int64 {
        let time = min(max(microseconds, -4 * RecordedPacket.microsecondsMax), 4 * RecordedPacket.microsecondsMax)
        var seconds = time / 1_000_000, rest = time % 1_000_000
        if rest < 0 {
            seconds -= 1
            rest += 1_000_000
        }
        return seconds * Int64(clockRate) + rest * Int64(clockRate) / 1_000_000
    }

    /// Rounded to the nearest; what is beyond all time is the largest number.
    package static func microseconds(ticks: Int64, clockRate: UInt32) -> Int64 {
        let rate = Int64(max(clockRate, 1))
        var seconds = ticks / rate, rest = ticks % rate
        if rest < 0 {
            seconds -= 1
            rest += rate
        }
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000)
        guard !overflow, abs(max(product, -Int64.max)) < Int64.max / 2 else { return ticks < 0 ? -Int64.max : Int64.max }
        return product + (rest * 1_000_000 + rate / 2) / rate
    }
}

/// How the readers of one stream are treated. The defaults suit live video to ordinary players.
public struct StreamPolicy: Sendable, BitwiseCopyable, Equatable {
    /// How fast packets leave once they are due.
    public var pacing = PacingPolicy.adaptive
    /// Where newcomers begin.
    public var joinBurst: JoinBurst? = JoinBurst()
    /// TCP readers are sent what came together in so long, rather than each packet or frame: fewer and larger sends. 0, or less than
    /// ``Limits/delayMicrosecondsMax`` where that collects: as that says.
    public var collectNanoseconds: UInt64 = 0
    /// What becomes of a reader that is too far behind.
    public var overload = OverloadPolicy.skipToKeyFrame
    /// How far behind a reader may be, by the packets' arrival; 0: as far as the window reaches.
    public var lagNanosecondsMax: UInt64 = 0
    /// The same in bytes of the stream; 0: as far as the window reaches.
    public var lagBytesMax: UInt64 = 0
    /// Whose wall clock sender reports tell.
    public var clock = ClockPolicy.relay
    /// The largest RTP packet that UDP readers should be sent; 0: any. What a source sends beyond it over TCP, or in IP fragments, is
    /// counted, and cut where ``fragments`` says so.
    public var packetBytesMax: UInt32 = 0
    /// Whether larger packets of H.264 and H.265 are cut into smaller ones (RFC 6184, RFC 7798), for all readers. Other packets, and with
    /// false all of them, go as they are.
    public var fragments = true

    /// The defaults.
    public init() {}
}

/// Whose wall clock the sender reports tell that readers get. Either way all tracks are told the same one.
public enum ClockPolicy: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    /// The relay's, as it was when the stream began; it goes on evenly over reconnects of the source, whatever its clock does.
    case relay
    /// The source's, as it tells it; the relay's where that is no date, and as it was where it steps or stands still.
    case origin
}

/// How a frame is spread over time, so that it overruns neither a reader's socket buffer nor a switch on the way.
public enum PacingPolicy: Sendable, BitwiseCopyable, Equatable {
    /// As fast as the kernel takes it.
    case off
    /// At most so many bits per second to each reader.
    case fixed(bitsPerSecond: UInt64)
    /// A frame that is larger than ``PacingPolicy/burstBytes`` is spread over at most seven eighths of the stream's own frame
    /// interval, but no slower than 64 Mbit/s.
    case adaptive

    /// What is sent to a reader at once at most while pacing is on: a quarter of what a socket with Linux's default receive
    /// buffer (212,992 bytes, of which a full packet takes 2,304) holds.
    public static let burstBytes = 32 << 10
}

/// A newcomer begins at the last key frame that the window still holds, is sent what followed faster than it was made, and
/// meets the live stream without a gap in its sequence numbers.
public struct JoinBurst: Sendable, BitwiseCopyable, Equatable {
    /// No key frame older than this is gone back to.
    public var nanosecondsMax: UInt64
    /// No more than this is sent over again to one reader.
    public var bytesMax: UInt64
    /// How much faster than it was made the past is sent to UDP readers, in tenths: 40 is four times. At least 11.
    public var speedTenths: UInt32

    /// Bounds and speed.
    public init(nanosecondsMax: UInt64 = 10_000_000_000, bytesMax: UInt64 = 32 << 20, speedTenths: UInt32 = 40) {
        self.nanosecondsMax = nanosecondsMax
        self.bytesMax = bytesMax
        self.speedTenths = max(speedTenths, 11)
    }
}

/// What becomes of a reader that is too far behind.
public enum OverloadPolicy: Sendable, BitwiseCopyable, Equatable {
    /// It goes on at the newest key frame it has not passed yet, else at the next one.
    case skipToKeyFrame
    /// It goes on at the oldest packet that is within bounds.
    case dropOldest
    /// It may stay behind, missing packets as with ``dropOldest``, for so long; then it is given up.
    case disconnect(afterNanoseconds: UInt64)
}

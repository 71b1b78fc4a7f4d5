/// Every capacity of the process, and the sums between them. One value, made at start, shared by both planes.
public struct Limits: Sendable, Equatable {
    /// Streams at a time.
    public var streamsMax = 1_024
    /// Sources at a time: each track of a stream may have an RTP and an RTCP socket.
    public var sourcesMax = 8_192
    /// Readers at a time.
    public var subscribersMax = 20_000
    /// Workers at a time.
    public static let workersMax = 64
    /// Pairs of sockets that UDP readers are sent from: one for unicast, one for each multicast destination.
    public static let egressMax = 128
    /// What the engine keeps of one UDP reader, at most: its slot, two places for replies and its entries in the tables by which
    /// commands find it. A session of the control plane comes on top.
    public static let readerBytesMax = 1_024
    /// New sessions per second from one address, in the long run.
    public var joinsPerSecondPerAddress = 1_000
    /// New sessions at once from one address that was quiet: a gateway that comes back brings all its readers together.
    public var joinsBurstPerAddress = 5_000
    /// What relays behind this one tell of their players (SendEvent), per second from one address, in the long run.
    public var eventsPerSecondPerAddress = 100
    /// The same at once from one address that was quiet. More is refused with 503, after which such a relay waits and tells it again.
    public var eventsBurstPerAddress = 1_000
    /// RTSP connections at a time.
    public var connectionsMax = 20_000
    /// Paths at a time that are not in the configuration: made by expressions, or registered.
    public var runTimePathsMax = 1_024
    /// Relays that may pull from each other in a row.
    public var relayHopsMax = 8
    /// Relays that may send a reader on in a row, when each has its fill.
    public var redirectHopsMax = 3
    /// Bytes that all packet logs together may take.
    public var packetLogBytesMax = 2 << 30
    /// The time that a stream's packet log should hold, in milliseconds.
    public var windowMilliseconds = 2_000
    /// Bit rate taken for a stream whose description names none.
    public var bitRateDefault = 8_000_000
    /// An interleaved reader that takes nothing for so long is given up.
    public var writeStallNanoseconds: UInt64 = 10_000_000_000
    /// Replies queued on one interleaved reader at a time.
    public var queuedSendsMax = 16
    /// The longest that a packet waits for more to go with it, in microseconds; 0 sends at once. The end of a frame is not
    /// waited beyond, but for TCP readers from ``collectMicrosecondsMin`` on: they are sent what came together in that time.
    public var delayMicrosecondsMax = 2_000
    /// A ``delayMicrosecondsMax`` of this or more collects several frames for TCP readers.
    public static let collectMicrosecondsMin = 10_000
    /// A sender that was latched where any was welcome is let go after so long without a packet.
    public var senderSilenceNanoseconds: UInt64 = 2_000_000_000
    /// Bytes of the buffer that an interleaved source is received into: one frame of the largest size and room to read on.
    public var interleavedBufferBytes = 192 << 10
    /// Receive buffers for datagrams, shared by all sources of a worker.
    public var datagramBuffers = 128
    /// Size of one: the largest UDP payload and the kernel's header before it.
    public var datagramBufferBytes = (64 << 10) + 256

    /// Blocks that each worker reads stored packets into (``Command/addStoredStream(_:_:_:)``), shared by its readers.
    public var storedBlocks = 64
    /// Room of one, in bytes: what is read, and sent, at once.
    public var storedBlockBytes = 64 << 10
    /// It is no larger, whatever is asked for.
    public static let storedBlockBytesMax = 1 << 20
    /// A stored reader that takes nothing for so long is given up: players pause by not reading.
    public var storedStallNanoseconds: UInt64 = 600_000_000_000
    /// A read of a file that takes longer is given up, and so is a reader that waits for one so long. Disks that are woken, and servers of
    /// files that are started anew, answer within it.
    public var storedWaitNanoseconds: UInt64 = 30_000_000_000

    /// The defaults.
    public init() {}

    /// Files that are sent from the engine at a time; nil: a quarter of ``streamsMax``.
    public var storedFiles: Int?

    /// Files that are sent from the engine at a time, each of them a stream: a part of ``streamsMax``, so that live ones find room.
    public var storedFilesMax: Int { max(min(storedFiles ?? streamsMax / 4, streamsMax), 1) }

    /// Commands that may wait: one burst of joins of all readers of a second, four commands each.
    public var commandsMax: Int { max(4 * joinsPerSecondPerAddress * 4, 16_384) }

    /// Reports that may wait. Each of these can be outstanding at the same time:
    public var reportsMax: Int {
        subscribersMax * 3  // joined, failed, removed of every reader
            + sourcesMax * 4  // active, text, ended, removed of every source
            + subscribersMax * 2 + queuedSendsMax  // replies handed back
            + streamsMax * 2  // removed, refused
            + Self.egressMax
    }
}

/// How much memory one stream takes, and how that came about.
public struct StreamSizing: Sendable, Equatable {
    /// Bytes of the arena that holds packets.
    public let arenaBytes: Int
    /// Records, a power of two: as many packets as the arena holds at ``packetBytesMean`` each.
    public let recordCount: Int
    /// The bit rate it was made for, bits per second.
    public let bitRate: Int
    /// The window it was made for.
    public let windowMilliseconds: Int
    /// Bytes beside the log for the last key frame, twice; 0: none is kept.
    public let keyFrameBytes: Int

    /// Bytes beside the log for the picture that is coming in, where readers get whole pictures; 0: packets go on as they come.
    public let pictureBytes: Int

    /// Packets of this mean size fill records and arena at the same time.
    public static let packetBytesMean = 512
    /// A picture larger than this, or than half of the arena, is not held until it is whole.
    public static let pictureBytesMax = 4 << 20
    /// No arena is smaller: a few frames of the largest size must fit.
    public static let arenaBytesMin = 1 << 20
    /// No arena is larger.
    public static let arenaBytesMax = 256 << 20
    /// A key frame larger than this, or than half of the arena, is not kept.
    public static let keyFrameBytesMax = 4 << 20
    /// Parameter sets of one track that go before its key frames, with their lengths (``Command/setPreface(_:track:_:)``).
    public static let prefaceBytesMax = 2 << 10

    /// The memory for `bitRate` bits per second over a window, in whole pages; with `keepsKeyFrame` also for what is sent again while
    /// the source is away, with `holdsPictures` for the pictures of the first video track, which readers get when they are whole.
    public init(bitRate: Int, windowMilliseconds: Int, keepsKeyFrame: Bool = false, holdsPictures: Bool = false) {
        let rate = min(max(bitRate, 0), 10_000_000_000)
        let window = min(max(windowMilliseconds, 0), 60_000)
        let wanted = rate / 8 * window / 1_000
        let clamped = min(max(wanted, Self.arenaBytesMin), Self.arenaBytesMax)
        arenaBytes = (clamped + 4_095) / 4_096 * 4_096
        var records = 1_024
        while records < arenaBytes / Self.packetBytesMean { records *= 2 }
        recordCount = records
        keyFrameBytes = keepsKeyFrame ? 2 * min(arenaBytes / 2, Self.keyFrameBytesMax) : 0
        pictureBytes = holdsPictures ? min(arenaBytes / 2, Self.pictureBytesMax) : 0
        self.bitRate = rate
        self.windowMilliseconds = window
    }

    /// What a stream takes whose packets lie in a file: next to nothing.
    public static let stored = StreamSizing(empty: ())

    private init(empty: Void) {
        arenaBytes = 4_096
        recordCount = 16
        bitRate = 0
        windowMilliseconds = 0
        keyFrameBytes = 0
        pictureBytes = 0
    }

    /// Bytes in all.
    public var bytes: Int { arenaBytes + recordCount * StreamMemory.recordBytes + keyFrameBytes + pictureBytes }
}

/// The account of packet-log memory: what is given out, what is left.
public struct PacketLogBudget: Sendable {
    private let bytesMax: Int
    /// Bytes given out.
    public private(set) var bytesInUse = 0

    /// An account of at most `limits.packetLogBytesMax`.
    public init(limits: Limits) { bytesMax = limits.packetLogBytesMax }

    /// Takes a stream's memory out of the account, or says with the sum why not.
    public mutating func take(_ sizing: StreamSizing) throws(PacketLogRefusal) {
        guard sizing.bytes <= bytesMax - bytesInUse else {
            throw PacketLogRefusal(sizing: sizing, bytesInUse: bytesInUse, bytesMax: bytesMax)
        }
        bytesInUse += sizing.bytes
    }

    /// Puts a stream's memory back.
    public mutating func giveBack(_ sizing: StreamSizing) {
        bytesInUse -= sizing.bytes
        precondition(bytesInUse >= 0, "a packet log was given back twice")
    }
}

/// Why a stream got no memory, with the sum.
public struct PacketLogRefusal: Error, CustomStringConvertible, Equatable {
    /// What was asked for.
    public let sizing: StreamSizing
    /// What other streams hold.
    public let bytesInUse: Int
    /// What there is in all.
    public let bytesMax: Int

    /// The sum, and what to change.
    public var description: String {
        "a packet log of \(sizing.bytes) bytes (\(sizing.bitRate) bit/s × \(sizing.windowMilliseconds) ms ÷ 8 = \(sizing.arenaBytes) "
            + "bytes of packets + \(sizing.recordCount) records × \(StreamMemory.recordBytes)"
            + (sizing.keyFrameBytes > 0 ? " + \(sizing.keyFrameBytes) for its slate" : "")
            + (sizing.pictureBytes > 0 ? " + \(sizing.pictureBytes) for whole pictures" : "") + ") does not fit: \(bytesInUse) of "
            + "\(bytesMax) bytes are in use; raise limits: packet-log-bytes, or lower the path's window or bit-rate"
    }
}

/// What the control plane asks of the engine. Plain values only: no reference is counted on the way.
///
/// Commands of one stream, subscriber or source take effect in the order they were submitted. A command whose handle is stale
/// is ignored and counted. Descriptors stay the property of the control plane; the engine reports when it no longer uses one.
public enum Command: Sendable, BitwiseCopyable {
    /// Opens a stream in the given memory. Ends with ``Report/streamRemoved(_:)`` after ``removeStream(_:)``.
    case addStream(StreamHandle, StreamMemory, trackCount: UInt8)
    /// Opens a *verbatim* stream in the given memory: what is fed to it (``feed(_:_:)``) are whole messages of a protocol that the engine
    /// does not know, and its readers are sent these bytes and no others. Either they have all of their framing
    /// (``addVerbatimSubscriber(_:_:descriptor:chunked:)``), or they are *finished RTP*: packets whose SSRC, sequence number and timestamp are
    /// the feeder's and final, which interleaved and UDP readers are sent, too (``addInterleavedSubscriber(_:_:descriptor:channels:)``,
    /// ``addDatagramSubscriber(_:_:host:ports:sockets:)``).
    ///
    /// Its channel 0 carries packets, channel 1 packets at which a reader may start; readers get both on channel 0. Packets are counted from
    /// 0 in the order in which they are fed, whatever becomes of them; the lower 32 bits of that number name a packet, and in
    /// ``Report/joined(_:_:)`` (``JoinPoint/packet``) the first that a reader will be sent. It has no tracks, no time line and no RTCP: what
    /// would need them is refused (``EngineRefusal/wrongKind``).
    case addVerbatimStream(StreamHandle, StreamMemory)
    /// Opens a stream whose packets lie in a file: each reader is sent them from its own place (``addStoredSubscriber(_:_:descriptor:first:_:_:)``),
    /// as far as ``releaseStored(_:upTo:)`` says. A packet's number is its place in the file. It has no log, no tracks and no sources; of the
    /// memory its counters are used, and ``StreamSizing/stored`` is enough.
    case addStoredStream(StreamHandle, StreamMemory, StoredPlan)
    /// Says what a track is: before the first source is attached, or while the stream runs. Then the track begins anew as another one,
    /// which should have another SSRC: its time line and its counters start over, and nothing that was logged under the plan before
    /// is sent to anybody any more. Readers of the old track are to be removed first. A number beyond the stream's tracks, below
    /// ``tracksPerStreamMax``, adds a track. To leave a track silent, plan it with an opaque codec: readers wait for no key frame of it.
    case setTrack(StreamHandle, track: UInt8, TrackPlan)
    /// How the stream's readers are treated. Before the first reader is added; without it the defaults of ``StreamPolicy`` hold.
    case setPolicy(StreamHandle, StreamPolicy)
    /// Removes the stream and every source and subscriber of it; each is reported.
    case removeStream(StreamHandle)
    /// The next packet of each track begins a new time line of the source (it was dialled again): the engine goes on with the
    /// readers' sequence and time, and video resumes at a key frame.
    case beginEpoch(StreamHandle)
    /// The source is away: what fills the gap may follow on the tracks of which nothing came for so long (``repeatKeyFrame(_:)``,
    /// ``addSlateSource(_:_:channels:)``), until the source is back; its video resumes at a key frame.
    case beginSlate(StreamHandle, silentNanoseconds: UInt64)
    /// Sends the last whole key frame again, as the next of the same time line, if the source is away and the stream keeps key frames
    /// (``StreamSizing/keyFrameBytes``).
    case repeatKeyFrame(StreamHandle)
    /// RTP payloads, each behind its length (16 bits, the lower ones first; ``StreamSizing/prefaceBytesMax`` together), that go before the
    /// first packet of a track's time line and before each of its key frames, from here on, where the source's own packet brings no
    /// parameter sets: the track's parameter sets, where readers were given others. None: nothing goes before them any more. A new plan
    /// of the track ends it, too. The buffer is reported back at once.
    case setPreface(StreamHandle, track: UInt8, LinkBuffer)

    /// Puts the packets of the stream's tracks in order before readers have them, and takes each number once. Before the first source.
    case setReorder(StreamHandle, ReorderPlan)
    /// Sources that are added to the stream from here on are its leg of this number, below ``legsPerStreamMax``; 0 at first.
    case useLeg(StreamHandle, UInt8)

    /// Receives datagrams of one channel from a bound UDP socket. Only packets from `peer` are taken; with `port` 0 any port
    /// of that host, and the first one seen is latched. With ``HostAddress/any`` the first sender is latched, and let go again
    /// after ``Limits/senderSilenceNanoseconds`` without a packet of it (a multicast group, where senders may take turns).
    case addDatagramSource(SourceHandle, StreamHandle, descriptor: Int32, channel: UInt8, peer: HostAddress, port: UInt16)
    /// Receives interleaved frames (RFC 2326 section 10.12) from a connected TCP socket; `prefix` holds what was read before
    /// the hand-over. `channels[c]` says which channel of the stream wire channel `c` is (`0xFF`: none).
    case addInterleavedSource(SourceHandle, StreamHandle, descriptor: Int32, channels: ChannelMap, prefix: LinkBuffer)
    /// A source without a socket: packets come with ``feed(_:_:)``.
    case addFedSource(SourceHandle, StreamHandle, channels: ChannelMap)
    /// A source without a socket whose packets fill a gap: they are used while the stream's own source is away, and dropped else.
    case addSlateSource(SourceHandle, StreamHandle, channels: ChannelMap)
    /// Interleaved frames for a fed source. The buffer is reported back at once.
    case feed(SourceHandle, LinkBuffer)
    /// The answer to ``Report/sourceText(_:base:count:)``: `consumed` of these bytes were text; what follows is taken as the
    /// engine finds it (a frame, or text again). With 0 the engine waits for more bytes.
    case resumeSource(SourceHandle, consumed: UInt32)
    /// Stops receiving. Ends with ``Report/sourceRemoved(_:)``.
    case removeSource(SourceHandle)

    /// Adds a UDP reader, silent until ``go(_:)``. `ports[c]` is the reader's port for channel `c`, 0 for channels it did not
    /// set up. `sockets` is the engine's number of the server's socket pair (``addDatagramEgress(_:rtp:rtcp:)``). Of a verbatim stream
    /// `ports[0]` counts; packets that came together and are of one size leave as one train.
    case addDatagramSubscriber(SubscriberHandle, StreamHandle, host: HostAddress, ports: PortMap, sockets: UInt8)
    /// Adds an interleaved TCP reader, silent until ``go(_:)``. `channels[c]` is the wire channel for the stream's channel `c`
    /// (none: not set up). From here on the engine alone writes to the descriptor. Of a verbatim stream `channels[0]` counts.
    case addInterleavedSubscriber(SubscriberHandle, StreamHandle, descriptor: Int32, channels: ChannelMap)
    /// Adds a TCP reader of a verbatim stream, silent until ``go(_:)``. With `chunked` each packet goes as a chunk of HTTP's transfer
    /// coding (RFC 9112 section 7.1). From here on the engine alone writes to the descriptor.
    case addVerbatimSubscriber(SubscriberHandle, StreamHandle, descriptor: Int32, chunked: Bool)
    /// Adds a TCP reader of a stored stream, silent until packets are released to it, which begins with that packet. From here on the engine
    /// alone writes to the descriptor. Of other commands it takes `send…`, ``pause(_:)`` and ``removeSubscriber(_:)``; places among packets
    /// are named by the packets' numbers.
    case addStoredSubscriber(SubscriberHandle, StreamHandle, descriptor: Int32, first: UInt32, StoredFraming, StoredProgress)
    /// Sends a stored reader its packets before this number, those that it has not been sent yet. Not back: a smaller number than before
    /// changes nothing. After ``pause(_:)`` those behind its place wait for the next release.
    case releaseStored(SubscriberHandle, upTo: UInt32)
    /// Finds the reader's first packet: the newest key frame where the stream's policy allows a burst from there, else the next
    /// key frame, or with `now` the next packet of any kind. Answered by ``Report/joined(_:_:)``; nothing is sent before ``go(_:)``.
    case arm(SubscriberHandle, now: Bool)
    /// Before ``arm(_:now:)``: where a reader that may be sent the past begins, and how fast it is sent that. It begins at the newest
    /// key frame that is at least so old, or else at the oldest that the stream's policy and window allow (``JoinBurst``); with 0 at the
    /// newest of all. With `bitsPerSecondMax` it gets no more than that until it meets the live stream, but a tenth more than the stream
    /// makes; with 0 what its connection takes, or over UDP what ``JoinBurst/speedTenths`` says.
    case setBurst(SubscriberHandle, nanoseconds: UInt64, bitsPerSecondMax: UInt64)
    /// Sends the reader everything from its first packet on.
    case go(SubscriberHandle)
    /// Has this reader treated otherwise than the stream's policy says when it falls behind.
    case setOverload(SubscriberHandle, OverloadPolicy)
    /// Sends no more media until the reader is armed again.
    case pause(SubscriberHandle)
    /// Sends these bytes to a TCP reader, in order, between two packets. The buffer is reported back. Packets that were fed a moment ago
    /// may leave before them or after them.
    case send(SubscriberHandle, LinkBuffer)
    /// Sends these bytes to a reader of a verbatim stream at an exact place: behind all packets with smaller numbers that it is sent, before
    /// the packet of this number and those that follow, wherever the reader stands. What is queued behind them waits with them. A reader
    /// that is sent no media (new, paused, removed) has nothing to wait for. The buffer is reported back.
    ///
    /// To a UDP reader nothing can be said between packets: bytes for one come back at once, unsent. Without bytes this and
    /// ``sendLast(_:_:packet:)`` hold: the buffer comes back when the kernel has taken all packets before the place, or they were given up.
    case sendBefore(SubscriberHandle, LinkBuffer, packet: UInt32)
    /// The same, and no media behind them: once all packets with smaller numbers and these bytes, which may be none, have left, the reader
    /// is paused. What is sent to it afterwards leaves behind them.
    case sendLast(SubscriberHandle, LinkBuffer, packet: UInt32)
    /// Has a new or paused reader of a verbatim stream begin with the packet of this number, whether it was fed already or not; if that has
    /// left the window, with the oldest that has not. Answered by ``Report/joined(_:_:)``; nothing is sent before ``go(_:)``. With ``sendLast(_:_:packet:)`` a connection goes from one stream to
    /// another without a gap: a second reader of the same socket begins there, and goes when the first has nothing left.
    case armAt(SubscriberHandle, packet: UInt32)
    /// Sends a UDP reader of a verbatim stream packets once more that it was sent already, as they were: the one of this number, and for each
    /// bit of `following` (0 the lowest) the one so many and one behind it, which makes the two words of a generic NACK (RFC 4585 section
    /// 6.2.1) one command, and 65 packets the most. They go at once, from the RTP socket of the reader's pair to `port` of its host, whether
    /// it plays or is paused. Each is counted: ``EngineCounter/packetsResent``, ``EngineCounter/resendsTooLate``,
    /// ``EngineCounter/resendsRefused``.
    case resend(SubscriberHandle, packet: UInt32, following: UInt64, port: UInt16)
    /// Changes the channels of a subscriber (SETUP of another track, TEARDOWN of one). Only while it is paused or new.
    case setInterleavedChannels(SubscriberHandle, ChannelMap)
    /// Removes the reader after what was queued with ``send(_:_:)`` left, or at once if it cannot leave without waiting. Ends
    /// with ``Report/subscriberRemoved(_:)``.
    case removeSubscriber(SubscriberHandle)

    /// Names a pair of bound UDP sockets that UDP readers with this number (below ``Limits/egressMax``) are sent from. Each
    /// worker that is to send needs a pair of its own under the same number: a reader of a number is given to one of the workers
    /// that have it.
    case addDatagramEgress(UInt8, worker: UInt8, rtp: Int32, rtcp: Int32)
    /// Forgets the pairs of a number, of which no reader is left. Ends with ``Report/egressRemoved(_:)``.
    case removeDatagramEgress(UInt8)
    /// Removes everything and ends the worker after its run-down check. Ends with ``Report/stopped(_:)``.
    case shutdown
}

/// For each channel of a stream the wire channel of a connection, 0–255, or none.
public struct ChannelMap: Sendable, BitwiseCopyable, Equatable {
    @usableFromInline var low: UInt64 = 0
    @usableFromInline var high: UInt64 = 0
    /// A bit for each channel that has an entry.
    @usableFromInline var present: UInt16 = 0

    /// No channel is mapped.
    public init() {}

    /// Channel `c` ↔ channel `c` for `count` channels, at most 16.
    public init(identity count: Int) {
        for channel in 0..<min(count, channelsPerStreamMax) { self[channel] = UInt8(channel) }
    }

    /// The entry of a channel, `0..<16`. Outside that range nothing is read or written.
    @inlinable public subscript(channel: Int) -> UInt8? {
        get {
            if channel < 0 || channel >= channelsPerStreamMax || present >> UInt16(channel) & 1 == 0 { return nil }
            return UInt8(truncatingIfNeeded: (channel < 8 ? low : high) >> UInt64((channel & 7) * 8))
        }
        set {
            if channel < 0 || channel >= channelsPerStreamMax { return }
            let shift = UInt64((channel & 7) * 8)
            let value = UInt64(newValue ?? 0) << shift
            if channel < 8 { low = low & ~(0xFF << shift) | value } else { high = high & ~(0xFF << shift) | value }
            let bit = UInt16(1) << UInt16(channel)
            present = newValue == nil ? present & ~bit : present | bit
        }
    }

    /// The channel whose entry is `wire`, if any.
    public func channel(ofWire wire: UInt8) -> Int? {
        // On the packet path: a plain loop, which allocates nothing even where nothing is optimised.
        var channel = 0
        while channel < channelsPerStreamMax {
            if self[channel] == wire { return channel }
            channel += 1
        }
        return nil
    }
}

/// One UDP port per channel, 0 for none.
public struct PortMap: Sendable, BitwiseCopyable, Equatable {
    private var ports: InlineArray<16, UInt16>

    /// No channel has a port.
    public init() { ports = InlineArray(repeating: 0) }

    /// The port of a channel, `0..<16`; outside that range 0.
    public subscript(channel: Int) -> UInt16 {
        get { (0..<channelsPerStreamMax).contains(channel) ? ports[channel] : 0 }
        set { if (0..<channelsPerStreamMax).contains(channel) { ports[channel] = newValue } }
    }

    /// Whether both maps name the same port for each channel.
    public static func == (left: Self, right: Self) -> Bool {
        (0..<channelsPerStreamMax).allSatisfy { left[$0] == right[$0] }
    }
}

/// What the engine tells the control plane. Reports that end something (removed, returned, stopped) are never lost: the queue
/// is sized so that all of them fit (``Limits/reportsMax``).
public enum Report: Sendable, BitwiseCopyable {
    /// The answer to ``Command/arm(_:now:)``: where the reader begins.
    case joined(SubscriberHandle, JoinPoint)
    /// The engine stopped sending to this reader and says why; the control plane closes it with
    /// ``Command/removeSubscriber(_:)``.
    case subscriberFailed(SubscriberHandle, SubscriberFailure)
    /// The reader missed packets for this reason, so many since the last such report; at most once a minute for each reader.
    case subscriberLagged(SubscriberHandle, LagCause, packets: UInt32)
    /// A stored reader's file cannot be read from this packet on: it ends there (0), or this error number says why. The reader is sent nothing
    /// more, but what is queued for it.
    case storedEnded(SubscriberHandle, packet: UInt32, errorNumber: Int32)
    /// The engine no longer uses the reader's descriptor and handle.
    case subscriberRemoved(SubscriberHandle)
    /// The first packet of a source arrived.
    case sourceActive(SourceHandle)
    /// An interleaved source sent text instead of a frame. The bytes stay as they are until ``Command/resumeSource(_:consumed:)``;
    /// at most ``Limits/interleavedBufferBytes`` of them.
    case sourceText(SourceHandle, LinkView)
    /// The source's connection ended: 0 at its orderly end, else the error number.
    case sourceEnded(SourceHandle, errorNumber: Int32)
    /// The engine no longer uses the source's descriptor and handle.
    case sourceRemoved(SourceHandle)
    /// A sender report of the source passed (RFC 3550 section 6.4.1), as the source wrote it.
    case senderReport(StreamHandle, track: UInt8, ssrc: UInt32, ntp: UInt64, rtpTime: UInt32)
    /// The source said goodbye to a track (RTCP BYE).
    case sourceBye(StreamHandle, track: UInt8)
    /// A track shows parameter sets other than before: they lie in the stream's ``ParameterSetMailbox``. May be lost with the engine's
    /// queue half full; then the next key frame brings it.
    case parameterSets(StreamHandle, track: UInt8)
    /// A packet of the track is larger than ``StreamPolicy/packetBytesMax`` and cannot be cut, or is not to be. Once for each track.
    case packetTooLarge(StreamHandle, track: UInt8, bytes: UInt32)
    /// The engine is done with these bytes.
    case bufferReturned(LinkBuffer)
    /// The engine no longer uses the stream's memory and handle.
    case streamRemoved(StreamHandle)
    /// The engine no longer uses the sockets of this number.
    case egressRemoved(UInt8)
    /// A command could not be carried out; the text of the reason is for the log.
    case refused(EngineRefusal, errorNumber: Int32)
    /// The worker has ended. `leaks` counts what did not come home: 0 always, or it is our bug.
    case stopped(leaks: UInt32)
}

/// Bytes of the engine that the control plane may read until it answers.
@safe public struct LinkView: @unchecked Sendable, BitwiseCopyable {
    // Sendable because the engine does not touch the bytes between the report and the answer.
    private let base: UnsafeRawPointer
    /// How many bytes there are.
    public let count: Int

    /// A view of memory that the engine keeps as it is until the answer.
    @unsafe public init(base: UnsafeRawPointer, count: Int) {
        unsafe self.base = base
        self.count = count
    }

    /// A copy of the bytes.
    public func copy() -> [UInt8] {
        unsafe Array(UnsafeRawBufferPointer(start: base, count: count))
    }
}

/// Where a reader begins: for each track of the stream, the first packet it will be sent.
public struct JoinPoint: Sendable, BitwiseCopyable {
    /// One track's beginning.
    public struct Start: Sendable, BitwiseCopyable {
        /// Sequence number of the first packet.
        public var sequence: UInt16
        /// RTP timestamp at that point.
        public var timestamp: UInt32
        /// Whether the engine knows: false for a track that has not sent a packet yet.
        public var isKnown: Bool

        /// A beginning.
        public init(sequence: UInt16 = 0, timestamp: UInt32 = 0, isKnown: Bool = false) {
            self.sequence = sequence
            self.timestamp = timestamp
            self.isKnown = isKnown
        }
    }

    // Packed: reports wait in a long queue, and this is the largest of them.
    private var timestamps: InlineArray<8, UInt32>
    private var sequences: InlineArray<8, UInt16>
    private var known: UInt8

    /// Of a verbatim stream: the number of the first packet that the reader will be sent (``Command/addVerbatimStream(_:_:)``).
    public var packet: UInt32 { timestamps[0] }

    /// Nothing is known of any track.
    public init() {
        timestamps = InlineArray(repeating: 0)
        sequences = InlineArray(repeating: 0)
        known = 0
    }

    /// The beginning of a track, `0..<8`.
    public subscript(track: Int) -> Start {
        get {
            guard track >= 0, track < tracksPerStreamMax else { return Start() }
            return Start(sequence: sequences[track], timestamp: timestamps[track], isKnown: known >> UInt8(track) & 1 == 1)
        }
        set {
            guard track >= 0, track < tracksPerStreamMax else { return }
            sequences[track] = newValue.sequence
            timestamps[track] = newValue.timestamp
            let bit = UInt8(1) << UInt8(track)
            known = newValue.isKnown ? known | bit : known & ~bit
        }
    }
}

/// Why the engine gave a reader up.
public enum SubscriberFailure: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    /// It took nothing for ``Limits/writeStallNanoseconds``.
    case stalled
    /// The connection is broken (reset, closed).
    case connectionLost
    /// More bytes were queued with `send` than ``Limits/queuedSendsMax`` allows.
    case queueFull
    /// It was behind for longer than its ``OverloadPolicy/disconnect(afterNanoseconds:)`` allows.
    case tooSlow
}

/// Why a reader missed packets.
public enum LagCause: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    /// A send buffer (the reader's connection, or the server's UDP socket) stayed full.
    case socketFull
    /// The packets had left the stream's window before they could be sent.
    case ringOverrun
    /// It was further behind than ``StreamPolicy/lagNanosecondsMax`` or ``StreamPolicy/lagBytesMax``.
    case policy
    /// The kernel refused to send to its address (unreachable, not permitted), or no datagram holds the packet.
    case kernelRefusal
}

/// What the engine could not do.
public enum EngineRefusal: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    case registerFailed, ringFailed
    /// A command for RTP named a verbatim stream (``Command/addVerbatimStream(_:_:)``), or the other way round.
    case wrongKind
}

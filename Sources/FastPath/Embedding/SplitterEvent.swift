/// What happened in a ``Splitter``. For one stream, source, reader or sender the events come in the order in which things happened, and
/// its end (`…Removed`) comes exactly once and last.
public enum SplitterEvent: Sendable {
    /// A reader's first packet is known. It is sent from there on; one that waits (`waits: true`) is sent after ``Splitter/start(_:)``.
    case readerJoined(SubscriberHandle, JoinPoint)
    /// The engine gave a reader up, and says why. It is sent nothing more; remove it with ``Splitter/removeReader(_:)``.
    case readerFailed(SubscriberHandle, SubscriberFailure)
    /// A reader missed so many packets, for this reason, since the last such event; at most once a minute for each reader, and the
    /// first such event of a reader comes at once. May be left out when events are not taken for long.
    case readerLagged(SubscriberHandle, LagCause, packets: UInt32)
    /// A reader is gone. Its descriptor is the caller's alone again. Without a removal asked for: the engine could not take it.
    case readerRemoved(SubscriberHandle)

    /// The first packet of a source came.
    case sourceActive(SourceHandle)
    /// An interleaved source sent something else than a frame. Nothing more is read until ``Splitter/resume(_:consumed:)``. A copy.
    case sourceText(SourceHandle, [UInt8])
    /// A source's connection ended: 0 at its orderly end, else an errno value. Remove it with ``Splitter/removeSource(_:)``.
    case sourceEnded(SourceHandle, errorNumber: Int32)
    /// A source is gone. Its descriptor is the caller's alone again. Without a removal asked for: the engine could not take it.
    case sourceRemoved(SourceHandle)

    /// A sender report (RFC 3550 section 6.4.1) passed, as the source wrote it. `ntp` is the 64-bit NTP time, `rtpTime` the source's
    /// timestamp, `ssrc` the source's. May be left out when events are not taken for long.
    case senderReport(StreamHandle, track: Int, ssrc: UInt32, ntp: UInt64, rtpTime: UInt32)
    /// The source said goodbye to a track (RTCP BYE). May be left out when events are not taken for long.
    case sourceBye(StreamHandle, track: Int)
    /// A stream is gone, after all its sources and readers, and its memory with it.
    case streamRemoved(StreamHandle)
    /// A sender is gone, after all its readers. Descriptors given to ``Splitter/addDatagramSender(rtp:rtcp:)`` are the caller's alone.
    case senderRemoved(SenderID)

    /// The engine could not use something that the kernel refused (an errno value). What it was for is told by its `…Removed`.
    case refused(EngineRefusal, errorNumber: Int32)
    /// The engine has ended; the last event. `leaks` counts what did not come home: 0, or it is a defect of this library.
    case stopped(leaks: UInt32)
}

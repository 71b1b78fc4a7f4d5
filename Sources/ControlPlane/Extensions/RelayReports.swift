import WireFormats

/// Hears what sources, readers and the relay itself report by RTCP, and decides what little there is to decide about it. Every requirement
/// has a default: Weir's own behaviour.
///
/// What was reported is told one after the other, in order, on threads of the system, so it may be slow: up to 4,096 reports
/// wait beside those that are being told, what comes beyond is left out and counted (`reports_unobserved` of the status's totals); some may
/// still be told when the relay has stopped. What is decided is asked on the relay's
/// event loop: answer at once.
public protocol RelayReports: Sendable {
    /// A path's source told its wall clock (sender report).
    func sourceReported(_ report: SourceReport)
    /// A reader told how it receives a track (receiver report), every few seconds for each.
    func readerReported(_ report: ReaderReport)
    /// The relay told a path's source how it receives a track (receiver report), every five seconds for each that is pulled or published.
    func relayReported(_ report: RelayReport)

    /// The name by which the relay calls itself towards the path's source (CNAME in SDES); printable ASCII, up to 255 characters. Nil: a
    /// word by chance for each process, which says nothing of the machine. (Readers hear a name that the engine makes of the stream's SSRC.)
    func canonicalName(path: String) -> String?
    /// Whether readers of the path are told when its media ends for them (RTCP BYE). Players that hear it end at once; those that do not
    /// wait for their own timeout, and go on if the path comes back.
    func saysGoodbye(path: String) -> Bool
}

extension RelayReports {
    /// Does nothing.
    public func sourceReported(_ report: SourceReport) {}
    /// Does nothing.
    public func readerReported(_ report: ReaderReport) {}
    /// Does nothing.
    public func relayReported(_ report: RelayReport) {}
    /// Weir's.
    public func canonicalName(path: String) -> String? { nil }
    /// It is.
    public func saysGoodbye(path: String) -> Bool { true }
}

/// A sender report of a path's source (RFC 3550 section 6.4.1), as it came.
public struct SourceReport: Sendable, Equatable {
    /// The path's name.
    public let path: String
    /// The track's number in the stream.
    public let track: Int
    /// The source's SSRC.
    public let ssrc: UInt32
    /// The moment by the source's wall clock: seconds since 1900 in the upper half, their fractions in the lower.
    public let ntp: UInt64
    /// The same moment on the RTP clock.
    public let rtpTimestamp: UInt32
}

/// A reader's report on one track (RFC 3550 section 6.4.2).
public struct ReaderReport: Sendable, Equatable {
    /// The path's name.
    public let path: String
    /// The beginning of the session's id, as in the log and in the status.
    public let session: String
    /// `HOST:PORT` of the reader.
    public let address: String
    /// The track's number in the stream.
    public let track: Int
    /// The share of packets lost since its last report, in percent.
    public let lossPercent: Double
    /// Packets lost since it began, by its own count; negative: some came twice.
    public let packetsLost: Int
    /// Interarrival jitter in milliseconds.
    public let jitterMilliseconds: Double
    /// The way there and back in milliseconds; nil when the report does not tell it.
    public let roundTripMilliseconds: Double?
}

/// The relay's own report to a source on one track.
public struct RelayReport: Sendable, Equatable {
    /// The path's name.
    public let path: String
    /// The track's number in the stream.
    public let track: Int
    /// The source's SSRC.
    public let ssrc: UInt32
    /// The share of packets lost since the last report, in percent.
    public let lossPercent: Double
    /// Packets lost in this time line of the source; negative: some came twice.
    public let packetsLost: Int
    /// Interarrival jitter in milliseconds.
    public let jitterMilliseconds: Double
    /// The highest sequence number that came, with the times that it wrapped around in the upper half.
    public let highestSequence: UInt32
}

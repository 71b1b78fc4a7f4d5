/// What a program that embeds Weir puts in the place of Weir's own parts. Without any of it a relay is as `weir serve` runs it.
public struct RelayExtensions: Sendable {
    /// Makes a transform for one run of a track. Called on the thread on which the transform will live, so it may take its time, up to
    /// the rule's `start-wait`. What it throws is told as the reason, and it is tried again as a program that crashed is.
    public typealias TransformMaker = @Sendable (TransformInput) throws -> any TrackTransform

    /// Dials a source once: describes it, waits until it is wanted, and sends its packets (``SourceDial``). Returning or throwing ends the dial;
    /// what it throws is told as the reason.
    public typealias SourceDialler = @Sendable (SourceDial) async throws -> Void

    /// Who dials `source: SCHEME://…`, by the scheme in small letters; Weir's own schemes (`rtsp`, `rtp`, …) stay Weir's.
    public var sources: [String: SourceDialler] = [:]

    /// What `transform: … use: NAME` may name.
    public var transforms: [String: TransformMaker] = [:]

    /// Header fields that every request to an RTSP server of a path gets beside the client's own; asked for each dial, on the relay's event
    /// loop. `User-Agent` takes the place of Weir's. Nil: none.
    public var requestHeaders: (@Sendable (_ path: String, _ url: String) -> [(name: String, value: String)])?

    /// Opens the UDP sockets of media; nil: Weir does (``SystemMediaSockets``).
    public var sockets: (any MediaSocketOpener)?

    /// Hears what is reported by RTCP; nil: nobody does.
    public var reports: (any RelayReports)? {
        didSet { funnel = reports.map(ReportFunnel.init) }
    }
    /// Brings reports there.
    private(set) var funnel: ReportFunnel?

    /// Weir as it is.
    public init() {}
}

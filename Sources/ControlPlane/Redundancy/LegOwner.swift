import PlaneLink
import WireFormats

/// Who makes one source of several hears what each of them says.
protocol LegOwner: AnyObject {
    /// Whether somebody waits for a source.
    var isAwaited: Bool { get }
    /// See ``PathSourceHost/via``.
    var via: String? { get }
    /// See ``PathSourceHost/sourceDescribed(_:)``.
    func described(_ leg: SourceLeg, _ sdp: SessionDescription) throws -> StreamDescription
    func mediaBegins(_ leg: SourceLeg)
    func plays(_ leg: SourceLeg)
    func failed(_ leg: SourceLeg, _ words: String)
    func dropped(_ datagrams: UInt64)
    func released(_ leg: SourceLeg)
}

extension StreamDescription {
    /// When a packet of this leg arrived last (of any, where the stream has no legs), in monotonic nanoseconds; 0 before the first.
    var lastArrivalNanoseconds: UInt64 {
        guard let leg else { return counters[.lastArrivalNanoseconds] }
        return tracks.reduce(0) { max($0, counters[leg: leg, $1.number, .lastArrivalNanoseconds]) }
    }
}

extension EnginePort {
    /// Runs what adds sources to a stream, as the leg that the description is for.
    func adding<Result>(to description: StreamDescription, _ body: () throws -> Result) throws -> Result {
        guard let leg = description.leg, leg > 0 else { return try body() }
        guard submit(.useLeg(description.stream, UInt8(clamping: leg))) else { throw Refusal.queueFull }
        defer { submitAlways(.useLeg(description.stream, 0)) }
        return try body()
    }
}

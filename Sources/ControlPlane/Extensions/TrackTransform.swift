import WireFormats

/// A track on its way to the readers through code of yours.
///
/// The configuration says where (`transform: video: use: NAME`), ``RelayExtensions/transforms`` what it is. One is made for each run: from
/// when somebody wants the path's media until nobody does, or until it fails. All of it is called on one thread of its own, never
/// on the packet path nor on the relay's event loop, one call after the other; so it need not be `Sendable`, and may take its time:
///
/// - While it is busy, packets wait for it: up to the rule's `queue` (256 KiB) in bytes, then in the packet log of its source
///   (`window`). What falls out of that is missed, from key frame to key frame, and counted (`packets_missed`).
/// - A call that lasts longer than the rule's `silence` (10 s), or so long without a packet out while packets go in, is a failure.
///   The thread cannot be ended by force: it is left alone, and no other run of the track begins until it has
///   come back; after the path was let go of and taken up again one may. No more than 16 hang in a process.
/// - What it throws is a failure, too. After a failure another one is made, as a program that crashed is started again: after 1, 2, 4, …
///   30 s. Readers stay, the other tracks go on, and status tells the reason. A trap (`fatalError`, an index out of range) ends your
///   process, as everywhere in Swift.
public protocol TrackTransform: AnyObject {
    /// What comes out. Asked once, before the first packet.
    var output: TrackFormat { get }

    /// Takes one packet of the track, and sends as many as it likes: none, one, several, now or at a later packet.
    ///
    /// Sequence numbers of what comes in have gaps where the source's had. They and the timestamps are one line over all connections of the
    /// source. The first packet of a run is the first of a key frame where Weir knows the codec's.
    ///
    /// - Parameters:
    ///   - packet: an RTP packet (RFC 3550), whole; borrowed for the call.
    ///   - fields: where its parts are.
    ///   - output: takes the packets that come out; for use within calls of this transform alone.
    /// - Throws: whatever is the matter; the run ends.
    func transform(_ packet: Span<UInt8>, _ fields: RTPFields, to output: TransformOutput) throws

    /// The source was dialled again, or another one took over: what comes next belongs to another time line of the source. Called before the
    /// next packet. (A few packets of the line before may still follow when the source came back at once.)
    func sourceChanged() throws

    /// The run is over, whatever ended it: the last call.
    func ended()
}

extension TrackTransform {
    /// Does nothing: for those that keep nothing from packet to packet.
    public func sourceChanged() {}
    /// Does nothing: for those that hold nothing.
    public func ended() {}
}

/// What a transform is made for.
public struct TransformInput: Sendable {
    /// The path's name.
    public let path: String
    /// The track's place in its source's description, from 0, as `transform: 0:` counts.
    public let track: Int
    /// What the source says that it carries.
    public let format: TrackFormat
}

/// Where the parts of an RTP packet are (RFC 3550 section 5.1).
public struct RTPFields: Sendable, Equatable {
    /// Mostly the end of a picture.
    public let isMarked: Bool
    /// The payload type, 0 to 127.
    public let payloadType: UInt8
    /// The sequence number, which wraps around.
    public let sequence: UInt16
    /// The timestamp in ticks of the track's clock, which wraps around.
    public let timestamp: UInt32
    /// Who sends it.
    public let ssrc: UInt32
    /// The payload's bytes: behind CSRCs and header extension, before padding.
    public let payload: Range<Int>

    /// The fields of a packet; nil when it is no RTP packet of version 2, or not whole.
    public init?(_ packet: Span<UInt8>) {
        guard let header = try? RTPHeader(packet) else { return nil }
        isMarked = header.marker
        payloadType = header.payloadType
        sequence = header.sequence
        timestamp = header.timestamp
        ssrc = header.ssrc
        payload = header.payloadOffset..<header.payloadEnd
    }
}

/// Why a packet was not taken. A transform that does not catch it ends its run.
public enum TransformError: Error, Sendable, Equatable, CustomStringConvertible {
    /// No RTP packet of version 2, or not whole.
    case notRTP
    /// Its size, and the largest in bytes (``TransformOutput/packetBytesMax``).
    case packetTooLarge(bytes: Int, max: Int)
    /// It is of another payload type than ``TrackTransform/output`` says: a packet of another track.
    case otherPayloadType(UInt8, said: UInt8)
    /// The relay takes no more: the run is over.
    case ended

    /// What is wrong, in words.
    public var description: String {
        switch self {
        case .notRTP: "it sent what is no RTP packet"
        case .packetTooLarge(let bytes, let max): "it sent a packet of \(bytes) bytes; \(max) is the most"
        case .otherPayloadType(let type, let said): "it sent payload type \(type), and its output is \(said)"
        case .ended: "it was ended"
        }
    }
}

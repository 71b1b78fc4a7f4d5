import PlaneLink
import WireFormats

/// The packets of the picture that is coming in, kept until its last one is there (the RTP marker) or the next picture begins: what a
/// source that dies leaves unfinished was never sent to anybody. In front of the time line, so that what is left out leaves no gap in it.
///
/// Memory for one picture. A source that never marks the ends of its pictures would be a picture late for nothing, so its packets go
/// on as they come until it marks one.
@safe struct PictureStage: BitwiseCopyable {
    private let base: UnsafeMutableRawPointer
    private let bytesMax: Int
    /// Of what is kept, with the length before each packet.
    private(set) var bytes = 0
    /// When the last packet was kept.
    var heldAt: UInt64 = 0
    /// Of the picture at hand, or the last one.
    private var hasPicture = false
    private var timestamp: UInt32 = 0
    private var ssrc: UInt32 = 0
    private var sequence: UInt16 = 0
    /// Pictures in a row of which only the next one showed that they had ended, with no packet missing between.
    private var unmarked = 0

    /// So many show that ends are not marked.
    static var unmarkedMax: Int { 8 }
    private static var lengthBytes: Int { 2 }

    /// What is to become of a packet.
    enum Verdict: Equatable {
        /// It goes on at once.
        case passes
        /// It goes on at once, and does not wait for the rest of its picture, which is larger than the memory or bears no mark (counted).
        case passesUnheld
        /// It is kept.
        case held
        /// It was the last one: all that is kept goes on.
        case ends
        /// What is kept goes on; then this packet is to be offered again.
        case follows
        /// What is kept goes on, and so does this one (counted).
        case overflows
    }

    /// Nil for a stream whose memory has no room for pictures.
    init?(memory: StreamMemory) {
        guard let picture = unsafe memory.picture else { return nil }
        unsafe base = picture
        bytesMax = memory.pictureBytes
    }

    /// Forgets what is kept, if anything is: its source is gone. Whether it was.
    mutating func drop() -> Bool {
        defer { bytes = 0 }
        return bytes > 0
    }

    /// Begins anew, with nothing kept and nothing known of the source.
    mutating func reset() {
        bytes = 0
        hasPicture = false
        unmarked = 0
    }

    /// A time line begins with this packet, which has gone on: so does the rest of its picture. What comes is compared with its numbers,
    /// no more with those of the line before.
    mutating func begin(with header: RTPHeader) {
        if hasPicture, header.ssrc != ssrc { unmarked = 0 }
        bytes = 0
        hasPicture = true
        timestamp = header.timestamp
        ssrc = header.ssrc
        sequence = header.sequence
    }

    /// Decides on a packet, and keeps it where that is the decision.
    @unsafe mutating func offer(_ header: RTPHeader, _ packet: UnsafeRawPointer, _ count: Int) -> Verdict {
        let isOfSource = hasPicture && header.ssrc == ssrc
        // What comes late, and a stray packet of somebody else, have no picture here.
        if isOfSource, Int16(bitPattern: header.sequence &- sequence) <= 0, header.timestamp != timestamp || bytes == 0 { return .passes }
        if bytes > 0 {
            guard isOfSource else { return .passes }
            if header.timestamp != timestamp {
                unmarked = header.sequence &- sequence == 1 ? unmarked + 1 : 0
                return .follows
            }
            guard unsafe keep(header, packet, count) else { return .overflows }
            return header.marker ? .ends : .held
        }
        let isRest = isOfSource && header.timestamp == timestamp
        hasPicture = true
        timestamp = header.timestamp
        ssrc = header.ssrc
        sequence = header.sequence
        if header.marker {
            unmarked = 0
            return .passes
        }
        if isRest { return .passes }
        if unmarked >= Self.unmarkedMax { return .passesUnheld }
        return unsafe keep(header, packet, count) ? .held : .passesUnheld
    }

    @unsafe private mutating func keep(_ header: RTPHeader, _ packet: UnsafeRawPointer, _ count: Int) -> Bool {
        if Int16(bitPattern: header.sequence &- sequence) > 0 { sequence = header.sequence }
        guard bytes + Self.lengthBytes + count <= bytesMax else { return false }
        let target = unsafe base + bytes
        unsafe target.storeBytes(of: UInt16(truncatingIfNeeded: count).littleEndian, as: UInt16.self)
        unsafe (target + Self.lengthBytes).copyMemory(from: packet, byteCount: count)
        bytes += Self.lengthBytes + count
        if header.marker { unmarked = 0 }
        return true
    }

    /// Gives up what is kept, which stays readable up to the returned offset until the next packet is kept.
    mutating func takeAll() -> Int {
        defer { bytes = 0 }
        return bytes
    }

    /// The packet at an offset below what ``takeAll()`` returned, and the next one's offset.
    @unsafe func packet(at offset: Int) -> (bytes: UnsafeRawPointer, count: Int, next: Int) {
        let start = unsafe base + offset
        let count = unsafe Int(UInt16(littleEndian: start.loadUnaligned(as: UInt16.self)))
        return unsafe (UnsafeRawPointer(start + Self.lengthBytes), count, offset + Self.lengthBytes + count)
    }
}

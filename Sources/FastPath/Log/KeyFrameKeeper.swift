import PlaneLink
import WireFormats

/// The newest whole key frame of a stream, beside its log: what is sent again while the source is away. The log itself may have been
/// written over by then.
///
/// Memory for two frames: one that is whole, and one that is being copied, which may turn out not to be (a packet lost, no picture
/// in it, larger than the memory). Nothing is allocated, and only packets of key frames are copied.
@safe struct KeyFrameKeeper: BitwiseCopyable {
    private let base: UnsafeMutableRawPointer
    private let frameBytes: Int
    /// Which of the two places the frame at hand is copied into; the other one holds the whole frame.
    private var place = 0
    private var bytes = 0
    private var isTaking = false
    private var hasPicture = false
    private var hasEnded = false
    /// Of the frame that was looked at last, whole or not.
    private var hasTimestamp = false
    private var timestamp: UInt32 = 0
    private var sequence: UInt16 = 0
    /// Bytes of the whole frame with the length before each packet; 0 when there is none.
    private(set) var keptBytes = 0

    /// Before each packet stands its length.
    static var lengthBytes: Int { 2 }

    /// Nil for a stream whose memory has no room for key frames.
    init?(memory: StreamMemory) {
        guard let keyFrames = unsafe memory.keyFrames else { return nil }
        unsafe base = keyFrames
        frameBytes = memory.keyFrameBytes / 2
    }

    /// Forgets what it has: the track is another one now.
    mutating func clear() {
        isTaking = false
        hasTimestamp = false
        keptBytes = 0
    }

    /// What comes next is of another time line: a key frame that has not ended stays half.
    mutating func interrupt() {
        if isTaking, hasEnded { keep() } else { isTaking = false }
    }

    /// Looks at a packet of the track, in the order of its log.
    @unsafe mutating func take(
        _ packet: UnsafeRawPointer, _ count: Int, sequence: UInt16, timestamp: UInt32, marks: FrameMarks, endsFrame: Bool
    ) {
        let step = Int16(bitPattern: sequence &- self.sequence)
        if isTaking, timestamp != self.timestamp {
            // With its last packet there, or the next frame right behind it, the frame is whole.
            if hasEnded || step == 1 { keep() } else { isTaking = false }
        }
        if isTaking {
            // One that comes late has been missed already: the frame was given up then.
            if step <= 0 { return }
            if step > 1 {
                isTaking = false
                return
            }
        } else {
            guard marks.contains(.startsKeyFrame), !hasTimestamp || timestamp != self.timestamp else { return }
            isTaking = true
            hasPicture = false
            bytes = 0
            hasTimestamp = true
            self.timestamp = timestamp
        }
        guard bytes + Self.lengthBytes + count <= frameBytes else {
            isTaking = false
            return
        }
        let target = unsafe base + place * frameBytes + bytes
        unsafe target.storeBytes(of: UInt16(truncatingIfNeeded: count).littleEndian, as: UInt16.self)
        unsafe (target + Self.lengthBytes).copyMemory(from: packet, byteCount: count)
        bytes += Self.lengthBytes + count
        if marks.contains(.keyPicture) { hasPicture = true }
        hasEnded = endsFrame
        self.sequence = sequence
    }

    /// Takes the frame at hand for whole if its last packet came: the source has gone, and nothing follows that would show it.
    mutating func settle() {
        if isTaking, hasEnded { keep() }
    }

    /// The packet at an offset below ``keptBytes``, and the next one's offset.
    @unsafe func packet(at offset: Int) -> (bytes: UnsafeRawPointer, count: Int, next: Int) {
        let start = unsafe base + (1 - place) * frameBytes + offset
        let count = unsafe Int(UInt16(littleEndian: start.loadUnaligned(as: UInt16.self)))
        return unsafe (UnsafeRawPointer(start + Self.lengthBytes), count, offset + Self.lengthBytes + count)
    }

    private mutating func keep() {
        isTaking = false
        guard hasPicture else { return }
        keptBytes = bytes
        place = 1 - place
    }
}

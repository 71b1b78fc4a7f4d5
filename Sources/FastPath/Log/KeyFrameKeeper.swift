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
    /// What goes before the source's first packet after a clip, as it lies behind the two places.
    private(set) var prefaceBytes = 0

    /// Before each packet and each part of the preface stands its length.
    static var lengthBytes: Int { 2 }

    /// Nil for a stream whose memory has no room for key frames.
    init?(memory: StreamMemory) {
        guard let keyFrames = unsafe memory.keyFrames else { return nil }
        unsafe base = keyFrames
        frameBytes = (memory.keyFrameBytes - StreamSizing.prefaceBytesMax) / 2
    }

    /// Forgets what it has: the track is another one now.
    mutating func clear() {
        isTaking = false
        hasTimestamp = false
        keptBytes = 0
        prefaceBytes = 0
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
        unsafe part(base + (1 - place) * frameBytes, offset)
    }

    /// The part of the preface at an offset below ``prefaceBytes``, and the next one's offset.
    @unsafe func preface(at offset: Int) -> (bytes: UnsafeRawPointer, count: Int, next: Int) {
        unsafe part(base + 2 * frameBytes, offset)
    }

    /// Keeps RTP payloads, each behind its length, that go before the source's next first packet. False when they are too long.
    mutating func setPreface(_ buffer: LinkBuffer) -> Bool {
        prefaceBytes = 0
        guard buffer.count <= StreamSizing.prefaceBytesMax, let start = unsafe buffer.bytes.baseAddress else { return buffer.count == 0 }
        unsafe (base + 2 * frameBytes).copyMemory(from: start, byteCount: buffer.count)
        var offset = 0
        while offset < buffer.count {
            guard buffer.count - offset > Self.lengthBytes else { return false }
            let next = unsafe preface(at: offset).next
            guard next <= buffer.count else { return false }
            offset = next
        }
        prefaceBytes = buffer.count
        return true
    }

    @unsafe private func part(_ start: UnsafeMutableRawPointer, _ offset: Int) -> (bytes: UnsafeRawPointer, count: Int, next: Int) {
        let count = unsafe Int(UInt16(littleEndian: (start + offset).loadUnaligned(as: UInt16.self)))
        return unsafe (UnsafeRawPointer(start + offset + Self.lengthBytes), count, offset + Self.lengthBytes + count)
    }

    private mutating func keep() {
        isTaking = false
        guard hasPicture else { return }
        keptBytes = bytes
        place = 1 - place
    }
}

import PlaneLink

/// What goes before the key frames of each of a stream's tracks: RTP payloads, each behind its length, as
/// ``Command/setPreface(_:track:_:)`` brought them.
@safe struct TrackPrefaces: BitwiseCopyable {
    private let base: UnsafeMutableRawPointer

    private static var lengthBytes: Int { 2 }

    init(memory: StreamMemory) { unsafe base = memory.prefaces }

    /// Copies a track's payloads. How many bytes they are with their lengths; nil when they make no sense or are too long.
    func set(_ track: Int, _ buffer: LinkBuffer) -> Int? {
        precondition(track >= 0 && track < tracksPerStreamMax)
        guard buffer.count > 0 else { return 0 }
        guard buffer.count <= StreamSizing.prefaceBytesMax, let start = unsafe buffer.bytes.baseAddress else { return nil }
        unsafe (base + track * StreamSizing.prefaceBytesMax).copyMemory(from: start, byteCount: buffer.count)
        var offset = 0
        while offset < buffer.count {
            guard buffer.count - offset > Self.lengthBytes else { return nil }
            let part = unsafe part(track, at: offset)
            guard unsafe part.count > 0 && part.next <= buffer.count else { return nil }
            offset = unsafe part.next
        }
        return buffer.count
    }

    /// The payload at an offset below what ``set(_:_:)`` told, and the next one's offset.
    @unsafe func part(_ track: Int, at offset: Int) -> (bytes: UnsafeRawPointer, count: Int, next: Int) {
        let start = unsafe base + track * StreamSizing.prefaceBytesMax + offset
        let count = unsafe Int(UInt16(littleEndian: start.loadUnaligned(as: UInt16.self)))
        return unsafe (UnsafeRawPointer(start + Self.lengthBytes), count, offset + Self.lengthBytes + count)
    }
}

/// Consecutive packets of one channel, under one plan of its track, that the kernel can be given as one message: all of one size, the last may be shorter.
struct Train: BitwiseCopyable {
    /// The first packet's number, and the number after the last.
    let first: UInt64
    let end: UInt64
    let channel: UInt8
    /// The first packet's record: where the bytes begin.
    let record: PacketRecord
    /// Size of each segment but the last.
    let segmentBytes: Int
    /// Bytes in all.
    let bytes: Int

    var packets: Int { Int(end - first) }

    /// The most segments of a message that every kernel with UDP_SEGMENT takes (UDP_MAX_SEGMENTS was 64 until Linux 6.9).
    static let segmentsMax = 64
    /// The most payload of a UDP datagram over IPv4.
    static let bytesMax = 65_507

    /// The longest train that begins at `first` and ends before `limit`.
    static func cut(_ log: PacketLog, from first: UInt64, limit: UInt64, segmentsMax: Int = segmentsMax) -> Train {
        let record = log.record(first)
        let size = Int(record.length)
        var bytes = size
        var end = first + 1
        var nextPosition = record.position + UInt64(size)
        while end < limit, Int(end - first) < segmentsMax {
            let next = log.record(end)
            let length = Int(next.length)
            guard next.channel == record.channel, next.plan == record.plan, next.position == nextPosition, length <= size,
                bytes + length <= bytesMax
            else { break }
            bytes += length
            nextPosition += UInt64(length)
            end += 1
            if length < size { break }
        }
        return Train(first: first, end: end, channel: record.channel, record: record, segmentBytes: size, bytes: bytes)
    }
}

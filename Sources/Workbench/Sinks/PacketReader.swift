import CSinks
import WireFormats

/// The RTP header fields that measuring looks at.
struct ArrivedPacket {
    let payloadType: UInt8
    let sequence: UInt16
    let timestamp: UInt32
    let bytes: Int
    /// CLOCK_REALTIME in nanoseconds when the kernel had it.
    let arrivalNanoseconds: UInt64

    /// Nil for what is not RTP version 2, and for RTCP on the same port (RFC 5761 section 4).
    init?(_ bytes: Span<UInt8>, arrivalNanoseconds: UInt64) {
        guard bytes.count >= 12, bytes[0] & 0xC0 == 0x80, !RTPHeader.isRTCP(secondByte: bytes[1]) else { return nil }
        payloadType = bytes[1] & 0x7F
        sequence = UInt16(bytes[2]) << 8 | UInt16(bytes[3])
        timestamp = UInt32(bytes[4]) << 24 | UInt32(bytes[5]) << 16 | UInt32(bytes[6]) << 8 | UInt32(bytes[7])
        self.bytes = bytes.count
        self.arrivalNanoseconds = arrivalNanoseconds
    }
}

/// Reads sampled UDP sockets: many datagrams a call, trains cut into their packets.
@safe final class PacketReader {
    private static let slotBytes = 65_536
    private static let slots = 16
    private let memory: UnsafeMutableRawBufferPointer
    private var arrivals: [csinks_arrival]

    init() {
        unsafe memory = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.slotBytes * Self.slots, alignment: 64)
        arrivals = Array(repeating: csinks_arrival(), count: Self.slots)
    }

    deinit { unsafe memory.deallocate() }

    /// Hands every packet that waits on the socket to `body`, with its bytes.
    func read(_ descriptor: Int32, _ body: (ArrivedPacket, Span<UInt8>) -> Void) {
        while true {
            let count = unsafe csinks_udp_receive(
                descriptor, memory.baseAddress, UInt32(Self.slotBytes), &arrivals, UInt32(Self.slots))
            guard count > 0 else { return }
            for index in 0..<Int(count) {
                let arrival = arrivals[index]
                let end = Int(arrival.offset) + Int(arrival.bytes)
                var start = Int(arrival.offset)
                let step = arrival.segment_bytes > 0 ? Int(arrival.segment_bytes) : Int(arrival.bytes)
                while start < end {
                    let stop = min(start + step, end)
                    let buffer = unsafe UnsafeBufferPointer(rebasing: memory.assumingMemoryBound(to: UInt8.self)[start..<stop])
                    let bytes = unsafe buffer.span
                    if let packet = ArrivedPacket(bytes, arrivalNanoseconds: arrival.realtime_ns) { body(packet, bytes) }
                    start = stop
                }
            }
            if count < Self.slots { return }
        }
    }
}

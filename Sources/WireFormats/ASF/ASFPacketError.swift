/// Why bytes are no ASF data packet that can be read, and at which byte of it.
package enum ASFPacketError: Error, Hashable, BitwiseCopyable, CustomStringConvertible {
    /// The packet ends before its `need` bytes at `offset`, where `have` are left.
    case tooShort(offset: Int, have: Int, need: Int)
    /// More bytes than a packet of the stream has.
    case tooLong(bytes: Int, packetBytes: Int)
    /// Error correction flags that no packet of any known file has.
    case errorCorrection(UInt8)
    /// Property flags by which stream number or media object number take no byte of their own.
    case propertyFlags(UInt8, offset: Int)
    /// A packet length above what came, or below what stands before the payloads.
    case packetLength(UInt32, offset: Int, have: Int)
    /// A padding length that leaves no room for payloads.
    case paddingLength(UInt32, offset: Int, have: Int)
    /// A packet of several payloads that says it has none.
    case noPayloads(offset: Int)
    /// Several payloads without lengths.
    case noPayloadLengths(offset: Int)
    /// A replicated data length of 2 to 7.
    case replicatedLength(UInt32, offset: Int)
    /// A payload longer than what is left of the packet.
    case payloadLength(UInt32, offset: Int, have: Int)
    /// A stream number of 0.
    case streamNumber(offset: Int)
    /// A part of a compressed payload that is longer than what is left of it.
    case subPayload(length: UInt8, offset: Int, have: Int)

    /// What is wrong, in words.
    package var description: String {
        switch self {
        case .tooShort(let offset, let have, let need): "the packet needs \(need) bytes at byte \(offset), and has \(have) left"
        case .tooLong(let bytes, let packetBytes): "a packet of \(bytes) bytes came where packets have \(packetBytes)"
        case .errorCorrection(let flags): "the error correction flags 0x\(String(flags, radix: 16)) at byte 0 are of no known kind"
        case .propertyFlags(let flags, let offset):
            "the property flags 0x\(String(flags, radix: 16)) at byte \(offset) leave no byte for stream and object numbers"
        case .packetLength(let length, let offset, let have): "the packet length \(length) at byte \(offset) does not fit \(have) bytes"
        case .paddingLength(let length, let offset, let have):
            "the padding length \(length) at byte \(offset) is more than the \(have) bytes behind the packet's head"
        case .noPayloads(let offset): "the payload count at byte \(offset) is 0"
        case .noPayloadLengths(let offset): "the payload flags at byte \(offset) leave out the payloads' lengths"
        case .replicatedLength(let length, let offset):
            "the replicated data at byte \(offset) has \(length) bytes; 0, 1, or 8 and more can be"
        case .payloadLength(let length, let offset, let have):
            "the payload at byte \(offset) has \(length) bytes, where the packet has \(have) left"
        case .streamNumber(let offset): "the payload at byte \(offset) is of stream 0; from 1 to 127 can be"
        case .subPayload(let length, let offset, let have):
            "the part of \(length) bytes at byte \(offset) is longer than the \(have) that its payload has left"
        }
    }
}

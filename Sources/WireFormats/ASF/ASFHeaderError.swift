/// Why bytes are no ASF header that can be used, and where. Offsets count from the Header Object's first byte.
package enum ASFHeaderError: Error, Hashable, CustomStringConvertible {
    /// The bytes do not begin with a Header Object.
    case notASF(begins: ASFGUID)
    /// The header ends behind the bytes that are there.
    case tooShort(have: Int, need: Int)
    /// A header above the limit.
    case tooLong(bytes: UInt64, bytesMax: Int)
    /// More objects than the limit.
    case tooManyObjects(countMax: Int)
    /// An object that says it has `bytes` bytes, its own 24 included, where `room` are left.
    case objectSize(ASFGUID, offset: Int, bytes: UInt64, room: Int)
    /// A value of an object that ends behind the object: `need` bytes at `offset`, where `have` are left.
    case outside(ASFGUID, offset: Int, have: Int, need: Int)
    /// No File Properties: the size of packets is not known.
    case noFileProperties
    /// A size of packets that cannot be.
    case packetBytes(UInt32, offset: Int)
    /// No stream at all.
    case noStreams
    /// A stream number of 0.
    case streamNumber(offset: Int)
    /// A stream number for the second time; the first stands.
    case duplicateStream(UInt8, offset: Int)
    /// A stream inside the Extended Stream Properties of another.
    case hiddenStream(UInt8, offset: Int, extended: UInt8)
    /// Something else stands where the Data Object must follow.
    case noDataObject(offset: Int, found: ASFGUID)
    /// What was asked for cannot be made this small.
    case cannotFit(bytes: Int, bytesMax: Int)

    /// What is wrong, in words.
    package var description: String {
        switch self {
        case .notASF(let guid): "not ASF: the bytes begin with \(guid) in place of a Header Object (\(ASFGUID.header))"
        case .tooShort(let have, let need): "the ASF header has \(have) of the \(need) bytes it needs"
        case .tooLong(let bytes, let max): "an ASF header of \(bytes) bytes is longer than the \(max) that are taken"
        case .tooManyObjects(let max): "the ASF header has more than \(max) objects"
        case .objectSize(let guid, let offset, let bytes, let room):
            "the object \(guid.name) at byte \(offset) says it has \(bytes) bytes; it must have 24 to \(room)"
        case .outside(let guid, let offset, let have, let need):
            "the object \(guid.name) needs \(need) bytes at byte \(offset), and has \(have) left"
        case .noFileProperties: "the ASF header has no File Properties"
        case .packetBytes(let bytes, let offset):
            "the File Properties at byte \(offset) give packets of \(bytes) bytes; from \(ASFHeader.packetBytesMin) to \(ASFHeader.packetBytesMax) can be"
        case .noStreams: "the ASF header describes no stream"
        case .streamNumber(let offset): "the Stream Properties at byte \(offset) give stream number 0; from 1 to 127 can be"
        case .duplicateStream(let number, let offset): "the Stream Properties at byte \(offset) describe stream \(number) a second time"
        case .hiddenStream(let number, let offset, let extended):
            "the Stream Properties at byte \(offset) are of stream \(number), and stand in the Extended Stream Properties of stream \(extended)"
        case .noDataObject(let offset, let found):
            "the object at byte \(offset), behind the header, is \(found.name) in place of the Data Object"
        case .cannotFit(let bytes, let max): "the ASF header cannot be made smaller than \(bytes) bytes; \(max) were allowed"
        }
    }
}

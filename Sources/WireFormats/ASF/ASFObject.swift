/// One object of an ASF header: what it is and where it lies. Holds no bytes.
///
///     GUID 16 | size u64, these 24 bytes included | body
package struct ASFObject: Sendable, Hashable, BitwiseCopyable {
    /// Bytes before the body.
    package static let headBytes = 24

    /// What it is.
    package var guid: ASFGUID
    /// Where it begins.
    package var offset: Int
    /// Where it ends.
    package var end: Int
    /// Whether it stands in the Header Extension.
    package var isInExtension = false

    /// Bytes, its head included.
    package var byteCount: Int { end &- offset }

    /// The object at `offset`, which must end at or before `end`.
    package init(_ bytes: Span<UInt8>, at offset: Int, end: Int) throws(ASFHeaderError) {
        let room = end &- offset
        guard room >= Self.headBytes else { throw .tooShort(have: room, need: Self.headBytes) }
        guid = ASFGUID(bytes, at: offset)
        let size = bytes.loadLittle64(offset &+ 16)
        guard size >= UInt64(Self.headBytes), size <= UInt64(room) else {
            throw .objectSize(guid, offset: offset, bytes: size, room: room)
        }
        self.offset = offset
        self.end = offset &+ Int(size)
    }
}

/// Reads one value of an object after the other, never behind its end.
struct ASFObjectReader {
    let guid: ASFGUID
    private(set) var offset: Int
    let end: Int

    init(_ object: ASFObject) {
        guid = object.guid
        offset = object.offset &+ ASFObject.headBytes
        end = object.end
    }

    var left: Int { end &- offset }

    /// Passes over bytes, and gives where they began.
    @discardableResult mutating func skip(_ count: Int) throws(ASFHeaderError) -> Int {
        guard count >= 0, count <= end &- offset else { throw .outside(guid, offset: offset, have: end &- offset, need: count) }
        let start = offset
        offset = offset &+ count
        return start
    }

    mutating func u8(_ bytes: Span<UInt8>) throws(ASFHeaderError) -> UInt8 { bytes[try skip(1)] }
    mutating func u16(_ bytes: Span<UInt8>) throws(ASFHeaderError) -> UInt16 { bytes.loadLittle16(try skip(2)) }
    mutating func u32(_ bytes: Span<UInt8>) throws(ASFHeaderError) -> UInt32 { bytes.loadLittle32(try skip(4)) }
    mutating func u64(_ bytes: Span<UInt8>) throws(ASFHeaderError) -> UInt64 { bytes.loadLittle64(try skip(8)) }
    mutating func guid(_ bytes: Span<UInt8>) throws(ASFHeaderError) -> ASFGUID { ASFGUID(bytes, at: try skip(16)) }

    mutating func data(_ bytes: Span<UInt8>, _ count: Int) throws(ASFHeaderError) -> [UInt8] {
        let start = try skip(count)
        return [UInt8](bytes, start..<(start &+ count))
    }

    /// Text of UTF-16 without the zeros at its end; what is no UTF-16 becomes U+FFFD.
    mutating func text(_ bytes: Span<UInt8>, byteCount: Int) throws(ASFHeaderError) -> String {
        let start = try skip(byteCount)
        var units: [UInt16] = []
        units.reserveCapacity(byteCount / 2)
        for index in 0..<(byteCount / 2) { units.append(bytes.loadLittle16(start &+ 2 &* index)) }
        while units.last == 0 { units.removeLast() }
        return String(decoding: units, as: UTF16.self)
    }
}

/// A header whose only word is that the content is elsewhere: players before version 7 follow no status of HTTP, but the script command
/// FILENAME ([MS-WMSP] 3.2.5.4).
package enum ASFRedirection {
    /// The longest URL, in units of UTF-16.
    package static let unitsMax = 256
    /// As Windows Media Services has it; the command is given at its end.
    static let prerollMilliseconds: UInt32 = 479

    /// The header and the 50 bytes behind it; nil for a URL that is too long.
    package static func header(to url: String) -> [UInt8]? {
        let place = Array(url.utf16)
        guard !place.isEmpty, place.count <= unitsMax else { return nil }
        var properties = Object(.fileProperties)
        properties.bytes += [UInt8](repeating: 0, count: 56)
        properties.number(UInt64(prerollMilliseconds))
        // A broadcast, in packets of one size.
        for value: UInt32 in [1, 1_400, 1_400, 0] { properties.number(value) }

        var script = Object(.scriptCommand)
        script.bytes += ASFGUID.reserved3.bytes
        let type = Array("FILENAME".utf16)
        for value in [1, 1, UInt16(type.count)] + type { script.number(value) }
        script.number(prerollMilliseconds)
        for value in [0, UInt16(place.count)] + place { script.number(value) }

        var stream = Object(.streamProperties)
        stream.bytes += ASFGUID.commandMedia.bytes + ASFGUID.noErrorCorrection.bytes
        stream.bytes += [UInt8](repeating: 0, count: 16)
        stream.number(UInt16(1))
        stream.number(UInt32(0))

        let children = [properties, script, stream].flatMap(\.whole)
        var header = Object(.header)
        header.number(UInt32(3))
        header.bytes += [1, 2] + children
        var data = Object(.data)
        data.bytes += [UInt8](repeating: 0, count: 24) + [1, 1]
        return header.whole + data.whole
    }

    private struct Object {
        var bytes: [UInt8] = []
        let guid: ASFGUID

        init(_ guid: ASFGUID) { self.guid = guid }

        mutating func number<T: FixedWidthInteger>(_ value: T) {
            for place in 0..<(T.bitWidth / 8) { bytes.append(UInt8(truncatingIfNeeded: value >> T(place * 8))) }
        }

        var whole: [UInt8] {
            var head = Object(guid)
            head.number(UInt64(24 + bytes.count))
            return guid.bytes + head.bytes + bytes
        }
    }
}

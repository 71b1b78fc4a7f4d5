/// What a request URI names: a path of the server, and maybe a track in it. Where the border between both lies only the server's
/// paths can tell, so all readings are offered, the best first.
///
/// The host is not looked at: behind NAT and port forwarding clients write any. Query strings are tolerated where players leave
/// them when they resolve a track's URL: `rtsp://h/p?x=1/trackID=0` (FFmpeg, LIVE555) and `rtsp://h/p/trackID=0?x=1`.
package struct RequestTarget: Sendable, Equatable {
    /// One reading.
    package struct Reading: Sendable, Equatable {
        /// Percent-decoded, without slashes at its ends.
        package let path: String
        /// What stands behind the path, nil if nothing does.
        package let control: String?
    }

    /// `*`: the server itself.
    package let isServer: Bool
    /// The readings, the one with the longest path first.
    package let readings: [Reading]
    /// The query says `multicast`: the description of the path's group is wanted.
    package let isMulticast: Bool

    private static let readingsMax = 8

    /// Takes a URI apart: absolute, a path from the root, or `*`.
    package init(uri: String) throws(RequestRefusal) {
        if uri == "*" {
            isServer = true
            isMulticast = false
            readings = []
            return
        }
        isServer = false
        var rest = Array(uri.utf8)[...]
        if rest.first != UInt8(ascii: "/") {
            guard let scheme = rest.firstIndex(of: UInt8(ascii: ":")), rest[scheme...].starts(with: "://".utf8) else {
                throw .uriMalformed("it is neither absolute (rtsp://host/path) nor *")
            }
            guard ["rtsp", "rtspu", "rtspt", "rtsps", "rtsph"].contains(String(decoding: rest[..<scheme], as: UTF8.self).lowercased())
            else {
                throw .uriMalformed("its scheme is not rtsp")
            }
            rest = rest[(scheme + 3)...].drop { $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: "?") }
        }
        let mark = rest.firstIndex(of: UInt8(ascii: "?")) ?? rest.endIndex
        let path = try Self.decoded(rest[..<mark])
        let query = rest[mark...].dropFirst().prefix { $0 != UInt8(ascii: "/") }
        isMulticast = query.split(separator: UInt8(ascii: "&")).contains { $0.elementsEqual("multicast".utf8) }
        var readings: [Reading] = []
        if mark < rest.endIndex, let slash = rest[mark...].lastIndex(of: UInt8(ascii: "/")), slash + 1 < rest.endIndex {
            readings.append(Reading(path: path, control: try Self.decoded(rest[(slash + 1)...])))
        }
        readings.append(Reading(path: path, control: nil))
        var cut = path.endIndex
        while readings.count < Self.readingsMax, let slash = path[..<cut].lastIndex(of: "/") {
            readings.append(Reading(path: String(path[..<slash]), control: String(path[path.index(after: slash)...])))
            cut = slash
        }
        self.readings = readings
    }

    /// Which of a description's `a=control` values a reading's control names: equal, or the end of an absolute one.
    package static func track(named control: String, among controls: [String]) -> Int? {
        controls.firstIndex { $0 == control } ?? controls.firstIndex { $0.hasSuffix("/" + control) }
    }

    private static func decoded(_ bytes: ArraySlice<UInt8>) throws(RequestRefusal) -> String {
        var low = bytes.startIndex
        var high = bytes.endIndex
        while low < high, bytes[low] == UInt8(ascii: "/") { low += 1 }
        while high > low, bytes[high - 1] == UInt8(ascii: "/") { high -= 1 }
        var plain: [UInt8] = []
        var index = low
        while index < high {
            let byte = bytes[index]
            index += 1
            guard byte == UInt8(ascii: "%") else {
                plain.append(byte)
                continue
            }
            guard index + 1 < high, let first = hexadecimal(bytes[index]), let second = hexadecimal(bytes[index + 1]) else {
                throw .uriMalformed("two hexadecimal digits must follow each %")
            }
            plain.append(first << 4 | second)
            index += 2
        }
        guard plain.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }), let text = String(validating: plain, as: UTF8.self) else {
            throw .uriMalformed("it holds control characters or is not UTF-8")
        }
        return text
    }

    private static func hexadecimal(_ byte: UInt8) -> UInt8? {
        Character(Unicode.Scalar(byte)).hexDigitValue.map { UInt8($0) }
    }
}

import Signalling
import WireFormats

/// Headers and contents for the tests of Windows Media over HTTP.
enum WMSPSample {
    /// 326 bytes: one stream of audio, packets of 128 bytes, a preroll of 1 s.
    static let headerBytes: [UInt8] = """
        30 26 b2 75 8e 66 cf 11 a6 d9 00 aa 00 62 ce 6c 14 01 00 00 00 00 00 00 03 00 00 00 01 02 a1 dc
        ab 8c 47 a9 cf 11 8e e4 00 c0 0c 20 53 65 68 00 00 00 00 00 00 00 00 01 02 03 04 05 06 07 08 09
        0a 0b 0c 0d 0e 0f 46 02 00 00 00 00 00 00 00 00 00 00 00 00 00 00 02 00 00 00 00 00 00 00 00 1b
        b7 00 00 00 00 00 80 84 1e 00 00 00 00 00 e8 03 00 00 00 00 00 00 02 00 00 00 80 00 00 00 80 00
        00 00 00 19 00 00 b5 03 bf 5f 2e a9 cf 11 8e e3 00 c0 0c 20 53 65 2e 00 00 00 00 00 00 00 11 d2
        d3 ab ba a9 cf 11 8e e6 00 c0 0c 20 53 65 06 00 00 00 00 00 91 07 dc b7 b7 a9 cf 11 8e e6 00 c0
        0c 20 53 65 60 00 00 00 00 00 00 00 40 9e 69 f8 4d 5b cf 11 a8 fd 00 80 5f 5c 44 2b 00 57 fb 20
        55 5b cf 11 a8 fd 00 80 5f 5c 44 2b 00 00 00 00 00 00 00 00 12 00 00 00 00 00 00 00 01 00 00 00
        00 00 01 00 01 00 20 03 00 00 20 03 00 00 01 00 08 00 00 00 36 26 b2 75 8e 66 cf 11 a6 d9 00 aa
        00 62 ce 6c 32 01 00 00 00 00 00 00 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 02 00 00 00
        00 00 00 00 01 01
        """.split(whereSeparator: \.isWhitespace).compactMap { UInt8($0, radix: 16) }

    /// That header with other streams in place of its one: audio streams of these numbers.
    static func headerBytes(streams: [UInt8]) -> [UInt8] {
        let begin = 0xB4, end = 0x114
        let stream = Array(headerBytes[begin..<end])
        var bytes = Array(headerBytes[..<begin])
        for number in streams {
            var copy = stream
            copy[72] = number
            bytes += copy
        }
        let size = bytes.count
        bytes[16] = UInt8(truncatingIfNeeded: size)
        bytes[17] = UInt8(truncatingIfNeeded: size >> 8)
        bytes[24] = UInt8(2 + streams.count)
        return bytes + headerBytes[end...]
    }

    /// As a header.
    static func header(streams: [UInt8] = [1]) throws -> ASFHeader { try ASFHeader(headerBytes(streams: streams).span) }

    /// A file that can be sought in, as 9.1 of the reference has it.
    static func file(streams: [UInt8] = [1], playlistGenID: UInt32 = 7) throws -> WMSPContent {
        var content = WMSPContent(features: [.seekable, .stridable], header: try header(streams: streams), playlistGenID: playlistGenID)
        content.cacheControl = "x-wms-content-size=582, max-age=86399, user-public, must-revalidate, proxy-public, proxy-revalidate"
        content.lastModified = "Tue, 22 Jan 2008 22:54:32 GMT"
        content.etag = "\"582\""
        return content
    }

    /// Something live.
    static func live(streams: [UInt8] = [1]) throws -> WMSPContent {
        WMSPContent(features: .broadcast, header: try header(streams: streams))
    }

    /// A request out of its lines.
    static func http(_ lines: [String], body: String = "") throws -> HTTPRequest {
        var parser = HTTPRequestParser()
        let length = body.isEmpty ? [] : ["Content-Length: \(body.utf8.count)"]
        parser.append(Array(((lines + length).joined(separator: "\r\n") + "\r\n\r\n" + body).utf8))
        guard let request = try parser.next() else { throw Broken() }
        return request
    }

    struct Broken: Error {}
}

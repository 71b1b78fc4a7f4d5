import Testing
import WireFormats

@testable import Signalling

@Suite struct RecordingTagTests {
    static func sdp(_ range: String, origin: String = "1 1", ssrc: String = "1", parameters: String = "aGVsbG8=") throws
        -> SessionDescription
    {
        try SessionDescription(
            "v=0\r\no=- \(origin) IN IP4 10.0.0.1\r\ns=x\r\nt=0 0\r\n\(range.isEmpty ? "" : "a=range:\(range)\r\n")m=video 0 RTP/AVP 96\r\n"
                + "a=rtpmap:96 H264/90000\r\na=fmtp:96 sprop-parameter-sets=\(parameters)\r\na=ssrc:\(ssrc) cname:a\r\na=control:a\r\n")
    }

    @Test(
        arguments: [
            ("npt=0-30.5", 30_500_000), ("npt=now-5", 5_000_000), ("npt=-5", 5_000_000), ("npt=0-", nil), ("npt=now-", nil),
            ("npt=0-0", nil),
            ("npt=2-5", nil), ("clock=19961108T142300Z-19961108T152300Z", nil), ("npt=0-999999999999", nil), ("", nil),
        ] as [(String, Int64?)])
    func storedIsWhatHasAnEnd(range: String, expected: Int64?) throws {
        #expect(try Self.sdp(range).storedMicroseconds == expected)
    }

    @Test func tagIsOfWhatIsPlayed() throws {
        let tag = RecordingTag.tag(of: try Self.sdp("npt=0-5"), etag: nil, lastModified: nil)
        #expect(tag.utf8.count == 66)
        // Another answer of the same server.
        #expect(RecordingTag.tag(of: try Self.sdp("npt=now-5", origin: "7 8", ssrc: "9"), etag: nil, lastModified: nil) == tag)
        #expect(RecordingTag.tag(of: try Self.sdp("npt=0-6"), etag: nil, lastModified: nil) != tag)
        #expect(RecordingTag.tag(of: try Self.sdp("npt=0-5", parameters: "d29ybGQ="), etag: nil, lastModified: nil) != tag)
        #expect(RecordingTag.tag(of: try Self.sdp("npt=0-5"), etag: "\"a\"", lastModified: nil) != tag)
        #expect(RecordingTag.tag(of: try Self.sdp("npt=0-5"), etag: nil, lastModified: "a") != tag)
    }
}

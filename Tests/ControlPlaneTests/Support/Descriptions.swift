import WireFormats

/// Descriptions that the tests use.
enum Descriptions {
    static func description(
        _ media: [String] = ["m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:a", "m=audio 0 RTP/AVP 8\r\na=control:b"]
    ) throws -> SessionDescription {
        try SessionDescription("v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=x\r\nt=0 0\r\n" + media.map { $0 + "\r\n" }.joined())
    }
}

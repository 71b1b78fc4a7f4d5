import WireFormats

/// Typical input of the parsers: what FFmpeg asks, what a camera describes, what a server reports.
enum ParserInput {
    static let request = Array(
        """
        SETUP rtsp://192.0.2.17:8554/lobby/trackID=0 RTSP/1.0\r
        Transport: RTP/AVP/UDP;unicast;client_port=21234-21235\r
        CSeq: 3\r
        User-Agent: Lavf59.27.100\r
        Session: 5E1F7A9B2C3D4E6F\r
        Authorization: Digest username="viewer", realm="weir", nonce="9f2b1c7d55a04e1e", uri="rtsp://192.0.2.17:8554/lobby/trackID=0", \
        response="0123456789abcdef0123456789abcdef"\r
        \r\n
        """.utf8)

    static let description = Array(
        """
        v=0\r
        o=- 1187371102 1 IN IP4 192.0.2.17\r
        s=Lobby\r
        c=IN IP4 0.0.0.0\r
        t=0 0\r
        a=control:*\r
        a=range:npt=now-\r
        m=video 0 RTP/AVP 96\r
        b=AS:4000\r
        a=rtpmap:96 H264/90000\r
        a=fmtp:96 packetization-mode=1;profile-level-id=640028;sprop-parameter-sets=Z2QAKKzZQHgCJ+XARAAAAwAEAAADAPA8YMZY,aOvjyyLA\r
        a=control:trackID=0\r
        m=audio 0 RTP/AVP 97\r
        b=AS:128\r
        a=rtpmap:97 MPEG4-GENERIC/48000/2\r
        a=fmtp:97 profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1190\r
        a=control:trackID=1\r\n
        """.utf8)

    /// The second packet of a fragmented key frame, with RFC 8285 extension.
    static let packet: [UInt8] =
        [0x90, 0x60, 0x12, 0x34, 0, 1, 2, 3, 0xDE, 0xAD, 0xBE, 0xEF, 0xBE, 0xDE, 0, 1, 0x10, 0xAA, 0, 0] + payload

    /// STAP-A of SPS, PPS and the beginning of a key picture.
    static let payload: [UInt8] =
        [0x78, 0, 4, 0x67, 0x64, 0, 0x28, 0, 3, 0x68, 0xEB, 0xE3, 0, 6, 0x65, 0x88, 0x84, 0, 0x10, 0xFF]
        + [UInt8](repeating: 0x55, count: 1_180)

    static let reports = RTCPWriter.senderReport(
        RTCPSenderReport(
            ssrc: 0xDEAD_BEEF, ntp: NTPTime(0xE8D4_A510_8000_0000), rtpTimestamp: 900_000, packetCount: 12_345, octetCount: 12_345_678),
        canonicalName: "weir@192.0.2.17")
}

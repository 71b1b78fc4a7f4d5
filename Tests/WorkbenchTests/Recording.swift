import WireFormats

/// A recording of one H.264 track, 25 frames of a packet a second, a key frame each second.
enum Recording {
    static let description = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"

    static func dump(seconds: Int) -> [UInt8] {
        var bytes = RTPDumpHeader().serialized()
        for frame in 0..<(25 * seconds) {
            let header = RTPHeader(
                payloadType: 96, marker: true, sequence: UInt16(frame), timestamp: UInt32(frame * 3_600), ssrc: 1)
            let packet = header.packet(payload: [frame.isMultiple(of: 25) ? 0x65 : 0x41, 0x88, 1, 2, 3])
            bytes += RTPDumpRecord.serialized(packet: packet, isRTCP: false, milliseconds: UInt32(frame * 40)) ?? []
        }
        return bytes
    }
}

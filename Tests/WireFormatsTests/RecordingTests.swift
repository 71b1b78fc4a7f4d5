import Testing

@testable import WireFormats

@Suite struct RecordingTests {
    static let sdp = """
        v=0\r
        o=- 1 1 IN IP4 10.0.0.1\r
        s=x\r
        t=0 0\r
        a=range:npt=0-30.5\r
        m=video 0 RTP/AVP 96\r
        a=rtpmap:96 H264/90000\r
        m=audio 0 RTP/AVP 0\r

        """

    @Test func headReadsAsItWasWritten() throws {
        let head = RecordingHead(
            microseconds: 30_500_000, tracks: [.init(media: 0, clockRate: 90_000, base: .max), .init(media: 1, clockRate: 8_000, base: 0)],
            description: try SessionDescription(Self.sdp))
        #expect(try RecordingHead(head.serialized()) == head)
    }

    @Test(
        arguments: [
            "", "weir-recording 2\nlength 1\n\n", "weir-recording 1\n", "weir-recording 1\nlength -1\n\n",
            "weir-recording 1\nlength 1\n\nv=0\r\n",
            "weir-recording 1\nlength 1\ntrack 0 0 0\n\nv=0\r\nm=video 0 RTP/AVP 96\r\n",
            "weir-recording 1\nlength 1\ntrack 1 90000 0\n\nv=0\r\nm=video 0 RTP/AVP 96\r\n",
            "weir-recording 1\nlength 99999999999999999999\ntrack 0 90000 0\n\nv=0\r\nm=video 0 RTP/AVP 96\r\n",
        ])
    func headThatIsNone(text: String) {
        #expect(throws: RecordingError.self) { try RecordingHead(Array(text.utf8)) }
    }

    @Test(arguments: [(Int64(0), true), (-1, false), (RecordedPacket.microsecondsMax, true), (-RecordedPacket.microsecondsMax, false)])
    func recordReadsAsItWasWritten(time: Int64, isKey: Bool) throws {
        let packet = RTPHeader(payloadType: 96, marker: true, sequence: 7, timestamp: 8, ssrc: 9).packet(payload: [1, 2, 3])
        let record = try #require(RecordedPacket(track: 3, startsKeyFrame: isKey, microseconds: time, byteCount: packet.count))
        var bytes: [UInt8] = [0xFF]
        record.append(packet, to: &bytes)
        #expect(bytes.count == 1 + record.recordByteCount)
        let read = try RecordedPacket(bytes.span, at: 1)
        #expect(read == record)
        for count in 1..<(bytes.count) {
            let cut = Array(bytes[..<count])
            let none = try RecordedPacket(cut.span, at: 1)
            #expect(none == nil)
        }
    }

    @Test func recordsThatCannotBe() {
        #expect(RecordedPacket(track: 8, startsKeyFrame: false, microseconds: 0, byteCount: 12) == nil)
        #expect(RecordedPacket(track: 0, startsKeyFrame: false, microseconds: .min, byteCount: 12) == nil)
        #expect(RecordedPacket(track: 0, startsKeyFrame: false, microseconds: 0, byteCount: 11) == nil)
        #expect(RecordedPacket(track: 0, startsKeyFrame: false, microseconds: 0, byteCount: 65_536) == nil)
    }

    @Test func indexFindsTheKeyFrameAtOrBefore() throws {
        var index = RecordingIndex()
        #expect(index.place(for: 0) == nil)
        for number in 0..<5 {
            index.append(
                .init(microseconds: Int64(number) * 2_000_000 + 100, first: UInt64(number) * 1_000, keyFrame: UInt64(number) * 1_000 + 50))
        }
        // What goes back is no place.
        index.append(.init(microseconds: 3, first: 9_000, keyFrame: 9_000))
        index.latenessMicroseconds = 80_000
        index.endMicroseconds = 9_000_000
        let table: [(Int64, Int)] = [(-5, 0), (0, 0), (100, 0), (2_000_099, 0), (2_000_100, 1), (7_999_999, 3), (.max, 4)]
        for (time, place) in table { #expect(index.place(for: time) == index.entries[place]) }
        let bytes = index.serialized(behind: 10_000)
        let read = try RecordingIndex(bytes, behind: 10_000)
        #expect(read.entries == index.entries && read.latenessMicroseconds == 80_000 && read.endMicroseconds == 9_000_000)
        #expect(throws: RecordingError.self) { try RecordingIndex(bytes, behind: 9_999) }
        #expect(throws: RecordingError.self) { try RecordingIndex(Array(bytes.dropFirst()), behind: 10_001) }
    }

    @Test func indexStaysBounded() {
        var index = RecordingIndex()
        for number in 0..<(RecordingIndex.entriesMax * 3) {
            index.append(.init(microseconds: Int64(number), first: UInt64(number), keyFrame: UInt64(number)))
        }
        #expect(index.entries.count <= RecordingIndex.entriesMax)
        #expect(index.entries.first?.microseconds == 0)
        #expect((index.entries.last?.microseconds ?? 0) > Int64(RecordingIndex.entriesMax * 3 - 8))
    }
}

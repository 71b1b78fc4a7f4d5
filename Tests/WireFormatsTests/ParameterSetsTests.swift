import Testing

@testable import WireFormats

struct ParameterSetsTests {
    static let sps: [UInt8] = [0x67, 0x64, 0x00, 0x1F, 0xAC]
    static let pps: [UInt8] = [0x68, 0xEB, 0xE3]

    private func h264(_ lines: [String]) throws -> MediaDescription {
        let text =
            "v=0\r\ns=x\r\nm=video 0 RTP/AVP 96 97\r\na=rtpmap:96 H264/90000\r\n" + lines.map { $0 + "\r\n" }.joined() + "a=control:x\r\n"
        return try #require(try SessionDescription(text).media.first)
    }

    @Test(
        arguments: [
            ([], "96 packetization-mode=1;profile-level-id=64001F;sprop-parameter-sets=Z2QAH6w=,aOvj"),
            (["a=fmtp:96"], "96 packetization-mode=1;profile-level-id=64001F;sprop-parameter-sets=Z2QAH6w=,aOvj"),
            (
                ["a=fmtp:96 packetization-mode=0; profile-level-id=420029; x"],
                "96 packetization-mode=1;profile-level-id=64001F;x;sprop-parameter-sets=Z2QAH6w=,aOvj"
            ),
            (
                ["a=fmtp:97 apt=96", "a=fmtp:96 sprop-parameter-sets=Z0IAHukCwSh0,aM4xUg==; Packetization-Mode=2;"],
                "96 sprop-parameter-sets=Z2QAH6w=,aOvj;Packetization-Mode=2;profile-level-id=64001F"
            ),
        ] as [([String], String)])
    func areWrittenIntoTheFormat(lines: [String], expected: String) throws {
        var media = try h264(lines)
        media.setParameterSets(ParameterSets(codec: .h264, units: [Self.sps, Self.pps]))
        #expect(media.lines.attributes("fmtp").filter { $0.hasPrefix("96") } == [expected])
        #expect(media.lines.attributes("fmtp").count == max(lines.count, 1))
        #expect(media.parameterSets.sequence == [Self.sps] && media.parameterSets.picture == [Self.pps])
        #expect(media.control == "x" && media.codec == .h264)
    }

    @Test func ofH265HaveNamesOfTheirOwn() throws {
        var media = try #require(
            try SessionDescription("v=0\r\ns=x\r\nm=video 0 RTP/AVP 98\r\na=rtpmap:98 H265/90000\r\na=fmtp:98 tx-mode=SRST\r\n").media.first
        )
        let units: [[UInt8]] = [[0x40, 1, 2], [0x42, 1, 3], [0x44, 1, 4], [0x44, 1, 5], [0x26, 1, 9], [0x42, 1, 3]]
        media.setParameterSets(ParameterSets(codec: .h265, units: units))
        #expect(media.formatParameters(98) == "tx-mode=SRST;sprop-vps=QAEC;sprop-sps=QgED;sprop-pps=RAEE,RAEF")
        #expect(media.parameterSets.picture == [[0x44, 1, 4], [0x44, 1, 5]])
    }

    @Test func areReadWithStartCodesAndWithoutWhatIsNoBase64() throws {
        let media = try h264(["a=fmtp:96 sprop-parameter-sets=AAAAAWdkAB+s,%%%, aOvj"])
        #expect(media.parameterSets == ParameterSets(codec: .h264, units: [Self.sps, Self.pps]))
        #expect(try h264(["a=fmtp:96 sprop-parameter-sets="]).parameterSets.isEmpty)
    }

    @Test func stayOutOfOtherCodecs() throws {
        let before = try #require(try SessionDescription("v=0\r\ns=x\r\nm=audio 0 RTP/AVP 0\r\n").media.first)
        var after = before
        after.setParameterSets(ParameterSets(codec: .h264, units: [Self.sps]))
        #expect(after == before && after.parameterSets.isEmpty)
    }

    @Test func ofOneKindAreCompletedFromOlderOnes() {
        let old = ParameterSets(codec: .h264, units: [Self.sps, Self.pps])
        let new = ParameterSets(codec: .h264, units: [[0x67, 0x42, 0, 0x1E]])
        #expect(new.completed(from: old).picture == [Self.pps] && new.completed(from: old).sequence == new.sequence)
        #expect(old.holdsAll(of: ParameterSets(codec: .h264, units: [Self.pps])) && !old.holdsAll(of: new))
    }

    @Test(
        arguments: [
            ("96 H264/90000", "96 packetization-mode=2", true), ("96 H264/90000", "96 packetization-mode=1", false),
            ("96 H264/90000", "96", false), ("96 H265/90000", "96 sprop-max-don-diff=2", true),
            ("96 H265/90000", "96 sprop-max-don-diff=0", false), ("96 VP8/90000", "96 packetization-mode=2", false),
        ])
    func decodingOrderNumbersAreAnnounced(map: String, format: String, isSo: Bool) throws {
        let text = "v=0\r\ns=x\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:\(map)\r\na=fmtp:\(format)\r\n"
        #expect(try SessionDescription(text).media.first?.hasDecodingOrderNumbers == isSo)
    }

    // MARK: In the stream

    private func parts(_ codec: KeyFrameCodec, _ payload: [UInt8]) -> [String] {
        var parts = NALParts(codec: codec, payload: payload.span)
        var list: [String] = []
        while let part = parts.part(of: payload.span) {
            let marks = (part.isFirst ? "[" : "") + (part.isParameterSet(codec) ? "set" : part.isPicture(codec) ? "picture" : "other")
            list.append("\(marks) \(part.type) \(part.headerCount)+\(part.end - part.start)" + (part.isLast ? "]" : ""))
        }
        return list
    }

    @Test(
        arguments: [
            (.h264, [0x67, 1, 2], ["[set 7 0+3]"]), (.h264, [0x41, 1], ["[picture 1 0+2]"]), (.h264, [0x06, 1], ["[other 6 0+2]"]),
            (.h264, [0x78, 0, 2, 0x67, 1, 0, 1, 0x68, 0, 2, 0x65, 9], ["[set 7 0+2]", "[set 8 0+1]", "[picture 5 0+2]"]),
            (.h264, [0x78, 0, 2, 0x67, 1, 0, 9, 0x68], ["[set 7 0+2]"]), (.h264, [0x79, 0, 0, 0, 2, 0x67, 1], ["[set 7 0+2]"]),
            (.h264, [0x7C, 0x87, 1, 2, 3], ["[set 7 1+3"]), (.h264, [0x7C, 0x07, 1, 2], ["set 7 0+2"]),
            (.h264, [0x7C, 0x47, 1], ["set 7 0+1]"]), (.h264, [0x7D, 0x87, 0, 0, 5], ["[set 7 1+1"]), (.h264, [0x7D, 0x87], []),
            (.h264, [0x67], []), (.h264, [], []),
            (.h265, [0x42, 1, 2], ["[set 33 0+3]"]),
            (.h265, [0x60, 1, 0, 2, 0x40, 1, 0, 3, 0x26, 1, 9], ["[set 32 0+2]", "[picture 19 0+3]"]),
            (.h265, [0x62, 1, 0xA1, 7], ["[set 33 2+1"]), (.h265, [0x62, 1, 0x61, 7], ["set 33 0+1]"]),
            (.h265, [0x4E, 1, 2], ["[other 39 0+3]"]),
            (.jpeg, [1, 2, 3], []),
        ] as [(KeyFrameCodec, [UInt8], [String])])
    func areFoundInPayloads(codec: KeyFrameCodec, payload: [UInt8], expected: [String]) {
        #expect(parts(codec, payload) == expected)
        for length in payload.indices { _ = parts(codec, Array(payload.prefix(length))) }
    }
}

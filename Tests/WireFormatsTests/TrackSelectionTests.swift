import Testing

@testable import WireFormats

@Suite struct TrackSelectionTests {
    /// Media 0 video H.264, 1 audio AAC, 2 audio PCMU (a back channel in some), 3 application ONVIF, 4 a made-up kind.
    private static let sdp = """
        v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\nm=audio 0 RTP/AVP 97\r\n\
        a=rtpmap:97 MPEG4-GENERIC/48000/2\r\nm=AUDIO 0 RTP/AVP 0\r\nm=application 0 RTP/AVP 98\r\n\
        a=rtpmap:98 vnd.onvif.metadata/90000\r\nm=vibration 0 RTP/AVP 99\r\na=rtpmap:99 shaking/1000\r\n
        """

    @Test(arguments: [
        ("video", [0]), ("audio", [1, 2]), ("application", [3]), ("text", []), ("video,audio", [0, 1, 2]), (" Video , AUDIO ", [0, 1, 2]),
        ("h264", [0]), ("H.264", [0]), ("h265", []), ("hevc", []), ("aac", [1]), ("AAC", [1]), ("mpeg4-generic", [1]), ("pcmu", [2]),
        ("g711", [2]), ("onvif metadata", [3]), ("vnd.onvif.metadata", [3]), ("0", [0]), ("2", [2]), ("4", [4]), ("63", []),
        ("0,2", [0, 2]),
        ("no-audio", [0, 3, 4]), ("!audio", [0, 3, 4]), ("no-aac", [0, 2, 3, 4]), ("audio,no-pcmu", [1]), ("audio,!2", [1]),
        ("no-0,no-audio", [3, 4]), ("audio,audio", [1, 2]),
    ])
    func chooses(text: String, indices: [Int]) throws {
        let selection = try TrackSelection(text)
        let description = try SessionDescription(Self.sdp)
        #expect(description.media.indices.filter { selection.wants(description.media[$0], index: $0) } == indices)
        #expect(!selection.isAll)
        #expect(try TrackSelection(selection.description) == selection, "what it says of itself reads the same")
    }

    @Test func everythingIsWantedWithoutAWord() throws {
        let description = try SessionDescription(Self.sdp)
        #expect(TrackSelection().isAll && TrackSelection().description == "all")
        #expect(description.media.indices.allSatisfy { TrackSelection().wants(description.media[$0], index: $0) })
    }

    @Test(arguments: [
        ("", "it is empty"), (" ", "it is empty"), ("video,", "`` is no kind"), (",", "`` is no kind"), ("vidoe", "`vidoe` is no kind"),
        ("64", "`64` is no kind"), ("-1", "`-1` is no kind"), ("no-", "`` is no kind"), ("!", "`` is no kind"),
        ("video no-audio", "is no kind"),
        ("audio,no-audio", "`audio` is both wanted and left out"), ("!0,0", "`0` is both wanted and left out"),
        (String(repeating: "0,", count: 64) + "0", "it has more than 64 words"),
    ])
    func saysWhatIsWrong(text: String, words: String) {
        let trouble = #expect(throws: TrackSelection.Trouble.self) { try TrackSelection(text) }
        #expect(trouble?.description.contains(words) == true, "\(trouble?.description ?? "")")
    }

    @Test func everyNamedCodecCanBeNamed() throws {
        for codec in MediaCodec.allNamed {
            #expect(throws: Never.self, "\(codec.name)") { try TrackSelection(codec.name.filter(\.isASCII)) }
        }
    }
}

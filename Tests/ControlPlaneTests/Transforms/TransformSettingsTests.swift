import Testing
import WireFormats

@testable import ControlPlane

@Suite struct TransformSettingsTests {
    private func path(_ transform: String) throws(ConfigurationErrors) -> PathSettings {
        try Configuration.parse("paths:\n  cam:\n    source: publish\n    transform:\n\(transform)").paths[0]
    }

    @Test func rulesAreReadInOrder() throws {
        let path = try path(
            """
                  h265: { exec: 'ffmpeg -i $INPUT_SDP -f rtp "$OUTPUT_URL"', gives: H264/90000 packetization-mode=1 }
                  1:
                    exec: [sh, -c, 'gst-launch-1.0 < "$INPUT_SDP" | cat']
                    memory: 512MiB
                    cpu-time: 10m
                    open-files: 64
                    nice: 5
                    stop-wait: 500ms

            """)
        #expect(path.transforms.map(\.name) == ["h265", "1"])
        #expect(path.transforms[0].selector == .codec(.h265))
        #expect(path.transforms[0].command.words == ["ffmpeg", "-i", "$INPUT_SDP", "-f", "rtp", "$OUTPUT_URL"])
        #expect(path.transforms[0].gives?.map == "H264/90000")
        #expect(path.transforms[1].command.words == ["sh", "-c", #"gst-launch-1.0 < "$INPUT_SDP" | cat"#])
        #expect(path.transforms[1].memoryBytes == 512 << 20 && path.transforms[1].cpuSeconds == 600)
        #expect(path.transforms[1].openFiles == 64 && path.transforms[1].nice == 5 && path.transforms[1].stopMilliseconds == 500)
        #expect(path.transforms[1].gives == nil)
    }

    @Test(arguments: [
        ("      video: { exec: '' }", 5, "video.exec: it names no program"),
        ("      video: { gives: H264/90000 }", 5, "video: it has no `exec:`"),
        ("      video: { exec: 'a | b' }", 5, "video.exec: no shell reads it"),
        ("      video: { exec: 'a \"b' }", 5, "video.exec: a \" is opened and not closed"),
        ("      video: { exec: 'a b\\' }", 5, "video.exec: it ends with a \\"),
        ("      video: { exec: 'a $INPUT_SPD' }", 5, "video.exec: `$INPUT_SPD` is not known; did you mean `INPUT_SDP`?"),
        ("      video: { exec: [a, [b]] }", 5, "video.exec: a list of plain words"),
        ("      video: { exec: {a: b} }", 5, "video.exec: a command line or a list"),
        ("      video: { exec: a, gives: H264 }", 5, "video.gives: `H264` names no codec with its clock"),
        ("      video: { exec: a, gives: 200 H264/90000 }", 5, "video.gives: `200` is no payload type"),
        ("      video: { exec: a, gives: H264/0 }", 5, "video.gives: `H264/0` names no codec"),
        ("      video: { exec: a, nice: 20 }", 5, "video.nice: `20` is no whole number from 0 to 19"),
        ("      video: { exec: a, stop-wait: 6s }", 5, "video.stop-wait: `6s` is more"),
        ("      video: { exec: a, memory: lots }", 5, "video.memory: `lots` is no size"),
        ("      video: { exec: a, execs: b }", 5, "video.execs: unknown key; did you mean `exec`?"),
        ("      video: { use: stamp }", 5, "video.use: `stamp` names no transform; this program has no transforms of its own"),
        ("      video: { use: stamp, exec: a }", 5, "video: `exec` is for programs, and `use:` names a part of this one"),
        ("      video: { use: stamp, nice: 3 }", 5, "video: `nice` is for programs"),
        ("      video: { exec: a, queue: 64KiB }", 5, "video: `queue` is of use beside `use:` alone"),
        ("      video: { use: '' }", 5, "video.use: it names nothing"),
        ("      video: { use: stamp, queue: 1KiB }", 5, "video.queue: `1KiB` is not between 16KiB and 16MiB"),
        ("      vide: { exec: a }", 5, "vide: `vide` names no tracks; did you mean `video`?"),
        ("      99: { exec: a }", 5, "99: `99` names no tracks"),
    ])
    func whatIsWrongIsSaidWithItsPlace(text: String, line: Int, words: String) {
        let error = #expect(throws: ConfigurationErrors.self) { try path(text) }
        #expect(error?.description.hasPrefix("weir.yml:\(line): paths.cam.transform.\(words)") == true, "\(error?.description ?? "")")
    }

    @Test func codeIsNamedWhereItIsRegistered() throws {
        var extensions = RelayExtensions()
        extensions.transforms["stamp"] = { _ in throw TransformError.ended }
        func parse(_ rule: String) throws -> TransformRule? {
            try Configuration.parse(
                "paths:\n  cam:\n    source: publish\n    transform:\n      h264: \(rule)\n", extensions: extensions
            ).paths[0].transforms.first
        }
        let rule = try #require(try parse("{ use: stamp, queue: 1MiB, silence: 2s, start-wait: 3s, stop-wait: 1s }"))
        #expect(rule.use == "stamp" && rule.what == "stamp" && rule.queueBytes == 1 << 20)
        #expect(rule.silenceMilliseconds == 2_000 && rule.startMilliseconds == 3_000 && rule.stopMilliseconds == 1_000)
        let error = #expect(throws: ConfigurationErrors.self) { try parse("{ use: stam }") }
        #expect(error?.description.hasSuffix("h264.use: `stam` names no transform; did you mean `stamp`? (allowed: stamp)") == true)
    }

    /// Only the file can name a program.
    @Test func theEnvironmentCannotNameAProgram() {
        for name in ["WEIR_PATHS_CAM_TRANSFORM", "WEIR_PATHS_CAM_TRANSFORM_VIDEO_EXEC"] {
            #expect(throws: ConfigurationErrors.self) {
                try Configuration.parse("paths:\n  cam:\n    source: publish\n", environment: [name: "touch /tmp/x"])
            }
        }
    }

    @Test(arguments: [
        (#"a  b\ c 'd e' "f \" $X" ''"#, ["a", "b c", "d e", #"f " $X"#, ""]),
        ("a'b'\"c\"d", ["abcd"]),
        ("a 'b\\c'", ["a", "b\\c"]),
        ("a\n  b\tc\n", ["a", "b", "c"]),
        ("ffmpeg *.mp4 $HOME `id` $(id)", ["ffmpeg", "*.mp4", "$HOME", "`id`", "$(id)"]),
    ])
    func linesAreSplitAsAShellWould(line: String, words: [String]) throws {
        #expect(try ProgramCommand(line: line).words == words)
    }

    @Test func whatIsFilledInStaysOneWord() throws {
        let command = try ProgramCommand(checking: ["/usr/bin/x", "$INPUT_SDP", "a${OUTPUT_RTP_PORT}b", "$HOME", "100$", "${X"])
        #expect(command.words { _ in "a b'; c" } == ["/usr/bin/x", "a b'; c", "aa b'; cb", "$HOME", "100$", "${X"])
        #expect(command.programName == "x")
        #expect(throws: ValueProblem.self) { try ProgramCommand(checking: Array(repeating: "a", count: 257)) }
        #expect(throws: ValueProblem.self) { try ProgramCommand(checking: ["a\0b"]) }
    }
}

@Suite struct GivenMediaTests {
    @Test(arguments: [
        ("H264/90000", 96, "H264/90000", ""),
        ("97 mpeg4-generic/48000/2 streamtype=5; mode=AAC-hbr", 97, "mpeg4-generic/48000/2", "streamtype=5; mode=AAC-hbr"),
        ("PCMA/8000", 8, "PCMA/8000", ""), ("opus/48000/2", 96, "opus/48000/2", ""), ("96 PCMA/8000", 96, "PCMA/8000", ""),
    ])
    func isReadFromWords(text: String, type: UInt8, map: String, parameters: String) throws {
        #expect(try GivenMedia(text) == GivenMedia(kind: nil, payloadType: type, map: map, parameters: parameters))
    }

    private func read(_ text: String) throws(ValueProblem) -> GivenMedia? { try GivenMedia.read(Array(text.utf8)) }

    @Test func isReadFromAProgramsSDPWhenThatIsWhole() throws {
        let text =
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 5000 RTP/AVP 101\r\na=rtpmap:101 H264/90000\r\na=fmtp:101 a=b; c\r\n"
        #expect(try read(text) == GivenMedia(kind: "video", payloadType: 101, map: "H264/90000", parameters: "a=b; c"))
        #expect(try read("") == nil)
        #expect(try read(String(text.dropLast(3))) == nil)
        #expect(try read("v=0\r\n") == nil)
        #expect(throws: ValueProblem.self) { try read(text + "m=audio 6000 RTP/AVP 0\r\n") }
        #expect(throws: ValueProblem.self) { try read("v=0\r\nm=video 5000 RTP/AVP 101\r\n") }
        #expect(throws: ValueProblem.self) { try read("nonsense\n") }
    }

    @Test func takesThePlaceOfTheSourcesCodecAndOfNothingElse() throws {
        let source = try Descriptions.description([
            "m=video 0 RTP/AVP 96\r\nb=AS:900\r\na=rtpmap:96 H265/90000\r\na=fmtp:96 sprop-vps=x\r\na=framerate:25\r\na=label:1\r\na=control:a"
        ])
        let media = try GivenMedia("97 H264/90000 packetization-mode=1").replacing(source.media[0])
        #expect(media.kind == "video" && media.formats == ["97"] && media.codec == .h264)
        #expect(
            media.lines.map { String(decoding: $0.bytes, as: UTF8.self) } == [
                "label:1", "control:a", "rtpmap:97 H264/90000", "fmtp:97 packetization-mode=1",
            ])
    }
}

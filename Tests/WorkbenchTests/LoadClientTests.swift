import Foundation
import Testing

@testable import Workbench

/// The load client against an origin whose mistakes are known.
@Suite(.serialized)
struct LoadClientTests {
    private func run(
        _ script: ScriptedOrigin.Script, sessions: Int = 24, transport: ReaderTransport = .udp, userInfo: String = "",
        change: (inout LoadOptions) -> Void = { _ in }
    ) throws -> LoadReport {
        let origin = try ScriptedOrigin(script)
        defer { origin.stop() }
        var options = LoadOptions(url: origin.url(userInfo))
        options.sessions = sessions
        options.transport = transport
        options.duration = 2
        options.settling = 0.3
        options.joinTimeout = 10
        options.serverProcess = getpid()
        change(&options)
        return try LoadClient.run(options)
    }

    private let packetsPerSecond = ScriptedOrigin.framesPerSecond * Double(ScriptedOrigin.packetsPerFrame)

    @Test(arguments: ReaderTransport.allCases, [false, true])
    func seesNoLossWhereThereIsNone(transport: ReaderTransport, receiveGRO: Bool) throws {
        let report = try run(.init(), transport: transport) { $0.receiveGRO = receiveGRO }
        #expect(report.playing == 24)
        #expect((report.lost, report.duplicates, report.reordered, report.lossySessions) == (0, 0, 0, 0))
        #expect(report.receiverDrops == 0)
        #expect(report.exitStatus == 0)
        #expect(abs(report.packetsPerSecond / (24 * packetsPerSecond) - 1) < 0.15)
        #expect(abs((report.realTimeRatio ?? 0) - 1) < 0.1)
        #expect((report.join?.p50 ?? 0) > 0)
        #expect((report.serverMicrosecondsPerPacket ?? 0) > 0)
        #expect((report.serverResidentMiB ?? 0) > 1)
        let lateness = try #require(report.lateness)
        #expect(lateness.p50 < 20)
        #expect(report.sink == (transport == .tcp ? .parse : (try? CountingFilter()) == nil ? .cbpf : .ebpf))
    }

    @Test(arguments: ReaderTransport.allCases)
    func countsEveryMistake(transport: ReaderTransport) throws {
        let script = ScriptedOrigin.Script(
            isDropped: { $0 % 20 == 3 }, isSentTwice: { $0 % 20 == 9 }, isSwapped: { $0 % 20 == 14 })
        let report = try run(script, transport: transport)
        #expect(report.playing == 24)
        #expect(report.exitStatus == 3)
        #expect(report.lossySessions == 24)
        // Of twenty numbers one is dropped, one comes twice, one comes late; the window's edges may cut a round of each session.
        let rounds = Double(report.packets) / 20
        #expect(abs(Double(report.lost) - rounds) <= 24 + rounds * 0.02)
        #expect(abs(Double(report.duplicates) - rounds) <= 24 + rounds * 0.02)
        #expect(abs(Double(report.reordered) - rounds) <= 24 + rounds * 0.02)
    }

    @Test func losesNothingThatCameBeforePlayWasAnswered() throws {
        let report = try run(.init(playAnswerDelay: 1), sessions: 4)
        #expect(report.playing == 4)
        #expect(report.lost == 0)
        // The first packet was there long before the answer.
        #expect((report.join?.p99 ?? .infinity) < 900)
    }

    @Test(arguments: ReaderTransport.allCases)
    func showsAServerThatFallsBehind(transport: ReaderTransport) throws {
        let report = try run(.init(speed: 0.5), sessions: 4, transport: transport)
        #expect(report.lost == 0)
        #expect(abs((report.realTimeRatio ?? 0) - 0.5) < 0.1)
        // Two seconds at half the speed: half a second of media late in the middle.
        #expect((report.lateness?.p50 ?? 0) > 200)
    }

    @Test func comparesWithASource() throws {
        let source = try ScriptedOrigin()
        defer { source.stop() }
        let report = try run(.init(isDropped: { $0 % 2 == 0 }), sessions: 4) { $0.source = source.url() }
        #expect(abs((report.realTimeRatio ?? 0) - 0.5) < 0.1)
    }

    @Test func throwsTCPAwayBeyondTheSample() throws {
        let report = try run(.init(), sessions: 40, transport: .tcp) { $0.parsedSessionsMax = 0 }
        #expect(report.sink == .trunc)
        #expect(report.playing == 40)
        #expect(report.lossySessions == 0)
        #expect(abs(report.packetsPerSecond / (40 * packetsPerSecond) - 1) < 0.15)
    }

    @Test func joinsNoFasterThanAsked() throws {
        let start = Date()
        let report = try run(.init(), sessions: 10) {
            $0.joinsPerSecond = 10
            $0.duration = 0.1
            $0.settling = 0
        }
        #expect(report.playing == 10)
        #expect(Date().timeIntervalSince(start) > 0.9)
    }

    @Test func logsIn() throws {
        let script = ScriptedOrigin.Script(credentials: "viewer:pass word")
        #expect(try run(script, sessions: 2, userInfo: "viewer:pass%20word@").playing == 2)
        let refused = try run(script, sessions: 2, userInfo: "viewer:wrong@")
        #expect(refused.playing == 0)
        #expect(refused.exitStatus == 1)
        #expect(refused.failures.keys.contains { $0.contains("refuses") && !$0.contains("wrong") })
        #expect(try run(script, sessions: 1).failures.keys.contains { $0.contains("name and a password") })
    }
}

struct ProbeTests {
    @Test(arguments: [false, true])
    func tellsTracksRatesAndKeyFrames(refusesTCP: Bool) throws {
        let origin = try ScriptedOrigin(.init(refusesTCP: refusesTCP))
        defer { origin.stop() }
        var options = ProbeOptions(source: origin.url())
        options.duration = 2
        let report = try Probe.run(options)
        #expect(report.transport == (refusesTCP ? "udp" : "tcp"))
        #expect(report.description.hasPrefix("v=0\r\n"))
        let track = try #require(report.tracks.first)
        #expect(report.tracks.count == 1)
        #expect((track.kind, track.codec, track.clockRate, track.payloadType, track.lost) == ("video", "H.264", 90_000, 96, 0))
        #expect(abs((track.framesPerSecond ?? 0) - 25) < 3)
        // 488 bytes of payload a hundred times a second.
        #expect(abs((track.bitsPerSecond ?? 0) / 390_400 - 1) < 0.15)
        #expect(abs((track.keyFrameSeconds ?? 0) - 0.4) < 0.001)
        #expect(report.json.line.contains(#""key_frame_interval_s":0.4"#))
    }

    @Test func readsARecording() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "weir-probe-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let name = folder.appending(path: "clip").path
        try Data(Recording.description.utf8).write(to: URL(fileURLWithPath: name + ".sdp"))
        try Data(Recording.dump(seconds: 4)).write(to: URL(fileURLWithPath: name + ".rtpdump"))
        var options = ProbeOptions(source: name + ".rtpdump")
        options.duration = 60
        let track = try #require(try Probe.run(options).tracks.first)
        #expect(track.packets == 100)
        #expect(track.lost == 0)
        #expect(track.keyFrames == 4)
        #expect(track.keyFrameSeconds == 1)
    }

    @Test func missingFilesAndOtherNamesAreNamed() {
        let missing = #expect(throws: WorkbenchError.self) { try Probe.run(ProbeOptions(source: "/nowhere/clip.rtpdump")) }
        #expect(missing?.description.contains("/nowhere/clip.sdp") == true)
        let other = #expect(throws: WorkbenchError.self) { try Probe.run(ProbeOptions(source: "clip.mp4")) }
        #expect(other?.kind == .usage)
    }
}

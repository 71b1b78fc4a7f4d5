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
        #expect(report.running.playing == 24)
        #expect((report.running.lost, report.running.duplicates, report.running.reordered, report.running.lossySessions) == (0, 0, 0, 0))
        #expect(report.running.receiverDrops == 0)
        #expect(report.exitStatus == 0)
        #expect(abs(report.packetsPerSecond / (24 * packetsPerSecond) - 1) < 0.15)
        #expect(abs((report.realTimeRatio ?? 0) - 1) < 0.1)
        #expect((report.join?.p50 ?? 0) > 0)
        #expect((report.serverMicrosecondsPerPacket ?? 0) > 0)
        #expect((report.serverResidentMiB ?? 0) > 1)
        let lateness = try #require(report.lateness)
        #expect(lateness.p50 < 20)
        // Sampled readers of TCP, all of UDP where the filter may be used.
        #expect(report.spreadReaders == (report.sink == .ebpf ? 24 : 16))
        // The scripted origin sends to each reader from a thread of its own: packets are alike in number, not in time.
        #expect(report.spread != nil)
        #expect(report.joiners == nil)
        #expect(report.processes == 1)
        #expect(report.clientCores > 0)
        #expect(report.sink == (transport == .tcp ? .parse : (try? CountingFilter()) == nil ? .cbpf : .ebpf))
    }

    @Test(arguments: ReaderTransport.allCases)
    func countsEveryMistake(transport: ReaderTransport) throws {
        let script = ScriptedOrigin.Script(
            isDropped: { $0 % 20 == 3 }, isSentTwice: { $0 % 20 == 9 }, isSwapped: { $0 % 20 == 14 })
        let report = try run(script, transport: transport)
        #expect(report.running.playing == 24)
        #expect(report.exitStatus == 3)
        #expect(report.running.lossySessions == 24)
        // Of twenty numbers one is dropped, one comes twice, one comes late; the window's edges may cut a round of each session.
        let rounds = Double(report.running.packets) / 20
        #expect(abs(Double(report.running.lost) - rounds) <= 24 + rounds * 0.02)
        #expect(abs(Double(report.running.duplicates) - rounds) <= 24 + rounds * 0.02)
        #expect(abs(Double(report.running.reordered) - rounds) <= 24 + rounds * 0.02)
    }

    @Test func losesNothingThatCameBeforePlayWasAnswered() throws {
        let report = try run(.init(playAnswerDelay: 1), sessions: 4)
        #expect(report.running.playing == 4)
        #expect(report.running.lost == 0)
        // The first packet was there long before the answer.
        #expect((report.join?.p99 ?? .infinity) < 900)
    }

    @Test(arguments: ReaderTransport.allCases)
    func showsAServerThatFallsBehind(transport: ReaderTransport) throws {
        let report = try run(.init(speed: 0.5), sessions: 4, transport: transport)
        #expect(report.running.lost == 0)
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
        #expect(report.running.playing == 40)
        #expect(report.running.lossySessions == 0)
        #expect(abs(report.packetsPerSecond / (40 * packetsPerSecond) - 1) < 0.15)
    }

    @Test func joinsNoFasterThanAsked() throws {
        let start = Date()
        let report = try run(.init(), sessions: 10) {
            $0.joinsPerSecond = 10
            $0.duration = 0.1
            $0.settling = 0
        }
        #expect(report.running.playing == 10)
        #expect(Date().timeIntervalSince(start) > 0.9)
    }

    @Test func logsIn() throws {
        let script = ScriptedOrigin.Script(credentials: "viewer:pass word")
        #expect(try run(script, sessions: 2, userInfo: "viewer:pass%20word@").running.playing == 2)
        let refused = try run(script, sessions: 2, userInfo: "viewer:wrong@")
        #expect(refused.running.playing == 0)
        #expect(refused.exitStatus == 1)
        #expect(refused.failures.keys.contains { $0.contains("refuses") && !$0.contains("wrong") })
        #expect(try run(script, sessions: 1).failures.keys.contains { $0.contains("name and a password") })
    }

    @Test(arguments: ReaderTransport.allCases)
    func keepsJoinersApart(transport: ReaderTransport) throws {
        let report = try run(.init(), sessions: 8, transport: transport) {
            $0.joiners = 20
            $0.joinsPerSecond = 20
        }
        #expect((report.running.sessions, report.running.playing, report.running.lost) == (8, 8, 0))
        #expect(abs(report.packetsPerSecond / (8 * packetsPerSecond) - 1) < 0.15)
        let joiners = try #require(report.joiners)
        #expect((joiners.sessions, joiners.playing, joiners.lost) == (20, 20, 0))
        #expect(joiners.joinMilliseconds.count == 20)
        #expect((report.joinersJoin?.p99 ?? .infinity) < 1_000)
        // They come over the first second of two.
        #expect(abs(Double(joiners.packets) / (20 * packetsPerSecond * 1.5) - 1) < 0.3)
        #expect(abs((report.joinsPerSecond ?? 0) / 20 - 1) < 0.2)
        #expect(report.exitStatus == 0)
    }

    @Test func joinersLossIsNotTheOthers() throws {
        // A session's first two seconds are the window of a joiner; who joined before is beyond them.
        let report = try run(.init(isDropped: { $0 < 150 && $0 % 20 == 3 }), sessions: 4) {
            $0.joiners = 10
            $0.joinsPerSecond = 20
            $0.settling = 2
        }
        #expect(report.running.lost == 0)
        #expect(report.running.lossySessions == 0)
        #expect((report.joiners?.lost ?? 0) >= 10)
        #expect(report.joiners?.lossySessions == 10)
        #expect(report.exitStatus == 3)
    }

    @Test func sharesOneRTCPPort() throws {
        let report = try run(.init(), sessions: 6) { $0.sharesRTCPPort = true }
        #expect(report.running.playing == 6)
        #expect(report.exitStatus == 0)
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

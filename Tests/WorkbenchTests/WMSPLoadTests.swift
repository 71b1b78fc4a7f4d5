import Foundation
import Testing
import WireFormats

@testable import Workbench

/// The load client of Windows Media against a server whose mistakes are known.
@Suite(.serialized)
struct WMSPLoadTests {
    private func run(
        _ script: ScriptedMediaServer.Script = .init(), sessions: Int = 24, seconds: Int = 60, userInfo: String = "",
        change: (inout LoadOptions) -> Void = { _ in }
    ) throws -> (report: LoadReport, positions: [Int]) {
        let server = try ScriptedMediaServer(script, seconds: seconds)
        defer { server.stop() }
        var options = LoadOptions(url: server.url(userInfo))
        options.sessions = sessions
        options.transport = .tcp
        options.duration = 2
        options.settling = 0.3
        options.joinTimeout = 10
        options.serverProcess = getpid()
        change(&options)
        let report = try LoadClient.run(options)
        return (report, server.positions.withLock { $0 })
    }

    @Test(arguments: [
        ScriptedMediaServer.Script(), .init(isChunked: true), .init(segmentBytes: 7), .init(isChunked: true, segmentBytes: 61),
        .init(runsOn: true), .init(redirection: "/elsewhere"), .init(headerAgainAfter: 40),
    ])
    func seesNoLossWhereThereIsNone(script: ScriptedMediaServer.Script) throws {
        let report = try run(script).report
        #expect(report.running.playing == 24)
        #expect((report.running.lost, report.running.duplicates, report.running.reordered, report.running.lossySessions) == (0, 0, 0, 0))
        #expect(report.failures == [:])
        #expect(report.exitStatus == 0)
        #expect(abs(report.packetsPerSecond / (24 * ScriptedMediaServer.packetsPerSecond) - 1) < 0.15)
        if script.headerAgainAfter == nil { #expect(abs((report.realTimeRatio ?? 0) - 1) < 0.15) }
        #expect((report.join?.p50 ?? 0) > 0)
        #expect((report.serverNanosecondsPerByte ?? 0) > 0)
        #expect((report.lateness?.p50 ?? .infinity) < 30)
        #expect((report.behind?.p50 ?? .infinity) < 60)
        #expect(report.spreadReaders == 16)
        #expect(report.sink == .parse)
        // Framing and the packets, and no more.
        let bytes = Double(report.running.packets) * Double(ScriptedMediaServer.packetBytes + WMSPFraming.dataHeadBytes)
        #expect(Double(report.running.bytes) / bytes > 0.97 && Double(report.running.bytes) / bytes < 1.06)
        #expect(report.json["protocol"] == .text("wmsp") && report.json["transport"] == .text("http"))
    }

    @Test(arguments: [false, true])
    func countsEveryMistake(isChunked: Bool) throws {
        let report = try run(.init(isDropped: { $0 % 10 == 3 }, isSentTwice: { $0 % 10 == 7 }, isChunked: isChunked)).report
        #expect(report.running.playing == 24)
        #expect(report.exitStatus == 3)
        #expect(report.running.lossySessions == 24)
        let rounds = Double(report.running.packets) / 10
        #expect(abs(Double(report.running.lost) - rounds) <= 24 + rounds * 0.02)
        #expect(abs(Double(report.running.duplicates) - rounds) <= 24 + rounds * 0.02)
    }

    @Test func showsAServerThatFallsBehind() throws {
        let report = try run(.init(speed: 0.5), sessions: 4).report
        #expect(report.running.lost == 0)
        #expect(abs((report.realTimeRatio ?? 0) - 0.5) < 0.1)
        #expect((report.lateness?.p50 ?? 0) > 200)
        // One second and more behind the first packet at the end.
        #expect((report.behind?.max ?? 0) > 900)
    }

    @Test(arguments: [
        (WMSPReason.done, "came to its end"), (.serverUnavailable, "0xC00D2EE6"), (nil, "closed the connection"),
    ])
    func tellsWhyMediaEnded(_ test: (reason: WMSPReason?, words: String)) throws {
        let report = try run(.init(end: (20, test.reason)), sessions: 4) { $0.settling = 0 }.report
        #expect(report.running.playing == 0)
        #expect(report.exitStatus == 1)
        #expect(report.failures.values.reduce(0, +) == 4)
        #expect(report.failures.keys.allSatisfy { $0.contains(test.words) })
        #expect(report.json["failures"]?[report.failures.keys.first ?? ""] == .integer(4))
    }

    @Test func logsIn() throws {
        let script = ScriptedMediaServer.Script(credentials: "viewer:pass word")
        #expect(try run(script, sessions: 2, userInfo: "viewer:pass%20word@").report.running.playing == 2)
        let refused = try run(script, sessions: 2, userInfo: "viewer:wrong@").report
        #expect(refused.running.playing == 0 && refused.exitStatus == 1)
        #expect(refused.failures.keys.contains { $0.contains("refuses") && !$0.contains("wrong") })
    }

    @Test func spreadsOverAFile() throws {
        let result = try run(sessions: 10) { $0.positions = .spread }
        #expect(result.report.running.playing == 10)
        #expect(result.report.running.lost == 0)
        // 60 s, of which the run wants 7.3 and the joining a little.
        let places = result.positions.sorted()
        #expect(places.count == 10 && Set(places).count == 10)
        #expect(places.first.map { $0 < 4_000 } == true && places.last.map { $0 > 45_000 && $0 < 54_000 } == true)
        let short = try run(sessions: 2, seconds: 5) { $0.positions = .spread }.report
        #expect(short.running.playing == 0)
        #expect(short.failures.keys.contains { $0.contains("longer file") })
    }

    @Test func keepsJoinersApart() throws {
        let report = try run(sessions: 8) {
            $0.joiners = 20
            $0.joinsPerSecond = 20
        }.report
        #expect((report.running.sessions, report.running.playing, report.running.lost) == (8, 8, 0))
        let joiners = try #require(report.joiners)
        #expect((joiners.sessions, joiners.playing, joiners.lost) == (20, 20, 0))
        #expect((report.joinersJoin?.p99 ?? .infinity) < 1_000)
    }

    @Test(arguments: [
        ([0x25, 0x44, 8, 0], "where a packet"), ([0x24, 0x45 + 0x10, 4, 0], "kind 85"), ([0x24, 0x44, 3, 0, 1, 2, 3], "no packet"),
        ([0x24, 0x50, 0xF8, 1, 0, 0, 0, 0], "kind 80"),
    ])
    func whatIsNoPacketIsNamed(_ test: (bytes: [UInt8], words: String)) throws {
        var walk = WMSPWalk()
        let error = #expect(throws: WorkbenchError.self) { _ = try walk.take(test.bytes.span) { _ in } }
        #expect(error?.description.contains(test.words) == true)
    }

    @Test func walksAsTheParserReads() throws {
        let media = try #require(TestASF(seconds: 2, bitRate: 400_000, packetBytes: 1_400))
        var body = WMSPFraming.metadata(Array("x".utf8)) + WMSPFraming.header(media.header)
        for (number, packet) in media.packets.enumerated() {
            body += try #require(WMSPFraming.data(packet, locationID: UInt32(number), nextFollows: number % 3 == 0))
        }
        body += WMSPFraming.streamChange() + WMSPFraming.endOfStream(.entryDone) + WMSPFraming.endOfStream(.done)
        var parser = WMSPParser()
        parser.append(body)
        var wanted: [WMSPWalk.Step] = []
        while let packet = try parser.next() {
            switch packet.kind {
            case .data:
                let time = try ASFPacket(packet.payload.span, packetBytes: 1_400).sendTime
                wanted.append(.data(number: packet.locationID, sendTime: time, bytes: packet.payload.count))
            case .header: wanted.append(.header)
            case .endOfStream where packet.reason == .done: wanted.append(.end(.done))
            default: break
            }
        }
        #expect(wanted.count == media.packets.count + 2)
        for step in [1, 3, 12, 47, 1_000, body.count] {
            var walk = WMSPWalk()
            var found: [WMSPWalk.Step] = []
            var rest: [UInt8] = []
            for start in stride(from: 0, to: body.count, by: step) {
                rest += body[start..<min(start + step, body.count)]
                let used = try walk.take(rest.span) { found.append($0) }
                rest.removeFirst(used)
            }
            #expect(found == wanted && rest.isEmpty)
        }
    }

    @Test func whatIsMeasuredWithIsAFile() throws {
        let media = try #require(TestASF(seconds: 3, bitRate: 1_000_000, packetBytes: 3_200))
        let header = try ASFHeader(media.header.span)
        #expect(header.flaws.isEmpty && header.packetBytes == 3_200 && header.file.contentMilliseconds == 3_000)
        #expect(header.file.fileBytes == UInt64(media.file.count))
        #expect(abs(Double(media.packets.count * 3_200 * 8) / 3 / 1e6 - 1) < 0.01)
        var scan = ASFScan(header: header)
        let file = ASFFile(header: header, fileBytes: UInt64(media.file.count))
        let bytes = media.file
        file.take(0..<file.packetCount, into: &scan) { offset, count in Array(bytes[Int(offset)..<min(Int(offset) + count, bytes.count)]) }
        #expect(scan.packets == UInt64(media.packets.count) && scan.brokenPackets == 0 && scan.backwardSendTimes == 0)
        #expect(scan.streams[1]?.objects == 90 && scan.streams[1]?.keyObjects == 3)
    }
}

/// What a probe tells of the same server.
struct WMSPProbeTests {
    private func probe(_ script: ScriptedMediaServer.Script = .init(), seconds: Int = 60, duration: Double = 1.5) throws -> JSONValue {
        let server = try ScriptedMediaServer(script, seconds: seconds)
        defer { server.stop() }
        var options = ProbeOptions(source: server.url())
        options.duration = duration
        return try Probe.examine(options).json
    }

    @Test(arguments: [ScriptedMediaServer.Script(), .init(isChunked: true), .init(runsOn: true), .init(redirection: "/elsewhere")])
    func tellsWhatIsOffered(script: ScriptedMediaServer.Script) throws {
        let json = try probe(script)
        #expect(json["server"] == .text("Cougar/9.01.01.3814") && json["features"] == .array([.text("seekable")]))
        #expect(json["seekable"] == .boolean(true) && json["broadcast"] == .boolean(false) && json["playlist"] == .boolean(false))
        #expect(json["duration"] == .number(60) && json["header"]?["packet_bytes"] == .integer(500))
        guard case .array(let streams) = json["streams"], let stream = streams.first else { throw WorkbenchError("no streams") }
        #expect(streams.count == 1 && stream["codec"] == .text("WMV2") && stream["width"] == .integer(320))
        #expect(json["played"]?["lost"] == .integer(0) && json["played"]?["ended"] == .null)
        guard case .number(let rate) = stream["bit_rate_seen"] else { throw WorkbenchError("no rate") }
        #expect(abs(rate / 145_000 - 1) < 0.25)
    }

    @Test func countsWhatIsMissingAndSaysWhyItEnded() throws {
        let json = try probe(.init(isDropped: { $0 % 10 == 3 }, end: (20, .done)))
        #expect(json["played"]?["lost"] == .integer(2) && json["played"]?["ended"] == .text("the media came to its end"))
    }

    @Test func nobodyThereIsNamed() throws {
        let held = try DatagramSocket(at: Endpoint(host: "127.0.0.1", port: 0))
        let error = #expect(throws: WorkbenchError.self) { try Probe.examine(ProbeOptions(source: "mmsh://127.0.0.1:\(held.port)/x")) }
        #expect(error?.description.contains("onnect") == true)
    }
}

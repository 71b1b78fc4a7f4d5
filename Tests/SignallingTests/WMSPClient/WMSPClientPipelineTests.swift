import Testing
import WireFormats

@testable import Signalling

extension WMSPClientScript {
    /// What a server says that would pipeline.
    static let offering = [
        "Server: Cougar/9.01.01.3814", "Supported: com.microsoft.wm.sswitch, com.microsoft.wm.predstrm",
        "Pragma: no-cache, client-id=99, pipeline-experiment=1, features=\"seekable,stridable,playlist,skipbackward,skipforward\"",
        "Pragma: timeout=60000, playlist-gen-id=7",
    ]
    static let chunked = ["Transfer-Encoding: chunked"]

    static func modern(_ lines: [String], status: String = "200 OK") -> [UInt8] {
        Array((["HTTP/1.1 \(status)"] + lines).map { $0 + "\r\n" }.joined().utf8) + [13, 10]
    }

    static func describe(_ lines: [String] = offering, version: String = "HTTP/1.1") -> [UInt8] {
        let body = metadata(7) + WMSPFraming.header(WMSPSample.headerBytes)
        let head = (["\(version) 200 OK"] + lines + ["Content-Length: \(body.count)", "", ""]).joined(separator: "\r\n")
        return Array(head.utf8) + body
    }

    static func metadata(_ id: UInt32) -> [UInt8] {
        WMSPFraming.metadata(WMSPMetadata(playlistGenID: id, features: [.seekable, .playlist, .skipForward, .skipBackward]).serialized())
    }

    static let testAnswer = modern(["Pragma: no-cache, client-id=99"] + chunked) + ChunkedCoding.chunk(WMSPFraming.pipelineTest)

    static func testResult(_ result: String = "1") -> [UInt8] {
        ChunkedCoding.end
            + modern(["Pragma: no-cache, client-id=99, pipeline-result=\(result)", "Content-Length: 0"], status: "204 No Content")
    }

    /// The beginning of a chunked body of media.
    static func media(_ packets: [UInt8]) -> [UInt8] { modern(offering + chunked) + ChunkedCoding.chunk(packets) }

    static let logged = modern(["Pragma: no-cache, client-id=99", "Content-Length: 0"], status: "204 No Content")
    static let empty = modern(["Pragma: no-cache, client-id=99", "Content-Length: 0"])
    static let entryChange =
        WMSPFraming.endOfStream(.entryDone) + WMSPFraming.streamChange() + metadata(8)
        + WMSPFraming.header(WMSPSample.headerBytes(streams: [3]))

    /// A packet of 128 bytes that is due then.
    static func data(_ number: UInt32, at time: UInt32) -> [UInt8] {
        var packet: [UInt8] = [0x82, 0, 0, 0x00, 0x5D]
        for shift in [0, 8, 16, 24] { packet.append(UInt8(truncatingIfNeeded: time >> UInt32(shift))) }
        packet += [0, 0]
        return WMSPFraming.data(packet + [UInt8](repeating: 1, count: 117), locationID: number) ?? []
    }

    /// One that plays, pipelined, and got its packet 40.
    static func pipelined(_ url: String = "mmsh://relay.example:8080/live?x=1", change: (inout WMSPClient.Settings) -> Void = { _ in })
        throws -> WMSPClientScript
    {
        var script = try WMSPClientScript(url) {
            $0.offersPipelining = true
            change(&$0)
        }
        script.start()
        script.receive(describe())
        script.play()
        script.receive(testAnswer)
        script.receive(testResult())
        script.receive(media(metadata(7) + WMSPFraming.header(WMSPSample.headerBytes) + data(40)))
        return script
    }
}

/// Everything over one connection ([MS-WMSP] 4.5.2, 4.8).
@Suite struct WMSPClientPipelineTests {
    private let header = WMSPFraming.header(WMSPSample.headerBytes)
    private let next = WMSPSample.headerBytes(streams: [3])

    /// A playlist of two entries from beginning to end, and the session behind it: the order of the document.
    @Test(arguments: [1, 13, 100_000]) func aPlaylistOverOneConnection(step: Int) throws {
        var script = try WMSPClientScript { $0.offersPipelining = true }
        let asked = script.start().text()
        #expect(
            asked.contains("Pragma: version11-enabled=1\r\nPragma: pipeline-experiment=1\r\n") && asked.contains("Connection: Keep-Alive"))
        let described = script.receive(WMSPClientScript.describe(), step: step)
        #expect(described.count == 1 && script.client.deadline == nil)
        let tested = script.play()
        #expect(tested.count == 2 && tested.text().components(of: "Pragma: pipeline-request=1\r\n") == 2)
        #expect(script.receive(WMSPClientScript.testAnswer, step: step).isEmpty)
        let played = script.receive(WMSPClientScript.testResult(), step: step)
        #expect(played.count == 1 && played.text().contains("xPlayStrm=1") && played.text().contains("version11-enabled=1"))
        #expect(played.text().contains("client-id=99") && played.text().contains("playlist-gen-id=7"))
        let body = WMSPClientScript.metadata(7) + header + WMSPClientScript.data(40) + WMSPClientScript.data(41)
        #expect(script.receive(WMSPClientScript.media(body), step: step).packetNumbers == [40, 41])

        // The next entry is predicted: its packets come before anything is answered.
        let change = script.receive(
            ChunkedCoding.chunk(WMSPClientScript.entryChange) + ChunkedCoding.chunk(WMSPClientScript.data(0)), step: step)
        #expect(change.first == .entryEnded && change.packetNumbers == [0] && !change.contains(.connect(.feedback)))
        let said = change.text()
        let log = said.firstRange(of: "x-wms-LogStats"), entry = said.firstRange(of: "xPlayNextEntry=1")
        #expect(try #require(log).lowerBound < #require(entry).lowerBound)
        #expect(said.contains("<c-pkts-received>2<") && said.contains("stream-switch-entry=ffff:3:0"))
        #expect(
            said.contains("playlist-gen-id=8\r\n") && said.contains("client-lag=0\r\n") && said.hasSuffix("Connection: Keep-Alive\r\n\r\n"))
        #expect(script.receive(ChunkedCoding.chunk(WMSPClientScript.data(1)), step: step).packetNumbers == [1])
        #expect(script.receive(ChunkedCoding.end + WMSPClientScript.logged, step: step).isEmpty)
        let gone = script.receive(WMSPClientScript.media(WMSPClientScript.data(2)), step: step)
        #expect(gone.packetNumbers == [2] && script.client.deadline == nil)

        let ended = script.receive(ChunkedCoding.chunk(WMSPFraming.endOfStream(.done)) + ChunkedCoding.end, step: step)
        #expect(ended.last == .ended(.done) && ended.text().contains("<c-pkts-received>3<") && ended.count == 2)
        #expect(script.receive(WMSPClientScript.logged, step: step).isEmpty && script.client.deadline == script.now + 30_000)
        script.now += 30_000
        let kept = script.run { $0.timeElapsed(now: $1) }.text()
        #expect(kept.hasPrefix("OPTIONS * HTTP/1.1\r\n") && kept.contains("Pragma: client-id=99\r\n") && !kept.contains("no-cache,"))
        #expect(script.receive(WMSPClientScript.empty, step: step).isEmpty)
        #expect(script.run { $0.leave(now: $1) } == [.close(.media), .left])
        #expect(script.actions.filter { if case .connect = $0 { true } else { false } } == [.connect(.media)])
    }

    /// Who cannot, or on the way to whom somebody cannot, is asked as ever: a Play over a new connection, and nothing of pipelining in it.
    @Test(arguments: [
        ("no offer", ["Server: Cougar/9.1", "Pragma: client-id=99"], "HTTP/1.1"),
        ("HTTP/1.0", WMSPClientScript.offering + ["Connection: Keep-Alive"], "HTTP/1.0"),
        ("closes", WMSPClientScript.offering + ["Connection: close"], "HTTP/1.1"),
        ("old proxy", WMSPClientScript.offering + ["Via: 1.1 a, 1.0 b (c)"], "HTTP/1.1"),
        ("old proxy, its own way", WMSPClientScript.offering + ["Via: HTTP/1.0 WMCacheProxy"], "HTTP/1.1"),
    ])
    func notOffered(what: String, lines: [String], version: String) throws {
        var script = try WMSPClientScript { $0.offersPipelining = true }
        script.start()
        #expect(script.receive(WMSPClientScript.describe(lines, version: version)).last == .close(.media))
        let played = script.play()
        #expect(played.first == .connect(.media) && played.text().contains("xPlayStrm=1") && !played.text().contains("version11"))
        #expect(played.text().contains("Connection: close"))
    }

    @Test(arguments: [
        "result 0", "no result", "refused", "second refused", "no $T", "answers are no HTTP", "closed", "silent", "late", "closes",
    ])
    func testsThatFail(how: String) throws {
        var script = try WMSPClientScript { $0.offersPipelining = true }
        script.start()
        script.receive(WMSPClientScript.describe())
        script.play()
        let refused = WMSPClientScript.modern(["Content-Length: 0"], status: "400 Bad Request")
        let done: [WMSPClient.Action]
        switch how {
        case "result 0": done = script.receive(WMSPClientScript.testAnswer + WMSPClientScript.testResult("0"))
        case "no result": done = script.receive(WMSPClientScript.testAnswer + ChunkedCoding.end + WMSPClientScript.logged)
        case "refused": done = script.receive(refused)
        case "second refused": done = script.receive(WMSPClientScript.testAnswer + ChunkedCoding.end + refused)
        case "no $T": done = script.receive(WMSPClientScript.modern(WMSPClientScript.chunked) + WMSPClientScript.testResult())
        case "answers are no HTTP": done = script.receive(Array("RTSP/1.0 200 OK\r\n\r\n".utf8))
        case "closed": done = script.close()
        case "silent", "late":
            if how == "late" { script.receive(WMSPClientScript.testAnswer) }
            script.now += WMSPClient.pipelineTestMilliseconds
            done = script.run { $0.timeElapsed(now: $1) }
        default: done = script.receive(WMSPClientScript.modern(WMSPClientScript.chunked + ["Connection: close"]))
        }
        #expect(done.prefix(2) == [.close(.media), .connect(.media)], "\(done)")
        #expect(done.text().contains("xPlayStrm=1") && !done.text().contains("version11-enabled") && !done.text().contains("pipeline"))
        // As ever: the entry's end is told over connections of its own.
        script.receive(WMSPClientScript.head(WMSPClientScript.cougar) + header + WMSPClientScript.data(0))
        #expect(script.receive(WMSPClientScript.entryChange).contains(.connect(.feedback)))
    }

    /// A connection that the server closes while nothing was asked over it is none that failed.
    @Test func closedBehindTheDescribe() throws {
        var script = try WMSPClientScript { $0.offersPipelining = true }
        script.start()
        script.receive(WMSPClientScript.describe())
        #expect(script.close() == [.close(.media)])
        #expect(script.play().text().contains("xPlayStrm=1"))
    }

    /// A Play whose body ends with the connection leaves nothing to be asked behind it.
    @Test func aPlayWithoutChunks() throws {
        var script = try WMSPClientScript { $0.offersPipelining = true }
        script.start()
        script.receive(WMSPClientScript.describe())
        script.play()
        script.receive(WMSPClientScript.testAnswer + WMSPClientScript.testResult())
        script.receive(WMSPClientScript.modern(WMSPClientScript.offering + ["Connection: close"]) + header + WMSPClientScript.data(0))
        let change = script.receive(WMSPClientScript.entryChange)
        #expect(change.contains(.connect(.feedback)) && change.text(.feedback).contains("LogStats"))
    }

    @Test(arguments: ["refused", "no answer", "other bytes", "cut in a packet", "not asked for"])
    func serversThatBreakTheirWord(how: String) throws {
        var script = try WMSPClientScript.pipelined()
        script.receive(ChunkedCoding.chunk(WMSPClientScript.entryChange))
        let done: [WMSPClient.Action]
        switch how {
        case "refused":
            done = script.receive(
                ChunkedCoding.end + WMSPClientScript.logged + WMSPClientScript.modern(["Content-Length: 0"], status: "400 Bad Request"))
        case "no answer":
            script.now += 10_000
            done = script.run { $0.timeElapsed(now: $1) }
        case "other bytes": done = script.receive(ChunkedCoding.end + Array("?\r\n\r\n".utf8))
        case "cut in a packet": done = script.receive(ChunkedCoding.chunk([0x24, 0x44]) + ChunkedCoding.end)
        default:
            done = script.receive(
                ChunkedCoding.end + WMSPClientScript.logged + WMSPClientScript.media(WMSPClientScript.data(0)) + ChunkedCoding.end
                    + WMSPClientScript.empty)
        }
        let failure = try #require(done.failure)
        // A body that ends too early is a connection that breaks; the others are known not to be able to do it.
        #expect(script.client.pipeliningFailed == (how != "not asked for"), "\(failure)")
        #expect(script.client.deadline == nil && done.contains(.close(.media)))
    }

    /// What was written before the answer comes before it, however long that takes: up to a minute.
    @Test func mediaOnTheWayIsWaitedFor() throws {
        var script = try WMSPClientScript.pipelined()
        script.receive(ChunkedCoding.chunk(WMSPClientScript.entryChange))
        let since = script.now
        for number in 0..<12 {
            script.now += 6_000
            guard script.now < since + WMSPClient.continuationMilliseconds else { break }
            #expect(script.run { $0.timeElapsed(now: $1) }.isEmpty)
            script.receive(ChunkedCoding.chunk(WMSPClientScript.data(UInt32(number))))
        }
        #expect(script.client.deadline == since + WMSPClient.continuationMilliseconds)
        script.now = since + WMSPClient.continuationMilliseconds
        #expect(script.run { $0.timeElapsed(now: $1) }.failure == .noAnswer("PlayNextEntry", milliseconds: 10_000))
    }

    @Test func theHeaderMayBeRepeated() throws {
        var script = try WMSPClientScript.pipelined()
        script.receive(ChunkedCoding.chunk(WMSPClientScript.entryChange + WMSPClientScript.data(0)))
        script.receive(ChunkedCoding.end + WMSPClientScript.logged)
        let again = WMSPClientScript.metadata(8) + WMSPFraming.header(next) + WMSPClientScript.data(1)
        let gone = script.receive(WMSPClientScript.media(again))
        #expect(gone.count == 1 && gone.packetNumbers == [1])
        // Later it is another matter.
        let later = script.receive(ChunkedCoding.chunk(WMSPFraming.header(next)))
        #expect(later == [.headerChanged(next, nil, isNextEntry: false)])
    }

    /// Entries shorter than the way there and back: each is answered in its turn.
    @Test func entriesFollowFasterThanAnswers() throws {
        var script = try WMSPClientScript.pipelined()
        script.receive(ChunkedCoding.chunk(WMSPClientScript.entryChange + WMSPClientScript.data(0)))
        let third =
            WMSPFraming.endOfStream(.entryDone) + WMSPFraming.streamChange() + WMSPClientScript.metadata(9)
            + WMSPFraming.header(WMSPSample.headerBytes(streams: [4]))
        #expect(script.receive(ChunkedCoding.chunk(third)).text().contains("stream-switch-entry=ffff:4:0"))
        let answers =
            ChunkedCoding.end + WMSPClientScript.logged + WMSPClientScript.media(WMSPClientScript.data(0)) + ChunkedCoding.end
            + WMSPClientScript.logged + WMSPClientScript.media(WMSPClientScript.data(1))
        #expect(script.receive(answers).packetNumbers == [0, 1] && script.client.deadline == nil)
        for _ in 0..<WMSPClient.expectedMax { script.receive(ChunkedCoding.chunk(third)) }
        guard case .malformed = script.actions.failure else { Issue.record("requests without end"); return }
    }

    @Test func otherStreamsInMidPlay() throws {
        var script = try WMSPClientScript.pipelined()
        let asked = script.run { $0.select(WMSPSelection(keyFramesOnly: [1]), now: $1) }.text()
        #expect(asked.hasPrefix("GET /live?x=1 HTTP/1.1\r\n") && asked.contains("stream-switch-entry=ffff:1:1"))
        #expect(asked.contains("version11-enabled=1") && !asked.contains("xPlay"))
        let answer = ChunkedCoding.chunk(WMSPClientScript.data(41)) + ChunkedCoding.end + WMSPClientScript.media(WMSPClientScript.data(42))
        #expect(script.receive(answer).packetNumbers == [41, 42] && script.client.deadline == nil)
    }

    /// Between two Plays servers close connections. The session goes on without: over others, and the next Play is pipelined as before.
    @Test(arguments: ["closed", "silent", "closes"]) func theConnectionMayGo(how: String) throws {
        var script = try WMSPClientScript.pipelined()
        script.run { $0.stop(now: $1) }
        script.receive(ChunkedCoding.end + WMSPClientScript.empty)
        switch how {
        case "closed":
            script.receive(WMSPClientScript.logged)
            #expect(script.close() == [.close(.media)])
        case "silent":
            script.now += 10_000
            #expect(script.run { $0.timeElapsed(now: $1) } == [.close(.media)])
        default:
            let last = WMSPClientScript.modern(["Content-Length: 0", "Connection: close"], status: "204 No Content")
            #expect(script.receive(last) == [.close(.media)])
        }
        script.now += 30_000
        #expect(script.run { $0.timeElapsed(now: $1) }.text(.feedback).contains("xKeepAliveInPause=1"))
        script.receive(WMSPClientScript.head([]), .feedback)
        let played = script.play()
        #expect(played.first == .connect(.media) && played.text().contains("version11-enabled=1") && played.text().contains("client-id=99"))
        script.receive(WMSPClientScript.media(header + WMSPClientScript.data(0)))
        #expect(script.receive(ChunkedCoding.chunk(WMSPClientScript.entryChange)).text().contains("xPlayNextEntry=1"))
    }

    /// [MS-WMSP] 4.8: Stop, Log, Play; what was on its way before the Stop was heard is none of the new Play's.
    @Test func seeks() throws {
        var script = try WMSPClientScript.pipelined()
        let asked = script.play(from: .packet(7)).text()
        let places = ["xStopStrm=1", "LogStats", "packet-num=7,"].map { asked.firstRange(of: $0)?.lowerBound }
        #expect(places.allSatisfy { $0 != nil } && places.compactMap { $0 } == places.compactMap { $0 }.sorted())
        #expect(script.receive(ChunkedCoding.chunk(WMSPClientScript.data(41) + WMSPFraming.endOfStream(.done))).isEmpty)
        #expect(script.receive(ChunkedCoding.end + WMSPClientScript.empty + WMSPClientScript.logged).isEmpty)
        let media = script.receive(WMSPClientScript.media(header + WMSPClientScript.data(7)))
        #expect(media.first == .playing(header: WMSPSample.headerBytes, nil) && media.packetNumbers == [7])
        let stopped = script.run { $0.stop(now: $1) }.text()
        #expect(stopped.contains("xStopStrm=1") && stopped.contains("LogStats"))
        #expect(script.receive(ChunkedCoding.end + WMSPClientScript.empty + WMSPClientScript.logged).isEmpty)
        #expect(script.play().text().contains("xPlayStrm=1"))
        #expect(script.receive(WMSPClientScript.media(header + WMSPClientScript.data(0))).packetNumbers == [0])
    }

    @Test(arguments: [true, false]) func leaving(isAnswered: Bool) throws {
        var script = try WMSPClientScript.pipelined()
        let asked = script.run { $0.leave(now: $1) }
        #expect(asked.count == 2 && asked.text().contains("xStopStrm=1") && asked.text().contains("LogStats"))
        if isAnswered {
            #expect(script.receive(ChunkedCoding.chunk(WMSPClientScript.data(41)) + ChunkedCoding.end + WMSPClientScript.empty).isEmpty)
            #expect(script.receive(WMSPClientScript.logged) == [.close(.media), .left])
        } else {
            script.now += WMSPClient.leaveMilliseconds
            #expect(script.run { $0.timeElapsed(now: $1) } == [.close(.media), .left])
        }
    }

    /// Requests that were on the way when the first was refused are made again, and cost no attempt.
    @Test func passwordsThatWearOut() throws {
        var script = try WMSPClientScript.pipelined("mmsh://user:secret@h/a")
        script.receive(ChunkedCoding.chunk(WMSPClientScript.entryChange))
        let challenge =
            WMSPClientScript.modern(
                ["WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"", "Content-Length: 2"], status: "401 Unauthorized") + [33, 33]
        let first = script.receive(ChunkedCoding.end + challenge).text()
        #expect(first.contains("LogStats") && first.contains("Authorization: Digest username=\"user\""))
        let second = script.receive(challenge).text()
        #expect(second.contains("xPlayNextEntry=1") && second.contains("nc=") == first.contains("nc="))
        #expect(script.receive(WMSPClientScript.logged + WMSPClientScript.media(WMSPClientScript.data(0))).packetNumbers == [0])
    }

    @Test func events() throws {
        var script = try WMSPClientScript.pipelined()
        script.client.subscriptions = [.log]
        // Events go over connections of their own, and say no session's words ([MS-WMSP] 3.1.4.11).
        let event = script.run { $0.send(RemoteEvent(kind: .log), now: $1) }
        #expect(event.first == .connect(.feedback) && event.text().isEmpty)
    }

    /// What servers say, in any order, now and then with bytes changed and in pieces, with anything asked for in between: it fails with words,
    /// or goes on, and waits for nothing without end.
    @Test(arguments: 0..<8) func anythingMayCome(seed: UInt64) throws {
        var dice = SplitMix(seed: seed)
        let words = [
            WMSPClientScript.describe(), WMSPClientScript.testAnswer, WMSPClientScript.testResult(), WMSPClientScript.testResult("0"),
            WMSPClientScript.media(WMSPClientScript.metadata(7) + header + WMSPClientScript.data(0)), ChunkedCoding.end,
            ChunkedCoding.chunk(WMSPClientScript.data(1)), ChunkedCoding.chunk(WMSPClientScript.entryChange),
            ChunkedCoding.end + WMSPClientScript.logged + WMSPClientScript.media(WMSPClientScript.data(2)), WMSPClientScript.empty,
            WMSPClientScript.logged, ChunkedCoding.chunk(WMSPFraming.endOfStream(.done)),
            WMSPClientScript.modern(["WWW-Authenticate: Basic realm=\"r\"", "Content-Length: 0"], status: "401 Unauthorized"),
        ]
        for _ in 0..<300 {
            var script = Bool.random(using: &dice) ? try WMSPClientScript.pipelined() : try WMSPClientScript { $0.offersPipelining = true }
            script.start()
            for _ in 0..<Int.random(in: 1...12, using: &dice) {
                var bytes = words.randomElement(using: &dice) ?? []
                if Int.random(in: 0..<6, using: &dice) == 0, !bytes.isEmpty {
                    bytes[Int.random(in: 0..<bytes.count, using: &dice)] = UInt8.random(in: 0...255, using: &dice)
                }
                script.receive(bytes, step: Int.random(in: 1...900, using: &dice))
                script.now += UInt64.random(in: 0...4_000, using: &dice)
                switch Int.random(in: 0..<14, using: &dice) {
                case 0: script.close()
                case 1: script.play(from: .packet(UInt64.random(in: 0...UInt64.max, using: &dice)))
                case 2: script.run { $0.stop(now: $1) }
                case 3: script.run { $0.leave(now: $1) }
                case 4: script.run { $0.select(WMSPSelection(keyFramesOnly: [1]), now: $1) }
                case 5, 6: script.run { $0.timeElapsed(now: $1) }
                case 7, 8, 9: script.play()
                default: break
                }
                let client = script.client
                #expect(client.media.expected.count <= WMSPClient.expectedMax)
                #expect(client.deadline != nil || !client.media.expected.contains { $0.exchange.carriesMedia }, "\(client.phase)")
            }
            let ends = script.actions.count { action in
                if case .failed(let failure) = action { return !failure.description.isEmpty }
                return action == .left
            }
            #expect(ends == (script.client.phase == .over ? 1 : 0))
        }
    }

    /// The beginning of each entry comes faster than it is played. What is more than is meant to be buffered is told.
    @Test func whatComesTooEarlyIsTold() throws {
        var script = try WMSPClientScript.pipelined { $0.lagMillisecondsMax = 5_000 }
        var lags: [String] = []
        for entry in 1...6 {
            // 4 s of media in 3 s, the sample's preroll being 1 s.
            for step in 0...8 {
                script.receive(ChunkedCoding.chunk(WMSPClientScript.data(UInt32(step), at: UInt32(step * 500))))
                // Of another stream, and a little behind.
                script.receive(ChunkedCoding.chunk(WMSPClientScript.data(UInt32(step), at: UInt32(max(step * 500 - 300, 0)))))
                script.now += step < 8 ? 375 : 0
            }
            let said = script.receive(ChunkedCoding.chunk(WMSPClientScript.entryChange)).text()
            let found = said.firstRange(of: "client-lag=").map { String(said[$0.upperBound...].prefix { $0.isNumber }) }
            lags.append(try #require(found))
            script.receive(ChunkedCoding.end + WMSPClientScript.logged + WMSPClientScript.media([]))
            _ = entry
        }
        #expect(lags == ["0", "1000", "2000", "3000", "4000", "5000"])
    }

    /// Not pipelined, the choice is told behind the log: what came of the entry meanwhile is not counted.
    @Test func whatComesBeforeTheChoiceIsToldIsNotCounted() throws {
        var script = try WMSPClientScript()
        script.start()
        script.receive(WMSPClientScript.describe(WMSPClientScript.offering + ["Connection: close"]))
        script.play()
        script.receive(WMSPClientScript.modern(WMSPClientScript.offering + ["Connection: close"]) + header)
        for step in 0...6 { script.receive(WMSPClientScript.data(UInt32(step), at: UInt32(step * 500))) }
        script.receive(WMSPClientScript.entryChange)
        for step in 0...6 { script.receive(WMSPClientScript.data(UInt32(step), at: UInt32(step * 500))) }
        // 3 s at once, of which 1 s is meant to be buffered.
        #expect(script.receive(WMSPClientScript.logged, .feedback).text(.feedback).contains("client-lag=2000\r\n"))
    }
}

extension String {
    /// How often a text is in it.
    func components(of text: String) -> Int {
        var count = 0
        var rest = self[...]
        while let range = rest.firstRange(of: text) {
            count += 1
            rest = rest[range.upperBound...]
        }
        return count
    }
}

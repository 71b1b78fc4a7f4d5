import Testing
import WireFormats

@testable import Signalling

/// Media from any place, again and again, and what a cache asks beside it.
@Suite struct MSRTSPClientPlayingTests {
    private static let terms = ["Cache-Control: max-age=86399, public, proxy-revalidate", "Etag: \"7\"", "Last-Modified: yesterday"]

    private func ready(_ position: WMSPPosition = .beginning, haste: MSRTSPClient.Haste? = nil) throws -> MSRTSPClientScript {
        var script = try MSRTSPClientScript("rtsp://origin.example/vod") {
            $0.asksContentInfo = false
            $0.carriesOn = false
        }
        script.answer(
            "200 OK", Self.terms + ["Content-Type: application/sdp", "Supported: com.microsoft.wm.fastcache"],
            body: try MSRTSPClientScript.sdp())
        #expect(
            script.client.terms
                == ContentTerms(cacheControl: ["max-age=86399, public, proxy-revalidate"], etag: "\"7\"", lastModified: "yesterday"))
        script.take(script.client.setUp(.interleaved, from: position, haste: haste, now: script.now))
        script.answer("200 OK", [MSRTSPClientScript.session, MSRTSPClientScript.transport(0x1001, tcp: true)])
        return script
    }

    private func packet(_ sequence: UInt16) -> [UInt8] {
        let rtp: [UInt8] = [0x80, 0xE0, UInt8(sequence >> 8), UInt8(truncatingIfNeeded: sequence), 0, 0, 0, 0, 0, 0, 0x10, 0x01, 1, 2, 3]
        return [0x24, 0, 0, UInt8(rtp.count)] + rtp
    }

    private func packets(_ script: MSRTSPClientScript) -> Int {
        script.events.count { if case .packet = $0 { true } else { false } }
    }

    @Test(arguments: [
        (WMSPPosition.beginning, "npt=0.000-"), (.time(milliseconds: 61_500), "npt=61.500-"),
        (.packet(4_000_000_000), "x-asf-packet=4000000000-"),
    ]) func aPlace(position: WMSPPosition, text: String) throws {
        var script = try ready(
            position, haste: .init(burst: MSRTSPRate(milliseconds: 9_000, bitsPerSecond: 8_000_000), speed: "100.0"))
        let sent = script.request()
        let play = try #require(sent)
        #expect(play.method == .play && play.headers["Range"] == text)
        #expect(play.headers["Speed"] == "100.0" && play.headers["X-Burst-Streaming"] == "BurstDuration=9000;BurstBandwidth=8000000")
    }

    /// PAUSE, the log, PLAY; what comes before the answer is of the play before.
    @Test func elsewhere() throws {
        var script = try ready()
        script.answer("200 OK", ["RTP-Info: url=rtsp://origin.example/vod/audio;seq=100"])
        script.answer()
        script.receive(packet(100))
        #expect(packets(script) == 1)
        script.take(script.client.play(from: .packet(7), now: script.now))
        let asked = [script.request(), script.request(), script.request()].compactMap { $0 }
        #expect(asked.map(\.method) == [.pause, .setParameter, .play] && asked.last?.headers["Range"] == "x-asf-packet=7-")
        script.receive(packet(101))
        #expect(packets(script) == 1 && script.client.isStale)
        // An end of what played before is none of this.
        script.ask("SET_PARAMETER rtsp://x RTSP/1.0", ["X-Notice: 2101 \"End-of-Stream Reached\""])
        func number(_ request: RTSPRequest) -> String { request.headers.cseq ?? "" }
        for request in asked.dropLast() { script.receive("RTSP/1.0 200 OK\r\nCSeq: \(number(request))\r\n\r\n") }
        #expect(packets(script) == 1)
        script.events = []
        script.receive("RTSP/1.0 200 OK\r\nCSeq: \(number(asked[2]))\r\nRTP-Info: url=rtsp://origin.example/vod/audio;seq=300\r\n\r\n")
        script.receive(packet(300))
        #expect(packets(script) == 1 && script.events.media?.streams == [0x1001: 300])
        // And its own end is one.
        script.events = []
        script.ask("SET_PARAMETER rtsp://x RTSP/1.0", ["X-Notice: 2101 \"End-of-Stream Reached\""])
        script.take(script.client.drained(.init(), now: script.now))
        #expect(script.events.contains(.ended) && script.client.deadline != nil)
        // After which it plays again.
        script.sent = []
        script.take(script.client.play(from: .beginning, now: script.now))
        #expect(script.request()?.method == .play)
    }

    @Test func stoppedAndPlayedAgain() throws {
        var script = try ready()
        script.answer("200 OK")
        script.answer()
        script.take(script.client.stop(.init(), now: script.now))
        #expect(script.request()?.method == .pause)
        script.receive(packet(100))
        #expect(packets(script) == 0)
        script.sent = []
        script.take(script.client.play(from: .time(milliseconds: 1_000), now: script.now))
        #expect(script.answer("200 OK")?.headers["Range"] == "npt=1.000-")
        script.receive(packet(200))
        #expect(packets(script) == 1)
    }

    @Test func aConnectionThatBreaksIsNotCarriedOn() throws {
        var script = try ready()
        script.answer("200 OK")
        script.answer()
        script.now += 60_000
        script.close()
        #expect(script.events.failure == .connectionLost)
    }

    /// Whoever does not take what is sent does not take answers either.
    @Test func whatIsHeldIsNotReminded() throws {
        var script = try ready()
        script.answer("200 OK")
        script.answer()
        script.client.isHeld = true
        script.sent = []
        for _ in 0..<5 { script.elapse(milliseconds: 31_000) }
        #expect(script.sent.isEmpty && script.events.failure == nil)
        script.client.isHeld = false
        script.elapse(milliseconds: 31_000)
        #expect(script.request()?.method == .getParameter)
    }

    private func asking(_ errand: MSRTSPClient.Errand = .contentInfo, change: (inout MSRTSPClient.Settings) -> Void = { _ in }) throws
        -> MSRTSPClientScript
    {
        try MSRTSPClientScript("rtsp://origin.example/vod") {
            $0.userAgent = "WMCacheProxy/9.00.00.1234"
            $0.errand = errand
            change(&$0)
        }
    }

    @Test func whatAnOriginSaysOfAFile() throws {
        var script = try asking {
            $0.player = ("WMPlayer/9.0.0.2980", "DESCRIBE")
            $0.maxForwards = 0
        }
        let answered = script.answer("200 OK", Self.terms)
        let asked = try #require(answered)
        #expect(asked.method == .getParameter && asked.headers["Content-Type"] == "application/x-wms-getcontentinfo" && asked.body == [0])
        #expect(asked.headers["X-Proxy-Client-Agent"] == "WMPlayer/9.0.0.2980" && asked.headers["X-Proxy-Client-Verb"] == "DESCRIBE")
        #expect(asked.headers["Max-Forwards"] == "0")
        #expect(script.events == [.connect, .left] && script.client.terms?.etag == "\"7\"")
    }

    @Test(arguments: ["200 OK", "451 Parameter Not Understood", "501 Not Implemented", "404 Not Found"]) func describedInstead(
        answer: String
    ) throws {
        var script = try asking()
        script.answer(answer)
        #expect(
            script.answer("200 OK", Self.terms + ["Content-Type: application/sdp"], body: try MSRTSPClientScript.sdp())?.method == .describe
        )
        #expect(script.events.last == .described && script.client.terms?.lastModified == "yesterday")
        #expect(script.client.contentHeader == WMSPSample.headerBytes && script.client.contentFeatures == .broadcast)
    }

    @Test func silenceEndsIt() throws {
        var script = try asking()
        script.elapse(milliseconds: 3_000)
        #expect(script.events.failure == .noAnswer(.getParameter, seconds: 3))
    }

    @Test func aChallengeIsReported() throws {
        var script = try asking()
        script.answer("401 Unauthorized", ["WWW-Authenticate: Basic realm=\"r\""])
        guard case .unauthorized? = script.events.failure else { return #expect(Bool(false), "\(script.events)") }
        #expect(script.client.challenge == PassedChallenge(status: 401, lines: ["Basic realm=\"r\""]))
        var passing = try asking { $0.authorization = "Digest uri=\"rtsp://origin.example/vod\", response=\"1\"" }
        #expect(passing.request()?.headers["Authorization"]?.hasPrefix("Digest uri=") == true && passing.client.wasChallenged)
    }

    @Test(arguments: [("200 OK", true), ("400 Bad Request", false), ("454 Session Not Found", false)]) func anEvent(
        status: String, isTaken: Bool
    ) throws {
        var script = try asking(.event(RemoteEvent(kind: .open)))
        let answered = script.answer(status)
        let told = try #require(answered)
        #expect(told.method == .setParameter && String(decoding: told.body, as: UTF8.self) == "1\r\n1,28,0\r\n")
        #expect(told.headers["Content-Type"]?.hasPrefix("application/x-wms-sendevent") == true && told.headers.session == nil)
        #expect(script.events.contains(.left) == isTaken && (script.events.failure != nil) != isTaken)
        var broken = try asking(.event(RemoteEvent(kind: .open)))
        broken.close()
        #expect(broken.events.failure == .connectionLost)
    }
}

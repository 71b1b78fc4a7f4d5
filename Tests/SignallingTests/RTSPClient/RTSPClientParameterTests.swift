import Testing
import WireFormats

@testable import Signalling

/// What readers ask a source passes through its session.
struct RTSPClientParameterTests {
    private static let question = ParameterRequest(method: .getParameter, contentType: "text/parameters", body: Array("zoom\r\n".utf8))

    private func playing(_ url: String = "rtsp://cam.example/live") throws -> ClientScript {
        var script = try ClientScript(url)
        script.play()
        script.events = []
        return script
    }

    private func answers(_ script: ClientScript) -> [Int: RTSPStatus?] {
        var found: [Int: RTSPStatus?] = [:]
        for case .answered(let number, let response) in script.events { found[number] = .some(response?.status) }
        return found
    }

    @Test func goesThereAndComesBack() throws {
        var script = try playing()
        script.take(script.client.pass(7, Self.question, now: script.now))
        let asked = script.request()
        let request = try #require(asked)
        #expect(request.method == .getParameter && request.body == Self.question.body && request.headers["Session"] == "12")
        #expect(request.headers.contentType == "text/parameters")
        // The engine reads the connection, and hands up what stands between the frames.
        let text =
            "RTSP/1.0 200 OK\r\nCSeq: \(request.headers.cseq ?? "")\r\nContent-Type: text/parameters\r\nContent-Length: 8\r\n\r\nzoom: 3\n"
        let (consumed, actions) = script.client.receiveText(Array(text.utf8), now: script.now)
        script.take(actions)
        #expect(consumed == text.utf8.count)
        guard case .answered(7, let response?)? = script.events.first else { throw Nothing() }
        #expect(response.status == .ok && response.body == Array("zoom: 3\n".utf8))
    }

    private struct Nothing: Error {}

    @Test(arguments: ["501 Not Implemented", "455 Method Not Valid", "451 x", "454 Session Not Found", "302 Found"])
    func anAnswerChangesNothing(_ status: String) throws {
        var script = try playing()
        script.take(script.client.pass(1, Self.question, now: script.now))
        script.answer(status, "Location: rtsp://elsewhere/\r\n")
        #expect(answers(script) == [1: RTSPStatus(code: UInt16(status.prefix(3)) ?? 0)])
        #expect(script.events.count == 1)
    }

    @Test func aRefusedLoginIsTheReadersAlone() throws {
        var script = try ClientScript("rtsp://u:p@cam.example/live")
        let challenge = "WWW-Authenticate: Digest realm=\"x\", nonce=\"1\"\r\n"
        script.answer("401 Unauthorized", challenge)
        script.play()
        script.events = []
        script.take(script.client.pass(1, Self.question, now: script.now))
        script.answer("401 Unauthorized", challenge)
        script.answer("401 Unauthorized", challenge)
        #expect(answers(script) == [1: .unauthorized])
        #expect(script.events.count == 1)
    }

    @Test func aLateAnswerIsNobodyElses() throws {
        var script = try playing()
        script.take(script.client.pass(1, Self.question, now: script.now))
        let asked = script.request()
        let first = try #require(asked)
        script.elapse(seconds: 6)
        #expect(answers(script) == [1: nil])
        script.events = []
        script.take(script.client.pass(2, Self.question, now: script.now))
        script.receive("RTSP/1.0 200 OK\r\nCSeq: \(first.headers.cseq ?? "")\r\n\r\n")
        #expect(answers(script).isEmpty)
        // As many are remembered as may be.
        for number in 3..<40 {
            script.take(script.client.pass(number, Self.question, now: script.now))
            script.elapse(seconds: 6)
        }
        #expect(script.client.outstanding.count { $0.request == .abandoned } <= RTSPClient.abandonedMax)
        #expect(script.client.passed.isEmpty)
    }

    @Test func nothingIsAskedBeforeTheSourceIsThere() throws {
        var script = try ClientScript()
        script.take(script.client.pass(1, Self.question, now: script.now))
        #expect(answers(script) == [1: nil])
    }
}

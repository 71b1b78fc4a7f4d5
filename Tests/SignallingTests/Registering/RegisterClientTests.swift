import Testing
import WireFormats

@testable import Signalling

struct RegisterClientTests {
    private func client(password: Bool = false, isOurs: Bool = false) -> RegisterClient {
        var settings = RegisterClient.Settings(
            url: "rtsp://10.0.0.2:8554/cam", header: RegisterHeader(reusesConnection: true, delivery: .interleaved, suffix: "door"),
            credentials: password ? Credentials(user: "cam", password: "secret") : nil
        ) { "nonce" }
        settings.isOurs = isOurs
        return RegisterClient(settings: settings)
    }

    private func request(_ actions: [RegisterClient.Action]) throws -> RTSPRequest {
        guard case .send(let bytes)? = actions.first, actions.count == 1 else { throw Missing() }
        var parser = RTSPParser(limits: .client)
        parser.append(bytes)
        guard case .request(let request)? = try parser.next() else { throw Missing() }
        return request
    }

    private struct Missing: Error {}

    @Test func asksAsLIVE555Does() throws {
        var client = client()
        let request = try request(client.register(now: 0))
        #expect(request.method == .register && request.uri == "rtsp://10.0.0.2:8554/cam")
        #expect(
            request.headers["Transport"] == "reuse_connection; preferred_delivery_protocol=interleaved; proxy_url_suffix=door")
        // What follows the answer is the proxy's.
        let answer = "RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\nDESCRIBE rtsp://10.0.0.2"
        #expect(client.receive(Array(answer.utf8), now: 1) == [.registered])
        #expect(client.takeRemainder() == Array("DESCRIBE rtsp://10.0.0.2".utf8))
        #expect(client.deadline == nil && client.timeElapsed(now: .max).isEmpty)
    }

    @Test func takesItBack() throws {
        var client = client()
        let request = try request(client.deregister(now: 0))
        #expect(request.method == .deregister && request.headers["Transport"] == "proxy_url_suffix=door")
        #expect(client.receive(Array("RTSP/1.0 451 Invalid parameter\r\nCSeq: 1\r\n\r\n".utf8), now: 1) == [.deregistered])
    }

    @Test func logsIn() throws {
        var client = client(password: true)
        #expect(try request(client.register(now: 0)).headers["Authorization"] == nil)
        let challenge = "RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nWWW-Authenticate: Digest realm=\"x\", nonce=\"1\"\r\n\r\n"
        let again = try request(client.receive(Array(challenge.utf8), now: 1))
        #expect(again.headers["Authorization"]?.hasPrefix("Digest username=\"cam\"") == true && again.headers.cseq == "2")
        let refused = client.receive(Array(challenge.utf8), now: 2)
        #expect(refused == [.refused(.unauthorized, "the proxy does not accept this user and password")])
    }

    @Test func clearsANameOfItsOwn() throws {
        var client = client(isOurs: true)
        _ = client.register(now: 0)
        let taken = Array("RTSP/1.0 451 Invalid parameter\r\nCSeq: 1\r\n\r\n".utf8)
        #expect(try request(client.receive(taken, now: 1)).method == .deregister)
        #expect(try request(client.receive(Array("RTSP/1.0 200 OK\r\nCSeq: 2\r\n\r\n".utf8), now: 2)).method == .register)
        let end = client.receive(taken, now: 3)
        #expect(end == [.refused(.parameterNotUnderstood, "the proxy has this name already (451 Invalid parameter)")])
    }

    @Test(arguments: [
        ("RTSP/1.0 501 Not Implemented\r\nCSeq: 1\r\n\r\n", "the proxy takes no REGISTER (501 Not Implemented)"),
        (
            "RTSP/1.0 403 Forbidden\r\nCSeq: 1\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nno\u{1}\r\n",
            "the proxy refuses (403 Forbidden): no"
        ),
        ("garbage\r\n\r\n", nil),
    ]) func saysWhatIsWrong(_ test: (answer: String, words: String?)) throws {
        var client = client()
        _ = client.register(now: 0)
        switch client.receive(Array(test.answer.utf8), now: 1).first {
        case .refused(_, let words): #expect(words == test.words)
        case .failed: #expect(test.words == nil)
        default: Issue.record("no end")
        }
    }

    @Test func waitsForAnAnswerForAWhile() {
        var client = client()
        _ = client.register(now: 0)
        #expect(client.deadline == 10_000_000_000)
        #expect(client.timeElapsed(now: 10_000_000_000) == [.failed("the proxy did not answer within 10 s")])
    }
}

import Testing

@testable import ControlPlane

@Suite struct ControlRequestTests {
    @Test(arguments: [
        ControlRequest("status"), ControlRequest("status", ["readers": "5", "path": "cam/1"]),
        ControlRequest("playlist", ["name": "a b%c=d\u{7}ü\n", "empty": ""]),
    ]) func readsWhatItWrites(_ request: ControlRequest) throws {
        #expect(request.line.utf8.allSatisfy { (0x20..<0x7F).contains($0) })
        #expect(try ControlRequest(parsing: request.line) == request)
    }

    @Test(arguments: [
        ("", "version"), ("status", "version"), ("weir/2 status", "version"), ("weir/1", "command"), ("weir/1 status readers", "argument"),
        ("weir/1 status =5", "argument"), ("weir/1 status a=%4", "argument"), ("weir/1 status a=%zz", "argument"),
        ("weir/1 status a=%FF", "argument"), ("weir/1 status a=1 a=2", "argument"),
        ("weir/1 status " + (0...32).map { "a\($0)=1" }.joined(separator: " "), "argument"),
    ]) func refusesWhatItCannotBe(_ line: String, _ code: String) {
        let error = #expect(throws: ControlAnswer.Trouble.self) { try ControlRequest(parsing: line) }
        #expect(error?.code == code)
        #expect(error?.message.isEmpty == false)
    }

    @Test func anArgumentMustBeKnownAndInRange() throws {
        let request = ControlRequest("status", ["readers": "7", "colour": "red"])
        let error = #expect(throws: ControlAnswer.Trouble.self) { try request.check(takes: ["readers"]) }
        #expect(error?.message == "`status` takes no `colour`; it takes readers")
        #expect(try request.number("readers", in: 0...7, else: 1) == 7)
        #expect(try request.number("other", in: 0...7, else: 1) == 1)
        #expect(throws: ControlAnswer.Trouble.self) { try request.number("readers", in: 0...6, else: 1) }
        #expect(throws: ControlAnswer.Trouble.self) { try request.number("colour", in: 0...6, else: 1) }
    }

    @Test func wordsOfPeersCannotSteerATerminal() {
        #expect(PeerWords.printable("a\u{1B}[2Jb\r\n\u{202E}c\u{200B}d é") == "a?[2Jb???c?d é")
    }
}

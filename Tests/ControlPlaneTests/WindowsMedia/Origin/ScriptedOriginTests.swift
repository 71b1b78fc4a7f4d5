import NIOCore
import Signalling
import Testing
import WireFormats

@testable import ControlPlane

/// Origins that break off, change, ask who is there, send elsewhere, and lie.
@Suite struct ScriptedOriginTests {
    private static let content = LongASF(packets: 40)

    private static func head(_ more: [String] = []) -> [UInt8] {
        ScriptedHTTPOrigin.head(
            [
                "Server: Cougar/9.01.01.3814", "Pragma: no-cache, client-id=99, features=\"seekable,stridable\", timeout=60000",
                "Connection: close",
            ] + more)
    }

    private static func described(_ header: [UInt8] = content.header, _ more: [String] = ["Etag: \"1\""]) -> ScriptedHTTPOrigin.Answer {
        .init(bytes: head(more + ["Cache-Control: no-cache, proxy-public, x-wms-content-size=5446"]) + WMSPFraming.header(header))
    }

    private static func data(_ numbers: [UInt32]) -> [UInt8] {
        numbers.reduce(into: []) { bytes, number in
            bytes += WMSPFraming.data(content.packets[min(Int(number), 39)], locationID: number) ?? []
        }
    }

    private static func isPlay(_ request: String) -> Bool { request.contains("xPlayStrm=1") }

    private static func place(_ request: String) -> UInt32? {
        request.firstMatch(of: /packet-num=(\d+)/).flatMap { UInt32($0.1) }.flatMap { $0 == .max ? nil : $0 }
    }

    private static func played(_ numbers: [UInt32], end: Bool = false, header: [UInt8] = content.header, then: [UInt8] = [])
        -> ScriptedHTTPOrigin
        .Answer
    {
        .init(bytes: head() + WMSPFraming.header(header) + data(numbers) + then + (end ? WMSPFraming.endOfStream(.done) : []))
    }

    private static func url(_ origin: ScriptedHTTPOrigin) -> String { "mmsh://127.0.0.1:\(origin.port)/a.wmv" }

    /// Three times in the middle of it; each time it goes on with the next packet, and the key frame before is not seen twice.
    @Test func aConnectionThatBreaks() throws {
        let origin = try ScriptedHTTPOrigin { request, _ in
            guard Self.isPlay(request) else { return request.hasPrefix("GET") ? Self.described() : .init(bytes: Self.head()) }
            switch Self.place(request) {
            case nil: return Self.played(Array(0..<10))
            case 10?: return Self.played(Array(8..<20))
            case 20?: return Self.played(Array(20..<25), then: [0x24, 0x44, 0x88])
            case let place?: return Self.played(Array(place..<40), end: true)
            }
        }
        let rig = try OriginRig(Self.url(origin))
        try rig.start()
        try rig.eventually("it comes to its end") { $0.finished == 1 }
        #expect(try rig.run { $0.packets.map(\.number) } == Array(0..<40))
        #expect(try rig.run { $0.packets.map(\.bytes) } == Self.content.packets)
        #expect(try rig.run { $0.starts.count } == 1 && rig.run { $0.skipped } == [])
        let plays = origin.requests.withLockedValue { $0.filter(Self.isPlay) }
        #expect(plays.map(Self.place) == [nil, 10, 20, 25])
        try rig.leave()
    }

    @Test(arguments: ["never", "header", "etag", "gone", "further"]) func whereItDoesNotGoOn(how: String) throws {
        let other = LongASF(packets: 41).header
        let origin = try ScriptedHTTPOrigin { request, before in
            if Self.isPlay(request) {
                guard Self.place(request) != nil else { return Self.played(Array(0..<10)) }
                return how == "further" ? Self.played([12, 13]) : .init(bytes: Self.head())
            }
            guard request.hasPrefix("GET"), before > 0 else { return Self.described() }
            return switch how {
            case "header": Self.described(other)
            case "etag": Self.described(Self.content.header, ["Etag: \"2\""])
            case "gone": .init(bytes: ScriptedHTTPOrigin.head(["Content-Length: 0"], status: "404 Not Found"))
            default: Self.described()
            }
        }
        let rig = try OriginRig(Self.url(origin))
        try rig.start()
        let end = try rig.ended()
        switch (how, end) {
        case ("header", .changed), ("etag", .changed), ("gone", .refused(404, _)), ("further", .lying), ("never", .unreachable): break
        default: Issue.record("\(how): \(String(describing: end))")
        }
        #expect(try rig.run { $0.packets.map(\.number) } == Array(0..<10))
        if how == "never" {
            #expect(origin.requests.withLockedValue { $0.count(where: Self.isPlay) } == 1 + OriginPlay.attemptsMax)
        }
    }

    @Test(arguments: ["back", "again", "beyond", "garbage", "header", "size", "unreadable"]) func anOriginThatLies(how: String) throws {
        let origin = try ScriptedHTTPOrigin { request, _ in
            guard Self.isPlay(request) else { return request.hasPrefix("GET") ? Self.described() : .init(bytes: Self.head()) }
            let five = Array(UInt32(0)..<5)
            return switch how {
            case "back": Self.played(five + [2])
            case "again": Self.played(five + [4])
            case "beyond": Self.played(five + [40])
            case "garbage": Self.played(five, then: [UInt8](repeating: 0x41, count: 100))
            case "header": Self.played(five, header: LongASF(packets: 41).header)
            case "size":
                Self.played(
                    five, then: WMSPFraming.data(Self.content.packets[5] + [UInt8](repeating: 0, count: 4_000), locationID: 5) ?? [])
            default:
                Self.played(
                    five, end: true, then: (5..<40).reduce(into: []) { $0 += WMSPFraming.data([0, 1], locationID: UInt32($1)) ?? [] })
            }
        }
        let rig = try OriginRig(Self.url(origin))
        try rig.start()
        if how == "unreadable" || how == "size" {
            // A hole, no more than that; and the connection that ends behind it is one that broke, as often as it may.
            try rig.eventually("it is passed over") { $0.finished == 1 || $0.end != nil || $0.skipped.contains(5..<6) }
            #expect(try rig.run { $0.packets.allSatisfy { $0.bytes.count == 128 } })
            try rig.leave()
            return
        }
        let end = try rig.ended()
        switch (how, end) {
        case ("back", .lying), ("again", .lying), ("garbage", .lying), ("beyond", .changed), ("header", .changed): break
        default: Issue.record("\(how): \(String(describing: end))")
        }
        let numbers: [UInt32] = how == "header" ? [] : [0, 1, 2, 3, 4]
        #expect(try rig.run { $0.packets.map(\.number) } == numbers)
    }

    /// Packets without end: no more of them than the header names, and nothing of what is no packet is kept.
    @Test func aBodyWithoutEnd() throws {
        let metadata = WMSPFraming.metadata(WMSPMetadata(playlistGenID: 7, features: .seekable).serialized())
        let flood = (0..<2_000).reduce(into: [UInt8]()) { bytes, _ in bytes += metadata }
        let origin = try ScriptedHTTPOrigin { request, _ in
            guard Self.isPlay(request) else { return request.hasPrefix("GET") ? Self.described() : .init(bytes: Self.head()) }
            var answer = Self.played([0, 1], then: flood)
            answer.closes = false
            return answer
        }
        let rig = try OriginRig(Self.url(origin)) { $0.silenceMilliseconds = 200 }
        try rig.start()
        guard case .unreachable? = try rig.ended() else { return #expect(Bool(false)) }
        #expect(try rig.run { $0.packets.map(\.number) } == [0, 1])
    }

    @Test func whoIsThere() throws {
        let lines = ["WWW-Authenticate: Negotiate", "WWW-Authenticate: Basic realm=\"r\"", "Content-Length: 0"]
        let origin = try ScriptedHTTPOrigin { request, _ in
            guard request.contains("Authorization: Basic dTpw") else {
                return .init(bytes: ScriptedHTTPOrigin.head(lines, status: "401 Unauthorized"))
            }
            return request.hasPrefix("GET") ? Self.described() : .init(bytes: Self.head(["Cache-Control: no-cache", "Content-Length: 0"]))
        }
        let challenge = PassedChallenge(status: 401, lines: ["Negotiate", "Basic realm=\"r\""])
        let rig = try OriginRig(Self.url(origin))
        guard case .challenged(challenge) = try rig.ask() else { return #expect(Bool(false)) }
        try rig.start(nil)
        #expect(try rig.ended() == .challenged(challenge))
        let passing = try OriginRig(Self.url(origin)) { $0.authorization = "Basic dTpw" }
        guard case .says(let said) = try passing.ask() else { return #expect(Bool(false)) }
        #expect(said.openedBy == .player)
        let own = try OriginRig("mmsh://u:p@127.0.0.1:\(origin.port)/a.wmv")
        guard case .says(let said) = try own.ask() else { return #expect(Bool(false)) }
        #expect(said.openedBy == .configuration)
        try own.start(nil)
        try own.eventually("it is described") { $0.description != nil }
        #expect(try own.run { $0.description?.statement.openedBy } == .configuration)
        try own.leave()
    }

    /// A player's answer is for the host that asked him.
    @Test func elsewhere() throws {
        let target = try ScriptedHTTPOrigin { request, _ in
            request.hasPrefix("GET") ? Self.described() : .init(bytes: Self.head(["Cache-Control: max-age=1", "Content-Length: 0"]))
        }
        let port = target.port
        let origin = try ScriptedHTTPOrigin { _, _ in
            .init(bytes: ScriptedHTTPOrigin.head(["Location: http://127.0.0.1:\(port)/b.wmv", "Content-Length: 0"], status: "302 Found"))
        }
        let rig = try OriginRig(Self.url(origin)) { $0.authorization = "Basic dTpw" }
        guard case .says(let said) = try rig.ask() else { return #expect(Bool(false)) }
        #expect(said.movedTo?.hasSuffix(":\(port)/b.wmv") == true && said.openedBy == .nobody)
        try rig.start(nil)
        try rig.eventually("it is described") { $0.description != nil }
        try rig.leave()
        #expect(target.requests.withLockedValue { $0.allSatisfy { !$0.contains("Authorization") } })
        #expect(origin.requests.withLockedValue { $0.allSatisfy { $0.contains("Authorization: Basic dTpw") } })
        let barred = try OriginRig(Self.url(origin)) { $0.permits = { _ in false } }
        guard case .redirected(let words) = try barred.ask() else { return #expect(Bool(false)) }
        #expect(words.contains("allow:"))
        try barred.start(nil)
        guard case .redirected? = try barred.ended() else { return #expect(Bool(false)) }
        let circle = try ScriptedHTTPOrigin { request, _ in
            .init(bytes: ScriptedHTTPOrigin.head(["Location: /a.wmv", "Content-Length: 0"], status: "302 Found"))
        }
        guard case .redirected = try OriginRig(Self.url(circle)).ask() else { return #expect(Bool(false)) }
    }

    @Test(arguments: [
        ("200 OK", "delivered"), ("204 No Content", "delivered"), ("404 Not Found", "refused"), ("401 Unauthorized", "refused"),
        ("429 Slow", "away"), ("503 Later", "away"), ("closed", "away"), ("", "refused"),
    ]) func anEvent(answer: String, outcome: String) throws {
        let origin = try ScriptedHTTPOrigin { _, _ in
            if answer == "closed" { return .init() }
            return .init(bytes: answer.isEmpty ? [1, 2, 3, 10, 10] : ScriptedHTTPOrigin.head(["Content-Length: 0"], status: answer))
        }
        let address = Locked<String?>(nil)
        let rig = try OriginRig(Self.url(origin)) { $0.via = "RTSP/1.0 weir-0011223344556677" }
        let delivery = try rig.deliver(RemoteEvent(kind: .close), address)
        switch (outcome, delivery) {
        case ("delivered", .delivered), ("refused", .refused), ("away", .unreachable): break
        default: Issue.record("\(answer): \(delivery)")
        }
        #expect(address.withLockedValue { $0 } == "127.0.0.1")
        let told = origin.requests.withLockedValue { $0.first ?? "" }
        #expect(told.hasSuffix("1\r\n1,29,0\r\n") && told.contains("Via: HTTP/1.1 weir-0011223344556677\r\n"))
    }
}

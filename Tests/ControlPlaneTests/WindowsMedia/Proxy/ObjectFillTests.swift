import Signalling
import Testing
import WireFormats

@testable import ControlPlane

/// What is fetched for those who read an object, and what not.
@Suite struct ObjectFillTests {
    /// The origin begins with a key frame far before what is asked for: nothing is asked for twice, and what is here is thrown away.
    @Test func aHoleBehindAFarKeyFrame() throws {
        let content = LongASF(packets: 400)
        let rig = try FillRig(content) { FillRig.played(content, max(FillRig.place($0) - 90, 0)..<400, ends: true) }
        defer { rig.stop() }
        try rig.run { rig in
            for number in Array(0..<100) + Array(200..<400) {
                rig.fill.packets.put(UInt32(number), rig.content.packets[number])
                rig.fill.here.insert(number..<(number + 1))
            }
            rig.fill.come = rig.fill.here
            rig.want("a", 100..<200)
        }
        try rig.eventually("the hole is filled") { $0.fill.isWhole }
        #expect(try rig.run { $0.answers["a"]?.count } == 1)
        let bytes = try rig.run { try? $0.fill.packets.read(at: Int64($0.content.header.count), count: 400 * LongASF.packetBytes) }
        #expect(bytes == Array(content.bytes[content.header.count...]))
        #expect(rig.plays == [100])
    }

    /// One attempt for whoever waits; the next ones by the clock, later and later, whatever else happens.
    @Test func anOriginThatRefuses() throws {
        let rig = try FillRig(LongASF(packets: 400), describes: { _ in false }) { _ in nil }
        defer { rig.stop() }
        try rig.run { $0.want("a", 0..<10) }
        try rig.eventually("who waited is told") { $0.answers["a"]?.count == 1 }
        let (isAway, sessions) = try rig.run { rig in
            for _ in 0..<100 { rig.fill.plan() }
            rig.leave("nobody")
            return (rig.fill.isAway && rig.fill.retryMilliseconds == 2 * ObjectFill.retryMillisecondsMin, rig.sessions)
        }
        #expect(isAway && sessions == 1)
        try rig.eventually("it is tried again") { $0.fill.retryMilliseconds == 4 * ObjectFill.retryMillisecondsMin }
        #expect(rig.sessions == 2)
        // Of many that seek at a time only one asks.
        try rig.run { rig in
            rig.leave("a")
            for number in 0..<20 { rig.seek(to: UInt32(number)) }
        }
        try rig.eventually("all are told") { $0.beginnings.count == 20 }
        #expect(try rig.run { $0.beginnings.allSatisfy { $0 == nil } })
        #expect(rig.sessions <= 4)
    }

    /// A session that is refused ends the wait of those who need it, and of nobody else.
    @Test func aSessionThatEnds() throws {
        let content = LongASF(packets: 400)
        let rig = try FillRig(content) { FillRig.place($0) == 0 ? FillRig.played(content, 0..<10) : nil }
        defer { rig.stop() }
        try rig.run { $0.want("b", 0..<20) }
        try rig.eventually("the beginning is here") { $0.answers["b"]?.count == 1 }
        try rig.run { rig in
            rig.want("b", 10..<20)
            rig.want("a", 300..<310)
        }
        try rig.eventually("the other is told") { $0.answers["a"]?.count == 1 }
        guard case .failure? = try rig.run({ $0.answers["a"]?.first }) else { return #expect(Bool(false)) }
        #expect(try rig.run { $0.answers["b"]?.count == 1 && $0.fill.sessionCount == 1 && !$0.fill.isOutdated })
    }

    /// Sessions that find a place are sessions, too: who seeks while all are needed waits for one.
    @Test func manyThatSeek() throws {
        let content = LongASF(packets: 400)
        let rig = try FillRig(content) { request in
            let from = FillRig.time(request) ?? FillRig.place(request)
            return FillRig.played(content, from..<(from + 5))
        }
        defer { rig.stop() }
        try rig.run { rig in for place in [50, 150, 250, 350] { rig.seek(to: UInt32(place)) } }
        try rig.eventually("two have found their places") { $0.beginnings.count == 2 }
        #expect(try rig.run { Set($0.beginnings) == [50, 150] && $0.fill.sessionCount == 2 && $0.fill.searches.count == 2 })
        #expect(try rig.run { $0.counts.searchesQueued == 2 && $0.counts.searchesRefused == 0 })
        #expect(rig.sessions == 2)
        try rig.run { $0.leave("50") }
        try rig.eventually("one more has") { $0.beginnings.count == 3 }
        #expect(try rig.run { $0.beginnings.last == 250 && $0.fill.sessionCount == 2 && $0.fill.searches.count == 1 })
        try rig.run { $0.fill.stop() }
        #expect(try rig.run { $0.beginnings.last == .some(nil) && $0.fill.searches.isEmpty })
    }

    /// What may not be given to anybody new goes on for those who have it; another version does not.
    @Test func whatIsLetGoOf() throws {
        let content = LongASF(packets: 400)
        let rig = try FillRig(content) { FillRig.played(content, FillRig.place($0)..<(FillRig.place($0) + 10)) }
        defer { rig.stop() }
        try rig.run { $0.want("a", 0..<20) }
        try rig.eventually("the beginning is here") { $0.answers["a"]?.count == 1 }
        try rig.run { rig in
            rig.want("a", 10..<20)
            rig.fill.letGo("no-permission")
            rig.want("b", 200..<210)
        }
        try rig.eventually("what is missing still comes") { $0.answers["b"]?.count == 1 }
        guard case .success? = try rig.run({ $0.answers["b"]?.first }) else { return #expect(Bool(false)) }
        #expect(try rig.run { $0.fill.isLetGo && $0.answers["a"]?.count == 1 })
        try rig.run { $0.fill.changed("another one") }
        guard case .failure? = try rig.run({ $0.answers["a"]?.last }) else { return #expect(Bool(false)) }
        #expect(try rig.run { $0.fill.sessionCount == 0 })
    }

    /// A gap is measured by the time that it takes, and held by nobody.
    @Test(arguments: [(1_000, 20, true), (1_000, 40, false), (0, 35_000, true)])
    func whatTheOriginLeavesOut(step: Int, packets: Int, isBridged: Bool) throws {
        let rig = try FillRig(LongASF(packets: packets + 40, stepMilliseconds: step)) { _ in nil }
        defer { rig.stop() }
        let gap = UInt32(10)..<UInt32(10 + packets)
        try rig.run { $0.fill.leftOut(gap) }
        #expect(try rig.run { $0.fill.end } == (isBridged ? UInt32(packets + 40) : 10))
        #expect(try rig.run { $0.fill.here.contains(Int(gap.lowerBound)..<Int(gap.upperBound)) } == isBridged)
        #expect(try rig.run { $0.fill.bytesInMemory == 0 && $0.fill.degradation != nil })
        guard isBridged else { return }
        let offset = Int64(rig.content.header.count + 10 * LongASF.packetBytes)
        let bytes = try rig.run { try? $0.fill.packets.read(at: offset, count: 2 * LongASF.packetBytes) }
        #expect(bytes == [UInt8](repeating: 0xFF, count: 2 * LongASF.packetBytes))
    }

    /// On behalf of whom the origin is asked is said in each session.
    @Test func whoAsks() throws {
        let content = LongASF(packets: 400)
        let rig = try FillRig(content) { FillRig.played(content, FillRig.place($0)..<(FillRig.place($0) + 10)) }
        defer { rig.stop() }
        try rig.run { rig in
            var ask = ProxyAsk(dialect: .wmsp, stage: .play)
            ask.via = "RTSP/1.0 weir-0011223344556677 (2)"
            ask.maxForwards = 3
            rig.fill.ask = ask
            rig.want("a", 0..<10)
            rig.want("b", 300..<310)
        }
        try rig.eventually("both come") { $0.answers.count == 2 }
        #expect(rig.sessions == 2)
        let requests = rig.origin.requests.withLockedValue { $0.filter { $0.hasPrefix("GET") || FillRig.isPlay($0) } }
        #expect(requests.count == 4)
        for request in requests {
            #expect(
                request.contains("Via: HTTP/1.1 weir-0011223344556677 (2)\r\n") && request.contains("Max-Forwards: 3\r\n"), "\(request)")
        }
    }

    /// A password that the origin wants for the media alone counts as one that it wanted at once.
    @Test func aPasswordForTheMedia() throws {
        let content = LongASF(packets: 400)
        let challenge = ScriptedHTTPOrigin.Answer(
            bytes: ScriptedHTTPOrigin.head(["WWW-Authenticate: Basic realm=\"r\"", "Content-Length: 0"], status: "401 Unauthorized"))
        let rig = try FillRig(content, memory: .common(ProxyMemory(bytesMax: 1 << 20)), user: "u:p@") {
            $0.contains("Authorization: Basic dTpw") ? FillRig.played(content, 0..<10) : challenge
        }
        defer { rig.stop() }
        try rig.run { $0.want("a", 0..<10) }
        try rig.eventually("it comes") { $0.answers["a"]?.count == 1 }
        #expect(try rig.run { $0.fill.isLetGo })
    }

    /// What is fetched when the last reader has left.
    @Test(arguments: [
        (FillPlanner.Leaving.stop, 300, false), (.auto, 50, false), (.auto, 100, true), (.finish, 10, true),
    ])
    func whenNobodyReads(leaving: FillPlanner.Leaving, here: Int, goesOn: Bool) throws {
        let fixture = try CacheFixture()
        let content = LongASF(packets: 400)
        let rig = try FillRig(content, kept: (try fixture.open(), leaving)) { request in
            FillRig.place(request) == 0 ? FillRig.played(content, 0..<here) : nil
        }
        defer { rig.stop() }
        try rig.run { $0.want("a", 0..<UInt32(here)) }
        try rig.eventually("it is on the disk") { $0.fill.here.count == here && $0.fill.bytesToWrite == 0 }
        #expect(try rig.run { $0.fill.plays.map(\.isPaused) } == [false])
        try rig.run { $0.leave("a") }
        #expect(try rig.run { $0.fill.plays.map(\.isPaused) } == [!goesOn])
    }

    @Test func whatMemoryThereIs() {
        let memory = ProxyMemory(bytesMax: 100)
        var first = memory.share(60, least: 60)
        #expect(first?.bytes == 60 && memory.bytes == 60)
        #expect(memory.share(60, least: 60) == nil && memory.refused == 1)
        let second = memory.share(60, least: 0)
        #expect(second?.bytes == 40 && memory.bytes == 100 && memory.refused == 2)
        first = nil
        #expect(first == nil && memory.bytes == 40)
        withExtendedLifetime(second) {}
    }
}

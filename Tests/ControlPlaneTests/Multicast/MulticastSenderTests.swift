import Glibc
import Logging
import NIOCore
import NIOEmbedded
import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

/// One holder or player; what it is told.
private final class Member {
    /// The first track's first sequence number of each answer; nil where it was not known.
    var points: [UInt16?] = []
    var failures: [SubscriberFailure] = []
}

@Suite struct MulticastSenderTests {
    private let loop = EmbeddedEventLoop()
    private let engine = RecordingEngine(workers: 2)
    private let port: EnginePort
    private let stream = StreamHandle(index: 0, generation: 1)

    init() { port = EnginePort(engine: engine, eventLoop: loop, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }) }

    private func sender(
        _ group: String = "239.255.78.1:46200", overload: ReaderSettings.Overload = .skipToKeyFrame,
        _ change: (inout MulticastSettings) -> Void = { _ in }
    ) throws -> MulticastSender {
        var path = PathSettings(name: "group", source: .publish)
        path.readers.overload = overload
        var settings = MulticastSettings()
        settings.destination = try .init(parsing: group)
        settings.interface = "lo"
        change(&settings)
        path.multicast = settings
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        return try #require(MulticastSender(path, port: port, mediaPorts: MediaPorts(range: nil), logger: logger))
    }

    private func play(_ sender: MulticastSender, _ member: Member) throws {
        try sender.play(
            member, stream: stream, failed: { member.failures.append($0) },
            joined: { member.points.append($0[0].isKnown ? $0[0].sequence : nil) })
    }

    private func point(_ sequence: UInt16) -> JoinPoint {
        var point = JoinPoint()
        point[0] = .init(sequence: sequence, timestamp: 9_000, isKnown: true)
        return point
    }

    private func joined(_ index: UInt32, _ generation: UInt32 = 1, at point: JoinPoint) {
        engine.report(.joined(SubscriberHandle(index: index, generation: generation), point))
        port.drainReports()
    }

    /// The sockets that the engine was given.
    private var egress: (number: UInt8, worker: UInt8, rtp: CInt, rtcp: CInt)? {
        for case .addDatagramEgress(let number, let worker, let rtp, let rtcp) in engine.commands { return (number, worker, rtp, rtcp) }
        return nil
    }

    @Test func allShareOneReader() throws {
        let sender = try sender()
        let first = Member(), second = Member(), third = Member()
        try sender.hold(first)
        let egress = try #require(egress)
        let pair = [SocketIdentity(egress.rtp), SocketIdentity(egress.rtcp)]
        #expect(egress.number > 0 && egress.worker < 2)
        try sender.hold(second)
        try sender.hold(third)
        try play(sender, first)
        #expect(engine.names == ["addDatagramEgress", "addDatagramSubscriber", "arm"])
        guard case .addDatagramSubscriber(_, let of, let host, let ports, let sockets) = engine.commands[1] else {
            Issue.record("no reader")
            return
        }
        #expect(of == stream && host.text == "239.255.78.1" && sockets == egress.number)
        #expect((0..<6).map { ports[$0] } == [46_200, 46_201, 46_202, 46_203, 46_204, 46_205])
        guard case .arm(_, now: false) = engine.commands[2] else {
            Issue.record("does not wait for a key frame")
            return
        }

        // Somebody comes while the key frame is waited for.
        try play(sender, second)
        #expect(engine.names.count == 3 && first.points.isEmpty)
        joined(0, at: point(7))
        #expect(first.points == [7] && second.points == [7])
        #expect(engine.names.last == "go")

        // And somebody later: told where the group is by a reader that is never sent anything.
        engine.forget()
        try play(sender, third)
        #expect(engine.names == ["addDatagramSubscriber", "arm"])
        guard case .arm(_, now: true) = engine.commands[1] else {
            Issue.record("waits for a key frame")
            return
        }
        joined(1, at: point(50))
        #expect(third.points == [50] && first.points.count == 1)
        #expect(engine.names == ["addDatagramSubscriber", "arm", "removeSubscriber"])

        // PAUSE of some does not stop the others.
        engine.forget()
        sender.leave(first)
        sender.leave(first)
        sender.release(second)
        #expect(engine.names.isEmpty)
        sender.leave(third)
        #expect(engine.names == ["removeSubscriber"])
        port.drainReports()
        #expect(engine.names == ["removeSubscriber"], "the sockets stay while sessions are set up")

        // It begins anew for who comes back.
        engine.forget()
        try play(sender, first)
        #expect(engine.names == ["addDatagramSubscriber", "arm"])
        engine.forget()
        sender.release(first)
        sender.release(third)
        #expect(engine.names == ["removeSubscriber"] && pair.allSatisfy { $0.isOpen }, "the engine has not let go yet")
        port.drainReports()
        #expect(engine.names == ["removeSubscriber", "removeDatagramEgress"])
        #expect(!pair.contains { $0.isOpen })
    }

    @Test func aGroupIsNotDisconnectedForBeingSlow() throws {
        let sender = try sender(overload: .disconnect)
        let member = Member()
        try sender.hold(member)
        try play(sender, member)
        guard case .setOverload(_, .dropOldest)? = engine.commands.dropLast().last else {
            Issue.record("the policy of single readers holds")
            return
        }
        sender.release(member)
    }

    @Test func beginsAnywhereWhenNoKeyFrameComes() throws {
        let sender = try sender()
        let member = Member()
        try sender.hold(member)
        try play(sender, member)
        loop.advanceTime(by: .seconds(10))
        guard case .arm(_, now: true)? = engine.commands.last else {
            Issue.record("still waits")
            return
        }
        // Not a packet: the answer goes out all the same, and the media when it comes.
        loop.advanceTime(by: .seconds(10))
        #expect(member.points == [nil])
        joined(0, at: point(3))
        #expect(member.points.count == 1 && engine.names.last == "go")
        sender.release(member)
    }

    @Test func aCueThatNeverComesIsAnsweredWithout() throws {
        let sender = try sender()
        let first = Member(), late = Member()
        for member in [first, late] { try sender.hold(member) }
        try play(sender, first)
        joined(0, at: point(3))
        try play(sender, late)
        loop.advanceTime(by: .seconds(1))
        #expect(late.points == [nil])
        joined(1, at: point(9))
        #expect(late.points.count == 1)
        for member in [first, late] { sender.release(member) }
        port.drainReports()
        #expect(engine.names.filter { $0 == "removeSubscriber" }.count == 2 && engine.names.last == "removeDatagramEgress")
    }

    @Test func allHearThatTheEngineGaveUp() throws {
        let sender = try sender()
        let first = Member(), second = Member()
        for member in [first, second] {
            try sender.hold(member)
            try play(sender, member)
        }
        joined(0, at: point(3))
        engine.report(.subscriberFailed(SubscriberHandle(index: 0, generation: 1), .stalled))
        port.drainReports()
        #expect(first.failures == [.stalled] && second.failures == [.stalled])
        #expect(engine.names.last == "removeSubscriber")
        for member in [first, second] { sender.release(member) }
    }

    @Test func aFullQueueLeavesNothingBehind() throws {
        let sender = try sender()
        let member = Member()
        engine.refuses = true
        #expect(throws: EnginePort.Refusal.self) { try sender.hold(member) }
        engine.refuses = false
        try sender.hold(member)
        engine.refuses = true
        #expect(throws: EnginePort.Refusal.self) { try play(sender, member) }
        engine.refuses = false
        sender.release(member)
        port.drainReports()
        #expect(engine.names == ["addDatagramEgress", "removeDatagramEgress"])
    }

    @Test func optionsAreOnTheSockets() throws {
        let sender = try sender {
            $0.ttl = 5
            $0.loops = false
            $0.interface = nil
            $0.source = HostAddress(ipv4: 0x7F00_0001)
        }
        let member = Member()
        try sender.hold(member)
        #expect(sender.sourceText == "127.0.0.1")
        let egress = try #require(egress)
        for descriptor in [egress.rtp, egress.rtcp] {
            #expect(BoundSocket.get(descriptor, CInt(IPPROTO_IP), IP_MULTICAST_TTL) == 5)
            #expect(BoundSocket.get(descriptor, CInt(IPPROTO_IP), IP_MULTICAST_LOOP) == 0)
        }
        #expect(BoundSocket.port(of: egress.rtcp) == BoundSocket.port(of: egress.rtp) + 1)
        sender.release(member)
    }

    /// What the engine writes there arrives at a member of the group, with the source that was named.
    @Test func whatIsSentArrives() throws {
        let sender = try sender("\(TestHosts.group):46220")
        let member = Member()
        try sender.hold(member)
        let egress = try #require(egress)
        let listener = try ReceptionPlan.Track(
            address: sender.destination.group, rtpPort: 46_220, rtcpPort: 46_221,
            senders: .only([try #require(HostAddress(numeric: sender.sourceText ?? ""))])
        ).open(interface: NetworkInterface.named("lo"), buffers: SocketBuffers(logger: nil))
        defer { listener.close() }
        for (descriptor, port) in [(egress.rtp, UInt16(46_220)), (egress.rtcp, 46_221)] {
            let target = try #require(sender.destination.group.socketAddress(port: port))
            let bytes = Array("to \(port)".utf8)
            _ = unsafe target.withSockAddr { pointer, size in
                unsafe sendto(descriptor, bytes, bytes.count, 0, pointer, socklen_t(size))
            }
        }
        #expect(GroupSocketTests.texts(listener.rtp) == ["to 46220"] && GroupSocketTests.texts(listener.rtcp) == ["to 46221"])
        sender.release(member)
    }

    @Test(
        arguments: [
            ("239.255.78.3:46230", "nowhere0", nil, "there is no interface `nowhere0`; there are "),
            ("239.255.78.3:46230", nil, "192.0.2.254", "no interface has the address 192.0.2.254; there are "),
        ] as [(String, String?, String?, String)])
    func saysWhyItCannotBeSent(group: String, interface: String?, source: String?, words: String) throws {
        let sender = try sender(group) {
            $0.interface = interface
            $0.source = source.flatMap { HostAddress(numeric: $0) }
        }
        do {
            try sender.hold(Member())
            Issue.record("was opened")
        } catch { #expect("\(error)".hasPrefix(words), "\(error)") }
        #expect(engine.names.isEmpty)
    }

    @Test func describesTheGroup() throws {
        let origin = SDPOrigin(sessionID: 1, sessionVersion: 1, address: "127.0.0.1")
        let readers = try Descriptions.description().forReaders(origin: origin)
        let plain = try sender().description(readers)
        #expect(plain.connection(media: 0) == SDPConnection(address: "239.255.78.1", isIPv6: false, ttl: 16))
        #expect(plain.media.map(\.port) == [46_200, 46_202] && plain.sourceFilter(media: 0, destination: "239.255.78.1") == nil)
        // Receivers of a source-specific group must know who sends.
        let specific = try sender("232.1.2.3:46200")
        let before = try #require(specific.description(readers).sourceFilter(media: 1, destination: "232.1.2.3"))
        let member = Member()
        try specific.hold(member)
        #expect(before.isInclusive && before.sources == [specific.sourceText])
        #expect(specific.description(readers).sourceFilter(media: 1, destination: "232.1.2.3") == before)
        specific.release(member)
        let named = try sender { $0.source = HostAddress(ipv4: 0x7F00_0002) }.description(readers)
        #expect(named.sourceFilter(media: 0, destination: "239.255.78.1")?.sources == ["127.0.0.2"])
        let six = try sender("[ff15::7]:46200") { $0.ttl = 9 }.description(readers)
        #expect(six.connection(media: 0) == SDPConnection(address: "ff15::7", isIPv6: true))
    }
}

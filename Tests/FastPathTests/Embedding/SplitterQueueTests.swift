import CUring
import Glibc
import PlaneLink
import Synchronization
import Testing

@testable import FastPath

/// An engine that does nothing by itself: a queue of so many commands, and reports as a test likes.
final class QuietEngine: EngineControl, @unchecked Sendable {
    // Sendable because one test uses it on one thread.
    let limits: Limits
    let counters = EngineCounters()
    let reportDescriptor = curing_eventfd(true)
    let workerCount = 1
    let backend = BackendChoice(name: "quiet", reason: "a test")
    var room: Int
    private(set) var commands: [Command] = []
    private(set) var wakes = 0
    private var reports: [Report] = []

    init(room: Int = .max, limits: Limits = Limits()) {
        self.room = room
        self.limits = limits
    }

    deinit {
        close(reportDescriptor)
        counters.free()
    }

    func submit(_ command: Command) -> Bool {
        guard commands.count < room else { return false }
        commands.append(command)
        return true
    }

    func wake() { wakes += 1 }

    func takeReport() -> Report? { reports.isEmpty ? nil : reports.removeFirst() }

    func say(_ report: Report) {
        reports.append(report)
        var one: UInt64 = 1
        _ = unsafe write(reportDescriptor, &one, 8)
    }

    /// What was submitted so far, by name; the queue is empty then.
    func take() -> [String] {
        defer { commands = [] }
        return commands.map { String("\($0)".prefix { $0 != "(" }) }
    }
}

/// What a splitter does when the engine's queue is full, and with reports that come late.
@Suite(.serialized) struct SplitterQueueTests {
    private func isReadable(_ splitter: Splitter) -> Bool {
        var poller = pollfd(fd: splitter.eventDescriptor, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&poller, 1, 0) == 1
    }

    private func isQueueFull(_ call: () throws -> Void) -> Bool {
        do { try call() } catch SplitterError.queueFull { return true } catch { return false }
        return false
    }

    @Test("Additions are refused, ends are kept, and all happens in the order of the calls") func postponed() throws {
        let engine = QuietEngine()
        let splitter = Splitter(engine: engine)
        let stream = try splitter.addStream(.init(tracks: [SplitterBench.video, SplitterBench.audio]))
        #expect(engine.take() == ["addStream", "setPolicy", "setTrack", "setTrack"])
        let sender = try splitter.openDatagramSender()
        var ports = PortMap()
        ports[0] = 5_000
        let host = HostAddress(ipv4: 0x7F00_0001)
        let readers = try (0..<3).map { _ in try splitter.addDatagramReader(stream, host: host, ports: ports, sender: sender) }
        let source = try splitter.addPushedSource(stream)
        _ = engine.take()
        #expect(splitter.nextEvent() == nil && !isReadable(splitter))

        engine.room = 1
        #expect(throws: Never.self) { try splitter.removeReader(readers[0]) }
        #expect(isQueueFull { _ = try splitter.addStream(.init(tracks: [SplitterBench.video])) })
        #expect(isQueueFull { _ = try splitter.addPushedSource(stream) })
        #expect(isQueueFull { _ = try splitter.addDatagramReader(stream, host: host, ports: ports, sender: sender) })
        #expect(isQueueFull { _ = try splitter.openDatagramSender() })
        #expect(isQueueFull { try splitter.beginEpoch(stream) })
        #expect(isQueueFull { try splitter.pause(readers[1]) })
        #expect(splitter.packetLogBytesInUse == StreamSizing(bitRate: 8_000_000, windowMilliseconds: 2_000).bytes, "nothing was kept")
        try splitter.push(source, channel: 0, numbered(1))
        try splitter.removeSource(source)
        try splitter.removeReader(readers[1])
        try splitter.removeReader(readers[2])
        try splitter.removeStream(stream)
        splitter.shutdown()
        #expect(engine.take() == ["removeSubscriber"])
        #expect(isReadable(splitter), "something waits for room: whoever waits for events comes back")
        var order: [String] = []
        for _ in 0..<7 {
            #expect(splitter.nextEvent() == nil)
            order += engine.take()
        }
        #expect(order == ["feed", "removeSource", "removeSubscriber", "removeSubscriber", "removeStream", "shutdown"])
        #expect(!isReadable(splitter))

        engine.say(.stopped(leaks: 0))
        var events: [String] = []
        while let event = splitter.nextEvent() { events.append(String("\(event)".prefix { $0 != "(" })) }
        #expect(
            events == ["readerRemoved", "readerRemoved", "readerRemoved", "sourceRemoved", "streamRemoved", "senderRemoved", "stopped"],
            "what the engine did not say, the splitter does")
        #expect(splitter.packetLogBytesInUse == 0)
    }

    @Test("A stream whose adding fails half-way is not half there") func followers() throws {
        let engine = QuietEngine(room: 1)
        let splitter = Splitter(engine: engine)
        let stream = try splitter.addStream(.init(tracks: [SplitterBench.video, SplitterBench.audio]))
        #expect(isQueueFull { _ = try splitter.addPushedSource(stream) })
        var order: [String] = []
        for _ in 0..<4 {
            order += engine.take()
            #expect(splitter.nextEvent() == nil)
        }
        #expect(order == ["addStream", "setPolicy", "setTrack", "setTrack"])
        finish(engine, splitter)
    }

    @Test("Pushed packets come together, in order, up to a bound") func pushes() throws {
        let engine = QuietEngine()
        let splitter = Splitter(engine: engine)
        let stream = try splitter.addStream(.init(tracks: [SplitterBench.video]))
        let source = try splitter.addPushedSource(stream)
        _ = engine.take()
        for number in 0..<10 { try splitter.push(source, channel: 0, numbered(number)) }
        #expect(engine.commands.isEmpty)
        splitter.flush()
        guard case .feed(source, let buffer)? = engine.commands.first, engine.commands.count == 1 else {
            Issue.record("one feed")
            return
        }
        #expect(unsafe Array(buffer.bytes) == (0..<10).flatMap { framed(0, numbered($0)) })
        // The engine does not give buffers back: so many bytes, and no more.
        var pushed = 0
        while !isQueueFull({ try splitter.push(source, channel: 0, numbered(0, bytes: 60_000)) }) {
            pushed += 1
            #expect(pushed < 1_000)
            if pushed >= 1_000 { break }
        }
        #expect(pushed * 60_000 >= Splitter.pushedBytesMax - 200_000 && pushed * 60_000 <= Splitter.pushedBytesMax + 200_000)
        for command in engine.commands { if case .feed(_, let buffer) = command { engine.say(.bufferReturned(buffer)) } }
        #expect(splitter.nextEvent() == nil)
        try splitter.push(source, channel: 0, numbered(0, bytes: 60_000))
        finish(engine, splitter)
    }

    @Test("So many replies may be under way on a reader; then they are refused, not the reader given up") func replies() throws {
        let engine = QuietEngine()
        let splitter = Splitter(engine: engine)
        let stream = try splitter.addStream(.init(tracks: [SplitterBench.video]))
        let (client, server) = TestSocket.connectedPair()
        let reader = try splitter.addInterleavedReader(stream, descriptor: server.descriptor, channels: ChannelMap(identity: 2))
        _ = engine.take()
        for number in 0..<Limits().queuedSendsMax { try splitter.send(reader, [UInt8(number)]) }
        #expect(isQueueFull { try splitter.send(reader, [99]) })
        guard case .send(reader, let buffer)? = engine.commands.first else {
            Issue.record("a reply")
            return
        }
        #expect(unsafe Array(buffer.bytes) == [0])
        engine.say(.bufferReturned(buffer))
        #expect(splitter.nextEvent() == nil)
        try splitter.send(reader, [100])
        #expect(isQueueFull { try splitter.send(reader, [101]) })
        finish(engine, splitter)
        withExtendedLifetime(client) {}
    }

    @Test("Nothing but its end is heard of what is being removed, and a stream's end comes after its members'") func late() throws {
        let engine = QuietEngine()
        let splitter = Splitter(engine: engine)
        let stream = try splitter.addStream(.init(tracks: [SplitterBench.video]))
        let (client, server) = TestSocket.connectedPair()
        let reader = try splitter.addInterleavedReader(stream, descriptor: server.descriptor, channels: ChannelMap(identity: 2))
        let source = try splitter.addPushedSource(stream)
        try splitter.removeReader(reader)
        engine.say(.joined(reader, JoinPoint()))
        engine.say(.subscriberFailed(reader, .stalled))
        #expect(splitter.nextEvent() == nil)
        try splitter.removeStream(stream)
        engine.say(.sourceActive(source))
        engine.say(.sourceBye(stream, track: 0))
        engine.say(.streamRemoved(stream))
        #expect(splitter.nextEvent() == nil)
        engine.say(.subscriberRemoved(reader))
        engine.say(.subscriberRemoved(reader))
        engine.say(.sourceRemoved(source))
        engine.say(.streamRemoved(stream))
        var events: [String] = []
        while let event = splitter.nextEvent() { events.append(String("\(event)".prefix { $0 != "(" })) }
        #expect(events == ["readerRemoved", "sourceRemoved", "streamRemoved"])
        finish(engine, splitter)
        withExtendedLifetime(client) {}
    }

    @Test("A sender goes when its last reader has gone") func senders() throws {
        let engine = QuietEngine()
        let splitter = Splitter(engine: engine)
        let stream = try splitter.addStream(.init(tracks: [SplitterBench.video]))
        let sender = try splitter.openDatagramSender()
        var ports = PortMap()
        ports[1] = 5_001
        let reader = try splitter.addDatagramReader(stream, host: HostAddress(ipv4: 0x7F00_0001), ports: ports, sender: sender)
        _ = engine.take()
        try splitter.removeSender(sender)
        #expect(engine.take() == [])
        try splitter.removeReader(reader)
        #expect(engine.take() == ["removeSubscriber"])
        engine.say(.subscriberRemoved(reader))
        _ = splitter.nextEvent()
        #expect(engine.take() == ["removeDatagramEgress"])
        engine.say(.egressRemoved(UInt8(sender.index)))
        guard case .senderRemoved(sender)? = splitter.nextEvent() else {
            Issue.record("its end")
            return
        }
        finish(engine, splitter)
    }

    /// One event taken for each time that the descriptor is readable is enough.
    @Test("The descriptor stays readable while events wait") func readable() throws {
        let engine = QuietEngine()
        let splitter = Splitter(engine: engine)
        let stream = try splitter.addStream(.init(tracks: [SplitterBench.video]))
        let sources = try (0..<5).map { _ in try splitter.addPushedSource(stream) }
        #expect(splitter.nextEvent() == nil)
        for source in sources { engine.say(.sourceActive(source)) }
        for _ in sources {
            #expect(isReadable(splitter))
            #expect(splitter.nextEvent() != nil)
        }
        #expect(splitter.nextEvent() == nil && !isReadable(splitter))
        finish(engine, splitter)
    }

    private func finish(_ engine: QuietEngine, _ splitter: Splitter) {
        engine.room = .max
        splitter.shutdown()
        engine.say(.stopped(leaks: 0))
        while splitter.nextEvent() != nil {}
    }
}

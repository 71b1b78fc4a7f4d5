import Glibc
import PlaneLink
import Testing

@testable import FastPath

/// A process of a test's own: what it opens and takes is not mixed up with other tests'.
enum Alone {
    /// The numbers of the open descriptors.
    static func descriptors() -> Set<Int32> {
        var open: Set<Int32> = []
        guard let directory = unsafe opendir("/proc/self/fd") else { return [] }
        let own = unsafe dirfd(directory)
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            // Timers are of the test's own surroundings, which make them as they like.
            if let number = Int32(name), number != own, !what([number]).hasSuffix("[timerfd]") { open.insert(number) }
        }
        unsafe closedir(directory)
        return open
    }

    /// What descriptors are, for words.
    static func what(_ descriptors: Set<Int32>) -> String {
        descriptors.sorted().map { descriptor in
            var target = [CChar](repeating: 0, count: 256)
            _ = unsafe readlink("/proc/self/fd/\(descriptor)", &target, 255)
            return "\(descriptor) \(String(decoding: target.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))"
        }.joined(separator: ", ")
    }

    /// Bytes of memory that the process holds.
    static func residentBytes() -> Int {
        guard let file = unsafe fopen("/proc/self/statm", "r") else { return 0 }
        defer { unsafe fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        guard unsafe fgets(&line, 256, file) != nil else { return 0 }
        let words = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).split(separator: " ")
        return (words.count > 1 ? Int(words[1]) ?? 0 : 0) * 4_096
    }

    /// Waits until no descriptors are open but these: an engine's threads close theirs shortly after its last report. (What a test's
    /// surroundings had open may be closed meanwhile.)
    static func settles(at wanted: Set<Int32>) -> Bool {
        for _ in 0..<3_000 {
            if descriptors().isSubset(of: wanted) { return true }
            usleep(1_000)
        }
        return false
    }

    /// Ends the process with words, if something is not as it should be.
    static func demand(_ isSo: Bool, _ words: @autoclosure () -> String, line: Int = #line) {
        if !isSo { finish("line \(line): \(words())") }
    }

    /// Ends the process with words for the test: a process that fails can show none.
    static func finish(_ words: String = "as it should be") {
        let text = Array(words.utf8)
        _ = unsafe write(STDOUT_FILENO, text, text.count)
        exit(0)
    }

    /// Whether a process said that all was as it should be; else a test's issue with what it said.
    static func expectGood(_ result: ExitTest.Result, sourceLocation: SourceLocation = #_sourceLocation) {
        let words = String(decoding: result.standardOutputContent, as: UTF8.self)
        #expect(words.hasSuffix("as it should be"), "\(words)", sourceLocation: sourceLocation)
    }
}

/// What is left when a splitter has ended: nothing.
@Suite(.serialized) struct SplitterEndTests {
    /// A splitter with everything attached that there is, and media under way.
    private static func makeBusy(_ bench: SplitterBench, _ sockets: inout [TestSocket]) throws {
        let stream = try bench.addStream(.init(tracks: [SplitterBench.video, SplitterBench.audio]))
        let splitter = bench.splitter
        let sender = bench.added(try splitter.openDatagramSender())
        let group = bench.added(try splitter.addMulticastSender(interface: "lo", timeToLive: 1))
        let socket = TestSocket(datagram: ()), heard = TestSocket(datagram: ())
        _ = bench.added(try splitter.addDatagramSender(rtp: socket.descriptor, rtcp: socket.descriptor))
        _ = bench.added(try splitter.addDatagramSource(stream, descriptor: heard.descriptor, channel: 2), stream)
        _ = bench.added(try splitter.openDatagramSource(stream, port: 0, channel: 1), stream)
        _ = bench.added(
            try splitter.addMulticastSource(
                stream, group: MulticastGroup(address: HostAddress(ipv4: 0xEFFF_4D03), port: 27_500, interface: "lo"), channel: 0), stream)
        let (peer, ours) = TestSocket.connectedPair()
        _ = bench.added(
            try splitter.addInterleavedSource(stream, descriptor: ours.descriptor, channels: ChannelMap(identity: 4), prefix: [0x24, 0]),
            stream)
        let (talker, talked) = TestSocket.connectedPair()
        _ = bench.added(
            try splitter.addInterleavedSource(
                stream, descriptor: talked.descriptor, channels: ChannelMap(identity: 4), prefix: Array("text".utf8)), stream)
        let source = try bench.addPushed(stream)
        var ports = PortMap()
        ports[0] = 27_510
        _ = bench.added(
            try splitter.addDatagramReader(stream, host: HostAddress(ipv4: 0xEFFF_4D04), ports: ports, sender: group), stream)
        for _ in 0..<20 { _ = try bench.addReader(stream, sender, socket) }
        // One that waits for ever, one whose connection is full, one that is paused.
        _ = try bench.addReader(stream, sender, socket, begin: .keyFrame, waits: true)
        let (deaf, full) = TestSocket.connectedPair(sendBuffer: 4_096, receiveBuffer: 4_096)
        let blocked = bench.added(
            try splitter.addInterleavedReader(stream, descriptor: full.descriptor, channels: ChannelMap(identity: 4), begin: .now), stream)
        let (client, server) = TestSocket.connectedPair()
        let paused = bench.added(
            try splitter.addInterleavedReader(stream, descriptor: server.descriptor, channels: ChannelMap(identity: 4)), stream)
        try splitter.pause(paused)
        sockets += [socket, heard, peer, ours, talker, talked, deaf, full, client, server]
        _ = bench.joined(blocked)
        for number in 0..<300 { try splitter.push(source, channel: 0, numbered(number, bytes: 1_200)) }
        splitter.flush()
        Alone.demand(
            bench.reaches { splitter.counters(of: stream)?[.packetsReceived] ?? 0 >= 0 && splitter.counters[.shortWrites] > 0 }, "full")
        try splitter.send(blocked, Array("never read".utf8))
        try splitter.push(source, channel: 0, numbered(300))
    }

    @Test("A shutdown with everything attached: no leaks, descriptors are the caller's, none is left", arguments: BackendName.allCases)
    func shutdown(backend: BackendName) async throws {
        let name = backend.rawValue
        let result = try await #require(processExitsWith: .success, observing: [\.standardOutputContent]) { [name = name as String] in
            for workers in [1, 3] {
                let before = Alone.descriptors()
                var sockets: [TestSocket] = []
                do {
                    let bench = try SplitterBench(backend: BackendName(rawValue: name), workers: workers)
                    try Self.makeBusy(bench, &sockets)
                    let leaks = bench.stop()
                    Alone.demand(leaks == 0, "leaks: \(String(describing: leaks)), backend \(name), \(workers) workers")
                    Alone.demand(bench.ledger.faults.isEmpty && bench.ledger.alive.isEmpty, "\(bench.ledger)")
                    for socket in sockets { Alone.demand(fcntl(socket.descriptor, F_GETFD) >= 0, "a descriptor was closed") }
                }
                sockets = []
                Alone.demand(Alone.settles(at: before), "open: \(Alone.what(Alone.descriptors().subtracting(before)))")
            }
            Alone.finish()
        }
        Alone.expectGood(result)
    }

    @Test("A splitter that is just let go ends by itself, and frees what it had", arguments: BackendName.allCases)
    func letGo(backend: BackendName) async throws {
        let name = backend.rawValue
        let result = try await #require(processExitsWith: .success, observing: [\.standardOutputContent]) { [name = name as String] in
            let before = Alone.descriptors()
            var sockets: [TestSocket] = []
            do {
                let bench = try SplitterBench(backend: BackendName(rawValue: name), workers: 2)
                try Self.makeBusy(bench, &sockets)
            }
            for socket in sockets { Alone.demand(fcntl(socket.descriptor, F_GETFD) >= 0, "a descriptor was closed") }
            // The sockets stay open until the engine is gone: nobody said when it no longer uses them.
            let kept = before.union(sockets.map(\.descriptor))
            Alone.demand(Alone.settles(at: kept), "open: \(Alone.what(Alone.descriptors().subtracting(kept)))")
            sockets = []
            Alone.demand(Alone.settles(at: before), "open: \(Alone.what(Alone.descriptors().subtracting(before)))")
            Alone.finish()
        }
        Alone.expectGood(result)
    }

    @Test("Memory goes back with streams, and with splitters", arguments: BackendName.allCases) func memory(backend: BackendName)
        async throws
    {
        let name = backend.rawValue
        let result = try await #require(processExitsWith: .success, observing: [\.standardOutputContent]) { [name = name as String] in
            func cycle() throws {
                let bench = try SplitterBench(backend: BackendName(rawValue: name))
                for _ in 0..<3 {
                    let large = StreamConfiguration(tracks: [SplitterBench.video], bitRate: 64_000_000, windowMilliseconds: 2_000)
                    let stream = try bench.addStream(large)
                    let source = try bench.addPushed(stream)
                    for number in 0..<200 { try bench.splitter.push(source, channel: 0, numbered(number, bytes: 1_000)) }
                    try bench.splitter.removeStream(stream)
                    Alone.demand(bench.removed(stream), "not removed")
                }
                Alone.demand(bench.stop() == 0, "leaks")
            }
            let before = Alone.descriptors()
            for _ in 0..<3 { try cycle() }
            Alone.demand(Alone.settles(at: before), "open: \(Alone.what(Alone.descriptors().subtracting(before)))")
            let start = Alone.residentBytes()
            // 12 times 3 streams of 17 MB each, 12 engines of several MB each.
            for _ in 0..<12 { try cycle() }
            Alone.demand(Alone.settles(at: before), "open: \(Alone.what(Alone.descriptors().subtracting(before)))")
            let grown = Alone.residentBytes() - start
            // The allocator keeps some for itself; a leak of streams or engines would be a hundred megabytes and more.
            Alone.demand(grown < 40 << 20, "\(grown) bytes more than before")
            Alone.finish()
        }
        Alone.expectGood(result)
    }

    @Test("Where no media moves, what a call brings about is told at once", arguments: BackendName.allCases, [1, 2])
    func promptness(backend: BackendName, workers: Int) throws {
        let bench = try SplitterBench(backend: backend, workers: workers)
        let stream = try bench.addStream()
        for _ in 0..<20 {
            let source = try bench.addPushed(stream)
            bench.drain()
            usleep(5_000)
            bench.drain()
            try bench.splitter.removeSource(source)
            bench.splitter.flush()
            var poller = pollfd(fd: bench.splitter.eventDescriptor, events: Int16(POLLIN), revents: 0)
            #expect(unsafe poll(&poller, 1, 2_000) == 1, "the end of a source is not told")
            #expect(bench.removed(source))
        }
        #expect(bench.stop() == 0)
    }

    private static func beginAnew(
        _ splitter: Splitter, _ reader: SubscriberHandle, _ source: SourceHandle, _ turn: Int
    ) -> SplitterError? {
        do throws(SplitterError) {
            try splitter.pause(reader)
            try splitter.resume(reader, begin: .now)
            try splitter.push(source, channel: 0, numbered(turn))
            if turn % 64 == 0 { splitter.flush() }
            return nil
        } catch {
            return error
        }
    }

    @Test("An engine whose events nobody takes refuses calls in the end, and loses no end") func unattended() throws {
        var limits = Limits()
        limits.streamsMax = 1
        limits.sourcesMax = 2
        limits.subscribersMax = 4
        limits.queuedSendsMax = 255
        let bench = try SplitterBench(limits: limits)
        let stream = try bench.addStream()
        let (client, server) = TestSocket.connectedPair()
        bench.keep(client)
        let source = try bench.addPushed(stream)
        let reader = try bench.addInterleaved(stream, server)
        #expect(bench.joined(reader) != nil)
        // Each begins anew, and says so: more often than reports fit.
        var turns = 0
        var refusal: SplitterError?
        while turns < 40_000, refusal == nil {
            refusal = Self.beginAnew(bench.splitter, reader, source, turns)
            turns += 1
        }
        guard case .queueFull? = refusal else {
            Issue.record("\(String(describing: refusal)) after \(turns)")
            return
        }
        #expect(turns > 100)
        try bench.splitter.removeReader(reader)
        #expect(bench.removed(reader))
        #expect(bench.stop() == 0)
    }
}

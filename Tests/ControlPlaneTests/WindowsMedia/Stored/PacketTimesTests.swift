import Glibc
import NIOCore
import NIOPosix
import Signalling
import Synchronization
import Testing
import WireFormats

@testable import ControlPlane

/// Send times of a file that cannot always be read.
struct PacketTimesTests {
    /// Three stretches of 4,096 packets, on a loop of its own.
    private final class Bench: @unchecked Sendable {
        // All but the storage is used on the loop alone.
        let storage: ScriptedStorage
        private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        private let loop: any EventLoop
        private var times: PacketTimes?
        private(set) var heard: [String?] = []

        init(patience: TimeAmount = .seconds(30)) throws {
            let content = LongASF(packets: 12_000)
            storage = ScriptedStorage(content.bytes)
            loop = group.next()
            let header = try ASFHeader(content.header.span)
            try loop.submit { [self] in
                let file = WindowsMediaFile(
                    name: "film", header: header, packetCount: 12_000, facts: WMSPContent(file: header, byteCount: 1, modified: 1),
                    storage: storage, supply: nil, isWhole: true, proxied: nil, on: loop)
                times = PacketTimes(file, blockPackets: 64, patience: patience, on: loop)
            }.wait()
        }

        func run<Value: Sendable>(_ body: @escaping @Sendable (PacketTimes) -> Value) throws -> Value? {
            try loop.submit { [self] in times.map(body) }.wait()
        }

        /// Asks for a packet; what is heard afterwards is kept.
        func ask(_ packet: UInt32) throws -> UInt32? {
            let found: UInt32?? = try run { [self] times in times.ask(packet) { self.heard.append($0) }?.first }
            return found ?? nil
        }

        func heardSoFar() throws -> [String?] { try loop.submit { self.heard }.wait() }

        func eventually(_ what: Comment, _ condition: () throws -> Bool) throws {
            for _ in 0..<4_000 {
                if try condition() { return }
                usleep(5_000)
            }
            Issue.record(what)
        }

        func stop() throws {
            try loop.submit { self.times = nil }.wait()
            try group.syncShutdownGracefully()
        }
    }

    @Test("What could not be read ahead is read when it is wanted")
    func forgetsFailures() throws {
        let bench = try Bench()
        bench.storage.fails = true
        _ = try bench.run { $0.readAhead(of: 0) }
        try bench.eventually("the read failed") { try bench.run { $0.isReading } == false && bench.storage.reads == 1 }
        bench.storage.fails = false
        try bench.eventually("it is known now") { try bench.ask(5_000) == 4_096 }
        #expect(try bench.heardSoFar().allSatisfy { $0 == nil })
        try bench.stop()
    }

    @Test("All who wait for what cannot be read hear so, of one read")
    func tellsAll() throws {
        let bench = try Bench()
        bench.storage.fails = true
        bench.storage.hold()
        for packet in [10, 20, 30] as [UInt32] { #expect(try bench.ask(packet) == nil) }
        bench.storage.letGo()
        try bench.eventually("all have heard") { try bench.heardSoFar().count == 3 }
        #expect(try bench.heardSoFar() == ["a bad sector", "a bad sector", "a bad sector"])
        #expect(bench.storage.reads == 1)
        try bench.stop()
    }

    @Test("A read that does not end is waited for no longer than it may be, and is of use when it does")
    func overdue() throws {
        let bench = try Bench(patience: .milliseconds(20))
        bench.storage.hold()
        #expect(try bench.ask(0) == nil)
        try bench.eventually("it was told") { try bench.heardSoFar().count == 1 }
        #expect(try bench.heardSoFar().first??.contains("has not answered") == true)
        #expect(try bench.ask(1) == nil)
        try bench.eventually("who comes later is told, too") { try bench.heardSoFar().count == 2 }
        #expect(try bench.run { $0.overdue } == 1)
        bench.storage.letGo()
        try bench.eventually("it is known now") { try bench.ask(2) == 0 }
        #expect(bench.storage.reads == 1)
        try bench.stop()
    }
}

/// Threads that read files.
struct FileThreadsTests {
    @Test("A device that does not answer takes a third of the threads, a second one a third of the rest; others are read meanwhile")
    func devices() throws {
        let threads = FileThreads(count: 9)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let gate = Gate()
        var hung: [EventLoopFuture<Void>] = []
        for device in [1, 2] as [UInt64] {
            for _ in 0..<10 {
                hung.append(
                    threads.run(on: device, eventLoop: loop) {
                        gate.wait()
                    })
            }
        }
        // As many as may be have begun: what is well is read, one after the other.
        for number in 0..<50 {
            #expect(try threads.run(on: 3, eventLoop: loop) { number }.wait() == number)
        }
        while gate.count < 5 { usleep(1_000) }
        #expect(gate.count == 5, "three of nine, and two of six")
        gate.open()
        for one in hung { try one.wait() }
        #expect(gate.count == 20)
        try threads.stop()
        try group.syncShutdownGracefully()
    }

    /// Closed at first.
    private final class Gate: Sendable {
        private let isOpen = Atomic<Bool>(false)
        private let arrived = Atomic<Int>(0)
        /// Who came so far.
        var count: Int { arrived.load(ordering: .relaxed) }
        func open() { isOpen.store(true, ordering: .relaxed) }
        func wait() {
            arrived.add(1, ordering: .relaxed)
            while !isOpen.load(ordering: .relaxed) { usleep(1_000) }
        }
    }
}

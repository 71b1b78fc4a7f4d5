import Glibc
import PlaneLink
import Testing

@testable import FastPath

/// Disks that do not answer, and blocks that are short: a worker against a kernel whose reads end when the test says so.
@Suite struct StoredWaitTests {
    private static let framing = StoredFraming(incarnation: 1, isChunked: false)

    /// A worker, and files of 100 packets of 1,000 bytes, four to a block.
    private struct Disks: ~Copyable {
        var bench: ScriptedWorker
        private var readers: UInt32 = 0
        private var memories: [StreamMemory] = []
        private var words: [StoredProgress] = []

        init(blocks: Int) throws {
            bench = try ScriptedWorker {
                $0.storedBlocks = blocks
                $0.storedWaitNanoseconds = 5_000_000_000
                $0.streamsMax = 16
            }
            bench.script.file = [UInt8](repeating: 7, count: 100_000)
        }

        deinit {
            for memory in memories { memory.free() }
            for word in words { word.free() }
        }

        mutating func addFile(_ index: UInt32, device: UInt64) throws -> StreamHandle {
            let handle = StreamHandle(index: index, generation: 1)
            let memory = StreamMemory(sizing: .stored)
            memories.append(memory)
            let plan = try #require(
                StoredPlan(
                    descriptor: Int32(100 + index), device: device, offset: 0, packetBytes: 1_000, packetCount: 100, blockBytes: 4_000,
                    limits: Limits()))
            bench.run(.addStoredStream(handle, memory, plan))
            return handle
        }

        /// A reader at that block, which is released.
        mutating func addReader(_ stream: StreamHandle, block: UInt32) -> SubscriberHandle {
            let handle = SubscriberHandle(index: readers, generation: 1)
            readers += 1
            let progress = StoredProgress(packet: 4 * block)
            words.append(progress)
            bench.run(
                .addStoredSubscriber(handle, stream, descriptor: 20, first: 4 * block, StoredWaitTests.framing, progress),
                .releaseStored(handle, upTo: 4 * block + 4))
            return handle
        }

        /// The blocks whose reads are under way, of a file.
        func reads(of stream: StreamHandle) -> [Int] {
            let script = bench.script
            let reads = unsafe script.reads.filter { unsafe script.descriptors[$0.slot] == Int32(100 + stream.index) }
            return unsafe reads.map { unsafe Int($0.offset) / 4_000 }
        }

        /// Of each read that is under way, whether it may wait for the disk.
        func waits() -> [Bool] {
            let script = bench.script
            return unsafe script.reads.map { unsafe $0.waits }
        }

        /// Ends the oldest read of a file, and lets what follows from it happen.
        mutating func endRead(of stream: StreamHandle, _ result: Int32 = 4_000) {
            let script = bench.script
            let found = unsafe script.reads.firstIndex { unsafe script.descriptors[$0.slot] == Int32(100 + stream.index) }
            guard let place = found else { return }
            unsafe script.reads.insert(script.reads.remove(at: place), at: 0)
            bench.worker.kernel.endRead(result)
            for _ in 0..<3 { bench.turn() }
        }

        func ended() -> [UInt32: Int32] {
            var list: [UInt32: Int32] = [:]
            for report in bench.takeReports() { if case .storedEnded(let handle, _, let number) = report { list[handle.index] = number } }
            return list
        }
    }

    @Test("What is not in memory is read by a thread that may wait; where nobody can say what is, all of the file is")
    func waits() throws {
        var disks = try Disks(blocks: 16)
        let file = try disks.addFile(1, device: 1), other = try disks.addFile(2, device: 2)
        _ = disks.addReader(file, block: 3)
        #expect(disks.waits() == [false])
        disks.endRead(of: file, -EAGAIN)
        #expect(disks.waits() == [true])
        disks.endRead(of: file)
        _ = disks.addReader(other, block: 3)
        _ = disks.addReader(other, block: 4)
        #expect(disks.waits() == [false, false])
        disks.endRead(of: other, -EOPNOTSUPP)
        disks.endRead(of: other, -EOPNOTSUPP)
        #expect(disks.waits() == [true, true])
        disks.endRead(of: other)
        disks.endRead(of: other)
        _ = disks.addReader(other, block: 5)
        _ = disks.addReader(file, block: 5)
        #expect(disks.waits() == [true, false])
        disks.endRead(of: other)
        disks.endRead(of: file)
        #expect(disks.bench.worker.counters[.packetsSent] == 20)
        #expect(disks.bench.worker.counters[.storedReadsFailed] == 0)
        #expect(disks.ended().isEmpty)
    }

    @Test("A file that does not answer holds a part of the blocks, all files on its device a larger one; others are read")
    func hung() throws {
        var disks = try Disks(blocks: 16)
        let dead = try disks.addFile(1, device: 1), sick = try disks.addFile(2, device: 1), well = try disks.addFile(3, device: 2)
        for block in 0..<12 { _ = disks.addReader(dead, block: UInt32(block)) }
        #expect(disks.reads(of: dead) == [0, 1, 2, 3], "a quarter of sixteen")
        for block in 0..<12 { _ = disks.addReader(sick, block: UInt32(block)) }
        #expect(disks.reads(of: sick) == [0, 1], "the device has a third")
        for block in 0..<20 {
            _ = disks.addReader(well, block: UInt32(block))
            disks.endRead(of: well)
        }
        #expect(disks.reads(of: well).isEmpty)
        #expect(disks.bench.worker.counters[.packetsSent] == 80)
        #expect(disks.ended().isEmpty)
    }

    @Test("A read that takes too long is given up, its readers end with the reason, and the file is read again when it comes back")
    func overdue() throws {
        var disks = try Disks(blocks: 8)
        let dead = try disks.addFile(1, device: 1), well = try disks.addFile(2, device: 2)
        let first = disks.addReader(dead, block: 0), same = disks.addReader(dead, block: 0), second = disks.addReader(dead, block: 1)
        disks.bench.pass(milliseconds: 2_000)
        let later = disks.addReader(dead, block: 2)
        #expect(disks.reads(of: dead) == [0, 1])
        disks.bench.pass(milliseconds: 2_000)
        #expect(disks.ended().isEmpty)
        disks.bench.pass(milliseconds: 1_001)
        #expect(disks.ended() == [first.index: ETIMEDOUT, same.index: ETIMEDOUT, second.index: ETIMEDOUT, later.index: ETIMEDOUT])
        #expect(disks.bench.worker.counters[.storedReadsOverdue] == 2)
        #expect(disks.bench.worker.counters[.storedReadersOverdue] == 4)
        #expect(disks.bench.script.readsCancelled == 2, "the kernel is asked to give the memory back")
        // Who comes now hears it at once.
        let new = disks.addReader(dead, block: 7)
        #expect(disks.ended() == [new.index: ETIMEDOUT])
        _ = disks.addReader(well, block: 3)
        disks.endRead(of: well)
        #expect(disks.bench.worker.counters[.packetsSent] == 4)
        // One of them comes back at last.
        disks.endRead(of: dead, -ECANCELED)
        _ = disks.addReader(dead, block: 9)
        #expect(disks.reads(of: dead) == [1, 9])
        disks.endRead(of: dead)
        disks.endRead(of: dead)
        #expect(disks.bench.worker.counters[.packetsSent] == 8)
        #expect(disks.ended().isEmpty)
        #expect(disks.bench.worker.stored.isHeld == false)
    }

    @Test("A reader that waits for a block too long ends, too, though no single read takes too long")
    func shortTooLong() throws {
        var disks = try Disks(blocks: 8)
        var files: [StreamHandle] = []
        for index in 1...12 as ClosedRange<UInt32> { files.append(try disks.addFile(index, device: 1)) }
        for file in files { _ = disks.addReader(file, block: 0) }
        for third in 0..<3 {
            let reading = files.filter { !disks.reads(of: $0).isEmpty }
            #expect(reading.count == 3, "a third of eight, and files take turns")
            if third == 2 { break }
            disks.bench.pass(milliseconds: 2_000)
            for file in reading { disks.endRead(of: file) }
        }
        disks.bench.pass(milliseconds: 900)
        #expect(disks.ended().isEmpty)
        disks.bench.pass(milliseconds: 200)
        #expect(disks.ended() == [9: ETIMEDOUT, 10: ETIMEDOUT, 11: ETIMEDOUT])
        #expect(disks.bench.worker.counters[.storedReadersOverdue] == 3)
        #expect(disks.bench.worker.counters[.storedReadsOverdue] == 0)
    }

    @Test("Those who wait for a block have it in the order in which they came, file after file; nobody is looked at before one is free")
    func inOrder() throws {
        var disks = try Disks(blocks: 4)
        let one = try disks.addFile(1, device: 1), other = try disks.addFile(2, device: 2), third = try disks.addFile(3, device: 3)
        for block in [5, 1, 4, 2, 3] { _ = disks.addReader(one, block: UInt32(block)) }
        for block in [9, 8, 7] { _ = disks.addReader(other, block: UInt32(block)) }
        for block in [11, 12] { _ = disks.addReader(third, block: UInt32(block)) }
        #expect(disks.reads(of: one) == [5])
        #expect(disks.reads(of: other) == [9])
        #expect(disks.reads(of: third) == [11])
        let waits = disks.bench.worker.counters[.storedBlocksShort]
        for _ in 0..<50 { disks.bench.turn() }
        #expect(waits == 9, "all behind the first of each file, and those who came when somebody waited")
        #expect(disks.bench.worker.counters[.storedBlocksShort] == waits, "each is counted once")
        var order: [Int] = []
        while let first = disks.reads(of: one).first {
            order.append(first)
            disks.endRead(of: one)
        }
        #expect(order == [5, 1, 4, 2, 3])
        order = []
        while let first = disks.reads(of: other).first {
            order.append(first)
            disks.endRead(of: other)
        }
        #expect(order == [9, 8, 7])
        disks.endRead(of: third)
        disks.endRead(of: third)
        #expect(disks.bench.worker.counters[.packetsSent] == 40)
        #expect(disks.bench.worker.shortStreams.count == 0)
    }

    @Test("Readers that wait for a block may leave, pause and come back, and files go with theirs")
    func leave() throws {
        var disks = try Disks(blocks: 2)
        let one = try disks.addFile(1, device: 1), other = try disks.addFile(2, device: 2)
        let readers = (0..<4).map { disks.addReader(one, block: UInt32($0)) }
        let others = (0..<3).map { disks.addReader(other, block: UInt32($0)) }
        disks.bench.run(.removeSubscriber(readers[2]))
        disks.bench.run(.pause(readers[1]))
        disks.endRead(of: one)
        #expect(disks.reads(of: one) == [3])
        disks.bench.run(.releaseStored(readers[1], upTo: 8))
        disks.endRead(of: one)
        #expect(disks.reads(of: one) == [1])
        disks.bench.run(.removeStream(other))
        #expect(disks.bench.worker.shortStreams.count == 0)
        disks.endRead(of: one)
        disks.endRead(of: other)
        let removed = disks.bench.takeReports().filter {
            if case .subscriberRemoved(let handle) = $0 { return others.contains(handle) }
            if case .streamRemoved(other) = $0 { return true }
            return false
        }
        #expect(removed.count == 4)
        #expect(disks.bench.worker.counters[.packetsSent] == 12)
    }
}

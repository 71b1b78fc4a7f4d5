import PlaneLink

@testable import FastPath

/// How a simulation ends: in calm, where everything must arrive, or in the middle of it all; then everything must come home.
extension Simulation {
    /// Nothing is refused any more, every socket has room, time passes: whatever was logged must arrive at every reader.
    func calmDown() {
        guard random.happens(700) else { return }
        isCalm = true
        for worker in egressFullUntil.indices { egressFullUntil[worker] = 0 }
        // Two key frames for those who wait for one: the first may find the log full.
        for _ in 0..<2 {
            for stream in streams where !stream.isRemoved {
                feedAll(stream)
                stream.calmSince = stream.log?.entries.count ?? .max
                feed(stream, wantsKeyFrame: true)
                feedAll(stream)
            }
            for _ in 0..<40 where !hasFailed { pass(milliseconds: 5) }
            for _ in 0..<100 where !hasFailed { pass(milliseconds: 100) }
        }
        for reader in readers where !hasFailed && reader.control != .gone { reader.checkComplete() }
        if !hasFailed { checkSums() }
    }

    /// Feeds what is left of a frame.
    private func feedAll(_ stream: SimulatedStream) {
        while !stream.drafts.isEmpty, !hasFailed {
            pass(milliseconds: 1)
            feed(stream)
        }
    }

    private func pass(milliseconds: UInt64) {
        for reader in readers where reader.isInterleaved { reader.connection.room = SimulatedConnection.roomMax }
        for kernel in kernels {
            kernel.letGo(permille: 1_000)
            kernel.tellWritable(permille: 1_000)
        }
        flushBacklog()
        var turns = 0
        repeat {
            for worker in kernels.indices where !hasFailed { turn(worker) }
            turns += 1
        } while turns < 200 && kernels.contains { $0.isDue } && !hasFailed
        takeReports()
        time += milliseconds * 1_000_000
    }

    private func checkSums() {
        let packets = datagramPackets + mediaPacketsStreamed
        let bytes = datagramBytes + mediaBytesStreamed
        if counters[.packetsSent] != UInt64(packets) { fail("packetsSent is \(counters[.packetsSent]), but the kernel took \(packets)") }
        if counters[.bytesSent] != UInt64(bytes) { fail("bytesSent is \(counters[.bytesSent]), but the kernel took \(bytes)") }
        let live = streams.reduce(UInt64(0)) { $0 &+ $1.memory.counters[.readersLive] }
        let playing = readers.count { $0.isAllowed && $0.failure == nil && $0.control != .gone }
        if live != UInt64(playing) { fail("readersLive is \(live), but \(playing) are playing") }
        // Sender reports go on in the calm, so something may just have been sent.
        let held = kernels.reduce(0) { $0 + $1.holdCount }
        if counters[.zcPending] != UInt64(held) { fail("zcPending is \(counters[.zcPending]), but the kernel holds \(held)") }
    }

    /// Everything is taken down; whatever was lent or named must come back, once.
    func shutDown() {
        if random.happens(500) {
            for reader in readers where reader.control != .gone && reader.control != .removing { remove(reader) }
            for _ in 0..<5 where !hasFailed { pass(milliseconds: 1) }
            for number in 0...circumstances.workers { submit(.removeDatagramEgress(UInt8(number))) }
        }
        isShuttingDown = true
        submit(.shutdown)
        // A worker looks at its commands until it comes to the end of them.
        while hasCommandsQueued, !hasFailed {
            flushBacklog()
            for worker in kernels.indices where lines[worker].commands.count > 0 && !hasFailed { turn(worker) }
            takeReports()
        }
        guard !hasFailed else { return }
        for stream in streams { stream.isRemoved = true }
        runDown()
        takeReports()
        checkEnd()
    }

    private func checkEnd() {
        guard !hasFailed else { return }
        if stoppedLeaks != 0 { fail("stopped(leaks: \(stoppedLeaks.map(String.init) ?? "never reported"))") }
        checkNothingIsLeft()
        for reader in readers where reader.control != .gone { fail("\(reader.name) was never removed") }
        for stream in streams where !stream.isGone { fail("stream \(stream.handle) was never removed") }
        let away = unsafe lent.count { unsafe !$0.isBack }
        if away > 0 { fail("\(away) of \(unsafe lent.count) buffers never came back") }
        if sourceTable.inUse != 0 { fail("\(sourceTable.inUse) sources were never removed") }
        if !egressesGone.isEmpty, egressesGone.sorted() != (0...circumstances.workers).map(UInt8.init) {
            fail("sockets \(egressesGone) were removed")
        }
    }
}

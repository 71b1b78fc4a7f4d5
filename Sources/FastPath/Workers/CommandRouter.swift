import Glibc
import PlaneLink

/// Decides which worker carries what, and brings each command to those it concerns. Belongs to the control plane's thread.
///
/// A stream is at home with the worker that has the fewest streams. Its first readers go there too, where a packet needs no
/// hand-over; from ``spreadFrom`` readers on each newcomer goes to the worker that has the fewest.
@safe final class CommandRouter: @unchecked Sendable {
    // Sendable because one thread uses it: `EngineControl.submit` and `takeReport` belong to one thread.
    private let lines: [WorkerLine]
    private var streams: [StreamEntry]
    private var readers: [UInt8]
    private var sources: [UInt8]
    private var loads: [Load]
    /// The workers that have sockets of an egress number, as bits.
    private var egress: [UInt64]
    /// Workers to wake, as bits.
    private var sleepers: UInt64 = 0
    /// Workers that can carry nothing any more, as bits.
    private var failed: UInt64 = 0

    private struct StreamEntry {
        var home: UInt8 = 0
        var readers: UInt32 = 0
        var generation: UInt32 = 0
    }

    private struct Load {
        var streams = 0
        var readers = 0
    }

    /// With fewer readers a stream stays with its home worker.
    static let spreadFrom = 16
    private static let none = UInt8.max

    init(limits: Limits, lines: [WorkerLine]) {
        self.lines = lines
        streams = Array(repeating: StreamEntry(), count: limits.streamsMax)
        readers = Array(repeating: Self.none, count: limits.subscribersMax)
        readerStreams = Array(repeating: StreamHandle(index: 0, generation: 0), count: limits.subscribersMax)
        sources = Array(repeating: 0, count: limits.sourcesMax)
        loads = Array(repeating: Load(), count: lines.count)
        egress = Array(repeating: 0, count: Limits.egressMax)
    }

    /// The stream of each reader, to take it off the stream's count. A reader may go long after its stream, when the slot is another's.
    private var readerStreams: [StreamHandle]

    // MARK: Submission

    func submit(_ command: Command) -> Bool {
        switch command {
        case .addStream(let handle, let memory, _), .addVerbatimStream(let handle, let memory), .addStoredStream(let handle, let memory, _):
            guard Int(handle.index) < streams.count else { return push(command, to: 0) }
            let home = leastLoaded { loads[$0].streams }
            memory.board.store(.home, UInt64(home))
            guard pushToAll(command) else { return false }
            streams[Int(handle.index)] = StreamEntry(home: UInt8(home), generation: handle.generation)
            loads[home].streams += 1
            return true
        case .setTrack, .setPolicy, .removeStream, .removeDatagramEgress, .shutdown: return pushToAll(command)
        case .setReorder(let handle, _), .useLeg(let handle, _): return push(command, to: home(of: handle))
        case .beginEpoch(let handle), .beginSlate(let handle, _), .repeatKeyFrame(let handle), .setPreface(let handle, _, _):
            return push(command, to: home(of: handle))
        case .addDatagramSource(let handle, let stream, _, _, _, _): return pushSource(command, handle, stream)
        case .addInterleavedSource(let handle, let stream, _, _, _): return pushSource(command, handle, stream)
        case .addFedSource(let handle, let stream, _), .addSlateSource(let handle, let stream, _):
            return pushSource(command, handle, stream)
        case .feed(let handle, _): return push(command, to: worker(of: handle))
        case .resumeSource(let handle, _): return push(command, to: worker(of: handle))
        case .removeSource(let handle): return push(command, to: worker(of: handle))
        case .addDatagramSubscriber(let handle, let stream, _, _, let sockets):
            return pushReader(command, handle, stream, among: Int(sockets) < egress.count ? egress[Int(sockets)] : 0)
        case .addInterleavedSubscriber(let handle, let stream, _, _), .addVerbatimSubscriber(let handle, let stream, _, _),
            .addStoredSubscriber(let handle, let stream, _, _, _, _):
            return pushReader(command, handle, stream, among: .max)
        case .sendBefore(let handle, _, _), .sendLast(let handle, _, _), .armAt(let handle, _), .setBurst(let handle, _, _):
            return push(command, to: worker(of: handle))
        case .resend(let handle, _, _, _), .releaseStored(let handle, _): return push(command, to: worker(of: handle))
        case .arm(let handle, _), .setOverload(let handle, _), .send(let handle, _), .setInterleavedChannels(let handle, _):
            return push(command, to: worker(of: handle))
        case .go(let handle), .pause(let handle), .removeSubscriber(let handle): return push(command, to: worker(of: handle))
        case .addDatagramEgress(let number, let worker, _, _):
            guard Int(worker) < lines.count, push(command, to: Int(worker)) else { return false }
            if Int(number) < egress.count { egress[Int(number)] |= 1 << UInt64(worker) }
            return true
        }
    }

    func wake() {
        var bits = sleepers
        sleepers = 0
        while bits != 0 {
            var one: UInt64 = 1
            _ = unsafe write(lines[bits.trailingZeroBitCount].wake, &one, 8)
            bits &= bits - 1
        }
    }

    private func push(_ command: Command, to worker: Int) -> Bool {
        sleepers |= 1 << UInt64(worker)
        return lines[worker].commands.push(command)
    }

    /// Into every queue, or none.
    private func pushToAll(_ command: Command) -> Bool {
        // Only this thread pushes: room that there is now cannot go.
        for (worker, line) in lines.enumerated() where line.commands.count >= line.commands.capacity {
            sleepers |= 1 << UInt64(worker)
            return false
        }
        for worker in lines.indices { _ = push(command, to: worker) }
        return true
    }

    private func pushSource(_ command: Command, _ handle: SourceHandle, _ stream: StreamHandle) -> Bool {
        let worker = home(of: stream)
        guard push(command, to: worker) else { return false }
        if Int(handle.index) < sources.count { sources[Int(handle.index)] = UInt8(worker) }
        return true
    }

    private func pushReader(_ command: Command, _ handle: SubscriberHandle, _ stream: StreamHandle, among: UInt64) -> Bool {
        let reader = Int(handle.index)
        guard reader < readers.count, Int(stream.index) < streams.count else { return push(command, to: 0) }
        let home = Int(streams[Int(stream.index)].home)
        var worker = home
        if streams[Int(stream.index)].readers >= Self.spreadFrom || among & ~failed & (1 << UInt64(home)) == 0 {
            worker = leastLoaded { among & (1 << UInt64($0)) == 0 ? .max : loads[$0].readers }
        }
        guard push(command, to: worker) else { return false }
        readers[reader] = UInt8(worker)
        readerStreams[reader] = stream
        loads[worker].readers += 1
        streams[Int(stream.index)].readers += 1
        return true
    }

    /// The worker with the least to do, those that failed last.
    private func leastLoaded(_ load: (Int) -> Int) -> Int {
        func burden(_ worker: Int) -> Int { failed >> UInt64(worker) & 1 == 1 ? .max : load(worker) }
        var best = 0
        for worker in lines.indices.dropFirst() where burden(worker) < burden(best) { best = worker }
        return best
    }

    private func home(of handle: StreamHandle) -> Int {
        Int(handle.index) < streams.count ? Int(streams[Int(handle.index)].home) : 0
    }

    private func worker(of handle: SourceHandle) -> Int { Int(handle.index) < sources.count ? Int(sources[Int(handle.index)]) : 0 }

    private func worker(of handle: SubscriberHandle) -> Int {
        let reader = Int(handle.index)
        return reader < readers.count && readers[reader] != Self.none ? Int(readers[reader]) : 0
    }

    // MARK: What has ended

    /// Gives a worker nothing new.
    func workerFailed(_ worker: Int) { failed |= 1 << UInt64(worker) }

    func readerRemoved(_ handle: SubscriberHandle) {
        let reader = Int(handle.index)
        guard reader < readers.count, readers[reader] != Self.none else { return }
        loads[Int(readers[reader])].readers -= 1
        let stream = Int(readerStreams[reader].index)
        if streams[stream].generation == readerStreams[reader].generation, streams[stream].readers > 0 { streams[stream].readers -= 1 }
        readers[reader] = Self.none
    }

    func streamRemoved(_ handle: StreamHandle) {
        guard Int(handle.index) < streams.count else { return }
        loads[Int(streams[Int(handle.index)].home)].streams -= 1
        streams[Int(handle.index)] = StreamEntry()
    }

    func egressRemoved(_ number: UInt8) {
        if Int(number) < egress.count { egress[Int(number)] = 0 }
    }
}

/// Gathers the workers' reports into one line: what every worker must say before it is true is passed on with the last.
@safe final class ReportCollector: @unchecked Sendable {
    // Sendable because one thread uses it: `EngineControl.submit` and `takeReport` belong to one thread.
    private let lines: [WorkerLine]
    private let router: CommandRouter
    private var next = 0
    /// How many workers let go of a stream or an egress, and have stopped.
    private var streamsGone: [UInt8]
    private var egressGone: [UInt8]
    private var stopped = 0
    private var leaks: UInt32 = 0

    init(limits: Limits, lines: [WorkerLine], router: CommandRouter) {
        self.lines = lines
        self.router = router
        streamsGone = Array(repeating: 0, count: limits.streamsMax)
        egressGone = Array(repeating: 0, count: Limits.egressMax)
    }

    func take() -> Report? {
        var looked = 0
        while looked < lines.count {
            guard let report = lines[next].reports.pop() else {
                next = next + 1 == lines.count ? 0 : next + 1
                looked += 1
                continue
            }
            looked = 0
            if case .refused(.ringFailed, _) = report { router.workerFailed(next) }
            if let report = sift(report) { return report }
        }
        return nil
    }

    private func sift(_ report: Report) -> Report? {
        switch report {
        case .subscriberRemoved(let handle): router.readerRemoved(handle)
        case .streamRemoved(let handle):
            guard Int(handle.index) < streamsGone.count else { return report }
            streamsGone[Int(handle.index)] += 1
            guard Int(streamsGone[Int(handle.index)]) == lines.count else { return nil }
            streamsGone[Int(handle.index)] = 0
            router.streamRemoved(handle)
        case .egressRemoved(let number):
            guard Int(number) < egressGone.count else { return report }
            egressGone[Int(number)] += 1
            guard Int(egressGone[Int(number)]) == lines.count else { return nil }
            egressGone[Int(number)] = 0
            router.egressRemoved(number)
        case .stopped(let leaks):
            stopped += 1
            self.leaks += leaks
            guard stopped == lines.count else { return nil }
            return .stopped(leaks: self.leaks)
        default: break
        }
        return report
    }
}

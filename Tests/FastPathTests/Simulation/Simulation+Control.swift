import PlaneLink

@testable import FastPath

/// What a command means for the simulation, from the moment that the engine took it.
enum SimulatedEffect {
    case none
    case addStream(SimulatedStream)
    case addReader(SimulatedReader)
    case go(SimulatedReader)
    case stop(SimulatedReader)
    case channels(SimulatedReader, UInt8, ChannelMap)
    case removeStream(SimulatedStream)
    case beginEpoch(SimulatedStream, Int)
    case feed(SimulatedStream, [FedPacket], bytes: Int)
    case mark(SimulatedReader, LinkBuffer)
    case resend(SimulatedReader, [Int])
}

/// The control plane of a simulation.
extension Simulation {
    func takeEffect(_ effect: SimulatedEffect, _ worker: Int) {
        switch effect {
        case .none, .addStream, .addReader: break
        case .go(let reader): reader.go()
        case .stop(let reader): reader.stop()
        case .channels(let reader, let channels, let wires):
            reader.channels = channels
            reader.wires = wires
        case .mark(let reader, let buffer):
            if let place = reader.marks.firstIndex(where: { $0.buffer.identity == buffer.identity }) { reader.marks[place].isTaken = true }
        case .resend(let reader, let places):
            reader.resends.formUnion(places)
            resendsAsked += places.count
        case .removeStream(let stream): for reader in readers where reader.stream === stream && reader.worker == worker { reader.stop() }
        case .beginEpoch(let stream, let epoch): stream.epochTaken = epoch
        case .feed(let stream, let packets, let bytes):
            feedBytesQueued -= bytes
            stream.log?.take(packets)
            for packet in packets { stream.epochTaken = max(stream.epochTaken, packet.epoch) }
        }
    }

    /// The router gave a reader to a worker: one that has its sockets; the stream's home worker while it has few readers, else the one
    /// with the fewest.
    func placed(_ reader: SimulatedReader, _ worker: Int) {
        let present = readers.filter { $0.control != .gone && $0.worker >= 0 }
        let loads = kernels.indices.map { index in present.count { $0.worker == index } }
        let isFree = reader.sockets == 0
        let hasFew = present.count { $0.stream === reader.stream } < CommandRouter.spreadFrom
        let expected = isFree ? hasFew && worker == reader.stream.home || loads[worker] == loads.min() : worker == Int(reader.sockets) - 1
        if !expected {
            fail("\(reader.name) was given to worker \(worker); they have \(loads), its stream's home is \(reader.stream.home)")
        }
        reader.worker = worker
    }

    /// Lends the engine a copy of some bytes.
    func lend(_ bytes: [UInt8]) -> LinkBuffer {
        let buffer = LinkBuffer(bytes)
        unsafe lent.append(LentBuffer(buffer: buffer, address: buffer.bytes.baseAddress))
        return buffer
    }

    // MARK: Reports

    func takeReports() {
        while !hasFailed, let report = takeReport() { handle(report) }
    }

    private func reader(_ handle: SubscriberHandle) -> SimulatedReader? {
        if let reader = readers.last(where: { $0.handle == handle }) { return reader }
        fail("a report of \(handle), which there never was")
        return nil
    }

    private func handle(_ report: Report) {
        switch report {
        case .joined(let handle, let point): if let reader = reader(handle) { joined(reader, point) }
        case .subscriberFailed(let handle, let failure): if let reader = reader(handle) { failed(reader, failure) }
        case .subscriberLagged(let handle, _, let packets): if let reader = reader(handle) { lagged(reader, packets) }
        case .subscriberRemoved(let handle): if let reader = reader(handle) { removed(reader) }
        case .bufferReturned(let buffer): returned(buffer)
        case .streamRemoved(let handle): streamRemoved(handle)
        case .sourceRemoved(let handle): sourceTable.release(index: handle.index)
        case .egressRemoved(let number): egressesGone.append(number)
        case .stopped(let leaks): stoppedLeaks = stoppedLeaks == nil ? leaks : .max
        case .refused(let refusal, let errorNumber):
            // Memory that could not be registered is used all the same.
            if circumstances.registersPermille == 1_000 { fail("refused: \(refusal), \(errorNumber)") }
        case .sourceActive, .senderReport, .sourceBye, .parameterSets, .packetTooLarge: break
        case .sourceText, .sourceEnded, .storedEnded: fail("an unexpected report: \(report)")
        }
    }

    private func joined(_ reader: SimulatedReader, _ point: JoinPoint) {
        switch reader.control {
        case .arming:
            reader.point = point
            reader.control = .joined
        case .failed, .removing: break
        default: if !reader.mayAnswerLate { fail("\(reader.name) joined, but it is \(reader.control)") }
        }
    }

    private func failed(_ reader: SimulatedReader, _ failure: SubscriberFailure) {
        if reader.failure != nil { fail("\(reader.name) failed twice") }
        reader.failure = failure
        reader.stop()
        let policy = reader.overload ?? reader.stream.policy.overload
        let isExplained: Bool
        switch failure {
        case .connectionLost: isExplained = reader.connection.isBroken
        case .stalled: isExplained = reader.connection.tookAt + limits.writeStallNanoseconds < time
        case .queueFull: isExplained = reader.replies.count + reader.marks.count >= limits.queuedSendsMax
        case .tooSlow: if case .disconnect = policy { isExplained = true } else { isExplained = false }
        }
        if !isExplained { fail("\(reader.name) failed: \(failure)") }
        if reader.control != .removing { reader.control = .failed }
    }

    private func lagged(_ reader: SimulatedReader, _ packets: UInt32) {
        if reader.laggedAt != 0, time - reader.laggedAt < 55_000_000_000 { fail("\(reader.name) lagged twice within a minute") }
        if packets == 0 { fail("\(reader.name) lagged by nothing") }
        reader.laggedAt = time
    }

    private func removed(_ reader: SimulatedReader) {
        if reader.control == .gone { fail("\(reader.name) was removed twice") }
        let isMissing = reader.isInterleaved && reader.failure == nil && !reader.connection.wasShort && !reader.replies.isEmpty
        if isMissing, !reader.neverCame { fail("\(reader.name) was removed before its replies left, though its connection had room") }
        reader.control = .gone
        reader.stop()
        readerTable.release(index: reader.handle.index)
    }

    private func returned(_ buffer: LinkBuffer) {
        let address = unsafe buffer.bytes.baseAddress
        guard let place = unsafe lent.firstIndex(where: { unsafe $0.address == address }) else {
            return fail("a buffer came back that was never lent")
        }
        if unsafe lent[place].isBack { fail("a buffer came back twice") }
        unsafe lent[place].isBack = true
        for reader in readers {
            guard let place = reader.marks.firstIndex(where: { $0.buffer.identity == buffer.identity }) else { continue }
            let mark = reader.marks.remove(at: place)
            if place > 0, reader.failure == nil { fail("\(reader.name) has come to packet \(mark.place) before what comes before it") }
            reader.reached(mark)
            guard mark.isLast, reader.control == .ending else { continue }
            reader.control = .idle
            reader.stop()
        }
    }

    private func streamRemoved(_ handle: StreamHandle) {
        guard let stream = streams.last(where: { $0.handle == handle }) else { return fail("a stream was removed that there never was") }
        if stream.isGone || !stream.isRemoved { fail("stream \(handle) was removed \(stream.isGone ? "twice" : "unasked")") }
        stream.isGone = true
        if kernels.contains(where: { unsafe $0.holds(from: UnsafeRawPointer(stream.memory.arena), count: stream.memory.arenaBytes) }) {
            fail("stream \(handle) was removed while the kernel sends from it")
        }
        // Whoever uses it still is found out.
        unsafe stream.memory.arena.initializeMemory(as: UInt8.self, repeating: 0xDD, count: stream.memory.arenaBytes)
        streamTable.release(index: handle.index)
    }
}

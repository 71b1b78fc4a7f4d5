import PlaneLink

@testable import FastPath

/// What happens in a simulation.
extension Simulation {
    /// The whole run: from the first stream to a stopped engine. Stops at the first thing that is wrong.
    func run() {
        setUp()
        for _ in 0..<circumstances.events where !hasFailed {
            event()
            step()
        }
        if !hasFailed { calmDown() }
        if !hasFailed { shutDown() }
    }

    private func setUp() {
        // Number 0 is there for every worker, the others for one each, so that readers can be brought to a worker.
        for worker in 0..<circumstances.workers {
            let descriptor = Int32(2_000_000 + 10 * worker)
            submit(.addDatagramEgress(0, worker: UInt8(worker), rtp: descriptor, rtcp: descriptor + 1))
            submit(.addDatagramEgress(UInt8(worker + 1), worker: UInt8(worker), rtp: descriptor + 2, rtcp: descriptor + 3))
        }
        addStream()
        if random.happens(400) { addStream() }
        // Late counts begin with a stream that is under way.
        step()
    }

    private func event() {
        switch random.below(1_000) {
        case 0..<330: if let stream = liveStream() { feed(stream) }
        case 330..<430: if let stream = liveStream() { addReader(stream) }
        case 430..<600: advance(readers.filter { $0.control != .gone })
        case 600..<640: if let reader = someReader([.playing, .joined, .arming]) { pause(reader) }
        case 640..<670: if let reader = someReader([.playing, .joined, .idle]), !reader.mayAnswerLate { arm(reader) }
        case 670..<700: if let reader = someReader([.idle, .arming, .joined, .playing]) { remove(reader) }
        case 700..<780:
            if let reader = readers.randomLive(&random) {
                if reader.stream.isVerbatim, random.happens(reader.isInterleaved ? 200 : 700) {
                    mark(reader)
                } else if reader.isInterleaved {
                    if reader.stream.isVerbatim, random.happens(500) { placedReply(reader) } else { replies(reader) }
                } else if reader.stream.isFinished {
                    resend(reader)
                }
            }
        case 780..<860: makeRoom(random.happens(100))
        case 860..<880: egressFullUntil[random.below(circumstances.workers)] = time + UInt64(random.pick([1, 5, 50, 700])) * 1_000_000
        case 880..<890: if let stream = liveStream() { beginEpoch(stream) }
        case 890..<900: if let stream = liveStream(), stream.mayRestart { stream.beginEpoch(self, announced: false) }
        case 900..<908: if let stream = liveStream() { replaceSource(stream) }
        case 908..<914: if let stream = liveStream() { removeStream(stream) }
        case 914..<924: if streams.count(where: { !$0.isRemoved }) < 2 { addStream() }
        case 924..<940: if let reader = readers.randomLive(&random) { setOverload(reader) }
        case 940..<955:
            if let reader = someReader([.idle]), reader.isInterleaved, !reader.mayAnswerLate, !reader.stream.isVerbatim {
                setChannels(reader)
            }
        case 955..<965: staleCommand()
        default: makeRoom(false)
        }
    }

    /// Between two events: workers turn, notices come, time passes, the control plane hears of it.
    private func step() {
        for _ in 0..<random.below(2 * circumstances.workers + 1) where !hasFailed { turn(random.below(circumstances.workers)) }
        if random.happens(300) { for kernel in kernels { kernel.letGo(permille: circumstances.noticePermille) } }
        if random.happens(500) { for kernel in kernels { kernel.tellWritable(permille: 500) } }
        if random.happens(600) { takeReports() }
        flushBacklog()
        passTime()
    }

    private func passTime() {
        // A long time passes only when nothing is on its way between the planes.
        let isIdle = !hasCommandsQueued && streams.allSatisfy { $0.drafts.isEmpty }
        if isIdle { takeReports() }
        switch random.below(1_000) {
        case 0..<300: break
        case 300..<450: time += UInt64(random.within(1...200_000))
        case 450..<700: time += 1_000_000
        case 700..<900: time += UInt64(random.within(1_000_000...10_000_000))
        case 900..<980: time += 33_000_000
        case 980..<994: if isIdle { time += UInt64(random.within(100_000_000...1_000_000_000)) }
        default: if isIdle { time += UInt64(random.pick([3, 11, 61])) * 1_000_000_000 }
        }
    }

    private func liveStream() -> SimulatedStream? {
        let live = streams.filter { !$0.isRemoved }
        return live.isEmpty ? nil : random.pick(live)
    }

    private func someReader(_ states: [SimulatedReader.Control]) -> SimulatedReader? {
        let some = readers.filter { states.contains($0.control) }
        return some.isEmpty ? nil : random.pick(some)
    }

    // MARK: Streams and sources

    private func addStream() {
        guard let slot = streamTable.take() else { return }
        let handle = StreamHandle(index: slot.index, generation: slot.generation)
        let stream = SimulatedStream(self, handle: handle)
        streams.append(stream)
        let isVerbatim = stream.isVerbatim
        submit(
            isVerbatim ? .addVerbatimStream(handle, stream.memory) : .addStream(handle, stream.memory, trackCount: 2), .addStream(stream))
        submit(.setPolicy(handle, stream.policy))
        for track in 0..<2 where !isVerbatim { submit(.setTrack(handle, track: UInt8(track), stream.plan(track))) }
        addSource(stream)
    }

    private func addSource(_ stream: SimulatedStream) {
        guard let slot = sourceTable.take() else { return }
        let handle = SourceHandle(index: slot.index, generation: slot.generation)
        stream.source = handle
        submit(.addFedSource(handle, stream.handle, channels: ChannelMap(identity: 4)))
    }

    private func removeStream(_ stream: SimulatedStream) {
        stream.isRemoved = true
        submit(.removeStream(stream.handle), .removeStream(stream))
        for reader in readers where reader.stream === stream && reader.control != .gone { reader.control = .removing }
    }

    private func beginEpoch(_ stream: SimulatedStream) {
        stream.beginEpoch(self, announced: true)
        submit(.beginEpoch(stream.handle), .beginEpoch(stream, stream.epoch))
    }

    private func replaceSource(_ stream: SimulatedStream) {
        guard let source = stream.source else { return addSource(stream) }
        submit(.removeSource(source))
        stream.source = nil
        beginEpoch(stream)
        if random.happens(500) { addSource(stream) }
    }

    func feed(_ stream: SimulatedStream, wantsKeyFrame: Bool = false) {
        guard let source = stream.source else { return addSource(stream) }
        // What is fed in one turn must not be more than a log holds.
        guard feedBytesQueued < 400_000, backlog.isEmpty else { return }
        let draft = stream.nextFeed(self, wantsKeyFrame: wantsKeyFrame)
        let buffer = lend(draft.bytes)
        guard let base = unsafe buffer.bytes.baseAddress else { return }
        let packets = draft.places.enumerated().map { index, place in
            unsafe FedPacket(
                number: place.number, bytes: base + place.offset, count: place.count, track: place.track, isReport: place.isReport,
                epoch: stream.epoch, sequence: place.sequence, timestamp: place.timestamp, startsKeyFrame: place.startsKeyFrame,
                isStray: place.isStray, place: stream.packetsFed + index)
        }
        stream.packetsFed += draft.places.count
        feedBytesQueued += draft.count
        submit(.feed(source, buffer), .feed(stream, packets, bytes: draft.count))
    }

    // MARK: Readers

    private func addReader(_ stream: SimulatedStream) {
        guard readers.count(where: { $0.control != .gone }) < circumstances.readersMax, readers.count < 15_000,
            let slot = readerTable.take()
        else { return }
        let handle = SubscriberHandle(index: slot.index, generation: slot.generation)
        let isInterleaved = random.happens(circumstances.interleavedPermille) || stream.isVerbatim && !stream.isFinished
        let channels = stream.isVerbatim ? 1 : UInt8(random.pick([0b1111, 0b1111, 0b1111, 0b0011, 0b0101, 0b1100]))
        let host = HostAddress(ipv4: 10 << 24 | UInt32(random.below(circumstances.networks.count)) << 8 | UInt32(readers.count & 0xFF))
        let reader = SimulatedReader(
            self, serial: readers.count, handle: handle, stream: stream, isInterleaved: isInterleaved, channels: channels,
            wires: stream.headBytes > 0 ? ChannelMap(identity: 1) : wires(channels), host: host,
            sockets: isInterleaved || random.happens(500) ? 0 : UInt8(random.within(1...circumstances.workers)))
        readers.append(reader)
        if isInterleaved {
            reader.connection.room = random.within(circumstances.connectionRoom)
            let descriptor = descriptor(of: reader)
            submit(
                stream.headBytes > 0
                    ? .addVerbatimSubscriber(handle, stream.handle, descriptor: descriptor, chunked: false)
                    : .addInterleavedSubscriber(handle, stream.handle, descriptor: descriptor, channels: reader.wires),
                .addReader(reader))
        } else {
            var ports = PortMap()
            for channel in 0..<4 where channels >> UInt8(channel) & 1 == 1 {
                ports[channel] = SimulatedReader.port(serial: reader.serial, channel: channel)
            }
            submit(.addDatagramSubscriber(handle, stream.handle, host: host, ports: ports, sockets: reader.sockets), .addReader(reader))
        }
        if random.happens(800) { arm(reader) }
    }

    private func wires(_ channels: UInt8) -> ChannelMap {
        var map = ChannelMap()
        let first = random.pick([0, 0, 8, 251])
        for channel in 0..<4 where channels >> UInt8(channel) & 1 == 1 { map[channel] = UInt8(first + channel) }
        return map
    }

    private func arm(_ reader: SimulatedReader) {
        reader.control = .arming
        if reader.stream.isVerbatim, random.happens(300) {
            // Not what it may be sent meanwhile.
            let packet = reader.stream.packetsFed + random.within((reader.hasGone ? 0 : -20)...20)
            return submit(.armAt(reader.handle, packet: UInt32(max(packet, 0))), .stop(reader))
        }
        if reader.stream.isVerbatim, random.happens(300) {
            let rate = random.pick([0, 100_000_000, 1_000_000_000] as [UInt64])
            submit(.setBurst(reader.handle, nanoseconds: UInt64(random.below(5)) * 1_000_000_000, bitsPerSecondMax: rate))
        }
        submit(.arm(reader.handle, now: random.happens(400)), .stop(reader))
    }

    /// Takes a reader a step on in its life.
    private func advance(_ candidates: [SimulatedReader]) {
        for reader in candidates where random.happens(500) {
            switch reader.control {
            case .idle: if !reader.mayAnswerLate, random.happens(300) { arm(reader) }
            case .joined:
                reader.control = .playing
                // The answer to PLAY goes before the first packet.
                if reader.isInterleaved, random.happens(700) { reply(reader) }
                submit(.go(reader.handle), .go(reader))
            case .failed: remove(reader)
            case .arming, .playing, .ending, .removing, .gone: break
            }
        }
    }

    private func pause(_ reader: SimulatedReader) {
        if reader.control == .arming { reader.mayAnswerLate = true }
        reader.control = .idle
        submit(.pause(reader.handle), .stop(reader))
    }

    func remove(_ reader: SimulatedReader) {
        reader.control = .removing
        submit(.removeSubscriber(reader.handle), .stop(reader))
    }

    private func replies(_ reader: SimulatedReader) {
        for _ in 0..<random.pick([1, 1, 5]) { reply(reader) }
    }

    private func reply(_ reader: SimulatedReader) {
        let bytes = Array("RTSP/1.0 200 OK\r\nCSeq: \(reader.serial)-\(nextPacketNumber())\r\n\r\n".utf8)
        // Of a reader that is being removed the engine has no use for it.
        if reader.control != .removing, reader.control != .failed { reader.replies.append(bytes) }
        submit(.send(reader.handle, lend(bytes)))
    }

    /// A reply behind all packets that were fed so far, or a place before that.
    private func placedReply(_ reader: SimulatedReader) {
        let before = max(reader.stream.packetsFed - random.pick([0, 0, 0, 1, 30]), 0)
        let bytes = Array("Behind \(before) of \(reader.serial)-\(nextPacketNumber())\r\n".utf8)
        if reader.control != .removing, reader.control != .failed {
            reader.replies.append(bytes)
            // Packets behind an earlier place may be on their way already.
            if before == reader.stream.packetsFed, reader.placeAsked <= before { reader.places[bytes] = before }
            reader.placeAsked = max(reader.placeAsked, before)
        }
        submit(.sendBefore(reader.handle, lend(bytes), packet: UInt32(before)))
    }

    /// A place without bytes, perhaps the last that it comes to: ahead of what was fed, or behind it.
    private func mark(_ reader: SimulatedReader) {
        guard reader.control == .playing else { return }
        let place = max(reader.stream.packetsFed + random.pick([-30, -1, 0, 0, 3, 20]), 0)
        let buffer = lend([])
        let isLast = random.happens(400)
        reader.placeAsked = max(reader.placeAsked, place)
        reader.marks.append(SimulatedReader.Mark(buffer: buffer, place: place, placeMax: reader.placeAsked, isLast: isLast))
        if isLast { reader.control = .ending }
        let command: Command =
            isLast
            ? .sendLast(reader.handle, buffer, packet: UInt32(place)) : .sendBefore(reader.handle, buffer, packet: UInt32(place))
        submit(command, .mark(reader, buffer))
    }

    /// Asks for packets once more: near the newest one, or gone long ago.
    private func resend(_ reader: SimulatedReader) {
        let first = max(reader.stream.packetsFed - random.within(1...random.pick([5, 60, 2_000])), 0)
        let following = random.next() & random.next()
        var places = [first]
        for bit in 0..<64 where following >> UInt64(bit) & 1 == 1 { places.append(first + 1 + bit) }
        let port = SimulatedReader.port(serial: reader.serial, channel: 2)
        submit(.resend(reader.handle, packet: UInt32(first), following: following, port: port), .resend(reader, places))
    }

    private func setOverload(_ reader: SimulatedReader) {
        let policy = random.pick([OverloadPolicy.skipToKeyFrame, .dropOldest, .disconnect(afterNanoseconds: 200_000_000)])
        reader.overload = policy
        submit(.setOverload(reader.handle, policy))
    }

    private func setChannels(_ reader: SimulatedReader) {
        let channels = UInt8(random.pick([0b1111, 0b0011, 0b1100]))
        let wires = wires(channels)
        submit(.setInterleavedChannels(reader.handle, wires), .channels(reader, channels, wires))
    }

    /// A command whose handle was used up must touch nobody.
    private func staleCommand() {
        guard let reader = readers.last(where: { $0.control == .gone }) else { return }
        switch random.below(4) {
        case 0: submit(.go(reader.handle))
        case 1: submit(.arm(reader.handle, now: true))
        case 2: submit(.removeSubscriber(reader.handle))
        default: submit(.send(reader.handle, lend([1, 2, 3])))
        }
    }

    /// The other ends of connections read on.
    func makeRoom(_ everywhere: Bool) {
        for reader in readers where reader.isInterleaved && reader.control != .gone && (everywhere || random.happens(500)) {
            reader.connection.room = min(reader.connection.room + random.within(circumstances.connectionRoom), SimulatedConnection.roomMax)
        }
    }
}

extension [SimulatedReader] {
    fileprivate func randomLive(_ random: inout SplitMix64) -> SimulatedReader? {
        let live = filter { $0.control != .gone }
        return live.isEmpty ? nil : random.pick(live)
    }
}

import Glibc
import PlaneLink
import WireFormats

extension Worker where K: ~Copyable {
    /// Carries out commands, as many as a turn takes. How many that were.
    @discardableResult
    mutating func takeCommands() -> Int {
        var taken = 0
        resendsLeft = Self.resendsPerTurn
        while taken < Self.commandsPerTurn, hasRoomToReport, resendsLeft > 0, let command = commands.pop() {
            carryOut(command)
            taken += 1
        }
        return taken
    }

    /// Whether the queue of reports has room for what everything that exists may still say, and for what a command may bring about.
    /// Where reports are not taken, commands wait instead: nothing that ends goes untold.
    var hasRoomToReport: Bool {
        let owed = subscribersInUse * 3 + sendNodesUsed + sourcesInUse * 4 + streamsInUse * 2
        return reports.capacity - reports.count > owed + Self.reportsPerCommandMax
    }

    /// Reports that one command brings about beyond those that what exists is owed, and those that come uncalled for (refused, stopped).
    private static var reportsPerCommandMax: Int { 16 }

    private mutating func carryOut(_ command: Command) {
        switch command {
        case .addStream(let handle, let memory, let trackCount): addStream(handle, memory, Int(trackCount), isVerbatim: false)
        case .addVerbatimStream(let handle, let memory): addStream(handle, memory, 1, isVerbatim: true)
        case .addStoredStream(let handle, let memory, let plan): addStoredStream(handle, memory, plan)
        case .setTrack(let handle, let track, let plan): setTrack(handle, Int(track), plan)
        case .setPolicy(let handle, let policy): if let stream = find(handle) { streams[stream].state.policy = policy }
        case .removeStream(let handle): if let stream = find(handle) { removeStream(stream) }
        case .beginEpoch(let handle): if let stream = find(handle) { beginEpoch(stream) }
        case .setReorder(let handle, let plan):
            if let stream = find(handle), isOfKind(stream, verbatim: false) { setReorder(stream, plan) }
        case .useLeg(let handle, let leg):
            if let stream = find(handle), Int(leg) < legsPerStreamMax { streams[stream].state.legOfNewSources = leg }
        case .beginSlate(let handle, let silent):
            if let stream = find(handle), isOfKind(stream, verbatim: false) { beginSlate(stream, silentNanoseconds: silent) }
        case .repeatKeyFrame(let handle): if let stream = find(handle) { repeatKeyFrame(stream) }
        case .setPreface(let handle, let track, let buffer):
            if let stream = find(handle), isOfKind(stream, verbatim: false) { setPreface(stream, Int(track), buffer) }
            report(.bufferReturned(buffer))
        case .addDatagramSource(let handle, let stream, let descriptor, let channel, let peer, let port):
            addDatagramSource(handle, stream, descriptor, channel, peer, port)
        case .addInterleavedSource(let handle, let stream, let descriptor, let channels, let prefix):
            addInterleavedSource(handle, stream, descriptor, channels, prefix)
        case .addFedSource(let handle, let stream, let channels): addFedSource(handle, stream, channels, isSlate: false)
        case .addSlateSource(let handle, let stream, let channels): addFedSource(handle, stream, channels, isSlate: true)
        case .feed(let handle, let buffer): feed(handle, buffer)
        case .resumeSource(let handle, let consumed): resumeSource(handle, Int(consumed))
        case .removeSource(let handle): if let source = find(handle) { removeSource(source) }
        case .addDatagramSubscriber(let handle, let stream, let host, let ports, let sockets):
            addDatagramSubscriber(handle, stream, host, ports, sockets)
        case .addInterleavedSubscriber(let handle, let stream, let descriptor, let channels):
            addConnection(handle, stream, descriptor, channels, .interleaved)
        case .addVerbatimSubscriber(let handle, let stream, let descriptor, let isChunked):
            addConnection(handle, stream, descriptor, ChannelMap(identity: 1), isChunked ? .chunk : .bare)
        case .addStoredSubscriber(let handle, let stream, let descriptor, let first, let framing, let progress):
            addStoredSubscriber(handle, stream, descriptor, first, framing, progress)
        case .releaseStored(let handle, let packet): if let reader = find(handle) { releaseStored(reader, upTo: packet) }
        case .arm(let handle, let now): if let reader = find(handle), isLive(reader) { arm(reader, now: now) }
        case .setBurst(let handle, let nanoseconds, let bitsPerSecondMax):
            if let reader = find(handle) {
                subscribers[reader].burstNanoseconds = nanoseconds
                subscribers[reader].burstBytesPerSecond = bitsPerSecondMax == 0 ? 0 : max(bitsPerSecondMax / 8, 1)
            }
        case .go(let handle): if let reader = find(handle), isLive(reader) { go(reader) }
        case .setOverload(let handle, let policy):
            if let reader = find(handle) {
                subscribers[reader].overload = policy
                subscribers[reader].hasOverload = true
            }
        case .pause(let handle):
            if let reader = find(handle) {
                pause(reader)
                if streams[Int(subscribers[reader].stream)].state.isStored { holdStored(reader) }
                // Replies that waited for a place wait no longer.
                if subscribers[reader].sendFirst != .max { sendReplies(reader) }
            }
        case .send(let handle, let buffer): send(handle, buffer)
        case .sendBefore(let handle, let buffer, let packet): send(handle, buffer, before: packet)
        case .sendLast(let handle, let buffer, let packet): send(handle, buffer, before: packet, endsMedia: true)
        case .armAt(let handle, let packet):
            if let reader = find(handle), isLive(reader), isOfKind(Int(subscribers[reader].stream), verbatim: true) {
                arm(reader, at: packet)
            }
        case .setInterleavedChannels(let handle, let channels):
            if let reader = find(handle),
                subscribers[reader].framing == .interleaved || isOfKind(Int(subscribers[reader].stream), verbatim: false)
            {
                subscribers[reader].channels = channels
            }
        case .resend(let handle, let packet, let following, let port): resend(handle, packet, following, port)
        case .removeSubscriber(let handle): if let reader = find(handle) { removeSubscriber(reader) }
        case .addDatagramEgress(let number, let worker, let rtp, let rtcp): if Int(worker) == index { addEgress(Int(number), rtp, rtcp) }
        case .removeDatagramEgress(let number): removeEgress(number)
        case .shutdown: isStopping = true
        }
    }

    // MARK: Handles

    /// The stream's slot, or nil (counted) when the handle is stale.
    mutating func find(_ handle: StreamHandle) -> Int? {
        let index = Int(handle.index)
        guard index < streams.count, streams[index].generation == handle.generation, handle.generation != 0, !streams[index].isClosing
        else {
            counters.add(.staleCommands)
            return nil
        }
        return index
    }

    /// The reader's slot, or nil (counted) when the handle is stale.
    mutating func find(_ handle: SubscriberHandle) -> Int? {
        let index = Int(handle.index)
        guard index < subscribers.count, subscribers[index].generation == handle.generation, subscribers[index].isActive else {
            counters.add(.staleCommands)
            return nil
        }
        return index
    }

    /// The source's slot, or nil (counted) when the handle is stale.
    mutating func find(_ handle: SourceHandle) -> Int? {
        let index = Int(handle.index)
        guard unsafe index < sources.count, unsafe sources[index].generation == handle.generation,
            unsafe sources[index].kind != .free && sources[index].kind != .closing
        else {
            counters.add(.staleCommands)
            return nil
        }
        return index
    }

    func handle(ofReader reader: Int) -> SubscriberHandle {
        SubscriberHandle(index: UInt32(reader), generation: subscribers[reader].generation)
    }

    func handle(ofSource source: Int) -> SourceHandle {
        SourceHandle(index: UInt32(source), generation: unsafe sources[source].generation)
    }

    // MARK: Streams

    mutating func addStream(_ handle: StreamHandle, _ memory: StreamMemory, _ trackCount: Int, isVerbatim: Bool) {
        let stream = Int(handle.index)
        guard stream < streams.count, streams[stream].generation == 0, handle.generation != 0 else {
            counters.add(.staleCommands)
            return report(.streamRemoved(handle))
        }
        let isDirty = streams[stream].state.isDirty
        let nextDirty = streams[stream].state.nextDirty
        streams[stream].state = StreamState(
            handle: handle, memory: memory, trackCount: trackCount, isVerbatim: isVerbatim, worker: index, workers: peers.workers)
        let moment = kernel.clock()
        streams[stream].state.clock = StreamClock(wallClock: kernel.wallClock(), now: moment)
        // The slot's last stream may still stand in the list of those with something to do.
        streams[stream].state.isDirty = isDirty
        streams[stream].state.nextDirty = nextDirty
        streams[stream].isClosing = false
        streams[stream].generation = handle.generation
        streamsInUse += 1
        registerArena(stream, memory)
    }

    private mutating func setTrack(_ handle: StreamHandle, _ track: Int, _ plan: TrackPlan) {
        guard track < tracksPerStreamMax, let stream = find(handle), isOfKind(stream, verbatim: false) else { return }
        let bit = UInt8(1) << UInt8(track)
        if streams[stream].state.tracksPlanned & bit != 0 { return planAnew(stream, track, plan) }
        streams[stream].state.tracksPlanned |= bit
        streams[stream].state.trackCount = max(streams[stream].state.trackCount, track + 1)
        // A track that comes later is put in order like the others.
        if streams[stream].state.reorder.isOn {
            if let grown = streams[stream].state.reorder.grown(to: track + 1) {
                streams[stream].state.reorder = grown
            } else {
                report(.refused(.registerFailed, errorNumber: 12))
            }
        }
        if track == 0 { streams[stream].state.name = plan.ssrc }
        setPlan(stream, track, plan)
        if plan.codec != .opaque, streams[stream].state.anchor < 0 { streams[stream].state.anchor = track }
    }

    /// Whether the stream is of the kind that a command is for; if not, that is told.
    mutating func isOfKind(_ stream: Int, verbatim: Bool) -> Bool {
        if streams[stream].state.isVerbatim == verbatim { return true }
        report(.refused(.wrongKind, errorNumber: EINVAL))
        return false
    }

    func setPlan(_ stream: Int, _ track: Int, _ plan: TrackPlan) {
        streams[stream].state.tracks[track].plan = plan
        streams[stream].state.tracks[track].keyFrames = KeyFrameCodec(rawValue: plan.codec.rawValue) ?? .opaque
    }

    mutating func removeStream(_ stream: Int) {
        for source in unsafe 0..<sources.count
        where unsafe sources[source].kind != .free && sources[source].kind != .closing && sources[source].stream == UInt32(stream) {
            removeSource(source)
        }
        for name in [SubscriberList.Name.quiet, .live, .lagging, .interleaved] {
            while true {
                let first = streams[stream].state.list(name).first
                guard first != SubscriberList.end else { break }
                removeSubscriber(Int(first))
            }
        }
        streams[stream].isClosing = true
        if streams[stream].state.zeroCopyHolds == 0, streams[stream].state.storedReads == 0 { finishStream(stream) }
    }

    /// Nothing of the stream is in use any more.
    mutating func finishStream(_ stream: Int) {
        if streams[stream].state.registered >= 0 { kernel.unregister(index: stream) }
        unpin(stream)
        if streams[stream].state.isStored { closeStored(stream) }
        streams[stream].state.reorder.free()
        let handle = streams[stream].state.handle
        streams[stream].generation = 0
        streams[stream].isClosing = false
        streams[stream].state.dueAt = .max
        streams[stream].state.releaseAt = .max
        streams[stream].state.reorderAt = .max
        streams[stream].state.interleavedDueAt = .max
        streamsInUse -= 1
        report(.streamRemoved(handle))
    }

    // MARK: Egress

    private mutating func addEgress(_ number: Int, _ rtp: Int32, _ rtcp: Int32) {
        guard number < egress.count, !egress[number].isSet else { return report(.refused(.registerFailed, errorNumber: EINVAL)) }
        guard let rtpFile = kernel.attach(descriptor: rtp), let rtcpFile = kernel.attach(descriptor: rtcp) else {
            return report(.refused(.registerFailed, errorNumber: ENFILE))
        }
        egress[number] = Egress(isSet: true, rtp: rtpFile, rtcp: rtcpFile)
    }

    private mutating func removeEgress(_ number: UInt8) {
        if Int(number) < egress.count, egress[Int(number)].isSet { closeEgress(Int(number)) }
        report(.egressRemoved(number))
    }

    mutating func closeAllEgress() {
        for place in 0..<egress.count where egress[place].isSet { closeEgress(place) }
    }

    private mutating func closeEgress(_ place: Int) {
        kernel.detach(egress[place].rtp)
        kernel.detach(egress[place].rtcp)
        egress[place].isSet = false
    }
}

extension StreamState {
    func list(_ name: SubscriberList.Name) -> SubscriberList {
        switch name {
        case .none: SubscriberList()
        case .quiet: quiet
        case .live: live
        case .lagging: lagging
        case .interleaved: interleaved
        }
    }
}

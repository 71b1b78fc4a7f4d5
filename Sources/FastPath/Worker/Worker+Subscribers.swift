import PlaneLink

extension Worker where K: ~Copyable {
    // MARK: Coming and going

    private func emptySubscriber(_ handle: SubscriberHandle, _ stream: Int) -> Subscriber {
        Subscriber(
            generation: handle.generation, state: .quiet, list: .none, isInterleaved: false, refusesTrains: false, isBlocked: false,
            hasFailed: false, sockets: 0, sendsQueued: 0, stream: UInt32(stream), next: SubscriberList.end,
            previous: SubscriberList.end, cursor: 0, host: HostAddress(ipv4: 0), ports: PortMap(), channels: ChannelMap(),
            file: .none, blockedAt: 0, remainderStart: 0, remainderCount: 0, offeredBytes: 0, offeredPackets: 0,
            offeredEnd: 0,
            sendFirst: .max, sendLast: .max)
    }

    mutating func addDatagramSubscriber(
        _ handle: SubscriberHandle, _ streamHandle: StreamHandle, _ host: HostAddress, _ ports: PortMap, _ sockets: UInt8
    ) {
        let reader = Int(handle.index)
        guard reader < subscribers.count, subscribers[reader].state == .free, let stream = find(streamHandle),
            Int(sockets) < egress.count, egress[Int(sockets)].isSet
        else { return report(.subscriberRemoved(handle)) }
        subscribers[reader] = emptySubscriber(handle, stream)
        subscribers[reader].host = host
        subscribers[reader].ports = ports
        subscribers[reader].sockets = sockets
        subscribersInUse += 1
        streams[stream].state.quiet.append(UInt32(reader), .quiet, in: subscribers)
    }

    mutating func addInterleavedSubscriber(
        _ handle: SubscriberHandle, _ streamHandle: StreamHandle, _ descriptor: Int32, _ channels: ChannelMap
    ) {
        let reader = Int(handle.index)
        guard reader < subscribers.count, subscribers[reader].state == .free, let stream = find(streamHandle),
            let file = kernel.attach(descriptor: descriptor)
        else { return report(.subscriberRemoved(handle)) }
        subscribers[reader] = emptySubscriber(handle, stream)
        subscribers[reader].isInterleaved = true
        subscribers[reader].channels = channels
        subscribers[reader].file = file
        subscribersInUse += 1
        streams[stream].state.interleaved.append(UInt32(reader), .interleaved, in: subscribers)
    }

    /// Takes a reader out of its stream; a connection that the kernel still watches is reported when the watch ended.
    mutating func removeSubscriber(_ reader: Int) {
        if subscribers[reader].isInterleaved, !subscribers[reader].isBlocked, !subscribers[reader].hasFailed {
            stopMedia(reader)
            pumpReplies(reader)
        }
        stopMedia(reader)
        let stream = Int(subscribers[reader].stream)
        unlink(reader, from: stream)
        dropReplies(reader)
        subscribers[reader].state = .closing
        if subscribers[reader].isBlocked, subscribers[reader].isInterleaved {
            kernel.cancel(subscribers[reader].file, tag: writableTag(reader))
        } else {
            finishRemoval(reader)
        }
    }

    func writableTag(_ reader: Int) -> RequestTag {
        RequestTag(.writable, index: UInt32(reader), generation: subscribers[reader].generation)
    }

    private mutating func finishRemoval(_ reader: Int) {
        kernel.detach(subscribers[reader].file)
        let handle = handle(ofReader: reader)
        subscribers[reader].state = .free
        subscribersInUse -= 1
        report(.subscriberRemoved(handle))
    }

    /// Gives a reader up; the control plane removes it.
    mutating func fail(_ reader: Int, _ failure: SubscriberFailure) {
        guard !subscribers[reader].hasFailed else { return }
        subscribers[reader].hasFailed = true
        stopMedia(reader)
        dropReplies(reader)
        switch failure {
        case .stalled: counters.add(.readersStalled)
        case .connectionLost: counters.add(.readersConnectionLost)
        case .queueFull: counters.add(.readersQueueFull)
        }
        report(.subscriberFailed(handle(ofReader: reader), failure))
    }

    /// The kernel says that a connection has room, or that the watch was cancelled.
    mutating func becameWritable(_ tag: RequestTag) {
        let reader = Int(tag.index)
        guard reader < subscribers.count, subscribers[reader].state != .free,
            subscribers[reader].generation & 0xFF_FFFF == tag.generation
        else { return }
        subscribers[reader].isBlocked = false
        if subscribers[reader].state == .closing { return finishRemoval(reader) }
        let stream = Int(subscribers[reader].stream)
        streams[stream].state.dueAt = min(streams[stream].state.dueAt, now)
        markDirty(stream)
    }

    // MARK: Lists

    private mutating func unlink(_ reader: Int, from stream: Int) {
        let index = UInt32(reader)
        switch subscribers[reader].list {
        case .none: break
        case .quiet: streams[stream].state.quiet.remove(index, in: subscribers)
        case .live: streams[stream].state.live.remove(index, in: subscribers)
        case .lagging: streams[stream].state.lagging.remove(index, in: subscribers)
        case .interleaved: streams[stream].state.interleaved.remove(index, in: subscribers)
        }
    }

    /// Moves a UDP reader to another list of its stream.
    mutating func move(_ reader: Int, to name: SubscriberList.Name) {
        let stream = Int(subscribers[reader].stream)
        unlink(reader, from: stream)
        switch name {
        case .none, .interleaved: break
        case .quiet: streams[stream].state.quiet.append(UInt32(reader), name, in: subscribers)
        case .live: streams[stream].state.live.append(UInt32(reader), name, in: subscribers)
        case .lagging: streams[stream].state.lagging.append(UInt32(reader), name, in: subscribers)
        }
    }

    // MARK: Media on and off

    /// Finds the reader's first packet: now if there is no key frame to wait for, else at the next one.
    mutating func arm(_ reader: Int, now isNow: Bool) {
        let stream = Int(subscribers[reader].stream)
        let wasArmed = subscribers[reader].state == .armed
        if wasArmed, !isNow { return }
        stopMedia(reader)
        let anchor = streams[stream].state.anchor
        if isNow || anchor < 0 || !subscribers[reader].takes(2 * anchor) {
            join(reader, at: streams[stream].state.log.head, stream)
        } else {
            subscribers[reader].state = .armed
            streams[stream].state.waiting += 1
        }
    }

    /// The stream's newest packet begins a key frame: everybody who waits for one begins there.
    mutating func keyFrameBegan(_ stream: Int, at packet: UInt64) {
        guard streams[stream].state.waiting > 0 else { return }
        releaseWaiting(in: streams[stream].state.quiet, stream, packet)
        releaseWaiting(in: streams[stream].state.interleaved, stream, packet)
        releaseWaiting(in: streams[stream].state.lagging, stream, packet)
    }

    private mutating func releaseWaiting(in list: SubscriberList, _ stream: Int, _ packet: UInt64) {
        var index = list.first
        while index != SubscriberList.end {
            let reader = Int(index)
            index = subscribers[reader].next
            switch subscribers[reader].state {
            case .armed:
                streams[stream].state.waiting -= 1
                join(reader, at: packet, stream)
            case .skipping:
                streams[stream].state.waiting -= 1
                subscribers[reader].state = .playing
                subscribers[reader].cursor = packet
            case .free, .quiet, .joined, .playing, .closing: break
            }
        }
    }

    private mutating func join(_ reader: Int, at packet: UInt64, _ stream: Int) {
        subscribers[reader].state = .joined
        subscribers[reader].cursor = packet
        report(.joined(handle(ofReader: reader), joinPoint(stream, at: packet)))
    }

    /// The first packet of each track from a packet on. The packet is the log's head (not there yet) or the newest.
    private func joinPoint(_ stream: Int, at packet: UInt64) -> JoinPoint {
        var point = JoinPoint()
        let log = streams[stream].state.log
        for track in 0..<streams[stream].state.trackCount {
            let state = streams[stream].state.tracks[track]
            guard state.hasOutput else { continue }
            if packet < log.head, Int(log.record(packet).channel) == 2 * track {
                let record = log.record(packet)
                point[track] = JoinPoint.Start(sequence: record.sequence, timestamp: record.timestamp, isKnown: true)
            } else {
                point[track] = JoinPoint.Start(
                    sequence: state.sequenceOut &+ 1, timestamp: state.timestampOut &+ state.timestampStep, isKnown: true)
            }
        }
        return point
    }

    /// Lets the reader have everything from its first packet on.
    mutating func go(_ reader: Int) {
        guard subscribers[reader].state == .joined else { return }
        let stream = Int(subscribers[reader].stream)
        subscribers[reader].state = .playing
        subscribers[reader].blockedAt = 0
        if !subscribers[reader].isInterleaved { move(reader, to: .lagging) }
        streams[stream].state.counters.add(.readersLive)
        logJoinReports(stream)
        streams[stream].state.dueAt = min(streams[stream].state.dueAt, now)
        markDirty(stream)
    }

    mutating func pause(_ reader: Int) {
        stopMedia(reader)
        if !subscribers[reader].isInterleaved, subscribers[reader].list != .quiet { move(reader, to: .quiet) }
    }

    /// Ends media for a reader, whatever it was waiting for.
    mutating func stopMedia(_ reader: Int) {
        let stream = Int(subscribers[reader].stream)
        switch subscribers[reader].state {
        case .armed: streams[stream].state.waiting -= 1
        case .skipping:
            streams[stream].state.waiting -= 1
            readerStopped(stream)
        case .playing: readerStopped(stream)
        case .joined, .quiet: break
        case .free, .closing: return
        }
        subscribers[reader].state = .quiet
    }

    private func readerStopped(_ stream: Int) {
        let counters = streams[stream].state.counters
        counters.set(.readersLive, counters[.readersLive] &- 1)
    }

    /// A reader's next packet is no longer in the log: it goes on at a key frame, the newest one if it has not seen it.
    mutating func skipAhead(_ reader: Int, _ stream: Int) {
        let state = streams[stream].state
        var target = state.log.head
        let anchor = state.anchor
        let wantsKeyFrame = anchor >= 0 && subscribers[reader].takes(2 * anchor)
        let hasTarget =
            wantsKeyFrame && state.hasKeyFrame && state.keyFrame > subscribers[reader].cursor && state.log.isValid(state.keyFrame)
        if hasTarget { target = state.keyFrame }
        let missed = target &- subscribers[reader].cursor
        counters.add(.ringOverruns)
        counters.add(.packetsOverrun, missed)
        state.counters.add(.ringOverruns)
        state.counters.add(.packetsDropped, missed)
        subscribers[reader].cursor = target
        if wantsKeyFrame, !hasTarget {
            subscribers[reader].state = .skipping
            streams[stream].state.waiting += 1
        }
    }
}

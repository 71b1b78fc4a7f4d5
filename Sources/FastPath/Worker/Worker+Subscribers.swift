import PlaneLink

extension Worker where K: ~Copyable {
    // MARK: Coming and going

    func emptySubscriber(_ handle: SubscriberHandle, _ stream: Int) -> Subscriber {
        Subscriber(
            generation: handle.generation, state: .quiet, list: .none, isInterleaved: false,
            isVerbatim: streams[stream].state.isVerbatim, framing: .interleaved, isBursting: false,
            isBlocked: false,
            hasFailed: false, sockets: 0, sendsQueued: 0, refusesTrains: false, hasOverload: false, destination: 0,
            stream: UInt32(stream), next: SubscriberList.end, previous: SubscriberList.end, cursor: 0, beginning: 0, hasBeginning: false,
            host: .any, ports: PortMap(),
            channels: ChannelMap(), file: .none, blockedAt: 0, deferredAt: 0, lagSince: 0, missed: 0, missReportedAt: 0, burstShare: 0,
            burstLeft: 0, burstNanoseconds: 0, burstBytesPerSecond: 0, burstAt: 0, queuedBytes: 0, sendsHeld: 0, overload: .skipToKeyFrame,
            remainderStart: 0, remainderCount: 0,
            remainderPayload: 0, offeredBytes: 0, offeredReplies: 0, offeredPackets: 0, offeredPayload: 0,
            offeredFirst: 0, offeredEnd: 0, sendFirst: .max, sendLast: .max)
    }

    mutating func addDatagramSubscriber(
        _ handle: SubscriberHandle, _ streamHandle: StreamHandle, _ host: HostAddress, _ ports: PortMap, _ sockets: UInt8
    ) {
        let reader = Int(handle.index)
        guard reader < subscribers.count, subscribers[reader].state == .free, let stream = find(streamHandle),
            !streams[stream].state.isStored, Int(sockets) < egress.count, egress[Int(sockets)].isSet
        else { return report(.subscriberRemoved(handle)) }
        subscribers[reader] = emptySubscriber(handle, stream)
        subscribers[reader].host = host
        subscribers[reader].ports = ports
        subscribers[reader].sockets = sockets
        subscribers[reader].destination = destinations.enter(host, egress: sockets)
        subscribersInUse += 1
        streams[stream].state.quiet.append(UInt32(reader), .quiet, in: subscribers)
    }

    /// A TCP reader. Frames of RTP go around the packets of any stream, other framing around those of a verbatim one alone.
    mutating func addConnection(
        _ handle: SubscriberHandle, _ streamHandle: StreamHandle, _ descriptor: Int32, _ channels: ChannelMap, _ framing: PacketFraming
    ) {
        let reader = Int(handle.index)
        guard reader < subscribers.count, subscribers[reader].state == .free, let stream = find(streamHandle),
            !streams[stream].state.isStored, framing == .interleaved || isOfKind(stream, verbatim: true),
            let file = kernel.attach(descriptor: descriptor)
        else { return report(.subscriberRemoved(handle)) }
        subscribers[reader] = emptySubscriber(handle, stream)
        subscribers[reader].isInterleaved = true
        subscribers[reader].channels = channels
        subscribers[reader].framing = framing
        subscribers[reader].file = file
        subscribers[reader].destination = destinations.enter(SocketAddressBytes.peer(ofDescriptor: descriptor), egress: .max)
        subscribersInUse += 1
        streams[stream].state.interleaved.append(UInt32(reader), .interleaved, in: subscribers)
    }

    /// Takes a reader out of its stream; a connection that the kernel still watches is reported when the watch ended.
    mutating func removeSubscriber(_ reader: Int) {
        if subscribers[reader].isInterleaved, !subscribers[reader].isBlocked, !subscribers[reader].hasFailed {
            stopMedia(reader)
            pumpReader(reader)
        }
        stopMedia(reader)
        // What the kernel holds for a peer that takes nothing would stay with it for minutes.
        if subscribers[reader].sendsHeld > 0, subscribers[reader].isBlocked || subscribers[reader].hasFailed || isStopping {
            kernel.abort(subscribers[reader].file)
        }
        let stream = Int(subscribers[reader].stream)
        unlink(reader, from: stream)
        if streams[stream].state.isStored { leaveStored(reader) }
        dropReplies(reader)
        subscribers[reader].state = .closing
        if subscribers[reader].isBlocked, subscribers[reader].isInterleaved {
            kernel.cancel(subscribers[reader].file, tag: writableTag(reader))
        } else if subscribers[reader].sendsHeld > 0 {
            // A peer that has gone, or takes nothing more, is waited for a while: closed, its connection would keep the memory.
            subscribers[reader].blockedAt = now
            readersHeld += 1
            nextSweep = min(nextSweep, now + Self.sweepNanoseconds)
        } else {
            finishRemoval(reader)
        }
    }

    /// A reader that was removed while the kernel held something for it is waited for so long, then its connection is reset.
    static var heldNanosecondsMax: UInt64 { 2_000_000_000 }

    /// The same for a verbatim reader that had not failed: its connection may go on under another reader, or with the control plane, to a
    /// player that is merely slow.
    static var heldVerbatimNanosecondsMax: UInt64 { 30_000_000_000 }

    /// Resets the connections of readers that were removed and for which the kernel has held something for too long, or of all.
    mutating func resetHeld(all: Bool = false) {
        guard readersHeld > 0 else { return }
        for reader in 0..<subscribers.count where subscribers[reader].state == .closing && subscribers[reader].sendsHeld > 0 {
            let goesOn = subscribers[reader].isVerbatim && !subscribers[reader].hasFailed
            let span = goesOn ? Self.heldVerbatimNanosecondsMax : Self.heldNanosecondsMax
            if all || now &- subscribers[reader].blockedAt >= span { kernel.abort(subscribers[reader].file) }
        }
    }

    /// The kernel gave back what it held for a reader last.
    mutating func holdsEnded(_ reader: Int) {
        guard subscribers[reader].state == .closing, !subscribers[reader].isBlocked else { return }
        readersHeld -= 1
        finishRemoval(reader)
    }

    func writableTag(_ reader: Int) -> RequestTag {
        RequestTag(.writable, index: UInt32(reader), generation: subscribers[reader].generation)
    }

    mutating func finishRemoval(_ reader: Int) {
        kernel.detach(subscribers[reader].file)
        destinations.leave(subscribers[reader].destination)
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
        switch failure {
        case .stalled: counters.add(.readersStalled)
        case .connectionLost: counters.add(.readersConnectionLost)
        case .queueFull: counters.add(.readersQueueFull)
        case .tooSlow: counters.add(.readersTooSlow)
        }
        report(.subscriberFailed(handle(ofReader: reader), failure))
        // Behind it: replies that come back say that they have left, and this says that they have not.
        dropReplies(reader)
    }

    /// The kernel says that a connection has room, or that the watch was cancelled.
    mutating func becameWritable(_ tag: RequestTag) {
        let reader = Int(tag.index)
        guard reader < subscribers.count, subscribers[reader].state != .free,
            subscribers[reader].generation & 0xFF_FFFF == tag.generation
        else { return }
        guard subscribers[reader].isBlocked else { return }
        subscribers[reader].isBlocked = false
        readersBlocked -= 1
        if subscribers[reader].state == .closing {
            guard subscribers[reader].sendsHeld > 0 else { return finishRemoval(reader) }
            subscribers[reader].blockedAt = now
            readersHeld += 1
            nextSweep = min(nextSweep, now + Self.sweepNanoseconds)
            return
        }
        pumpReader(reader)
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
        case .lagging:
            if !subscribers[reader].isBursting { subscribers[reader].burstLeft = Int32(PacingPolicy.burstBytes) }
            streams[stream].state.lagging.append(UInt32(reader), name, in: subscribers)
        }
    }

    // MARK: Media on and off

    /// Finds the reader's first packet: now if there is no key frame to wait for, at the last key frame if it may be sent the past,
    /// else at the next one.
    mutating func arm(_ reader: Int, now isNow: Bool) {
        let stream = Int(subscribers[reader].stream)
        if subscribers[reader].state == .armed, !isNow { return }
        pause(reader)
        subscribers[reader].hasBeginning = false
        // Who waits already is told of what was there before this reader came.
        lookForKeyFrame(stream)
        streams[stream].state.interested += 1
        publishAudience(stream)
        let anchor = streams[stream].state.anchor
        if isNow || anchor < 0 || !subscribers[reader].takes(2 * anchor) {
            join(reader, at: streams[stream].state.board.load(.head), stream)
        } else if let keyFrame = burstStart(reader, stream) {
            subscribers[reader].isBursting = true
            join(reader, at: keyFrame, stream)
        } else {
            subscribers[reader].state = .armed
            streams[stream].state.waiting += 1
        }
        unpin(stream)
    }

    /// Has a reader of a verbatim stream begin with the packet of that number: in the log, or still to come.
    mutating func arm(_ reader: Int, at number: UInt32) {
        let stream = Int(subscribers[reader].stream)
        pause(reader)
        lookForKeyFrame(stream)
        streams[stream].state.interested += 1
        publishAudience(stream)
        let head = streams[stream].state.board.load(.head)
        var packet = head
        if head > 0, pin(stream, head - 1) {
            // Numbers go on by one for each packet, and where there was no room for some, by more.
            let behind = Int32(bitPattern: streams[stream].state.log.record(head - 1).timestamp &- number)
            if behind >= 0 {
                packet = max(head - 1 - min(UInt64(behind), head - 1), streams[stream].state.board.load(.tail))
                // What is told of it is read from the log.
                if !pin(stream, packet) { packet = head }
            }
        }
        subscribers[reader].beginning = number
        subscribers[reader].hasBeginning = true
        join(reader, at: packet, stream)
        unpin(stream)
    }

    func publishAudience(_ stream: Int) {
        streams[stream].state.board.store(index, .audience, streams[stream].state.interested)
    }

    /// Readers that wait for a key frame begin at the newest one, if they were not told of it yet.
    mutating func lookForKeyFrame(_ stream: Int) {
        let keyFrame = streams[stream].state.board.load(.keyFrame)
        guard keyFrame > streams[stream].state.keyFrameSeen else { return }
        streams[stream].state.keyFrameSeen = keyFrame
        guard streams[stream].state.waiting > 0, pin(stream, keyFrame - 1), isAnchored(stream, keyFrame - 1) else { return }
        releaseWaiting(stream, keyFrame - 1, orphansOnly: false)
    }

    /// Whether a pinned packet is of the anchor track as this worker knows it.
    private func isAnchored(_ stream: Int, _ packet: UInt64) -> Bool {
        let record = streams[stream].state.log.record(packet)
        return Int(record.channel) == 2 * streams[stream].state.anchor && streams[stream].state.plans.hold(record)
    }

    /// Readers that wait for a key frame of a track that has none any more go on at once, like those that have none to wait for.
    mutating func releaseOrphans(_ stream: Int) {
        guard streams[stream].state.waiting > 0 else { return }
        releaseWaiting(stream, streams[stream].state.board.load(.head), orphansOnly: true)
        unpin(stream)
    }

    private mutating func releaseWaiting(_ stream: Int, _ packet: UInt64, orphansOnly: Bool) {
        releaseWaiting(in: streams[stream].state.quiet, stream, packet, orphansOnly)
        releaseWaiting(in: streams[stream].state.interleaved, stream, packet, orphansOnly)
        releaseWaiting(in: streams[stream].state.lagging, stream, packet, orphansOnly)
    }

    private mutating func releaseWaiting(in list: SubscriberList, _ stream: Int, _ packet: UInt64, _ orphansOnly: Bool) {
        let anchor = streams[stream].state.anchor
        var index = list.first
        while index != SubscriberList.end {
            let reader = Int(index)
            index = subscribers[reader].next
            if orphansOnly, anchor >= 0, subscribers[reader].takes(2 * anchor) { continue }
            switch subscribers[reader].state {
            case .armed:
                streams[stream].state.waiting -= 1
                join(reader, at: packet, stream)
            case .skipping where packet >= subscribers[reader].cursor:
                streams[stream].state.waiting -= 1
                counters.add(.packetsOverPolicy, packet - subscribers[reader].cursor)
                miss(reader, packet - subscribers[reader].cursor, .policy)
                subscribers[reader].state = .playing
                subscribers[reader].cursor = packet
                // Up to date again: what is collected or paced from here on is no lag of the reader's.
                subscribers[reader].lagSince = 0
            case .free, .quiet, .joined, .playing, .skipping, .closing: break
            }
        }
    }

    private mutating func join(_ reader: Int, at packet: UInt64, _ stream: Int) {
        subscribers[reader].state = .joined
        subscribers[reader].cursor = packet
        var point = joinPoint(stream, at: packet)
        let beginning = subscribers[reader].beginning
        if subscribers[reader].hasBeginning, !isAtOrBehind(point.packet, beginning) {
            point[0] = JoinPoint.Start(sequence: UInt16(truncatingIfNeeded: beginning), timestamp: beginning, isKnown: true)
        }
        report(.joined(handle(ofReader: reader), point))
    }

    /// The last key frame, if the reader may begin there: within the policy's bounds, safe in the log for the time it takes, and
    /// not before what the reader has been sent already.
    private mutating func burstStart(_ reader: Int, _ stream: Int) -> UInt64? {
        let board = streams[stream].state.board
        let keyFrame = board.load(.keyFrame)
        guard let policy = streams[stream].state.policy.joinBurst, keyFrame > 0 else { return nil }
        var packet = keyFrame - 1
        let tail = board.load(.tail)
        let head = board.load(.head)
        let safe = tail == 0 ? 0 : tail + (head - min(tail, head)) / 8
        guard packet >= subscribers[reader].cursor, packet >= safe, packet < head, pin(stream, packet), isAnchored(stream, packet)
        else { return nil }
        let end = streams[stream].state.log.record(head - 1).end
        if subscribers[reader].burstNanoseconds > 0 {
            let oldest = max(safe, subscribers[reader].cursor, board.load(.beginning))
            packet = olderStart(reader, stream, packet, oldest: oldest, end: end, policy)
        }
        let record = streams[stream].state.log.record(packet)
        let bytes = end - record.position
        let age = now - min(record.arrival, now)
        guard age <= policy.nanosecondsMax, bytes <= policy.bytesMax else { return nil }
        let perShare = bytes * UInt64(policy.speedTenths) / 10 * Self.shareNanoseconds / max(age, 1_000_000)
        subscribers[reader].burstShare = min(UInt32(clamping: max(perShare, Self.shareBytesMin)), shareMax(stream))
        return packet
    }

    /// The newest key frame that is as old as the reader wants, or else the oldest that it may have; pinned. `newest` if there is none
    /// before it.
    private func olderStart(_ reader: Int, _ stream: Int, _ newest: UInt64, oldest: UInt64, end: UInt64, _ policy: JoinBurst) -> UInt64 {
        guard oldest < newest, pin(stream, oldest) else {
            _ = pin(stream, newest)
            return newest
        }
        let log = streams[stream].state.log
        var best = newest
        var number = newest
        while number >= oldest {
            let record = log.record(number)
            let age = now - min(record.arrival, now)
            if age > policy.nanosecondsMax || end - record.position > policy.bytesMax { break }
            if record.flags.contains(.startsKeyFrame), isAnchored(stream, number) {
                best = number
                if age >= subscribers[reader].burstNanoseconds { break }
            }
            if number == oldest || newest - number >= Self.joinScanMax { break }
            number -= 1
        }
        return best
    }

    /// The first packet of each track from a packet on, which is pinned or the log's head.
    private func joinPoint(_ stream: Int, at packet: UInt64) -> JoinPoint {
        var point = JoinPoint()
        let state = streams[stream].state
        var missing = 0
        // What the counters say was logged before the head was read: a track that has nothing from the packet on goes on after it.
        let plans = TrackPlans(word: state.board.load(.plans))
        for track in 0..<state.trackCount where state.counters[track, .packets] > 0 && plans[track] == state.plans[track] {
            point[track] = JoinPoint.Start(
                sequence: UInt16(truncatingIfNeeded: state.counters[track, .sequenceOut]) &+ 1,
                timestamp: UInt32(truncatingIfNeeded: state.counters[track, .timestampOut] &+ state.counters[track, .timestampStep]),
                isKnown: true)
            missing |= 1 << track
        }
        let head = state.board.load(.head)
        if packet >= head { return newest(point, stream, head) }
        let end = min(head, packet + Self.joinScanMax)
        var number = packet
        while number < end, missing != 0 {
            let record = state.log.record(number)
            let track = Int(record.channel) / 2
            if record.channel & 1 == 0, missing & (1 << track) != 0, state.plans.hold(record) {
                point[track] = JoinPoint.Start(sequence: record.sequence, timestamp: record.timestamp, isKnown: true)
                missing &= ~(1 << track)
            }
            number += 1
        }
        return point
    }

    /// What goes on after the log's head: the last packets may be newer than the counters.
    private func newest(_ old: JoinPoint, _ stream: Int, _ head: UInt64) -> JoinPoint {
        var point = old
        let state = streams[stream].state
        let first = max(state.board.load(.tail), head - min(head, Self.newestMax))
        guard first < head, pin(stream, first) else { return point }
        for number in first..<head {
            let record = state.log.record(number)
            let track = Int(record.channel) / 2
            guard record.channel & 1 == 0, point[track].isKnown, state.plans.hold(record),
                Int16(bitPattern: record.sequence &+ 1 &- point[track].sequence) > 0
            else {
                continue
            }
            let step = UInt32(truncatingIfNeeded: state.counters[track, .timestampStep])
            point[track] = JoinPoint.Start(sequence: record.sequence &+ 1, timestamp: record.timestamp &+ step, isKnown: true)
        }
        return point
    }

    /// How many packets are logged, at most, between the log's head and the counters.
    private static var newestMax: UInt64 { 16 }

    /// How many packets are looked through for the beginnings of a reader's tracks.
    static var joinScanMax: UInt64 { 65_536 }

    /// Lets the reader have everything from its first packet on.
    mutating func go(_ reader: Int) {
        guard subscribers[reader].state == .joined else { return }
        let stream = Int(subscribers[reader].stream)
        subscribers[reader].state = .playing
        // A connection that is full stays so, and since when.
        if !subscribers[reader].isInterleaved { subscribers[reader].blockedAt = 0 }
        subscribers[reader].deferredAt = 0
        subscribers[reader].lagSince = 0
        if subscribers[reader].isBursting {
            counters.add(.joinBursts)
            subscribers[reader].burstLeft = Int32(clamping: share(reader))
            // What it was sent before it was paused is of another burst.
            subscribers[reader].burstAt = 0
        }
        if !subscribers[reader].isInterleaved { move(reader, to: .lagging) }
        streams[stream].state.counters.add(.readersLive)
        streams[stream].state.board.store(index, .wantsReports, 1)
        let collects = subscribers[reader].isInterleaved && collectNanoseconds(stream) > 0
        if collects { pumpReader(reader) }
        // Of a verbatim stream this worker may not have looked at what was released before it had readers.
        if !collects || streams[stream].state.isVerbatim { markDue(stream, at: now) }
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
        case .playing:
            if subscribers[reader].list == .live { subscribers[reader].cursor = streams[stream].state.sent }
            readerStopped(stream)
        case .joined: break
        case .quiet, .free, .closing: return
        }
        subscribers[reader].state = .quiet
        subscribers[reader].isBursting = false
        streams[stream].state.interested -= 1
        publishAudience(stream)
    }

    private func readerStopped(_ stream: Int) {
        streams[stream].state.counters.add(.readersLive, 0 &- 1)
    }
}

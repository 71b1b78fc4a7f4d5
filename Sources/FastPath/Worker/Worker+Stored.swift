import Glibc
import PlaneLink

/// Packets that lie in files: read in blocks into memory of the worker's own, which readers at near places share, and sent from there with the
/// framing of each. A block is asked for when packets of it are released; so nothing is read for readers that are sent nothing.
extension Worker where K: ~Copyable {
    // MARK: Streams

    mutating func addStoredStream(_ handle: StreamHandle, _ memory: StreamMemory, _ plan: StoredPlan) {
        let stream = Int(handle.index)
        let isFree = stream < streams.count && streams[stream].generation == 0 && handle.generation != 0
        addStream(handle, memory, 1, isVerbatim: true)
        guard isFree else { return }
        streams[stream].state.stored = plan
        // Without one its readers are told so when they are to be sent something.
        streams[stream].state.storedFile = kernel.attach(descriptor: plan.descriptor) ?? .none
        guard !stored.isRegistrationTried else { return }
        stored.isRegistrationTried = true
        let place = limits.streamsMax
        // Where less may be locked, the kernel finds the pages anew in each read.
        if unsafe kernel.register(stored.memory, count: stored.count * stored.blockBytes, index: place) { stored.registered = Int32(place) }
    }

    /// Lets go of a stream's file, of which no read is under way.
    mutating func closeStored(_ stream: Int) {
        for block in 0..<stored.count where stored.blocks[block].stream == UInt32(stream) { stored.release(block) }
        stored.mayServe = true
        kernel.detach(streams[stream].state.storedFile)
        streams[stream].state.storedFile = .none
        streams[stream].state.stored = nil
    }

    /// Whether the reader's stream has a log; if not, that is told: it cannot wait for a packet.
    mutating func isLive(_ reader: Int) -> Bool {
        guard streams[Int(subscribers[reader].stream)].state.isStored else { return true }
        report(.refused(.wrongKind, errorNumber: EINVAL))
        return false
    }

    // MARK: Readers

    mutating func addStoredSubscriber(
        _ handle: SubscriberHandle, _ streamHandle: StreamHandle, _ descriptor: Int32, _ first: UInt32, _ framing: StoredFraming,
        _ progress: StoredProgress
    ) {
        let reader = Int(handle.index)
        guard reader < subscribers.count, subscribers[reader].state == .free, let stream = find(streamHandle),
            let plan = streams[stream].state.stored, first <= plan.packetCount, let file = kernel.attach(descriptor: descriptor)
        else { return report(.subscriberRemoved(handle)) }
        subscribers[reader] = emptySubscriber(handle, stream)
        subscribers[reader].isInterleaved = true
        subscribers[reader].framing = .bare
        subscribers[reader].file = file
        subscribers[reader].destination = destinations.enter(SocketAddressBytes.peer(ofDescriptor: descriptor), egress: .max)
        subscribers[reader].cursor = UInt64(first)
        subscribers[reader].stored.limit = first
        subscribers[reader].stored.first = first
        subscribers[reader].stored.framing = framing
        subscribers[reader].stored.progress = progress
        subscribersInUse += 1
        streams[stream].state.interleaved.append(UInt32(reader), .interleaved, in: subscribers)
    }

    /// Lets a reader have the packets before that one.
    mutating func releaseStored(_ reader: Int, upTo packet: UInt32) {
        let stream = Int(subscribers[reader].stream)
        guard let plan = streams[stream].state.stored, !subscribers[reader].hasFailed, !subscribers[reader].stored.hasEnded else { return }
        let limit = min(packet, plan.packetCount)
        guard limit > subscribers[reader].stored.limit else { return }
        subscribers[reader].stored.limit = limit
        if subscribers[reader].state == .quiet {
            subscribers[reader].state = .playing
            streams[stream].state.interested += 1
            publishAudience(stream)
            streams[stream].state.counters.add(.readersLive)
        }
        readyStored(reader)
    }

    /// What was released to a paused reader and not begun is no more.
    func holdStored(_ reader: Int) { subscribers[reader].stored.limit = UInt32(truncatingIfNeeded: subscribers[reader].cursor) }

    /// The reader goes: it waits for nothing any more.
    mutating func leaveStored(_ reader: Int) {
        switch subscribers[reader].stored.place {
        case .none: break
        case .ready: storedReady.remove(reader, in: subscribers)
        case .waiting: stored.blocks[Int(subscribers[reader].stored.block)].waiting.remove(reader, in: subscribers)
        case .short: leaveShort(reader)
        }
        unclaim(reader)
        subscribers[reader].stored.place = .none
    }

    /// How long a TCP reader of a stream may take nothing.
    func stallNanoseconds(_ stream: Int) -> UInt64 {
        streams[stream].state.isStored ? limits.storedStallNanoseconds : limits.writeStallNanoseconds
    }

    // MARK: Blocks

    /// Puts a reader that may be sent something in line; behind its block's read where that has to be made, or is under way.
    mutating func readyStored(_ reader: Int) {
        guard subscribers[reader].stored.place == .none, !subscribers[reader].isBlocked, !subscribers[reader].hasFailed else { return }
        if isOwedStored(reader) { askForBlock(reader) }
        putInLine(reader)
    }

    /// Its turn to be sent something comes, where it waits for nothing.
    private mutating func putInLine(_ reader: Int) {
        guard subscribers[reader].stored.place == .none else { return }
        subscribers[reader].stored.place = .ready
        storedReady.append(reader, in: subscribers)
    }

    func isOwedStored(_ reader: Int) -> Bool {
        subscribers[reader].state == .playing && subscribers[reader].cursor < UInt64(subscribers[reader].stored.limit)
    }

    /// Sees to it that the block of the reader's next packet is there when its turn comes: kept for it, or read, and then the reader waits; or
    /// it waits for a block to be free.
    private mutating func askForBlock(_ reader: Int) {
        let stream = Int(subscribers[reader].stream)
        guard subscribers[reader].stored.block < 0, let plan = streams[stream].state.stored else { return }
        // Who waits for a block comes first.
        if shortStreams.count == 0 || findBlock(reader, stream, plan) >= 0 {
            switch takeBlock(reader, stream, plan) {
            case .block, .lost: return
            case .none, .noneOfShare: break
            }
        }
        counters.add(.storedBlocksShort)
        waitForRoom(reader, stream)
    }

    private func findBlock(_ reader: Int, _ stream: Int, _ plan: StoredPlan) -> Int {
        stored.find(stream, UInt32(truncatingIfNeeded: subscribers[reader].cursor) / plan.blockPackets)
    }

    /// Gives a reader the block of its next packet, read or to be read. Where it cannot be read the reader ends.
    mutating func takeBlock(_ reader: Int, _ stream: Int, _ plan: StoredPlan) -> StoredBlocks.Room {
        var block = findBlock(reader, stream, plan)
        if block < 0 {
            let number = UInt32(truncatingIfNeeded: subscribers[reader].cursor) / plan.blockPackets
            let first = number * plan.blockPackets
            let wanted = Int(min(plan.blockPackets, plan.packetCount - first)) * Int(plan.packetBytes)
            guard streams[stream].state.storedFile != .none, wanted <= stored.blockBytes else {
                endStored(reader, EMFILE)
                return .lost
            }
            switch stored.take(stream, plan, number, wanted: wanted, now: now) {
            case .block(let taken): block = taken
            case .none: return .none
            case .noneOfShare: return .noneOfShare
            case .lost:
                endStoredOverdue(reader)
                return .lost
            }
            streams[stream].state.storedReads += 1
            nextStoredEnd = min(nextStoredEnd, now + limits.storedWaitNanoseconds)
            readBlock(block)
        } else if stored.blocks[block].phase == .lost {
            endStoredOverdue(reader)
            return .lost
        } else {
            counters.add(.storedBlocksShared)
        }
        subscribers[reader].stored.block = Int32(block)
        if stored.blocks[block].phase == .ready {
            stored.blocks[block].claims += 1
        } else {
            subscribers[reader].stored.place = .waiting
            stored.blocks[block].waiting.append(reader, in: subscribers)
        }
        return .block(block)
    }

    /// Reads what is missing of a block.
    private mutating func readBlock(_ block: Int) {
        let stream = Int(stored.blocks[block].stream)
        guard let plan = streams[stream].state.stored else { return }
        let filled = Int(stored.blocks[block].filled)
        let first = UInt64(stored.blocks[block].number) * UInt64(plan.blockPackets)
        let tag = RequestTag(.fileRead, index: UInt32(block), generation: stored.blocks[block].generation)
        unsafe kernel.readFile(
            streams[stream].state.storedFile, into: stored.bytes(of: block) + filled, count: Int(stored.blocks[block].wanted) - filled,
            offset: plan.offset + first * UInt64(plan.packetBytes) + UInt64(filled), buffer: Int(stored.registered),
            waits: stored.blocks[block].waits || streams[stream].state.storedWaits, tag: tag)
    }

    /// A read ended: its readers' turn comes, or their end.
    mutating func storedReadDone(_ tag: RequestTag, _ result: Int32) {
        let block = Int(tag.index)
        guard block < stored.count, stored.blocks[block].isHeld, stored.blocks[block].generation == tag.generation else { return }
        let stream = Int(stored.blocks[block].stream)
        let isClosing = streams[stream].isClosing
        let isLost = stored.blocks[block].phase == .lost
        if result > 0 { stored.blocks[block].filled += UInt32(result) }
        // What is not in memory is brought by a thread of the kernel's: even to begin with it may take long (a mount without its server).
        let mustWait = (result == -EAGAIN || result == -EOPNOTSUPP) && !stored.blocks[block].waits
        if mustWait { stored.blocks[block].waits = true }
        if result == -EOPNOTSUPP { streams[stream].state.storedWaits = true }
        let isPart = result > 0 && stored.blocks[block].filled < stored.blocks[block].wanted
        if !isClosing, !isLost, isPart || mustWait || result == -EINTR || result == -EAGAIN { return readBlock(block) }
        streams[stream].state.storedReads -= 1
        stored.mayServe = true
        if !isLost {
            counters.add(.storedReads)
            counters.add(.storedReadBytes, UInt64(stored.blocks[block].filled))
            counters.add(.storedReadNanoseconds, now &- min(stored.blocks[block].askedAt, now))
            if stored.blocks[block].filled < stored.blocks[block].wanted { counters.add(.storedReadsFailed) }
        }
        if result < 0 || isClosing || isLost { stored.release(block) } else { stored.blocks[block].phase = .ready }
        while true {
            let reader = stored.blocks[block].waiting.pop(in: subscribers)
            if reader < 0 { break }
            subscribers[reader].stored.place = .none
            guard result >= 0 else {
                subscribers[reader].stored.block = -1
                endStored(reader, -result)
                continue
            }
            stored.blocks[block].claims += 1
            putInLine(reader)
        }
        if isClosing, streams[stream].state.storedReads == 0 { finishStream(stream) }
    }

    private mutating func unclaim(_ reader: Int) {
        let block = Int(subscribers[reader].stored.block)
        guard block >= 0 else { return }
        subscribers[reader].stored.block = -1
        guard subscribers[reader].stored.place == .ready else { return }
        stored.blocks[block].claims -= 1
        stored.mayServe = true
    }

    /// The file gives no more for a reader, which waits for nothing.
    mutating func endStored(_ reader: Int, _ number: Int32) {
        guard !subscribers[reader].stored.hasEnded else { return }
        subscribers[reader].stored.hasEnded = true
        holdStored(reader)
        report(.storedEnded(handle(ofReader: reader), packet: UInt32(truncatingIfNeeded: subscribers[reader].cursor), errorNumber: number))
        // Replies that waited for their place wait no longer.
        if subscribers[reader].sendFirst != .max { putInLine(reader) }
    }

    // MARK: Sends

    /// Whether somebody can be sent something, or may be given a block, without anything that happens first.
    var mustSendStored: Bool { storedReady.count > 0 || stored.mayServe && shortStreams.count > 0 }

    /// Sends the readers in line what they may be sent; then those that wait for a block have their turn.
    mutating func sendStored() {
        while storedReady.count > 0 {
            var left = storedReady.count
            while left > 0 {
                var queued = 0
                while left > 0, queued < kernel.sendBatchMax, gather.hasRoom, stored.hasRoom {
                    let reader = storedReady.pop(in: subscribers)
                    left -= 1
                    if reader < 0 { break }
                    unclaim(reader)
                    subscribers[reader].stored.place = .none
                    if queueStored(reader) { queued += 1 }
                }
                finishStored(queued)
                if isOvertime() { return }
            }
        }
        if stored.mayServe, shortStreams.count > 0 { serveShort() }
    }

    /// Sends one reader what it is owed, outside the turn's sends.
    mutating func pumpStored(_ reader: Int) {
        let isQueued = queueStored(reader)
        finishStored(isQueued ? 1 : 0)
    }

    private mutating func finishStored(_ queued: Int) {
        if queued > 0 {
            kernel.flush()
            counters.add(.sendsSubmitted, UInt64(queued))
            while let result = kernel.nextSendResult() {
                let reader = Int(result.tag.index)
                guard reader < subscribers.count, subscribers[reader].isActive else { continue }
                if finishSend(result, Int(subscribers[reader].stream)) { readyStored(reader) }
            }
        }
        gather.reset()
        stored.endBatch()
    }

    /// Queues a send of what the reader is owed: the rest of a packet, replies, then packets of one block. False when there is nothing.
    private mutating func queueStored(_ reader: Int) -> Bool {
        let stream = Int(subscribers[reader].stream)
        guard !subscribers[reader].isBlocked, !subscribers[reader].hasFailed, let plan = streams[stream].state.stored else { return false }
        countDueReplies(reader, stream)
        gather.begin()
        gatherRest(reader)
        subscribers[reader].offeredPackets = 0
        subscribers[reader].offeredPayload = 0
        subscribers[reader].offeredFirst = subscribers[reader].cursor
        subscribers[reader].offeredEnd = subscribers[reader].cursor
        // As many replies as may be queued leave room for no packets in one send.
        if isOwedStored(reader), gather.sendVectorCount <= Self.repliesBesideStoredMax { gatherStored(reader, stream, plan) }
        guard gather.sendBytes > 0 else {
            // Replies without bytes, which only say that their place was reached.
            _ = takeFromReplies(reader, 0)
            return false
        }
        subscribers[reader].offeredBytes = UInt32(truncatingIfNeeded: gather.sendBytes)
        let tag = RequestTag(.send, index: UInt32(reader), generation: subscribers[reader].generation)
        unsafe kernel.sendGathered(subscribers[reader].file, gather.sendVectors, vectorCount: gather.sendVectorCount, tag: tag)
        return true
    }

    private static var repliesBesideStoredMax: Int { 128 }

    /// Gathers the reader's next packets, as many as its block has. Where that is not there the reader waits for it.
    private mutating func gatherStored(_ reader: Int, _ stream: Int, _ plan: StoredPlan) {
        let cursor = UInt32(truncatingIfNeeded: subscribers[reader].cursor)
        let number = cursor / plan.blockPackets
        let block = stored.find(stream, number)
        guard block >= 0, stored.blocks[block].phase == .ready else {
            if subscribers[reader].stored.place == .none { askForBlock(reader) }
            return
        }
        let there = number * plan.blockPackets + stored.blocks[block].filled / plan.packetBytes
        guard cursor < there else { return endStored(reader, 0) }
        var end = min(there, subscribers[reader].stored.limit)
        if let place = waitingPlace(reader), Int32(bitPattern: end &- place) > 0 { end = place }
        guard cursor < end else { return }
        stored.use(block)
        let framing = subscribers[reader].stored.framing
        let packetBytes = Int(plan.packetBytes)
        var payload = unsafe stored.bytes(of: block) + Int(cursor - number * plan.blockPackets) * packetBytes
        var packet = cursor
        while packet < end {
            let head = unsafe stored.head()
            var start = 0
            if framing.isChunked, packet > cursor {
                unsafe StoredFraming.writeLineEnd(to: head)
                start = 2
            }
            let flags = framing.firstFlags &+ UInt8(truncatingIfNeeded: packet &- subscribers[reader].stored.first)
            let count = unsafe framing.writeHead(packetBytes: packetBytes, number: packet, flags: flags, to: head + start)
            unsafe gather.add(head, start + count)
            unsafe gather.add(payload, packetBytes)
            unsafe payload += packetBytes
            packet += 1
        }
        if framing.isChunked {
            let tail = unsafe stored.head()
            unsafe StoredFraming.writeLineEnd(to: tail)
            unsafe gather.add(tail, 2)
        }
        subscribers[reader].offeredEnd = UInt64(end)
        subscribers[reader].offeredPackets = end - cursor
        subscribers[reader].offeredPayload = (end - cursor) * plan.packetBytes
    }

    /// All that was offered went. True when there is more to send.
    mutating func tookStored(_ reader: Int) -> Bool {
        subscribers[reader].stored.progress?.set(subscribers[reader].cursor)
        subscribers[reader].lagSince = 0
        return isOwedStored(reader)
    }

    /// Moves the cursor over the packets that went, and keeps the rest of one that went in part. Its block is the batch's still.
    mutating func takeFromStored(_ reader: Int, _ stream: Int, _ plan: StoredPlan, _ bytes: Int) {
        let packetBytes = Int(plan.packetBytes)
        let around = subscribers[reader].stored.framing.bytes(around: packetBytes)
        let frame = around.before + packetBytes + around.behind
        let whole = min(bytes / frame, Int(subscribers[reader].offeredPackets))
        countMedia(stream, packets: UInt32(truncatingIfNeeded: whole), bytes: whole * packetBytes)
        subscribers[reader].cursor = subscribers[reader].offeredFirst + UInt64(whole)
        let sent = bytes - whole * frame
        if sent > 0 { keepStoredRemainder(reader, stream, plan, sent: sent, of: frame) }
        subscribers[reader].stored.progress?.set(subscribers[reader].cursor)
    }

    private mutating func keepStoredRemainder(_ reader: Int, _ stream: Int, _ plan: StoredPlan, sent: Int, of frame: Int) {
        let packet = UInt32(truncatingIfNeeded: subscribers[reader].cursor)
        let number = packet / plan.blockPackets
        let block = stored.find(stream, number)
        let packetBytes = Int(plan.packetBytes)
        guard block >= 0, stored.blocks[block].phase == .ready, frame <= RemainderSlab.bytesPerReader else {
            return fail(reader, .connectionLost)
        }
        let place = unsafe remainders.place(of: reader)
        let framing = subscribers[reader].stored.framing
        let flags = framing.firstFlags &+ UInt8(truncatingIfNeeded: packet &- subscribers[reader].stored.first)
        let head = unsafe framing.writeHead(packetBytes: packetBytes, number: packet, flags: flags, to: place)
        let payload = unsafe stored.bytes(of: block) + Int(packet - number * plan.blockPackets) * packetBytes
        unsafe (place + head).copyMemory(from: payload, byteCount: packetBytes)
        if framing.isChunked { unsafe StoredFraming.writeLineEnd(to: place + head + packetBytes) }
        subscribers[reader].remainderStart = UInt32(truncatingIfNeeded: sent)
        subscribers[reader].remainderCount = UInt32(truncatingIfNeeded: frame - sent)
        subscribers[reader].remainderPayload = plan.packetBytes
        subscribers[reader].cursor += 1
    }
}

import Glibc
import PlaneLink

/// TCP readers: whole frames, as many as are due in one send, one send per reader at a time; what a short write left over is
/// kept, and goes first. Readers at the same packet are sent the same bytes, framed once, or the log's own where nothing goes around them.
extension Worker where K: ~Copyable {
    /// Sends of one turn to one reader: a reader far behind gets its next share in the next turn.
    static var sendsPerTurn: Int { 16 }

    /// Sends the TCP readers of a stream what is due, now or when enough has come together.
    mutating func sendInterleaved(_ stream: Int, _ limit: UInt64) {
        let collectNanoseconds = collectNanoseconds(stream)
        guard collectNanoseconds > 0 else {
            if pumpInterleaved(stream, limit) { markDue(stream, at: now) }
            return
        }
        if streams[stream].state.interleavedDueAt == .max {
            streams[stream].state.interleavedDueAt = now + collectNanoseconds
        } else if streams[stream].state.interleavedDueAt <= now {
            let hasMore = pumpInterleaved(stream, limit)
            streams[stream].state.interleavedDueAt = hasMore ? now : .max
        }
    }

    /// How long packets are collected for the TCP readers of a stream; 0: they are sent each frame.
    func collectNanoseconds(_ stream: Int) -> UInt64 {
        let ofAll = limits.delayMicrosecondsMax >= Limits.collectMicrosecondsMin ? UInt64(limits.delayMicrosecondsMax) * 1_000 : 0
        return max(ofAll, min(streams[stream].state.policy.collectNanoseconds, Self.collectNanosecondsMax))
    }

    /// Packets are collected for no longer, whatever is asked for.
    private static var collectNanosecondsMax: UInt64 { 1_000_000_000 }

    /// True when a reader can be sent more at once.
    private mutating func pumpInterleaved(_ stream: Int, _ limit: UInt64) -> Bool {
        var pass = 0
        var hasMore = true
        while hasMore, pass < Self.sendsPerTurn {
            hasMore = false
            var reader = streams[stream].state.interleaved.first
            while reader != SubscriberList.end {
                if sendBatch(stream, limit, &reader) { hasMore = true }
            }
            pass += 1
            if hasMore, isOvertime() { break }
        }
        return hasMore
    }

    /// Sends one reader what it is owed, outside the stream's turn.
    mutating func pumpReader(_ reader: Int) {
        let stream = Int(subscribers[reader].stream)
        if streams[stream].state.isStored { return pumpStored(reader) }
        var pass = 0
        var hasMore = true
        while hasMore, pass < Self.sendsPerTurn, pass == 0 || !isOvertime() {
            let isQueued = queueSend(reader, stream, limit(stream))
            hasMore = finishBatch(stream, isQueued ? 1 : 0)
            pass += 1
        }
        unpin(stream)
        guard hasMore else { return }
        if collectNanoseconds(stream) > 0 { streams[stream].state.interleavedDueAt = now }
        markDue(stream, at: now)
    }

    /// Sends one batch, of readers from `next` on. True when one of them can be sent more at once.
    private mutating func sendBatch(_ stream: Int, _ limit: UInt64, _ next: inout UInt32) -> Bool {
        var queued = 0
        while next != SubscriberList.end, queued < kernel.sendBatchMax, gather.hasRoom, blocks.hasRoom {
            let reader = Int(next)
            next = subscribers[reader].next
            if queueSend(reader, stream, limit) { queued += 1 }
        }
        return finishBatch(stream, queued)
    }

    /// Flushes a batch and accounts for it. Whether or not something was queued, the blocks made for it are free afterwards.
    private mutating func finishBatch(_ stream: Int, _ queued: Int) -> Bool {
        var hasMore = false
        if queued > 0 {
            kernel.flush()
            counters.add(.sendsSubmitted, UInt64(queued))
            while let result = kernel.nextSendResult() {
                if finishSend(result, stream) { hasMore = true }
            }
        }
        gather.reset()
        blocks.release()
        batchPin = .max
        return hasMore
    }

    /// Queues a send of what the reader is owed: the rest of a packet, replies, then media. False when there is nothing.
    private mutating func queueSend(_ reader: Int, _ stream: Int, _ limit: UInt64) -> Bool {
        guard !subscribers[reader].isBlocked, !subscribers[reader].hasFailed else { return false }
        var block = -1
        if subscribers[reader].hasBeginning, subscribers[reader].state == .playing { passOver(reader, stream, limit) }
        countDueReplies(reader, stream)
        if subscribers[reader].state == .playing, subscribers[reader].cursor < limit, !mustWaitInBurst(reader, stream) {
            block = mediaBlock(reader, stream, limit)
        }
        if block < 0 {
            subscribers[reader].offeredPackets = 0
            subscribers[reader].offeredPayload = 0
            subscribers[reader].offeredFirst = subscribers[reader].cursor
            subscribers[reader].offeredEnd = subscribers[reader].cursor
        }
        if subscribers[reader].remainderCount == 0, subscribers[reader].offeredReplies == 0 {
            guard block >= 0 else { return false }
            queueBlock(reader, block)
            return true
        }
        gather.begin()
        gatherRest(reader)
        if block >= 0 { unsafe gather.add(blocks.bytes(of: block), Int(blocks[block].bytes)) }
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

    /// Gathers what goes before media: the rest of a packet that went in part, and replies.
    mutating func gatherRest(_ reader: Int) {
        if subscribers[reader].remainderCount > 0 {
            unsafe gather.add(
                remainders.place(of: reader) + Int(subscribers[reader].remainderStart), Int(subscribers[reader].remainderCount))
        }
        var node = subscribers[reader].sendFirst
        var left = subscribers[reader].offeredReplies
        while left > 0, node != .max {
            if let base = unsafe sendNodes[Int(node)].buffer.bytes.baseAddress {
                let sent = sendNodes[Int(node)].sent
                unsafe gather.add(base + sent, sendNodes[Int(node)].buffer.count - sent)
            }
            node = sendNodes[Int(node)].next
            left -= 1
        }
    }

    /// The framed bytes that the reader is to be sent next, or -1.
    private mutating func mediaBlock(_ reader: Int, _ stream: Int, _ limit: UInt64) -> Int {
        for _ in 0..<4 {
            let cursor = subscribers[reader].cursor
            let isCut = hasWaitingReply(reader) || hasPacedBurst(reader)
            if !isCut, let block = find(reader, stream, limit) { return offer(reader, block) }
            let isPinned = pinForBatch(stream, cursor)
            if !keepWithinBounds(reader, stream, limit) {
                guard isPinned else { return -1 }
                let end = isCut ? endOfSend(reader, stream, limit) : limit
                if isCut, end == cursor { return -1 }
                if isCut, let block = find(reader, stream, end) { return offer(reader, block) }
                let block = blocks.make(
                    UInt32(stream), streams[stream].state.log, plans: streams[stream].state.plans, first: cursor, limit: end,
                    channels: subscribers[reader].channels, framing: subscribers[reader].framing,
                    isHeld: takesZeroCopy(reader, bytes: .max))
                return offer(reader, block)
            }
            guard subscribers[reader].state == .playing, subscribers[reader].cursor < limit else { return -1 }
            // It was moved: a reply may have come to its place.
            if isCut {
                countDueReplies(reader, stream)
                guard subscribers[reader].state == .playing else { return -1 }
            }
        }
        return -1
    }

    /// Passes over packets before the one with which the reader begins (``Command/armAt(_:packet:)``).
    mutating func passOver(_ reader: Int, _ stream: Int, _ limit: UInt64) {
        let cursor = subscribers[reader].cursor
        let beginning = subscribers[reader].beginning
        for _ in 0..<4 {
            // Those that it passes over may be gone already, many that came at once.
            let oldest = max(cursor, streams[stream].state.board.load(.tail))
            guard oldest < limit else { return }
            guard pinForBatch(stream, oldest) else { continue }
            let first = packet(stream, atOrBehind: beginning, from: oldest, to: limit)
            if first < limit { subscribers[reader].hasBeginning = false }
            // If the one that it begins with is gone, too, that is for the bounds to find.
            let isGone = first == oldest && oldest > cursor && streams[stream].state.log.record(oldest).timestamp != beginning
            if !isGone { subscribers[reader].cursor = first }
            return
        }
    }

    /// Whether a reader that is sent the past is sent it at a rate of its own.
    func hasPacedBurst(_ reader: Int) -> Bool {
        subscribers[reader].isBursting && subscribers[reader].burstBytesPerSecond > 0
    }

    /// Whether the reader has had what its rate allows; then its stream is looked at again in time.
    private mutating func mustWaitInBurst(_ reader: Int, _ stream: Int) -> Bool {
        guard hasPacedBurst(reader), subscribers[reader].burstAt > now else { return false }
        markDue(stream, at: subscribers[reader].burstAt)
        return true
    }

    /// The rate of a reader's burst: a tenth more than the stream makes, at least, or it would never end.
    func burstRate(_ reader: Int, _ stream: Int) -> UInt64 {
        let rate = min(streams[stream].state.board.load(.rate), 1 << 39)
        return max(min(subscribers[reader].burstBytesPerSecond, 1 << 40), rate + rate / 10, 1)
    }

    private mutating func spendBurst(_ reader: Int, _ stream: Int, _ bytes: Int) {
        let span = UInt64(max(bytes, 0)) * 1_000_000_000 / burstRate(reader, stream)
        subscribers[reader].burstAt = max(subscribers[reader].burstAt, now) + span
    }

    /// How far a reader may be sent packets at once, from its pinned cursor on: to where a reply waits for its place, or as much as its
    /// burst allows.
    private func endOfSend(_ reader: Int, _ stream: Int, _ limit: UInt64) -> UInt64 {
        let log = streams[stream].state.log
        let first = subscribers[reader].cursor
        var bytesMax = UInt64(FramedBlocks.payloadBytesMax)
        if hasPacedBurst(reader) { bytesMax = min(bytesMax, burstRate(reader, stream) / Self.burstSendsPerSecond) }
        let bytesEnd = log.record(first).position + bytesMax
        let place = waitingPlace(reader)
        var packet = first
        while packet < limit {
            let record = log.record(packet)
            if let place, isAtOrBehind(record.timestamp, place) { break }
            packet += 1
            if record.end >= bytesEnd { break }
        }
        return packet
    }

    private static var burstSendsPerSecond: UInt64 { 50 }

    private func find(_ reader: Int, _ stream: Int, _ limit: UInt64) -> Int? {
        blocks.find(
            UInt32(stream), subscribers[reader].cursor, subscribers[reader].channels, subscribers[reader].framing, limit: limit)
    }

    /// Pins a packet beside those of the batch that are pinned already.
    mutating func pinForBatch(_ stream: Int, _ packet: UInt64) -> Bool {
        if packet >= batchPin { return true }
        guard pin(stream, packet) else { return false }
        batchPin = packet
        return true
    }

    private mutating func offer(_ reader: Int, _ block: Int) -> Int {
        subscribers[reader].offeredFirst = blocks[block].first
        subscribers[reader].offeredEnd = blocks[block].end
        subscribers[reader].offeredPackets = blocks[block].packets
        subscribers[reader].offeredPayload = blocks[block].payloadBytes
        // Packets of channels that the reader did not set up are passed over without a send.
        guard blocks[block].bytes > 0 else {
            subscribers[reader].cursor = blocks[block].end
            return -1
        }
        return block
    }

    private mutating func queueBlock(_ reader: Int, _ block: Int) {
        let count = Int(blocks[block].bytes)
        subscribers[reader].offeredBytes = UInt32(count)
        if blocks.mayHold(block), takesZeroCopy(reader, bytes: count), sendHeldBlock(reader, block) { return }
        let tag = RequestTag(.send, index: UInt32(reader), generation: subscribers[reader].generation)
        unsafe kernel.sendBytes(subscribers[reader].file, blocks.bytes(of: block), count: count, tag: tag)
    }

    /// Accounts for what the kernel took. True when the reader can be sent more at once.
    mutating func finishSend(_ result: SendResult, _ stream: Int) -> Bool {
        let reader = Int(result.tag.index)
        guard reader < subscribers.count, subscribers[reader].isActive, subscribers[reader].isInterleaved else { return false }
        guard result.result >= 0 else {
            switch -result.result {
            case ENOBUFS where result.tag.kind == .zeroCopy, ENOMEM where result.tag.kind == .zeroCopy:
                // More than may be locked: by copy it goes.
                pauseZeroCopy()
                return true
            case EAGAIN, ENOBUFS, ENOMEM: block(reader)
            default: fail(reader, .connectionLost)
            }
            return false
        }
        let bytes = Int(result.result)
        let left = takeFromRemainder(reader, stream, bytes)
        // Replies without bytes, too, wait for the rest of the packet before them.
        let mediaBytes = subscribers[reader].remainderCount > 0 ? 0 : takeFromReplies(reader, left)
        guard bytes < Int(subscribers[reader].offeredBytes) else {
            subscribers[reader].cursor = subscribers[reader].offeredEnd
            let packets = subscribers[reader].offeredPackets
            countMedia(stream, packets: packets, bytes: Int(subscribers[reader].offeredPayload))
            if hasPacedBurst(reader) { spendBurst(reader, stream, mediaBytes) }
            // Replies that waited for their place may have reached it.
            let hasReplies = subscribers[reader].sendFirst != .max
            guard subscribers[reader].state == .playing else { return hasReplies }
            if streams[stream].state.isStored { return tookStored(reader) || hasReplies }
            if subscribers[reader].cursor < limit(stream) { return true }
            subscribers[reader].isBursting = false
            subscribers[reader].lagSince = 0
            return hasReplies
        }
        counters.add(.shortWrites)
        takeFromMedia(reader, stream, mediaBytes)
        block(reader)
        return false
    }

    /// Counts packets that left whole, and their bytes without the frames' headers.
    func countMedia(_ stream: Int, packets: UInt32, bytes: Int) {
        counters.add(.packetsSent, UInt64(packets))
        counters.add(.bytesSent, UInt64(bytes))
        streams[stream].state.counters.add(.packetsSent, UInt64(packets))
        streams[stream].state.counters.add(.bytesSent, UInt64(bytes))
    }

    /// Waits for the connection to have room.
    private mutating func block(_ reader: Int) {
        subscribers[reader].isBlocked = true
        subscribers[reader].blockedAt = now
        subscribers[reader].queuedBytes = UInt32(clamping: kernel.unsentBytes(subscribers[reader].file))
        if subscribers[reader].lagSince == 0 { subscribers[reader].lagSince = now }
        readersBlocked += 1
        nextSweep = min(nextSweep, now + Self.sweepNanoseconds)
        kernel.watchWritable(subscribers[reader].file, tag: writableTag(reader))
    }

    private func takeFromRemainder(_ reader: Int, _ stream: Int, _ left: Int) -> Int {
        let used = min(left, Int(subscribers[reader].remainderCount))
        guard used > 0 else { return left }
        subscribers[reader].remainderStart += UInt32(used)
        subscribers[reader].remainderCount -= UInt32(used)
        if subscribers[reader].remainderCount == 0 { countMedia(stream, packets: 1, bytes: Int(subscribers[reader].remainderPayload)) }
        return left - used
    }

    mutating func takeFromReplies(_ reader: Int, _ bytes: Int) -> Int {
        var left = bytes
        while subscribers[reader].offeredReplies > 0, subscribers[reader].sendFirst != .max {
            let node = Int(subscribers[reader].sendFirst)
            let rest = sendNodes[node].buffer.count - sendNodes[node].sent
            if left < rest {
                sendNodes[node].sent += left
                return 0
            }
            left -= rest
            subscribers[reader].offeredReplies -= 1
            dropFirstReply(reader)
        }
        return left
    }

    /// Moves the cursor over the frames that went, and keeps the rest of one that went in part. What was offered is pinned still.
    private mutating func takeFromMedia(_ reader: Int, _ stream: Int, _ bytes: Int) {
        if let plan = streams[stream].state.stored { return takeFromStored(reader, stream, plan, bytes) }
        let log = streams[stream].state.log
        var left = bytes
        var packets: UInt32 = 0
        var payload = 0
        subscribers[reader].cursor = subscribers[reader].offeredFirst
        while left > 0, subscribers[reader].cursor < subscribers[reader].offeredEnd {
            let record = log.record(subscribers[reader].cursor)
            subscribers[reader].cursor += 1
            guard let wire = subscribers[reader].channels[Int(record.channel)], streams[stream].state.plans.hold(record) else { continue }
            let frame = Int(record.length) + subscribers[reader].framing.bytes(around: Int(record.length))
            if left < frame {
                unsafe keepRemainder(reader, wire, log.bytes(of: record), Int(record.length), sent: left)
                break
            }
            left -= frame
            packets += 1
            payload += Int(record.length)
        }
        countMedia(stream, packets: packets, bytes: payload)
    }

    /// Copies what is left of a frame, header first if that did not go whole either: the log may move on before it can be sent.
    @unsafe private mutating func keepRemainder(_ reader: Int, _ wire: UInt8, _ bytes: UnsafeRawPointer, _ count: Int, sent: Int) {
        let whole = unsafe subscribers[reader].framing.write(bytes, count, wire: wire, to: remainders.place(of: reader))
        subscribers[reader].remainderStart = UInt32(sent)
        subscribers[reader].remainderCount = UInt32(whole - sent)
        subscribers[reader].remainderPayload = UInt32(count)
    }
}

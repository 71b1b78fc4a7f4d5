import Glibc
import PlaneLink

/// TCP readers: whole frames, as many as are due in one send, one send per reader at a time; what a short write left over is
/// kept, and goes first. Readers at the same packet are sent the same bytes, framed once.
extension Worker where K: ~Copyable {
    /// Sends of one turn to one reader: a reader far behind gets its next share in the next turn.
    static var sendsPerTurn: Int { 16 }

    /// Sends the TCP readers of a stream what is due, now or when enough has come together.
    mutating func sendInterleaved(_ stream: Int, _ limit: UInt64) {
        guard collects else {
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

    /// Whether TCP readers are sent what came together in a while, rather than each frame.
    var collects: Bool { limits.delayMicrosecondsMax >= Limits.collectMicrosecondsMin }
    var collectNanoseconds: UInt64 { UInt64(limits.delayMicrosecondsMax) * 1_000 }

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
        var pass = 0
        var hasMore = true
        while hasMore, pass < Self.sendsPerTurn, pass == 0 || !isOvertime() {
            let isQueued = queueSend(reader, stream, streams[stream].state.board.load(.released))
            hasMore = finishBatch(stream, isQueued ? 1 : 0)
            pass += 1
        }
        unpin(stream)
        guard hasMore else { return }
        if collects { streams[stream].state.interleavedDueAt = now }
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
        if subscribers[reader].state == .playing, subscribers[reader].cursor < limit { block = mediaBlock(reader, stream, limit) }
        if block < 0 {
            subscribers[reader].offeredPackets = 0
            subscribers[reader].offeredFirst = subscribers[reader].cursor
            subscribers[reader].offeredEnd = subscribers[reader].cursor
        }
        if subscribers[reader].remainderCount == 0, subscribers[reader].sendFirst == .max {
            guard block >= 0 else { return false }
            queueBlock(reader, block)
            return true
        }
        gather.begin()
        gatherRest(reader)
        if block >= 0 { unsafe gather.add(blocks.bytes(of: block), Int(blocks[block].bytes)) }
        subscribers[reader].offeredBytes = UInt32(truncatingIfNeeded: gather.sendBytes)
        let tag = RequestTag(.send, index: UInt32(reader), generation: subscribers[reader].generation)
        unsafe kernel.sendGathered(subscribers[reader].file, gather.sendVectors, vectorCount: gather.sendVectorCount, tag: tag)
        return true
    }

    /// Gathers what goes before media: the rest of a packet that went in part, and replies.
    private mutating func gatherRest(_ reader: Int) {
        if subscribers[reader].remainderCount > 0 {
            unsafe gather.add(
                remainders.place(of: reader) + Int(subscribers[reader].remainderStart), Int(subscribers[reader].remainderCount))
        }
        var node = subscribers[reader].sendFirst
        while node != .max {
            if let base = unsafe sendNodes[Int(node)].buffer.bytes.baseAddress {
                let sent = sendNodes[Int(node)].sent
                unsafe gather.add(base + sent, sendNodes[Int(node)].buffer.count - sent)
            }
            node = sendNodes[Int(node)].next
        }
    }

    /// The framed bytes that the reader is to be sent next, or -1.
    private mutating func mediaBlock(_ reader: Int, _ stream: Int, _ limit: UInt64) -> Int {
        for _ in 0..<4 {
            let cursor = subscribers[reader].cursor
            if let block = blocks.find(UInt32(stream), cursor, subscribers[reader].channels) { return offer(reader, block) }
            let isPinned = pinForBatch(stream, cursor)
            if !keepWithinBounds(reader, stream, limit) {
                guard isPinned else { return -1 }
                let block = blocks.make(
                    UInt32(stream), streams[stream].state.log, plans: streams[stream].state.plans, first: cursor, limit: limit,
                    channels: subscribers[reader].channels,
                    isHeld: takesZeroCopy(reader, bytes: .max))
                return offer(reader, block)
            }
            guard subscribers[reader].state == .playing, subscribers[reader].cursor < limit else { return -1 }
        }
        return -1
    }

    /// Pins a packet beside those of the batch that are pinned already.
    private mutating func pinForBatch(_ stream: Int, _ packet: UInt64) -> Bool {
        if packet >= batchPin { return true }
        guard pin(stream, packet) else { return false }
        batchPin = packet
        return true
    }

    private mutating func offer(_ reader: Int, _ block: Int) -> Int {
        subscribers[reader].offeredFirst = blocks[block].first
        subscribers[reader].offeredEnd = blocks[block].end
        subscribers[reader].offeredPackets = blocks[block].packets
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
    private mutating func finishSend(_ result: SendResult, _ stream: Int) -> Bool {
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
        let mediaBytes = takeFromReplies(reader, takeFromRemainder(reader, stream, bytes))
        guard bytes < Int(subscribers[reader].offeredBytes) else {
            subscribers[reader].cursor = subscribers[reader].offeredEnd
            let packets = subscribers[reader].offeredPackets
            countMedia(stream, packets: packets, bytes: mediaBytes - 4 * Int(packets))
            guard subscribers[reader].state == .playing else { return false }
            if subscribers[reader].cursor < streams[stream].state.board.load(.released) { return true }
            subscribers[reader].isBursting = false
            subscribers[reader].lagSince = 0
            return false
        }
        counters.add(.shortWrites)
        takeFromMedia(reader, stream, mediaBytes)
        block(reader)
        return false
    }

    /// Counts packets that left whole, and their bytes without the frames' headers.
    private func countMedia(_ stream: Int, packets: UInt32, bytes: Int) {
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
        if subscribers[reader].remainderCount == 0 { countMedia(stream, packets: 1, bytes: Int(subscribers[reader].remainderStart) - 4) }
        return left - used
    }

    private mutating func takeFromReplies(_ reader: Int, _ bytes: Int) -> Int {
        var left = bytes
        while subscribers[reader].sendFirst != .max {
            let node = Int(subscribers[reader].sendFirst)
            let rest = sendNodes[node].buffer.count - sendNodes[node].sent
            if left < rest {
                sendNodes[node].sent += left
                return 0
            }
            left -= rest
            dropFirstReply(reader)
        }
        return left
    }

    /// Moves the cursor over the frames that went, and keeps the rest of one that went in part. What was offered is pinned still.
    private mutating func takeFromMedia(_ reader: Int, _ stream: Int, _ bytes: Int) {
        let log = streams[stream].state.log
        var left = bytes
        var packets: UInt32 = 0
        var payload = 0
        subscribers[reader].cursor = subscribers[reader].offeredFirst
        while left > 0, subscribers[reader].cursor < subscribers[reader].offeredEnd {
            let record = log.record(subscribers[reader].cursor)
            subscribers[reader].cursor += 1
            guard let wire = subscribers[reader].channels[Int(record.channel)], streams[stream].state.plans.hold(record) else { continue }
            let frame = 4 + Int(record.length)
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
        let place = unsafe remainders.place(of: reader)
        let header = (UInt32(0x24) << 24 | UInt32(wire) << 16 | UInt32(truncatingIfNeeded: count) & 0xFFFF).bigEndian
        unsafe place.storeBytes(of: header, as: UInt32.self)
        unsafe (place + 4).copyMemory(from: bytes, byteCount: count)
        subscribers[reader].remainderStart = UInt32(sent)
        subscribers[reader].remainderCount = UInt32(4 + count - sent)
    }

    // MARK: Replies

    /// Queues a reply; it leaves before the next packet.
    mutating func send(_ handle: SubscriberHandle, _ buffer: LinkBuffer) {
        guard let reader = find(handle), subscribers[reader].isInterleaved, !subscribers[reader].hasFailed else {
            return report(.bufferReturned(buffer))
        }
        guard Int(subscribers[reader].sendsQueued) < limits.queuedSendsMax, freeSendNode != .max else {
            report(.bufferReturned(buffer))
            return fail(reader, .queueFull)
        }
        let node = freeSendNode
        freeSendNode = sendNodes[Int(node)].next
        sendNodesUsed += 1
        sendNodes[Int(node)] = SendNode(buffer: buffer, sent: 0, next: .max)
        if subscribers[reader].sendFirst == .max {
            subscribers[reader].sendFirst = node
        } else {
            sendNodes[Int(subscribers[reader].sendLast)].next = node
        }
        subscribers[reader].sendLast = node
        subscribers[reader].sendsQueued += 1
        pumpReader(reader)
    }

    private mutating func dropFirstReply(_ reader: Int) {
        let node = subscribers[reader].sendFirst
        guard node != .max else { return }
        subscribers[reader].sendFirst = sendNodes[Int(node)].next
        if subscribers[reader].sendFirst == .max { subscribers[reader].sendLast = .max }
        subscribers[reader].sendsQueued -= 1
        report(.bufferReturned(sendNodes[Int(node)].buffer))
        sendNodes[Int(node)].next = freeSendNode
        freeSendNode = node
        sendNodesUsed -= 1
    }

    /// Gives back replies that will not be sent.
    mutating func dropReplies(_ reader: Int) {
        while subscribers[reader].sendFirst != .max { dropFirstReply(reader) }
    }
}

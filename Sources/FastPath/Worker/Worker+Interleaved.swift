import Glibc
import PlaneLink

/// TCP readers: whole frames, as many as are due in one send, one send per reader at a time; what a short write left over is
/// kept, and goes first.
extension Worker where K: ~Copyable {
    /// Payload of one send. A call costs about the same up to here, and more would only fill the reader's socket.
    static var sendBytesMax: Int { 64 << 10 }
    /// Sends of one turn to one reader: a reader far behind gets its next share in the next turn.
    static var sendsPerTurn: Int { 16 }

    /// Sends every interleaved reader of a stream what is due.
    mutating func pumpInterleaved(_ stream: Int) {
        var pass = 0
        var hasMore = true
        while hasMore, pass < Self.sendsPerTurn {
            hasMore = false
            var index = streams[stream].state.interleaved.first
            while index != SubscriberList.end {
                var queued = 0
                gather.reset()
                while index != SubscriberList.end, queued < kernel.sendBatchMax, gather.hasRoom {
                    let reader = Int(index)
                    index = subscribers[reader].next
                    if queueSend(reader, stream) { queued += 1 }
                }
                guard queued > 0 else { continue }
                kernel.flush()
                counters.add(.sendsSubmitted, UInt64(queued))
                while let result = kernel.nextSendResult() {
                    if finishSend(result, stream) { hasMore = true }
                }
            }
            pass += 1
        }
        if hasMore {
            streams[stream].state.dueAt = now
            markDirty(stream)
        }
    }

    /// Sends one reader its replies, outside the stream's turn.
    mutating func pumpReplies(_ reader: Int) {
        let stream = Int(subscribers[reader].stream)
        gather.reset()
        guard queueSend(reader, stream) else { return }
        kernel.flush()
        counters.add(.sendsSubmitted)
        while let result = kernel.nextSendResult() {
            if finishSend(result, stream) {
                streams[stream].state.dueAt = now
                markDirty(stream)
            }
        }
    }

    /// Queues a send of what the reader is owed: the rest of a packet, replies, then media. False when there is nothing.
    private mutating func queueSend(_ reader: Int, _ stream: Int) -> Bool {
        guard !subscribers[reader].isBlocked, !subscribers[reader].hasFailed else { return false }
        gather.begin()
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
        subscribers[reader].offeredPackets = 0
        subscribers[reader].offeredEnd = subscribers[reader].cursor
        if subscribers[reader].state == .playing { gatherMedia(reader, stream) }
        guard gather.sendVectorCount > 0 else { return false }
        subscribers[reader].offeredBytes = UInt32(truncatingIfNeeded: gather.sendBytes)
        let tag = RequestTag(.send, index: UInt32(reader), generation: subscribers[reader].generation)
        unsafe kernel.sendGathered(subscribers[reader].file, gather.sendVectors, vectorCount: gather.sendVectorCount, tag: tag)
        return true
    }

    private mutating func gatherMedia(_ reader: Int, _ stream: Int) {
        if !streams[stream].state.log.isValid(subscribers[reader].cursor) { skipAhead(reader, stream) }
        guard subscribers[reader].state == .playing else { return }
        let log = streams[stream].state.log
        var packet = subscribers[reader].cursor
        var packets: UInt32 = 0
        while packet < log.head, gather.sendVectorCount + 2 <= GatherSpace.vectorsPerSendMax, gather.sendBytes < Self.sendBytesMax {
            let record = log.record(packet)
            packet += 1
            guard let wire = subscribers[reader].channels[Int(record.channel)] else { continue }
            unsafe gather.addFrame(channel: wire, log.bytes(of: record), Int(record.length))
            packets += 1
        }
        subscribers[reader].offeredPackets = packets
        subscribers[reader].offeredEnd = packet
        // Packets of channels that the reader did not set up are passed over without a send.
        if gather.sendVectorCount == 0 { subscribers[reader].cursor = packet }
    }

    /// Accounts for what the kernel took. True when the reader can be sent more at once.
    private mutating func finishSend(_ result: SendResult, _ stream: Int) -> Bool {
        let reader = Int(result.tag.index)
        guard result.tag.kind == .send, reader < subscribers.count, subscribers[reader].isActive else { return false }
        guard result.result >= 0 else {
            switch -result.result {
            case EAGAIN, ENOBUFS, ENOMEM: block(reader)
            default: fail(reader, .connectionLost)
            }
            return false
        }
        let bytes = Int(result.result)
        guard bytes < Int(subscribers[reader].offeredBytes) else {
            subscribers[reader].remainderCount = 0
            while subscribers[reader].sendFirst != .max { dropFirstReply(reader) }
            subscribers[reader].cursor = subscribers[reader].offeredEnd
            countMedia(stream, packets: subscribers[reader].offeredPackets, bytes: bytes)
            return subscribers[reader].state == .playing && subscribers[reader].cursor < streams[stream].state.log.head
        }
        counters.add(.shortWrites)
        takeFromMedia(reader, stream, takeFromReplies(reader, takeFromRemainder(reader, bytes)))
        block(reader)
        return false
    }

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
        kernel.watchWritable(subscribers[reader].file, tag: writableTag(reader))
    }

    private func takeFromRemainder(_ reader: Int, _ left: Int) -> Int {
        let used = min(left, Int(subscribers[reader].remainderCount))
        subscribers[reader].remainderStart += UInt32(used)
        subscribers[reader].remainderCount -= UInt32(used)
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

    /// Moves the cursor over the frames that went, and keeps the rest of one that went in part.
    private mutating func takeFromMedia(_ reader: Int, _ stream: Int, _ bytes: Int) {
        let log = streams[stream].state.log
        var left = bytes
        var packets: UInt32 = 0
        while left > 0, subscribers[reader].cursor < subscribers[reader].offeredEnd {
            let record = log.record(subscribers[reader].cursor)
            subscribers[reader].cursor += 1
            guard let wire = subscribers[reader].channels[Int(record.channel)] else { continue }
            let frame = 4 + Int(record.length)
            if left < frame { unsafe keepRemainder(reader, wire, log.bytes(of: record), Int(record.length), sent: left) }
            left -= min(left, frame)
            packets += 1
        }
        countMedia(stream, packets: packets, bytes: bytes)
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
        pumpReplies(reader)
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

import Glibc
import PlaneLink

/// What the control plane has a TCP reader sent between two packets.
extension Worker where K: ~Copyable {
    /// Queues a reply: it leaves before the next packet, or where it has a place among the packets of a verbatim stream, there.
    mutating func send(_ handle: SubscriberHandle, _ buffer: LinkBuffer, before packet: UInt32? = nil, endsMedia: Bool = false) {
        guard let reader = find(handle), !subscribers[reader].hasFailed,
            subscribers[reader].isInterleaved || packet != nil && buffer.count == 0
        else { return report(.bufferReturned(buffer)) }
        guard packet == nil || streams[Int(subscribers[reader].stream)].state.isVerbatim else {
            report(.bufferReturned(buffer))
            return report(.refused(.wrongKind, errorNumber: EINVAL))
        }
        guard Int(subscribers[reader].sendsQueued) < limits.queuedSendsMax, freeSendNode != .max else {
            // First that it failed: what comes back without that has left.
            fail(reader, .queueFull)
            return report(.bufferReturned(buffer))
        }
        let node = freeSendNode
        freeSendNode = sendNodes[Int(node)].next
        sendNodesUsed += 1
        sendNodes[Int(node)] = SendNode(
            buffer: buffer, sent: 0, next: .max, before: packet ?? 0, isPlaced: packet != nil, endsMedia: endsMedia)
        if subscribers[reader].sendFirst == .max {
            subscribers[reader].sendFirst = node
        } else {
            sendNodes[Int(subscribers[reader].sendLast)].next = node
        }
        subscribers[reader].sendLast = node
        subscribers[reader].sendsQueued += 1
        sendReplies(reader)
    }

    /// Sends replies whose place has come.
    mutating func sendReplies(_ reader: Int) {
        if subscribers[reader].isInterleaved { return pumpReader(reader) }
        let stream = Int(subscribers[reader].stream)
        settlePlaces(reader, stream)
        // To come to an exact packet it walks by itself.
        if subscribers[reader].list == .live, subscribers[reader].sendFirst != .max {
            subscribers[reader].cursor = streams[stream].state.sent
            move(reader, to: .lagging)
        }
        batchPin = .max
        unpin(stream)
    }

    /// Tells of the places that a UDP reader has come to, and ends its media where they say so.
    mutating func settlePlaces(_ reader: Int, _ stream: Int) {
        countDueReplies(reader, stream)
        while subscribers[reader].offeredReplies > 0 {
            subscribers[reader].offeredReplies -= 1
            dropFirstReply(reader)
        }
        if subscribers[reader].state == .quiet, subscribers[reader].list != .quiet { move(reader, to: .quiet) }
    }

    mutating func dropFirstReply(_ reader: Int) {
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
        subscribers[reader].offeredReplies = 0
        while subscribers[reader].sendFirst != .max { dropFirstReply(reader) }
    }

    // MARK: Replies with a place

    /// Counts the replies that may leave now: those before the first that has a place which the reader has not come to. One that ends the
    /// reader's media does so here.
    mutating func countDueReplies(_ reader: Int, _ stream: Int) {
        var count: UInt32 = 0
        var node = subscribers[reader].sendFirst
        while node != .max {
            if sendNodes[Int(node)].isPlaced, sendNodes[Int(node)].sent == 0,
                !hasReached(reader, stream, sendNodes[Int(node)].before)
            {
                break
            }
            count += 1
            if sendNodes[Int(node)].endsMedia { stopMedia(reader) }
            node = sendNodes[Int(node)].next
        }
        subscribers[reader].offeredReplies = count
    }

    /// Whether a reply waits for its place.
    func hasWaitingReply(_ reader: Int) -> Bool { UInt32(subscribers[reader].sendsQueued) > subscribers[reader].offeredReplies }

    /// Whether the next packet that the reader is sent has this number or a higher one.
    private mutating func hasReached(_ reader: Int, _ stream: Int, _ number: UInt32) -> Bool {
        switch subscribers[reader].state {
        case .free, .quiet, .closing: return true
        case .armed: return false
        case .joined, .playing, .skipping: break
        }
        if streams[stream].state.isStored {
            let hasEnded = subscribers[reader].stored.hasEnded
            return hasEnded || isAtOrBehind(UInt32(truncatingIfNeeded: subscribers[reader].cursor), number)
        }
        // First what was counted, then what was logged: of a packet that comes meanwhile only the log may tell.
        let next = nextNumber(stream)
        if subscribers[reader].state == .skipping {
            // It goes on with a key frame that comes, or with one that came and that it is about to be told of.
            guard streams[stream].state.board.load(.keyFrame) <= streams[stream].state.keyFrameSeen else { return false }
            return isAtOrBehind(next, number)
        }
        let cursor = subscribers[reader].list == .live ? streams[stream].state.sent : subscribers[reader].cursor
        if cursor >= streams[stream].state.board.load(.head) { return isAtOrBehind(next, number) }
        return pinForBatch(stream, cursor) && isAtOrBehind(streams[stream].state.log.record(cursor).timestamp, number)
    }

    /// The number of the next packet that will be fed.
    private func nextNumber(_ stream: Int) -> UInt32 {
        let known = streams[stream].state.counters
        return UInt32(truncatingIfNeeded: known[0, .packets] == 0 ? 0 : known[0, .timestampOut] &+ 1)
    }

    func isAtOrBehind(_ number: UInt32, _ place: UInt32) -> Bool { Int32(bitPattern: number &- place) >= 0 }

    /// The place of the first reply that waits for it.
    func waitingPlace(_ reader: Int) -> UInt32? {
        var node = subscribers[reader].sendFirst
        var left = subscribers[reader].offeredReplies
        while left > 0, node != .max {
            node = sendNodes[Int(node)].next
            left -= 1
        }
        return node == .max ? nil : sendNodes[Int(node)].before
    }
}

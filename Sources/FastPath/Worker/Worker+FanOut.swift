import Glibc
import PlaneLink

/// From the log to the readers.
extension Worker where K: ~Copyable {
    /// Trains that one stream sends to readers with cursors of their own in one turn.
    static var lagTrainsPerTurn: Int { 64 }
    /// A UDP reader whose socket stayed full for so long misses what it could not be sent.
    static var datagramLagNanoseconds: UInt64 { 500_000_000 }

    /// Sends a stream's readers what they have not been sent.
    mutating func fanOut(_ stream: Int) {
        let began = now
        streams[stream].state.dueAt = .max
        sendLive(stream)
        if streams[stream].state.lagging.count > 0 { sendLagging(stream) }
        if streams[stream].state.interleaved.count > 0 { pumpInterleaved(stream) }
        counters.add(.fanOuts)
        counters.add(.fanOutNanoseconds, monotonicNanoseconds() &- began)
    }

    // MARK: Readers that are up to date

    private mutating func sendLive(_ stream: Int) {
        let head = streams[stream].state.log.head
        var next = streams[stream].state.sent
        while next < head, streams[stream].state.live.count > 0 {
            let train = Train.cut(streams[stream].state.log, from: next, limit: head)
            prepareSegments(stream, train)
            let bytes = unsafe streams[stream].state.log.bytes(of: train.record)
            let channel = Int(train.channel)
            var sends: UInt64 = 0
            var index = streams[stream].state.live.first
            while index != SubscriberList.end {
                let reader = Int(index)
                index = subscribers[reader].next
                let port = subscribers[reader].ports[channel]
                guard port != 0 else { continue }
                unsafe sendTrain(reader, bytes, train.bytes, channel, port)
                sends += 1
            }
            kernel.flush()
            countSent(stream, train, sends)
            streams[stream].state.sent = train.end
            takeSendFailures(train)
            next = train.end
        }
        streams[stream].state.sent = head
    }

    /// Tells the stream's sockets how long this train's segments are.
    private mutating func prepareSegments(_ stream: Int, _ train: Train) {
        let segment = train.packets > 1 ? train.segmentBytes : 0
        for place in 0..<egress.count where egress[place].isSet {
            let file = train.channel & 1 == 0 ? egress[place].rtp : egress[place].rtcp
            _ = kernel.setSegment(file, bytes: segment)
        }
    }

    @unsafe private mutating func sendTrain(_ reader: Int, _ bytes: UnsafeRawPointer, _ count: Int, _ channel: Int, _ port: UInt16) {
        let place = Int(subscribers[reader].sockets)
        let file = channel & 1 == 0 ? egress[place].rtp : egress[place].rtcp
        let tag = RequestTag(.send, index: UInt32(reader), generation: subscribers[reader].generation)
        unsafe kernel.sendDatagram(file, bytes, count: count, host: subscribers[reader].host, port: port, tag: tag)
    }

    private func countSent(_ stream: Int, _ train: Train, _ sends: UInt64) {
        let packets = sends * UInt64(train.packets)
        counters.add(.packetsSent, packets)
        counters.add(.bytesSent, sends * UInt64(train.bytes))
        counters.add(.sendsSubmitted, sends)
        streams[stream].state.counters.add(.packetsSent, packets)
        streams[stream].state.counters.add(.bytesSent, sends * UInt64(train.bytes))
    }

    /// Readers whose train the kernel did not take: they get a cursor of their own, at that train.
    private mutating func takeSendFailures(_ train: Train) {
        while let result = kernel.nextSendResult() {
            let reader = Int(result.tag.index)
            guard result.result < 0, reader < subscribers.count, subscribers[reader].state == .playing, !subscribers[reader].isInterleaved
            else { continue }
            uncount(reader, train)
            switch -result.result {
            case EAGAIN, ENOBUFS, ENOMEM:
                counters.add(.sendsDeferred)
                subscribers[reader].cursor = train.first
                subscribers[reader].blockedAt = now + Self.retryNanoseconds
                if subscribers[reader].list != .lagging { move(reader, to: .lagging) }
            case EIO where train.packets > 1, EINVAL where train.packets > 1, EMSGSIZE where train.packets > 1:
                counters.add(.trainsRefused)
                subscribers[reader].cursor = train.first
                subscribers[reader].refusesTrains = true
                if subscribers[reader].list != .lagging { move(reader, to: .lagging) }
            default:
                counters.add(.packetsRefused, UInt64(train.packets))
            }
        }
    }

    private func uncount(_ reader: Int, _ train: Train) {
        let stream = Int(subscribers[reader].stream)
        let packets = UInt64(train.packets)
        counters.add(.packetsSent, 0 &- packets)
        counters.add(.bytesSent, 0 &- UInt64(train.bytes))
        counters.add(.sendsSubmitted, 0 &- 1)
        streams[stream].state.counters.add(.packetsSent, 0 &- packets)
        streams[stream].state.counters.add(.bytesSent, 0 &- UInt64(train.bytes))
    }

    // MARK: Readers with cursors of their own

    /// Brings newcomers and readers with full sockets up to date. Readers at the same place go together.
    private mutating func sendLagging(_ stream: Int) {
        var trains = 0
        while trains < Self.lagTrainsPerTurn, let (cursor, limit, trainsAllowed) = lowestLagging(stream) {
            let train = Train.cut(
                streams[stream].state.log, from: cursor, limit: limit, segmentsMax: trainsAllowed ? Train.segmentsMax : 1)
            sendLaggingTrain(stream, train, trainsAllowed)
            trains += 1
        }
        settleLagging(stream)
    }

    /// The lowest cursor of the readers that may be sent to now, and the next one above it. Readers that refuse trains come last.
    private mutating func lowestLagging(_ stream: Int) -> (cursor: UInt64, limit: UInt64, trainsAllowed: Bool)? {
        let head = streams[stream].state.log.head
        var lowest = [head, head] as InlineArray<2, UInt64>
        var above = head
        var index = streams[stream].state.lagging.first
        while index != SubscriberList.end {
            let reader = Int(index)
            index = subscribers[reader].next
            guard subscribers[reader].state == .playing, subscribers[reader].blockedAt <= now else { continue }
            if !streams[stream].state.log.isValid(subscribers[reader].cursor) { skipAhead(reader, stream) }
            guard subscribers[reader].state == .playing else { continue }
            let cursor = subscribers[reader].cursor
            let kind = subscribers[reader].refusesTrains ? 1 : 0
            if cursor < lowest[kind] {
                if kind == 0 { above = lowest[0] }
                lowest[kind] = cursor
            } else if kind == 0, cursor > lowest[0] {
                above = min(above, cursor)
            }
        }
        if lowest[0] < head { return (lowest[0], above, true) }
        return lowest[1] < head ? (lowest[1], head, false) : nil
    }

    private mutating func sendLaggingTrain(_ stream: Int, _ train: Train, _ trainsAllowed: Bool) {
        prepareSegments(stream, train)
        let bytes = unsafe streams[stream].state.log.bytes(of: train.record)
        let channel = Int(train.channel)
        var sends: UInt64 = 0
        var index = streams[stream].state.lagging.first
        while index != SubscriberList.end {
            let reader = Int(index)
            index = subscribers[reader].next
            guard subscribers[reader].state == .playing, subscribers[reader].cursor == train.first,
                subscribers[reader].refusesTrains != trainsAllowed, subscribers[reader].blockedAt <= now
            else { continue }
            subscribers[reader].cursor = train.end
            let port = subscribers[reader].ports[channel]
            guard port != 0 else { continue }
            // Newcomers are not late, however long their PLAY took: only a reader that was refused is.
            if subscribers[reader].blockedAt > 0, now &- train.record.arrival > Self.datagramLagNanoseconds {
                counters.add(.packetsDroppedNoRoom, UInt64(train.packets))
                streams[stream].state.counters.add(.packetsDropped, UInt64(train.packets))
                continue
            }
            unsafe sendTrain(reader, bytes, train.bytes, channel, port)
            sends += 1
        }
        kernel.flush()
        countSent(stream, train, sends)
        takeSendFailures(train)
    }

    /// Moves readers that are up to date to the common walk, and has the others looked at again when they may be sent to.
    private mutating func settleLagging(_ stream: Int) {
        let head = streams[stream].state.log.head
        var index = streams[stream].state.lagging.first
        while index != SubscriberList.end {
            let reader = Int(index)
            index = subscribers[reader].next
            guard subscribers[reader].state == .playing else { continue }
            if subscribers[reader].cursor < head {
                streams[stream].state.dueAt = min(streams[stream].state.dueAt, max(subscribers[reader].blockedAt, now))
                markDirty(stream)
            } else if !subscribers[reader].refusesTrains {
                subscribers[reader].blockedAt = 0
                move(reader, to: .live)
            }
        }
    }
}

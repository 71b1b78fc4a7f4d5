import Glibc
import PlaneLink

/// From the log to the UDP readers.
extension Worker where K: ~Copyable {
    /// Trains that one reader with a cursor of its own is sent in one turn.
    static var lagTrainsPerTurn: Int { 8 }
    /// A UDP reader whose socket stayed full for so long misses what it could not be sent.
    static var datagramLagNanoseconds: UInt64 { 500_000_000 }
    /// A bursting reader, and any that catches up while pacing is on, gets its shares so often; no share is smaller.
    static var shareNanoseconds: UInt64 { 5_000_000 }
    static var shareBytesMin: UInt64 { 16 << 10 }

    /// Sends this worker's readers of a stream what they have not been sent.
    mutating func fanOut(_ stream: Int) {
        let began = now
        streams[stream].state.dueAt = .max
        lookForKeyFrame(stream)
        let limit = limit(stream)
        sendLive(stream, limit)
        if streams[stream].state.lagging.count > 0 { sendLagging(stream, limit) }
        if streams[stream].state.interleaved.count > 0 {
            sendInterleaved(stream, limit)
        } else {
            streams[stream].state.interleavedDueAt = .max
        }
        unpin(stream)
        // Commands go first, which wait for reports to be taken.
        if streams[stream].state.isVerbatim, limit < streams[stream].state.board.load(.released) {
            markDue(stream, at: now + Self.retryNanoseconds)
        }
        counters.add(.fanOuts)
        counters.add(.fanOutNanoseconds, kernel.clock() &- began)
    }

    // MARK: Pins

    /// Keeps packets from this one on as they are, until ``unpin(_:)``. False when they are gone already.
    func pin(_ stream: Int, _ packet: UInt64) -> Bool {
        let board = streams[stream].state.board
        guard board.load(.tail) <= packet else { return false }
        board.store(index, .pin, min(packet, streams[stream].state.zeroCopyPin))
        return board.load(.tail) <= packet
    }

    /// Reads no packet any more, but what the kernel still holds.
    func unpin(_ stream: Int) {
        streams[stream].state.board.store(index, .pin, streams[stream].state.zeroCopyPin)
    }

    // MARK: Readers that are up to date

    private mutating func sendLive(_ stream: Int, _ limit: UInt64) {
        while streams[stream].state.sent < limit, streams[stream].state.live.count > 0 {
            let first = streams[stream].state.sent
            guard pin(stream, first) else {
                loseLive(stream)
                break
            }
            let train = Train.cut(streams[stream].state.log, from: first, limit: limit, segmentsMax: kernel.segmentsMax)
            guard streams[stream].state.plans.hold(train.record) else {
                streams[stream].state.sent = train.end
                continue
            }
            let bytes = unsafe streams[stream].state.log.bytes(of: train.record)
            let channel = Int(train.channel)
            var hold = beginHold(stream, train)
            var prepared: UInt8 = .max
            var sends: UInt64 = 0
            var index = streams[stream].state.live.first
            while index != SubscriberList.end {
                let reader = Int(index)
                index = subscribers[reader].next
                let port = subscribers[reader].ports[channel]
                guard port != 0, fitsDatagram(train, reader) else { continue }
                unsafe sendTrain(reader, train, bytes, port, &prepared, &hold)
                sends += 1
            }
            kernel.flush()
            endHold(hold)
            countSent(stream, train.packets, train.bytes, sends)
            streams[stream].state.sent = train.end
            takeLiveFailures(train)
            // A worker with more to do than it can goes on in the next turn.
            if train.end < limit, isOvertime() { return markDue(stream, at: now) }
        }
        streams[stream].state.sent = max(limit, streams[stream].state.sent)
    }

    /// Whether the turn has taken long enough.
    func isOvertime() -> Bool { kernel.clock() &- now > Self.fanOutNanosecondsMax }

    /// This worker fell a whole window behind: each reader finds its own way on.
    private mutating func loseLive(_ stream: Int) {
        while true {
            let first = streams[stream].state.live.first
            guard first != SubscriberList.end else { return }
            subscribers[Int(first)].cursor = streams[stream].state.sent
            move(Int(first), to: .lagging)
        }
    }

    /// Tells a pair's RTP socket that carries RTCP from its RTCP socket. (Pairs are below ``Limits/egressMax``, 128.)
    private static var multiplexedBit: UInt8 { 0x80 }

    @unsafe mutating func sendTrain(
        _ reader: Int, _ train: Train, _ bytes: UnsafeRawPointer, _ port: UInt16, _ prepared: inout UInt8, _ hold: inout Int32
    ) {
        let place = subscribers[reader].sockets
        // A reader with one port for both (RFC 5761) hears RTCP from the port that RTP comes from.
        let isMultiplexed = train.channel & 1 == 1 && subscribers[reader].ports[Int(train.channel) - 1] == port
        let file = train.channel & 1 == 0 || isMultiplexed ? egress[Int(place)].rtp : egress[Int(place)].rtcp
        let socket = isMultiplexed ? place | Self.multiplexedBit : place
        if socket != prepared {
            // A socket that cuts segments refuses even one packet that is no longer than a segment, where the path takes no such.
            let isAlone = train.packets == 1 && refusesTrains(reader)
            kernel.setSegment(file, segmentBytes: isAlone ? 0 : train.segmentBytes, bytes: train.bytes)
            prepared = isAlone ? .max : socket
        }
        if hold >= 0, takesZeroCopy(reader) {
            return unsafe sendHeld(reader, file, bytes, train.bytes, port, hold)
        }
        let tag = RequestTag(.send, index: UInt32(reader), generation: subscribers[reader].generation)
        unsafe kernel.sendDatagram(file, bytes, count: train.bytes, host: subscribers[reader].host, port: port, tag: tag)
    }

    /// Whether a message can hold the train. One packet alone may be too large for UDP (counted for each reader): it came over TCP.
    private mutating func fitsDatagram(_ train: Train, _ reader: Int) -> Bool {
        if train.bytes <= Train.bytesMax { return true }
        counters.add(.packetsOverDatagram)
        miss(reader, 1, .kernelRefusal)
        return false
    }

    func countSent(_ stream: Int, _ packets: Int, _ bytes: Int, _ sends: UInt64) {
        counters.add(.packetsSent, sends &* UInt64(packets))
        counters.add(.bytesSent, sends &* UInt64(bytes))
        counters.add(.sendsSubmitted, sends)
        streams[stream].state.counters.add(.packetsSent, sends &* UInt64(packets))
        streams[stream].state.counters.add(.bytesSent, sends &* UInt64(bytes))
    }

    /// Readers whose train the kernel did not take: they get a cursor of their own, at that train.
    private mutating func takeLiveFailures(_ train: Train) {
        while let result = kernel.nextSendResult() {
            guard let reader = failedReader(result) else { continue }
            countSent(Int(subscribers[reader].stream), train.packets, train.bytes, 0 &- 1)
            subscribers[reader].cursor = train.first
            subscribers[reader].offeredFirst = train.first
            subscribers[reader].lagSince = 0
            if sendFailed(reader, -result.result, packets: train.packets, segmentBytes: train.segmentBytes) {
                move(reader, to: .lagging)
            } else {
                subscribers[reader].lagSince = 0
            }
        }
    }

    private func failedReader(_ result: SendResult) -> Int? {
        let reader = Int(result.tag.index)
        guard result.result < 0, reader < subscribers.count, subscribers[reader].state == .playing, !subscribers[reader].isInterleaved
        else { return nil }
        return reader
    }

    /// What the kernel's refusal of one message means. True when the reader is to be sent it again.
    private mutating func sendFailed(_ reader: Int, _ number: Int32, packets: Int, segmentBytes: Int) -> Bool {
        switch number {
        case EAGAIN, ENOBUFS, ENOMEM:
            counters.add(.sendsDeferred)
            if subscribers[reader].deferredAt == 0 { subscribers[reader].deferredAt = now }
            subscribers[reader].blockedAt = now + Self.retryNanoseconds
            return true
        case EIO, EINVAL, EMSGSIZE:
            // Alone, on a socket that cuts no segments, it was refused for good.
            if packets == 1, refusesTrains(reader) { fallthrough }
            counters.add(.trainsRefused)
            // EIO: the device cannot sum segments (no checksum offload). The others: segments longer than the path's MTU.
            destinations.noteRefusal(
                subscribers[reader].destination, segmentBytes: number == EIO ? 0 : segmentBytes, now: now)
            subscribers[reader].refusesTrains = subscribers[reader].destination == 0
            return true
        default:
            counters.add(.packetsRefused, UInt64(packets))
            miss(reader, UInt64(packets), .kernelRefusal)
            return false
        }
    }

    // MARK: Readers with cursors of their own

    /// Brings newcomers, readers whose sockets were full and readers whose path takes no trains up to date. In each round every one
    /// of them gets one train: those that stand at the same packet share it.
    private mutating func sendLagging(_ stream: Int, _ limit: UInt64) {
        if streams[stream].state.isVerbatim { passOver(stream, limit) }
        var round = 0
        while round < Self.lagTrainsPerTurn, sendLaggingRound(stream, limit), !isOvertime() { round += 1 }
        settleLagging(stream, limit)
        batchPin = .max
    }

    /// Readers that begin further on pass over what is before that, before bounds are looked at.
    private mutating func passOver(_ stream: Int, _ limit: UInt64) {
        var index = streams[stream].state.lagging.first
        while index != SubscriberList.end {
            let reader = Int(index)
            index = subscribers[reader].next
            if subscribers[reader].hasBeginning, subscribers[reader].state == .playing { passOver(reader, stream, limit) }
        }
        batchPin = .max
    }

    /// How far a reader is walked now: as far as all, or to a place that it must not pass before that is told. Not at all where its media
    /// ends here.
    private mutating func walkEnd(_ reader: Int, _ stream: Int, _ limit: UInt64) -> UInt64 {
        guard subscribers[reader].sendFirst != .max else { return limit }
        settlePlaces(reader, stream)
        guard subscribers[reader].state == .playing else { return subscribers[reader].cursor }
        guard let place = waitingPlace(reader) else { return limit }
        return packet(stream, atOrBehind: place, from: subscribers[reader].cursor, to: limit)
    }

    private mutating func sendLaggingRound(_ stream: Int, _ limit: UInt64) -> Bool {
        guard let pinned = pinLagging(stream, limit) else { return false }
        var shared: Train?
        var sharedMax = 0
        var sharedEnd: UInt64 = 0
        var prepared: UInt8 = .max
        var hold: Int32 = -1
        var didSend = false
        var index = streams[stream].state.lagging.first
        while index != SubscriberList.end {
            let reader = Int(index)
            index = subscribers[reader].next
            guard isDue(reader, limit), subscribers[reader].cursor >= pinned else { continue }
            let end = subscribers[reader].isVerbatim ? walkEnd(reader, stream, limit) : limit
            guard subscribers[reader].cursor < end else { continue }
            let most = segmentsMax(reader, streams[stream].state.log.record(subscribers[reader].cursor))
            if shared?.first != subscribers[reader].cursor || sharedMax != most || sharedEnd != end {
                shared = Train.cut(streams[stream].state.log, from: subscribers[reader].cursor, limit: end, segmentsMax: most)
                sharedMax = most
                sharedEnd = end
                prepared = .max
            }
            guard let train = shared else { continue }
            // What was offered last was taken: the socket is full no longer.
            if subscribers[reader].offeredFirst != train.first { subscribers[reader].deferredAt = 0 }
            subscribers[reader].offeredFirst = train.first
            subscribers[reader].offeredPackets = UInt32(train.packets)
            subscribers[reader].offeredBytes = UInt32(train.bytes)
            subscribers[reader].cursor = train.end
            let port = streams[stream].state.plans.hold(train.record) ? subscribers[reader].ports[Int(train.channel)] : 0
            guard port != 0, fitsDatagram(train, reader) else {
                subscribers[reader].offeredFirst = train.end
                didSend = true
                continue
            }
            // Newcomers are not late, however long their PLAY took: only a reader whose socket was full is.
            if isLate(reader, train.record) {
                counters.add(.packetsDroppedNoRoom, UInt64(train.packets))
                miss(reader, UInt64(train.packets), .socketFull)
                subscribers[reader].offeredFirst = train.end
                didSend = true
                continue
            }
            unsafe sendTrain(reader, train, streams[stream].state.log.bytes(of: train.record), port, &prepared, &hold)
            countSent(stream, train.packets, train.bytes, 1)
            spendShare(reader, train.bytes)
            didSend = true
        }
        kernel.flush()
        while let result = kernel.nextSendResult() {
            guard let reader = failedReader(result) else { continue }
            let packets = Int(subscribers[reader].offeredPackets)
            countSent(stream, packets, Int(subscribers[reader].offeredBytes), 0 &- 1)
            let segment = Int(streams[stream].state.log.record(subscribers[reader].offeredFirst).length)
            if sendFailed(reader, -result.result, packets: packets, segmentBytes: segment) {
                subscribers[reader].cursor = subscribers[reader].offeredFirst
            }
        }
        return didSend
    }

    /// Whether a packet is not worth sending any more: it is old, and the reader's socket has been full for as long.
    private func isLate(_ reader: Int, _ record: PacketRecord) -> Bool {
        let since = subscribers[reader].deferredAt
        return since > 0 && now &- since > Self.datagramLagNanoseconds && now &- min(record.arrival, now) > Self.datagramLagNanoseconds
    }

    /// Whether a reader with a cursor of its own can be sent something now.
    private func isDue(_ reader: Int, _ limit: UInt64) -> Bool {
        subscribers[reader].state == .playing && subscribers[reader].blockedAt <= now && subscribers[reader].cursor < limit
    }

    /// Pins the lowest packet that one of these readers is to be sent, after each has been brought within bounds. Nil when none is
    /// to be sent anything.
    private mutating func pinLagging(_ stream: Int, _ limit: UInt64) -> UInt64? {
        for _ in 0..<4 {
            var lowest = UInt64.max
            var index = streams[stream].state.lagging.first
            while index != SubscriberList.end {
                let reader = Int(index)
                index = subscribers[reader].next
                guard isDue(reader, limit) else { continue }
                lowest = min(lowest, subscribers[reader].cursor)
            }
            if lowest == .max { return nil }
            let start = max(lowest, streams[stream].state.board.load(.tail))
            guard pin(stream, start) else { continue }
            batchPin = start
            var moved = false
            index = streams[stream].state.lagging.first
            while index != SubscriberList.end {
                let reader = Int(index)
                index = subscribers[reader].next
                guard isDue(reader, limit) else { continue }
                if keepWithinBounds(reader, stream, limit) { moved = true }
            }
            if !moved { return start }
        }
        return nil
    }

    /// Whether trains of any size are refused on the reader's path just now.
    private func refusesTrains(_ reader: Int) -> Bool {
        subscribers[reader].refusesTrains || destinations[subscribers[reader].destination].refusedUntil > now
    }

    /// How many packets like this one the reader may be sent in one message.
    private func segmentsMax(_ reader: Int, _ record: PacketRecord) -> Int {
        let size = Int(record.length)
        if subscribers[reader].refusesTrains || destinations[subscribers[reader].destination].refuses(segmentBytes: size, now: now) {
            return 1
        }
        guard share(reader) > 0 else { return kernel.segmentsMax }
        return min(max(Int(subscribers[reader].burstLeft) / max(size, 1), 1), kernel.segmentsMax)
    }

    /// What a reader with a cursor of its own may be sent in ``shareNanoseconds``; 0: whatever the kernel takes.
    func share(_ reader: Int) -> UInt32 {
        let stream = Int(subscribers[reader].stream)
        if hasPacedBurst(reader) {
            let wanted = burstRate(reader, stream) * Self.shareNanoseconds / 1_000_000_000
            return min(UInt32(clamping: max(wanted, 1)), shareMax(stream))
        }
        if subscribers[reader].isBursting { return subscribers[reader].burstShare }
        return streams[stream].state.policy.pacing == .off ? 0 : shareMax(stream)
    }

    /// The largest share: a burst, or what keeps a reader of a fast stream from falling further behind.
    func shareMax(_ stream: Int) -> UInt32 {
        let rate = min(streams[stream].state.board.load(.rate), 1 << 40)
        return UInt32(clamping: max(UInt64(PacingPolicy.burstBytes), rate * 3 / 2 * Self.shareNanoseconds / 1_000_000_000))
    }

    /// A reader that had its share waits for the next.
    private func spendShare(_ reader: Int, _ bytes: Int) {
        let share = share(reader)
        guard share > 0 else { return }
        let left = Int64(subscribers[reader].burstLeft) - Int64(bytes)
        subscribers[reader].burstLeft = Int32(clamping: left)
        guard left <= 0 else { return }
        // A packet that is larger than a share takes several.
        let shares = -left / Int64(share) + 1
        subscribers[reader].burstLeft = Int32(clamping: left + shares * Int64(share))
        subscribers[reader].blockedAt = now + UInt64(shares) * Self.shareNanoseconds
    }

    /// Moves readers that are up to date to the common walk, and has the others looked at again when they may be sent to.
    private mutating func settleLagging(_ stream: Int, _ limit: UInt64) {
        var index = streams[stream].state.lagging.first
        while index != SubscriberList.end {
            let reader = Int(index)
            index = subscribers[reader].next
            if subscribers[reader].sendFirst != .max { settlePlaces(reader, stream) }
            guard subscribers[reader].state == .playing else { continue }
            if subscribers[reader].cursor < limit {
                if subscribers[reader].deferredAt > 0, disconnectIfTooSlow(reader, stream) { continue }
                markDue(stream, at: max(subscribers[reader].blockedAt, now))
            } else if subscribers[reader].cursor == streams[stream].state.sent {
                subscribers[reader].isBursting = false
                subscribers[reader].deferredAt = 0
                subscribers[reader].lagSince = 0
                subscribers[reader].blockedAt = 0
                // One that is to begin further on, or to be told when it has come to a packet, goes on by itself.
                if subscribers[reader].hasBeginning || subscribers[reader].sendFirst != .max { continue }
                if !subscribers[reader].refusesTrains, destinations[subscribers[reader].destination].refusedUntil <= now {
                    move(reader, to: .live)
                }
            }
        }
    }
}

import PlaneLink

/// Readers that are too far behind.
extension Worker where K: ~Copyable {
    /// A reader's missed packets are reported at most so often.
    static var missReportNanoseconds: UInt64 { 60_000_000_000 }

    /// Brings a reader whose next packet is gone, or further back than the policy allows, to where it may go on. True when it was
    /// moved. What it may go on with is pinned.
    mutating func keepWithinBounds(_ reader: Int, _ stream: Int, _ limit: UInt64) -> Bool {
        let cursor = subscribers[reader].cursor
        guard cursor < limit else { return false }
        let tail = streams[stream].state.board.load(.tail)
        if cursor < tail {
            skip(reader, stream, limit, oldest: tail + (limit - min(tail, limit)) / 8, .ringOverrun)
            return true
        }
        // Behind is who was not taken something from. A newcomer is not, nor who waits for what is collected or paced.
        guard !subscribers[reader].isBursting, subscribers[reader].lagSince > 0 || subscribers[reader].deferredAt > 0,
            let oldest = oldestAllowed(reader, stream, cursor, limit)
        else { return false }
        skip(reader, stream, limit, oldest: oldest, .policy)
        return true
    }

    /// The first packet within the policy's bounds, or nil when the cursor is.
    private func oldestAllowed(_ reader: Int, _ stream: Int, _ cursor: UInt64, _ limit: UInt64) -> UInt64? {
        let policy = streams[stream].state.policy
        guard policy.lagNanosecondsMax > 0 || policy.lagBytesMax > 0 else { return nil }
        // Who missed something must be able to get up to date again: what is collected for it is no older than that.
        let nanosecondsMax =
            min(policy.lagNanosecondsMax, 1 << 62) + (subscribers[reader].isInterleaved ? collectNanoseconds(stream) : 0)
        let log = streams[stream].state.log
        let end = log.record(limit - 1).end
        var packet = cursor
        while packet < limit {
            let record = log.record(packet)
            let isOld = policy.lagNanosecondsMax > 0 && now &- min(record.arrival, now) > nanosecondsMax
            let isFar = policy.lagBytesMax > 0 && end &- record.position > policy.lagBytesMax
            if !isOld, !isFar { break }
            packet += 1
        }
        return packet == cursor ? nil : packet
    }

    /// Moves a reader forward by its policy: to a key frame, or to the oldest packet that it may have.
    private mutating func skip(_ reader: Int, _ stream: Int, _ limit: UInt64, oldest: UInt64, _ cause: LagCause) {
        let state = streams[stream].state
        let policy = subscribers[reader].hasOverload ? subscribers[reader].overload : state.policy.overload
        var target = min(oldest, limit)
        let wantsKeyFrame = policy == .skipToKeyFrame && state.anchor >= 0 && subscribers[reader].takes(2 * state.anchor)
        var mustWait = false
        if wantsKeyFrame {
            let keyFrame = state.board.load(.keyFrame)
            if keyFrame > 0, keyFrame - 1 >= target, keyFrame - 1 > subscribers[reader].cursor {
                target = keyFrame - 1
            } else {
                target = limit
                mustWait = true
            }
        }
        let missed = target - min(subscribers[reader].cursor, target)
        switch cause {
        case .ringOverrun:
            counters.add(.ringOverruns)
            counters.add(.packetsOverrun, missed)
            state.counters.add(.ringOverruns)
        case .policy: counters.add(.packetsOverPolicy, missed)
        case .socketFull, .kernelRefusal: break
        }
        subscribers[reader].cursor = target
        subscribers[reader].isBursting = false
        miss(reader, missed, cause)
        if mustWait, subscribers[reader].state == .playing {
            subscribers[reader].state = .skipping
            streams[stream].state.waiting += 1
        }
        disconnectIfTooSlow(reader, stream)
    }

    /// Counts what a reader did not get, and tells the control plane, once in a while.
    mutating func miss(_ reader: Int, _ packets: UInt64, _ cause: LagCause) {
        streams[Int(subscribers[reader].stream)].state.counters.add(.packetsDropped, packets)
        if subscribers[reader].lagSince == 0 { subscribers[reader].lagSince = now }
        subscribers[reader].missed =
            subscribers[reader].missed.addingReportingOverflow(UInt32(clamping: packets)).overflow
            ? .max : subscribers[reader].missed + UInt32(clamping: packets)
        let last = subscribers[reader].missReportedAt
        guard last == 0 || now &- last > Self.missReportNanoseconds else { return }
        subscribers[reader].missReportedAt = now
        reportLossy(.subscriberLagged(handle(ofReader: reader), cause, packets: subscribers[reader].missed))
        subscribers[reader].missed = 0
    }

    /// Gives up a reader whose connection took nothing at all for too long. A slow one's socket tells of room only when a third of
    /// it is free, which may take longer: its queue shows that it takes something.
    mutating func failIfStalled(_ reader: Int) {
        let queued = kernel.unsentBytes(subscribers[reader].file)
        guard queued < Int(subscribers[reader].queuedBytes) else { return fail(reader, .stalled) }
        subscribers[reader].queuedBytes = UInt32(clamping: queued)
        subscribers[reader].blockedAt = now
    }

    /// Gives up a reader that has been behind for longer than its policy allows.
    @discardableResult
    mutating func disconnectIfTooSlow(_ reader: Int, _ stream: Int) -> Bool {
        let policy = subscribers[reader].hasOverload ? subscribers[reader].overload : streams[stream].state.policy.overload
        guard case .disconnect(let span) = policy, !subscribers[reader].isBursting else { return false }
        let since = subscribers[reader].lagSince
        guard since > 0, now &- since > span else { return false }
        fail(reader, .tooSlow)
        return true
    }
}

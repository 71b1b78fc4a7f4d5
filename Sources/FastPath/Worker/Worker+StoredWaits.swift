import Glibc
import PlaneLink

/// Readers of files that wait: for a block to be free, in the order in which they came, file after file; and for disks, no longer than
/// ``Limits/storedWaitNanoseconds``.
extension Worker where K: ~Copyable {
    /// Puts a reader behind those of its file that wait for a block to be free.
    mutating func waitForRoom(_ reader: Int, _ stream: Int) {
        if streams[stream].state.storedShort.count == 0 { appendShort(stream) }
        subscribers[reader].stored.place = .short
        subscribers[reader].stored.shortSince = now
        streams[stream].state.storedShort.append(reader, in: subscribers)
        nextStoredEnd = min(nextStoredEnd, now + limits.storedWaitNanoseconds)
        stored.mayServe = true
    }

    /// A reader waits for a block no longer.
    mutating func leaveShort(_ reader: Int) {
        let stream = Int(subscribers[reader].stream)
        streams[stream].state.storedShort.remove(reader, in: subscribers)
        subscribers[reader].stored.place = .none
        guard streams[stream].state.storedShort.count == 0 else { return }
        for _ in 0..<shortStreams.count {
            let other = popShort()
            if other >= 0, other != stream { appendShort(other) }
        }
    }

    private mutating func appendShort(_ stream: Int) {
        streams[stream].state.nextShort = SubscriberList.end
        let last = shortStreams.last
        if last == SubscriberList.end {
            shortStreams.first = UInt32(stream)
        } else {
            streams[Int(last)].state.nextShort = UInt32(stream)
        }
        shortStreams.last = UInt32(stream)
        shortStreams.count += 1
    }

    /// The stream whose turn it is, taken out; -1 when there is none.
    private mutating func popShort() -> Int {
        guard shortStreams.first != SubscriberList.end else { return -1 }
        let stream = Int(shortStreams.first)
        shortStreams.first = streams[stream].state.nextShort
        if shortStreams.first == SubscriberList.end { shortStreams.last = SubscriberList.end }
        shortStreams.count -= 1
        return stream
    }

    /// Gives blocks to those that wait for one: of each file to the reader that has waited longest, until no file can have one.
    mutating func serveShort() {
        stored.mayServe = false
        var passed = 0
        while passed < shortStreams.count {
            let stream = popShort()
            if stream < 0 { break }
            let room = serveShort(of: stream)
            if streams[stream].state.storedShort.count > 0 { appendShort(stream) }
            switch room {
            case .block, .lost: passed = 0
            case .noneOfShare: passed += 1
            case .none: return
            }
        }
    }

    /// The same for one file, as far as to the first block that has to be read.
    private mutating func serveShort(of stream: Int) -> StoredBlocks.Room {
        guard let plan = streams[stream].state.stored else { return .noneOfShare }
        while true {
            let reader = Int(streams[stream].state.storedShort.first)
            guard reader != Int(SubscriberList.end) else { return .lost }
            // It may have been paused, or have stopped taking anything, meanwhile.
            guard isOwedStored(reader), !subscribers[reader].isBlocked, !subscribers[reader].hasFailed else {
                _ = streams[stream].state.storedShort.pop(in: subscribers)
                subscribers[reader].stored.place = .none
                continue
            }
            let isThere = stored.find(stream, UInt32(truncatingIfNeeded: subscribers[reader].cursor) / plan.blockPackets) >= 0
            // Where it is taken it stands in another list, which has the same link.
            _ = streams[stream].state.storedShort.pop(in: subscribers)
            subscribers[reader].stored.place = .none
            let room = takeBlock(reader, stream, plan)
            switch room {
            case .block:
                readyStored(reader)
                if !isThere { return room }
            case .lost: break
            case .none, .noneOfShare:
                subscribers[reader].stored.place = .short
                streams[stream].state.storedShort.prepend(reader, in: subscribers)
                return room
            }
        }
    }

    /// Gives up reads that take too long, and ends readers that wait for them, or for a block, too long.
    mutating func endOverdueStored() {
        nextStoredEnd = .max
        for block in 0..<stored.count where stored.blocks[block].phase == .loading {
            let end = stored.blocks[block].askedAt + limits.storedWaitNanoseconds
            if end > now { nextStoredEnd = min(nextStoredEnd, end) } else { lose(block) }
        }
        for _ in 0..<shortStreams.count {
            let stream = popShort()
            if stream < 0 { break }
            while streams[stream].state.storedShort.count > 0 {
                let reader = Int(streams[stream].state.storedShort.first)
                let end = subscribers[reader].stored.shortSince + limits.storedWaitNanoseconds
                guard end <= now else {
                    nextStoredEnd = min(nextStoredEnd, end)
                    appendShort(stream)
                    break
                }
                _ = streams[stream].state.storedShort.pop(in: subscribers)
                subscribers[reader].stored.place = .none
                endStoredOverdue(reader)
            }
        }
    }

    /// Waits no longer for a read. Its memory stays with the kernel until it comes back.
    private mutating func lose(_ block: Int) {
        stored.blocks[block].phase = .lost
        stored.mayServe = true
        counters.add(.storedReadsOverdue)
        let tag = RequestTag(.fileRead, index: UInt32(block), generation: stored.blocks[block].generation)
        kernel.cancel(streams[Int(stored.blocks[block].stream)].state.storedFile, tag: tag)
        while true {
            let reader = stored.blocks[block].waiting.pop(in: subscribers)
            if reader < 0 { break }
            subscribers[reader].stored.place = .none
            subscribers[reader].stored.block = -1
            endStoredOverdue(reader)
        }
    }

    /// The disk has not answered in time.
    mutating func endStoredOverdue(_ reader: Int) {
        guard !subscribers[reader].stored.hasEnded else { return }
        counters.add(.storedReadersOverdue)
        endStored(reader, ETIMEDOUT)
    }

    /// The kernel interface ended: nothing will be read any more.
    mutating func giveUpStored() {
        if stored.isHeld { stored.isKept = true }
        while true {
            let reader = storedReady.pop(in: subscribers)
            if reader < 0 { break }
            subscribers[reader].stored.place = .none
            subscribers[reader].stored.block = -1
        }
        while true {
            let stream = popShort()
            if stream < 0 { break }
            while true {
                let reader = streams[stream].state.storedShort.pop(in: subscribers)
                if reader < 0 { break }
                subscribers[reader].stored.place = .none
            }
        }
        nextStoredEnd = .max
        for block in 0..<stored.count where stored.blocks[block].phase != .free {
            if stored.blocks[block].isHeld {
                streams[Int(stored.blocks[block].stream)].state.storedReads -= 1
                while true {
                    let reader = stored.blocks[block].waiting.pop(in: subscribers)
                    if reader < 0 { break }
                    subscribers[reader].stored.place = .none
                    subscribers[reader].stored.block = -1
                }
            }
            stored.release(block)
            stored.blocks[block].claims = 0
        }
        for stream in 0..<streams.count where streams[stream].generation != 0 && streams[stream].isClosing && streams[stream].state.isStored
        {
            finishStream(stream)
        }
    }
}

import PlaneLink

/// Packets that the engine knows nothing of: stored once as they were fed, and sent from there.
extension Worker where K: ~Copyable {
    /// Takes one packet into a verbatim stream. False when it is none.
    ///
    /// Its record says which packet it is by the order in which they were fed, those included for which there was no room: so the feeder
    /// and the readers mean the same packet by a number (``Command/sendBefore(_:_:packet:)``).
    @unsafe mutating func ingestVerbatim(_ stream: Int, startsKeyFrame: Bool, _ bytes: UnsafeRawPointer, _ count: Int) -> Bool {
        counters.add(.packetsReceived)
        counters.add(.bytesReceived, UInt64(count))
        guard count > 0 else {
            counters.add(.datagramsMalformed)
            return false
        }
        let former = streams[stream].state.tracks[0]
        let number = former.hasOutput ? former.timestampOut &+ 1 : 0
        streams[stream].state.tracks[0].timestampOut = number
        streams[stream].state.tracks[0].hasOutput = true
        guard let room = unsafe streams[stream].state.writer.room(for: count) else {
            counters.add(.packetsLogPinned)
            publishNumber(stream, number, count)
            // What has its place behind it has come to it, and no packet will show that.
            tellWorkers(stream)
            return true
        }
        unsafe room.copyMemory(from: bytes, byteCount: count)
        var flags = PacketFlags.endsFrame
        if startsKeyFrame { flags.insert(.startsKeyFrame) }
        append(stream, count, 0, flags, UInt16(truncatingIfNeeded: number), number, isFrameEnd: true)
        if startsKeyFrame {
            streams[stream].state.counters.add(0, .keyFrames)
            // The packet's place in the log plus one.
            streams[stream].state.board.store(.keyFrame, streams[stream].state.writer.head)
        }
        publishNumber(stream, number, count)
        if startsKeyFrame { lookForKeyFrame(stream) }
        return true
    }

    /// Shows which packet came last. After it is in the log, and known as a key frame: whoever reads this and then the log's head, or its
    /// last key frame, misses none.
    private func publishNumber(_ stream: Int, _ number: UInt32, _ count: Int) {
        let streamCounters = streams[stream].state.counters
        streamCounters.set(0, .sequenceOut, UInt64(number & 0xFFFF))
        streamCounters.set(0, .timestampOut, UInt64(number))
        streamCounters.set(0, .timestampStep, 1)
        streamCounters.add(0, .bytes, UInt64(count))
        streamCounters.add(0, .packets)
        guard count > streams[stream].state.tracks[0].packetBytesMax else { return }
        streams[stream].state.tracks[0].packetBytesMax = UInt32(count)
        streamCounters.set(0, .packetBytesMax, UInt64(count))
    }

    /// The first packet with this number or a higher one, of pinned packets `first ..< end`; `end` if there is none.
    func packet(_ stream: Int, atOrBehind number: UInt32, from first: UInt64, to end: UInt64) -> UInt64 {
        guard first < end else { return end }
        let log = streams[stream].state.log
        let ahead = Int32(bitPattern: number &- log.record(first).timestamp)
        if ahead <= 0 { return first }
        // Numbers go on by one for each packet, and where there was no room for some, by more.
        var low = first + 1
        var high = min(first + UInt64(ahead), end)
        if high < end, log.record(high).timestamp == number { return high }
        while low < high {
            let middle = low + (high - low) / 2
            if isAtOrBehind(log.record(middle).timestamp, number) { high = middle } else { low = middle + 1 }
        }
        return low
    }

    // MARK: What goes before a packet

    /// How far this worker's readers may be sent a stream's packets.
    ///
    /// What the control plane has sent before a packet it asks for before it feeds that packet. But the packet comes over the stream's
    /// home worker, and may be here before the command is. So packets of a verbatim stream go no further than what was released before
    /// this worker last took all commands that waited.
    func limit(_ stream: Int) -> UInt64 {
        let state = streams[stream].state
        return state.isVerbatim && !state.isHome ? state.fence : state.board.load(.released)
    }

    /// Lets packets of verbatim streams that are at home elsewhere go as far as they were released, once the commands that were there
    /// before are carried out.
    mutating func fenceVerbatim() {
        guard peers.workers > 1 else { return }
        var hasSome = false
        var index = firstDirty
        while index != SubscriberList.end {
            let stream = Int(index)
            index = streams[stream].state.nextDirty
            // One that was removed stays in the list until the fan-out comes past it; its memory is not there any more.
            guard streams[stream].generation != 0, !streams[stream].isClosing else { continue }
            guard streams[stream].state.isVerbatim, !streams[stream].state.isHome else { continue }
            streams[stream].state.fenceNext = streams[stream].state.board.load(.released)
            hasSome = true
        }
        guard hasSome else { return }
        let waiting = commands.count
        if waiting > 0, takeCommands() < waiting { return }
        index = firstDirty
        while index != SubscriberList.end {
            let stream = Int(index)
            index = streams[stream].state.nextDirty
            streams[stream].state.fence = max(streams[stream].state.fence, streams[stream].state.fenceNext)
        }
    }
}

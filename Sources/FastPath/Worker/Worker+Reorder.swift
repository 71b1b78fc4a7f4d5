import PlaneLink
import WireFormats

/// Between a source and its stream: packets are put in order, and of several legs each number is taken once. Where no
/// ``ReorderPlan`` was given, packets go on as they come.
extension Worker where K: ~Copyable {
    /// Makes room for a plan. A command, not a packet: memory comes from the heap here, and nowhere later.
    mutating func setReorder(_ stream: Int, _ plan: ReorderPlan) {
        guard streams[stream].state.isHome, !streams[stream].state.reorder.isOn else { return }
        let tracks = streams[stream].state.trackCount
        guard let stage = ReorderStage.make(plan, tracks: tracks, silenceNanoseconds: limits.senderSilenceNanoseconds) else {
            // Without it the stream goes on as its packets come.
            return report(.refused(.registerFailed, errorNumber: 12))
        }
        streams[stream].state.reorder = stage
    }

    /// Takes one packet of a source. False when it was not fit to be used (counted).
    @unsafe mutating func arrange(_ source: Int, _ stream: Int, channel: UInt8, _ bytes: UnsafeRawPointer, _ count: Int) -> Bool {
        let stage = streams[stream].state.reorder
        let track = Int(channel) / 2
        guard stage.isOn, track < stage.tracks else { return unsafe ingest(stream, channel: channel, bytes, count) }
        let leg = unsafe min(Int(sources[source].leg), legsPerStreamMax - 1)
        let kind = count > 1 ? unsafe bytes.load(fromByteOffset: 1, as: UInt8.self) : 0
        if channel & 1 != 0 || (kind >= 192 && kind <= 223) { return unsafe arrangeReport(stream, track, leg, channel, bytes, count) }
        let span = unsafe Span<UInt8>(_unsafeStart: bytes.assumingMemoryBound(to: UInt8.self), count: count)
        guard let header = try? RTPHeader(span) else { return unsafe ingest(stream, channel: channel, bytes, count) }
        noteArrival(stream, track, leg, header)
        var fills = false
        let verdict = unsafe stage[track].offer(leg, header, bytes, count, now: now, fills: &fills)
        switch verdict {
        case .next:
            unsafe goOn(stream, track, bytes, count)
            unsafe goOnWithReady(stream, track)
        case .waits: scheduleOrder(stream)
        case .overtakes:
            while let packet = unsafe stage[track].takeBelow(header.sequence) { unsafe goOn(stream, track, packet.bytes, packet.count) }
            stage[track].overtaken(by: header)
            unsafe goOn(stream, track, bytes, count)
            unsafe goOnWithReady(stream, track)
        case .jump: if stage.legs == 1 { _ = unsafe ingest(stream, channel: channel, bytes, count) }
        case .restart:
            while let packet = unsafe stage[track].takeBelow(nil) { unsafe goOn(stream, track, packet.bytes, packet.count) }
            stage[track].restart(leg, header, now: now)
            if stage.legs > 1 { beginTrackEpoch(stream, track) }
            unsafe goOn(stream, track, bytes, count)
            scheduleOrder(stream)
        case .duplicate, .late, .foreign: break
        }
        countVerdict(stream, track, leg, verdict, fills)
        return true
    }

    /// Another leg leads, with numbers of its own: video goes on at a key frame of it.
    private func beginTrackEpoch(_ stream: Int, _ track: Int) {
        if track == streams[stream].state.anchor {
            forgetKeyFrames(stream)
            forgetPictures(stream)
        }
        streams[stream].state.tracks[track].hasInput = false
        streams[stream].state.tracks[track].clock.beginLine()
        streams[stream].state.tracks[track].clock.hasEarly = false
        streams[stream].state.tracks[track].keyFrameDeadline = now + Self.keyFrameWaitNanoseconds
    }

    /// Gives up gaps that were waited for long enough.
    mutating func releaseOrdered(_ stream: Int) {
        for track in 0..<streams[stream].state.reorder.tracks { unsafe goOnWithReady(stream, track) }
    }

    /// Forgets all numbers, after what waits went on: a new epoch begins.
    mutating func resetOrder(_ stream: Int) {
        let stage = streams[stream].state.reorder
        for track in 0..<stage.tracks {
            while let packet = unsafe stage[track].takeBelow(nil) { unsafe goOn(stream, track, packet.bytes, packet.count) }
            stage[track].reset()
        }
        scheduleOrder(stream)
    }

    @unsafe private mutating func goOnWithReady(_ stream: Int, _ track: Int) {
        let stage = streams[stream].state.reorder
        while let packet = unsafe stage[track].takeReady(now: now) { unsafe goOn(stream, track, packet.bytes, packet.count) }
        let streamCounters = streams[stream].state.counters
        streamCounters.set(track, .missing, stage[track].missing)
        scheduleOrder(stream)
    }

    /// One packet into the stream. Packets of several legs bear one SSRC: that they take turns is no change of the source.
    @unsafe private mutating func goOn(_ stream: Int, _ track: Int, _ bytes: UnsafeRawPointer, _ count: Int) {
        let stage = streams[stream].state.reorder
        if stage.legs > 1 {
            // Receive buffers and those of waiting packets are the engine's own.
            unsafe UnsafeMutableRawPointer(mutating: bytes).storeBytes(of: stage[track].ssrc.bigEndian, toByteOffset: 8, as: UInt32.self)
        }
        _ = unsafe ingest(stream, channel: UInt8(2 * track), bytes, count)
    }

    private mutating func scheduleOrder(_ stream: Int) {
        let stage = streams[stream].state.reorder
        var due = UInt64.max
        for track in 0..<stage.tracks {
            due = min(due, stage[track].dueAt)
            streams[stream].state.counters.set(track, .waiting, UInt64(stage[track].waiting))
        }
        streams[stream].state.reorderAt = due
        if due != .max { markDirty(stream) }
    }

    // MARK: Counting

    private func noteArrival(_ stream: Int, _ track: Int, _ leg: Int, _ header: RTPHeader) {
        let stage = streams[stream].state.reorder
        let ticks = UInt32(truncatingIfNeeded: streams[stream].state.tracks[track].plan.ticks(now))
        stage[track].receive(leg, header, arrival: ticks)
        let reception = stage[track].legs[leg].reception
        let streamCounters = streams[stream].state.counters
        streamCounters.add(leg: leg, track, .packets)
        streamCounters.set(leg: leg, track, .expected, UInt64(reception.expected))
        streamCounters.set(leg: leg, track, .received, UInt64(reception.received))
        streamCounters.set(leg: leg, track, .sequenceHighest, UInt64(reception.highestExtended))
        streamCounters.set(leg: leg, track, .jitter, UInt64(reception.jitter))
        streamCounters.set(leg: leg, track, .ssrc, UInt64(header.ssrc))
        streamCounters.set(leg: leg, track, .lastArrivalNanoseconds, now)
    }

    private func countVerdict(_ stream: Int, _ track: Int, _ leg: Int, _ verdict: TrackReorder.Verdict, _ fills: Bool) {
        let streamCounters = streams[stream].state.counters
        let stage = streams[stream].state.reorder
        switch verdict {
        case .next, .waits, .overtakes, .jump, .restart:
            streamCounters.add(leg: leg, track, .taken)
            if fills { streamCounters.add(leg: leg, track, .filled) }
        case .duplicate: streamCounters.add(leg: leg, track, .duplicates)
        case .late: streamCounters.add(leg: leg, track, .late)
        case .foreign: streamCounters.add(leg: leg, track, .foreign)
        }
        streamCounters.set(leg: leg, track, .lagMicroseconds, stage[track].legs[leg].lagNanoseconds / 1_000)
        streamCounters.set(track, .overflows, stage[track].overflows)
        streamCounters.set(track, .restarts, stage[track].restarts)
        streamCounters.set(track, .missing, stage[track].missing)
    }

    // MARK: Reports

    /// Sender reports of the leg that leads go on; of the others only their time is kept, for the reports that they are sent. A goodbye
    /// of one leg of several ends nothing.
    @unsafe private mutating func arrangeReport(
        _ stream: Int, _ track: Int, _ leg: Int, _ channel: UInt8, _ bytes: UnsafeRawPointer, _ count: Int
    ) -> Bool {
        let stage = streams[stream].state.reorder
        let span = unsafe Span<UInt8>(_unsafeStart: bytes.assumingMemoryBound(to: UInt8.self), count: count)
        var compound = RTCPCompound()
        var isRTCP = false, isGoodbye = false
        while let packet = try? compound.next(in: span) {
            isRTCP = true
            if packet.packetType == RTCPPacketType.bye { isGoodbye = true }
            guard packet.packetType == RTCPPacketType.senderReport, let sender = RTCPSenderReport(packet, in: span) else { continue }
            let streamCounters = streams[stream].state.counters
            streamCounters.set(leg: leg, track, .lastSenderReport, UInt64(sender.ntp.middle))
            streamCounters.set(leg: leg, track, .lastSenderReportArrival, now)
        }
        guard isRTCP, stage.legs > 1 else { return unsafe ingest(stream, channel: channel, bytes, count) }
        guard leg == stage[track].lead, !isGoodbye else { return true }
        return unsafe ingest(stream, channel: channel, bytes, count)
    }
}

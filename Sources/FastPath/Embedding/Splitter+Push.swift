extension Splitter {
    /// Packets pushed by hand are given to the engine at the latest when so many bytes have come together.
    static var pushBatchBytes: Int { 64 << 10 }
    /// So many bytes of pushed packets may wait for the engine; then ``SplitterError/queueFull`` is thrown.
    public static var pushedBytesMax: Int { 8 << 20 }
    /// The largest packet that can be pushed: what fits an interleaved frame. What fits no datagram (65,507 bytes over IPv4) reaches
    /// TCP readers only.
    public static var packetBytesMax: Int { 65_535 }

    /// A source without a socket: its packets come with ``push(_:channel:_:)-(_,_,[UInt8])``.
    public func addPushedSource(_ stream: StreamHandle) throws(SplitterError) -> SourceHandle {
        _ = try find(stream)
        return try addSource(SourceEntry(stream: stream, kind: .pushed)) { handle in
            .addFedSource(handle, stream, channels: ChannelMap(identity: channelsPerStreamMax))
        }
    }

    /// Gives a packet (RTP on channel `2 × track`, RTCP on the next), of 1 to ``packetBytesMax`` bytes, to a stream. It is copied. Packets
    /// are collected, and reach the engine with ``flush()``, with ``nextEvent()``, with the next other call, or when enough came
    /// together. What is no RTP or RTCP is counted (`EngineCounter.datagramsMalformed`) and not used.
    public func push(_ source: SourceHandle, channel: Int, _ packet: UnsafeRawBufferPointer) throws(SplitterError) {
        let entry = try find(source)
        guard entry.kind == .pushed else { throw .argument(name: "source", allowed: "one made with addPushedSource") }
        guard let stream = streams[entry.stream.index, entry.stream.generation] else { throw .stale(.stream) }
        try check(channel: channel, of: stream)
        guard (1...Self.packetBytesMax).contains(packet.count) else {
            throw .argument(name: "packet", allowed: "1...\(Self.packetBytesMax) bytes long")
        }
        if pushed.count + packet.count + 4 > Self.pushBatchBytes || pushedSource != source {
            guard settlePushes() else {
                flush()
                throw .queueFull
            }
        }
        pushedSource = source
        pushed.append(0x24)
        pushed.append(UInt8(truncatingIfNeeded: channel))
        pushed.append(UInt8(truncatingIfNeeded: packet.count >> 8))
        pushed.append(UInt8(truncatingIfNeeded: packet.count))
        unsafe pushed.append(contentsOf: packet)
        if pushed.count >= Self.pushBatchBytes, settlePushes() { engine.wake() }
    }

    /// The same for an array.
    public func push(_ source: SourceHandle, channel: Int, _ packet: [UInt8]) throws(SplitterError) {
        try push(source, channel: channel, packet.span)
    }

    /// The same for a span.
    public func push(_ source: SourceHandle, channel: Int, _ packet: Span<UInt8>) throws(SplitterError) {
        // Typed errors do not pass through the standard library's closure.
        var failure: SplitterError?
        unsafe packet.withUnsafeBytes { bytes in
            do throws(SplitterError) { try unsafe push(source, channel: channel, bytes) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    // MARK: Batches

    /// Gives the engine what was pushed; false when it takes no more just now, or when what was postponed goes first.
    func settlePushes() -> Bool {
        guard let source = pushedSource, !pushed.isEmpty else { return true }
        guard postponed.isEmpty, pushedBytesLent < Self.pushedBytesMax else { return false }
        let buffer = lend(pushed, isPushed: true)
        guard engine.submit(.feed(source, buffer)) else {
            takeBack(buffer)
            return false
        }
        noteSubmitted()
        pushed.removeAll(keepingCapacity: true)
        return true
    }

    /// Puts what was pushed behind what was postponed.
    func postponePushes() {
        guard let source = pushedSource, !pushed.isEmpty else { return }
        postponed.append(.feed(source, lend(pushed, isPushed: true)))
        pushed.removeAll(keepingCapacity: true)
    }
}

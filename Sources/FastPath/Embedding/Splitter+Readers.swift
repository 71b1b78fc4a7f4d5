extension Splitter {
    /// The longest reply that ``send(_:_:)-(_,[UInt8])`` takes.
    public static var replyBytesMax: Int { 1 << 20 }

    /// Adds a UDP reader: channel `c` goes to `ports[c]` of `host` (0: not wanted). It is told of with
    /// ``SplitterEvent/readerJoined(_:_:)``, and sent from there on; with `waits` only after ``start(_:)``.
    ///
    /// A group is a reader, too, from a sender made with ``addMulticastSender(isIPv6:interface:timeToLive:loops:)``.
    public func addDatagramReader(
        _ stream: StreamHandle, host: HostAddress, ports: PortMap, sender: SenderID, begin: Beginning = .keyFrame, waits: Bool = false,
        overload: OverloadPolicy? = nil
    ) throws(SplitterError) -> SubscriberHandle {
        let streamEntry = try find(stream)
        _ = try find(sender)
        guard host != .any, host != HostAddress(ipv4: 0) else {
            throw .argument(name: "host", allowed: "the address of one host, or a group")
        }
        guard (0..<streamEntry.channelCount).contains(where: { ports[$0] != 0 }) else {
            throw .argument(name: "ports", allowed: "a port for at least one channel of the stream, which has \(streamEntry.channelCount)")
        }
        let entry = ReaderEntry(stream: stream, sender: sender, descriptor: -1, waits: waits)
        let handle = try addReader(entry, begin, overload) { handle in
            .addDatagramSubscriber(handle, stream, host: host, ports: ports, sockets: UInt8(truncatingIfNeeded: sender.index))
        }
        senders[sender.index, sender.generation]?.readers += 1
        return handle
    }

    /// Adds a reader over a connected stream socket of the caller's, who writes nothing to it any more but through ``send(_:_:)-(_,[UInt8])``, and
    /// may go on reading. Channel `c` of the stream travels as wire channel `channels[c]` (RFC 2326 section 10.12); channels without
    /// one are left out. Whether the socket blocks does not matter. Otherwise as ``addDatagramReader(_:host:ports:sender:begin:waits:overload:)``.
    public func addInterleavedReader(
        _ stream: StreamHandle, descriptor: Int32, channels: ChannelMap, begin: Beginning = .keyFrame, waits: Bool = false,
        overload: OverloadPolicy? = nil
    ) throws(SplitterError) -> SubscriberHandle {
        let streamEntry = try find(stream)
        try checkConnection(descriptor)
        guard (0..<streamEntry.channelCount).contains(where: { channels[$0] != nil }) else {
            throw .argument(
                name: "channels", allowed: "a wire channel for at least one channel of the stream, which has \(streamEntry.channelCount)")
        }
        let entry = ReaderEntry(stream: stream, sender: nil, descriptor: descriptor, waits: waits)
        let handle = try addReader(entry, begin, overload) { handle in
            .addInterleavedSubscriber(handle, stream, descriptor: descriptor, channels: channels)
        }
        descriptorsInUse.insert(descriptor)
        return handle
    }

    /// Checks a descriptor that a reader is to be sent to over TCP.
    func checkConnection(_ descriptor: Int32) throws(SplitterError) {
        guard MediaSocket.isConnectedStream(descriptor) else {
            throw .argument(name: "descriptor", allowed: "a connected stream socket")
        }
        try checkUnused(descriptor)
    }

    func addReader(
        _ entry: ReaderEntry, _ begin: Beginning, _ overload: OverloadPolicy?, _ command: (SubscriberHandle) -> Command
    ) throws(SplitterError) -> SubscriberHandle {
        try overload?.check("overload")
        guard let slot = readers.insert(entry) else { throw .full(.reader, max: limits.subscribersMax) }
        let handle = SubscriberHandle(index: slot.index, generation: slot.generation)
        do { try submit(command(handle)) } catch {
            readers[handle.index, handle.generation] = nil
            throw error
        }
        streams[entry.stream.index, entry.stream.generation]?.members += 1
        if let overload { submitAlways(.setOverload(handle, overload)) }
        submitAlways(.arm(handle, now: begin == .now))
        return handle
    }

    // MARK: Media on and off

    /// Lets a reader that was added with `waits`, and has joined, have its media. Before ``SplitterEvent/readerJoined(_:_:)`` it throws;
    /// on a reader that plays already it does nothing.
    public func start(_ reader: SubscriberHandle) throws(SplitterError) {
        switch try find(reader).phase {
        case .playing: return
        case .joining, .paused: throw .argument(name: "reader", allowed: "one that has joined (event readerJoined)")
        case .joined:
            try submit(.go(reader))
            readers[reader.index, reader.generation]?.phase = .playing
        }
    }

    /// Sends a reader no more media until ``resume(_:begin:)``. A packet that has left in part is sent to its end.
    public func pause(_ reader: SubscriberHandle) throws(SplitterError) {
        guard try find(reader).phase != .paused else { return }
        try submit(.pause(reader))
        readers[reader.index, reader.generation]?.phase = .paused
    }

    /// Has a paused reader begin anew; as when it was added, an event says where. A point of joining that was found before the pause and
    /// not yet told may still come first: the last one holds.
    public func resume(_ reader: SubscriberHandle, begin: Beginning = .keyFrame) throws(SplitterError) {
        guard try find(reader).phase == .paused else { throw .argument(name: "reader", allowed: "one that is paused") }
        try submit(.arm(reader, now: begin == .now))
        readers[reader.index, reader.generation]?.phase = .joining
    }

    /// Has a reader treated otherwise than its stream's policy says when it falls behind.
    public func setOverload(_ reader: SubscriberHandle, _ overload: OverloadPolicy) throws(SplitterError) {
        _ = try find(reader)
        try overload.check("overload")
        try submit(.setOverload(reader, overload))
    }

    /// Sends a TCP reader these bytes, in order, between two packets: 1 to ``replyBytesMax``, copied. At most `Limits.queuedSendsMax`
    /// may be under way on one reader; then ``SplitterError/queueFull`` is thrown, until its connection took some.
    public func send(_ reader: SubscriberHandle, _ bytes: [UInt8]) throws(SplitterError) {
        try send(reader, bytes) { .send(reader, $0) }
    }

    func send(_ reader: SubscriberHandle, _ bytes: [UInt8], _ command: (LinkBuffer) -> Command) throws(SplitterError) {
        let entry = try find(reader)
        guard entry.sender == nil else {
            throw .argument(name: "reader", allowed: "one made with addInterleavedReader or addVerbatimReader")
        }
        guard (1...Self.replyBytesMax).contains(bytes.count) else {
            throw .argument(name: "bytes", allowed: "1...\(Self.replyBytesMax) long")
        }
        guard entry.repliesLent < limits.queuedSendsMax else {
            flush()
            throw .queueFull
        }
        let buffer = lend(bytes, reader: reader)
        readers[reader.index, reader.generation]?.repliesLent += 1
        do { try submit(command(buffer)) } catch {
            takeBack(buffer)
            throw error
        }
    }

    /// The same for bytes anywhere.
    public func send(_ reader: SubscriberHandle, _ bytes: UnsafeRawBufferPointer) throws(SplitterError) {
        guard bytes.count <= Self.replyBytesMax else { throw .argument(name: "bytes", allowed: "1...\(Self.replyBytesMax) long") }
        try send(reader, unsafe Array(bytes))
    }

    /// Removes a reader. What its connection takes without waiting of the packet under way and of the replies queued is still sent; then
    /// ``SplitterEvent/readerRemoved(_:)`` says that nothing of it is in use any more.
    public func removeReader(_ reader: SubscriberHandle) throws(SplitterError) {
        _ = try find(reader)
        readers[reader.index, reader.generation]?.isRemoving = true
        submitAlways(.removeSubscriber(reader))
    }
}

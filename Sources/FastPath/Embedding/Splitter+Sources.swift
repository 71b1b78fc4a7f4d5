extension Splitter {
    /// Receives one channel of a stream from a bound UDP socket of the caller's. Channel `2n` is RTP of track `n`, `2n + 1` its RTCP;
    /// RTCP that comes on an RTP channel is told apart (RFC 5761).
    ///
    /// Only packets from `peer` are taken; with `port` 0 from any port of it, and the first that is seen is kept to. With
    /// `HostAddress.any` the first sender is kept to, and let go after `Limits.senderSilenceNanoseconds` without a packet.
    /// Datagrams that are no RTP or RTCP are counted and not used: the engine carries RTP.
    public func addDatagramSource(
        _ stream: StreamHandle, descriptor: Int32, channel: Int, peer: HostAddress = .any, port: UInt16 = 0
    ) throws(SplitterError) -> SourceHandle {
        let entry = try findRTP(stream)
        try check(channel: channel, of: entry)
        guard MediaSocket.isDatagram(descriptor) else { throw .argument(name: "descriptor", allowed: "an open IPv4 or IPv6 UDP socket") }
        try checkUnused(descriptor)
        return try addSource(SourceEntry(stream: stream, kind: .datagrams, descriptor: descriptor)) { handle in
            .addDatagramSource(
                handle, stream, descriptor: descriptor, channel: UInt8(truncatingIfNeeded: channel), peer: peer, port: port)
        }
    }

    /// The same with a socket that the splitter opens, bound to `host` and `port` (0: any, see ``port(of:)-(SourceHandle)``), with a
    /// large receive buffer, and closes after the source's end. Packets are taken from anybody, as with `HostAddress.any` above.
    public func openDatagramSource(
        _ stream: StreamHandle, host: HostAddress = .any, port: UInt16, channel: Int
    ) throws(SplitterError) -> SourceHandle {
        let entry = try findRTP(stream)
        try check(channel: channel, of: entry)
        let descriptor = try MediaSocket.open(host: host, port: port)
        MediaSocket.widenReceive(descriptor)
        return try addOwned(descriptor, stream, channel)
    }

    /// Receives one channel of a stream from a multicast group. The splitter opens a socket, joins, and leaves and closes it after the
    /// source's end. Senders may take turns, as with `HostAddress.any` above.
    public func addMulticastSource(
        _ stream: StreamHandle, group: MulticastGroup, channel: Int
    ) throws(SplitterError) -> SourceHandle {
        let entry = try findRTP(stream)
        try check(channel: channel, of: entry)
        guard group.address.isGroup, group.port > 0 else {
            throw .argument(name: "group", allowed: "a multicast address (224.0.0.0/4 or ff00::/8) and a port of 1 or more")
        }
        return try addOwned(try MediaSocket.open(group: group), stream, channel)
    }

    /// Receives interleaved frames (RFC 2326 section 10.12) from a connected stream socket of the caller's; `prefix` is what was read
    /// from it already, at most `Limits.interleavedBufferBytes`. `channels[c]` says as which wire channel the stream's channel `c`
    /// comes. Anything that is no frame is handed up as ``SplitterEvent/sourceText(_:_:)``.
    public func addInterleavedSource(
        _ stream: StreamHandle, descriptor: Int32, channels: ChannelMap, prefix: [UInt8] = []
    ) throws(SplitterError) -> SourceHandle {
        _ = try findRTP(stream)
        guard MediaSocket.isConnectedStream(descriptor) else {
            throw .argument(name: "descriptor", allowed: "a connected stream socket")
        }
        try checkUnused(descriptor)
        guard prefix.count <= limits.interleavedBufferBytes else {
            throw .argument(name: "prefix", allowed: "at most \(limits.interleavedBufferBytes) bytes")
        }
        guard sources.hasRoom else { throw .full(.source, max: limits.sourcesMax) }
        let buffer = lend(prefix)
        do throws(SplitterError) {
            return try addSource(SourceEntry(stream: stream, kind: .interleaved, descriptor: descriptor)) { handle in
                .addInterleavedSource(handle, stream, descriptor: descriptor, channels: channels, prefix: buffer)
            }
        } catch {
            takeBack(buffer)
            throw error
        }
    }

    /// Answers ``SplitterEvent/sourceText(_:_:)``: so many bytes of it, `0...count`, were text and are done with; what follows is read
    /// as frames, or told as text again. With 0 more bytes are waited for, and all is told again together; when the buffer is full by
    /// then, the source ends with `EMSGSIZE`.
    public func resume(_ source: SourceHandle, consumed: Int) throws(SplitterError) {
        let entry = try find(source)
        guard let textBytes = entry.textBytes else { throw .argument(name: "source", allowed: "one that waits for an answer to its text") }
        guard (0...textBytes).contains(consumed) else {
            throw .argument(name: "consumed", allowed: "0...\(textBytes), as many bytes as were told")
        }
        try submit(.resumeSource(source, consumed: UInt32(truncatingIfNeeded: consumed)))
        sources[source.index, source.generation]?.textBytes = nil
    }

    /// Stops receiving. Ends with ``SplitterEvent/sourceRemoved(_:)``. Packets that were received before are still sent to readers;
    /// those pushed by hand before are taken first.
    public func removeSource(_ source: SourceHandle) throws(SplitterError) {
        _ = try find(source)
        submitAlways(.removeSource(source))
        sources[source.index, source.generation]?.isRemoving = true
    }

    /// The port that the socket of a datagram source is bound to; nil for other sources and stale handles.
    public func port(of source: SourceHandle) -> UInt16? {
        guard let entry = sources[source.index, source.generation], entry.kind == .datagrams else { return nil }
        return MediaSocket.port(of: entry.owned.first ?? entry.descriptor)
    }

    // MARK: Helpers

    func addSource(_ entry: SourceEntry, _ command: (SourceHandle) -> Command) throws(SplitterError) -> SourceHandle {
        guard let slot = sources.insert(entry) else { throw .full(.source, max: limits.sourcesMax) }
        let handle = SourceHandle(index: slot.index, generation: slot.generation)
        do { try submit(command(handle)) } catch {
            sources[handle.index, handle.generation] = nil
            throw error
        }
        streams[entry.stream.index, entry.stream.generation]?.members += 1
        if entry.descriptor >= 0 { descriptorsInUse.insert(entry.descriptor) }
        return handle
    }

    private func addOwned(_ descriptor: Int32, _ stream: StreamHandle, _ channel: Int) throws(SplitterError) -> SourceHandle {
        do throws(SplitterError) {
            return try addSource(SourceEntry(stream: stream, kind: .datagrams, owned: [descriptor])) { handle in
                .addDatagramSource(
                    handle, stream, descriptor: descriptor, channel: UInt8(truncatingIfNeeded: channel), peer: .any, port: 0)
            }
        } catch {
            MediaSocket.close([descriptor])
            throw error
        }
    }

    func checkUnused(_ descriptor: Int32) throws(SplitterError) {
        guard !descriptorsInUse.contains(descriptor) else {
            throw .argument(
                name: "descriptor",
                allowed: "one that no source or reader of this splitter uses yet (dup() makes another for the same socket)")
        }
    }
}

/// Streams that are no RTP.
extension Splitter {
    /// Opens a *verbatim* stream: what is pushed to it (``addPushedSource(_:)``) are whole messages of a protocol of the caller's, and readers are
    /// sent these bytes and no others: with all of their framing over TCP (``addVerbatimReader(_:descriptor:chunked:begin:waits:overload:)``); or
    /// *finished RTP*, whose SSRC, numbers and timestamps are the caller's and final, to UDP and interleaved readers, for whom such a stream has
    /// one channel, 0.
    ///
    /// A packet pushed on channel 1 is one at which a reader may start, as at a key frame; others go on channel 0. Packets are numbered from 0
    /// in the order in which they are pushed, by all sources of the stream together. `bitRate` and `windowMilliseconds` are as in
    /// ``StreamConfiguration``; what a policy says of RTP means nothing here. Throws as ``addStream(_:)``.
    public func addVerbatimStream(
        bitRate: Int? = nil, windowMilliseconds: Int? = nil, policy: StreamPolicy = StreamPolicy()
    ) throws(SplitterError) -> StreamHandle {
        try openStream(
            StreamConfiguration(tracks: [], bitRate: bitRate, windowMilliseconds: windowMilliseconds, policy: policy), isVerbatim: true)
    }

    /// Adds a reader of a verbatim stream over a connected stream socket of the caller's, who writes nothing to it any more but through
    /// `send`, and may go on reading. With `chunked` each packet goes as a chunk of HTTP's transfer coding (RFC 9112 section 7.1). The
    /// timestamp of track 0 in ``SplitterEvent/readerJoined(_:_:)`` is the number of its first packet, its lower 32 bits.
    public func addVerbatimReader(
        _ stream: StreamHandle, descriptor: Int32, chunked: Bool = false, begin: Beginning = .keyFrame, waits: Bool = false,
        overload: OverloadPolicy? = nil
    ) throws(SplitterError) -> SubscriberHandle {
        guard try find(stream).isVerbatim else { throw .argument(name: "stream", allowed: "one made with addVerbatimStream") }
        try checkConnection(descriptor)
        let entry = ReaderEntry(stream: stream, sender: nil, descriptor: descriptor, waits: waits)
        let handle = try addReader(entry, begin, overload) { handle in
            .addVerbatimSubscriber(handle, stream, descriptor: descriptor, chunked: chunked)
        }
        descriptorsInUse.insert(descriptor)
        return handle
    }

    /// Sends a reader of a verbatim stream these bytes at an exact place, wherever it stands: behind all packets with smaller numbers that it
    /// is sent, before the packet of this number, which is to be pushed after this call. What is sent to the reader from here on waits with
    /// them. A reader that is paused or removed has nothing to wait for. Otherwise as ``send(_:_:)-(_,[UInt8])``.
    public func send(_ reader: SubscriberHandle, _ bytes: [UInt8], before packet: UInt32) throws(SplitterError) {
        let stream = try find(reader).stream
        guard streams[stream.index, stream.generation]?.isVerbatim == true else {
            throw .argument(name: "reader", allowed: "one made with addVerbatimReader")
        }
        try send(reader, bytes) { .sendBefore(reader, $0, packet: packet) }
    }

    /// Sends a UDP reader of finished RTP packets once more that it was sent already, as they were, at once, to another port of its host: the
    /// packet of this number, and for each bit of `following` (0 the lowest) the one so many and one behind it, as a generic NACK names them
    /// (RFC 4585 section 6.2.1). What has left the stream's window is not sent; counters say so (`EngineCounter.resendsTooLate`).
    public func resend(_ reader: SubscriberHandle, packet: UInt32, following: UInt64 = 0, port: UInt16) throws(SplitterError) {
        let entry = try find(reader)
        guard entry.sender != nil, streams[entry.stream.index, entry.stream.generation]?.isVerbatim == true else {
            throw .argument(name: "reader", allowed: "one made with addDatagramReader, of a stream made with addVerbatimStream")
        }
        guard port != 0 else { throw .argument(name: "port", allowed: "1...65535") }
        try submit(.resend(reader, packet: packet, following: following, port: port))
    }

    /// The stream of a handle that something for RTP is added to.
    func findRTP(_ handle: StreamHandle) throws(SplitterError) -> StreamEntry {
        let entry = try find(handle)
        guard !entry.isVerbatim else { throw .argument(name: "stream", allowed: "one made with addStream") }
        return entry
    }
}

/// What a splitter knows of its streams, sources, readers and senders.
extension Splitter {
    struct StreamEntry {
        let memory: StreamMemory
        let sizing: StreamSizing
        let trackCount: Int
        var isVerbatim = false
        /// Channels that readers may take.
        var channelCount: Int { isVerbatim ? 1 : 2 * trackCount }
        /// Sources and readers that have not ended.
        var members = 0
        var isRemoving = false
        /// The engine let go of it; its end is told after its members'.
        var isGone = false
    }

    struct SourceEntry {
        enum Kind { case datagrams, interleaved, pushed }

        let stream: StreamHandle
        let kind: Kind
        /// The caller's descriptor, or -1.
        var descriptor: Int32 = -1
        /// Descriptors that the splitter opened and closes.
        var owned: [Int32] = []
        /// Bytes of the text that waits for an answer.
        var textBytes: Int?
        var isRemoving = false
    }

    struct ReaderEntry {
        let stream: StreamHandle
        let sender: SenderID?
        let descriptor: Int32
        /// Whether it is sent nothing before `start`.
        let waits: Bool
        var phase = Phase.joining
        /// Replies that the engine has not sent yet.
        var repliesLent = 0
        var isRemoving = false

        enum Phase { case joining, joined, playing, paused }
    }

    struct SenderEntry {
        /// Descriptors that the splitter opened and closes.
        let owned: [Int32]
        let port: UInt16
        var readers = 0
        var isRemoving = false
    }

    /// Bytes lent to the engine.
    struct Loan {
        let buffer: LinkBuffer
        /// Whose reply it is; nil: pushed packets, or what was read before a hand-over.
        let reader: SubscriberHandle?
        let isPushed: Bool
    }

    // MARK: Looking up

    func find(_ handle: StreamHandle) throws(SplitterError) -> StreamEntry {
        try checkRunning()
        guard let entry = streams[handle.index, handle.generation], !entry.isRemoving else { throw .stale(.stream) }
        return entry
    }

    func find(_ handle: SourceHandle) throws(SplitterError) -> SourceEntry {
        try checkRunning()
        guard let entry = sources[handle.index, handle.generation], !isEnding(entry) else { throw .stale(.source) }
        return entry
    }

    func find(_ handle: SubscriberHandle) throws(SplitterError) -> ReaderEntry {
        try checkRunning()
        guard let entry = readers[handle.index, handle.generation], !isEnding(entry) else { throw .stale(.reader) }
        return entry
    }

    func find(_ sender: SenderID) throws(SplitterError) -> SenderEntry {
        try checkRunning()
        guard let entry = senders[sender.index, sender.generation], !entry.isRemoving else { throw .stale(.sender) }
        return entry
    }

    /// Whether nothing but its end is to be heard of a source.
    func isEnding(_ entry: SourceEntry) -> Bool { entry.isRemoving || isRemoving(entry.stream) }
    /// The same of a reader.
    func isEnding(_ entry: ReaderEntry) -> Bool { entry.isRemoving || isRemoving(entry.stream) }

    private func isRemoving(_ stream: StreamHandle) -> Bool { streams[stream.index, stream.generation]?.isRemoving ?? true }

    /// Checks the number of a channel of a stream.
    func check(channel: Int, of stream: StreamEntry) throws(SplitterError) {
        guard (0..<2 * stream.trackCount).contains(channel) else {
            if stream.isVerbatim { throw .argument(name: "channel", allowed: "0, or 1 where readers may start") }
            throw .argument(name: "channel", allowed: "0..<\(2 * stream.trackCount): twice the track's number, and one more for its RTCP")
        }
    }

    // MARK: Loans

    /// Copies bytes for the engine.
    func lend(_ bytes: [UInt8], reader: SubscriberHandle? = nil, isPushed: Bool = false) -> LinkBuffer {
        let buffer = LinkBuffer(bytes)
        loans[address(of: buffer)] = Loan(buffer: buffer, reader: reader, isPushed: isPushed)
        if isPushed { pushedBytesLent += buffer.count }
        return buffer
    }

    /// Frees bytes that the engine is done with, or never got.
    func takeBack(_ buffer: LinkBuffer) {
        guard let loan = loans.removeValue(forKey: address(of: buffer)) else { return }
        if loan.isPushed { pushedBytesLent -= loan.buffer.count }
        if let reader = loan.reader { readers[reader.index, reader.generation]?.repliesLent -= 1 }
        loan.buffer.free()
    }

    private func address(of buffer: LinkBuffer) -> UInt { unsafe UInt(bitPattern: buffer.bytes.baseAddress) }
}

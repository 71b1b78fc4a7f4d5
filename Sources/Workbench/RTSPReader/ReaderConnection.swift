import CSinks
import WireFormats

/// What a connection reads into; one for many connections.
@safe final class ReadMemory {
    static let bytes = 512 << 10
    fileprivate let base: UnsafeMutableRawBufferPointer

    init() { unsafe base = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.bytes, alignment: 64) }
    deinit { unsafe base.deallocate() }
}

/// A reader's RTSP connection: requests out, answers and interleaved frames in. Never waits.
final class ReaderConnection {
    /// A message found on the connection.
    enum Message {
        case answer(RTSPResponse)
        /// The server asks something of us; the text of our answer.
        case request(reply: [UInt8])
    }

    /// Takes an interleaved frame: its channel, its payload, and when it arrived.
    typealias FrameBody = (UInt8, Span<UInt8>, UInt64) -> Void

    private let descriptor: Descriptor
    private var leftover: [UInt8] = []
    private var outgoing: [UInt8] = []
    private(set) var isClosed = false
    /// Bytes that came so far.
    private(set) var bytesReceived: UInt64 = 0

    var number: Int32 { descriptor.number }
    var wantsToWrite: Bool { !outgoing.isEmpty }

    /// Bytes of a connection's text that wait for their end at most; a server that sends more without a message is given up.
    private static let leftoverBytesMax = 256 << 10

    /// Begins to connect.
    init(to endpoint: Endpoint, timestamps: Bool) throws(WorkbenchError) {
        var raw = endpoint.raw
        descriptor = Descriptor(try kernel("cannot connect", unsafe csinks_tcp_connect(&raw, timestamps, 0)))
    }

    /// A connection that stands already; closed with this.
    init(adopting number: Int32) throws(WorkbenchError) {
        descriptor = Descriptor(try kernel("cannot read a connection", csinks_duplicate(number)))
    }

    /// After the connection became writable: whether it stands.
    func finishConnecting() throws(WorkbenchError) {
        try kernel("cannot connect", csinks_tcp_connected(descriptor.number))
    }

    /// Our own address on it.
    func localEndpoint() throws(WorkbenchError) -> Endpoint { try Endpoint(of: descriptor.number) }

    /// Queues bytes and sends what goes now.
    func send(_ bytes: [UInt8]) throws(WorkbenchError) {
        outgoing += bytes
        try flush()
    }

    /// Sends what is queued as far as it goes now.
    func flush() throws(WorkbenchError) {
        guard !outgoing.isEmpty, !isClosed else { return }
        let sent = unsafe outgoing.withUnsafeBytes { unsafe csinks_tcp_send(descriptor.number, $0.baseAddress, UInt64($0.count)) }
        if sent > 0 {
            outgoing.removeFirst(Int(sent))
        } else if sent < 0, Int32(-sent) != 11 {  // EAGAIN
            isClosed = true
            throw WorkbenchError("the connection broke: \(errorText(Int32(-sent)))")
        }
    }

    /// Throws what has arrived away. From then on the framing is lost; false at the connection's end.
    func discard() -> Bool {
        let count = csinks_tcp_discard(descriptor.number)
        if count > 0 { bytesReceived &+= UInt64(count) }
        if count == 0 || (count < 0 && count != -11 && count != -4) { isClosed = true }
        return !isClosed
    }

    /// Reads once, hands over every whole frame and returns the messages; nil at the connection's end.
    func read(with memory: ReadMemory, _ frame: FrameBody) throws(WorkbenchError) -> [Message]? {
        var messages: [Message] = []
        let isOpen = try receive(with: memory) { bytes, arrival throws(WorkbenchError) in
            let (found, used) = try take(bytes, arrivalNanoseconds: arrival, frame)
            guard bytes.count - used <= Self.leftoverBytesMax else {
                throw WorkbenchError("the server sent \(bytes.count - used) bytes that are no RTSP message")
            }
            messages = found
            return used
        }
        return isOpen ? messages : nil
    }

    /// Reads once and hands over what came, behind what was not taken the time before, with when it arrived; `body` says how many bytes it
    /// took. False at the connection's end.
    func receive(
        with memory: ReadMemory, _ body: (Span<UInt8>, UInt64) throws(WorkbenchError) -> Int
    ) throws(WorkbenchError) -> Bool {
        let kept = leftover.count
        unsafe memory.base.copyBytes(from: leftover)
        var arrival: UInt64 = 0
        let count = unsafe csinks_tcp_receive(
            descriptor.number, memory.base.baseAddress.map { unsafe $0 + kept }, UInt64(ReadMemory.bytes - kept), &arrival)
        if count == -11 || count == -4 { return true }
        guard count > 0 else {
            isClosed = true
            return false
        }
        bytesReceived &+= UInt64(count)
        if arrival == 0 { arrival = csinks_realtime_ns() }
        let bytes = unsafe UnsafeBufferPointer(rebasing: memory.base.assumingMemoryBound(to: UInt8.self)[0..<(kept + Int(count))])
        let used = unsafe try body(bytes.span, arrival)
        leftover = unsafe Array(bytes[used...])
        return true
    }

    /// The messages in what was read, and how many bytes made whole messages and frames.
    private func take(
        _ bytes: Span<UInt8>, arrivalNanoseconds: UInt64, _ frame: FrameBody
    ) throws(WorkbenchError) -> ([Message], used: Int) {
        var messages: [Message] = []
        var at = 0
        while at < bytes.count {
            let first = bytes[at]
            if first == InterleavedHeader.magic {
                guard let header = InterleavedHeader(bytes.extracting(at...)) else { break }
                let start = at + InterleavedHeader.byteCount
                guard bytes.count - start >= header.payloadLength else { break }
                frame(header.channel, bytes.extracting(start..<(start + header.payloadLength)), arrivalNanoseconds)
                at = start + header.payloadLength
            } else if first == 13 || first == 10 || first == 0 {
                at += 1
            } else {
                guard let (message, length) = try ReaderWire.message(in: bytes.extracting(at...)) else { break }
                messages.append(message)
                at += length
            }
        }
        return (messages, at)
    }

    /// Answers what the server asks and returns the answers to our own requests.
    func answers(in messages: [Message]) throws(WorkbenchError) -> [RTSPResponse] {
        var answers: [RTSPResponse] = []
        for message in messages {
            switch message {
            case .answer(let response): answers.append(response)
            case .request(let reply): try send(reply)
            }
        }
        return answers
    }
}

import PlaneLink

/// A socket as a backend knows it: a slot of its file table.
package struct KernelFile: Sendable, BitwiseCopyable, Equatable {
    package let slot: Int32
    package static let none = KernelFile(slot: -1)

    package init(slot: Int32) { self.slot = slot }
}

/// What a request was for; travels with it through the kernel. Whoever completes it is found by kind, index and generation,
/// so a completion that comes late never touches the slot's next user.
package struct RequestTag: Sendable, BitwiseCopyable, Equatable {
    package enum Kind: UInt8, Sendable, BitwiseCopyable {
        case datagramSource, interleavedSource, writable, send, wake, cancel
        /// Another worker handed something over.
        case peer
        /// A send without a copy: the index is the reader's, the generation names what the kernel holds (``ZeroCopyHold``).
        case zeroCopy
        /// A read of a file: the index is the block's.
        case fileRead
    }

    package let raw: UInt64

    package init(_ kind: Kind, index: UInt32, generation: UInt32) {
        raw = UInt64(kind.rawValue) << 56 | UInt64(generation & 0xFF_FFFF) << 32 | UInt64(index)
    }

    package init(raw: UInt64) { self.raw = raw }

    package var kind: Kind? { Kind(rawValue: UInt8(truncatingIfNeeded: raw >> 56)) }
    package var index: UInt32 { UInt32(truncatingIfNeeded: raw) }
    package var generation: UInt32 { UInt32(truncatingIfNeeded: raw >> 32) & 0xFF_FFFF }
}

/// Something the kernel finished.
@unsafe package struct KernelEvent: BitwiseCopyable {
    package var tag: RequestTag
    /// Bytes, or a negative error number. Of a zero-copy send: 1 when the kernel copied after all, else 0.
    package var result: Int32
    /// The request goes on (a repeated receive).
    package var continues: Bool
    /// A datagram (or a train of them that the kernel joined, cut at every `segmentBytes`), until ``Kernel/recycle(_:)``.
    package var payload: UnsafeMutableRawPointer?
    package var payloadCount: Int
    package var segmentBytes: Int
    package var isCut: Bool
    package var host: HostAddress
    package var port: UInt16
    /// The buffer to give back, or -1.
    package var buffer: Int32

    /// An event without a datagram.
    package init(tag: RequestTag, result: Int32, continues: Bool = false) {
        unsafe self.tag = tag
        unsafe self.result = result
        unsafe self.continues = continues
        unsafe self.payload = nil
        unsafe self.payloadCount = 0
        unsafe self.segmentBytes = 0
        unsafe self.isCut = false
        unsafe self.host = .any
        unsafe self.port = 0
        unsafe self.buffer = -1
    }
}

/// How a send ended, when there is something to say about it.
package struct SendResult: BitwiseCopyable {
    package let tag: RequestTag
    package let result: Int32

    package init(tag: RequestTag, result: Int32) {
        self.tag = tag
        self.result = result
    }
}

/// The size at which a socket cuts what is sent into segments (`UDP_SEGMENT`).
package enum SegmentOption {
    /// The value that a message needs, or nil when the present one will do: a message that is no longer than a segment goes as it
    /// is. With `segmentBytes` 0 the socket cuts nothing.
    package static func change(from now: Int32, segmentBytes: Int, bytes: Int) -> Int32? {
        if Int(now) == segmentBytes || (bytes <= segmentBytes && (now == 0 || bytes <= Int(now))) { return nil }
        return Int32(truncatingIfNeeded: bytes <= segmentBytes ? 0 : segmentBytes)
    }
}

/// The kernel as a worker sees it. Behind it stand io_uring; epoll, in batches or plainly; and the tests' script.
///
/// Sends complete inside ``flush()``: none is ever taken aside, so the memory they point to is the worker's again afterwards.
/// Zero-copy sends are the exception: that memory is the kernel's until the event with their tag.
///
/// An interface can end for good, while the process goes on: its ring is gone, or a sandbox closes behind it. It says so by
/// ``failure``; from then on it submits nothing, completes nothing and does not wait, and the worker calls ``abandon()``.
package protocol Kernel: ~Copyable {
    /// Binds the backend to the calling thread. 0 or a negative error number.
    mutating func start() -> Int32
    /// Monotonic nanoseconds.
    func clock() -> UInt64
    /// Nanoseconds of Unix time.
    func wallClock() -> UInt64
    /// By what name other workers' kernels reach this one: a descriptor.
    var peerDescriptor: Int32 { get }
    /// Wakes another worker, which gets an event of kind ``RequestTag/Kind/peer``; with the next submission.
    mutating func notify(peer: Int32)

    /// Makes a descriptor known, or nil when the table is full or the kernel refuses.
    mutating func attach(descriptor: Int32) -> KernelFile?
    /// Forgets it. The descriptor stays open.
    mutating func detach(_ file: KernelFile)

    /// Receives datagrams until cancelled; ends with an event that does not continue.
    mutating func receiveDatagrams(_ file: KernelFile, tag: RequestTag)
    /// Receives at least one byte, once.
    @unsafe mutating func receive(_ file: KernelFile, into bytes: UnsafeMutableRawPointer, count: Int, tag: RequestTag)
    /// Reads an eventfd, once.
    mutating func receiveWake(_ file: KernelFile, tag: RequestTag)
    /// Reads at least one byte of a file, from `offset` on, once; its result is the number of bytes, 0 behind the end. `buffer` is the index
    /// of the registered memory that the bytes go to, or -1. Without `waits` only what the kernel has in memory is read: `-EAGAIN` where that is
    /// nothing, `-EOPNOTSUPP` where the file system cannot say. Backends without a ring read in the call, which waits for the disk.
    @unsafe mutating func readFile(
        _ file: KernelFile, into bytes: UnsafeMutableRawPointer, count: Int, offset: UInt64, buffer: Int, waits: Bool, tag: RequestTag)
    /// Has what was received on a connection acknowledged at once: a sender that waits for that (Nagle's algorithm, as ffmpeg
    /// does when it publishes) goes on without the 40 ms that Linux otherwise takes.
    mutating func acknowledge(_ file: KernelFile)
    /// Bytes that a connection's peer has not acknowledged.
    func unsentBytes(_ file: KernelFile) -> Int
    /// Tells once when the socket can be written to, or is broken.
    mutating func watchWritable(_ file: KernelFile, tag: RequestTag)
    /// Ends a request; its own event still comes (`-ECANCELED`).
    mutating func cancel(_ file: KernelFile, tag: RequestTag)
    /// Gives a datagram's buffer back.
    mutating func recycle(_ buffer: Int32)

    /// Packets that one message may carry: 1 where nothing cuts a message into segments.
    var segmentsMax: Int { get }
    /// Readies a socket for a message of `bytes` that is cut into segments of `segmentBytes` (``SegmentOption``). Flushes first if
    /// it must. Where the socket refuses, the messages up to the next call are refused with `EIO`: none leaves uncut.
    mutating func setSegment(_ file: KernelFile, segmentBytes: Int, bytes: Int)
    /// Queues a datagram or train. Only failures get a ``SendResult``.
    @unsafe mutating func sendDatagram(
        _ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, host: HostAddress, port: UInt16, tag: RequestTag)
    /// Queues bytes for a connected socket. Always gets a ``SendResult``.
    @unsafe mutating func sendBytes(_ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, tag: RequestTag)
    /// Queues gathered bytes for a connected socket. Always gets a ``SendResult``.
    @unsafe mutating func sendGathered(_ file: KernelFile, _ vectors: UnsafeMutableRawPointer, vectorCount: Int, tag: RequestTag)

    /// Resets a connection: what its peer has not taken is dropped, and the kernel lets go of it.
    mutating func abort(_ file: KernelFile)

    /// Whether sends without a copy exist here.
    var canZeroCopy: Bool { get }
    /// Makes memory known, so that zero-copy sends from it need not pin its pages each time; under `index`, or not at all.
    @unsafe mutating func register(_ base: UnsafeMutableRawPointer, count: Int, index: Int) -> Bool
    /// Forgets memory made known; nothing is sent from it any more.
    mutating func unregister(index: Int)
    /// ``sendDatagram`` without a copy, from registered memory (`buffer` is its index) or any other (-1). An event with the tag
    /// comes when the kernel is done with the bytes, whatever became of the send.
    @unsafe mutating func sendDatagramZeroCopy(
        _ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, host: HostAddress, port: UInt16, buffer: Int, tag: RequestTag)
    /// ``sendBytes`` without a copy.
    @unsafe mutating func sendBytesZeroCopy(_ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, buffer: Int, tag: RequestTag)

    /// Sends that may be queued before a flush is due.
    var sendBatchMax: Int { get }
    /// Sends what is queued.
    mutating func flush()
    /// The next result of the sends flushed.
    mutating func nextSendResult() -> SendResult?

    /// Submits, and waits at most `nanoseconds` for an event; less than 0: until there is one.
    mutating func wait(nanoseconds: Int64)
    /// The next event, or nil.
    @unsafe mutating func nextEvent() -> KernelEvent?

    /// 0 while the interface works; the error number with which it ended for good. Nothing is done any more then.
    var failure: Int32 { get }
    /// After ``failure``: gives up what is left of the interface, so that the kernel lets go of sockets and memory. Nothing is
    /// outstanding afterwards, no event comes, nothing can be attached; files may still be detached.
    mutating func abandon()

    /// Requests and buffers that have not come home.
    var outstanding: Int { get }
    /// System calls so far, as far as the backend counts them.
    var systemCalls: UInt64 { get }
    /// How often the kernel had to keep completions aside.
    var overflows: UInt64 { get }
}

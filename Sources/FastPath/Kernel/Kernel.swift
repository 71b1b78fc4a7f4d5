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
    /// Bytes, or a negative error number.
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
}

/// How a send ended, when there is something to say about it.
package struct SendResult: BitwiseCopyable {
    package let tag: RequestTag
    package let result: Int32
}

/// The kernel as the worker sees it. Three stand behind it: io_uring, epoll, and the tests' script.
///
/// Sends complete inside ``flush()``: none is ever taken aside, so the memory they point to is the worker's again afterwards.
package protocol Kernel: ~Copyable {
    /// Binds the backend to the calling thread. 0 or a negative error number.
    mutating func start() -> Int32
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
    /// Tells once when the socket can be written to, or is broken.
    mutating func watchWritable(_ file: KernelFile, tag: RequestTag)
    /// Ends a request; its own event still comes (`-ECANCELED`).
    mutating func cancel(_ file: KernelFile, tag: RequestTag)
    /// Gives a datagram's buffer back.
    mutating func recycle(_ buffer: Int32)

    /// Cuts what is sent from now on into segments of so many bytes; 0 switches that off. Flushes first if it must.
    /// 0 or a negative error number.
    mutating func setSegment(_ file: KernelFile, bytes: Int) -> Int32
    /// Queues a datagram or train. Only failures get a ``SendResult``.
    @unsafe mutating func sendDatagram(
        _ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, host: HostAddress, port: UInt16, tag: RequestTag)
    /// Queues gathered bytes for a connected socket. Always gets a ``SendResult``.
    @unsafe mutating func sendGathered(_ file: KernelFile, _ vectors: UnsafeMutableRawPointer, vectorCount: Int, tag: RequestTag)
    /// Sends that may be queued before a flush is due.
    var sendBatchMax: Int { get }
    /// Sends what is queued.
    mutating func flush()
    /// The next result of the sends flushed.
    mutating func nextSendResult() -> SendResult?

    /// Submits, and waits at most `nanoseconds` for an event.
    mutating func wait(nanoseconds: Int64)
    /// The next event, or nil.
    @unsafe mutating func nextEvent() -> KernelEvent?

    /// Requests and buffers that have not come home.
    var outstanding: Int { get }
    /// System calls so far, as far as the backend counts them.
    var systemCalls: UInt64 { get }
    /// Completions that the kernel had to keep aside.
    var overflows: UInt64 { get }
}

import CUring
import Glibc
import PlaneLink

/// The backends for places where io_uring is forbidden or missing: epoll says what is ready, the worker's thread receives and sends.
/// The same promises as the ring's: sends finish inside the flush.
@safe package struct EpollKernel: Kernel, ~Copyable {
    /// How datagrams go through the kernel.
    package enum Calls: Sendable {
        /// The backend `epoll`: many a call (`recvmmsg`, `sendmmsg`), trains cut by UDP_SEGMENT and joined by UDP_GRO.
        case batched
        /// The backend `plain`: one datagram a call (`recvmsg`, `sendmsg`), one packet a datagram; nothing that a sandbox may lack.
        case single
    }

    enum Reading: UInt8, BitwiseCopyable { case none, datagrams, bytes, wake }

    struct Entry: BitwiseCopyable {
        var descriptor: Int32
        var isIPv4: Bool
        var reading: Reading
        var isWatchedForWrite: Bool
        var segment: Int32
        /// It refused to cut at the size that is wanted.
        var refusesSegments: Bool
        /// The events that epoll watches just now.
        var interest: UInt32
        var readTag: UInt64
        var writeTag: UInt64
        var readCount: Int
        var readBase: UInt
    }

    struct Ready: BitwiseCopyable {
        var slot: UInt32
        var events: UInt32
    }

    let epoll: Int32
    let entries: Slab<Entry>
    private var freeSlots: [Int32]
    let buffers: UnsafeMutableRawPointer
    let bufferBytes: Int
    private let bufferCount: Int
    var freeBuffers: AsideQueue<Int32>
    var events: AsideQueue<QueuedEvent>
    var results: AsideQueue<SendResult>
    /// Slots whose read completed and may not be read on: looked at before the next wait.
    var stale: AsideQueue<Int32>
    let ready: Slab<Ready>
    let incoming: OpaquePointer
    /// The buffers lent to `incoming`.
    let lent: Slab<Int32>
    let outgoing: OpaquePointer
    /// An eventfd that other workers write to.
    var peerFile = KernelFile.none
    let sendFiles: Slab<Int32>
    let sendTags: Slab<UInt64>
    var sendsQueued = 0
    var requests = 0
    package internal(set) var systemCalls: UInt64 = 0
    package var overflows: UInt64 { 0 }
    package let sendBatchMax = 128
    let calls: Calls
    package var segmentsMax: Int { calls == .batched ? Train.segmentsMax : 1 }
    package internal(set) var failure: Int32 = 0

    @unsafe struct QueuedEvent: BitwiseCopyable { var event: KernelEvent }

    static let receiveBatch = 32

    /// An epoll set with what the worker needs, or why it cannot be had.
    package init(limits: Limits, calls: Calls = .batched) throws(BackendRefusal) {
        let slots = limits.subscribersMax + limits.sourcesMax + 64
        let bufferCount = max(limits.datagramBuffers, 1)
        guard let entries = Slab<Entry>(count: slots), var freeBuffers = AsideQueue<Int32>(room: bufferCount),
            let events = unsafe AsideQueue<QueuedEvent>(room: 8_192),
            let results = AsideQueue<SendResult>(room: limits.subscribersMax + 256), let stale = AsideQueue<Int32>(room: 256),
            let ready = Slab<Ready>(count: 256), let lent = Slab<Int32>(count: Self.receiveBatch),
            let sendFiles = Slab<Int32>(count: 128), let sendTags = Slab<UInt64>(count: 128),
            let incoming = unsafe curing_batch_create(UInt32(Self.receiveBatch)), let outgoing = unsafe curing_batch_create(128),
            let memory = unsafe mmap(
                nil, bufferCount * limits.datagramBufferBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
            unsafe memory != MAP_FAILED
        else { throw .memory }
        let descriptor = curing_epoll_create()
        guard descriptor >= 0 else {
            unsafe munmap(memory, bufferCount * limits.datagramBufferBytes)
            unsafe curing_batch_destroy(incoming)
            unsafe curing_batch_destroy(outgoing)
            throw .epoll(-descriptor)
        }
        let peer = curing_eventfd(true)
        guard peer >= 0 else {
            close(descriptor)
            unsafe munmap(memory, bufferCount * limits.datagramBufferBytes)
            unsafe curing_batch_destroy(incoming)
            unsafe curing_batch_destroy(outgoing)
            throw .epoll(-peer)
        }
        for buffer in 0..<Int32(bufferCount) { freeBuffers.push(buffer) }
        epoll = descriptor
        self.entries = entries
        freeSlots = (0..<Int32(slots)).reversed()
        unsafe buffers = memory
        bufferBytes = limits.datagramBufferBytes
        self.bufferCount = bufferCount
        self.freeBuffers = freeBuffers
        unsafe self.events = events
        self.results = results
        self.stale = stale
        self.ready = ready
        unsafe self.incoming = incoming
        self.lent = lent
        unsafe self.outgoing = outgoing
        self.sendFiles = sendFiles
        self.sendTags = sendTags
        self.calls = calls
        peerFile = attach(descriptor: peer) ?? .none
    }

    deinit {
        if peerFile != .none { close(entries[Int(peerFile.slot)].descriptor) }
        close(epoll)
        unsafe munmap(buffers, bufferCount * bufferBytes)
        unsafe curing_batch_destroy(incoming)
        unsafe curing_batch_destroy(outgoing)
    }

    package mutating func start() -> Int32 {
        entries[Int(peerFile.slot)].readTag = RequestTag(.peer, index: 0, generation: 0).raw
        entries[Int(peerFile.slot)].reading = .wake
        updateInterest(Int(peerFile.slot))
        return 0
    }

    package func clock() -> UInt64 { monotonicNanoseconds() }
    package func wallClock() -> UInt64 { unixNanoseconds() }

    package var peerDescriptor: Int32 { entries[Int(peerFile.slot)].descriptor }

    package mutating func notify(peer: Int32) {
        var one: UInt64 = 1
        systemCalls += 1
        _ = unsafe write(peer, &one, 8)
    }

    // MARK: Files

    package mutating func attach(descriptor: Int32) -> KernelFile? {
        guard failure == 0, let slot = freeSlots.popLast() else { return nil }
        entries[Int(slot)] = Entry(
            descriptor: descriptor, isIPv4: SocketAddressBytes.isIPv4(descriptor: descriptor), reading: .none, isWatchedForWrite: false,
            segment: 0, refusesSegments: false, interest: 0, readTag: 0, writeTag: 0, readCount: 0, readBase: 0)
        return KernelFile(slot: slot)
    }

    package mutating func detach(_ file: KernelFile) {
        guard file != .none else { return }
        let slot = Int(file.slot)
        if entries[slot].interest != 0 {
            systemCalls += 1
            _ = curing_epoll_watch(epoll, entries[slot].descriptor, UInt32(slot), entries[slot].interest, 0)
        }
        entries[slot].interest = 0
        entries[slot].descriptor = -1
        freeSlots.append(file.slot)
    }

    /// Makes epoll watch for what the entry wants. 0 or a negative error number.
    @discardableResult
    mutating func updateInterest(_ slot: Int) -> Int32 {
        var wanted: UInt32 = 0
        if entries[slot].reading != .none { wanted |= UInt32(CURING_READABLE) }
        if entries[slot].isWatchedForWrite { wanted |= UInt32(CURING_WRITABLE) }
        let now = entries[slot].interest
        guard wanted != now else { return 0 }
        systemCalls += 1
        let result = curing_epoll_watch(epoll, entries[slot].descriptor, UInt32(slot), now, wanted)
        if result == 0 { entries[slot].interest = wanted }
        return result
    }

    // MARK: Requests

    package mutating func receiveDatagrams(_ file: KernelFile, tag: RequestTag) {
        begin(file, .datagrams, tag)
    }

    @unsafe package mutating func receive(_ file: KernelFile, into bytes: UnsafeMutableRawPointer, count: Int, tag: RequestTag) {
        entries[Int(file.slot)].readBase = UInt(bitPattern: bytes)
        entries[Int(file.slot)].readCount = count
        begin(file, .bytes, tag)
    }

    package mutating func receiveWake(_ file: KernelFile, tag: RequestTag) {
        begin(file, .wake, tag)
    }

    @unsafe package mutating func readFile(
        _ file: KernelFile, into bytes: UnsafeMutableRawPointer, count: Int, offset: UInt64, buffer: Int, waits: Bool, tag: RequestTag
    ) {
        systemCalls += 1
        requests += 1
        let got = unsafe pread(entries[Int(file.slot)].descriptor, bytes, count, Int(truncatingIfNeeded: offset))
        finish(tag, got < 0 ? -errno : Int32(truncatingIfNeeded: got))
    }

    private mutating func begin(_ file: KernelFile, _ reading: Reading, _ tag: RequestTag) {
        entries[Int(file.slot)].reading = reading
        entries[Int(file.slot)].readTag = tag.raw
        requests += 1
        let result = updateInterest(Int(file.slot))
        guard result < 0 else { return }
        entries[Int(file.slot)].reading = .none
        finish(tag, result)
    }

    package mutating func acknowledge(_ file: KernelFile) {
        systemCalls += 1
        curing_acknowledge(entries[Int(file.slot)].descriptor)
    }

    package func unsentBytes(_ file: KernelFile) -> Int { Int(curing_unsent_bytes(entries[Int(file.slot)].descriptor)) }

    package mutating func abort(_ file: KernelFile) {
        guard file != .none else { return }
        systemCalls += 1
        curing_reset_connection(entries[Int(file.slot)].descriptor)
    }

    package mutating func watchWritable(_ file: KernelFile, tag: RequestTag) {
        entries[Int(file.slot)].isWatchedForWrite = true
        entries[Int(file.slot)].writeTag = tag.raw
        requests += 1
        updateInterest(Int(file.slot))
    }

    package mutating func cancel(_ file: KernelFile, tag: RequestTag) {
        guard file != .none else { return }
        let slot = Int(file.slot)
        if entries[slot].reading != .none, entries[slot].readTag == tag.raw {
            entries[slot].reading = .none
        } else if entries[slot].isWatchedForWrite, entries[slot].writeTag == tag.raw {
            entries[slot].isWatchedForWrite = false
        } else {
            return
        }
        updateInterest(slot)
        finish(tag, -ECANCELED)
    }

    package mutating func recycle(_ buffer: Int32) {
        if buffer >= 0 { freeBuffers.push(buffer) }
    }

    /// Queues the last event of a request.
    mutating func finish(_ tag: RequestTag, _ result: Int32) {
        requests -= 1
        unsafe push(
            KernelEvent(tag: tag, result: result))
    }

    @unsafe mutating func push(_ event: KernelEvent) {
        if unsafe !events.isFull { unsafe events.push(QueuedEvent(event: event)) }
    }

    // MARK: Waiting

    package mutating func wait(nanoseconds: Int64) {
        flush()
        guard failure == 0 else { return }
        while let slot = stale.pop() { updateInterest(Int(slot)) }
        let milliseconds =
            unsafe events.count > 0 || nanoseconds == 0 ? 0 : nanoseconds < 0 ? -1 : Int32(clamping: (nanoseconds + 999_999) / 1_000_000)
        systemCalls += 1
        let places = unsafe UnsafeMutableRawPointer(ready.pointer(to: 0)).assumingMemoryBound(to: curing_ready.self)
        let count = unsafe curing_epoll_wait(epoll, places, milliseconds)
        if count < 0 { failure = -count }
        for place in 0..<max(Int(count), 0) {
            let slot = Int(ready[place].slot)
            if ready[place].events & UInt32(CURING_READABLE) != 0 { read(slot) }
            if ready[place].events & UInt32(CURING_WRITABLE) != 0, entries[slot].isWatchedForWrite {
                entries[slot].isWatchedForWrite = false
                updateInterest(slot)
                finish(RequestTag(raw: entries[slot].writeTag), 0)
            }
        }
    }

    @unsafe package mutating func nextEvent() -> KernelEvent? { unsafe events.pop()?.event }

    package mutating func abandon() {
        if failure == 0 { failure = ECANCELED }
        while let event = unsafe events.pop() { recycle(unsafe event.event.buffer) }
        while results.pop() != nil {}
        while stale.pop() != nil {}
        requests = 0
        sendsQueued = 0
    }

    package var outstanding: Int { requests + bufferCount - freeBuffers.count }
}

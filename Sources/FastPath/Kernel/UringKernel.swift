import CUring
import Glibc
import PlaneLink

/// The io_uring backend: one ring for one thread, registered files, one provided-buffer ring for all datagram sources,
/// repeated receives, and sends that finish inside the submit.
@safe package struct UringKernel: Kernel, ~Copyable {
    let ring: OpaquePointer
    let files: Slab<FileEntry>
    private var freeFiles: [Int32]
    private let buffers: UnsafeMutableRawPointer
    private let bufferBytes: Int
    /// Buffers that the worker holds.
    private var buffersOut = 0
    /// Receives, reads and watches that the kernel holds.
    var requests = 0
    /// The eventfd's value lands here.
    private let wakeValue: UnsafeMutablePointer<UInt64>
    /// Addresses of the sends since the last flush.
    let addresses: Slab<SocketAddressBytes>
    var sendsQueued = 0
    var events: AsideQueue<Completion>
    var results: AsideQueue<SendResult>
    private let batch: Slab<Completion>
    package internal(set) var systemCalls: UInt64 = 0

    /// `struct curing_completion`, which the importer does not call bitwise copyable.
    struct Completion: BitwiseCopyable {
        var tag: UInt64
        var result: Int32
        var flags: UInt32
    }

    struct FileEntry: BitwiseCopyable {
        var descriptor: Int32
        var isIPv4: Bool
        /// The segment size that the socket cuts at just now.
        var segment: Int32
        /// It refused to cut at the size that is wanted.
        var refusesSegments: Bool
    }

    private static let submissions: UInt32 = 256
    /// What the kernel allows (IORING_MAX_REG_BUFFERS).
    static let placesMax = 16_384
    /// Completions that the ring holds; beyond them the kernel keeps some aside, at a price.
    package static let completionsMax: UInt32 = 32_768
    /// Sends of one flush: small, because each request lives until the batch completes, and footprint is speed.
    package let sendBatchMax = 128

    package let segmentsMax: Int
    package let canZeroCopy: Bool
    package internal(set) var failure: Int32 = 0
    var isAbandoned = false
    private var overflowsAtEnd: UInt64 = 0

    /// A ring with what the worker needs, or why it cannot be had. Without `cutsTrains` every packet is a message of its own.
    package init(
        limits: Limits, zeroCopy: Bool = false, cutsTrains: Bool = true, completions: UInt32 = UringKernel.completionsMax
    ) throws(BackendRefusal) {
        let bufferCount = limits.datagramBuffers
        guard bufferCount > 0, bufferCount & (bufferCount - 1) == 0, bufferCount <= 32_768 else {
            throw .setting("limits: datagram-buffers is \(bufferCount), but must be a power of two up to 32768")
        }
        // The kernel takes no larger table than the process may have descriptors.
        let fileCount = min(limits.subscribersMax + limits.sourcesMax + limits.streamsMax + 64, Self.descriptorsMax())
        guard let files = Slab<FileEntry>(count: fileCount), let addresses = Slab<SocketAddressBytes>(count: 128),
            let batch = Slab<Completion>(count: 256), let events = AsideQueue<Completion>(room: 65_536),
            let results = AsideQueue<SendResult>(room: limits.subscribersMax + 256),
            let memory = unsafe mmap(
                nil, bufferCount * limits.datagramBufferBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
            unsafe memory != MAP_FAILED
        else { throw .memory }
        var made: OpaquePointer?
        // One for each stream's log, and one for the blocks that files are read into.
        let places = UInt32(min(limits.streamsMax + 1, Self.placesMax))
        let result = unsafe curing_create(min(Self.submissions, completions), completions, UInt32(fileCount), places, &made)
        guard result == 0, let ring = unsafe made else {
            unsafe munmap(memory, bufferCount * limits.datagramBufferBytes)
            throw .ring(-result)
        }
        let provided = unsafe curing_provide(
            ring, UInt32(bufferCount), UInt32(limits.datagramBufferBytes), memory)
        guard provided == 0 else {
            unsafe curing_destroy(ring)
            unsafe munmap(memory, bufferCount * limits.datagramBufferBytes)
            throw .buffers(-provided)
        }
        unsafe self.ring = ring
        segmentsMax = cutsTrains ? Train.segmentsMax : 1
        // SEND_ZC came with Linux 6.0; what it needs to say whether it copied came with 6.2 and is ignored before.
        canZeroCopy = unsafe zeroCopy && curing_knows(ring, Int32(IORING_OP_SEND_ZC.rawValue))
        self.files = files
        freeFiles = (0..<Int32(fileCount)).reversed()
        unsafe buffers = memory
        bufferBytes = limits.datagramBufferBytes
        unsafe wakeValue = .allocate(capacity: 1)
        unsafe wakeValue.initialize(to: 0)
        self.addresses = addresses
        self.batch = batch
        self.events = events
        self.results = results
        buffersMapped = bufferCount * limits.datagramBufferBytes
    }

    private let buffersMapped: Int

    private static func descriptorsMax() -> Int {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1_024 }
        return Int(clamping: limit.rlim_cur)
    }

    deinit {
        unsafe curing_destroy(ring)
        unsafe munmap(buffers, buffersMapped)
        unsafe wakeValue.deallocate()
    }

    package mutating func start() -> Int32 { unsafe curing_enable(ring) }
    package func clock() -> UInt64 { monotonicNanoseconds() }
    package func wallClock() -> UInt64 { unixNanoseconds() }

    package var peerDescriptor: Int32 { unsafe curing_descriptor(ring) }

    package mutating func notify(peer: Int32) {
        guard let submission = unsafe next() else { return }
        unsafe curing_notify(submission, peer, RequestTag(.peer, index: 0, generation: 0).raw)
    }

    // MARK: Files

    package mutating func attach(descriptor: Int32) -> KernelFile? {
        guard failure == 0, let slot = freeFiles.popLast() else { return nil }
        systemCalls += 1
        guard unsafe curing_set_file(ring, UInt32(slot), descriptor) == 0 else {
            freeFiles.append(slot)
            return nil
        }
        files[Int(slot)] = FileEntry(
            descriptor: descriptor, isIPv4: SocketAddressBytes.isIPv4(descriptor: descriptor), segment: 0, refusesSegments: false)
        return KernelFile(slot: slot)
    }

    package mutating func detach(_ file: KernelFile) {
        guard file != .none else { return }
        if !isAbandoned {
            systemCalls += 1
            _ = unsafe curing_set_file(ring, UInt32(file.slot), -1)
        }
        freeFiles.append(file.slot)
    }

    // MARK: Requests

    /// A free submission; what is queued is submitted first when there is none.
    mutating func next() -> UnsafeMutablePointer<io_uring_sqe>? {
        guard failure == 0 else { return nil }
        if let submission = unsafe curing_next(ring) { return unsafe submission }
        submit()
        return failure == 0 ? unsafe curing_next(ring) : nil
    }

    mutating func submit() {
        sendsQueued = 0
        guard failure == 0 else { return }
        systemCalls += 1
        let result = unsafe curing_submit(ring)
        if result < 0 { failure = -result }
        reap()
    }

    package mutating func receiveDatagrams(_ file: KernelFile, tag: RequestTag) {
        guard let submission = unsafe next() else { return }
        unsafe curing_receive_datagrams(ring, submission, file.slot, tag.raw)
        requests += 1
    }

    @unsafe package mutating func receive(_ file: KernelFile, into bytes: UnsafeMutableRawPointer, count: Int, tag: RequestTag) {
        guard let submission = unsafe next() else { return }
        unsafe curing_receive(submission, file.slot, bytes, UInt32(count), tag.raw)
        requests += 1
    }

    package mutating func receiveWake(_ file: KernelFile, tag: RequestTag) {
        guard let submission = unsafe next() else { return }
        unsafe curing_read(submission, file.slot, wakeValue, 8, tag.raw)
        requests += 1
    }

    @unsafe package mutating func readFile(
        _ file: KernelFile, into bytes: UnsafeMutableRawPointer, count: Int, offset: UInt64, buffer: Int, waits: Bool, tag: RequestTag
    ) {
        guard let submission = unsafe next() else { return }
        unsafe curing_read_file(submission, file.slot, bytes, UInt32(count), offset, Int32(buffer), waits, tag.raw)
        requests += 1
    }

    package mutating func acknowledge(_ file: KernelFile) {
        systemCalls += 1
        curing_acknowledge(files[Int(file.slot)].descriptor)
    }

    package func unsentBytes(_ file: KernelFile) -> Int { Int(curing_unsent_bytes(files[Int(file.slot)].descriptor)) }

    package mutating func abort(_ file: KernelFile) {
        guard file != .none else { return }
        systemCalls += 1
        curing_reset_connection(files[Int(file.slot)].descriptor)
    }

    package mutating func watchWritable(_ file: KernelFile, tag: RequestTag) {
        guard let submission = unsafe next() else { return }
        unsafe curing_watch_writable(submission, file.slot, tag.raw)
        requests += 1
    }

    package mutating func cancel(_ file: KernelFile, tag: RequestTag) {
        guard let submission = unsafe next() else { return }
        unsafe curing_cancel(submission, tag.raw, RequestTag(.cancel, index: 0, generation: 0).raw)
        requests += 1
    }

    package mutating func recycle(_ buffer: Int32) {
        guard buffer >= 0, !isAbandoned else { return }
        unsafe curing_return_buffer(ring, UInt16(truncatingIfNeeded: buffer))
        buffersOut -= 1
    }

    // MARK: Completions

    package mutating func wait(nanoseconds: Int64) {
        sendsQueued = 0
        guard failure == 0 else { return }
        systemCalls += 1
        let result = unsafe curing_submit_and_wait(ring, events.count > 0 ? 0 : nanoseconds)
        if result < 0 { failure = -result }
        reap()
    }

    package mutating func abandon() {
        guard !isAbandoned else { return }
        // First what is known already: results and events of a ring that is gone mean nothing any more.
        while events.pop() != nil {}
        while results.pop() != nil {}
        if failure == 0 { failure = ECANCELED }
        overflowsAtEnd = overflows
        isAbandoned = true
        unsafe curing_abandon(ring)
        requests = 0
        buffersOut = 0
    }

    /// Copies completions out of the ring: results of sends to one queue, everything else to the other.
    mutating func reap() {
        while !isAbandoned {
            let room = min(batch.count, events.room, results.room)
            let place = unsafe UnsafeMutableRawPointer(batch.pointer(to: 0)).assumingMemoryBound(to: curing_completion.self)
            let taken = unsafe curing_take(ring, place, UInt32(room))
            for place in 0..<Int(taken) {
                sort(batch[place])
            }
            if taken < batch.count { break }
        }
    }

    private mutating func sort(_ completion: Completion) {
        let tag = RequestTag(raw: completion.tag)
        switch tag.kind {
        case .send: results.push(SendResult(tag: tag, result: completion.result))
        case .peer: events.push(completion)
        case .zeroCopy where completion.flags & UInt32(CURING_CQE_NOTIFICATION) == 0:
            results.push(SendResult(tag: tag, result: completion.result))
            guard completion.flags & UInt32(IORING_CQE_F_MORE) == 0 else { return }
            // Nothing was taken: the memory is free at once.
            requests -= 1
            events.push(Completion(tag: completion.tag, result: 0, flags: 0))
        default:
            if completion.flags & UInt32(IORING_CQE_F_MORE) == 0 { requests -= 1 }
            events.push(completion)
        }
    }

    @unsafe package mutating func nextEvent() -> KernelEvent? {
        guard let completion = events.pop() else {
            reap()
            guard let completion = events.pop() else { return nil }
            return unsafe event(completion)
        }
        return unsafe event(completion)
    }

    @unsafe private mutating func event(_ completion: Completion) -> KernelEvent {
        let tag = RequestTag(raw: completion.tag)
        var event = unsafe KernelEvent(
            tag: tag, result: completion.result, continues: completion.flags & UInt32(IORING_CQE_F_MORE) != 0)
        if tag.kind == .zeroCopy { unsafe event.result = completion.result < 0 ? 1 : 0 }
        guard completion.flags & UInt32(IORING_CQE_F_BUFFER) != 0 else { return unsafe event }
        let buffer = Int32(completion.flags >> 16)
        unsafe event.buffer = buffer
        buffersOut += 1
        var datagram = unsafe curing_datagram()
        guard completion.result >= 0,
            unsafe curing_read_datagram(ring, UInt16(buffer), UInt32(completion.result), &datagram),
            let name = unsafe datagram.name,
            let sender = unsafe SocketAddressBytes.read(name, count: Int(datagram.name_bytes))
        else { return unsafe event }
        unsafe event.payload = UnsafeMutableRawPointer(mutating: datagram.payload)
        unsafe event.payloadCount = Int(datagram.payload_bytes)
        unsafe event.segmentBytes = Int(datagram.segment_bytes)
        unsafe event.isCut = datagram.is_cut
        unsafe event.host = sender.host
        unsafe event.port = sender.port
        return unsafe event
    }

    package var outstanding: Int { requests + buffersOut }
    package var overflows: UInt64 { isAbandoned ? overflowsAtEnd : UInt64(unsafe curing_overflows(ring)) }
}

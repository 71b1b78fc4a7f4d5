import CUring
import Glibc
import PlaneLink

/// The io_uring backend: one ring for one thread, registered files, one provided-buffer ring for all datagram sources,
/// repeated receives, and sends that finish inside the submit.
@safe package struct UringKernel: Kernel, ~Copyable {
    private let ring: OpaquePointer
    private let files: Slab<FileEntry>
    private var freeFiles: [Int32]
    private let buffers: UnsafeMutableRawPointer
    private let bufferBytes: Int
    /// Buffers that the worker holds.
    private var buffersOut = 0
    /// Receives, reads and watches that the kernel holds.
    private var requests = 0
    /// The eventfd's value lands here.
    private let wakeValue: UnsafeMutablePointer<UInt64>
    /// Addresses of the sends since the last flush.
    private let addresses: Slab<SocketAddressBytes>
    private var sendsQueued = 0
    private var events: AsideQueue<Completion>
    private var results: AsideQueue<SendResult>
    private let batch: Slab<Completion>
    package private(set) var systemCalls: UInt64 = 0

    /// `struct curing_completion`, which the importer does not call bitwise copyable.
    private struct Completion: BitwiseCopyable {
        var tag: UInt64
        var result: Int32
        var flags: UInt32
    }

    private struct FileEntry: BitwiseCopyable {
        var descriptor: Int32
        var isIPv4: Bool
        /// The segment size that the socket cuts at just now.
        var segment: Int32
    }

    private static let submissions: UInt32 = 256
    /// What the kernel allows (IORING_MAX_REG_BUFFERS).
    private static let placesMax = 16_384
    private static let completions: UInt32 = 32_768
    /// Sends of one flush: small, because each request lives until the batch completes, and footprint is speed.
    package let sendBatchMax = 128

    /// A ring with what the worker needs, or why it cannot be had.
    package init(limits: Limits, zeroCopy: Bool = false) throws(BackendRefusal) {
        let bufferCount = limits.datagramBuffers
        guard bufferCount > 0, bufferCount & (bufferCount - 1) == 0, bufferCount <= 32_768 else {
            throw .setting("limits: datagram-buffers is \(bufferCount), but must be a power of two up to 32768")
        }
        // The kernel takes no larger table than the process may have descriptors.
        let fileCount = min(limits.subscribersMax + limits.sourcesMax + 64, Self.descriptorsMax())
        guard let files = Slab<FileEntry>(count: fileCount), let addresses = Slab<SocketAddressBytes>(count: 128),
            let batch = Slab<Completion>(count: 256), let events = AsideQueue<Completion>(room: 65_536),
            let results = AsideQueue<SendResult>(room: limits.subscribersMax + 256),
            let memory = unsafe mmap(
                nil, bufferCount * limits.datagramBufferBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0),
            unsafe memory != MAP_FAILED
        else { throw .memory }
        var made: OpaquePointer?
        let places = zeroCopy ? UInt32(min(limits.streamsMax + 1, Self.placesMax)) : 0
        let result = unsafe curing_create(Self.submissions, Self.completions, UInt32(fileCount), places, &made)
        guard result == 0, let ring = unsafe made else {
            unsafe munmap(memory, bufferCount * limits.datagramBufferBytes)
            throw .ring(-result)
        }
        let provided = unsafe curing_provide(
            ring, UInt32(bufferCount), UInt32(limits.datagramBufferBytes), memory)
        // SENDMSG_ZC came with Linux 6.1, as did the address of a plain SEND.
        guard provided == 0, unsafe curing_knows(ring, Int32(IORING_OP_SENDMSG_ZC.rawValue)) else {
            unsafe curing_destroy(ring)
            unsafe munmap(memory, bufferCount * limits.datagramBufferBytes)
            throw provided == 0 ? .tooOld : .buffers(-provided)
        }
        unsafe self.ring = ring
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

    package var peerDescriptor: Int32 { unsafe curing_descriptor(ring) }

    package mutating func notify(peer: Int32) {
        guard let submission = unsafe next() else { return }
        unsafe curing_notify(submission, peer, RequestTag(.peer, index: 0, generation: 0).raw)
    }

    // MARK: Files

    package mutating func attach(descriptor: Int32) -> KernelFile? {
        guard let slot = freeFiles.popLast() else { return nil }
        systemCalls += 1
        guard unsafe curing_set_file(ring, UInt32(slot), descriptor) == 0 else {
            freeFiles.append(slot)
            return nil
        }
        files[Int(slot)] = FileEntry(descriptor: descriptor, isIPv4: SocketAddressBytes.isIPv4(descriptor: descriptor), segment: 0)
        return KernelFile(slot: slot)
    }

    package mutating func detach(_ file: KernelFile) {
        guard file != .none else { return }
        systemCalls += 1
        _ = unsafe curing_set_file(ring, UInt32(file.slot), -1)
        freeFiles.append(file.slot)
    }

    // MARK: Requests

    /// A free submission; what is queued is submitted first when there is none.
    private mutating func next() -> UnsafeMutablePointer<io_uring_sqe>? {
        if let submission = unsafe curing_next(ring) { return unsafe submission }
        submit()
        return unsafe curing_next(ring)
    }

    private mutating func submit() {
        systemCalls += 1
        _ = unsafe curing_submit(ring)
        sendsQueued = 0
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

    package mutating func acknowledge(_ file: KernelFile) {
        systemCalls += 1
        curing_acknowledge(files[Int(file.slot)].descriptor)
    }

    package func unsentBytes(_ file: KernelFile) -> Int { Int(curing_unsent_bytes(files[Int(file.slot)].descriptor)) }

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
        guard buffer >= 0 else { return }
        unsafe curing_return_buffer(ring, UInt16(truncatingIfNeeded: buffer))
        buffersOut -= 1
    }

    // MARK: Sends

    package mutating func setSegment(_ file: KernelFile, segmentBytes: Int, bytes: Int) {
        guard let wanted = SegmentOption.change(from: files[Int(file.slot)].segment, segmentBytes: segmentBytes, bytes: bytes) else {
            return
        }
        if sendsQueued > 0 { flush() }
        systemCalls += 1
        if curing_set_segment(files[Int(file.slot)].descriptor, wanted) == 0 { files[Int(file.slot)].segment = wanted }
    }

    @unsafe package mutating func sendDatagram(
        _ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, host: HostAddress, port: UInt16, tag: RequestTag
    ) {
        if sendsQueued == sendBatchMax { flush() }
        guard let submission = unsafe next() else { return }
        let place = sendsQueued
        let isIPv4 = files[Int(file.slot)].isIPv4
        addresses[place] = SocketAddressBytes(host: host, port: port, isIPv4Socket: isIPv4)
        unsafe curing_send_to(
            submission, file.slot, bytes, UInt32(count), addresses.pointer(to: place),
            UInt32(SocketAddressBytes.count(isIPv4Socket: isIPv4)), tag.raw)
        sendsQueued += 1
    }

    @unsafe package mutating func sendBytes(_ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, tag: RequestTag) {
        if sendsQueued == sendBatchMax { flush() }
        guard let submission = unsafe next() else { return }
        unsafe curing_send(submission, file.slot, bytes, UInt32(count), tag.raw)
        sendsQueued += 1
    }

    // MARK: Without a copy

    package mutating func abort(_ file: KernelFile) {
        guard file != .none else { return }
        systemCalls += 1
        curing_reset_connection(files[Int(file.slot)].descriptor)
    }

    package var canZeroCopy: Bool { true }

    @unsafe package mutating func register(_ base: UnsafeMutableRawPointer, count: Int, index: Int) -> Bool {
        guard index < Self.placesMax else { return false }
        systemCalls += 1
        return unsafe curing_set_memory(ring, UInt32(index), base, count) == 0
    }

    package mutating func unregister(index: Int) {
        guard index < Self.placesMax else { return }
        systemCalls += 1
        _ = unsafe curing_set_memory(ring, UInt32(index), nil, 0)
    }

    @unsafe package mutating func sendDatagramZeroCopy(
        _ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, host: HostAddress, port: UInt16, buffer: Int, tag: RequestTag
    ) {
        if sendsQueued == sendBatchMax { flush() }
        guard let submission = unsafe next() else { return }
        let place = sendsQueued
        let isIPv4 = files[Int(file.slot)].isIPv4
        addresses[place] = SocketAddressBytes(host: host, port: port, isIPv4Socket: isIPv4)
        unsafe curing_send_zero_copy(
            submission, file.slot, bytes, UInt32(count), addresses.pointer(to: place),
            UInt32(SocketAddressBytes.count(isIPv4Socket: isIPv4)), Int32(buffer), tag.raw)
        sendsQueued += 1
        requests += 1
    }

    @unsafe package mutating func sendBytesZeroCopy(
        _ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, buffer: Int, tag: RequestTag
    ) {
        if sendsQueued == sendBatchMax { flush() }
        guard let submission = unsafe next() else { return }
        unsafe curing_send_zero_copy(submission, file.slot, bytes, UInt32(count), nil, 0, Int32(buffer), tag.raw)
        sendsQueued += 1
        requests += 1
    }

    // MARK: Gathered

    @unsafe package mutating func sendGathered(
        _ file: KernelFile, _ vectors: UnsafeMutableRawPointer, vectorCount: Int, tag: RequestTag
    ) {
        if sendsQueued == sendBatchMax { flush() }
        guard let submission = unsafe next() else { return }
        let place = sendsQueued
        unsafe curing_send_gather(ring, submission, file.slot, vectors, UInt32(vectorCount), UInt32(place), tag.raw)
        sendsQueued += 1
    }

    package mutating func flush() {
        if sendsQueued > 0 { submit() }
    }

    package mutating func nextSendResult() -> SendResult? {
        if results.count == 0 { reap() }
        return results.pop()
    }

    // MARK: Completions

    package mutating func wait(nanoseconds: Int64) {
        systemCalls += 1
        _ = unsafe curing_submit_and_wait(ring, events.count > 0 ? 0 : nanoseconds)
        sendsQueued = 0
        reap()
    }

    /// Copies completions out of the ring: results of sends to one queue, everything else to the other.
    private mutating func reap() {
        while true {
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
    package var overflows: UInt64 { UInt64(unsafe curing_overflows(ring)) }
}

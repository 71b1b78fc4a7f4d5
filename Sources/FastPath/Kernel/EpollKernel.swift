import CUring
import Glibc
import PlaneLink

/// The backend for places where io_uring is forbidden or missing: epoll, `recvmmsg` with UDP_GRO, `sendmmsg` with
/// UDP_SEGMENT. The same promises as the ring's: sends finish inside the flush.
@safe package struct EpollKernel: Kernel, ~Copyable {
    private enum Reading: UInt8, BitwiseCopyable { case none, datagrams, bytes, wake }

    private struct Entry: BitwiseCopyable {
        var descriptor: Int32
        var isIPv4: Bool
        var reading: Reading
        var isWatchedForWrite: Bool
        var segment: Int32
        /// The events that epoll watches just now.
        var interest: UInt32
        var readTag: UInt64
        var writeTag: UInt64
        var readCount: Int
        var readBase: UInt
    }

    private struct Ready: BitwiseCopyable {
        var slot: UInt32
        var events: UInt32
    }

    private let epoll: Int32
    private let entries: Slab<Entry>
    private var freeSlots: [Int32]
    private let buffers: UnsafeMutableRawPointer
    private let bufferBytes: Int
    private let bufferCount: Int
    private var freeBuffers: AsideQueue<Int32>
    private var events: AsideQueue<QueuedEvent>
    private var results: AsideQueue<SendResult>
    /// Slots whose read completed and may not be read on: looked at before the next wait.
    private var stale: AsideQueue<Int32>
    private let ready: Slab<Ready>
    private let incoming: OpaquePointer
    /// The buffers lent to `incoming`.
    private let lent: Slab<Int32>
    private let outgoing: OpaquePointer
    /// An eventfd that other workers write to.
    private var peerFile = KernelFile.none
    private let sendFiles: Slab<Int32>
    private let sendTags: Slab<UInt64>
    private var sendsQueued = 0
    private var requests = 0
    package private(set) var systemCalls: UInt64 = 0
    package var overflows: UInt64 { 0 }
    package let sendBatchMax = 128

    @unsafe private struct QueuedEvent: BitwiseCopyable { var event: KernelEvent }

    private static let receiveBatch = 32

    /// An epoll set with what the worker needs, or why it cannot be had.
    package init(limits: Limits) throws(BackendRefusal) {
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

    package var peerDescriptor: Int32 { entries[Int(peerFile.slot)].descriptor }

    package mutating func notify(peer: Int32) {
        var one: UInt64 = 1
        systemCalls += 1
        _ = unsafe write(peer, &one, 8)
    }

    // MARK: Files

    package mutating func attach(descriptor: Int32) -> KernelFile? {
        guard let slot = freeSlots.popLast() else { return nil }
        entries[Int(slot)] = Entry(
            descriptor: descriptor, isIPv4: SocketAddressBytes.isIPv4(descriptor: descriptor), reading: .none, isWatchedForWrite: false,
            segment: 0, interest: 0, readTag: 0, writeTag: 0, readCount: 0, readBase: 0)
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

    /// Makes epoll watch for what the entry wants.
    private mutating func updateInterest(_ slot: Int) {
        var wanted: UInt32 = 0
        if entries[slot].reading != .none { wanted |= UInt32(CURING_READABLE) }
        if entries[slot].isWatchedForWrite { wanted |= UInt32(CURING_WRITABLE) }
        let now = entries[slot].interest
        guard wanted != now else { return }
        systemCalls += 1
        if curing_epoll_watch(epoll, entries[slot].descriptor, UInt32(slot), now, wanted) == 0 { entries[slot].interest = wanted }
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

    private mutating func begin(_ file: KernelFile, _ reading: Reading, _ tag: RequestTag) {
        entries[Int(file.slot)].reading = reading
        entries[Int(file.slot)].readTag = tag.raw
        requests += 1
        updateInterest(Int(file.slot))
    }

    package mutating func acknowledge(_ file: KernelFile) {
        systemCalls += 1
        curing_acknowledge(entries[Int(file.slot)].descriptor)
    }

    package func unsentBytes(_ file: KernelFile) -> Int { Int(curing_unsent_bytes(entries[Int(file.slot)].descriptor)) }

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
    private mutating func finish(_ tag: RequestTag, _ result: Int32) {
        requests -= 1
        unsafe push(
            KernelEvent(tag: tag, result: result))
    }

    @unsafe private mutating func push(_ event: KernelEvent) {
        if unsafe !events.isFull { unsafe events.push(QueuedEvent(event: event)) }
    }

    // MARK: Sends

    package mutating func setSegment(_ file: KernelFile, segmentBytes: Int, bytes: Int) {
        guard let wanted = SegmentOption.change(from: entries[Int(file.slot)].segment, segmentBytes: segmentBytes, bytes: bytes) else {
            return
        }
        flush()
        systemCalls += 1
        if curing_set_segment(entries[Int(file.slot)].descriptor, wanted) == 0 { entries[Int(file.slot)].segment = wanted }
    }

    @unsafe package mutating func sendDatagram(
        _ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, host: HostAddress, port: UInt16, tag: RequestTag
    ) {
        if sendsQueued == sendBatchMax { flush() }
        let place = sendsQueued
        let isIPv4 = entries[Int(file.slot)].isIPv4
        let address = SocketAddressBytes(host: host, port: port, isIPv4Socket: isIPv4)
        unsafe withUnsafePointer(to: address) {
            unsafe curing_batch_put(
                outgoing, UInt32(place), bytes, count, $0, UInt32(SocketAddressBytes.count(isIPv4Socket: isIPv4)))
        }
        sendFiles[place] = entries[Int(file.slot)].descriptor
        sendTags[place] = tag.raw
        sendsQueued += 1
    }

    @unsafe package mutating func sendBytes(_ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, tag: RequestTag) {
        systemCalls += 1
        let sent = unsafe send(entries[Int(file.slot)].descriptor, bytes, count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
        let result = sent < 0 ? -errno : Int32(clamping: sent)
        if !results.isFull { results.push(SendResult(tag: tag, result: result)) }
    }

    package mutating func abort(_ file: KernelFile) {
        guard file != .none else { return }
        systemCalls += 1
        curing_reset_connection(entries[Int(file.slot)].descriptor)
    }

    // Zero copy needs a ring here: MSG_ZEROCOPY's notices come by the socket's error queue, a system call each.
    package var canZeroCopy: Bool { false }
    @unsafe package mutating func register(_ base: UnsafeMutableRawPointer, count: Int, index: Int) -> Bool { false }
    package mutating func unregister(index: Int) {}
    @unsafe package mutating func sendDatagramZeroCopy(
        _ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, host: HostAddress, port: UInt16, buffer: Int, tag: RequestTag
    ) { unsafe sendDatagram(file, bytes, count: count, host: host, port: port, tag: tag) }
    @unsafe package mutating func sendBytesZeroCopy(
        _ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, buffer: Int, tag: RequestTag
    ) { unsafe sendBytes(file, bytes, count: count, tag: tag) }

    @unsafe package mutating func sendGathered(
        _ file: KernelFile, _ vectors: UnsafeMutableRawPointer, vectorCount: Int, tag: RequestTag
    ) {
        systemCalls += 1
        let sent = unsafe curing_send_gathered(entries[Int(file.slot)].descriptor, vectors, UInt32(vectorCount))
        if !results.isFull { results.push(SendResult(tag: tag, result: Int32(clamping: sent))) }
    }

    package mutating func flush() {
        var place = 0
        while place < sendsQueued {
            let descriptor = sendFiles[place]
            var end = place + 1
            while end < sendsQueued, sendFiles[end] == descriptor { end += 1 }
            place = sendGroup(descriptor, from: place, to: end)
        }
        sendsQueued = 0
    }

    /// Sends the messages of one socket; what the kernel refuses becomes a result. A full socket ends the group.
    private mutating func sendGroup(_ descriptor: Int32, from first: Int, to end: Int) -> Int {
        var place = first
        while place < end {
            systemCalls += 1
            let sent = unsafe curing_batch_send(outgoing, descriptor, UInt32(place), UInt32(end))
            if sent > 0 {
                place += Int(sent)
                continue
            }
            let number = -sent
            let isFull = number == EAGAIN || number == ENOBUFS
            let refusedEnd = isFull ? end : place + 1
            while place < refusedEnd {
                if !results.isFull { results.push(SendResult(tag: RequestTag(raw: sendTags[place]), result: -number)) }
                place += 1
            }
        }
        return end
    }

    package mutating func nextSendResult() -> SendResult? { results.pop() }

    // MARK: Completions

    package mutating func wait(nanoseconds: Int64) {
        flush()
        while let slot = stale.pop() { updateInterest(Int(slot)) }
        let milliseconds =
            unsafe events.count > 0 || nanoseconds == 0 ? 0 : nanoseconds < 0 ? -1 : Int32(clamping: (nanoseconds + 999_999) / 1_000_000)
        systemCalls += 1
        let places = unsafe UnsafeMutableRawPointer(ready.pointer(to: 0)).assumingMemoryBound(to: curing_ready.self)
        let count = unsafe curing_epoll_wait(epoll, places, milliseconds)
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

    private mutating func read(_ slot: Int) {
        switch entries[slot].reading {
        case .none: break
        case .datagrams: readDatagrams(slot)
        case .bytes:
            guard let base = unsafe UnsafeMutableRawPointer(bitPattern: entries[slot].readBase) else { return }
            systemCalls += 1
            let count = unsafe recv(entries[slot].descriptor, base, entries[slot].readCount, Int32(MSG_DONTWAIT))
            let number = errno
            if count < 0, number == EAGAIN { return }
            let result = count < 0 ? -number : Int32(truncatingIfNeeded: count)
            entries[slot].reading = .none
            // The worker reads on in the same turn, unless it holds the source back; epoll would report it for ever then.
            if stale.isFull { updateInterest(slot) } else { stale.push(Int32(slot)) }
            finish(RequestTag(raw: entries[slot].readTag), result)
        case .wake:
            var value: UInt64 = 0
            systemCalls += 1
            guard unsafe Glibc.read(entries[slot].descriptor, &value, 8) == 8 else { return }
            if slot == Int(peerFile.slot) {
                return unsafe push(KernelEvent(tag: RequestTag(raw: entries[slot].readTag), result: 0, continues: true))
            }
            entries[slot].reading = .none
            finish(RequestTag(raw: entries[slot].readTag), 8)
        }
    }

    private mutating func readDatagrams(_ slot: Int) {
        var room = 0
        while room < Self.receiveBatch, let buffer = freeBuffers.pop() {
            unsafe curing_batch_lend(incoming, UInt32(room), buffers + Int(buffer) * bufferBytes, bufferBytes)
            lent[room] = buffer
            room += 1
        }
        guard room > 0 else { return }
        systemCalls += 1
        let received = unsafe curing_batch_receive(incoming, entries[slot].descriptor, UInt32(room))
        for place in 0..<room {
            guard place < received, unsafe !events.isFull else {
                freeBuffers.push(lent[place])
                continue
            }
            pushDatagram(slot, place, lent[place])
        }
    }

    private mutating func pushDatagram(_ slot: Int, _ place: Int, _ buffer: Int32) {
        var datagram = unsafe curing_received()
        unsafe curing_batch_received(incoming, UInt32(place), &datagram)
        let sender = unsafe SocketAddressBytes.read(datagram.name, count: Int(datagram.name_bytes))
        var event = unsafe KernelEvent(
            tag: RequestTag(raw: entries[slot].readTag), result: Int32(clamping: datagram.payload_bytes), continues: true)
        unsafe event.payload = sender == nil ? nil : buffers + Int(buffer) * bufferBytes
        unsafe event.payloadCount = Int(datagram.payload_bytes)
        unsafe event.segmentBytes = Int(datagram.segment_bytes)
        unsafe event.isCut = datagram.is_cut
        unsafe event.host = sender?.host ?? .any
        unsafe event.port = sender?.port ?? 0
        unsafe event.buffer = buffer
        unsafe push(event)
    }

    @unsafe package mutating func nextEvent() -> KernelEvent? { unsafe events.pop()?.event }

    package var outstanding: Int { requests + bufferCount - freeBuffers.count }
}

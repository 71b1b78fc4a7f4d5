import Glibc
import PlaneLink

/// What a probe says to a backend, and what it expects to hear: each kind of request once, and a train of datagrams.
struct ProbeConversation {
    let sockets: ProbeSockets
    let calls: ProbeCalls
    /// Kinds of requests that ended, and bytes that came with them.
    private var ended: Set<UInt8> = []
    private var refusal: BackendRefusal?
    private var datagrams: [[UInt8]] = []
    private var streamBytes: Int32 = 0

    private static let nanosecondsMax: UInt64 = 1_000_000_000

    init(sockets: ProbeSockets, calls: ProbeCalls) {
        self.sockets = sockets
        self.calls = calls
    }

    /// Throws what did not work.
    mutating func run<K: Kernel & ~Copyable>(_ kernel: inout K) throws(BackendRefusal) {
        let started = kernel.start()
        guard started == 0 else { throw .call("the start of the ring", -started) }
        try wake(&kernel)
        try stream(&kernel)
        if let datagrams = sockets.datagrams { try converse(&kernel, datagrams.from, datagrams.to, datagrams.port) }
        try until(&kernel, .silent("the end of every request")) { kernel, _ in kernel.outstanding == 0 }
    }

    // MARK: Waiting

    /// Waits for something to be so; throws what the kernel refused meanwhile, or `silent` when the time is over.
    private mutating func until<K: Kernel & ~Copyable>(
        _ kernel: inout K, _ silent: BackendRefusal, _ isSo: (borrowing K, borrowing ProbeConversation) -> Bool
    ) throws(BackendRefusal) {
        let end = monotonicNanoseconds() + Self.nanosecondsMax
        while true {
            take(&kernel)
            if let refusal { throw refusal }
            if isSo(kernel, self) { return }
            guard kernel.failure == 0 else { throw .call(calls.wait, kernel.failure) }
            guard monotonicNanoseconds() < end else { throw silent }
            kernel.wait(nanoseconds: 20_000_000)
        }
    }

    private mutating func take<K: Kernel & ~Copyable>(_ kernel: inout K) {
        while let event = unsafe kernel.nextEvent() {
            unsafe note(event)
            unsafe kernel.recycle(event.buffer)
        }
    }

    @unsafe private mutating func note(_ event: KernelEvent) {
        guard let kind = unsafe event.tag.kind else { return }
        let result = unsafe event.result
        if unsafe !event.continues { ended.insert(kind.rawValue) }
        switch kind {
        case .datagramSource:
            if result < 0, result != -ECANCELED { refuse(.call(calls.receive, -result)) }
            guard let payload = unsafe event.payload else { return }
            let bytes = unsafe Array(UnsafeRawBufferPointer(start: payload, count: event.payloadCount))
            let segment = unsafe event.segmentBytes > 0 ? event.segmentBytes : max(bytes.count, 1)
            for start in stride(from: 0, to: bytes.count, by: segment) { datagrams.append(Array(bytes[start...].prefix(segment))) }
        case .interleavedSource:
            if result < 0 { refuse(.call("a receive", -result)) }
            streamBytes += max(result, 0)
        case .writable, .wake, .peer:
            if result < 0 { refuse(.call(kind == .writable ? "a poll" : kind == .wake ? "a read" : "a message to a ring", -result)) }
        case .send, .cancel, .zeroCopy, .fileRead: break
        }
    }

    private mutating func refuse(_ refusal: BackendRefusal) {
        if self.refusal == nil { self.refusal = refusal }
    }

    private func tag(_ kind: RequestTag.Kind) -> RequestTag { RequestTag(kind, index: 0, generation: 1) }

    private func has(_ kind: RequestTag.Kind) -> Bool { ended.contains(kind.rawValue) }

    private func attach<K: Kernel & ~Copyable>(_ kernel: inout K, _ descriptor: Int32) throws(BackendRefusal) -> KernelFile {
        guard let file = kernel.attach(descriptor: descriptor) else { throw .call("registering a file", EPERM) }
        return file
    }

    // MARK: What is said

    /// A wake-up by the control plane, and one by another worker.
    private mutating func wake<K: Kernel & ~Copyable>(_ kernel: inout K) throws(BackendRefusal) {
        let file = try attach(&kernel, sockets.wake)
        kernel.receiveWake(file, tag: tag(.wake))
        var one: UInt64 = 1
        unsafe _ = write(sockets.wake, &one, 8)
        try until(&kernel, .silent("a wake-up")) { _, heard in heard.has(.wake) }
        kernel.notify(peer: kernel.peerDescriptor)
        kernel.flush()
        var isHeard = false
        let end = monotonicNanoseconds() + Self.nanosecondsMax
        while !isHeard {
            kernel.wait(nanoseconds: 20_000_000)
            while let event = unsafe kernel.nextEvent() {
                if unsafe event.tag.kind == .peer, unsafe event.result >= 0 { isHeard = true } else { unsafe note(event) }
            }
            if let refusal { throw refusal }
            guard kernel.failure == 0 else { throw .call(calls.wait, kernel.failure) }
            guard isHeard || monotonicNanoseconds() < end else { throw .silent("a wake-up by another worker") }
        }
        kernel.detach(file)
    }

    /// Bytes of a connection, gathered and in one piece, and its room.
    private mutating func stream<K: Kernel & ~Copyable>(_ kernel: inout K) throws(BackendRefusal) {
        let near = try attach(&kernel, sockets.near)
        let far = try attach(&kernel, sockets.far)
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 16)
        defer { unsafe room.deallocate() }
        unsafe room.initializeMemory(as: UInt8.self, repeating: 7)
        guard let base = room.baseAddress else { return }
        unsafe kernel.receive(far, into: base + 32, count: 32, tag: tag(.interleavedSource))
        var vectors = unsafe [iovec(iov_base: base, iov_len: 3), iovec(iov_base: base + 3, iov_len: 5)]
        let sent = unsafe vectors.withUnsafeMutableBytes { list -> Int32? in
            guard let start = list.baseAddress else { return nil }
            unsafe kernel.sendGathered(near, start, vectorCount: 2, tag: tag(.send))
            kernel.flush()
            return kernel.nextSendResult()?.result
        }
        try check(sent, 8, "sendmsg on a connection")
        try until(&kernel, .silent("bytes of a connection")) { _, heard in heard.streamBytes == 8 }
        unsafe kernel.sendBytes(near, base, count: 4, tag: tag(.send))
        kernel.flush()
        try check(kernel.nextSendResult()?.result, 4, "a send on a connection")
        kernel.watchWritable(near, tag: tag(.writable))
        try until(&kernel, .silent("word of room in a connection")) { _, heard in heard.has(.writable) }
        kernel.detach(near)
        kernel.detach(far)
    }

    private func check(_ result: Int32?, _ expected: Int32, _ name: String) throws(BackendRefusal) {
        guard let result else { throw .silent("the result of \(name)") }
        if result < 0 { throw .call(name, -result) }
        if result != expected { throw .call(name, EIO) }
    }

    /// One datagram, then a train (or its packets one by one), and the end of the receive.
    private mutating func converse<K: Kernel & ~Copyable>(
        _ kernel: inout K, _ from: Int32, _ to: Int32, _ port: UInt16
    ) throws(BackendRefusal) {
        let sender = try attach(&kernel, from)
        let receiver = try attach(&kernel, to)
        kernel.receiveDatagrams(receiver, tag: tag(.datagramSource))
        let bytes = (0..<250).map { UInt8($0) }
        let sizes = [100, 100, 50]
        try send(&kernel, sender, Array(bytes.prefix(7)), 7, port) { .call($0, $1) }
        try until(&kernel, .silent("a datagram")) { _, heard in heard.datagrams.count == 1 }
        guard datagrams == [Array(bytes.prefix(7))] else { throw .silent("a datagram as it was sent") }
        datagrams = []
        if kernel.segmentsMax > 1 {
            try send(&kernel, sender, bytes, 100, port) { _, number in .trains(number) }
        } else {
            var start = 0
            for size in sizes {
                try send(&kernel, sender, Array(bytes[start..<start + size]), size, port) { .call($0, $1) }
                start += size
            }
        }
        let silent: BackendRefusal = kernel.segmentsMax > 1 ? .trains(0) : .silent("a datagram")
        try until(&kernel, silent) { _, heard in heard.datagrams.reduce(0) { $0 + $1.count } >= 250 }
        guard datagrams.map(\.count) == sizes, datagrams.flatMap(\.self) == bytes else { throw silent }
        kernel.cancel(receiver, tag: tag(.datagramSource))
        try until(&kernel, .silent("the end of a receive")) { _, heard in heard.has(.datagramSource) }
        kernel.detach(sender)
        kernel.detach(receiver)
    }

    private func send<K: Kernel & ~Copyable>(
        _ kernel: inout K, _ file: KernelFile, _ bytes: [UInt8], _ segment: Int, _ port: UInt16,
        _ refusal: (String, Int32) -> BackendRefusal
    ) throws(BackendRefusal) {
        kernel.setSegment(file, segmentBytes: segment, bytes: bytes.count)
        unsafe bytes.withUnsafeBytes { list in
            guard let start = list.baseAddress else { return }
            unsafe kernel.sendDatagram(
                file, start, count: list.count, host: HostAddress(ipv4: 0x7F00_0001), port: port, tag: tag(.send))
            kernel.flush()
        }
        if let result = kernel.nextSendResult() { throw refusal(calls.send, -result.result) }
    }
}

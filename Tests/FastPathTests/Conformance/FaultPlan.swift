import Glibc
import PlaneLink

@testable import FastPath

/// What shall go wrong between a worker and its kernel, and what did. Shared with the test, which runs on the same thread.
final class FaultPlan {
    /// Refuses the n-th send (from 0) with an error number; nil lets it through.
    var refusal: (Int) -> Int32? = { _ in nil }
    /// Has the n-th send to a connection take so many bytes and no more.
    var shortWrite: (Int) -> Int? = { _ in nil }
    /// Ends the receive after the n-th datagram, with this error number.
    var ending: (Int) -> Int32? = { _ in nil }
    /// Has the interface end for good at the n-th wait.
    var death: (Int) -> Int32? = { _ in nil }
    /// Sends without a copy, whatever the kernel beneath can do: it copies, and the memory counts as held all the same.
    var notices: Notices?

    /// When it is told that the kernel is done with what was sent without a copy.
    enum Notices {
        /// At the next wait; some waits later; never.
        case atOnce, late(waits: Int), never
    }

    /// Added to the clock of the kernel beneath.
    var skew: UInt64 = 0
    /// Time that passes in each wait beside what really does.
    var waitSkew: UInt64 = 0

    var sends = 0
    var connectionSends = 0
    var datagrams = 0
    var waits = 0
    /// Faults that were made.
    var injected = 0
    /// Bytes that changed while they were held.
    var spoilt = 0
    /// A wait never lasts longer: tests go on by steps.
    static let waitNanosecondsMax: Int64 = 1_000_000
}

/// Any kernel, with faults: between it and the worker stands the plan.
@safe struct FaultyKernel<Base: Kernel & ~Copyable>: Kernel, ~Copyable {
    private var base: Base
    private let plan: FaultPlan
    private var results: [SendResult] = []
    private var events: [KernelEvent] = unsafe []
    private var died: Int32 = 0
    private var isAbandoned = false
    /// Datagram receives by their tags, and those that are being ended.
    private var receives: [UInt64: KernelFile] = [:]
    private var endings: [UInt64: Int32] = [:]
    /// Memory that counts as the kernel's.
    private var held: [Held] = unsafe []
    /// The tags of this batch's sends without a copy, by reader.
    private var zeroCopyTags: [UInt32: RequestTag] = [:]
    /// Shortened vectors, until they are sent.
    private var shortened: [UnsafeMutableRawPointer] = unsafe []

    @unsafe private struct Held {
        var tag: RequestTag
        var place: UnsafeRawPointer
        var bytes: [UInt8]
        var waits: Int
    }

    init(_ base: consuming Base, _ plan: FaultPlan) {
        self.base = base
        self.plan = plan
    }

    // MARK: As the kernel beneath has it

    mutating func start() -> Int32 { base.start() }
    func clock() -> UInt64 { base.clock() + plan.skew }
    func wallClock() -> UInt64 { base.wallClock() + plan.skew }
    var peerDescriptor: Int32 { base.peerDescriptor }
    mutating func notify(peer: Int32) { if died == 0 { base.notify(peer: peer) } }
    mutating func attach(descriptor: Int32) -> KernelFile? { died == 0 ? base.attach(descriptor: descriptor) : nil }
    mutating func detach(_ file: KernelFile) { base.detach(file) }
    mutating func receiveWake(_ file: KernelFile, tag: RequestTag) { base.receiveWake(file, tag: tag) }
    @unsafe mutating func receive(_ file: KernelFile, into bytes: UnsafeMutableRawPointer, count: Int, tag: RequestTag) {
        if died == 0 { unsafe base.receive(file, into: bytes, count: count, tag: tag) }
    }
    @unsafe mutating func readFile(
        _ file: KernelFile, into bytes: UnsafeMutableRawPointer, count: Int, offset: UInt64, buffer: Int, waits: Bool, tag: RequestTag
    ) {
        if died == 0 { unsafe base.readFile(file, into: bytes, count: count, offset: offset, buffer: buffer, waits: waits, tag: tag) }
    }
    mutating func acknowledge(_ file: KernelFile) { base.acknowledge(file) }
    func unsentBytes(_ file: KernelFile) -> Int { base.unsentBytes(file) }
    mutating func watchWritable(_ file: KernelFile, tag: RequestTag) { base.watchWritable(file, tag: tag) }
    mutating func recycle(_ buffer: Int32) { base.recycle(buffer) }
    mutating func abort(_ file: KernelFile) { base.abort(file) }
    var segmentsMax: Int { base.segmentsMax }
    mutating func setSegment(_ file: KernelFile, segmentBytes: Int, bytes: Int) {
        base.setSegment(file, segmentBytes: segmentBytes, bytes: bytes)
    }
    @unsafe mutating func register(_ memory: UnsafeMutableRawPointer, count: Int, index: Int) -> Bool {
        if plan.notices != nil { return true }
        return unsafe base.register(memory, count: count, index: index)
    }
    mutating func unregister(index: Int) { if plan.notices == nil { base.unregister(index: index) } }
    var sendBatchMax: Int { base.sendBatchMax }
    var systemCalls: UInt64 { base.systemCalls }
    var overflows: UInt64 { base.overflows }
    var outstanding: Int { unsafe isAbandoned ? 0 : base.outstanding + held.count + events.count }

    // MARK: Sends

    /// Whether a send is refused; its result is queued then.
    private mutating func refuses(_ tag: RequestTag) -> Bool {
        defer { plan.sends += 1 }
        if died != 0 { return true }
        guard let number = plan.refusal(plan.sends) else { return false }
        plan.injected += 1
        results.append(SendResult(tag: tag, result: -number))
        return true
    }

    @unsafe mutating func sendDatagram(
        _ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, host: HostAddress, port: UInt16, tag: RequestTag
    ) {
        if !refuses(tag) { unsafe base.sendDatagram(file, bytes, count: count, host: host, port: port, tag: tag) }
    }

    /// How many bytes the next send to a connection may take.
    private mutating func room(_ count: Int) -> Int {
        defer { plan.connectionSends += 1 }
        guard let room = plan.shortWrite(plan.connectionSends), room < count else { return count }
        plan.injected += 1
        return room
    }

    @unsafe mutating func sendBytes(_ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, tag: RequestTag) {
        if !refuses(tag) { unsafe base.sendBytes(file, bytes, count: room(count), tag: tag) }
    }

    @unsafe mutating func sendGathered(_ file: KernelFile, _ vectors: UnsafeMutableRawPointer, vectorCount: Int, tag: RequestTag) {
        if refuses(tag) { return }
        let list = unsafe UnsafeMutableBufferPointer(start: vectors.assumingMemoryBound(to: iovec.self), count: vectorCount)
        let total = unsafe list.reduce(0) { unsafe $0 + $1.iov_len }
        var left = room(total)
        guard left < total else { return unsafe base.sendGathered(file, vectors, vectorCount: vectorCount, tag: tag) }
        let memory = UnsafeMutablePointer<iovec>.allocate(capacity: vectorCount)
        var used = 0
        while left > 0 {
            let part = unsafe min(left, list[used].iov_len)
            unsafe (memory + used).initialize(to: iovec(iov_base: list[used].iov_base, iov_len: part))
            left -= part
            used += 1
        }
        unsafe shortened.append(UnsafeMutableRawPointer(memory))
        unsafe base.sendGathered(file, UnsafeMutableRawPointer(memory), vectorCount: used, tag: tag)
    }

    mutating func flush() {
        if died == 0 { base.flush() }
        while let memory = unsafe shortened.popLast() { unsafe memory.deallocate() }
    }

    mutating func nextSendResult() -> SendResult? {
        if !results.isEmpty { return results.removeFirst() }
        guard let result = base.nextSendResult() else {
            zeroCopyTags.removeAll()
            return nil
        }
        guard result.tag.kind == .send, let tag = zeroCopyTags[result.tag.index] else { return result }
        return SendResult(tag: tag, result: result.result)
    }

    // MARK: Without a copy

    var canZeroCopy: Bool { plan.notices != nil || base.canZeroCopy }

    @unsafe mutating func sendDatagramZeroCopy(
        _ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, host: HostAddress, port: UInt16, buffer: Int, tag: RequestTag
    ) {
        guard plan.notices != nil else {
            if refuses(tag) { return unsafe events.append(KernelEvent(tag: tag, result: 0)) }
            return unsafe base.sendDatagramZeroCopy(file, bytes, count: count, host: host, port: port, buffer: buffer, tag: tag)
        }
        unsafe hold(bytes, count, tag)
        if !refuses(tag) { unsafe base.sendDatagram(file, bytes, count: count, host: host, port: port, tag: plainTag(tag)) }
    }

    @unsafe mutating func sendBytesZeroCopy(_ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, buffer: Int, tag: RequestTag) {
        guard plan.notices != nil else {
            if refuses(tag) { return unsafe events.append(KernelEvent(tag: tag, result: 0)) }
            return unsafe base.sendBytesZeroCopy(file, bytes, count: room(count), buffer: buffer, tag: tag)
        }
        unsafe hold(bytes, count, tag)
        if !refuses(tag) { unsafe base.sendBytes(file, bytes, count: room(count), tag: plainTag(tag)) }
    }

    private mutating func plainTag(_ tag: RequestTag) -> RequestTag {
        zeroCopyTags[tag.index] = tag
        return RequestTag(.send, index: tag.index, generation: 0)
    }

    @unsafe private mutating func hold(_ bytes: UnsafeRawPointer, _ count: Int, _ tag: RequestTag) {
        var waits = 0
        switch plan.notices {
        case .late(let number): waits = number
        case .never: waits = .max
        case .atOnce, nil: break
        }
        if waits > 0 { plan.injected += 1 }
        let copy = unsafe Array(UnsafeRawBufferPointer(start: bytes, count: count))
        unsafe held.append(Held(tag: tag, place: bytes, bytes: copy, waits: waits))
    }

    private mutating func letGo() {
        var place = 0
        while unsafe place < held.count {
            guard unsafe held[place].waits == 0 else {
                if unsafe held[place].waits != .max { unsafe held[place].waits -= 1 }
                place += 1
                continue
            }
            let hold = unsafe held.remove(at: place)
            if unsafe !UnsafeRawBufferPointer(start: hold.place, count: hold.bytes.count).elementsEqual(hold.bytes) { plan.spoilt += 1 }
            unsafe events.append(KernelEvent(tag: hold.tag, result: 1))
        }
    }

    // MARK: Receives and events

    mutating func receiveDatagrams(_ file: KernelFile, tag: RequestTag) {
        guard died == 0 else { return }
        receives[tag.raw] = file
        base.receiveDatagrams(file, tag: tag)
    }

    mutating func cancel(_ file: KernelFile, tag: RequestTag) {
        endings[tag.raw] = nil
        if died == 0 { base.cancel(file, tag: tag) }
    }

    mutating func wait(nanoseconds: Int64) {
        plan.waits += 1
        plan.skew += plan.waitSkew
        if died == 0, let number = plan.death(plan.waits) {
            plan.injected += 1
            died = number
        }
        guard died == 0 else { return }
        letGo()
        let most = FaultPlan.waitNanosecondsMax
        unsafe base.wait(nanoseconds: events.isEmpty ? nanoseconds < 0 ? most : min(nanoseconds, most) : 0)
        while let memory = unsafe shortened.popLast() { unsafe memory.deallocate() }
    }

    @unsafe mutating func nextEvent() -> KernelEvent? {
        guard died == 0 else { return nil }
        if unsafe !events.isEmpty { return unsafe events.removeFirst() }
        guard var event = unsafe base.nextEvent() else { return nil }
        let tag = unsafe event.tag
        guard tag.kind == .datagramSource, let file = receives[tag.raw] else { return unsafe event }
        if unsafe !event.continues {
            receives[tag.raw] = nil
            if let number = endings.removeValue(forKey: tag.raw) { unsafe event.result = -number }
        } else if unsafe event.payload != nil {
            if endings[tag.raw] == nil, let number = plan.ending(plan.datagrams) {
                plan.injected += 1
                endings[tag.raw] = number
                base.cancel(file, tag: tag)
            }
            plan.datagrams += 1
        }
        return unsafe event
    }

    // MARK: The end

    var failure: Int32 { died != 0 ? died : base.failure }

    mutating func abandon() {
        isAbandoned = true
        unsafe held.removeAll()
        unsafe events.removeAll()
        results.removeAll()
        base.abandon()
    }
}

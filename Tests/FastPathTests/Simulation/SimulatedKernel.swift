import Glibc
import PlaneLink

@testable import FastPath

/// A worker's kernel in a simulation. It holds the worker to the contract of ``Kernel``: sends are carried out at the flush and not
/// before, from the memory as it is then; what is held without a copy must stay as it is; a request ends once.
@safe struct SimulatedKernel: Kernel, ~Copyable {
    let state: SimulatedKernelState

    init(_ state: SimulatedKernelState) { self.state = state }

    mutating func start() -> Int32 { 0 }
    func clock() -> UInt64 { state.clock() }
    func wallClock() -> UInt64 { SimulatedStream.unixNanoseconds + state.simulation.time }
    var peerDescriptor: Int32 { Int32(state.worker) }
    mutating func notify(peer: Int32) { state.notifications.append(peer) }

    // MARK: Files

    mutating func attach(descriptor: Int32) -> KernelFile? { state.attach(descriptor) }
    mutating func detach(_ file: KernelFile) { state.detach(file) }

    // MARK: Requests

    mutating func receiveDatagrams(_ file: KernelFile, tag: RequestTag) { state.simulation.fail("a receive nobody asked for") }
    @unsafe mutating func receive(_ file: KernelFile, into bytes: UnsafeMutableRawPointer, count: Int, tag: RequestTag) {
        state.simulation.fail("a receive nobody asked for")
    }
    @unsafe mutating func readFile(
        _ file: KernelFile, into bytes: UnsafeMutableRawPointer, count: Int, offset: UInt64, buffer: Int, waits: Bool, tag: RequestTag
    ) {
        state.simulation.fail("a read nobody asked for")
    }
    mutating func receiveWake(_ file: KernelFile, tag: RequestTag) { state.wakeTag = tag }
    mutating func acknowledge(_ file: KernelFile) {}
    func unsentBytes(_ file: KernelFile) -> Int { state.unsentBytes(file) }
    mutating func watchWritable(_ file: KernelFile, tag: RequestTag) { state.watch(file, tag) }
    mutating func cancel(_ file: KernelFile, tag: RequestTag) { state.cancel(tag) }
    mutating func recycle(_ buffer: Int32) {}

    // MARK: Sends

    var segmentsMax: Int { state.simulation.circumstances.segmentsMax }
    var failure: Int32 { 0 }
    mutating func abandon() {}

    mutating func setSegment(_ file: KernelFile, segmentBytes: Int, bytes: Int) {
        guard let wanted = SegmentOption.change(from: state.segment(of: file), segmentBytes: segmentBytes, bytes: bytes) else { return }
        flush()
        state.setSegment(file, wanted)
    }

    @unsafe mutating func sendDatagram(
        _ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, host: HostAddress, port: UInt16, tag: RequestTag
    ) {
        unsafe state.queue(SimulatedSend(file: file, tag: tag, bytes: bytes, count: count, host: host, port: port))
    }

    @unsafe mutating func sendBytes(_ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, tag: RequestTag) {
        unsafe state.queue(SimulatedSend(file: file, tag: tag, bytes: bytes, count: count))
    }

    @unsafe mutating func sendGathered(_ file: KernelFile, _ vectors: UnsafeMutableRawPointer, vectorCount: Int, tag: RequestTag) {
        unsafe state.queue(SimulatedSend(file: file, tag: tag, bytes: UnsafeRawPointer(vectors), count: 0, vectors: vectorCount))
    }

    mutating func abort(_ file: KernelFile) { state.abort(file) }

    // MARK: Without a copy

    var canZeroCopy: Bool { state.simulation.circumstances.canZeroCopy }

    @unsafe mutating func register(_ base: UnsafeMutableRawPointer, count: Int, index: Int) -> Bool {
        unsafe state.register(UnsafeRawPointer(base), count, index)
    }

    mutating func unregister(index: Int) { state.unregister(index) }

    @unsafe mutating func sendDatagramZeroCopy(
        _ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, host: HostAddress, port: UInt16, buffer: Int, tag: RequestTag
    ) {
        unsafe state.queue(SimulatedSend(file: file, tag: tag, bytes: bytes, count: count, host: host, port: port, buffer: buffer))
    }

    @unsafe mutating func sendBytesZeroCopy(_ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, buffer: Int, tag: RequestTag) {
        unsafe state.queue(SimulatedSend(file: file, tag: tag, bytes: bytes, count: count, buffer: buffer))
    }

    // MARK: Batches and events

    var sendBatchMax: Int { state.simulation.circumstances.sendBatchMax }
    mutating func flush() { state.flush() }
    mutating func nextSendResult() -> SendResult? { state.results.isEmpty ? nil : state.results.removeFirst() }
    mutating func wait(nanoseconds: Int64) { state.wait(nanoseconds) }
    @unsafe mutating func nextEvent() -> KernelEvent? { unsafe state.nextEvent() }
    var outstanding: Int { state.outstanding }
    var systemCalls: UInt64 { 0 }
    var overflows: UInt64 { 0 }
}

/// A send that waits for its flush.
@unsafe struct SimulatedSend {
    var file: KernelFile
    var tag: RequestTag
    var bytes: UnsafeRawPointer
    var count: Int
    var host = HostAddress.any
    /// 0 for a connection.
    var port: UInt16 = 0
    /// `bytes` are so many iovecs, unless 0.
    var vectors = 0
    /// Without a copy: the registered memory, or -1.
    var buffer: Int?
}

import Glibc
import PlaneLink

@testable import FastPath

/// What stands behind one ``SimulatedKernel``, shared with the simulation, which runs on the same thread.
@safe final class SimulatedKernelState {
    unowned let simulation: Simulation
    let worker: Int
    /// The worker's eventfd: set by the control plane, cleared by the read that the worker asked for.
    let wake: SimulatedSignal
    var wakeTag: RequestTag?
    /// Peers to be woken with the next submission.
    var notifications: [Int32] = []
    var isNotified = false
    var results: [SendResult] = []
    /// In this turn the worker would have slept on until then: it must find nothing to do.
    private var sleepsUntil: UInt64 = 0
    /// The worker had something to do at once.
    private(set) var isDue = false

    private struct File {
        var descriptor: Int32
        /// The size at which it cuts, 0 for none.
        var segment: Int32 = 0
        var isOpen = true
    }

    private struct Watch {
        var file: KernelFile
        var tag: RequestTag
    }

    @unsafe private struct Hold {
        var tag: RequestTag
        var place: UnsafeRawPointer
        var bytes: [UInt8]
        var buffer: Int
    }

    private var files: [File] = []
    private var sends: [SimulatedSend] = unsafe []
    private var watches: [Watch] = []
    private var holds: [Hold] = unsafe []
    private var events: [KernelEvent] = unsafe []
    private var registered: [Int: (start: UnsafeRawPointer, count: Int)] = unsafe [:]

    init(_ simulation: Simulation, worker: Int, wake: SimulatedSignal) {
        self.simulation = simulation
        self.worker = worker
        self.wake = wake
    }

    // MARK: Files

    func attach(_ descriptor: Int32) -> KernelFile? {
        if simulation.refusesAttach(descriptor) { return nil }
        files.append(File(descriptor: descriptor))
        return KernelFile(slot: Int32(files.count - 1))
    }

    func detach(_ file: KernelFile) {
        guard file != .none else { return }
        if !files[Int(file.slot)].isOpen { simulation.fail("worker \(worker): a file was detached twice") }
        if watches.contains(where: { $0.file == file }) { simulation.fail("worker \(worker): a watched file was detached") }
        files[Int(file.slot)].isOpen = false
        simulation.detached(files[Int(file.slot)].descriptor)
    }

    func abort(_ file: KernelFile) {
        simulation.aborted(files[Int(file.slot)].descriptor)
    }

    func unsentBytes(_ file: KernelFile) -> Int { simulation.unsentBytes(files[Int(file.slot)].descriptor) }

    func segment(of file: KernelFile) -> Int32 { files[Int(file.slot)].segment }
    func setSegment(_ file: KernelFile, _ bytes: Int32) { files[Int(file.slot)].segment = bytes }

    // MARK: Requests and events

    /// Time passes while a worker works, too.
    func clock() -> UInt64 {
        simulation.workTime()
        return simulation.time
    }

    func watch(_ file: KernelFile, _ tag: RequestTag) {
        if watches.contains(where: { $0.file == file }) { simulation.fail("worker \(worker): a connection is watched twice") }
        watches.append(Watch(file: file, tag: tag))
    }

    func cancel(_ tag: RequestTag) {
        if wakeTag == tag {
            wakeTag = nil
        } else if let place = watches.firstIndex(where: { $0.tag == tag }) {
            watches.remove(at: place)
        } else {
            return  // it has ended: its event is on the way
        }
        unsafe events.append(KernelEvent(tag: tag, result: -ECANCELED))
    }

    /// Tells the worker of watched connections that have room.
    func tellWritable(permille: Int) {
        for watch in watches where simulation.hasRoom(files[Int(watch.file.slot)].descriptor) && simulation.random.happens(permille) {
            watches.removeAll { $0.tag == watch.tag }
            unsafe events.append(KernelEvent(tag: watch.tag, result: 4))
        }
    }

    func wait(_ nanoseconds: Int64) {
        submit()
        if let tag = wakeTag, wake.take() {
            wakeTag = nil
            unsafe events.append(KernelEvent(tag: tag, result: 8))
        }
        isDue = nanoseconds == 0
        let mustWait = unsafe nanoseconds != 0 && events.isEmpty && !isNotified
        sleepsUntil = mustWait ? nanoseconds < 0 ? .max : simulation.time + UInt64(nanoseconds) : 0
        isNotified = false
        if simulation.isRunningDown {
            simulation.time += 1_000_000
            letGo(permille: 300)
        }
    }

    /// The worker's turn is over.
    func endTurn() {
        submit()
        if !results.isEmpty { simulation.fail("worker \(worker): results of sends were not looked at") }
        sleepsUntil = 0
    }

    @unsafe func nextEvent() -> KernelEvent? {
        unsafe events.isEmpty ? nil : events.removeFirst()
    }

    /// What the kernel submits carries the wake-ups of peers with it.
    private func submit() {
        for peer in notifications { simulation.kernels[Int(peer)].isNotified = true }
        notifications.removeAll()
        perform()
    }

    var outstanding: Int { unsafe watches.count + holds.count + events.count + (wakeTag == nil ? 0 : 1) }

    // MARK: Sends

    @unsafe func queue(_ send: SimulatedSend) {
        if unsafe sends.count == simulation.circumstances.sendBatchMax { perform() }
        unsafe sends.append(send)
        if sleepsUntil > simulation.time { simulation.fail("worker \(worker) would have slept, but it had packets to send") }
    }

    func flush() { submit() }

    private func perform() {
        guard unsafe !sends.isEmpty else { return }
        simulation.commandsTaken(by: worker)
        for place in unsafe sends.indices { unsafe perform(sends[place]) }
        unsafe sends.removeAll(keepingCapacity: true)
    }

    @unsafe private func perform(_ send: SimulatedSend) {
        let file = unsafe files[Int(send.file.slot)]
        if !file.isOpen { simulation.fail("worker \(worker): sent to a file that was detached") }
        let result: Int32
        if unsafe send.port != 0 {
            result = unsafe simulation.datagram(
                worker, UnsafeRawBufferPointer(start: send.bytes, count: send.count), option: Int(file.segment), host: send.host,
                port: send.port,
                isRTCP: file.descriptor & 1 == 1)
            if result < 0 { results.append(unsafe SendResult(tag: send.tag, result: result)) }
        } else if unsafe send.vectors > 0 {
            var bytes: [UInt8] = []
            let list = unsafe send.bytes.assumingMemoryBound(to: iovec.self)
            for place in unsafe 0..<send.vectors {
                unsafe bytes += UnsafeRawBufferPointer(start: list[place].iov_base, count: list[place].iov_len)
            }
            result = unsafe bytes.withUnsafeBytes { unsafe simulation.stream(worker, file.descriptor, $0) }
            results.append(unsafe SendResult(tag: send.tag, result: result))
        } else {
            result = unsafe simulation.stream(worker, file.descriptor, UnsafeRawBufferPointer(start: send.bytes, count: send.count))
            results.append(unsafe SendResult(tag: send.tag, result: result))
        }
        if let buffer = unsafe send.buffer { unsafe hold(send, buffer) }
    }

    // MARK: Without a copy

    @unsafe func register(_ start: UnsafeRawPointer, _ count: Int, _ index: Int) -> Bool {
        guard simulation.random.happens(simulation.circumstances.registersPermille) else { return false }
        unsafe registered[index] = unsafe (start, count)
        return true
    }

    func unregister(_ index: Int) {
        if unsafe registered.removeValue(forKey: index) == nil { simulation.fail("worker \(worker): memory was forgotten twice") }
        if unsafe holds.contains(where: { unsafe $0.buffer == index }) { simulation.fail("worker \(worker): memory in use was forgotten") }
    }

    @unsafe private func hold(_ send: SimulatedSend, _ buffer: Int) {
        if buffer >= 0 {
            guard let memory = unsafe registered[buffer], unsafe send.bytes >= memory.start,
                unsafe send.bytes + send.count <= memory.start + memory.count
            else { return simulation.fail("worker \(worker): sent from memory that was not registered as \(buffer)") }
        }
        let bytes = unsafe Array(UnsafeRawBufferPointer(start: send.bytes, count: send.count))
        unsafe holds.append(Hold(tag: send.tag, place: send.bytes, bytes: bytes, buffer: buffer))
    }

    /// Ends zero-copy sends, in any order. Their bytes must be what they were when they were sent.
    func letGo(permille: Int) {
        var place = 0
        while unsafe place < holds.count {
            guard simulation.random.happens(permille) else {
                place += 1
                continue
            }
            let hold = unsafe holds.remove(at: place)
            if unsafe !hold.bytes.withUnsafeBytes({
                unsafe $0.baseAddress.map { unsafe sameBytes($0, hold.place, hold.bytes.count) } ?? true
            }) {
                simulation.fail("worker \(worker): bytes changed while the kernel sent them without a copy")
            }
            let isCopied = simulation.random.happens(simulation.circumstances.copiedPermille)
            unsafe events.append(KernelEvent(tag: hold.tag, result: isCopied ? 1 : 0))
        }
    }

    /// Zero-copy sends that have not ended.
    var holdCount: Int { unsafe holds.count }

    /// Whether the kernel still sends from a stretch of memory.
    @unsafe func holds(from start: UnsafeRawPointer, count: Int) -> Bool {
        unsafe holds.contains { unsafe $0.place >= start && $0.place < start + count }
    }
}

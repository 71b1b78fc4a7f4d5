import Foundation
import Logging
import NIOCore
import NIOPosix
import PlaneLink
import Signalling
import Synchronization
import Testing
import WireFormats

@testable import ControlPlane

/// Bytes in memory whose reading a test holds up, or has fail.
final class ScriptedStorage: PacketStorage, Sendable {
    private struct State {
        var fails = false
        var isHeld = false
        var reads = 0
    }

    private let bytes: [UInt8]
    private let state = Mutex(State())
    private let gate = DispatchSemaphore(value: 0)
    let descriptor: CInt? = nil

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var fails: Bool {
        get { state.withLock { $0.fails } }
        set { state.withLock { $0.fails = newValue } }
    }

    var reads: Int { state.withLock { $0.reads } }

    /// The next read does not end before ``letGo()``.
    func hold() { state.withLock { $0.isHeld = true } }
    func letGo() { gate.signal() }

    func read(at offset: Int64, count: Int) throws(WindowsMediaFile.Trouble) -> [UInt8] {
        let (fails, isHeld) = state.withLock { state in
            state.reads += 1
            defer { state.isHeld = false }
            return (state.fails, state.isHeld)
        }
        if isHeld { gate.wait() }
        if fails { throw WindowsMediaFile.Trouble(description: "a bad sector") }
        let start = Int(clamping: offset)
        return start < bytes.count ? Array(bytes[start..<min(start + count, bytes.count)]) : []
    }
}

/// An engine with one reader of a file, which takes what the test says.
final class FileEngine: EngineControl, @unchecked Sendable {
    // Confined to the event loop.
    let limits = Limits()
    let counters = EngineCounters()
    let workerCount = 1
    let backend = BackendChoice(name: "test", reason: "a test")
    let reportDescriptor: Int32 = -1
    /// Readers find no room.
    var refusesReaders = false
    private(set) var released: UInt32 = 0
    private(set) var reader: SubscriberHandle?
    private var progress: StoredProgress?
    private var waiting: [(buffer: LinkBuffer, packet: UInt32)] = []
    private var reports: [Report] = []
    var onReport: (() -> Void)?

    deinit { counters.free() }

    func wake() {}
    func takeReport() -> Report? { reports.isEmpty ? nil : reports.removeFirst() }

    func report(_ report: Report) {
        reports.append(report)
        onReport?()
    }

    func submit(_ command: Command) -> Bool {
        switch command {
        case .addStoredSubscriber(let handle, _, _, let first, _, let progress):
            if refusesReaders { return false }
            reader = handle
            released = first
            self.progress = progress
        case .releaseStored(_, let packet): released = packet
        case .send(_, let buffer): report(.bufferReturned(buffer))
        case .sendBefore(_, let buffer, let packet), .sendLast(_, let buffer, let packet):
            waiting.append((buffer, packet))
            settle(isAll: false)
        case .pause: settle(isAll: true)
        case .removeSubscriber(let handle):
            settle(isAll: true)
            progress = nil
            report(.subscriberRemoved(handle))
        case .removeStream(let handle): report(.streamRemoved(handle))
        default: break
        }
        return true
    }

    /// The player was sent all before that packet.
    func take(to packet: UInt32) {
        progress?.set(UInt64(packet))
        settle(isAll: false)
    }

    private func settle(isAll: Bool) {
        while let first = waiting.first, isAll || first.packet <= progress?.packet ?? .max {
            waiting.removeFirst()
            report(.bufferReturned(first.buffer))
        }
    }
}

/// A connection that takes everything.
final class FreeLine: StoredLine {
    let isChunked = false
    let incarnation: UInt8 = 1
    let flags: UInt8 = 0
    func sent(_ packets: UInt32) {}
    func whenFree(_ body: @escaping () -> Void) { body() }
    func duplicateDescriptor() throws -> CInt { unsafe open("/dev/null", O_WRONLY | O_CLOEXEC) }
    func handWritesOver(to send: @escaping (_ bytes: [UInt8], _ onLeft: @escaping () -> Void) -> Bool) {}
    func writesReturn() {}
    func writesReturned() {}
    func whenOver(_ body: @escaping () -> Void) { body() }
    func close() {}
}

/// A player of a file on a loop of its own.
final class FilmRig: @unchecked Sendable {
    // All but the loop is used on the loop alone.
    let loop: any EventLoop
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let engine = FileEngine()
    private let content: LongASF.File
    private(set) var files: StoredFiles?
    private(set) var pump: StoredPump?
    private(set) var end: PumpEnd?

    /// Fifteen seconds of a packet a millisecond.
    init() throws {
        loop = group.next()
        content = try LongASF.File(LongASF(packets: 15_000))
    }

    /// Begins to play. With `isFast` all is due at once.
    func start(isFast: Bool = true) throws {
        try loop.submit { [self] in
            let port = EnginePort(engine: engine, eventLoop: loop, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            engine.onReport = { [loop] in loop.assumeIsolated().execute { port.drainReports() } }
            let files = StoredFiles(port: port)
            let file = try WindowsMediaFile.open(content.name)
            var plan = FilePump.Plan(file: file, selection: WMSPSelection(whole: file.header.streamNumbers), packets: 0..<file.packetCount)
            if isFast { plan.fastStart = SendClock.FastStart(milliseconds: 20_000, bitsPerSecond: 1 << 40) }
            let pump = StoredPump(
                FilePump(plan: plan, eventLoop: loop), files: files, line: FreeLine(), port: port, offerMilliseconds: 10)
            pump.write = { _, _ in }
            pump.flush = { true }
            pump.onEnd = { [weak self] (end: PumpEnd) in self?.end = end }
            self.files = files
            self.pump = pump
            pump.start()
        }.wait()
    }

    func run<Value: Sendable>(_ body: @escaping @Sendable (FilmRig) throws -> Value) throws -> Value {
        try loop.submit { try body(self) }.wait()
    }

    /// Waits until something holds.
    func eventually(_ what: Comment, _ condition: @escaping @Sendable (FilmRig) -> Bool) throws {
        for _ in 0..<4_000 {
            if try run(condition) { return }
            usleep(5_000)
        }
        Issue.record(what)
    }

    func stop() throws {
        try loop.submit { [self] in
            pump?.stop()
            pump = nil
            files = nil
        }.wait()
        try group.syncShutdownGracefully()
    }
}

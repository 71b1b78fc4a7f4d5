import Glibc
import NIOCore
import PlaneLink
import WireFormats

/// The files that the engine sends packets from, each once for all of its players. Belongs to the event loop.
final class StoredFiles {
    /// By what one file is told from another, whoever opened it.
    fileprivate struct Key: Hashable {
        var device: UInt64
        var inode: UInt64
        var byteCount: Int64
        var modified: Int64
        var modifiedNanoseconds: Int64
        var packetsOffset: UInt64
        var packetBytes: Int
        /// As the file was when it was opened: it may have changed since.
        var packetCount: UInt32
        var opened: WindowsMediaFile.Version?
    }

    private let port: EnginePort
    private var files: [Key: StoredFile] = [:]

    /// By which all of its players are woken.
    let ticks: StoredTicks

    init(port: EnginePort) {
        self.port = port
        ticks = StoredTicks(port.eventLoop)
    }

    /// How many there are, those that the engine has not let go of yet among them; no more than ``Limits/storedFilesMax``.
    private(set) var count = 0
    /// Plays that a pump began to send because there were too many, or the engine had no room; and those of them that the engine took later.
    private(set) var refused = 0, takenLater = 0
    /// Stretches whose send times were read, of files that are gone, and of all.
    private var timesReadBefore = 0
    var timesRead: Int { files.values.reduce(timesReadBefore) { $0 + $1.times.loads } }
    /// Such that were let go of to make room for others.
    private var timesDroppedBefore = 0
    var timesDropped: Int { files.values.reduce(timesDroppedBefore) { $0 + $1.times.drops } }

    /// Whether the engine may send from a file.
    func takes(_ file: WindowsMediaFile) -> Bool { port.engine.sendsFiles && plan(file) != nil }

    private func plan(_ file: WindowsMediaFile) -> StoredPlan? {
        guard let place = file.stored else { return nil }
        return StoredPlan(
            descriptor: place.descriptor, device: file.device, offset: place.packetsOffset, packetBytes: file.header.packetBytes,
            packetCount: file.packetCount,
            blockBytes: StoredFile.blockBytes(file.header), limits: port.engine.limits)
    }

    /// A file for one more player. Throws ``EnginePort/Refusal``.
    func enter(_ file: WindowsMediaFile) throws -> StoredFile {
        var facts = stat()
        guard let plan = plan(file), unsafe fstat(plan.descriptor, &facts) == 0 else { throw EnginePort.Refusal.queueFull }
        let key = Key(
            device: UInt64(facts.st_dev), inode: UInt64(facts.st_ino), byteCount: Int64(facts.st_size),
            modified: Int64(facts.st_mtim.tv_sec), modifiedNanoseconds: Int64(facts.st_mtim.tv_nsec), packetsOffset: plan.offset,
            packetBytes: Int(plan.packetBytes), packetCount: plan.packetCount, opened: file.version)
        if let known = files[key] {
            known.players += 1
            return known
        }
        // Live streams are to find room beside any number of files.
        let filesMax = port.engine.limits.storedFilesMax
        guard count < filesMax else { throw EnginePort.Refusal.noHandle(kind: "stored-files", max: filesMax) }
        let stored = try StoredFile(file, plan, key, port: port) { [weak self] in self?.count -= 1 }
        count += 1
        files[key] = stored
        return stored
    }

    /// Reads of send times that were waited for too long, of files that are gone, and of all.
    private var timesOverdueBefore = 0
    var timesOverdue: Int { files.values.reduce(timesOverdueBefore) { $0 + $1.times.overdue } }

    /// A play stays with its pump, for now.
    func countRefused() { refused += 1 }

    /// The engine has taken such a play.
    func countTakenLater() { takenLater += 1 }

    /// A player has left it.
    func leave(_ stored: StoredFile) {
        stored.players -= 1
        guard stored.players == 0 else { return }
        timesReadBefore += stored.times.loads
        timesDroppedBefore += stored.times.drops
        timesOverdueBefore += stored.times.overdue
        if files[stored.key] === stored { files[stored.key] = nil }
        stored.remove()
    }
}

/// A file in the engine.
final class StoredFile: StreamDelegate {
    let file: WindowsMediaFile
    let plan: StoredPlan
    let times: PacketTimes
    fileprivate(set) var handle = StreamHandle(index: .max, generation: 0)
    fileprivate var players = 1
    fileprivate let key: StoredFiles.Key
    private let port: EnginePort

    /// So much of the content is read and sent at once: so much earlier than it is due the last of it goes.
    static let blockMilliseconds = 250

    /// The bytes of that at the file's bit rate.
    static func blockBytes(_ header: ASFHeader) -> Int {
        let rate = min(max(UInt64(header.file.bitrateMax), 8_000), 1 << 33)
        return Int(rate) / 8 * blockMilliseconds / 1_000
    }

    fileprivate init(
        _ file: WindowsMediaFile, _ plan: StoredPlan, _ key: StoredFiles.Key, port: EnginePort, onRemoved: @escaping () -> Void
    ) throws {
        self.file = file
        self.key = key
        self.plan = plan
        self.port = port
        times = PacketTimes(
            file, blockPackets: plan.blockPackets, patience: .nanoseconds(Int64(clamping: port.engine.limits.storedWaitNanoseconds)),
            on: port.eventLoop)
        // The file stays open until the engine let go of it.
        handle = try port.addStoredStream(plan, delegate: self) { withExtendedLifetime(file, onRemoved) }.handle
    }

    fileprivate func remove() { port.submitAlways(.removeStream(handle)) }

    func senderReport(track: Int, ssrc: UInt32, ntp: UInt64, rtpTime: UInt32) {}
    func sourceBye(track: Int) {}
    func parameterSets(track: Int) {}
    func packetTooLarge(track: Int, bytes: Int) {}
}

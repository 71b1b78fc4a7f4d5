import Foundation
import Glibc
import Synchronization

@testable import ControlPlane

/// The system's files, with a disk that refuses when it is told to, and that can lose its power.
///
/// Until a file is brought to the disk (`sync`) what was written to it may be there or not, write by write, when the power goes; until a
/// directory is, the names that were given, taken away and moved in it may be as they were. What was there before is remembered, and put back
/// for a random half of the writes and names.
final class FaultyFiles: CacheFiles {
    /// A call that may be refused.
    enum Call: Hashable, Sendable { case write, sync, open, remove, rename }

    private struct Write {
        let path: String
        let offset: Int64
        let before: [UInt8]
        let lengthBefore: Int64
    }

    /// A change of a directory that is not on the disk yet.
    private enum Change {
        /// A file or a directory was made.
        case made(String)
        case removed(String, [UInt8])
        /// A file took a name, under which there were these bytes; nil: nothing.
        case renamed(String, before: [UInt8]?)

        var path: String {
            switch self {
            case .made(let path), .removed(let path, _), .renamed(let path, _): path
            }
        }
        var directory: String { path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "." }
    }

    private struct State {
        var refusals: [Call: (after: Int, number: CInt)] = [:]
        var calls: [Call: Int] = [:]
        var paths: [CInt: String] = [:]
        /// Not on the disk yet, in their order.
        var writes: [Write] = []
        /// Names that are not on the disk yet as they are, in the order in which that came about.
        var changes: [Change] = []
        /// Directories that were brought to the disk.
        var synced: [String] = []
        var free: Int64?
        var onClose: (@Sendable () -> Void)?
    }

    private let system = SystemFiles()
    private let root: String
    private let state = Mutex(State())

    init(_ root: String) { self.root = root }

    /// From the `after`th call of that kind on (0: the next), it fails.
    func refuse(_ call: Call, after: Int = 0, _ number: CInt) {
        state.withLock { $0.refusals[call] = (after, number) }
    }

    func refuseNothing() { state.withLock { $0.refusals = [:] } }
    func setFree(_ bytes: Int64?) { state.withLock { $0.free = bytes } }
    func calls(_ call: Call) -> Int { state.withLock { $0.calls[call] ?? 0 } }
    /// The directories that were brought to the disk so far, in order; `.` is the cache's own, `..` the one above.
    var synced: [String] { state.withLock { $0.synced } }
    /// Is called once, with the next file that is closed.
    func onNextClose(_ body: @escaping @Sendable () -> Void) { state.withLock { $0.onClose = body } }

    private func count(_ call: Call) throws(SystemRefusal) {
        let number = state.withLock { state -> CInt in
            state.calls[call, default: 0] += 1
            guard let refusal = state.refusals[call] else { return 0 }
            guard refusal.after <= 0 else {
                state.refusals[call]?.after -= 1
                return 0
            }
            return refusal.number
        }
        if number != 0 { throw SystemRefusal(call: "\(call)", number: number) }
    }

    func open(_ name: String, in directory: CInt, _ flags: CInt) throws(SystemRefusal) -> CInt {
        try count(.open)
        let isNew = flags & O_CREAT != 0 && !isThere(name)
        // What stands before a write is read first, also where the cache itself only writes.
        let descriptor = try system.open(name, in: directory, flags & O_ACCMODE == O_WRONLY ? flags & ~O_ACCMODE | O_RDWR : flags)
        state.withLock { state in
            state.paths[descriptor] = name
            if isNew { state.changes.append(.made(name)) }
        }
        return descriptor
    }

    func makeDirectory(_ name: String, in directory: CInt) throws(SystemRefusal) {
        let isNew = !isThere(name)
        try system.makeDirectory(name, in: directory)
        if isNew { state.withLock { $0.changes.append(.made(name)) } }
    }

    private func isThere(_ name: String) -> Bool { unsafe access("\(root)/\(name)", F_OK) == 0 }
    private func bytes(_ name: String) -> [UInt8]? { FileManager.default.contents(atPath: "\(root)/\(name)").map { [UInt8]($0) } }

    func write(_ bytes: ArraySlice<UInt8>, to descriptor: CInt, at offset: Int64) throws(SystemRefusal) {
        let path = state.withLock { $0.paths[descriptor] } ?? "?"
        let before = try system.read(descriptor, at: offset, count: bytes.count)
        var facts = stat()
        _ = unsafe fstat(descriptor, &facts)
        let length = Int64(facts.st_size)
        state.withLock { $0.writes.append(Write(path: path, offset: offset, before: before, lengthBefore: length)) }
        do throws(SystemRefusal) { try count(.write) } catch {
            // A disk that is full takes a part first.
            try system.write(bytes.prefix(bytes.count / 2), to: descriptor, at: offset)
            throw error
        }
        try system.write(bytes, to: descriptor, at: offset)
    }

    func read(_ descriptor: CInt, at offset: Int64, count: Int) throws(SystemRefusal) -> [UInt8] {
        try system.read(descriptor, at: offset, count: count)
    }

    func setLength(_ descriptor: CInt, _ length: Int64) throws(SystemRefusal) { try system.setLength(descriptor, length) }

    func sync(_ descriptor: CInt) throws(SystemRefusal) {
        try count(.sync)
        try system.sync(descriptor)
        state.withLock { state in
            let path = state.paths[descriptor]
            state.writes.removeAll { $0.path == path }
        }
    }

    func syncDirectory(_ name: String, in directory: CInt) throws(SystemRefusal) {
        try count(.sync)
        try system.syncDirectory(name, in: directory)
        state.withLock { state in
            state.synced.append(name)
            state.changes.removeAll { $0.directory == name }
        }
    }

    func rename(_ name: String, to newName: String, in directory: CInt) throws(SystemRefusal) {
        try count(.rename)
        let before = bytes(newName)
        try system.rename(name, to: newName, in: directory)
        state.withLock { state in
            state.changes.removeAll { $0.path == name }
            state.changes.append(.renamed(newName, before: before))
        }
    }

    func remove(_ name: String, in directory: CInt) throws(SystemRefusal) {
        try count(.remove)
        let before = bytes(name)
        try system.remove(name, in: directory)
        state.withLock { state in
            state.writes.removeAll { $0.path == name }
            let count = state.changes.count
            state.changes.removeAll { $0.path == name }
            // What was never on the disk does not come back.
            if count == state.changes.count, let before { state.changes.append(.removed(name, before)) }
        }
    }

    func names(in folder: String, of directory: CInt) throws(SystemRefusal) -> [String] { try system.names(in: folder, of: directory) }
    func close(_ descriptor: CInt) {
        system.close(descriptor)
        let onClose = state.withLock { state in
            defer { state.onClose = nil }
            return state.onClose
        }
        onClose?()
    }

    func freeBytes(_ directory: CInt) throws(SystemRefusal) -> Int64 {
        if let free = state.withLock({ $0.free }) { return free }
        return try system.freeBytes(directory)
    }

    func forget(_ descriptor: CInt, at offset: Int64, count: Int) { system.forget(descriptor, at: offset, count: count) }

    /// The power goes: of what is not on the disk for sure, some writes never happened, and some names are as they were. Whoever has files
    /// open is gone by then. Returns how many writes and names were lost.
    func losePower(_ random: inout some RandomNumberGenerator) -> (writes: Int, names: Int) {
        let (writes, changes) = state.withLock { state in
            defer {
                state.writes = []
                state.changes = []
            }
            return (state.writes, state.changes)
        }
        var lost = (writes: 0, names: 0)
        // Backwards, so that what stood before a later write is not put over what stood before an earlier one.
        for write in writes.reversed() where Bool.random(using: &random) {
            let descriptor = unsafe Glibc.open("\(root)/\(write.path)", O_RDWR)
            guard descriptor >= 0 else { continue }
            // Some of a write may be there without the rest of it.
            let length = Bool.random(using: &random) ? write.before.count : write.before.count / 2
            _ = unsafe write.before.withUnsafeBytes { unsafe pwrite(descriptor, $0.baseAddress, length, Int(write.offset)) }
            if length == 0 || write.offset + Int64(length) >= write.lengthBefore { _ = ftruncate(descriptor, Int(write.lengthBefore)) }
            _ = Glibc.close(descriptor)
            lost.writes += 1
        }
        for change in changes.reversed() where Bool.random(using: &random) {
            let path = "\(root)/\(change.path)"
            switch change {
            case .made, .renamed(_, before: nil): try? FileManager.default.removeItem(atPath: path)
            case .removed(_, let bytes), .renamed(_, before: let bytes?):
                _ = FileManager.default.createFile(atPath: path, contents: Data(bytes))
            }
            lost.names += 1
        }
        return lost
    }
}

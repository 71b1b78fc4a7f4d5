import Glibc
import Synchronization

/// The directory of a cache, held open, and the lock by which one process alone writes it. The kernel lets go of it when the process ends,
/// however it ends.
final class CacheLock: Sendable {
    /// The directory; all names are looked up below it. Open as long as this is held.
    let directory: CInt
    private let lock: Mutex<CInt>

    private init(directory: CInt, lock: CInt) {
        self.directory = directory
        self.lock = Mutex(lock)
    }

    deinit {
        release()
        close(directory)
    }

    /// Makes the directory where it is not there. Throws ``CacheTrouble``: `.directory`, `.inUse`.
    static func take(_ path: String, files: any CacheFiles) throws(CacheTrouble) -> CacheLock {
        guard !path.isEmpty else { throw CacheTrouble(.directory, "the cache has no directory; name one with cache-dir") }
        let isNew = unsafe mkdir(path, 0o700) == 0
        guard isNew || errno == EEXIST else {
            let number = errno
            throw CacheTrouble(.directory, "the cache's directory \(path) cannot be made: \(words(number))\(remedy(number, path))")
        }
        let directory = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw CacheTrouble(.directory, "the cache's directory \(path) cannot be opened: \(words(errno))") }
        // Its own name; who may not read the directory above cannot do that.
        if isNew { try? files.syncDirectory("..", in: directory) }
        let lock = unsafe openat(directory, CacheLayout.lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard lock >= 0 else {
            let number = errno
            close(directory)
            throw CacheTrouble(
                .directory, "\(path)/\(CacheLayout.lock) cannot be opened: \(words(number))\(remedy(number, path))")
        }
        var region = region
        guard unsafe fcntl(lock, setLock, &region) == 0 else {
            let number = errno
            let isHeld = number == EAGAIN || number == EACCES
            let holder = isHeld ? holder(lock) : nil
            close(lock)
            close(directory)
            guard isHeld else { throw CacheTrouble(.directory, "\(path) cannot be locked: \(words(number))") }
            throw CacheTrouble(
                .inUse,
                "the cache \(path) is written by another relay\(holder.map { " (process \($0))" } ?? ""): end it, or give each its own directory"
            )
        }
        let text = Array("\(getpid())\n".utf8)
        _ = ftruncate(lock, 0)
        _ = unsafe text.withUnsafeBytes { unsafe pwrite(lock, $0.baseAddress, $0.count, 0) }
        return CacheLock(directory: directory, lock: lock)
    }

    /// Another may take it. Does nothing when it was let go of before.
    func release() {
        lock.withLock { lock in
            if lock >= 0 {
                // Not by closing it alone: a program that is being started has it open, too, until it is.
                var region = Self.region
                region.l_type = Int16(F_UNLCK)
                _ = unsafe fcntl(lock, Self.setLock, &region)
                close(lock)
            }
            lock = -1
        }
    }

    /// The process that writes a cache now; nil: none does. Looks without taking the lock: no relay that starts meanwhile is turned away.
    static func owner(_ path: String) -> Int? {
        let lock = unsafe open("\(path)/\(CacheLayout.lock)", O_RDWR | O_CLOEXEC)
        guard lock >= 0 else { return nil }
        defer { close(lock) }
        var region = region
        guard unsafe fcntl(lock, getLock, &region) == 0, region.l_type != Int16(F_UNLCK) else { return nil }
        return holder(lock) ?? 0
    }

    /// Locks of open file descriptions (Linux): they end with the descriptor, not with any descriptor of the file, and can be looked at.
    private static let getLock: CInt = 36
    private static let setLock: CInt = 37
    private static var region: Glibc.flock {
        Glibc.flock(l_type: Int16(F_WRLCK), l_whence: Int16(SEEK_SET), l_start: 0, l_len: 0, l_pid: 0)
    }

    /// Who wrote its number into the lock.
    private static func holder(_ lock: CInt) -> Int? {
        var buffer = [UInt8](repeating: 0, count: 20)
        let count = unsafe buffer.withUnsafeMutableBytes { unsafe pread(lock, $0.baseAddress, $0.count, 0) }
        guard count > 0 else { return nil }
        return Int(String(decoding: buffer[..<count].prefix { $0 != 0x0A }, as: UTF8.self))
    }

    /// What to do about a directory that cannot be written.
    static func remedy(_ number: CInt, _ path: String) -> String {
        switch number {
        case EROFS: "; it is on a file system that can only be read: mount it for writing, or name another directory with cache-dir"
        case ENOSPC, EDQUOT: "; make room there (df \(path)), or name another directory with cache-dir"
        case EACCES, EPERM: "; the user of this process (\(geteuid())) has to be able to write there, or name another with cache-dir"
        case ENOENT: "; the directory above it has to be there"
        default: ""
        }
    }

    private static func words(_ errorNumber: CInt) -> String { unsafe String(cString: strerror(errorNumber)) }
}

import Glibc

/// A call that the system refused.
struct SystemRefusal: Error, Equatable, CustomStringConvertible {
    let call: String
    let number: CInt
    var description: String { unsafe "\(call): \(String(cString: strerror(number)))" }
    /// The disk (or the user's share of it) is full.
    var isFull: Bool { number == ENOSPC || number == EDQUOT || number == EFBIG }
}

/// The calls by which the cache touches its files, apart from the index. Names are those of ``CacheLayout``, below a directory that is held
/// open: nobody can move the cache under it. All block. Tests put a disk in between that is full, breaks or loses power.
protocol CacheFiles: Sendable {
    func open(_ name: String, in directory: CInt, _ flags: CInt) throws(SystemRefusal) -> CInt
    /// Nothing happens where it is there.
    func makeDirectory(_ name: String, in directory: CInt) throws(SystemRefusal)
    /// All of the bytes, or it throws.
    func write(_ bytes: ArraySlice<UInt8>, to descriptor: CInt, at offset: Int64) throws(SystemRefusal)
    /// As many bytes as there are, `count` at most.
    func read(_ descriptor: CInt, at offset: Int64, count: Int) throws(SystemRefusal) -> [UInt8]
    func setLength(_ descriptor: CInt, _ length: Int64) throws(SystemRefusal)
    /// What was written is on the disk when it returns, and the length with it.
    func sync(_ descriptor: CInt) throws(SystemRefusal)
    /// The names in a directory are on the disk when it returns.
    func syncDirectory(_ name: String, in directory: CInt) throws(SystemRefusal)
    func rename(_ name: String, to newName: String, in directory: CInt) throws(SystemRefusal)
    /// Nothing happens where it is not there.
    func remove(_ name: String, in directory: CInt) throws(SystemRefusal)
    func close(_ descriptor: CInt)
    /// The names in a directory, without `.` and `..`; none where it is not there.
    func names(in folder: String, of directory: CInt) throws(SystemRefusal) -> [String]
    /// Bytes that a program without privileges may still fill.
    func freeBytes(_ directory: CInt) throws(SystemRefusal) -> Int64
    /// The next read comes from the disk, where it can.
    func forget(_ descriptor: CInt, at offset: Int64, count: Int)
}

/// The system itself.
struct SystemFiles: CacheFiles {
    func open(_ name: String, in directory: CInt, _ flags: CInt) throws(SystemRefusal) -> CInt {
        let descriptor = unsafe openat(directory, name, flags | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw SystemRefusal(call: "open \(name)", number: errno) }
        return descriptor
    }

    func makeDirectory(_ name: String, in directory: CInt) throws(SystemRefusal) {
        guard unsafe mkdirat(directory, name, 0o700) == 0 || errno == EEXIST else {
            throw SystemRefusal(call: "mkdir \(name)", number: errno)
        }
    }

    func write(_ bytes: ArraySlice<UInt8>, to descriptor: CInt, at offset: Int64) throws(SystemRefusal) {
        var failure: CInt = 0
        unsafe bytes.withUnsafeBytes { buffer in
            var written = 0
            while written < buffer.count {
                let count = unsafe pwrite(
                    descriptor, buffer.baseAddress.map { unsafe $0 + written }, buffer.count - written, Int(offset) + written)
                if count < 0, errno == EINTR { continue }
                guard count > 0 else {
                    failure = count < 0 ? errno : EIO
                    return
                }
                written += count
            }
        }
        if failure != 0 { throw SystemRefusal(call: "write", number: failure) }
    }

    func read(_ descriptor: CInt, at offset: Int64, count: Int) throws(SystemRefusal) -> [UInt8] {
        guard offset >= 0, count > 0 else { return [] }
        var failure: CInt = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            filled = 0
            while filled < count {
                let got = unsafe pread(descriptor, buffer.baseAddress.map { unsafe $0 + filled }, count - filled, Int(offset) + filled)
                if got < 0, errno == EINTR { continue }
                if got < 0 { failure = errno }
                guard got > 0 else { break }
                filled += got
            }
        }
        if failure != 0 { throw SystemRefusal(call: "read", number: failure) }
        return bytes
    }

    func setLength(_ descriptor: CInt, _ length: Int64) throws(SystemRefusal) {
        guard ftruncate(descriptor, Int(length)) == 0 else { throw SystemRefusal(call: "ftruncate", number: errno) }
    }

    // Not fsync: times of a file are of no use to the cache. fdatasync does write a length that is needed to read what was written.
    func sync(_ descriptor: CInt) throws(SystemRefusal) {
        guard fdatasync(descriptor) == 0 else { throw SystemRefusal(call: "fdatasync", number: errno) }
    }

    func syncDirectory(_ name: String, in directory: CInt) throws(SystemRefusal) {
        let descriptor = try open(name, in: directory, O_RDONLY | O_DIRECTORY)
        defer { close(descriptor) }
        // Some file systems have nothing to do there and say so.
        guard fsync(descriptor) == 0 || errno == EINVAL || errno == EROFS else { throw SystemRefusal(call: "fsync \(name)", number: errno) }
    }

    func rename(_ name: String, to newName: String, in directory: CInt) throws(SystemRefusal) {
        guard unsafe renameat(directory, name, directory, newName) == 0 else { throw SystemRefusal(call: "rename \(name)", number: errno) }
    }

    func remove(_ name: String, in directory: CInt) throws(SystemRefusal) {
        guard unsafe unlinkat(directory, name, 0) == 0 || errno == ENOENT else {
            throw SystemRefusal(call: "unlink \(name)", number: errno)
        }
    }

    func names(in folder: String, of directory: CInt) throws(SystemRefusal) -> [String] {
        let descriptor: CInt
        do { descriptor = try open(folder, in: directory, O_RDONLY | O_DIRECTORY) } catch {
            if error.number == ENOENT { return [] }
            throw error
        }
        guard let stream = unsafe fdopendir(descriptor) else {
            close(descriptor)
            throw SystemRefusal(call: "opendir \(folder)", number: errno)
        }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    func close(_ descriptor: CInt) { _ = Glibc.close(descriptor) }

    func freeBytes(_ directory: CInt) throws(SystemRefusal) -> Int64 {
        var facts = statvfs()
        guard unsafe fstatvfs(directory, &facts) == 0 else { throw SystemRefusal(call: "statvfs", number: errno) }
        return Int64(clamping: UInt64(facts.f_bavail).multipliedReportingOverflow(by: UInt64(facts.f_frsize)).partialValue)
    }

    func forget(_ descriptor: CInt, at offset: Int64, count: Int) {
        _ = posix_fadvise(descriptor, Int(offset), count, POSIX_FADV_DONTNEED)
    }
}

/// Names below the cache's directory. None is made from what a peer said.
enum CacheLayout {
    static let lock = "lock"
    static let index = "index.sqlite"
    static let pins = "pins"
    static let objects = "objects"

    /// The folder of an object below `objects`: 256 of them.
    static func folder(_ id: String) -> String { "\(objects)/\(id.prefix(2))" }
    static func data(_ id: String, _ kind: CacheKind) -> String { "\(folder(id))/\(id).\(kind.fileExtension)" }
    static func side(_ id: String) -> String { "\(folder(id))/\(id).side" }

    /// A new identity.
    static func newID() -> String {
        var generator = SystemRandomNumberGenerator()
        return hexadecimal(generator.next()) + hexadecimal(generator.next())
    }

    static func isID(_ text: some StringProtocol) -> Bool {
        text.utf8.count == 32 && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }

    static func hexadecimal(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// Bytes that an object is charged with: what lies on the disk, in blocks of 4 KiB; its checksums as many as so many units get when they
    /// are filled from one end to the other.
    static func charge(headBytes: Int, unitBytes: Int, units: Int) -> Int64 {
        let extents = Int64(units / max(1, CacheLimits.extentBytesMax / max(1, unitBytes))).plus(1)
        let data = Int64(headBytes).plus(Int64(units).times(Int64(unitBytes)))
        let side = Int64(4_096).plus(extents.times(Int64(SideFile.extentBytes)))
        return blocks(data).plus(blocks(side))
    }

    private static func blocks(_ bytes: Int64) -> Int64 { bytes.plus(4_095) & ~4_095 }
}

/// Numbers that come from a disk may be anything: what is reckoned with them ends at the largest number there is, and never traps.
extension Int64 {
    func plus(_ other: Int64) -> Int64 {
        let (sum, overflows) = addingReportingOverflow(other)
        return overflows ? (other > 0 ? .max : .min) : sum
    }

    func minus(_ other: Int64) -> Int64 {
        let (rest, overflows) = subtractingReportingOverflow(other)
        return overflows ? (other < 0 ? .max : .min) : rest
    }

    func times(_ other: Int64) -> Int64 {
        let (product, overflows) = multipliedReportingOverflow(by: other)
        return overflows ? ((self < 0) == (other < 0) ? .max : .min) : product
    }

    /// What is left, never below nothing.
    func less(_ other: Int64) -> Int64 { Swift.max(0, minus(other)) }
}

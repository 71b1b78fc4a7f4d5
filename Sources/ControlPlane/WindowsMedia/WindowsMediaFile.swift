import Glibc
import WireFormats

/// An open ASF file: its header, and where its packets lie. Reading blocks: not on the event loop.
final class WindowsMediaFile: Sendable {
    /// A file that cannot be served, in words.
    struct Trouble: Error, CustomStringConvertible {
        let description: String
    }

    let name: String
    let header: ASFHeader
    /// Bytes of the file, and when it was changed last (seconds since 1970): what is served is this version of it.
    let byteCount: Int64
    let modified: Int64
    /// Whole packets that lie in the file.
    let packetCount: UInt32
    private let inode: UInt64
    private let descriptor: CInt

    private init(name: String, header: ASFHeader, facts: stat, descriptor: CInt) {
        self.name = name
        self.header = header
        self.descriptor = descriptor
        byteCount = Int64(facts.st_size)
        modified = Int64(facts.st_mtim.tv_sec)
        inode = UInt64(facts.st_ino)
        packetCount = Self.packets(of: header, fileBytes: byteCount)
    }

    deinit { close(descriptor) }

    /// Packets that the file holds: what its size has room for, but not what lies behind the Data Object (an index), if that says how
    /// large it is. A part of a packet at the end is none.
    private static func packets(of header: ASFHeader, fileBytes: Int64) -> UInt32 {
        var bytes = max(fileBytes - Int64(header.bytes.count), 0)
        if !header.file.isBroadcast, header.data.byteCount > UInt64(ASFDataHead.byteCount) {
            bytes = min(bytes, Int64(clamping: header.data.byteCount - UInt64(ASFDataHead.byteCount)))
        }
        return UInt32(clamping: bytes / Int64(header.packetBytes))
    }

    /// Opens a file and reads its header.
    static func open(_ name: String) throws(Trouble) -> WindowsMediaFile {
        let descriptor = unsafe Glibc.open(name, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Trouble(description: "cannot open \(name): \(words(errno))") }
        do throws(Trouble) {
            var facts = stat()
            guard unsafe fstat(descriptor, &facts) == 0 else { throw Trouble(description: "cannot look at \(name): \(words(errno))") }
            guard facts.st_mode & S_IFMT == S_IFREG else { throw Trouble(description: "\(name) is no file") }
            let header = try readHeader(name, descriptor)
            let file = WindowsMediaFile(name: name, header: header, facts: facts, descriptor: descriptor)
            guard file.packetCount > 0 else { throw Trouble(description: "\(name) holds no packet: its header is all there is") }
            return file
        } catch {
            close(descriptor)
            throw error
        }
    }

    private static func readHeader(_ name: String, _ descriptor: CInt) throws(Trouble) -> ASFHeader {
        var bytes: [UInt8] = []
        do {
            var needed = try ASFHeader.bytesNeeded(bytes.span)
            while bytes.count < needed {
                let more = try read(name, descriptor, at: Int64(bytes.count), count: needed - bytes.count)
                bytes += more
                if more.isEmpty { throw Trouble(description: "\(name) ends within its header: it has \(bytes.count) of \(needed) bytes") }
                needed = try ASFHeader.bytesNeeded(bytes.span)
            }
            return try ASFHeader(bytes.span)
        } catch let error as Trouble {
            throw error
        } catch {
            throw Trouble(description: "\(name): \(error)")
        }
    }

    /// Whether the file of that name is still this one.
    var isCurrent: Bool {
        var facts = stat()
        guard unsafe stat(name, &facts) == 0 else { return false }
        return UInt64(facts.st_ino) == inode && Int64(facts.st_size) == byteCount && Int64(facts.st_mtim.tv_sec) == modified
    }

    /// The packets of that range, as far as they are there.
    func read(packets range: Range<UInt32>) throws(Trouble) -> [UInt8] {
        let size = header.packetBytes
        let bytes = try Self.read(
            name, descriptor, at: Int64(header.bytes.count) + Int64(range.lowerBound) * Int64(size), count: range.count * size)
        return bytes.count % size == 0 ? bytes : Array(bytes[..<(bytes.count / size * size)])
    }

    /// Bytes from `offset` on, fewer only at the file's end.
    func read(at offset: Int64, count: Int) throws(Trouble) -> [UInt8] { try Self.read(name, descriptor, at: offset, count: count) }

    private static func read(_ name: String, _ descriptor: CInt, at offset: Int64, count: Int) throws(Trouble) -> [UInt8] {
        guard offset >= 0, count > 0 else { return [] }
        var trouble: CInt = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            filled = 0
            while filled < count {
                let got = unsafe pread(descriptor, buffer.baseAddress.map { unsafe $0 + filled }, count - filled, Int(offset) + filled)
                if got < 0, errno == EINTR { continue }
                if got < 0 { trouble = errno }
                guard got > 0 else { break }
                filled += got
            }
        }
        guard trouble == 0 else { throw Trouble(description: "cannot read \(name) at byte \(offset): \(words(trouble))") }
        return bytes
    }

    private static func words(_ errorNumber: CInt) -> String { unsafe String(cString: strerror(errorNumber)) }
}

import Glibc
import Signalling
import WireFormats

/// An open ASF file: its header, and where its packets lie. Reading blocks: not on the event loop.
final class WindowsMediaFile: Sendable {
    /// A file that cannot be served, in words.
    struct Trouble: Error, CustomStringConvertible {
        let description: String
    }

    let name: String
    /// As players get it: with packets and durations counted where the file does not say them, or says them wrong.
    let header: ASFHeader
    /// Where things lie; its header is the file's own.
    let layout: ASFFile
    /// The file's own index; nil where it has none that can be used.
    let index: ASFIndex?
    /// Bytes of the file, and when it was changed last (seconds since 1970): what is served is this version of it.
    let byteCount: Int64
    let modified: Int64
    /// Whole packets that lie in the file.
    var packetCount: UInt32 { UInt32(clamping: layout.packetCount) }
    /// What the session machine has to know of it.
    let facts: WMSPContent
    private let inode: UInt64
    private let descriptor: CInt

    private init(name: String, header: ASFHeader, layout: ASFFile, index: ASFIndex?, facts: stat, descriptor: CInt) {
        self.name = name
        self.header = header
        self.layout = layout
        self.index = index
        self.descriptor = descriptor
        byteCount = Int64(facts.st_size)
        modified = Int64(facts.st_mtim.tv_sec)
        inode = UInt64(facts.st_ino)
        self.facts = WMSPContent(file: header, byteCount: byteCount, modified: modified)
    }

    deinit { close(descriptor) }

    /// Opens a file and reads its header.
    static func open(_ name: String) throws(Trouble) -> WindowsMediaFile {
        let descriptor = unsafe Glibc.open(name, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Trouble(description: "cannot open \(name): \(words(errno))") }
        do throws(Trouble) {
            var facts = stat()
            guard unsafe fstat(descriptor, &facts) == 0 else { throw Trouble(description: "cannot look at \(name): \(words(errno))") }
            guard facts.st_mode & S_IFMT == S_IFREG else { throw Trouble(description: "\(name) is no file") }
            let own = try readHeader(name, descriptor)
            let layout = ASFFile(header: own, fileBytes: UInt64(clamping: facts.st_size))
            guard layout.packetCount > 0 else { throw Trouble(description: "\(name) holds no packet: its header is all there is") }
            let bytes = { (offset: UInt64, count: Int) in (try? read(name, descriptor, at: Int64(clamping: offset), count: count)) ?? [] }
            // Once for each version of the file: a walk over all of it where its header is wrong.
            let header = layout.needsRepair ? (try? own.rewritten(ASFRewrite(form: layout.measured(bytes)))) ?? own : own
            let index = ASFIndex.read(of: layout, bytes).index
            return WindowsMediaFile(name: name, header: header, layout: layout, index: index, facts: facts, descriptor: descriptor)
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

    /// By which one version of a file is told from another.
    struct Version: Sendable, Equatable {
        let inode: UInt64
        let byteCount: Int64
        let modified: Int64
    }

    /// The version that is open.
    var version: Version { Version(inode: inode, byteCount: byteCount, modified: modified) }

    /// The version that lies under a name; nil when there is none.
    static func version(of name: String) -> Version? {
        var facts = stat()
        guard unsafe stat(name, &facts) == 0 else { return nil }
        return Version(inode: UInt64(facts.st_ino), byteCount: Int64(facts.st_size), modified: Int64(facts.st_mtim.tv_sec))
    }

    /// Whether the file of that name is still this one.
    var isCurrent: Bool { Self.version(of: name) == version }

    /// The packets of that range, as far as they are there.
    func read(packets range: Range<UInt32>) throws(Trouble) -> [UInt8] {
        let size = header.packetBytes
        let bytes = try Self.read(
            name, descriptor, at: Int64(clamping: layout.offset(ofPacket: Int(range.lowerBound))), count: range.count * size)
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

import Glibc
import NIOCore
import Signalling
import WireFormats

/// An open ASF file, here or in part elsewhere: its header, and where its packets lie. Reading blocks: not on the event loop.
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
    /// Of a file on this machine: what is served is this version of it.
    let version: Version?
    /// Whole packets that lie in the file.
    var packetCount: UInt32 { UInt32(clamping: layout.packetCount) }
    /// What the session machine has to know of it.
    let facts: WMSPContent
    /// Where its bytes lie.
    let storage: any PacketStorage
    /// Brings what is not here, for the event loop to ask before anything is read; nil: everything is here.
    var supply: (any PacketSupply)? { boundSupply?.value }
    /// Everything is here, though it be asked for all the same: it can be read anywhere at once.
    let isWhole: Bool
    /// Where it comes from and how that was met; nil for what is here anyway.
    let proxied: ProxiedContent?
    private let boundSupply: NIOLoopBound<any PacketSupply>?
    /// What it lies on (`st_dev`): reads of it wait for others of the same alone. 0 of what is not on a disk.
    let device: UInt64

    private init(name: String, header: ASFHeader, layout: ASFFile, index: ASFIndex?, facts: stat, descriptor: CInt) {
        self.name = name
        self.header = header
        self.layout = layout
        self.index = index
        storage = LocalStorage(name: name, descriptor: descriptor)
        device = UInt64(facts.st_dev)
        boundSupply = nil
        isWhole = true
        proxied = nil
        let version = Version(facts)
        self.version = version
        self.facts = WMSPContent(file: header, byteCount: version.byteCount, modified: version.modified)
    }

    /// What there is, or comes, of an object elsewhere. `packetCount` is nil where nobody knows it; what is not here is brought by
    /// `supply`. `facts` are what its origin says of it.
    init(
        name: String, header: ASFHeader, packetCount: UInt32?, facts: WMSPContent, storage: any PacketStorage,
        supply: (any PacketSupply)?, isWhole: Bool, proxied: ProxiedContent?, on eventLoop: any EventLoop
    ) {
        self.name = name
        self.header = header
        self.facts = facts
        self.storage = storage
        var stored = stat()
        device = storage.descriptor.map { unsafe fstat($0, &stored) == 0 ? UInt64(stored.st_dev) : 0 } ?? 0
        let count = packetCount ?? UInt32(Int32.max)
        layout = ASFFile(header: header, fileBytes: UInt64(header.bytes.count) + UInt64(count) * UInt64(header.packetBytes))
        index = nil
        version = nil
        self.isWhole = isWhole
        self.proxied = proxied
        boundSupply = supply.map { NIOLoopBound($0, eventLoop: eventLoop) }
    }

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
            Glibc.close(descriptor)
            throw error
        }
    }

    static func close(_ descriptor: CInt) { Glibc.close(descriptor) }

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
    struct Version: Sendable, Hashable {
        let inode: UInt64
        let byteCount: Int64
        let modified: Int64

        fileprivate init(_ facts: stat) {
            inode = UInt64(facts.st_ino)
            byteCount = Int64(facts.st_size)
            modified = Int64(facts.st_mtim.tv_sec)
        }
    }

    /// The version that lies under a name; nil when there is none.
    static func version(of name: String) -> Version? {
        var facts = stat()
        guard unsafe stat(name, &facts) == 0 else { return nil }
        return Version(facts)
    }

    /// Whether the file of that name is still this one.
    var isCurrent: Bool { version != nil && Self.version(of: name) == version }

    /// The packets of that range, as far as they are there.
    func read(packets range: Range<UInt32>) throws(Trouble) -> [UInt8] {
        let size = header.packetBytes
        let bytes = try storage.read(at: Int64(clamping: layout.offset(ofPacket: Int(range.lowerBound))), count: range.count * size)
        return bytes.count % size == 0 ? bytes : Array(bytes[..<(bytes.count / size * size)])
    }

    /// Bytes from `offset` on, fewer only at the file's end.
    func read(at offset: Int64, count: Int) throws(Trouble) -> [UInt8] { try storage.read(at: offset, count: count) }

    static func read(_ name: String, _ descriptor: CInt, at offset: Int64, count: Int) throws(Trouble) -> [UInt8] {
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

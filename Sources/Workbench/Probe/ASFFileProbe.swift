import Glibc
import WireFormats

/// Looks at an ASF file: header, every packet, index. Reads it in blocks; memory stays small whatever its size.
enum ASFFileProbe {
    /// Whether a file is to be read as ASF: by its name, or by its first bytes.
    static func takes(_ name: String) -> Bool {
        if [".asf", ".wmv", ".wma"].contains(where: name.lowercased().hasSuffix) { return true }
        guard let head = try? ASFFileReader.open(name).read(0, ASFObject.headBytes), head.count == ASFObject.headBytes else { return false }
        return ASFGUID(head.span, at: 0) == .header
    }

    static func run(_ options: ProbeOptions) throws(WorkbenchError) -> ASFProbeReport {
        let source = try ASFFileReader.open(options.source)
        let header: ASFHeader
        do throws(ASFHeaderError) {
            var have = source.read(0, ASFObject.headBytes)
            let need = try ASFHeader.bytesNeeded(have.span)
            have = source.read(0, need)
            header = try ASFHeader(have.span)
        } catch {
            throw WorkbenchError("\(options.source): \(error)")
        }
        let file = ASFFile(header: header, fileBytes: source.byteCount)
        var scan = ASFScan(header: header)
        file.take(0..<file.packetCount, into: &scan, source.read)
        guard scan.packets == UInt64(file.packetCount) else {
            throw WorkbenchError("\(options.source): cannot be read behind packet \(scan.packets) of \(file.packetCount)")
        }
        let (index, flaws) = ASFIndex.read(of: file, source.read)
        return ASFProbeReport(source: options.source, file: file, scan: scan, index: index, indexFlaws: flaws)
    }
}

/// Bytes of a file by their places.
private final class ASFFileReader {
    private let descriptor: CInt
    let byteCount: UInt64

    private init(_ descriptor: CInt, byteCount: UInt64) {
        self.descriptor = descriptor
        self.byteCount = byteCount
    }

    static func open(_ name: String) throws(WorkbenchError) -> ASFFileReader {
        let descriptor = unsafe Glibc.open(name, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw WorkbenchError("cannot open \(name): \(errorText(errno))") }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw WorkbenchError("\(name) is no file")
        }
        return ASFFileReader(descriptor, byteCount: UInt64(clamping: status.st_size))
    }

    deinit { close(descriptor) }

    /// Fewer bytes than asked for where the file ends, and where it cannot be read.
    func read(_ offset: UInt64, _ count: Int) -> [UInt8] {
        guard offset < byteCount, count > 0 else { return [] }
        var bytes = [UInt8](repeating: 0, count: Int(min(UInt64(count), byteCount - offset)))
        var have = 0
        while have < bytes.count {
            let more = unsafe bytes.withUnsafeMutableBytes { buffer in
                // SAFETY: the rest of the array's bytes, which live through the call.
                let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[have...])
                return unsafe pread(descriptor, rest.baseAddress, rest.count, off_t(clamping: offset) + off_t(have))
            }
            guard more > 0 else { break }
            have += more
        }
        bytes.removeLast(bytes.count - have)
        return bytes
    }
}

import Glibc

/// Whole files, read at start-up.
enum FileBytes {
    /// A file that could not be read, in words.
    struct Trouble: Error, CustomStringConvertible {
        let description: String
    }

    /// The bytes of a file of at most `bytesMax`.
    static func read(_ name: String, bytesMax: Int) throws(Trouble) -> [UInt8] {
        let descriptor = unsafe open(name, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Trouble(description: "cannot open \(name): \(Self.words(errno))") }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 256 << 10)
        while true {
            let count = unsafe Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Trouble(description: "cannot read \(name): \(Self.words(errno))") }
            if count == 0 { return bytes }
            guard bytes.count + count <= bytesMax else { throw Trouble(description: "\(name) is larger than \(bytesMax) bytes") }
            bytes += chunk[..<count]
        }
    }

    private static func words(_ errorNumber: CInt) -> String { unsafe String(cString: strerror(errorNumber)) }
}

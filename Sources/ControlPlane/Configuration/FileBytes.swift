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

    /// The first bytes of a regular file, at most so many.
    static func prefix(_ name: String, count bytesMax: Int) throws(Trouble) -> [UInt8] {
        // Whatever waits for somebody to write, such as a pipe, is no file to begin with.
        let descriptor = unsafe open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw Trouble(description: "cannot open \(name): \(Self.words(errno))") }
        defer { close(descriptor) }
        var facts = stat()
        guard unsafe fstat(descriptor, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG else {
            throw Trouble(description: "\(name) is no file")
        }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: min(max(bytesMax, 1), 256 << 10))
        while bytes.count < bytesMax {
            let count = unsafe Glibc.read(descriptor, &chunk, min(chunk.count, bytesMax - bytes.count))
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Trouble(description: "cannot read \(name): \(Self.words(errno))") }
            if count == 0 { break }
            bytes += chunk[..<count]
        }
        return bytes
    }

    private static func words(_ errorNumber: CInt) -> String { unsafe String(cString: strerror(errorNumber)) }
}

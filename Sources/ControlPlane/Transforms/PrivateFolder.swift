import Glibc

/// A folder of this user alone (0700), for a program and Weir. Removed with all that is in it.
final class PrivateFolder {
    /// Its whole name.
    let path: String

    /// A folder that could not be made, in words.
    struct Trouble: Error, CustomStringConvertible {
        let description: String
    }

    /// Makes one in `$XDG_RUNTIME_DIR`, else in `$TMPDIR`, else in `/tmp`.
    init() throws(Trouble) {
        var trouble = ""
        for base in ["XDG_RUNTIME_DIR", "TMPDIR"].compactMap({ Self.variable($0) }) + ["/tmp"] {
            var template = Array("\(base)/weir-transform-XXXXXX".utf8CString)
            if unsafe mkdtemp(&template) != nil {
                path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
                return
            }
            trouble = unsafe "\(base): \(String(cString: strerror(errno)))"
        }
        throw Trouble(description: "no folder for the program's files can be made (\(trouble))")
    }

    private static func variable(_ name: String) -> String? {
        guard let value = unsafe getenv(name) else { return nil }
        let text = unsafe String(cString: value)
        return text.hasPrefix("/") ? text : nil
    }

    /// The whole name of a file in it.
    func file(_ name: String) -> String { "\(path)/\(name)" }

    /// Writes a file of it anew.
    func write(_ bytes: [UInt8], to name: String) throws(Trouble) {
        let descriptor = unsafe open(file(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Trouble(description: unsafe "cannot write \(file(name)): \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        guard unsafe Glibc.write(descriptor, bytes, bytes.count) == bytes.count else {
            throw Trouble(description: "cannot write \(file(name)): the disk is full")
        }
    }

    /// Removes a file of it.
    func remove(_ name: String) { _ = unsafe unlink(file(name)) }

    /// Removes it. Folders that the program made in it stay, with it.
    func remove() {
        if let folder = unsafe opendir(path) {
            while let entry = unsafe readdir(folder) {
                let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { name in
                    unsafe name.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
                }
                if name != ".", name != ".." { remove(name) }
            }
            unsafe closedir(folder)
        }
        _ = unsafe rmdir(path)
    }
}

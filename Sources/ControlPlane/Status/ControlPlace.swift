import Glibc

/// Where control sockets lie: in a folder that belongs to the user alone, one for each relay, named after the port it listens on.
///
/// The folder is the first of these that can be: `$XDG_RUNTIME_DIR/weir`; `/run/weir` for root; `/tmp/weir-UID`. It must be a real
/// directory (no link) of this user that nobody else may look into: whoever can write where the socket lies could put another in its
/// place.
package enum ControlPlace {
    /// What is wrong with a place, and what to do.
    package struct Trouble: Error, CustomStringConvertible, Equatable {
        package let description: String
    }

    /// The socket of a relay that listens on that port. Makes the folder. Throws ``Trouble``.
    package static func path(port: UInt16, environment: [String: String]) throws(Trouble) -> String {
        var first: Trouble?
        for folder in folders(environment) {
            do throws(Trouble) {
                try make(folder)
                return "\(folder)/\(port).sock"
            } catch { first = first ?? error }
        }
        throw first ?? Trouble(description: "there is no place for a control socket; name one with --control PATH")
    }

    /// The sockets that lie there now, of running relays and of such that were killed, by port.
    package static func sockets(environment: [String: String]) -> [String] {
        folders(environment).flatMap { folder -> [String] in
            // A folder of somebody else is none of ours, whatever lies in it.
            guard (try? check(folder)) != nil, let directory = unsafe opendir(folder) else { return [] }
            defer { unsafe closedir(directory) }
            var ports: [UInt16] = []
            while let entry = unsafe readdir(directory) {
                let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                    unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
                }
                if name.hasSuffix(".sock"), let port = UInt16(name.dropLast(5)) { ports.append(port) }
            }
            return ports.sorted().map { "\(folder)/\($0).sock" }
        }
    }

    /// Where sockets may lie, the best place first.
    static func folders(_ environment: [String: String]) -> [String] {
        var folders: [String] = []
        if let runtime = environment["XDG_RUNTIME_DIR"], runtime.hasPrefix("/") { folders.append("\(runtime)/weir") }
        if geteuid() == 0 { folders.append("/run/weir") }
        return folders + ["/tmp/weir-\(geteuid())"]
    }

    private static func make(_ folder: String) throws(Trouble) {
        guard unsafe mkdir(folder, 0o700) == 0 || errno == EEXIST else {
            throw Trouble(description: "\(folder) cannot be made: \(words(errno)); name another place with --control PATH")
        }
        try check(folder)
    }

    /// Throws unless `folder` is a directory of this user that is closed to others.
    static func check(_ folder: String) throws(Trouble) {
        var info = stat()
        guard unsafe lstat(folder, &info) == 0 else { throw Trouble(description: "\(folder): \(words(errno))") }
        guard info.st_mode & S_IFMT == S_IFDIR else {
            throw Trouble(description: "\(folder) is no directory; remove it, or name another place with --control PATH")
        }
        guard info.st_uid == geteuid() else {
            throw Trouble(description: "\(folder) belongs to somebody else; name another place with --control PATH")
        }
        guard info.st_mode & 0o077 == 0 else {
            throw Trouble(
                description: "\(folder) is open to others; close it (chmod 700 \(folder)) or name another place with --control PATH")
        }
    }

    static func words(_ errorNumber: CInt) -> String { unsafe String(cString: strerror(errorNumber)) }
}

/// A bound UNIX socket of mode 0600 and the file that it is reached by. The file goes away with ``remove()``.
struct ControlSocketFile {
    let path: String
    /// Bound, not listening, not blocking. Belongs to whoever made this.
    let descriptor: CInt
    private let identity: Identity

    /// What tells a file from another of the same name. The time as well: a file system gives a freed number out again.
    private struct Identity: Equatable {
        let device: UInt
        let number: UInt
        let seconds: Int
        let nanoseconds: Int

        init(_ info: stat) {
            device = UInt(info.st_dev)
            number = UInt(info.st_ino)
            seconds = info.st_mtim.tv_sec
            nanoseconds = info.st_mtim.tv_nsec
        }
    }

    /// Bytes of a path, by the kernel's limit (`sun_path`).
    static let pathBytesMax = 107
    /// How long another process may take to do the same in this folder.
    private static let lockTries = 50
    private static let lockPauseMicroseconds: UInt32 = 20_000

    /// Binds at `path`. A file that a dead process left is replaced; one of a living process, and what is no socket of ours, is not.
    /// Throws ``ControlPlace/Trouble``.
    init(binding path: String) throws(ControlPlace.Trouble) {
        self.path = path
        guard !path.isEmpty, path.utf8.count <= Self.pathBytesMax else {
            throw .init(
                description:
                    "the path of a control socket has 1 to \(Self.pathBytesMax) bytes, not \(path.utf8.count); choose a shorter one")
        }
        let lock = try Self.lock(path)
        defer { close(lock) }
        let descriptor = socket(AF_UNIX, Self.kind, 0)
        guard descriptor >= 0 else { throw .init(description: "no socket: \(ControlPlace.words(errno))") }
        do throws(ControlPlace.Trouble) {
            // On Linux the file gets the mode that the socket has when it is bound: there is no moment in which others may connect.
            guard fchmod(descriptor, 0o600) == 0 else { throw .init(description: "\(path): \(ControlPlace.words(errno))") }
            var result = Self.bindTo(path, descriptor)
            if result == EADDRINUSE {
                try Self.clear(path)
                result = Self.bindTo(path, descriptor)
            }
            guard result == 0 else {
                throw .init(
                    description:
                        "the control socket \(path) cannot be made: \(ControlPlace.words(result)); name another place with --control PATH")
            }
            var info = stat()
            guard unsafe lstat(path, &info) == 0, info.st_mode & S_IFMT == S_IFSOCK, info.st_uid == geteuid(), info.st_mode & 0o077 == 0
            else {
                throw .init(description: "\(path) is not the socket that was just made there; name a place that only you can write to")
            }
            identity = Identity(info)
        } catch {
            close(descriptor)
            throw error
        }
        self.descriptor = descriptor
    }

    /// Removes the file, if it is still ours.
    func remove() {
        var info = stat()
        guard unsafe lstat(path, &info) == 0, Identity(info) == identity else { return }
        unsafe unlink(path)
    }

    private static var kind: CInt {
        CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue) | CInt(SOCK_NONBLOCK.rawValue)
    }

    /// Two processes that start together must not take each other's new file for a dead one.
    private static func lock(_ path: String) throws(ControlPlace.Trouble) -> CInt {
        let folder = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let descriptor = unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw .init(description: "\(folder): \(ControlPlace.words(errno)); name another place with --control PATH")
        }
        for _ in 0..<lockTries {
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { break }
            usleep(lockPauseMicroseconds)
        }
        return descriptor
    }

    /// 0, or the error number.
    private static func bindTo(_ path: String, _ descriptor: CInt) -> CInt {
        unsafe ControlClient.withAddress(path) { unsafe bind(descriptor, $0, $1) } == 0 ? 0 : errno
    }

    /// Removes the file of a dead process.
    private static func clear(_ path: String) throws(ControlPlace.Trouble) {
        var info = stat()
        guard unsafe lstat(path, &info) == 0 else { return }
        guard info.st_mode & S_IFMT == S_IFSOCK, info.st_uid == geteuid() else {
            throw .init(
                description: "\(path) is there and no control socket of yours; remove it, or name another place with --control PATH")
        }
        let probe = socket(AF_UNIX, kind, 0)
        guard probe >= 0 else { throw .init(description: "no socket: \(ControlPlace.words(errno))") }
        defer { close(probe) }
        let result = unsafe ControlClient.withAddress(path) { unsafe connect(probe, $0, $1) } == 0 ? 0 : errno
        guard result == ECONNREFUSED else {
            throw .init(description: "another relay answers at \(path); name another place with --control PATH")
        }
        unsafe unlink(path)
    }
}

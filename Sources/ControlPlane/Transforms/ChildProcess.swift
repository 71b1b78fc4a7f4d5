import CChild
import Glibc

/// A program that runs beside Weir: in a session and process group of its own, with nothing of ours but a pipe for its words. The kernel
/// kills it when Weir dies. Belongs to the event loop.
final class ChildProcess {
    /// Limits of the process; 0: none.
    struct Limits {
        var dataBytes = 0
        var cpuSeconds = 0
        var openFiles = 0
        var nice = 0
    }

    /// How it ended.
    enum End: Equatable {
        case exited(CInt)
        case signalled(CInt)

        /// In words.
        var words: String {
            switch self {
            case .exited(let code): "it ended with status \(code)"
            case .signalled(let number): unsafe "it was ended by signal \(number) (\(String(cString: strsignal(number))))"
            }
        }
    }

    /// Why it could not be started.
    struct Trouble: Error, CustomStringConvertible {
        let description: String
    }

    let number: pid_t
    private var output: CInt

    /// Starts a program; `words` begin with it. Throws words for the user.
    init(words: [String], environment: [String], directory: String, limits: Limits) throws(Trouble) {
        var ends: [CInt] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { throw Trouble(description: "no pipe can be made: \(Self.words(errno))") }
        defer { close(ends[1]) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        let result = Self.spawn(words, environment, directory, output: ends[1], limits)
        guard result > 0 else {
            close(ends[0])
            let remedy =
                switch -result {
                case ENOENT: "; install it, or write its whole name"
                case EACCES: "; it is not executable for this user"
                default: ""
                }
            throw Trouble(description: "cannot start `\(words.first ?? "")`: \(Self.words(-result))\(remedy)")
        }
        number = result
        output = ends[0]
    }

    private static func spawn(_ words: [String], _ environment: [String], _ directory: String, output: CInt, _ limits: Limits) -> CInt {
        var arguments = unsafe words.map { unsafe strdup($0) } + [nil]
        var variables = unsafe environment.map { unsafe strdup($0) } + [nil]
        defer {
            unsafe arguments.forEach { unsafe free($0) }
            unsafe variables.forEach { unsafe free($0) }
        }
        return unsafe arguments.withUnsafeMutableBufferPointer { arguments in
            unsafe variables.withUnsafeMutableBufferPointer { variables in
                unsafe directory.withCString { directory in
                    var options = unsafe cchild_options(
                        arguments: UnsafePointer(arguments.baseAddress), environment: UnsafePointer(variables.baseAddress),
                        directory: directory, output: output, data_bytes: UInt64(limits.dataBytes), cpu_seconds: UInt64(limits.cpuSeconds),
                        files: UInt64(limits.openFiles), nice: CInt(limits.nice))
                    return unsafe cchild_spawn(&options)
                }
            }
        }
    }

    private static func words(_ errorNumber: CInt) -> String { unsafe String(cString: strerror(errorNumber)) }

    /// What it said since the last call, at most so many bytes.
    func read(bytesMax: Int) -> [UInt8] {
        guard output >= 0 else { return [] }
        return unsafe [UInt8](unsafeUninitializedCapacity: bytesMax) { buffer, count in
            count = unsafe max(Glibc.read(output, buffer.baseAddress, bytesMax), 0)
        }
    }

    /// How it ended; nil while it runs. The first answer kills what is left of its group; it is not to be asked again afterwards.
    func ended() -> End? {
        var status: CInt = 0
        guard unsafe cchild_has_ended(number, &status) != 0 else { return nil }
        // Until it is reaped its number, and so its group's, names nobody else.
        kill(-number, SIGKILL)
        _ = waitpid(number, nil, WNOHANG)
        return status & 0x7F == 0 ? .exited(status >> 8 & 0xFF) : .signalled(status & 0x7F)
    }

    /// Sends a signal to all of its group.
    func signal(_ signal: CInt) { kill(-number, signal) }

    /// Forgets its pipe; what it says afterwards is lost.
    func closeOutput() {
        if output >= 0 { close(output) }
        output = -1
    }
}

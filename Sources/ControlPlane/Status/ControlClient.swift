import Glibc

/// The other end of a control socket: asks a running relay, and waits for its answer.
package final class ControlClient {
    private let descriptor: CInt
    /// The socket's path.
    package let path: String
    private var received: [UInt8] = []

    /// Why a relay could not be asked.
    package struct Trouble: Error, CustomStringConvertible, Equatable {
        /// What kind of trouble.
        package enum Kind: Sendable { case nobody, forbidden, failed }
        package let kind: Kind
        /// What is wrong and what to do.
        package let description: String
    }

    /// A relay that does not answer in this time will not.
    private static let patienceSeconds = 10
    /// No answer is longer.
    static let answerBytesMax = 16 << 20

    /// Connects to the relay at `path`.
    package init(path: String) throws(Trouble) {
        self.path = path
        guard !path.isEmpty, path.utf8.count <= ControlSocketFile.pathBytesMax else {
            throw Trouble(
                kind: .failed, description: "`\(path)` is too long for the path of a socket (\(ControlSocketFile.pathBytesMax) bytes)")
        }
        let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw Trouble(kind: .failed, description: ControlPlace.words(errno)) }
        var patience = timeval(tv_sec: Self.patienceSeconds, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            _ = unsafe setsockopt(descriptor, SOL_SOCKET, option, &patience, socklen_t(MemoryLayout<timeval>.size))
        }
        guard unsafe Self.withAddress(path, { unsafe connect(descriptor, $0, $1) }) == 0 else {
            let errorNumber = errno
            close(descriptor)
            throw Self.trouble(path, errorNumber)
        }
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// Asks for an overview. Throws ``Trouble``, or ``ControlAnswer/Trouble`` when the relay refuses.
    package func status(readers: Int? = nil, path name: String? = nil) throws -> Overview {
        var arguments: [String: String] = [:]
        if let readers { arguments["readers"] = "\(readers)" }
        if let name { arguments["path"] = name }
        let answer = try ask(ControlRequest("status", arguments))
        guard let overview = answer.status else {
            throw Trouble(kind: .failed, description: "the relay at \(path) answered something else than was asked")
        }
        return overview
    }

    /// Asks for something about the playlist of a path: `ls`, `next`, `jump`, `insert`, `remove`. Throws as ``status(readers:path:)``.
    package func playlist(_ path: String, _ what: String, _ arguments: [String: String] = [:]) throws -> PlaylistAnswer {
        let all = arguments.merging(["path": path, "do": what]) { first, _ in first }
        let answer = try ask(ControlRequest("playlist", all))
        guard let playlist = answer.playlist else {
            throw Trouble(kind: .failed, description: "the relay at \(self.path) answered something else than was asked")
        }
        return playlist
    }

    /// Has something brought into the cache, or asks how far it is: `start`, `look`, `stop`. Throws as ``status(readers:path:)``.
    package func prefetch(_ what: String, _ arguments: [String: String]) throws -> PrefetchAnswer {
        let answer = try ask(ControlRequest("prefetch", arguments.merging(["do": what]) { first, _ in first }))
        guard let prefetch = answer.prefetch else {
            throw Trouble(kind: .failed, description: "the relay at \(path) answered something else than was asked")
        }
        return prefetch
    }

    /// Sends a request and waits for its answer.
    package func ask(_ request: ControlRequest) throws -> ControlAnswer {
        try send(request.line + "\n")
        let line = try receiveLine()
        let answer: ControlAnswer
        do { answer = try ControlJSON.value(ControlAnswer.self, of: line) } catch {
            throw Trouble(kind: .failed, description: "what answers at \(path) is no relay of this version: \(line.prefix(80))")
        }
        if let error = answer.error { throw error }
        return answer
    }

    private func send(_ text: String) throws(Trouble) {
        let bytes = Array(text.utf8)
        var sent = 0
        while sent < bytes.count {
            let count = unsafe bytes[sent...].withUnsafeBytes {
                unsafe Glibc.send(descriptor, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            // What it said before it closed is still to be read.
            guard count > 0 else { return }
            sent += count
        }
    }

    private func receiveLine() throws(Trouble) -> String {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        var searched = 0
        while true {
            if let end = received[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                let line = String(decoding: received[..<end], as: UTF8.self)
                received.removeSubrange(...end)
                return line
            }
            searched = received.count
            guard received.count <= Self.answerBytesMax else {
                throw Trouble(kind: .failed, description: "what answers at \(path) is no relay: its line has no end")
            }
            let count = unsafe recv(descriptor, &buffer, buffer.count, 0)
            if count < 0, errno == EINTR { continue }
            guard count != 0 else { throw Trouble(kind: .nobody, description: "the relay at \(path) closed the connection") }
            guard count > 0 else {
                throw Trouble(kind: .failed, description: "the relay at \(path) did not answer within \(Self.patienceSeconds) s")
            }
            received += buffer[..<count]
        }
    }

    private static func trouble(_ path: String, _ errorNumber: CInt) -> Trouble {
        switch errorNumber {
        case ENOENT: Trouble(kind: .nobody, description: "there is no control socket at \(path); does the relay run?")
        case ECONNREFUSED: Trouble(kind: .nobody, description: "the relay that \(path) belonged to is gone")
        case EACCES, EPERM:
            Trouble(
                kind: .forbidden,
                description: "\(path) belongs to another user; ask as the user that the relay runs as (sudo -u USER weir …)")
        default: Trouble(kind: .failed, description: "\(path): \(ControlPlace.words(errorNumber))")
        }
    }

    /// Runs `body` with the address of a socket at `path`, which has been checked for its length.
    static func withAddress(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt) -> CInt {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { room in
            for (index, byte) in path.utf8.prefix(room.count - 1).enumerated() { unsafe room[index] = byte }
        }
        return unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
    }
}

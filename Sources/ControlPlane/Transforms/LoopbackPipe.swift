import Glibc
import NIOCore

/// Two ends of one TCP connection within this process: what an interleaved reader of one stream is sent is an interleaved source of
/// another. Nothing is lost or put out of order on it, and nobody else can write to it.
struct LoopbackPipe {
    /// For the reader, and for the source. Whoever holds the pipe closes both, or has the engine use them.
    let reader: CInt
    let source: CInt

    /// Connects; throws ``ListenError``.
    init() throws {
        let local = try SocketAddress(ipAddress: "127.0.0.1", port: 0)
        let listener = try BoundSocket.open(.stream, at: local)
        defer { close(listener) }
        let connecting = try BoundSocket.open(.stream, at: local)
        var descriptors = [connecting]
        do {
            guard listen(listener, 1) == 0 else { throw ListenError(address: local, errorNumber: errno) }
            let target = local.withPort(BoundSocket.port(of: listener))
            let result = unsafe target.withSockAddr { address, size in unsafe connect(connecting, address, socklen_t(size)) }
            guard result == 0 || errno == EINPROGRESS else { throw ListenError(address: target, errorNumber: errno) }
            // On the loopback interface the connection stands before connect() returns.
            var address = sockaddr_in()
            var size = socklen_t(MemoryLayout<sockaddr_in>.size)
            let accepted = unsafe withUnsafeMutablePointer(to: &address) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe accept(listener, $0, &size)
                }
            }
            guard accepted >= 0 else { throw ListenError(address: target, errorNumber: errno) }
            descriptors.append(accepted)
            _ = fcntl(accepted, F_SETFD, FD_CLOEXEC)
            _ = fcntl(accepted, F_SETFL, O_NONBLOCK)
            // Another program may have been faster.
            guard UInt16(bigEndian: address.sin_port) == BoundSocket.port(of: connecting) else {
                throw ListenError(address: "\(target)", trouble: "another program took the connection")
            }
            BoundSocket.set(accepted, CInt(IPPROTO_TCP), TCP_NODELAY, 1)
            reader = accepted
            source = connecting
        } catch {
            for descriptor in descriptors { close(descriptor) }
            throw error
        }
    }
}

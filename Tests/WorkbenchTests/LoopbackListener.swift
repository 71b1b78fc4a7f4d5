import Foundation
import Glibc
import Synchronization

@testable import Workbench

/// A TCP port of the loopback with a thread for each connection.
final class LoopbackListener: Sendable {
    let port: UInt16
    private let descriptor: Int32
    private let stopped = Atomic<Bool>(false)

    init() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.descriptor = descriptor
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let bound = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard descriptor >= 0, bound == 0, listen(descriptor, 64) == 0 else { throw WorkbenchError("cannot listen: \(errorText(errno))") }
        port = try Endpoint(of: descriptor).port
    }

    var isStopped: Bool { stopped.load(ordering: .relaxed) }

    /// Takes connections. One is closed when `serve` returns.
    func start(_ serve: @escaping @Sendable (_ connection: Int32) -> Void) {
        Thread.detachNewThread { [self] in
            while !isStopped {
                let connection = accept(descriptor, nil, nil)
                if connection < 0, errno == EINTR { continue }
                guard connection >= 0 else { break }
                Thread.detachNewThread {
                    serve(connection)
                    shutdown(connection, Int32(SHUT_RDWR))
                    close(connection)
                }
            }
            close(descriptor)
        }
    }

    func stop() {
        stopped.store(true, ordering: .relaxed)
        shutdown(descriptor, Int32(SHUT_RDWR))
    }
}

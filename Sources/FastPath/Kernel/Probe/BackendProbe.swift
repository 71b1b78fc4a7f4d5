import CUring
import Glibc
import PlaneLink

/// Tries what a backend needs, with the backend itself: a small one is made, has a conversation with sockets of its own and is
/// taken apart. A few milliseconds; nothing leaves the machine.
enum BackendProbe {
    /// What works beside the backend itself.
    struct Finding {
        /// A message may carry several packets (UDP_SEGMENT).
        var cutsTrains: Bool
    }

    /// Tries a backend, or throws why it cannot be used.
    static func run(_ name: BackendName) throws(BackendRefusal) -> Finding {
        switch name {
        case .ioUring:
            do {
                return try ring(cutsTrains: true)
            } catch {
                // A ring is worth having without trains.
                guard case .trains = error else { throw error }
                return try ring(cutsTrains: false)
            }
        case .epoll:
            var kernel = try EpollKernel(limits: limits, calls: .batched)
            return try converse(&kernel, ProbeCalls(send: "sendmmsg", receive: "recvmmsg", wait: "epoll_wait"))
        case .plain:
            var kernel = try EpollKernel(limits: limits, calls: .single)
            return try converse(&kernel, ProbeCalls(send: "sendmsg", receive: "recvmsg", wait: "epoll_wait"))
        }
    }

    private static func ring(cutsTrains: Bool) throws(BackendRefusal) -> Finding {
        var kernel = try UringKernel(limits: limits, cutsTrains: cutsTrains, completions: 256)
        return try converse(
            &kernel, ProbeCalls(send: "SEND by the ring", receive: "multishot RECVMSG by the ring", wait: "io_uring_enter"))
    }

    private static var limits: Limits {
        var limits = Limits()
        limits.subscribersMax = 16
        limits.sourcesMax = 16
        limits.datagramBuffers = 8
        limits.datagramBufferBytes = 4_096
        return limits
    }

    private static func converse<K: Kernel & ~Copyable>(_ kernel: inout K, _ calls: ProbeCalls) throws(BackendRefusal) -> Finding {
        guard let sockets = ProbeSockets() else { throw .call("a socket pair for the probe", errno) }
        var conversation = ProbeConversation(sockets: sockets, calls: calls)
        try conversation.run(&kernel)
        return Finding(cutsTrains: kernel.segmentsMax > 1)
    }
}

/// What a backend's calls are called, for those who read why it cannot be used.
struct ProbeCalls {
    let send: String
    let receive: String
    let wait: String
}

/// Sockets of a probe, closed with it.
final class ProbeSockets {
    /// A pair of UDP sockets on 127.0.0.1, or none: loopback may be down, in a network namespace of one's own as a rule.
    let datagrams: (from: Int32, to: Int32, port: UInt16)?
    /// A connected pair.
    let near: Int32
    let far: Int32
    let wake: Int32

    /// Nil when the system has no sockets to give.
    init?() {
        var pair: [Int32] = [-1, -1]
        wake = curing_eventfd(false)
        let isPaired =
            unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &pair) == 0
        near = pair[0]
        far = pair[1]
        datagrams = Self.openDatagrams()
        if !isPaired || wake < 0 { return nil }
    }

    deinit {
        for descriptor in [near, far, wake] where descriptor >= 0 { close(descriptor) }
        if let datagrams {
            close(datagrams.from)
            close(datagrams.to)
        }
    }

    private static let receiveOffload: Int32 = 104  // UDP_GRO

    private static func openDatagrams() -> (from: Int32, to: Int32, port: UInt16)? {
        let kind = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let from = socket(AF_INET, kind, 0)
        let to = socket(AF_INET, kind, 0)
        if from >= 0, to >= 0, let source = bindLoopback(from), let port = bindLoopback(to), source != port, reaches(from, to, port) {
            // Not vital: where it is refused, or the backend does not want it, datagrams come one by one.
            var on: Int32 = 1
            unsafe _ = setsockopt(to, Int32(IPPROTO_UDP), Self.receiveOffload, &on, 4)
            return (from, to, port)
        }
        if from >= 0 { close(from) }
        if to >= 0 { close(to) }
        return nil
    }

    private static func bindLoopback(_ descriptor: Int32) -> UInt16? {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = unsafe withUnsafeMutablePointer(to: &address) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(descriptor, $0, size) == 0 && getsockname(descriptor, $0, &size) == 0
            }
        }
        return isBound ? UInt16(bigEndian: address.sin_port) : nil
    }

    /// Whether a datagram goes over, without any backend: if not, that is no fault of one.
    private static func reaches(_ from: Int32, _ to: Int32, _ port: UInt16) -> Bool {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        address.sin_port = port.bigEndian
        var byte: UInt8 = 0
        let isSent = unsafe withUnsafePointer(to: &address) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe sendto(from, &byte, 1, 0, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 1
            }
        }
        guard isSent else { return false }
        var waiting = pollfd(fd: to, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&waiting, 1, 200) == 1 && recv(to, &byte, 1, 0) == 1
    }
}

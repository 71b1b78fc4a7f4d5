import Glibc
import NIOCore
import NIOPosix
import PlaneLink
import Signalling

/// What stands before each connection that the forward proxy makes for a target, also where a server redirects: the list, where a name leads, and
/// that it does not lead back here. Belongs to the event loop.
final class ForwardGate {
    private let allow: ForwardAllowList
    private let own: OwnPlaces
    private let onRefusal: (ForwardProxy.Trouble) -> Void
    /// Why it let nothing through the last time; nil: it did.
    private(set) var refusal: ForwardProxy.Trouble?

    /// Addresses of one name that are tried one after the other.
    static let addressesMax = 4

    /// `onRefusal` hears of each connection that is not made.
    init(allow: ForwardAllowList, own: OwnPlaces, onRefusal: @escaping (ForwardProxy.Trouble) -> Void = { _ in }) {
        self.allow = allow
        self.own = own
        self.onRefusal = onRefusal
    }

    /// Words for whoever dials.
    struct Closed: Error, CustomStringConvertible {
        let description: String
    }

    /// Connects to what may be.
    var dialler: SourceDialler {
        SourceDialler(
            connect: { [self] host, port, loop, prepare in
                refusal = nil
                guard let number = UInt16(exactly: port), allow.permits(host, port: number) else {
                    return close(
                        .denied("this proxy does not ask \(host):\(port): it is not among the servers of `forward-proxy: allow:`"), loop)
                }
                let name = host
                return NameLookup.threads.runIfActive(eventLoop: loop) { try NameLookup.addresses(of: name, port: number) }
                    .assumeIsolated().flatMap { [self] found in
                        let (addresses, trouble) = choose(found, name, number)
                        guard let first = addresses.first else {
                            return close(trouble ?? .denied("\(name) has no address"), loop)
                        }
                        return Self.connect(first, addresses.dropFirst(), loop, prepare)
                    }.nonisolated()
            })
    }

    /// Why a player is given nothing: what was not let through says more than that nobody answered.
    func explaining(_ told: ProxyRefusal) -> ProxyRefusal {
        guard let refusal, case .refused(let status, _) = told, status >= 500 else { return told }
        if case .loop(let words) = refusal { return .refused(status: 502, words) }
        return .refused(status: 403, refusal.words)
    }

    private func close(_ trouble: ForwardProxy.Trouble, _ loop: any EventLoop) -> EventLoopFuture<any Channel> {
        refusal = trouble
        onRefusal(trouble)
        return loop.makeFailedFuture(Closed(description: trouble.words))
    }

    /// The addresses of a name that may be dialled, and why others may not.
    func choose(_ found: [SocketAddress], _ name: String, _ port: UInt16) -> ([SocketAddress], ForwardProxy.Trouble?) {
        var trouble: ForwardProxy.Trouble?
        let permitted = found.filter { address in
            guard let host = HostAddress(address) else { return false }
            guard allow.permits(host, port: port) else {
                trouble = .denied(
                    "\(name) is at \(host.text), which is no address of the internet: this proxy asks there only where `forward-proxy: allow:` "
                        + "lists that address, or its network, itself")
                return false
            }
            guard !own.contains(host, port: port) else {
                trouble = .loop("\(name):\(port) is this relay: it would ask itself")
                return false
            }
            return true
        }
        return (Array(permitted.prefix(Self.addressesMax)), trouble)
    }

    private static func connect(
        _ address: SocketAddress, _ others: ArraySlice<SocketAddress>, _ loop: any EventLoop,
        _ prepare: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
    ) -> EventLoopFuture<any Channel> {
        let attempt = SourceDialler.bootstrap(loop, prepare).connect(to: address)
        guard let next = others.first else { return attempt }
        return attempt.flatMapError { _ in connect(next, others.dropFirst(), loop, prepare) }
    }
}

/// Asks the system where a name leads.
enum NameLookup {
    /// Names whose servers are slow hold up other names, and nobody else.
    static let threads: NIOThreadPool = {
        let pool = NIOThreadPool(numberOfThreads: threadCount)
        pool.start()
        return pool
    }()
    private static let threadCount = 4

    /// The words of an error are the system's.
    struct Trouble: Error, CustomStringConvertible {
        let description: String
    }

    /// All addresses of a name, the best one first. Waits for the answer: not for an event loop.
    static func addresses(of name: String, port: UInt16) throws -> [SocketAddress] {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        unsafe hints.ai_protocol = CInt(IPPROTO_TCP)
        var list: UnsafeMutablePointer<addrinfo>?
        let result = unsafe getaddrinfo(name, "\(port)", &hints, &list)
        guard result == 0 else {
            throw Trouble(description: "\(name) leads nowhere: \(unsafe String(cString: gai_strerror(result)))")
        }
        defer { unsafe freeaddrinfo(list) }
        var addresses: [SocketAddress] = []
        var next = unsafe list
        while let item = unsafe next {
            if let address = unsafe item.pointee.ai_addr, let found = try? unsafe SocketAddress(copying: address),
                !addresses.contains(found)
            {
                addresses.append(found)
            }
            unsafe next = item.pointee.ai_next
        }
        return addresses
    }
}

extension SocketAddress {
    /// An IPv4 or IPv6 address of the system's.
    fileprivate init(copying address: UnsafeMutablePointer<sockaddr>) throws {
        switch unsafe CInt(address.pointee.sa_family) {
        case AF_INET:
            self = unsafe address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { unsafe SocketAddress($0.pointee, host: "") }
        case AF_INET6:
            self = unsafe address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { unsafe SocketAddress($0.pointee, host: "") }
        default: throw NameLookup.Trouble(description: "an address of another kind")
        }
    }
}

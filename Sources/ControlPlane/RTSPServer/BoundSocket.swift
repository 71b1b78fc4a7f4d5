import Glibc
import NIOCore

/// Opens and binds the server's own sockets. NIO would do it too; but a media socket is shared with the engine, both kinds must
/// agree on the address family, and the errors should say what to do.
enum BoundSocket {
    enum Kind { case stream, datagram }

    /// The address to bind for what the user asked: `::` falls back to IPv4 where the machine has no IPv6.
    static func resolve(_ listen: ListenAddress) throws -> SocketAddress {
        if listen.host == "::" {
            let every = try SocketAddress(ipAddress: "::", port: Int(listen.port))
            // Asked with a datagram socket: nothing is taken from anybody by trying.
            if let probe = try? open(.datagram, at: every.withPort(0)) {
                close(probe)
                return every
            }
            return try SocketAddress(ipAddress: "0.0.0.0", port: Int(listen.port))
        }
        do {
            return try SocketAddress.makeAddressResolvingHost(listen.host, port: Int(listen.port))
        } catch {
            throw ListenError(address: "\(listen)", trouble: "`\(listen.host)` is not an address or name of this machine")
        }
    }

    /// A bound socket, not blocking; throws ``ListenError``. An IPv6 socket takes IPv4 too. `isShared` joins those that are bound there
    /// and may be shared (`SO_REUSEPORT`). With `reusesAddress` others may be bound there, too: at a group everybody gets every packet.
    static func open(_ kind: Kind, at address: SocketAddress, isShared: Bool = false, reusesAddress: Bool = false) throws -> CInt {
        let type =
            (kind == .stream ? CInt(SOCK_STREAM.rawValue) : CInt(SOCK_DGRAM.rawValue)) | CInt(SOCK_NONBLOCK.rawValue)
            | CInt(SOCK_CLOEXEC.rawValue)
        let family: CInt
        switch address {
        case .v4: family = AF_INET
        case .v6: family = AF_INET6
        case .unixDomainSocket: throw ListenError(address: "\(address)", trouble: "a UNIX socket carries no media")
        }
        let descriptor = socket(family, type, 0)
        guard descriptor >= 0 else { throw ListenError(address: address, errorNumber: errno) }
        if kind == .stream || reusesAddress { set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1) }
        if isShared { set(descriptor, SOL_SOCKET, SO_REUSEPORT, 1) }
        if family == AF_INET6 { set(descriptor, CInt(IPPROTO_IPV6), IPV6_V6ONLY, 0) }
        let result = unsafe address.withSockAddr { pointer, size in unsafe bind(descriptor, pointer, socklen_t(size)) }
        guard result == 0 else {
            let errorNumber = errno
            close(descriptor)
            throw ListenError(address: address, errorNumber: errorNumber)
        }
        return descriptor
    }

    /// The port that the kernel gave.
    static func port(of descriptor: CInt) -> UInt16 {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe getsockname(descriptor, $0, &size) }
        }
        guard result == 0 else { return 0 }
        // The port stands at the same place in both families' addresses.
        return unsafe withUnsafeBytes(of: storage) { unsafe UInt16($0[2]) << 8 | UInt16($0[3]) }
    }

    /// Sets an integer option; true when the kernel took it.
    @discardableResult
    static func set(_ descriptor: CInt, _ level: CInt, _ name: CInt, _ value: CInt) -> Bool {
        var value = value
        return unsafe setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<CInt>.size)) == 0
    }

    /// An integer option's value, or nil.
    static func get(_ descriptor: CInt, _ level: CInt, _ name: CInt) -> CInt? {
        var value: CInt = 0
        var size = socklen_t(MemoryLayout<CInt>.size)
        return unsafe getsockopt(descriptor, level, name, &value, &size) == 0 ? value : nil
    }
}

/// A socket that could not be opened, in words for the user.
package struct ListenError: Error, CustomStringConvertible {
    /// The error number, or 0.
    package let errorNumber: CInt
    private let address: String
    private let trouble: String

    init(address: String, trouble: String) {
        self.address = address
        self.trouble = trouble
        errorNumber = 0
    }

    init(address: SocketAddress, errorNumber: CInt) {
        let host = HostText(address).text
        self.address = host
        self.errorNumber = errorNumber
        let port = address.port ?? 0
        trouble =
            switch errorNumber {
            case EADDRINUSE:
                "port \(port) is taken by another program (`ss -ltnup | grep :\(port)` shows which): stop it, or choose another port with --listen HOST:PORT"
            case EACCES: "port \(port) needs privileges (ports below 1024 do): choose a higher one with --listen HOST:PORT"
            case EADDRNOTAVAIL: "this machine has no such address (`ip address` lists them): choose one with --listen HOST:PORT"
            case EMFILE, ENFILE: "no descriptor is left: raise the limit (`ulimit -n`)"
            case EAFNOSUPPORT: "this machine does not speak that address family"
            default: unsafe String(cString: strerror(errorNumber))
            }
    }

    /// Where, and what to do.
    package var description: String { "cannot listen on \(address): \(trouble)" }
}

private struct HostText {
    let text: String
    init(_ address: SocketAddress) {
        let host = address.ipAddress ?? "\(address)"
        text = "\(host.contains(":") ? "[\(host)]" : host):\(address.port ?? 0)"
    }
}

extension SocketAddress {
    /// The same host with another port.
    func withPort(_ port: UInt16) -> SocketAddress {
        var copy = self
        copy.port = Int(port)
        return copy
    }
}

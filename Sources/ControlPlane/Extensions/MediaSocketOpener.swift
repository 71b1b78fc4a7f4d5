import Glibc
import NIOCore

/// Opens the UDP sockets that media goes through: other addresses than those that listen, options, another network namespace, sockets
/// that were opened before privileges were dropped.
///
/// Called on the relay's event loop: answer at once. RTSP connections, sockets within the relay and the reception of multicast groups and
/// `rtp://` stay Weir's.
public protocol MediaSocketOpener: Sendable {
    /// Opens a UDP socket and binds it. The relay owns it from then on, closes it, and sets it non-blocking and close-on-exec.
    ///
    /// RTP is on an even port, RTCP on the next: for a pair you are asked for any port first, then for its neighbour by its number (the lower
    /// one when you gave an odd port). A pair that cannot be had is tried anew, up to 64 times, or as often as `media-ports` has pairs.
    ///
    /// - Throws: words for the user; whatever wanted the socket fails, and says why.
    func openSocket(_ request: MediaSocketRequest) throws -> CInt
}

/// A socket that the relay wants.
public struct MediaSocketRequest: Sendable, Equatable {
    /// What for.
    public enum Purpose: Sendable, Equatable {
        /// To send to UDP readers, from the start to the end; one pair for each worker, all at the same two ports.
        case readers
        /// To receive what a server or a publisher sends; a pair for each track.
        case source
        /// To send to a group.
        case group
    }

    /// What for.
    public let purpose: Purpose
    /// The address to bind, numeric; `::` and `0.0.0.0` for every one. Another one of the same family may be bound.
    public let host: String
    /// The port; 0: any.
    public let port: UInt16
    /// Others of this process are bound there already: `SO_REUSEPORT` is to be set before binding.
    public let isShared: Bool
}

/// Weir's own way: bound as asked, with large buffers (4 MiB to receive, 8 MiB to send, or what the system allows). For those who want to do
/// something more to such sockets: buffers of sockets from a ``MediaSocketOpener`` are left as they are.
public struct SystemMediaSockets: MediaSocketOpener {
    /// Sockets as Weir opens them.
    public init() {}

    /// Opens and binds; throws what is in the way and what to do about it.
    public func openSocket(_ request: MediaSocketRequest) throws -> CInt {
        let address = try SocketAddress(ipAddress: request.host, port: Int(request.port))
        let descriptor = try BoundSocket.open(.datagram, at: address, isShared: request.isShared)
        let buffers = SocketBuffers(logger: nil)
        buffers.widenReceive(descriptor)
        if request.purpose != .source { buffers.widenSend(descriptor) }
        return descriptor
    }
}

/// Asks a ``MediaSocketOpener``, and looks at what it gives.
enum GivenSocket {
    /// A socket as asked for; throws ``ListenError``.
    static func open(_ opener: any MediaSocketOpener, _ purpose: MediaSocketRequest.Purpose, at local: SocketAddress, isShared: Bool) throws
        -> CInt
    {
        let port = UInt16(clamping: local.port ?? 0)
        let request = MediaSocketRequest(purpose: purpose, host: local.ipAddress ?? "::", port: port, isShared: isShared)
        let descriptor: CInt
        do { descriptor = try opener.openSocket(request) } catch let error as ListenError { throw error } catch {
            throw ListenError(address: "\(request.host) port \(port)", trouble: "\(error)")
        }
        func refuse(_ words: String) -> ListenError {
            ListenError(address: "\(request.host) port \(port)", trouble: "the program that embeds Weir gave \(words)")
        }
        guard let type = BoundSocket.get(descriptor, SOL_SOCKET, SO_TYPE) else { throw refuse("no socket (descriptor \(descriptor))") }
        do {
            guard type == CInt(SOCK_DGRAM.rawValue) else { throw refuse("a socket that is not for datagrams") }
            let family = if case .v6 = local { AF_INET6 } else { AF_INET }
            guard BoundSocket.get(descriptor, SOL_SOCKET, SO_DOMAIN) == family else { throw refuse("a socket of another address family") }
            let bound = BoundSocket.port(of: descriptor)
            guard bound != 0 else { throw refuse("a socket that is not bound") }
            guard port == 0 || bound == port else { throw refuse("a socket at port \(bound)") }
        } catch {
            close(descriptor)
            throw error
        }
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        return descriptor
    }
}

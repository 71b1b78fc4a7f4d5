import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// One RTSP-over-HTTP tunnel: a GET connection that carries answers and media to the client, and a POST connection that brings its
/// requests in base 64. Clients may close the POST and open another at any time.
final class HTTPTunnel {
    /// Half of it is not there after so long: `since`.
    let since = NIODeadline.now()
    /// Both were there at some time.
    fileprivate(set) var isPaired = false
    fileprivate let key: HTTPTunnels.Key
    /// The GET: the RTSP connection proper.
    fileprivate(set) weak var down: RTSPConnection?
    /// The POST.
    fileprivate(set) weak var up: RTSPConnection?
    /// What the POST brought before there was a GET; reading stops after the first piece.
    fileprivate var parked: [UInt8] = []

    fileprivate init(key: HTTPTunnels.Key) { self.key = key }
}

/// The tunnels of a server, by the cookie that both halves bring and the host they come from.
final class HTTPTunnels {
    struct Key: Hashable {
        let host: HostAddress
        let cookie: String
    }

    enum Trouble: Error { case tooMany, taken }

    private let halfOpenMax: Int
    private var tunnels: [Key: HTTPTunnel] = [:]
    /// Tunnels whose other half never came, so far.
    private(set) var halfOpen = 0

    init(halfOpenMax: Int) { self.halfOpenMax = halfOpenMax }

    /// Tunnels, whole or half.
    var count: Int { tunnels.count }

    /// A half arrives: makes or completes its tunnel. A second GET for the same is refused; a second POST takes the place of the first.
    func join(_ connection: RTSPConnection, _ method: TunnelRequest.Method, cookie: String) throws(Trouble) -> HTTPTunnel {
        let key = Key(host: connection.host, cookie: cookie)
        let known = tunnels[key]
        if known == nil, halfOpen >= halfOpenMax { throw .tooMany }
        if method == .get, known?.down != nil { throw .taken }
        let tunnel = known ?? HTTPTunnel(key: key)
        if known == nil {
            tunnels[key] = tunnel
            halfOpen += 1
        }
        switch method {
        case .get: tunnel.down = connection
        case .post:
            let before = tunnel.up
            tunnel.up = connection
            before?.close()
        }
        if !tunnel.isPaired, tunnel.down != nil, tunnel.up != nil {
            tunnel.isPaired = true
            halfOpen -= 1
        }
        return tunnel
    }

    /// A half is gone. Without its GET a tunnel is over; without its POST it waits for another.
    func left(_ tunnel: HTTPTunnel, _ connection: RTSPConnection) {
        if tunnel.up === connection { tunnel.up = nil }
        if tunnel.down === connection { tunnel.down = nil }
        guard tunnel.down == nil, tunnel.isPaired || tunnel.up == nil, tunnels[tunnel.key] === tunnel else { return }
        tunnels[tunnel.key] = nil
        if !tunnel.isPaired { halfOpen -= 1 }
        let up = tunnel.up
        tunnel.up = nil
        up?.close()
    }
}

/// HTTP on the RTSP port.
extension RTSPConnection {
    /// What the connection is; its first bytes decide.
    enum Role {
        /// They are not all there; these are.
        case open([UInt8])
        case rtsp
        /// A tunnel's GET.
        case down(HTTPTunnel)
        /// A tunnel's POST.
        case up(HTTPTunnel, TunnelDecoder)
    }

    /// Takes bytes of a connection that is not known yet. Gives what is RTSP of them, if that is what it is.
    func decide(_ bytes: [UInt8]) -> [UInt8]? {
        switch TunnelRequest.beginning(bytes) {
        case .open: role = .open(bytes)
        case .connect:
            role = .open(bytes)
            server.count(.forwardDenied)
            refuseHTTP(
                "405 Method Not Allowed", "this is no proxy of the web: CONNECT is not carried; players ask it for Windows Media by GET")
        case .other:
            role = .rtsp
            return bytes
        case .http:
            role = .open(bytes)
            do {
                guard let request = try TunnelRequest.parse(bytes) else { return nil }
                guard let cookie = request.cookie else {
                    // No tunnel: a player of Windows Media, or a browser.
                    server.windowsMedia.take(over: self, bytes)
                    return nil
                }
                begin(request.method, cookie: cookie, rest: bytes[request.headBytes...])
            } catch {
                server.count(error == .tooLong ? .oversize : .malformed)
                refuseHTTP("400 Bad Request", "this is not HTTP")
            }
        }
        return nil
    }

    private func begin(_ method: TunnelRequest.Method, cookie: String, rest: ArraySlice<UInt8>) {
        do throws(HTTPTunnels.Trouble) {
            let tunnel = try server.tunnels.join(self, method, cookie: cookie)
            switch method {
            case .get:
                role = .down(tunnel)
                writeHTTP("200 OK", type: "application/x-rtsp-tunnelled", close: false)
                let parked = tunnel.parked
                tunnel.parked = []
                tunnelAttached(tunnel)
                tunnelled(parked)
            case .post:
                role = .up(tunnel, TunnelDecoder())
                tunnel.down?.tunnelAttached(tunnel)
                decode(rest)
            }
        } catch {
            switch error {
            case .tooMany:
                server.count(.tunnelsMax)
                refuseHTTP("503 Service Unavailable", "too many tunnels have only one half; try again")
            case .taken:
                server.count(.malformed)
                refuseHTTP("400 Bad Request", "there is such a tunnel already: its x-sessioncookie is in use")
            }
        }
    }

    /// Bytes of a POST.
    func decode(_ bytes: ArraySlice<UInt8>) {
        guard case .up(let tunnel, var decoder) = role, !bytes.isEmpty else { return }
        do {
            let plain = try decoder.decode(bytes)
            role = .up(tunnel, decoder)
            if let down = tunnel.down { return down.tunnelled(plain) }
            // Nothing more is read until the GET is there.
            tunnel.parked += plain
            try? channel.syncOptions?.setOption(.autoRead, value: false)
        } catch {
            server.count(.malformed)
            refuseHTTP("400 Bad Request", "the body is not base 64")
        }
    }

    /// Whether it is a tunnel's GET, which brings no requests by itself.
    var isTunnel: Bool {
        if case .down = role { true } else { false }
    }

    /// The tunnel that it is a half of.
    var tunnel: HTTPTunnel? {
        switch role {
        case .down(let tunnel), .up(let tunnel, _): tunnel
        case .open, .rtsp: nil
        }
    }

    /// The channel that requests come by.
    var requestChannel: (any Channel)? {
        if case .down(let tunnel) = role { tunnel.up?.channel } else { channel }
    }

    private func refuseHTTP(_ status: String, _ words: String) {
        writeHTTP(status, type: "text/plain", close: true, body: words + "\r\n")
        drain()
    }

    private func writeHTTP(_ status: String, type: String, close: Bool, body: String = "") {
        var text = "HTTP/1.0 \(status)\r\nDate: \(server.dateText)\r\nServer: \(server.settings.name)\r\nConnection: close\r\n"
        text += "Cache-Control: no-store\r\nPragma: no-cache\r\nContent-Type: \(type)\r\n"
        if close { text += "Content-Length: \(body.utf8.count)\r\n" }
        write(Array((text + "\r\n" + body).utf8))
    }
}

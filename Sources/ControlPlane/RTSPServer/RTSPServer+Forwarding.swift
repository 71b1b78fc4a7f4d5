import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// Requests that name content of another server in full ([MS-RTSP] 4.6): as of a proxy.
extension RTSPServer {
    /// The forward proxy that the settings ask for; nil: none.
    func makeForwardProxy() -> ForwardProxy? {
        guard settings.forwardProxy.isOn else { return nil }
        let proxy = ForwardProxy(
            settings.forwardProxy, hasUsers: !settings.access.users.isEmpty, table: paths,
            guarded: paths.all.map(\.settings) + paths.expressions.map(\.settings), ports: { [weak self] in self?.listenPorts ?? [] },
            logger: logger)
        proxy.onRefusal = { [weak self] in self?.count($0) }
        return proxy
    }

    /// What a request names that the forward proxy carries, or would; nil: it is about this server's own. Nothing is made.
    ///
    /// Clients behind NAT name this server by any host, so that what is not listed is taken for this server's.
    func forwarded(by request: ServerRequest) -> Found? {
        let uri = request.message.uri
        guard let forwarding, let key = try? CacheKey(uri), !forwarding.isOwn(key), forwarding.permits(key) else { return nil }
        func found(_ key: CacheKey, _ control: String?) -> Found? {
            forwarding.path(of: key).map { Found(path: $0, match: nil, control: control, forward: key) }
        }
        if let found = found(key, nil) { return found }
        if request.message.method != .describe {
            for (text, control) in Self.readings(of: uri) {
                if let key = try? CacheKey(text), let found = found(key, control) { return found }
            }
        }
        return Found(path: nil, match: nil, control: nil, forward: key)
    }

    /// Whether what can be asked for is asked, of what the forward proxy would carry: that is the same of all such content, and no server is asked.
    func forwardsOptions(_ request: ServerRequest) -> Bool {
        guard request.message.method == .options, let found = forwarded(by: request) else { return false }
        return found.path == nil
    }

    /// Where the border between content and a stream of it may lie in a URL: what stands before, and behind.
    private static func readings(of uri: String) -> [(url: String, control: String?)] {
        let (head, query) = uri.utf8.firstIndex(of: UInt8(ascii: "?")).map { (uri[..<$0], uri[$0...]) } ?? (uri[...], "")
        var readings: [(url: String, control: String?)] = []
        // Players put a stream's name behind the query, too.
        if let slash = query.utf8.lastIndex(of: UInt8(ascii: "/")) {
            let control = String(query[query.utf8.index(after: slash)...])
            readings.append((String(head) + query[..<slash], control.isEmpty ? nil : control))
        }
        var base = head
        var control = ""
        for _ in 0..<controlPartsMax {
            guard let slash = base.utf8.lastIndex(of: UInt8(ascii: "/")), !base[..<slash].hasSuffix(":/") else { break }
            let part = base[base.utf8.index(after: slash)...]
            control = control.isEmpty ? String(part) : "\(part)/\(control)"
            base = base[..<slash]
            readings.append((String(base) + query, control.isEmpty ? nil : control))
        }
        return readings
    }

    /// Parts between slashes that the name of a stream may have.
    private static let controlPartsMax = 3

    /// Why nothing is found where a URL names another server that is not listed; nil: it does not.
    func forwardRefusal(_ request: ServerRequest) -> RequestRefusal? {
        guard let forwarding, let key = try? CacheKey(request.message.uri), !forwarding.isOwn(key), !forwarding.permits(key) else {
            return nil
        }
        return .forbidden(forwarding.denial(key).words)
    }

    /// Whether whoever asks may use the forward proxy; asks for a name and a password as a proxy does (407).
    func authorize(forwarding request: ServerRequest, _ connection: RTSPConnection) throws(RequestRefusal) {
        guard let forwarding, request.message.method != .options else { return }
        let decision = access.decide(
            forwarding.rule, to: ForwardProxy.verb, request: request.message, from: connection.host, now: Self.milliseconds(.now()),
            header: ForwardProxy.header)
        do throws(RequestRefusal) {
            try obey(decision, "\(request.message.method.name) \(request.message.uri.prefix(128))", nil, connection)
        } catch {
            guard case .unauthorized(let challenges, _) = error else { throw error }
            throw .proxyUnauthorized(challenges, "this proxy wants a name and a password")
        }
    }

    /// The path of what the forward proxy carries.
    func open(forwarded key: CacheKey, _ method: RTSPMethod) throws(RequestRefusal) -> Path {
        guard method != .announce, method != .record else {
            throw .methodNotAllowed(method, "what other servers have is played through this proxy; nothing is published there")
        }
        guard let forwarding else { throw .notFound("nothing is served there") }
        do throws(ForwardProxy.Trouble) { return try forwarding.open(key) } catch {
            count(error)
            switch error {
            case .unreadable(let words): throw .uriMalformed(words)
            case .denied(let words): throw .forbidden(words)
            case .loop(let words): throw .loop(words)
            case .full(let words): throw .unavailable(words, retryAfterSeconds: Path.retryAfterSeconds)
            case .path(let error): throw RequestRefusal(pathError: error)
            }
        }
    }

    /// Counts what the forward proxy did not carry.
    func count(_ trouble: ForwardProxy.Trouble) {
        switch trouble {
        case .denied, .loop: count(.forwardDenied)
        case .full: count(.forwardTargets)
        case .unreadable, .path: break
        }
    }
}

extension ForwardProxy {
    /// What its users may.
    static let verb = "use this proxy"
    /// Where they say who they are.
    static let header = "Proxy-Authorization"
}

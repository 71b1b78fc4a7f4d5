import Signalling
import WireFormats

extension WindowsMediaServer {
    /// What a request asks of content that comes from an origin.
    func ask(_ request: WMSPRequest, of path: Path, on connection: WMSPConnection) -> ProxyAsk {
        let stage: ProxyAsk.Stage =
            switch request.kind {
            case .getContentInfo: .contentInfo
            case .describe: .describe
            default: .play
            }
        var ask = ProxyAsk(dialect: .wmsp, stage: stage)
        ask.asker = path.asker
        ask.mayForward = connection.trail.mayForward
        ask.maxForwards = connection.trail.forwardsNext
        // Of one player: the session that its Describe opened. What players call themselves, and the number that they draw, many have in common
        // behind one address: only GetContentInfo, which knows of no session, is told by that. A Play that names no session is its first word.
        let named = request.guid.map { "wmsp \(connection.host.text) \(connection.agent) \($0)" }
        switch stage {
        case .contentInfo: ask.player = named ?? "wmsp connection \(connection.id)"
        case .describe:
            ask.player = "wmsp connection \(connection.id)"
            ask.earlier = named
        case .play: ask.player = sessions.describer(of: request, from: connection.host.text).map { "wmsp connection \($0)" }
        }
        // What opens this relay is none of the origin's business.
        if server.access.isOpen(.read, of: path.settings, to: connection.host) {
            ask.authorization = request.message.headers.values(named: "Authorization").first
        }
        return ask
    }
}

extension WindowsMediaRTSP {
    /// The same.
    func ask(_ request: MSRTSPRequest, of path: Path, on line: MSRTSPLine) -> ProxyAsk {
        let stage: ProxyAsk.Stage =
            switch request.kind {
            case .getContentInfo: .contentInfo
            case .describe: .describe
            default: .play
            }
        var ask = ProxyAsk(dialect: .msRTSP, stage: stage)
        ask.asker = path.asker
        ask.mayForward = line.connection.trail.mayForward
        ask.maxForwards = line.connection.trail.forwardsNext
        ask.player = "rtsp \(line.id)"
        if server.access.isOpen(.read, of: path.settings, to: line.connection.host) {
            ask.authorization = request.message.headers["Authorization"]
        }
        return ask
    }
}

extension PathSettings {
    /// What the operator says of how the source's content is treated.
    func proxyPolicy(_ commons: ProxyCommons) -> ProxyPolicy {
        var policy = ProxyPolicy()
        switch self.cache.keeping {
        case .standard, .yes: policy.keeping = .permitted
        case .no: policy.keeping = .nothing
        case .force: policy.keeping = .forced
        }
        policy.isBroadcast = isBroadcast
        policy.isConfigured = !isForwarded
        policy.redirects = serving == .redirect
        policy.keepsPlaylists = commons.desk != nil
        policy.sharesOperators = self.cache.ownCredentials == .share
        policy.servesUnreachable = self.cache.stale == .unreachable
        policy.ageDefaultSeconds = UInt32(clamping: self.cache.ageSeconds ?? 0)
        policy.diskBytesMax = UInt64(clamping: commons.settings.objectBytesMax)
        policy.memoryBytesMax = UInt64(clamping: commons.memory.bytesMax)
        return policy
    }
}

extension Credentials {
    /// The name and the password of an `Authorization`, where they can be read out of it (Basic).
    init?(authorization: String) {
        guard case .basic(let token)? = AuthorizationHeader(authorization), let bytes = Base64.decode(token),
            let colon = bytes.firstIndex(of: UInt8(ascii: ":"))
        else { return nil }
        self.init(user: String(decoding: bytes[..<colon], as: UTF8.self), password: String(decoding: bytes[(colon + 1)...], as: UTF8.self))
    }
}

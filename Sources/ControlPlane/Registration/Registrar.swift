import Logging
import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// Serves what back ends ask to be served (LIVE555's REGISTER): adds a path for each, and removes it when its back end says so or stays
/// away. Belongs to the event loop.
final class Registrar {
    /// Who registered something; only the same may change it.
    struct Owner: Equatable, CustomStringConvertible {
        let user: String?
        let host: HostAddress

        /// A user may come from another address, whoever has none may not.
        static func == (left: Self, right: Self) -> Bool {
            left.user != nil || right.user != nil ? left.user == right.user : left.host == right.host
        }

        var description: String { user.map { "\($0) from \(host.text)" } ?? host.text }
    }

    private struct Registration {
        let owner: Owner
        var url: SourceURL
        /// What the source is fetched by if it brought its connection.
        let brought: BroughtConnection?
        let pull: RTSPPull
        /// When the back end was there last.
        var seenAt: NIODeadline
    }

    private let settings: RegisterSettings
    private let paths: PathTable
    private let eventLoop: any EventLoop
    private let logger: Logger
    private var registrations: [String: Registration] = [:]
    private var numbered = 0

    init(settings: RegisterSettings, paths: PathTable, eventLoop: any EventLoop, logger: Logger) {
        self.settings = settings
        self.paths = paths
        self.eventLoop = eventLoop
        self.logger = logger
    }

    /// Registered paths.
    var count: Int { registrations.count }

    /// A back end wants its stream to be served. What is given takes the connection that brought the wish, if that is to be used.
    func register(
        _ text: String, _ header: RegisterHeader, owner: Owner, count: (ServerRefusal) -> Void
    ) throws(RequestRefusal) -> ((any Channel) -> Void)? {
        let url = try Self.url(text)
        if !header.reusesConnection, let why = settings.refusal(of: url, requester: owner.host) {
            count(.registrationRefused)
            throw .forbidden(why)
        }
        let name = try name(header.suffix, url, owner, count)
        if let known = registrations[name] {
            guard known.owner == owner else {
                count(.registrationRefused)
                throw .nameRefused("/\(name) was registered by somebody else")
            }
            // The readers stay where the source is fetched in the same way.
            if (known.brought != nil) == header.reusesConnection { return again(name, known, url) }
            paths.remove(name, reason: "its back end registered it anew")
        }
        return try add(name, url, header, owner, count)
    }

    private static func url(_ text: String) throws(RequestRefusal) -> SourceURL {
        let url: SourceURL
        do { url = try SourceURL(text) } catch { throw .uriMalformed(error.description) }
        guard url.transport == nil, !url.isTunnelled else { throw .uriMalformed("a registered stream is fetched from an rtsp:// URL") }
        return url
    }

    private func name(
        _ suffix: String?, _ url: SourceURL, _ owner: Owner, _ count: (ServerRefusal) -> Void
    ) throws(RequestRefusal) -> String {
        if let suffix {
            let name = PathSettings.trimmed(suffix)
            guard name.hasPrefix(settings.prefix) else {
                count(.registrationRefused)
                throw .nameRefused("the name must begin with \(settings.prefix)")
            }
            return name
        }
        // The same stream again keeps its name.
        if let known = registrations.first(where: { $0.value.owner == owner && $0.value.url == url }) { return known.key }
        // As LIVE555's proxy calls them.
        repeat { numbered &+= 1 } while paths.path(named: "\(settings.prefix)registeredProxyStream-\(numbered)") != nil
        return "\(settings.prefix)registeredProxyStream-\(numbered)"
    }

    private func again(_ name: String, _ known: Registration, _ url: SourceURL) -> ((any Channel) -> Void)? {
        registrations[name]?.url = url
        registrations[name]?.seenAt = .now()
        logger.info("registered again", metadata: ["path": "\(name)", "by": "\(known.owner)", "source": "\(url)"])
        guard let brought = known.brought else {
            if known.url != url || !known.pull.isEstablished { known.pull.dialAnew(at: url) }
            return nil
        }
        return { [pull = known.pull] channel in
            brought.bring(channel)
            pull.dialAnew(at: url)
        }
    }

    private func add(
        _ name: String, _ url: SourceURL, _ header: RegisterHeader, _ owner: Owner, _ count: (ServerRefusal) -> Void
    ) throws(RequestRefusal) -> ((any Channel) -> Void)? {
        guard registrations.count < settings.pathsMax else {
            count(.registeredMax)
            throw .unavailable("\(settings.pathsMax) paths are registered, and no more may be", retryAfterSeconds: 30)
        }
        guard paths.match(name) == nil else {
            count(.registrationRefused)
            throw .nameRefused("/\(name) belongs to an expression of the configuration")
        }
        var path = PathSettings(name: name, source: .pull(url))
        // LIVE555's proxy knows the description from the start, too. And a connection that was brought is not to be had again.
        path.dial = .warm
        // What brought its connection could not be reached otherwise: media comes the same way, whatever is preferred.
        path.transport = header.reusesConnection || header.delivery == .interleaved ? .tcp : .auto
        let brought = header.reusesConnection ? BroughtConnection(eventLoop) : nil
        var dialler = brought?.dialler ?? .tcp
        if brought == nil { dialler.refusal = { [settings] in settings.refusal(of: $0, requester: owner.host) } }
        var made: RTSPPull?
        do throws(PathTableError) {
            try paths.add(path, origin: .registered("\(owner)")) { path in
                let pull = RTSPPull(
                    url: url, settings: path.settings, port: path.port, mediaPorts: path.mediaPorts, host: path, dialler: dialler,
                    extensions: path.extensions, logger: path.logger)
                made = pull
                return pull
            }
        } catch {
            switch error {
            case .nameTaken, .nameUnusable:
                count(.registrationRefused)
                throw .nameRefused(error.description)
            case .tooMany, .closed: throw .unavailable(error.description, retryAfterSeconds: 30)
            }
        }
        guard let pull = made else { return nil }
        registrations[name] = Registration(owner: owner, url: url, brought: brought, pull: pull, seenAt: .now())
        logger.notice(
            "registered",
            metadata: ["path": "\(name)", "by": "\(owner)", "source": "\(url)", "connection": "\(brought == nil ? "dialled" : "brought")"])
        return brought.map { brought in
            { channel in
                brought.bring(channel)
                pull.dialAnew(at: url)
            }
        }
    }

    /// A back end wants its stream not to be served any more.
    func deregister(_ text: String, _ header: RegisterHeader, owner: Owner, count: (ServerRefusal) -> Void) throws(RequestRefusal) {
        let url = try Self.url(text)
        let name: String
        if let suffix = header.suffix {
            name = PathSettings.trimmed(suffix)
        } else if let known = registrations.first(where: { $0.value.owner == owner && $0.value.url == url }) {
            name = known.key
        } else {
            throw .nameRefused("you registered nothing of that URL")
        }
        guard let known = registrations[name] else { throw .nameRefused("nothing is registered as /\(name)") }
        guard known.owner == owner else {
            count(.registrationRefused)
            throw .nameRefused("/\(name) was registered by somebody else")
        }
        remove(name, "its back end deregistered it")
    }

    /// A path is gone, whoever removed it.
    func forget(_ name: String) { registrations.removeValue(forKey: name)?.brought?.end() }

    /// Weir stops: nobody waits for a connection any more.
    func endAll() { for registration in registrations.values { registration.brought?.end() } }

    /// Removes what stays away; about once a second.
    func sweep(now: NIODeadline) {
        for (name, registration) in registrations {
            if registration.pull.isEstablished {
                registrations[name]?.seenAt = now
            } else if now - registration.seenAt > .milliseconds(Int64(settings.waitMilliseconds)) {
                remove(name, "its back end did not come back within \(settings.waitMilliseconds / 1_000) s")
            }
        }
    }

    private func remove(_ name: String, _ reason: String) {
        let by = registrations[name].map { "\($0.owner)" } ?? ""
        logger.notice("deregistered", metadata: ["path": "\(name)", "by": "\(by)", "reason": "\(reason)"])
        paths.remove(name, reason: reason)
    }
}

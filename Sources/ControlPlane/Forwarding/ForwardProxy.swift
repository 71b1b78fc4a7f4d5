import Logging
import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// Windows Media of other servers, for players that name it in full: which of it may be had, and a path for each target while somebody is interested.
/// Belongs to the event loop.
final class ForwardProxy {
    /// Why a target is not carried.
    enum Trouble: Error, Equatable {
        /// The URL cannot be read, or is of another kind.
        case unreadable(String)
        /// It is not listed, or leads where nobody may go.
        case denied(String)
        /// It would lead back here.
        case loop(String)
        /// There are as many targets or servers as there may be.
        case full(String)
        /// It could not be had a moment ago.
        case path(PathError)

        var words: String {
            switch self {
            case .unreadable(let words), .denied(let words), .loop(let words), .full(let words): words
            case .path(let error): error.description
            }
        }
    }

    /// What became of requests.
    struct Counters {
        /// Paths that were made since the start, and requests that found no room for one more.
        var made = 0
        var full = 0
    }

    let settings: ForwardProxySettings
    /// Who may use it.
    let rule: AccessRule
    private unowned let table: PathTable
    private let logger: Logger
    private let own: OwnPlaces
    private(set) var targets: [CacheKey: Path] = [:]
    private var negatives: NegativeAnswers<CacheKey>
    private(set) var counters = Counters()
    /// Requests that were answered from memory, and targets that are remembered.
    var negativeAnswers: Int { negatives.given }
    var negativeCount: Int { negatives.count }
    /// Places that are sources of paths and want a password there: what it opened is not for others.
    private let guarded: Set<String>

    /// Hears of each connection to a target that is not made.
    var onRefusal: (Trouble) -> Void = { _ in }

    /// `ports`: where this relay listens.
    init(
        _ settings: ForwardProxySettings, hasUsers: Bool, table: PathTable, guarded: [PathSettings], ports: @escaping () -> Set<UInt16>,
        logger: Logger
    ) {
        self.settings = settings
        self.table = table
        self.logger = logger
        rule = settings.rule(hasUsers: hasUsers)
        own = OwnPlaces(names: Set(settings.names), ports: ports)
        negatives = NegativeAnswers(countMax: settings.negativesMax, milliseconds: settings.negativeMilliseconds)
        self.guarded = Set(
            guarded.flatMap { path -> [String] in
                guard let place = path.source.place, place.isGuarded else { return [] }
                return ((try? CacheKey.candidates(place.url)) ?? []).map(\.authority)
            })
    }

    /// Servers that targets are on.
    var originCount: Int { Set(targets.keys.map { "\($0.scheme.rawValue)://\($0.authority)" }).count }

    /// The path of a target that is carried; nil: it is not.
    func path(of key: CacheKey) -> Path? { targets[key] }

    /// Whether a URL in full names this relay itself.
    func isOwn(_ key: CacheKey) -> Bool { own.contains(key.host, port: key.port) }

    /// Whether a target may be asked for, as far as its name says.
    func permits(_ key: CacheKey) -> Bool { settings.allow.permits(key) }

    /// Why a target may not be asked for that is not listed.
    func denial(_ key: CacheKey) -> Trouble {
        .denied(
            "this proxy does not ask \(key.authority): it is not among the servers of `forward-proxy: allow:`"
                + (own.ports().contains(key.port) ? "; if that is a name of this relay, it belongs under `names:` there" : ""))
    }

    private var gate: ForwardGate {
        ForwardGate(allow: settings.allow, own: own) { [weak self] in self?.onRefusal($0) }
    }

    /// How a place is reached that is listed, if no path does it: as for a target. Nil: it is not listed.
    func dialler(for url: String) -> SourceDialler? {
        guard let key = try? CacheKey(url), permits(key) else { return nil }
        return gate.dialler
    }

    /// The path of a target that may be asked for, made now where there is none.
    func open(_ key: CacheKey) throws(Trouble) -> Path {
        if let path = targets[key] { return path }
        if let error = negatives.answer(key, now: table.now) { throw .path(error) }
        try makeRoom(for: key)
        let source: PathSettings.Source
        do {
            source = key.scheme == .mmsh ? .windowsMedia(try WMSPSourceURL(key.url)) : .pull(try SourceURL(key.url))
        } catch { throw .unreadable("\(error)") }
        var settings = settings.path.forwarding(key, from: source)
        // What an operator's password opens elsewhere is neither given nor let go of on behalf of those who came by the proxy.
        if guarded.contains(key.authority) { settings.cache.keeping = .no }
        let gate = gate
        let path: Path
        do throws(PathTableError) {
            path = try table.add(settings, origin: .forwarded) { PathSourceFactory.forwarded(for: $0, by: gate) }
        } catch {
            if case .tooMany = error { counters.full += 1 }
            throw .full(error.description)
        }
        counters.made += 1
        targets[key] = path
        let instance = Instance(proxy: self, key: key)
        path.instance = instance
        // Gone again unless whoever asked takes an interest in this turn.
        instance.idle(path)
        return path
    }

    private func makeRoom(for key: CacheKey) throws(Trouble) {
        if targets.count >= settings.targetsMax, !letOneGo(where: { _ in true }) {
            counters.full += 1
            throw .full("\(settings.targetsMax) targets are carried, and no more may be (forward-proxy: targets-max)")
        }
        func isThere(_ other: CacheKey) -> Bool { other.scheme == key.scheme && other.authority == key.authority }
        guard !targets.keys.contains(where: isThere), originCount >= settings.originsMax else { return }
        // A server is let go of with all its targets.
        let busy = Set(targets.filter { $0.value.isOccupied }.map(\.key.authority))
        guard let free = targets.keys.first(where: { !busy.contains($0.authority) })?.authority else {
            counters.full += 1
            throw .full("targets on \(settings.originsMax) servers are carried, and on no more may be (forward-proxy: origins-max)")
        }
        while letOneGo(where: { $0.authority == free }) {}
    }

    private func letOneGo(where isMeant: (CacheKey) -> Bool) -> Bool {
        guard let (key, path) = targets.first(where: { isMeant($0.key) && !$0.value.isOccupied }) else { return false }
        drop(key, path, "another target needs its place")
        return true
    }

    private func drop(_ key: CacheKey, _ path: Path, _ reason: String) {
        guard targets[key] === path else { return }
        targets[key] = nil
        table.remove(path.name, reason: reason)
    }

    /// What a target's path tells of itself.
    private final class Instance: PathInstance {
        private weak var proxy: ForwardProxy?
        private let key: CacheKey

        init(proxy: ForwardProxy, key: CacheKey) {
            self.proxy = proxy
            self.key = key
        }

        func idle(_ path: Path) {
            path.eventLoop.assumeIsolated().execute { [weak proxy, key] in
                if !path.isOccupied { proxy?.drop(key, path, "nobody is interested") }
            }
        }

        func failed(_ path: Path, _ error: PathError) {
            guard let proxy else { return }
            proxy.negatives.remember(key, error, now: proxy.table.now)
            path.eventLoop.assumeIsolated().execute { [weak proxy, key] in
                // Who plays what was had before goes on.
                if !path.isOccupied { proxy?.drop(key, path, "it could not be had") }
            }
        }
    }
}

/// Where this relay itself is.
final class OwnPlaces {
    private let names: Set<String>
    /// Where it listens.
    let ports: () -> Set<UInt16>
    private var addresses: Set<HostAddress> = []
    private var lookedAt: NIODeadline?

    /// Interfaces come and go; they are looked at again after so long.
    private static let keepSeconds: Int64 = 10

    init(names: Set<String>, ports: @escaping () -> Set<UInt16>) {
        self.names = names
        self.ports = ports
    }

    /// Whether that is here, as far as a name says.
    func contains(_ host: String, port: UInt16) -> Bool {
        guard ports().contains(port) else { return false }
        if names.contains(host) || host == "localhost" || host == HostLoad.name?.lowercased() { return true }
        return HostAddress(numeric: host).map(isHere) ?? false
    }

    /// Whether a connection to there would come back.
    func contains(_ address: HostAddress, port: UInt16) -> Bool { ports().contains(port) && isHere(address) }

    private func isHere(_ address: HostAddress) -> Bool {
        let now = NIODeadline.now()
        if lookedAt.map({ now - $0 > .seconds(Self.keepSeconds) }) ?? true {
            lookedAt = now
            addresses = Set(((try? System.enumerateDevices()) ?? []).compactMap { HostAddress($0.address)?.withoutScope })
        }
        // All of 127.0.0.0/8 is this machine, and nobody in particular is, too.
        return addresses.contains(address.withoutScope) || address.ipv4.map { $0 >> 24 == 127 || $0 == 0 } ?? (address == .any)
    }
}

extension HostAddress {
    fileprivate var withoutScope: HostAddress { HostAddress(high: high, low: low) }
}

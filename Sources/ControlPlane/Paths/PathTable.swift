import Logging
import NIOCore
import PlaneLink

/// How a path came to be.
package enum PathOrigin: Sendable, Equatable, CustomStringConvertible {
    /// The configuration or the command line names it; it is there from start to end.
    case configuration
    /// An expression of the configuration, which is given, fitted a name that somebody asked for.
    case expression(String)
    /// A server asked for it (REGISTER); the words say who.
    case registered(String)
    /// A player named content of another server in full, and the forward proxy carries it. No name of a path leads there.
    case forwarded

    /// For status and log.
    package var description: String {
        switch self {
        case .configuration: "configuration"
        case .expression(let text): "expression \(text)"
        case .registered(let words): "registered by \(words)"
        case .forwarded: "forward proxy"
        }
    }
}

/// Why a path cannot be added. The words are for the peer.
enum PathTableError: Error, Equatable, CustomStringConvertible {
    /// There is a path of that name.
    case nameTaken(String)
    /// No path can have that name; why.
    case nameUnusable(String)
    /// There are as many paths beside those of the configuration as there may be.
    case tooMany(Int)
    /// Weir stops, or the table cannot make paths.
    case closed

    /// What is wrong, in words.
    var description: String {
        switch self {
        case .nameTaken(let name): "there is a path /\(name) already"
        case .nameUnusable(let problem): problem
        case .tooMany(let max): "there are \(max) paths beside those of the configuration, and no more may be (limits: run-time-paths)"
        case .closed: "Weir stops"
        }
    }
}

/// Hears which paths come and go.
protocol PathTableObserver: AnyObject {
    /// There is one more.
    func pathAdded(_ path: Path)
    /// It is not there any more; its readers were told.
    func pathRemoved(_ path: Path)
}

/// What is served, by name. Belongs to the event loop.
///
/// The paths of the configuration are there from the start; others are added and removed while Weir runs, up to
/// ``Limits/runTimePathsMax`` at a time. Those that stay keep nothing of those that went.
final class PathTable {
    private var paths: [String: Path]
    private var sorted: [Path]?
    /// Removed, and their sources have not let go yet.
    private var leaving: [ObjectIdentifier: Path] = [:]
    private let make: ((PathSettings, PathOrigin) -> Path)?
    private var observers: [() -> (any PathTableObserver)?] = []
    private var isStarted = false
    private var isStopped = false
    private var stopped: (() -> Void)?

    /// Paths beside those of the configuration: at most, and just now.
    let runTimePathsMax: Int
    private(set) var runTimePaths = 0
    /// Paths that were added and removed since the start, and those that were refused for ``runTimePathsMax``.
    private(set) var added = 0
    private(set) var removed = 0
    private(set) var refused = 0
    private var dropsOfRemoved: UInt64 = 0
    private var proxyCountsOfRemoved = ProxyCounts()
    /// What makes paths of names that nobody listed, in the order of the configuration.
    let expressions: [ExpressionPaths]
    private let clock: () -> NIODeadline

    /// A table of these paths; of equal names the first counts. Without `make` none can be added.
    init(
        _ paths: [Path], expressions: [PathSettings] = [], runTimePathsMax: Int = Limits().runTimePathsMax,
        make: ((PathSettings, PathOrigin) -> Path)? = nil, clock: @escaping () -> NIODeadline = NIODeadline.now
    ) {
        self.expressions = expressions.compactMap { settings in settings.expression.map { ExpressionPaths(settings, $0) } }
        self.clock = clock
        self.paths = Dictionary(paths.map { ($0.name, $0) }) { first, _ in first }
        self.runTimePathsMax = runTimePathsMax
        self.make = make
    }

    /// All paths, by name.
    var all: [Path] {
        if let sorted { return sorted }
        let list = paths.values.sorted { $0.name < $1.name }
        sorted = list
        return list
    }

    /// The path of that name, with or without slashes at the ends. What the forward proxy carries has none that could be asked for.
    func path(named name: String) -> Path? { paths[PathSettings.trimmed(name)].flatMap { $0.origin == .forwarded ? nil : $0 } }

    /// The same, or what the forward proxy carries from that URL: for what this relay says of itself.
    func any(named name: String) -> Path? { paths[name] ?? path(named: name) }

    var now: NIODeadline { clock() }

    /// The first expression that a name fits, with what it makes of it; nothing is made yet. Names that no path can have fit none.
    func match(_ name: String) -> ExpressionPaths.Match? {
        guard !expressions.isEmpty, !isStopped else { return nil }
        let name = PathSettings.trimmed(name)
        guard ConfigurationReader.problem(ofName: name) == nil else { return nil }
        for paths in expressions { if let match = paths.match(name) { return match } }
        return nil
    }

    /// How plays were met on all paths since the start, those that went included.
    var proxyCounts: ProxyCounts { paths.values.reduce(into: proxyCountsOfRemoved) { $0.add($1.proxyCounts) } }
    /// Datagrams that the kernel dropped of the sources of all paths since the start, those that went included.
    var datagramsDropped: UInt64 { paths.values.reduce(dropsOfRemoved) { $0 &+ $1.datagramsDropped } }

    /// Tells `observer`, which is not kept, what comes and goes.
    func addObserver(_ observer: any PathTableObserver) {
        observers.removeAll { $0() == nil }
        observers.append { [weak observer] in observer }
    }

    /// Gives the paths of the configuration their sources.
    func start() {
        isStarted = true
        for path in all { path.table = self }
        for path in all { path.start(source: PathSourceFactory.source(for: path)) }
    }

    // MARK: While Weir runs

    /// Adds a path and starts it, with the source that `source` makes for it (else the one that its settings name).
    @discardableResult
    func add(
        _ settings: PathSettings, origin: PathOrigin, source: (Path) -> (any PathSource)? = PathSourceFactory.source
    ) throws(PathTableError) -> Path {
        guard let make, !isStopped else { throw .closed }
        if origin != .forwarded, let problem = ConfigurationReader.problem(ofName: settings.name) { throw .nameUnusable(problem) }
        guard paths[settings.name] == nil else { throw .nameTaken(settings.name) }
        if origin != .configuration {
            guard runTimePaths < runTimePathsMax else {
                refused += 1
                throw .tooMany(runTimePathsMax)
            }
            runTimePaths += 1
        }
        added += 1
        let path = make(settings, origin)
        paths[path.name] = path
        sorted = nil
        path.logger.info("path begins", metadata: ["source": "\(settings.source)", "origin": "\(origin)"])
        // First what holds for it, then what it does.
        for observer in observers { observer()?.pathAdded(path) }
        path.table = self
        path.start(source: source(path))
        return path
    }

    /// Removes a path: whoever waits for it, reads it or publishes to it hears `reason`, and its source is let go of. `done` runs when
    /// it has. False when there is no such path.
    @discardableResult
    func remove(_ name: String, reason: String, done: @escaping () -> Void = {}) -> Bool {
        guard !isStopped, let path = any(named: name) else { return false }
        paths[path.name] = nil
        sorted = nil
        removed += 1
        if path.origin != .configuration { runTimePaths -= 1 }
        path.logger.info("path ends", metadata: ["reason": "\(reason)"])
        leaving[ObjectIdentifier(path)] = path
        path.remove(reason) { [self] in
            leaving[ObjectIdentifier(path)] = nil
            dropsOfRemoved &+= path.datagramsDropped
            proxyCountsOfRemoved.add(path.proxyCounts)
            done()
            if isStopped, leaving.isEmpty { takeStopped()?() }
        }
        for observer in observers { observer()?.pathRemoved(path) }
        return true
    }

    private func takeStopped() -> (() -> Void)? {
        defer { stopped = nil }
        return stopped
    }

    /// Ends all paths; `done` runs when every source let go.
    func stop(_ done: @escaping () -> Void) {
        guard !isStopped else { return done() }
        isStopped = true
        var remaining = paths.count + 1
        let letGo = {
            remaining -= 1
            if remaining == 0 { done() }
        }
        if leaving.isEmpty { letGo() } else { stopped = letGo }
        for path in all { path.stop(letGo) }
    }
}

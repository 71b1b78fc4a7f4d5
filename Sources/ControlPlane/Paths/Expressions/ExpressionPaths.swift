import Logging
import NIOCore
import Signalling
import WireFormats

/// The paths that one expression makes: instances while somebody is interested in them, and names that are not asked for again for a while.
/// Belongs to the event loop.
final class ExpressionPaths {
    let settings: PathSettings
    let expression: ExpressionSettings

    /// Its instances just now.
    private(set) var instances: [String: Path] = [:]
    private var negatives: NegativeAnswers<String>
    /// Instances since the start; those that ``ExpressionSettings/instancesMax`` did not let be.
    private(set) var made = 0
    private(set) var refused = 0
    /// Requests that were answered from memory.
    var negativeAnswers: Int { negatives.given }

    /// A name that matches, with what the groups matched.
    struct Match {
        let paths: ExpressionPaths
        let name: String
        let groups: [String?]
        var settings: PathSettings { paths.settings }
    }

    init(_ settings: PathSettings, _ expression: ExpressionSettings) {
        self.settings = settings
        self.expression = expression
        negatives = NegativeAnswers(countMax: expression.negativesMax, milliseconds: expression.negativeMilliseconds)
    }

    /// Names that are remembered just now, those whose time is over included.
    var negativeCount: Int { negatives.count }

    /// What the expression makes of a name, nil when it does not fit. Keeps nothing.
    func match(_ name: String) -> Match? {
        guard let groups = expression.expression.match(name) else { return nil }
        return Match(paths: self, name: name, groups: groups)
    }

    /// Where readers of the name are sent, when the expression redirects.
    func redirection(_ match: Match) throws(PathError) -> String? {
        guard case .redirect(let template) = settings.source else { return nil }
        guard let url = template.url(for: match.groups), expression.permits(url.host) else { throw .notFound(match.name) }
        return url.request
    }

    private func source(_ template: URLTemplate, _ match: Match) throws(PathError) -> PathSettings.Source {
        guard let source = template.source(for: match.groups), let host = source.host, expression.permits(host) else {
            throw .notFound(match.name)
        }
        return source
    }

    /// The instance of a name, made now, in `table`. Throws what whoever asked for it should hear.
    func open(_ match: Match, forPublisher: Bool, in table: PathTable) throws(PathError) -> Path {
        if let error = negatives.answer(match.name, now: table.now) { throw error }
        var settings = settings
        switch settings.source {
        case .template(let template): settings.source = try source(template, match)
        case .publish:
            // A name alone makes nothing: a scan would fill the table with paths that nobody publishes to.
            guard forPublisher else { throw .notPublished(match.name) }
        case .pull, .rtp, .file, .windowsMedia, .windowsMediaFile, .playlist, .demonstration, .custom, .redirect:
            throw .notFound(match.name)
        }
        if instances.count >= expression.instancesMax, !letIdleOneGo(in: table) {
            refused += 1
            throw .notReady(
                "\(expression.instancesMax) paths of this kind are in use, and no more may be (instances-max)",
                retryAfterSeconds: Path.retryAfterSeconds)
        }
        do throws(PathTableError) {
            let path = try table.add(settings.instance(named: match.name), origin: .expression(self.settings.name))
            made += 1
            instances[match.name] = path
            let instance = Instance(paths: self, table: table)
            path.instance = instance
            // Gone again unless whoever asked takes an interest in this turn: he may be refused, or sent elsewhere.
            instance.idle(path)
            return path
        } catch { throw .refused(error.description) }
    }

    private func letIdleOneGo(in table: PathTable) -> Bool {
        guard let idle = instances.values.first(where: { !$0.isOccupied }) else { return false }
        drop(idle, "another name needs its place", in: table)
        return true
    }

    fileprivate func drop(_ path: Path, _ reason: String, in table: PathTable) {
        guard instances[path.name] === path else { return }
        instances[path.name] = nil
        table.remove(path.name, reason: reason)
    }

    fileprivate func remember(_ path: Path, _ error: PathError, now: NIODeadline) { negatives.remember(path.name, error, now: now) }

    /// What a path that was made of an expression tells of itself.
    final class Instance: PathInstance {
        private let paths: ExpressionPaths
        private weak var table: PathTable?

        init(paths: ExpressionPaths, table: PathTable) {
            self.paths = paths
            self.table = table
        }

        func idle(_ path: Path) {
            path.eventLoop.assumeIsolated().execute { [self] in
                if let table, !path.isOccupied { paths.drop(path, "nobody is interested", in: table) }
            }
        }

        func failed(_ path: Path, _ error: PathError) {
            guard let table else { return }
            paths.remember(path, error, now: table.now)
            path.eventLoop.assumeIsolated().execute { [paths] in
                // Who plays Windows Media that was had before goes on.
                if !path.isWindowsMedia || !path.isOccupied { paths.drop(path, "its source could not be had", in: table) }
            }
        }
    }
}

extension PathError {
    /// The same with another time to wait.
    func retrying(afterSeconds seconds: Int) -> PathError {
        if case .notReady(let words, _) = self { return .notReady(words, retryAfterSeconds: seconds) }
        return self
    }
}

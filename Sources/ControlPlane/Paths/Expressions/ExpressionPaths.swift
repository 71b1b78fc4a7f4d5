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
    private var negatives: [String: Negative] = [:]
    /// Instances since the start; those that ``ExpressionSettings/instancesMax`` did not let be; requests that were answered from memory.
    private(set) var made = 0
    private(set) var refused = 0
    private(set) var negativeAnswers = 0

    private struct Negative {
        let error: PathError
        let until: NIODeadline
    }

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
        return try url(template, match).request
    }

    private func url(_ template: URLTemplate, _ match: Match) throws(PathError) -> SourceURL {
        guard let url = template.url(for: match.groups), expression.permits(url.host) else { throw .notFound(match.name) }
        return url
    }

    /// The instance of a name, made now, in `table`. Throws what whoever asked for it should hear.
    func open(_ match: Match, forPublisher: Bool, in table: PathTable) throws(PathError) -> Path {
        let now = table.now
        if let negative = negatives[match.name] {
            if negative.until > now {
                negativeAnswers += 1
                throw negative.error.retrying(afterSeconds: Int((negative.until - now).nanoseconds / 1_000_000_000) + 1)
            }
            negatives[match.name] = nil
        }
        var settings = settings
        switch settings.source {
        case .template(let template): settings.source = .pull(try url(template, match))
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

    fileprivate func remember(_ path: Path, _ error: PathError, now: NIODeadline) {
        guard expression.negativesMax > 0, expression.negativeMilliseconds > 0 else { return }
        if negatives.count >= expression.negativesMax {
            negatives = negatives.filter { $0.value.until > now }
            if negatives.count >= expression.negativesMax, let other = negatives.keys.first { negatives[other] = nil }
        }
        negatives[path.name] = Negative(error: error, until: now + .milliseconds(Int64(expression.negativeMilliseconds)))
    }

    /// What a path that was made of an expression tells of itself.
    final class Instance {
        private let paths: ExpressionPaths
        private weak var table: PathTable?

        init(paths: ExpressionPaths, table: PathTable) {
            self.paths = paths
            self.table = table
        }

        /// Nobody is interested in it any more, and its source let go. Not in this turn: whoever says so is still at it.
        func idle(_ path: Path) {
            path.eventLoop.assumeIsolated().execute { [self] in
                if let table, !path.isOccupied { paths.drop(path, "nobody is interested", in: table) }
            }
        }

        /// Its source could not be had, and never was: those who wait hear it at once, and for a while nobody asks again.
        func failed(_ path: Path, _ error: PathError) {
            guard let table else { return }
            paths.remember(path, error, now: table.now)
            path.eventLoop.assumeIsolated().execute { [paths] in paths.drop(path, "its source could not be had", in: table) }
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

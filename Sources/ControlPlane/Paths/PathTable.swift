import Logging
import NIOCore

/// What is served, by name.
final class PathTable {
    private let paths: [String: Path]

    /// A table of these paths; of equal names the first counts.
    init(_ paths: [Path]) {
        self.paths = Dictionary(paths.map { ($0.name, $0) }) { first, _ in first }
    }

    /// All paths, by name.
    var all: [Path] { paths.values.sorted { $0.name < $1.name } }

    /// The path of that name, with or without slashes at the ends.
    func path(named name: String) -> Path? { paths[PathSettings.trimmed(name)] }

    /// Ends all paths; `done` runs when every source let go.
    func stop(_ done: @escaping () -> Void) {
        var remaining = paths.count
        guard remaining > 0 else { return done() }
        for path in all {
            path.stop {
                remaining -= 1
                if remaining == 0 { done() }
            }
        }
    }
}

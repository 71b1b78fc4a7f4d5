/// The level that a path wants of its source, gone after one step at a time.
///
/// What the path wants while it is being told something is gone after when it has been told: a step never begins inside another.
final class LevelPursuit {
    /// What is wanted just now.
    private(set) var level = SourceLevel.idle
    private var isPursuing = false

    /// Takes note of what is wanted and has `step` bring it about, until nothing else is wanted.
    func want(_ level: SourceLevel, _ step: (SourceLevel) -> Void) {
        self.level = level
        guard !isPursuing else { return }
        isPursuing = true
        defer { isPursuing = false }
        var goal: SourceLevel
        repeat {
            goal = self.level
            step(goal)
        } while goal != self.level
    }

    /// Nothing is wanted any more; whoever says so takes the source apart himself.
    func end() { level = .idle }
}

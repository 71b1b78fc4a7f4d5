import NIOCore

/// What could not be had a moment ago: whoever asks for it is answered at once, and its source is left alone.
struct NegativeAnswers<Key: Hashable> {
    /// How many are remembered at a time.
    let countMax: Int
    /// How long.
    let milliseconds: Int
    private var answers: [Key: (error: PathError, until: NIODeadline)] = [:]
    /// Requests that were answered so.
    private(set) var given = 0

    init(countMax: Int, milliseconds: Int) {
        self.countMax = countMax
        self.milliseconds = milliseconds
    }

    /// How many are remembered just now, those whose time is over included.
    var count: Int { answers.count }

    /// Why it cannot be had, with the time that is left; nil: it may be asked for.
    mutating func answer(_ key: Key, now: NIODeadline) -> PathError? {
        guard let answer = answers[key] else { return nil }
        guard answer.until > now else {
            answers[key] = nil
            return nil
        }
        given += 1
        return answer.error.retrying(afterSeconds: Int((answer.until - now).nanoseconds / 1_000_000_000) + 1)
    }

    /// Remembers why it could not be had.
    mutating func remember(_ key: Key, _ error: PathError, now: NIODeadline) {
        guard countMax > 0, milliseconds > 0 else { return }
        if answers.count >= countMax {
            answers = answers.filter { $0.value.until > now }
            if answers.count >= countMax, let other = answers.keys.first { answers[other] = nil }
        }
        answers[key] = (error, now + .milliseconds(Int64(milliseconds)))
    }
}

/// What a path that was made because somebody asked for it tells of itself.
protocol PathInstance: AnyObject {
    /// Nobody is interested in it any more, and its source let go. Not in this turn: whoever says so is still at it.
    func idle(_ path: Path)
    /// Its source could not be had, and never was: those who wait hear it at once, and for a while nobody asks again.
    func failed(_ path: Path, _ error: PathError)
}

extension Path {
    /// A player could not be given content of another server.
    func contentRefused(_ refusal: ProxyRefusal) {
        guard let instance else { return }
        switch refusal {
        case .refused(404, _), .refused(410, _): instance.failed(self, .notFound(name))
        case .refused(504, let words): instance.failed(self, .notReady(words, retryAfterSeconds: Self.retryAfterSeconds))
        // What depends on who asks, or may be otherwise in a moment.
        case .refused, .challenged, .moved: break
        }
    }
}

import WireFormats

extension WMSPClient {
    // MARK: Time

    /// When ``timeElapsed(now:)`` should be called next.
    package var deadline: UInt64? {
        let all = [media.deadline, feedback == nil ? nil : feedbackIncoming.deadline, keepAliveAt, leaveAt]
        return phase == .over ? nil : all.compactMap { $0 }.min()
    }

    /// Looks whether answers are overdue and whether the server must be reminded of us.
    package mutating func timeElapsed(now: UInt64) -> [Action] {
        self.now = now
        if let deadline = media.deadline, deadline <= now {
            media.deadline = nil
            mediaIsOverdue()
        }
        if let leaveAt, leaveAt <= now, phase == .leaving { left() }
        if feedback != nil, let deadline = feedbackIncoming.deadline, deadline <= now { endFeedback(closing: true) }
        if phase != .over, let due = keepAliveAt, due <= now {
            keepAliveAt = now &+ keepAliveMilliseconds / 2
            if isMediaOpen, media.isPipelined { say(.keepAlive) } else { ask(.keepAlive) }
        }
        return take()
    }

    private mutating func mediaIsOverdue() {
        let waited = settings.answerMilliseconds
        switch phase {
        case .described:
            // Nothing came behind the header: the body ends some other time.
            pipelining = .declined
            closeMedia()
            if wanted != nil { startPlay() }
        case .testing: declinePipelining()
        case .asking: fail(.noAnswer(settings.errand == .contentInfo ? "GetContentInfo" : "SendEvent", milliseconds: waited))
        case .describing: fail(.noAnswer("Describe", milliseconds: waited))
        case .starting: fail(.noAnswer("Play", milliseconds: waited))
        case .playing:
            let name = media.expected.first { $0.exchange.carriesMedia }?.exchange.name
            if let name { fail(.noAnswer(name, milliseconds: waited)) }
        // Nobody waits for it: what is asked next is asked over another connection.
        case .idle: closeMedia()
        case .new, .leaving, .over: break
        }
    }

    // MARK: Helpers

    mutating func take() -> [Action] {
        defer { actions = [] }
        return actions
    }

    mutating func fail(_ failure: WMSPClientFailure) {
        guard phase != .over else { return }
        if media.isPipelined {
            switch failure {
            case .unanswered, .malformed, .notWindowsMedia, .noAnswer, .refused: pipeliningFailed = true
            case .unauthorized, .noHeader, .cutOff, .server, .redirection: break
            }
        }
        finish()
        actions.append(.failed(failure))
    }

    private mutating func left() {
        finish()
        actions.append(.left)
    }

    /// What was to be said was, and nothing is to be heard.
    mutating func leaveIfAllIsSaid() {
        guard phase == .leaving, feedback == nil, !isMediaOpen || media.expected.isEmpty && media.current == nil else { return }
        left()
    }

    mutating func finish() {
        guard phase != .over else { return }
        leaveAt = nil
        closeMedia()
        if feedback != nil { actions.append(.close(.feedback)) }
        feedback = nil
        waiting = []
        phase = .over
    }

    mutating func connectMedia() {
        media = Incoming()
        mediaAttempt &+= 1
        media.deadline = now &+ settings.answerMilliseconds
        isMediaOpen = true
        actions.append(.connect(.media))
    }

    mutating func closeMedia() {
        media.deadline = nil
        media.expected = []
        media.current = nil
        guard isMediaOpen else { return }
        isMediaOpen = false
        actions.append(.close(.media))
    }

    /// The session goes on without media.
    mutating func rest() {
        guard phase != .over else { return }
        phase = .idle
        keepAliveAt = clientID == nil ? nil : now &+ keepAliveMilliseconds / 2
        media.deadline = isMediaOpen && !media.expected.isEmpty ? now &+ settings.answerMilliseconds : nil
    }

    /// Play over a connection of its own.
    mutating func startPlay() {
        closeMedia()
        beginStart()
        connectMedia()
    }

    /// Play over the connection that there is.
    mutating func startPlayHere() {
        guard phase != .over else { return }
        beginStart()
        media.hasHead = false
        say(.play)
    }

    private mutating func beginStart() {
        awaitsEntry = false
        isBetweenEntries = false
        keepAliveAt = nil
        phase = .starting
    }
}

/// What carries the sessions of a load run, or of one process's part of it: a client for each protocol. When they join, when they are
/// measured and when they leave is the same for all.
protocol LoadDriver: AnyObject {
    var options: LoadOptions { get }
    /// Who says when it is measured, if not this process.
    var leader: LoadLeader? { get }
    /// Sessions asked for so far, with those for which not even a socket could be had.
    var begun: Int { get }
    /// Sessions between their connect and their PLAY, and all that neither failed nor play.
    var inFlight: Int { get }
    /// See ``inFlight``.
    var pending: Int { get }
    /// Sessions that play, joiners among them.
    var playing: Int { get }
    /// Of those that are measured.
    var runningCount: Int { get }
    var meter: ProcessMeter? { get set }
    /// What the window cost the server; nil without its process.
    var serverCost: ServerCost? { get set }
    var joinsPerSecond: Double? { get set }

    /// Before the first session.
    func prepareToJoin() throws
    /// Begins a session.
    func open(isJoiner: Bool)
    /// Whether a session that plays waits for its first packet, and not yet too long.
    func firstPacketsMissing() -> Bool
    /// Waits for events until then or the next thing that is due, and handles them.
    func turn(until deadline: UInt64) throws
    /// From here on counts.
    func beginWindow()
    /// What was counted since is the result. Joiners are watched on.
    func endWindow()
    /// The result, after ``endWindow()`` and the joiners' end.
    func tally(seconds: Double) -> LoadTally
    /// Says goodbye to the server.
    func leave()
}

extension LoadDriver {
    /// Joins, measures and leaves; leaves also what it could not measure.
    func measure() throws -> LoadTally {
        defer { leave() }
        try prepareToJoin()
        try joinAll()
        let running = runningCount
        if leader == nil { progress("\(running) of \(options.sessions) sessions play") }
        leader?.tell(.joined(running))
        guard running > 0 || leader != nil else { return tally(seconds: 0) }
        let window = try leader.map { try waitForWindow($0) } ?? LoadWindow(after: options)
        try turns(until: window.start)
        beginWindow()
        meter = try options.serverProcess.map { try ProcessMeter(process: $0) }
        let start = monotonicNanoseconds()
        try joinJoiners(until: window.end)
        try turns(until: window.end)
        let seconds = Double(monotonicNanoseconds() - start) / 1e9
        meter?.poll()
        endWindow()
        serverCost = meter.map { ServerCost(nanoseconds: $0.cpuNanoseconds, residentMiB: $0.residentMiB) }
        meter = nil
        try waitForJoiners()
        return tally(seconds: seconds)
    }

    private func waitForWindow(_ leader: LoadLeader) throws -> LoadWindow {
        while true {
            if let window = leader.window { return window }
            try turn(until: monotonicNanoseconds() + 100_000_000)
        }
    }

    private func joinAll() throws {
        let start = monotonicNanoseconds()
        var lastWord = start
        while begun < options.sessions || pending > 0 || firstPacketsMissing() {
            let due = Double(monotonicNanoseconds() - start) / 1e9 * options.joinsPerSecond + 1
            while begun < options.sessions, inFlight < options.joinsInFlightMax, Double(begun) < due { open(isJoiner: false) }
            try turn(until: monotonicNanoseconds() + 5_000_000)
            if monotonicNanoseconds() - lastWord > 2_000_000_000 {
                lastWord = monotonicNanoseconds()
                if let leader {
                    leader.tell(.joining(playing: playing, pending: pending))
                } else {
                    progress("\(playing) of \(options.sessions) sessions play, \(pending) are joining")
                }
            }
        }
    }

    /// Begins the joiners at their rate, whether or not the server keeps up: who waited for it would not see it fall behind.
    private func joinJoiners(until end: UInt64) throws {
        guard options.joiners > 0 else { return }
        let before = begun
        let start = monotonicNanoseconds()
        while begun - before < options.joiners, monotonicNanoseconds() < end {
            let elapsed = Double(monotonicNanoseconds() - start) / 1e9
            let due = min(options.joiners, Int(elapsed * options.joinsPerSecond) + 1)
            while begun - before < due { open(isJoiner: true) }
            let next = start + UInt64(Double(due) / options.joinsPerSecond * 1e9)
            try turn(until: min(end, next))
        }
        let seconds = Double(monotonicNanoseconds() - start) / 1e9
        if seconds > 0 { joinsPerSecond = Double(begun - before) / seconds }
    }

    private func waitForJoiners() throws {
        guard options.joiners > 0 else { return }
        while pending > 0 || firstPacketsMissing() { try turn(until: monotonicNanoseconds() + 5_000_000) }
    }

    private func turns(until end: UInt64) throws {
        while monotonicNanoseconds() < end { try turn(until: end) }
    }
}

/// When which of many TCP connections are read that nobody watches: each once in ``nanoseconds``, a part at a time, so that no reader waits for
/// a whole sweep of all the others.
struct SweepSchedule {
    /// Every connection is swept once in this time.
    static let nanoseconds: UInt64 = 25_000_000

    private var next = 0
    /// When the next part is due.
    private(set) var dueNanoseconds: UInt64 = 0

    /// The numbers of those whose turn it is, of so many; none while nothing is due.
    mutating func take(of count: Int, now: UInt64 = monotonicNanoseconds()) -> [Int] {
        guard count > 0, now >= dueNanoseconds else { return [] }
        let parts = max(1, min(count / 16, 25))
        dueNanoseconds = max(dueNanoseconds + Self.nanoseconds / UInt64(parts), now)
        let start = next < count ? next : 0
        let share = (count + parts - 1) / parts
        next = (start + share) % count
        return (start..<(start + share)).map { $0 % count }
    }
}

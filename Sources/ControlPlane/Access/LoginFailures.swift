import PlaneLink

/// Counts wrong passwords by address: how many may still be tried, and whether a log line is due (at most one a minute for each).
///
/// The table is bounded: when it is full, one address is forgotten for each that comes.
struct LoginFailures {
    /// What the log says of one address.
    struct Report: Equatable {
        /// Failures that were not said since the last line.
        let unsaid: Int
    }

    /// What lines are about; each has its own minute.
    enum Subject: Hashable { case wrong, missing }

    /// A connection that was asked for a name and a password, and ended without giving any.
    struct Abandoned: Equatable {
        /// `host:port`, and the request.
        let from: String
        let request: String
        fileprivate let endedAt: UInt64
    }

    private struct Entry {
        var failures = 0
        var abandoned: Abandoned?
        var unsaid: [Subject: Int] = [:]
        /// When a line was written, in milliseconds.
        var saidAt: [Subject: UInt64] = [:]
    }

    private let failuresMax: Int
    private let forgivenPerMinute: Int
    private let addressesMax: Int
    private var entries: [HostAddress: Entry] = [:]
    private var lastForgiving: UInt64?

    static let linePeriodMilliseconds: UInt64 = 60_000
    /// Some players (MPlayer) give up at the challenge and log in on a connection of another kind: nothing to talk of.
    static let patienceMilliseconds: UInt64 = 3_000

    init(settings: AccessSettings) {
        failuresMax = settings.failuresMax
        forgivenPerMinute = settings.failuresForgivenPerMinute
        addressesMax = max(settings.addressesMax, 1)
    }

    /// Addresses that are remembered.
    var count: Int { entries.count }

    /// Whether the address may try a password.
    func mayTry(_ host: HostAddress) -> Bool { (entries[Self.key(host)]?.failures ?? 0) < failuresMax }

    /// A wrong password came from there.
    mutating func failed(_ host: HostAddress) { change(host) { $0.failures += 1 } }

    /// Something is worth a line about this address: what to add to it, or nil if it had one within the last minute.
    mutating func report(_ subject: Subject, of host: HostAddress, now: UInt64) -> Report? {
        var report: Report?
        change(host) { entry in
            if let saidAt = entry.saidAt[subject], now < saidAt + Self.linePeriodMilliseconds {
                entry.unsaid[subject, default: 0] += 1
            } else {
                report = Report(unsaid: entry.unsaid[subject] ?? 0)
                entry.unsaid[subject] = nil
                entry.saidAt[subject] = now
            }
        }
        return report
    }

    /// A connection from there ended at the challenge.
    mutating func abandoned(_ host: HostAddress, from: String, request: String, now: UInt64) {
        change(host) { entry in
            entry.abandoned = entry.abandoned ?? Abandoned(from: from, request: request, endedAt: now)
        }
    }

    /// Somebody logged in from there: what was abandoned before was no trouble.
    mutating func loggedIn(_ host: HostAddress) {
        let key = Self.key(host)
        if entries[key]?.abandoned != nil { entries[key]?.abandoned = nil }
    }

    /// What was abandoned and is worth a line now; call it about once a second.
    mutating func takeAbandoned(now: UInt64) -> [(Abandoned, Report)] {
        var taken: [(Abandoned, Report)] = []
        for (host, entry) in entries {
            guard let abandoned = entry.abandoned, now >= abandoned.endedAt + Self.patienceMilliseconds else { continue }
            entries[host]?.abandoned = nil
            if let report = report(.missing, of: host, now: now) { taken.append((abandoned, report)) }
        }
        return taken
    }

    /// Forgives what time has healed; call it about once a second.
    mutating func forgive(now: UInt64) {
        // The clock began long before this did.
        let lastForgiving = self.lastForgiving ?? now
        let forgiven = (now - min(lastForgiving, now)) * UInt64(forgivenPerMinute) / 60_000
        guard forgiven > 0 || self.lastForgiving == nil else { return }
        self.lastForgiving = now
        entries = entries.compactMapValues { entry in
            var entry = entry
            entry.failures = max(0, entry.failures - Int(clamping: forgiven))
            let isQuiet = entry.saidAt.values.allSatisfy { now >= $0 + Self.linePeriodMilliseconds }
            return entry.failures == 0 && entry.abandoned == nil && isQuiet ? nil : entry
        }
    }

    private mutating func change(_ host: HostAddress, _ body: (inout Entry) -> Void) {
        let key = Self.key(host)
        if entries[key] == nil, entries.count >= addressesMax, let other = entries.keys.first { entries[other] = nil }
        body(&entries[key, default: Entry()])
    }

    /// One subscriber of IPv6 has a whole network of 64 bits.
    private static func key(_ host: HostAddress) -> HostAddress {
        host.ipv4 == nil ? NetworkPrefix.masked(host, 64) : host
    }
}

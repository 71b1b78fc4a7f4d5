import PlaneLink

extension Status {
    /// What happened between two moments.
    package struct Rates: Sendable, Equatable {
        /// Packets and megabits a second that readers were sent.
        package let packetsPerSecond: Double
        package let megabitsPerSecond: Double
        /// Packets a second that sources sent.
        package let packetsReceivedPerSecond: Double
        /// Everything that is no rate.
        package let status: Status

        /// From an earlier status to a later one.
        package init(from earlier: Status, to later: Status) {
            let seconds = max(Double(later.nanoseconds &- earlier.nanoseconds) / 1e9, 1e-3)
            packetsPerSecond = Double(later.packetsSent &- earlier.packetsSent) / seconds
            megabitsPerSecond = Double(later.bytesSent &- earlier.bytesSent) * 8 / 1e6 / seconds
            packetsReceivedPerSecond = Double(later.packetsReceived &- earlier.packetsReceived) / seconds
            status = later
        }

        /// One line for people.
        package var line: String {
            let dropped = status.drops.values.reduce(0, &+)
            let lost = status.receiveDrops == 0 ? "" : "  receive drops \(status.receiveDrops)"
            return "sources \(status.sources)  readers \(status.readers)  packets/s \(Int(packetsPerSecond.rounded()))  "
                + "Mbit/s \(Self.fixed(megabitsPerSecond))  drops \(dropped)\(lost)"
        }

        /// One line of JSON. Drops and the engine's numbers are sums since the start.
        package func json(backend: BackendChoice) -> String {
            let drops = Drop.allCases.map { ($0.rawValue, "\(status.drops[$0] ?? 0)") }
            let refusals = ServerRefusal.allCases.map { (Self.snakeCase($0.rawValue), "\(status.refusals[$0] ?? 0)") }
            let engine =
                [("workers", "\(status.workers)"), ("workers_failed", "\(status.workersFailed)")]
                + EngineFact.allCases.map { ($0.rawValue, "\(status.engine[$0] ?? 0)") }
            let paths = status.paths.map { path in
                (path.name, Self.object([("readers", "\(path.readers)"), ("receive_drops", "\(path.receiveDrops)")]))
            }
            return Self.object([
                ("sources", "\(status.sources)"), ("readers", "\(status.readers)"),
                ("packets_per_second", Self.fixed(packetsPerSecond)), ("mbit_per_second", Self.fixed(megabitsPerSecond)),
                ("packets_received_per_second", Self.fixed(packetsReceivedPerSecond)),
                ("receive_drops", "\(status.receiveDrops)"), ("drops", Self.object(drops)),
                ("refusals", Self.object(refusals)), ("backend", Self.quoted(backend.name)),
                ("backend_reason", Self.quoted(backend.reason)),
                ("engine", Self.object(engine)), ("paths", Self.object(paths)),
            ])
        }

        private static func object(_ members: [(name: String, value: String)]) -> String {
            "{" + members.map { "\(quoted($0.name)):\($0.value)" }.joined(separator: ",") + "}"
        }

        /// Paths' names are printable ASCII without quotes and backslashes, by the check of the configuration; a reason may be anything.
        private static func quoted(_ text: String) -> String {
            var out = "\""
            for scalar in text.unicodeScalars {
                if scalar == "\"" || scalar == "\\" { out += "\\" }
                out.unicodeScalars.append(scalar.value < 0x20 ? " " : scalar)
            }
            return out + "\""
        }

        /// `loginWrong` as `login_wrong`.
        private static func snakeCase(_ name: String) -> String {
            name.reduce(into: "") { $0 += $1.isUppercase ? "_" + $1.lowercased() : String($1) }
        }

        /// One digit behind the point.
        private static func fixed(_ value: Double) -> String {
            let tenths = Int((min(max(value, 0), 1e15) * 10).rounded())
            return "\(tenths / 10).\(tenths % 10)"
        }
    }
}

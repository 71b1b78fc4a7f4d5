import PlaneLink

/// What the relay does, at one moment. Counts since the start.
package struct Status: Sendable, Equatable {
    /// Paths whose media flows.
    package var sources = 0
    /// Readers that are being sent media.
    package var readers = 0
    /// Packets and bytes sent to readers.
    package var packetsSent: UInt64 = 0
    package var bytesSent: UInt64 = 0
    /// What readers should have had and did not get, by cause.
    package var drops: [Drop: UInt64] = [:]
    /// When, in nanoseconds of the monotonic clock.
    package var nanoseconds: UInt64 = 0

    /// Why something was not sent.
    package enum Drop: String, Sendable, CaseIterable {
        /// Packets for readers that were too slow and fell out of the window.
        case overrun
        /// Packets that the kernel had no room for.
        case noRoom = "no_room"
        /// Packets that the kernel refused (host unreachable and the like).
        case refused
        /// Readers that were given up since they took nothing at all.
        case stalled
    }

    /// Of the engine's counters.
    init(_ counters: EngineCounters, nanoseconds: UInt64) {
        packetsSent = counters[.packetsSent]
        bytesSent = counters[.bytesSent]
        drops = [
            .overrun: counters[.packetsOverrun], .noRoom: counters[.packetsDroppedNoRoom], .refused: counters[.packetsRefused],
            .stalled: counters[.readersStalled],
        ]
        self.nanoseconds = nanoseconds
    }

    /// What happened between two moments.
    package struct Rates: Sendable, Equatable {
        package let sources: Int
        package let readers: Int
        package let packetsPerSecond: Double
        package let megabitsPerSecond: Double
        /// Since the start, not since the moment before.
        package let drops: [Drop: UInt64]

        /// From an earlier status to a later one.
        package init(from earlier: Status, to later: Status) {
            sources = later.sources
            readers = later.readers
            let seconds = max(Double(later.nanoseconds &- earlier.nanoseconds) / 1e9, 1e-3)
            packetsPerSecond = Double(later.packetsSent &- earlier.packetsSent) / seconds
            megabitsPerSecond = Double(later.bytesSent &- earlier.bytesSent) * 8 / 1e6 / seconds
            drops = later.drops
        }

        /// One line for people.
        package var line: String {
            let dropped = drops.values.reduce(0, &+)
            return "sources \(sources)  readers \(readers)  packets/s \(Int(packetsPerSecond.rounded()))  "
                + "Mbit/s \(Self.fixed(megabitsPerSecond))  drops \(dropped)"
        }

        /// One line of JSON.
        package func json(backend: String) -> String {
            let drops = Drop.allCases.map { "\"\($0.rawValue)\":\(self.drops[$0] ?? 0)" }.joined(separator: ",")
            return "{\"sources\":\(sources),\"readers\":\(readers),\"packets_per_second\":\(Self.fixed(packetsPerSecond)),"
                + "\"mbit_per_second\":\(Self.fixed(megabitsPerSecond)),\"drops\":{\(drops)},\"backend\":\"\(backend)\"}"
        }

        /// One digit behind the point.
        private static func fixed(_ value: Double) -> String {
            let tenths = Int((min(max(value, 0), 1e15) * 10).rounded())
            return "\(tenths / 10).\(tenths % 10)"
        }
    }
}

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
    /// Packets taken from sources.
    package var packetsReceived: UInt64 = 0
    /// Datagrams of sources that the kernel dropped before they could be received.
    package var receiveDrops: UInt64 = 0
    /// Threads that carry media.
    package var workers = 0
    /// Those of them that can carry nothing any more: their backend ended for good.
    package var workersFailed = 0
    /// What the engine did, by the name it has in every status.
    package var engine: [EngineFact: UInt64] = [:]
    /// The paths that have a stream just now, by name.
    package var paths: [PathStatus] = []
    /// What readers should have had and did not get, by cause.
    package var drops: [Drop: UInt64] = [:]
    /// What the RTSP server turned away, by cause.
    package var refusals: [ServerRefusal: Int] = [:]
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
        /// Packets that were further behind than a path's lag-time or lag-bytes allows.
        case policy
        /// Readers that were given up since they took nothing at all.
        case stalled
        /// Readers that were given up since they stayed behind for longer than a path's disconnect-after.
        case tooSlow = "too_slow"
        /// Packets that UDP readers were not sent: no datagram holds them.
        case tooLarge = "too_large"
    }

    /// What is worth knowing of the engine's work.
    package enum EngineFact: String, Sendable, CaseIterable {
        /// Zero-copy sends that the kernel took, those of them that it copied all the same, and those it has not given back yet.
        case zcSent = "zc_sent"
        case zcCopied = "zc_copied"
        case zcPending = "zc_pending"
        /// Newcomers that began at a key frame of the past.
        case joinBursts = "join_bursts"
        /// Turns that ended early because of pacing.
        case pacedTurns = "paced_turns"
        /// Sends put off since a socket had no room.
        case sendsDeferred = "sends_deferred"
        /// Trains that a path refused, sent again packet by packet.
        case trainsRefused = "trains_refused"
        /// Hand-overs of a stream from its home worker to another.
        case handovers
        /// Times that no receive buffer was free; the data waited in the socket.
        case receiveBuffersExhausted = "receive_buffers_exhausted"
        /// Blocks of files that were read for players on demand, such that a player found read by another, and players that had to wait
        /// because all were in use.
        case storedReads = "stored_reads"
        case storedBlocksShared = "stored_blocks_shared"
        case storedBlocksShort = "stored_blocks_short"
        /// Reads of files that took too long, and players on demand that were ended because of such.
        case storedReadsOverdue = "stored_reads_overdue"
        case storedReadersOverdue = "stored_readers_overdue"

        var counter: EngineCounter {
            switch self {
            case .zcSent: .zcSent
            case .zcCopied: .zcCopied
            case .zcPending: .zcPending
            case .joinBursts: .joinBursts
            case .pacedTurns: .pacedTurns
            case .sendsDeferred: .sendsDeferred
            case .trainsRefused: .trainsRefused
            case .handovers: .handovers
            case .receiveBuffersExhausted: .receiveBuffersExhausted
            case .storedReads: .storedReads
            case .storedBlocksShared: .storedBlocksShared
            case .storedBlocksShort: .storedBlocksShort
            case .storedReadsOverdue: .storedReadsOverdue
            case .storedReadersOverdue: .storedReadersOverdue
            }
        }
    }

    /// One path.
    package struct PathStatus: Sendable, Equatable {
        /// Its name.
        package let name: String
        /// Sessions that read it, playing or not.
        package let readers: Int
        /// Datagrams of its source that the kernel dropped, since the start.
        package let receiveDrops: UInt64
    }

    /// Of the engine's counters.
    init(_ counters: EngineCounters, nanoseconds: UInt64) {
        packetsSent = counters[.packetsSent]
        bytesSent = counters[.bytesSent]
        drops = [
            .overrun: counters[.packetsOverrun], .noRoom: counters[.packetsDroppedNoRoom], .refused: counters[.packetsRefused],
            .policy: counters[.packetsOverPolicy], .stalled: counters[.readersStalled], .tooSlow: counters[.readersTooSlow],
            .tooLarge: counters[.packetsOverDatagram],
        ]
        packetsReceived = counters[.packetsReceived]
        engine = Dictionary(uniqueKeysWithValues: EngineFact.allCases.map { ($0, counters[$0.counter]) })
        self.nanoseconds = nanoseconds
    }
}

/// What one group of a process's sessions got. Accounts of several processes add up.
package struct LoadAccount: Sendable, Codable, Equatable {
    /// Sessions begun, and those that got media until the end.
    package var sessions = 0
    /// See ``sessions``.
    package var playing = 0
    /// Packets of media within the window: RTP, or `$D`.
    package var packets: UInt64 = 0
    /// Bytes within the window: of TCP all that came over the connections, framing included; of UDP, where the filter counts, the packets'.
    package var bytes: UInt64 = 0
    /// Numbers skipped, packets repeated, packets out of order.
    package var lost: UInt64 = 0
    /// See ``lost``.
    package var duplicates: UInt64 = 0
    /// See ``lost``.
    package var reordered: UInt64 = 0
    /// Sessions with a loss.
    package var lossySessions = 0
    /// Packets that the sampled readers' own queues lost.
    package var receiverDrops: UInt64 = 0
    /// Buffers in which the packets came, UDP.
    package var buffers: UInt64 = 0
    /// DESCRIBE sent to first packet, one per session, milliseconds.
    package var joinMilliseconds: [Double] = []
    /// Media time per wall time, one per session whose packets are seen.
    package var realTimeRatios: [Double] = []

    static func + (left: LoadAccount, right: LoadAccount) -> LoadAccount {
        var sum = left
        sum.sessions += right.sessions
        sum.playing += right.playing
        sum.packets += right.packets
        sum.bytes += right.bytes
        sum.lost += right.lost
        sum.duplicates += right.duplicates
        sum.reordered += right.reordered
        sum.lossySessions += right.lossySessions
        sum.receiverDrops += right.receiverDrops
        sum.buffers += right.buffers
        sum.joinMilliseconds += right.joinMilliseconds
        sum.realTimeRatios += right.realTimeRatios
        return sum
    }
}

/// Everything that one process of a load run saw: counts and samples, no percentiles, so that several make one report.
package struct LoadTally: Sendable, Codable, Equatable {
    /// Those that played before the window, and all through it.
    package var running = LoadAccount()
    /// Those that joined in it.
    package var joiners = LoadAccount()
    /// Why sessions did not play, or not to the end, with how many.
    package var failures: [String: Int] = [:]
    /// Of the sampled running sessions, every packet's; in long runs every so many, at most ``latenessMax``.
    package var latenessMilliseconds: [Double] = []
    /// Windows Media: how far behind its own send time each of those packets came, counted from the reader's first packet; 0 when ahead.
    package var behindMilliseconds: [Double] = []
    /// Packets that all running sessions had, or with a sink other than eBPF all sampled ones.
    package var spread: [PacketSpread] = []
    /// How many sessions that is.
    package var spreadReaders = 0
    /// How packets were counted.
    package var sink = SinkKind.ebpf
    /// The window as it really was, seconds.
    package var seconds = 0.0
    /// Whether a session found Windows Media behind RTSP.
    package var isMSRTSP = false
    /// CPU time of this process within the window.
    package var clientNanoseconds: UInt64 = 0
    /// Sessions of the joiners begun per second, as it really was.
    package var joinsPerSecond: Double?

    /// See ``latenessMilliseconds``.
    static let latenessMax = 1 << 20

    /// At most ``latenessMax`` of the samples, evenly, the greatest among them.
    static func thinned(_ samples: [Double]) -> [Double] {
        let step = (samples.count + latenessMax - 1) / latenessMax
        guard step > 1, let greatest = samples.max() else { return samples }
        return stride(from: step, to: samples.count, by: step).map { samples[$0] } + [greatest]
    }

    /// Nothing was seen.
    package init() {}
}

/// What a run cost the server.
package struct ServerCost: Sendable {
    /// CPU time of its threads within the window.
    package var nanoseconds: UInt64
    /// Resident memory at the window's end; nil when it had ended.
    package var residentMiB: Double?
}

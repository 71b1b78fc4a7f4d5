import CSinks

/// The counts of one socket at one moment.
struct SinkCounts: Equatable, Sendable {
    var packets: UInt64 = 0
    var bytes: UInt64 = 0
    var lost: UInt64 = 0
    var duplicates: UInt64 = 0
    var reordered: UInt64 = 0
    var restarts: UInt64 = 0
    var buffers: UInt64 = 0

    /// What was added since an earlier moment. The kernel's narrow counters may have wrapped once; `lost` may have fallen, when
    /// a packet that was missed came after all, and is 0 then.
    func since(_ earlier: SinkCounts) -> SinkCounts {
        SinkCounts(
            packets: packets &- earlier.packets, bytes: bytes &- earlier.bytes, lost: lost > earlier.lost ? lost - earlier.lost : 0,
            duplicates: duplicates &- earlier.duplicates, reordered: reordered &- earlier.reordered,
            restarts: restarts &- earlier.restarts, buffers: buffers &- earlier.buffers)
    }

    static func + (left: SinkCounts, right: SinkCounts) -> SinkCounts {
        SinkCounts(
            packets: left.packets &+ right.packets, bytes: left.bytes &+ right.bytes, lost: left.lost &+ right.lost,
            duplicates: left.duplicates &+ right.duplicates, reordered: left.reordered &+ right.reordered,
            restarts: left.restarts &+ right.restarts, buffers: left.buffers &+ right.buffers)
    }
}

/// The eBPF filter that counts in the kernel and discards.
@safe final class CountingFilter {
    private var filter = unsafe csinks_filter()

    /// Throws where eBPF is not permitted; the caller then falls back to ``DiscardingFilter``.
    init() throws(WorkbenchError) {
        try kernel("eBPF is not for us", unsafe csinks_filter_open(&filter))
    }

    deinit { unsafe csinks_filter_close(&filter) }

    /// Counts what comes to the socket. With `deliver` the socket's reader gets it too.
    func attach(to descriptor: Int32, deliver: Bool) throws(WorkbenchError) {
        try kernel("cannot put a filter on a socket", unsafe csinks_filter_attach(&filter, descriptor, deliver))
    }

    func counts(port: UInt16) -> SinkCounts {
        let row = unsafe filter.counts[Int(port)]
        return SinkCounts(
            packets: row.packets, bytes: row.bytes, lost: UInt64(row.lost), duplicates: UInt64(row.duplicates),
            reordered: UInt64(row.reordered), restarts: UInt64(row.restarts), buffers: UInt64(row.buffers))
    }

    /// When the first packet came, on the monotonic clock; nil before it.
    func firstNanoseconds(port: UInt16) -> UInt64? {
        let time = unsafe filter.counts[Int(port)].first_ns
        return time == 0 ? nil : time
    }

    /// RTP timestamp of the newest packet.
    func timestampLast(port: UInt16) -> UInt32 { unsafe filter.counts[Int(port)].timestamp_last }

    // MARK: The spread

    /// A packet that has not come to every watched port after so long will not: its row is given up.
    private static let spreadPatienceNanoseconds: UInt64 = 5_000_000_000

    /// Whether a port's packets are looked at for the spread. All watched ports must be of the same track.
    func watch(port: UInt16, _ isWatched: Bool) { unsafe csinks_filter_watch(&filter, port, isWatched) }

    /// Forgets the packets that are under way to the watched ports.
    func forgetSpread() {
        for row in 0..<Int(csinks_spread_rows) { unsafe filter.spreads[row].readers = 0 }
    }

    /// The packets that came to every watched port since the last call, of one in ``csinks_spread_step``. `readers`: from the
    /// watched ports that still get packets to all that ever did.
    func takeSpread(readers: ClosedRange<Int>) -> [PacketSpread] {
        var packets: [PacketSpread] = []
        let now = monotonicNanoseconds()
        for index in 0..<Int(csinks_spread_rows) {
            let row = unsafe filter.spreads + index
            let came = unsafe row.pointee.readers
            guard came > 0 else { continue }
            let last = unsafe row.pointee.last_ns
            if readers.contains(Int(clamping: came)) {
                packets.append(
                    PacketSpread(
                        sequence: UInt16(truncatingIfNeeded: index * Int(csinks_spread_step)),
                        firstNanoseconds: unsafe row.pointee.first_ns, lastNanoseconds: last))
            } else if came < readers.lowerBound, now < last &+ Self.spreadPatienceNanoseconds {
                continue
            }
            unsafe row.pointee.readers = 0
        }
        return packets
    }

    // MARK: Anew

    /// Starts the port's counts anew; the next packet begins a sequence.
    func forget(port: UInt16) {
        let row = unsafe filter.counts + Int(port)
        let verdict = unsafe row.pointee.verdict
        unsafe row.pointee = csinks_counts()
        unsafe row.pointee.verdict = verdict
    }
}

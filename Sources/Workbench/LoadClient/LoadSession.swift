import WireFormats

/// One session of a load run: its RTSP connection, its media sockets and what was seen on them.
final class LoadSession {
    enum Phase: Equatable {
        case connecting, joining
        /// PLAY was sent.
        case starting
        case playing
        /// It never played.
        case failed(String)
        /// It played, and then its connection ended.
        case died(String)
    }

    /// How the RTSP connection is read while playing.
    enum Reading {
        /// As soon as something is there, every frame.
        case watched
        /// In sweeps, every frame.
        case swept
        /// In sweeps, unread.
        case discarded
    }

    /// What a session delivered up to one moment.
    struct Snapshot {
        var counts = SinkCounts()
        /// RTP payload bytes.
        var payloadBytes: UInt64 = 0
        /// Everything on the TCP connection, framing and RTCP included.
        var connectionBytes: UInt64 = 0
        /// RTP timestamp of the newest packet of the first track.
        var timestamp: UInt32?
    }

    let index: Int
    /// Whether it joined while the others were measured.
    let isJoiner: Bool
    let isSampled: Bool
    let reading: Reading
    let transport: ReaderTransport
    let connection: ReaderConnection
    var machine: ReaderMachine
    var phase = Phase.connecting
    /// Read in sweeps, no longer when something is there.
    var isSwept = false
    var pairs: [DatagramPair] = []
    /// Sampled readers: one per track.
    var logs: [ArrivalLog] = []
    /// TCP: one per track, and the payload bytes.
    var accounts: [SequenceAccount] = []
    var payloadBytes: UInt64 = 0
    var timestampLast: UInt32?

    let startedNanoseconds: UInt64
    var describedNanoseconds: UInt64 = 0
    var firstPacketNanoseconds: UInt64?
    var keepAliveNanoseconds: UInt64 = .max

    /// At the window's beginning, of a joiner empty; and at its end.
    var atStart = Snapshot()
    var atEnd = Snapshot()
    var dropsAtStart: UInt64 = 0

    init(
        index: Int, isJoiner: Bool, isSampled: Bool, reading: Reading, connection: ReaderConnection, machine: ReaderMachine,
        transport: ReaderTransport
    ) {
        self.index = index
        self.isJoiner = isJoiner
        self.isSampled = isSampled
        self.reading = reading
        self.connection = connection
        self.machine = machine
        self.transport = transport
        startedNanoseconds = monotonicNanoseconds()
    }

    /// Between its connect and its PLAY.
    var isInFlight: Bool { phase == .connecting || phase == .joining }

    /// DESCRIBE sent to first packet; nil when none came.
    var joinMilliseconds: Double? {
        firstPacketNanoseconds.map { Double($0 &- min($0, describedNanoseconds)) / 1e6 }
    }

    /// Neither failed nor playing.
    var isPending: Bool { isInFlight || phase == .starting }

    /// What was delivered so far. `filter` counts UDP; without it the socket's drop counter does, or the sampled reader.
    func snapshot(filter: CountingFilter?) -> Snapshot {
        var shot = Snapshot()
        if pairs.isEmpty {
            for account in accounts { shot.counts = shot.counts + SinkCounts(account) }
            shot.payloadBytes = payloadBytes
            shot.connectionBytes = connection.bytesReceived
            shot.timestamp = timestampLast
        } else if let filter {
            for pair in pairs { shot.counts = shot.counts + filter.counts(port: pair.rtp.port) }
            // 12 bytes of every packet are its header; extensions count as payload, as they do at the source.
            shot.payloadBytes = shot.counts.bytes &- 12 &* shot.counts.packets
            if let first = pairs.first, filter.counts(port: first.rtp.port).packets > 0 {
                shot.timestamp = filter.timestampLast(port: first.rtp.port)
            }
        } else if isSampled {
            for log in logs { shot.counts = shot.counts + SinkCounts(log.account) }
            shot.payloadBytes = payloadBytes
            shot.timestamp = timestampLast
        } else {
            for pair in pairs { shot.counts.packets += pair.rtp.drops }
        }
        return shot
    }

    /// Packets that the sampled sockets' queues could not hold.
    func receiverDrops() -> UInt64 {
        guard isSampled else { return 0 }
        return pairs.reduce(0) { $0 + $1.rtp.drops }
    }
}

extension SinkCounts {
    init(_ account: SequenceAccount) {
        self.init(
            packets: account.packets, bytes: 0, lost: account.lost, duplicates: account.duplicates, reordered: account.reordered,
            restarts: account.restarts, buffers: account.packets)
    }
}

import NIOCore
import PlaneLink

/// What a session can tell of itself.
extension ServerSession {
    /// The counters of the stream that it was set up for; nil when that has ended.
    var streamCounters: StreamCounters? {
        guard let live = path.live, live.handle == description.stream else { return nil }
        return live.counters
    }

    /// A reader begins at `point`.
    func progressBegins(at point: JoinPoint) {
        guard let counters = streamCounters, machine.kind != .multicast else { return }
        progress = ReaderProgress(
            at: point, tracks: machine.tracks, counters: counters, connection: subscription?.connectionState, now: .now())
    }

    /// How bad things are for a reader; to be compared.
    struct Trouble: Comparable {
        let lagMilliseconds: Double
        let lossPercent: Double
        let missed: UInt64
        /// It sent receiver reports, and sends none any more.
        let isSilent: Bool

        static func < (left: Self, right: Self) -> Bool {
            // Tenths of a second: less is noise, and would put the others at random.
            let lags = ((left.lagMilliseconds / 100).rounded(), (right.lagMilliseconds / 100).rounded())
            if lags.0 != lags.1 { return lags.0 < lags.1 }
            if left.isSilent != right.isSilent { return right.isSilent }
            if left.lossPercent != right.lossPercent { return left.lossPercent < right.lossPercent }
            return left.missed < right.missed
        }
    }

    /// A reader that reported is expected to do so every few seconds.
    private static let silence = TimeAmount.seconds(30)

    /// What is known of a reader at a moment, in numbers; words are made of it for those that are shown (``readerOverview(_:now:)``).
    struct Sample {
        var due: ReaderProgress.Due?
        var connection: ConnectionState?
        var lagMilliseconds: Double?
        var lossPercent: Double?
        var trouble: Trouble
    }

    /// Looks at a reader. A few system calls for one over TCP, none for others.
    func sample(now: NIODeadline) -> Sample {
        let loss = reports.lossPercent
        let isSilent = machine.state == .playing && reports.lastAt.map { now - $0 > Self.silence } ?? false
        func trouble(_ lag: Double?) -> Trouble {
            Trouble(lagMilliseconds: lag ?? 0, lossPercent: loss ?? 0, missed: packetsMissed, isSilent: isSilent)
        }
        var sample = Sample(lossPercent: loss, trouble: trouble(nil))
        guard let progress, let counters = streamCounters, machine.state == .playing else { return sample }
        let due = progress.due(machine.tracks, counters, now: now)
        sample.due = due
        if machine.isInterleaved == true {
            sample.connection = subscription?.connectionState
            sample.lagMilliseconds = sample.connection.map { progress.lagMilliseconds(due, $0, missed: packetsMissed) }
        } else {
            sample.lagMilliseconds = progress.lagMilliseconds(reports, machine.tracks, counters, now: now)
        }
        sample.trouble = trouble(sample.lagMilliseconds)
        return sample
    }

    /// A reader as the status shows it.
    func readerOverview(_ sample: Sample, now: NIODeadline) -> ReaderOverview {
        var reader = ReaderOverview()
        reader.session = String(id.prefix(6))
        reader.path = path.name
        reader.address = addressWords
        reader.userAgent = agent
        reader.user = user.map(PeerWords.printable)
        reader.transport = transportWords
        reader.state = stateWords
        reader.sinceSeconds = Self.seconds(now - began)
        reader.packetsMissed = packetsMissed
        reader.reports = reports.count
        reader.reportSecondsAgo = reports.lastAt.map { Self.seconds(now - $0) }
        reader.lossPercent = sample.lossPercent?.tenths
        reader.jitterMilliseconds = reports.jitterMilliseconds?.tenths
        reader.packetsLost = reports.lossPercent == nil ? nil : reports.lost
        reader.roundTripMilliseconds = reports.roundTripMilliseconds.map { Double($0).tenths }
        reader.lagMilliseconds = sample.lagMilliseconds?.rounded()
        if let due = sample.due {
            let packets = due.packets > packetsMissed ? due.packets - packetsMissed : 0
            reader.packetsSent = packets
            reader.bytesSent = due.packets == 0 ? 0 : UInt64(Double(due.bytes) / Double(due.packets) * Double(packets))
        }
        if let replay {
            reader.cache = replay.outcome?.words
            reader.packetsSent = replay.packetsSent
            reader.bytesSent = replay.bytesSent
            reader.lagMilliseconds = replay.lagMilliseconds.rounded()
        }
        if let connection = sample.connection {
            reader.bytesSent = progress?.bytesHanded(connection)
            reader.queuedBytes = connection.bytesQueued
            reader.isBlocked = connection.isBlocked
            reader.roundTripMilliseconds = reader.roundTripMilliseconds ?? connection.roundTripMilliseconds.tenths
        }
        return reader
    }

    /// A publisher as the status shows it.
    func publisherOverview(now: NIODeadline) -> PublisherOverview {
        PublisherOverview(
            session: String(id.prefix(6)), path: path.name, address: connection?.words ?? addressWords, userAgent: agent,
            user: user.map(PeerWords.printable), transport: transportWords, state: stateWords, sinceSeconds: Self.seconds(now - began))
    }

    private var stateWords: String {
        switch machine.state {
        case .initial, .ready: "ready"
        case .starting: "starting"
        case .playing: "playing"
        case .recording: "recording"
        case .ended: "ended"
        }
    }

    private static func seconds(_ amount: TimeAmount) -> Double { (Double(amount.nanoseconds) / 1e9).tenths }
}

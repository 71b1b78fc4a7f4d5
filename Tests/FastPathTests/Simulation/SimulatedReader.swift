import PlaneLink

@testable import FastPath

/// One reader of a simulation: what it asked for, what it was promised, and what it has been sent.
final class SimulatedReader {
    /// Where the control plane stands with it.
    enum Control { case idle, arming, joined, playing, ending, failed, removing, gone }

    unowned let simulation: Simulation
    /// Counts all readers of the simulation; its UDP ports follow from it.
    let serial: Int
    let handle: SubscriberHandle
    let stream: SimulatedStream
    let isInterleaved: Bool
    let host: HostAddress
    /// The worker that the router chose; -1 until then. `sockets` may leave it no choice.
    var worker = -1
    let sockets: UInt8
    var control = Control.idle
    /// An answer to an `arm` may come that was overtaken by a `pause`.
    var mayAnswerLate = false
    var point = JoinPoint()
    var overload: OverloadPolicy?
    var failure: SubscriberFailure?
    /// The engine could not take its connection.
    var neverCame = false
    var laggedAt: UInt64 = 0

    // What the engine has been told so far (commands that it took from its queue).
    /// Media may be sent.
    var isAllowed = false
    /// The channels of the stream that it takes, as bits, and their wire channels.
    var channels: UInt8
    var wires: ChannelMap

    // What it was sent.
    /// The next packet of the stream's log.
    private(set) var cursor = 0
    private var beginning = Beginning()
    private var goes = 0
    var hasGone: Bool { control == .joined || control == .playing || goes > 0 }
    /// UDP: the kernel refused for want of room since the last packet that it took.
    var wasDeferred = false
    /// Packets refused one by one in a way that may mean trains: the engine tries again, or counts them as lost.
    private var perhapsLost: Set<Int> = []
    private var instant: UInt64 = 0
    private var instantBytes = 0
    private var instantPacketBytes = 0

    /// Where its media ends, as far as the engine knows.
    private var last: Int? { marks.first { $0.isLast && $0.isTaken }?.placeMax }

    struct Mark {
        let buffer: LinkBuffer
        let place: Int
        /// It waits behind what was queued before.
        let placeMax: Int
        let isLast: Bool
        var isTaken = false
    }

    /// What is still to be held against the promise.
    private struct Beginning {
        /// No packet was sent since `go`.
        var isStarting = false
        /// Tracks whose first packet is to have the sequence number that was promised, as bits.
        var promised: UInt8 = 0
        var point = JoinPoint()
    }

    // TCP.
    var connection = SimulatedConnection()
    var inbox: [UInt8] = []
    /// A frame has begun: the channels as they were then, and after which `go` that was.
    private var frameWires: ChannelMap?
    private var frameChannels: UInt8 = 0
    private var frameGoes = 0
    private var frameBeginning = Beginning()
    /// Where its media ended then.
    private var frameLast: Int?
    /// Replies that were submitted and have not arrived.
    var replies: [[UInt8]] = []
    /// Of replies with a place in a verbatim stream: before which packet that is.
    var places: [[UInt8]: Int] = [:]
    /// Places without bytes that were asked for and have not been told, in order; whether its media ends there; the engine knows of it.
    var marks: [Mark] = []
    /// The highest place that was asked for.
    var placeAsked = 0
    /// Numbers of packets that it may be sent once more.
    var resends: Set<Int> = []
    /// The highest place that it was sent replies for since it was last stopped: no packet from before that may follow.
    private var placeReached = 0

    init(
        _ simulation: Simulation, serial: Int, handle: SubscriberHandle, stream: SimulatedStream, isInterleaved: Bool, channels: UInt8,
        wires: ChannelMap, host: HostAddress, sockets: UInt8
    ) {
        self.simulation = simulation
        self.serial = serial
        self.handle = handle
        self.stream = stream
        self.isInterleaved = isInterleaved
        self.channels = channels
        self.wires = wires
        self.host = host
        self.sockets = sockets
    }

    var name: String { "reader \(serial) (\(isInterleaved ? "TCP" : "UDP"), worker \(worker))" }

    static func port(serial: Int, channel: Int) -> UInt16 { UInt16(1_024 + serial * 4 + channel) }

    /// `arm`, `pause` and `removeSubscriber` end media until the next `go`.
    func stop() {
        isAllowed = false
        placeReached = 0
    }

    func go() {
        goes += 1
        isAllowed = true
        beginning = Beginning(isStarting: true, point: point)
        for track in 0..<2 where point[track].isKnown { beginning.promised |= 1 << UInt8(track) }
    }

    // MARK: Packets

    /// The reader was sent these packets, or was to be sent them and the kernel refused for good.
    @unsafe func take(_ channel: Int, _ bytes: UnsafeRawBufferPointer, isLost: Bool, channels: UInt8) {
        guard let log = stream.log else { return simulation.fail("\(name) is sent something of a stream that is gone") }
        log.sync()
        if beginning.isStarting {
            guard let number = unsafe log.locate(channel, bytes, from: cursor) else {
                return simulation.fail("\(name) is sent a packet of channel \(channel) that was never logged")
            }
            guard begin(log, at: number, channels) else { return }
        }
        guard var number = log.next(from: cursor, channels: channels) else {
            return simulation.fail("\(name) is sent packets that are not in the log")
        }
        if unsafe !log.matches(number, channel, bytes) {
            guard let found = unsafe log.locate(channel, bytes, from: cursor) else {
                let board = stream.memory.board
                return simulation.fail(
                    "\(name) is sent a packet of channel \(channel), \(bytes.count) bytes, that was never logged, not \(number) of channel "
                        + "\(log.entries[number].channel), \(log.entries[number].count) bytes; tail \(board.load(.tail)), head "
                        + "\(board.load(.head)), pin \(board.load(worker, .pin))")
            }
            guard found > number else { return simulation.fail("\(name) is sent packet \(found) again, or late, not \(number)") }
            explainGap(log, from: number, to: found, channels)
            number = found
        }
        if channel & 1 == 0, beginning.promised >> UInt8(channel / 2) & 1 == 1 {
            beginning.promised &= ~(1 << UInt8(channel / 2))
            let first = log.first(channel / 2, sequence: beginning.point[channel / 2].sequence)
            if first != number {
                simulation.fail(
                    "\(name) begins track \(channel / 2) at packet \(number), not at \(first.map(String.init) ?? "none") as promised")
            }
        }
        cursor = number + 1
        if !isLost { wasDeferred = false }
        checkPlace(log.entries[number].place)
    }

    /// A packet of a verbatim stream: what has its place before it has come, and it belongs behind what has come.
    private func checkPlace(_ place: Int) {
        guard stream.isVerbatim else { return }
        if let last = isInterleaved ? frameLast : last, last <= place {
            simulation.fail("\(name) is sent packet \(place), and its last one goes before \(last)")
        }
        if place < placeReached {
            simulation.fail("\(name) is sent packet \(place) behind a reply that goes before packet \(placeReached)")
        }
        guard let reply = replies.first, let before = places[reply], before <= place, frameGoes == goes, isAllowed else { return }
        simulation.fail("\(name) is sent packet \(place) before the reply that goes before packet \(before)")
    }

    /// It is told that it has come to a place: what goes before that has left, or is counted.
    func reached(_ mark: Mark) {
        guard isAllowed, failure == nil, !beginning.isStarting, !simulation.isShuttingDown, let log = stream.log else { return }
        log.sync()
        // What one passes over that waits for a key frame is counted when that comes.
        guard (overload ?? stream.policy.overload) != .skipToKeyFrame, stream.policy.overload != .skipToKeyFrame else { return }
        let end = log.entries.indices.first { log.entries[$0].place >= mark.place } ?? log.entries.count
        if cursor < end { countMissed(log, cursor..<end, channels) }
        cursor = max(cursor, end)
        if mark.isLast, isInterleaved, isWithinFrame { simulation.fail("\(name) has come to packet \(mark.place) within a frame") }
    }

    /// It is sent a packet once more.
    @unsafe func takeAgain(_ bytes: UnsafeRawBufferPointer) {
        stream.log?.sync()
        guard let number = unsafe stream.log?.locate(0, bytes, from: 0), let place = stream.log?.entries[number].place else {
            return simulation.fail("\(name) is sent something again that was never logged")
        }
        if !resends.contains(place) { simulation.fail("\(name) is sent packet \(place) again, and has not asked for it") }
    }

    /// The reader was to be sent this packet alone, and it was refused in a way that may mean trains.
    @unsafe func mayLose(_ channel: Int, _ bytes: UnsafeRawBufferPointer) {
        stream.log?.sync()
        if let number = unsafe stream.log?.locate(channel, bytes, from: cursor) { perhapsLost.insert(number) }
    }

    /// The first packet since `go`. Checks it against the promise; false when nothing more can be said.
    private func begin(_ log: SimulatedLog, at number: Int, _ channels: UInt8) -> Bool {
        if number < cursor {
            simulation.fail("\(name) is sent packet \(number) again after it was paused at \(cursor)")
            return false
        }
        // The first packet of each of its tracks from the join point on; a track without a promise begins with its first packet ever.
        var start = Int.max
        var isKnown = false
        for track in 0..<2 where channels >> UInt8(2 * track) & 1 == 1 {
            let sequence = beginning.point[track].isKnown ? beginning.point[track].sequence : nil
            isKnown = isKnown || sequence != nil
            start = min(start, log.first(track, sequence: sequence) ?? .max)
        }
        if log.entries[number].channel & 1 == 1, number < start {
            // A report before the first packet.
            cursor = number
            return true
        }
        beginning.isStarting = false
        guard isKnown else {
            cursor = number
            return true
        }
        if number < start {
            simulation.fail("\(name) begins at packet \(number), before its join point \(start)")
            return false
        }
        cursor = max(start, cursor)
        return true
    }

    /// Packets that it was not sent must have been counted as missed, and it must go on where its policy says.
    private func explainGap(_ log: SimulatedLog, from start: Int, to end: Int, _ channels: UInt8) {
        beginning.promised = 0
        guard countMissed(log, start..<end, channels) else { return }
        let isDefault = overload == nil || overload == stream.policy.overload
        let takesKeyFrames = stream.codec != .opaque && channels & 1 == 1
        if isDefault, stream.policy.overload == .skipToKeyFrame, takesKeyFrames, !wasDeferred, !log.entries[end].startsKeyFrame,
            !(start..<end).contains(where: { perhapsLost.contains($0) })
        {
            let keyFrames = log.entries.indices.filter { log.entries[$0].startsKeyFrame && $0 >= start }
            simulation.fail(
                "\(name), next to be sent \(start), key frames \(keyFrames), goes on at packet \(end), which begins no key frame")
        }
    }

    /// Packets that the reader did not get must be among those that the stream counts. False when there are none.
    @discardableResult
    private func countMissed(_ log: SimulatedLog, _ range: Range<Int>, _ channels: UInt8) -> Bool {
        let missed = log.count(range, channels: channels) - range.count { perhapsLost.contains($0) }
        guard missed > 0 else { return false }
        stream.packetsMissed += missed
        let counted = Int(clamping: stream.memory.counters[.packetsDropped])
        if stream.packetsMissed > counted {
            simulation.fail("\(name) misses packets \(range); all readers \(stream.packetsMissed), but \(counted) were counted")
        }
        return true
    }

    /// Bytes that a UDP reader is sent at one instant.
    func spend(_ bytes: Int, packetBytes: Int) {
        // A worker that is behind the stream's home worker has more to send at once.
        guard stream.policy.pacing != .off, worker == stream.home else { return }
        if instant != simulation.time {
            instant = simulation.time
            instantBytes = 0
            instantPacketBytes = 0
        }
        instantBytes += bytes
        instantPacketBytes = max(instantPacketBytes, packetBytes)
        // One allowance for what is live, one for catching up, and a packet that does not fit into either.
        let rate = Int(clamping: stream.memory.board.load(.rate))
        stream.shareBytesMax = max(stream.shareBytesMax, rate * 3 / 2 / 200)
        if instantBytes > PacingPolicy.burstBytes + stream.shareBytesMax + 2 * instantPacketBytes {
            simulation.fail("\(name) is sent \(instantBytes) bytes at one instant while pacing is on")
        }
    }

    // MARK: Bytes of a connection

    /// Takes whole frames and replies out of what came.
    @unsafe func take(_ bytes: UnsafeRawBufferPointer) {
        unsafe inbox += bytes
        var start = 0
        while start < inbox.count {
            if inbox[start] == 0x24 {
                if frameWires == nil {
                    if !isAllowed { simulation.fail("\(name) is sent a frame, but not since `go`") }
                    frameWires = wires
                    frameChannels = channels
                    frameGoes = goes
                    frameBeginning = beginning
                    frameLast = last
                }
                guard let length = frameLength(start), inbox.count - start >= 4 + length else { break }
                takeFrame(start, length)
                start += 4 + length
            } else {
                guard let reply = replies.first else { return simulation.fail("\(name) is sent what is neither frame nor reply") }
                let count = min(reply.count, inbox.count - start)
                guard inbox[start..<start + count].elementsEqual(reply[0..<count]) else {
                    return simulation.fail("\(name) is sent something else than its next reply, or not on a packet border")
                }
                guard count == reply.count else { break }
                if let before = places.removeValue(forKey: replies.removeFirst()), isAllowed { placeReached = max(placeReached, before) }
                start += count
            }
        }
        inbox.removeFirst(start)
    }

    private func frameLength(_ start: Int) -> Int? {
        inbox.count - start >= 4 ? Int(inbox[start + 2]) << 8 | Int(inbox[start + 3]) : nil
    }

    private func takeFrame(_ start: Int, _ length: Int) {
        guard let channel = frameWires?.channel(ofWire: inbox[start + 1]) else {
            return simulation.fail("\(name) is sent a frame on a channel that it did not set up")
        }
        frameWires = nil
        // The rest of a frame may come after the reader was paused and armed again: it belongs to what was before.
        let next = beginning
        if frameGoes != goes { beginning = frameBeginning }
        unsafe inbox.withUnsafeBytes { inbox in
            let payload = unsafe UnsafeRawBufferPointer(rebasing: inbox[start + 4..<start + 4 + length])
            unsafe take(channel, payload, isLost: false, channels: frameChannels)
        }
        if frameGoes != goes { beginning = next }
        simulation.mediaBytesStreamed += length + stream.headBytes
        simulation.mediaPacketsStreamed += 1
    }

    var isWithinFrame: Bool { frameWires != nil }

    /// The simulation is quiet: everything that was logged must have arrived, or be counted if that was before the calm.
    func checkComplete() {
        guard isAllowed, failure == nil, let log = stream.log else { return }
        // Behind a place that has not come, everything waits.
        let waits = marks.contains { $0.place > stream.packetsFed }
        if isInterleaved, !waits, !inbox.isEmpty || !replies.isEmpty {
            let reply = replies.first.map { String(decoding: $0, as: UTF8.self) } ?? "none"
            simulation.fail(
                "\(name) has not got the rest of a frame (\(inbox.count) bytes of it), or a reply (\(reply)); \(stream.packetsFed) were fed"
            )
        }
        var from = cursor
        if beginning.isStarting {
            let starts = (0..<2).compactMap { track in
                let sequence = beginning.point[track].isKnown ? beginning.point[track].sequence : nil
                return sequence != nil && channels >> UInt8(2 * track) & 1 == 1 ? log.first(track, sequence: sequence) : nil
            }
            from = starts.min() ?? log.entries.count
        }
        let calm = max(from, min(stream.calmSince, log.entries.count))
        // A sender report may still be collected with what comes after it: it ends no frame, so it was let go in the step before the last.
        let step: UInt64 = simulation.circumstances.delayMicroseconds > 0 ? 200_000_000 : 0
        if let missing = log.next(from: calm, channels: channels), log.entries[missing].arrival + step < simulation.time {
            simulation.fail(
                "\(name) has not got packet \(missing) of \(log.entries.count), which came \(simulation.time - log.entries[missing].arrival) ns "
                    + "ago\(stream.isVerbatim ? ", verbatim" : "")")
        }
        countMissed(log, from..<calm, channels)
    }
}

/// The reader's end of a connection, and the socket buffers between.
struct SimulatedConnection {
    /// Bytes that the socket takes before it is full.
    var room = 0
    static let roomMax = 500_000
    var isBroken = false
    var isOpen = true
    /// When it last took something, and whether the last send was taken whole.
    var tookAt: UInt64 = 0
    var wasShort = false
}

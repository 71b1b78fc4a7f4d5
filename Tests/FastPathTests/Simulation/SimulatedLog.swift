import PlaneLink

@testable import FastPath

/// What a stream's packet log has held, packet by packet, from its beginning: read as it grows, and held against what was fed.
final class SimulatedLog {
    struct Entry {
        var channel: UInt8
        var startsKeyFrame: Bool
        var sequence: UInt16
        /// Place in `store`.
        var offset: Int
        var count: Int
        var arrival: UInt64
        /// Of a verbatim stream: which packet that was fed it is.
        var place = 0
    }

    /// The time line of one track as readers see it.
    private struct TimeLine {
        var epoch = -1
        var hasOutput = false
        var sequenceOffset: UInt16 = 0
        var timestampOffset: UInt32 = 0
        var sequence: UInt16 = 0
        var timestamp: UInt32 = 0
        /// The newest packet was not the last of its frame.
        var isFrameOpen = false
        var packets: UInt32 = 0
        /// The epoch whose report the engine has surely taken.
        var reportedEpoch = -1
        /// Of the last report in the log.
        var reportTime: UInt64 = 0
        var reportTimestamp: UInt32 = 0
    }

    unowned let simulation: Simulation
    unowned let stream: SimulatedStream
    private let log: PacketLog
    private(set) var entries: [Entry] = []
    private var store: [UInt8] = []
    private var timeLines = [TimeLine](repeating: TimeLine(), count: 2)
    /// The log's number of each packet, by the packet's own.
    private var numbers: [Int: Int] = [:]
    /// What the engine has taken from its queue and is to be found in the log next.
    private var taken: [FedPacket] = []
    private var takenStart = 0
    /// Reports that it has taken in this turn: their tracks and epochs.
    private var reportsTaken: [(track: Int, epoch: Int)] = []

    init(_ simulation: Simulation, _ stream: SimulatedStream) {
        self.simulation = simulation
        self.stream = stream
        log = PacketLog(memory: stream.memory)
    }

    func take(_ packets: [FedPacket]) {
        for packet in packets where !packet.isReport { taken.append(packet) }
        // A report before its first packet may be too old for it.
        for packet in packets where packet.isReport && timeLines[packet.track].epoch == packet.epoch {
            reportsTaken.append((packet.track, packet.epoch))
        }
    }

    /// Reads what is new.
    func sync() {
        let head = Int(stream.memory.board.load(.head))
        guard head > entries.count else { return }
        // What was logged within one turn may be more than the log holds; the simulation feeds less.
        guard UInt64(entries.count) >= stream.memory.board.load(.tail) else { return simulation.fail("the log outran the simulation") }
        while entries.count < head {
            let record = log.record(UInt64(entries.count))
            // The head that readers are sent with it is part of a verbatim packet, and told apart from it here.
            let head = stream.headBytes
            let bytes = unsafe UnsafeRawBufferPointer(start: log.bytes(of: record) + head, count: Int(record.length) - head)
            let offset = store.count
            unsafe store += bytes
            entries.append(
                Entry(
                    channel: record.channel, startsKeyFrame: record.flags.contains(.startsKeyFrame), sequence: record.sequence,
                    offset: offset, count: bytes.count, arrival: record.arrival, place: Int(record.timestamp)))
            let isReport = record.channel & 1 == 1
            unsafe isReport ? checkReport(bytes, record) : checkPacket(bytes, record)
        }
    }

    /// After the home worker's turn: everything it took must have been logged or counted.
    func endTurn() {
        sync()
        absent(taken.count - takenStart)
        taken.removeAll(keepingCapacity: true)
        takenStart = 0
        for (track, epoch) in reportsTaken { timeLines[track].reportedEpoch = epoch }
        reportsTaken.removeAll(keepingCapacity: true)
    }

    private func absent(_ count: Int) {
        for place in takenStart..<takenStart + count where !taken[place].isStray { simulation.packetsAbsent += 1 }
    }

    // MARK: What was fed

    @unsafe private func checkPacket(_ bytes: UnsafeRawBufferPointer, _ record: PacketRecord) {
        guard let base = bytes.baseAddress, bytes.count >= FeedDraft.packetBytesMin else {
            return simulation.fail("the log holds an RTP packet of \(bytes.count) bytes")
        }
        let number = Int(truncatingIfNeeded: unsafe bigEndian(base, FeedDraft.numberOffset, count: 8))
        var place = takenStart
        while place < taken.count, taken[place].number != number { place += 1 }
        guard place < taken.count else { return simulation.fail("packet \(number) is in the log out of order, or was never fed") }
        absent(place - takenStart)
        takenStart = place + 1
        let fed = taken[place]
        numbers[number] = entries.count - 1
        if fed.isStray { simulation.fail("stray packet \(number) of track \(fed.track) was taken, after \(entries.count - 1) packets") }
        if fed.track != Int(record.channel) / 2 { simulation.fail("packet \(number) is on channel \(record.channel)") }
        if fed.startsKeyFrame != record.flags.contains(.startsKeyFrame), simulation.streamHasKeyFrames(stream), fed.track == 0 {
            simulation.fail("packet \(number) should \(fed.startsKeyFrame ? "" : "not ")start a key frame")
        }
        if stream.isVerbatim { return unsafe checkVerbatim(base, bytes.count, fed, record) }
        let isSame =
            unsafe fed.count == bytes.count && sameBytes(fed.bytes, base, 2) && sameBytes(fed.bytes + 12, base + 12, fed.count - 12)
        if !isSame { simulation.fail("packet \(number) was changed on its way into the log") }
        unsafe checkHeader(base, fed, record)
    }

    /// Nothing of it was changed, and its record says which packet it is.
    @unsafe private func checkVerbatim(_ base: UnsafeRawPointer, _ count: Int, _ fed: FedPacket, _ record: PacketRecord) {
        if unsafe fed.count != count || !sameBytes(fed.bytes, base, count) {
            simulation.fail("packet \(fed.number) was changed on its way into the log")
        }
        if Int(record.timestamp) != fed.place || record.sequence != UInt16(truncatingIfNeeded: fed.place) {
            simulation.fail("packet \(fed.place) of a verbatim stream is called \(record.timestamp) (\(record.sequence))")
        }
    }

    @unsafe private func checkHeader(_ base: UnsafeRawPointer, _ fed: FedPacket, _ record: PacketRecord) {
        let sequence = UInt16(truncatingIfNeeded: unsafe bigEndian(base, 2, count: 2))
        let timestamp = UInt32(truncatingIfNeeded: unsafe bigEndian(base, 4, count: 4))
        let ssrc = UInt32(truncatingIfNeeded: unsafe bigEndian(base, 8, count: 4))
        var line = timeLines[fed.track]
        if sequence != record.sequence || timestamp != record.timestamp { simulation.fail("a record differs from its packet") }
        if ssrc != stream.ssrc(fed.track) { simulation.fail("packet \(fed.number) has SSRC \(ssrc)") }
        if fed.epoch == line.epoch {
            if sequence != fed.sequence &+ line.sequenceOffset { simulation.fail("packet \(fed.number) has sequence number \(sequence)") }
            if timestamp != fed.timestamp &+ line.timestampOffset { simulation.fail("packet \(fed.number) has timestamp \(timestamp)") }
        } else {
            // A new time line of the source goes on with the next number (half a frame of video is missing one), and not back in time.
            let next = line.isFrameOpen && fed.track == 0 && stream.codec != .opaque ? 2 : 1
            let step = Int(Int16(bitPattern: sequence &- line.sequence))
            let lost = Int(clamping: simulation.counters[.packetsLogPinned])
            if line.hasOutput, step < next || step > next + lost {
                simulation.fail("track \(fed.track) goes on with \(sequence) after \(line.sequence) at a splice")
            }
            if line.hasOutput, Int32(bitPattern: timestamp &- line.timestamp) < 1 { simulation.fail("time went back at a splice") }
            line.epoch = fed.epoch
            line.sequenceOffset = sequence &- fed.sequence
            line.timestampOffset = timestamp &- fed.timestamp
        }
        line.hasOutput = true
        line.sequence = sequence
        line.timestamp = timestamp
        line.isFrameOpen = unsafe bigEndian(base, 1, count: 1) & 0x80 == 0
        line.packets += 1
        timeLines[fed.track] = line
    }

    /// A sender report is the engine's own: one wall clock, the readers' time and counts.
    @unsafe private func checkReport(_ bytes: UnsafeRawBufferPointer, _ record: PacketRecord) {
        let track = Int(record.channel) / 2
        guard let base = bytes.baseAddress, bytes.count == 52 else { return simulation.fail("a report of \(bytes.count) bytes") }
        let line = timeLines[track]
        if unsafe bigEndian(base, 4, count: 4) != UInt64(stream.ssrc(track)) { simulation.fail("a report with a foreign SSRC") }
        if unsafe bigEndian(base, 20, count: 4) != UInt64(line.packets) { simulation.fail("a report counts wrongly") }
        let ntp = unsafe bigEndian(base, 8, count: 8)
        let timestamp = UInt32(truncatingIfNeeded: unsafe bigEndian(base, 16, count: 4))
        if stream.policy.clock == .relay {
            // The moment of the report on the relay's clock, to the tick, and never back.
            let late = Int64(bitPattern: ntp &- SimulatedStream.wallClock(at: record.arrival))
            if late.magnitude > 1 << 32 / 20_000 { simulation.fail("a report of track \(track) is \(late) off the relay's clock") }
            if line.reportTime != 0, ntp < line.reportTime || Int32(bitPattern: timestamp &- line.reportTimestamp) < 0 {
                simulation.fail("time goes back from one report of track \(track) to the next")
            }
            timeLines[track].reportTime = ntp
            timeLines[track].reportTimestamp = timestamp
            return
        }
        guard line.epoch == stream.epochTaken, line.reportedEpoch == line.epoch else { return }
        // A clock that was doubted is passed on with its next report only.
        guard stream.memory.counters[.clockSteps] == 0, stream.memory.counters[.reportsUnusable] == 0 else { return }
        let expected = stream.timestamp(track, epoch: line.epoch, atWallClock: ntp) &+ line.timestampOffset
        if abs(Int(Int32(bitPattern: timestamp &- expected))) > 3 {
            simulation.fail("a report of track \(track) says \(timestamp) where the source's clock says \(expected)")
        }
    }

    // MARK: What readers are sent

    /// The first packet from `number` on that is on one of these channels (as bits), or nil.
    func next(from number: Int, channels: UInt8) -> Int? {
        var number = number
        while number < entries.count {
            if channels >> entries[number].channel & 1 == 1 { return number }
            number += 1
        }
        return nil
    }

    /// Packets on these channels in a range.
    func count(_ range: Range<Int>, channels: UInt8) -> Int {
        range.count { channels >> entries[$0].channel & 1 == 1 }
    }

    @unsafe func matches(_ number: Int, _ channel: Int, _ bytes: UnsafeRawBufferPointer) -> Bool {
        let entry = entries[number]
        guard entry.channel == channel, entry.count == bytes.count, let base = bytes.baseAddress else { return false }
        return unsafe store.withUnsafeBytes { store in
            guard let start = store.baseAddress else { return false }
            return unsafe sameBytes(start + entry.offset, base, entry.count)
        }
    }

    /// The packet that these bytes are: an RTP packet by its number, a report by its bytes, from `number` on.
    @unsafe func locate(_ channel: Int, _ bytes: UnsafeRawBufferPointer, from number: Int) -> Int? {
        if channel & 1 == 0 {
            guard let base = bytes.baseAddress, bytes.count >= FeedDraft.packetBytesMin else { return nil }
            let found = numbers[Int(truncatingIfNeeded: unsafe bigEndian(base, FeedDraft.numberOffset, count: 8))]
            guard let found, unsafe matches(found, channel, bytes) else { return nil }
            return found
        }
        var number = number
        while number < entries.count {
            if unsafe matches(number, channel, bytes) { return number }
            number += 1
        }
        return nil
    }

    /// The first packet of a track whose sequence number is the given one, or one after it.
    func first(_ track: Int, sequence: UInt16?) -> Int? {
        entries.indices.first { number in
            guard entries[number].channel == UInt8(2 * track) else { return false }
            guard let sequence else { return true }
            return Int16(bitPattern: entries[number].sequence &- sequence) >= 0
        }
    }
}

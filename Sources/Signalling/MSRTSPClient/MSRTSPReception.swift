import WireFormats

/// The media of a session as it comes: puts RTP packets into order, asks for those that are missing once more, has error correction make what it
/// can, waits no longer than it may, and gives out ASF packets. Pure: packets and time come in; `now` is monotonic, in milliseconds.
///
/// A server has one RTP session for all streams, or one for each. With several, what came after a gap in one waits for it in the others, too, so
/// that packets leave in the order of their send times.
package struct MSRTSPReception: Sendable {
    /// How long, how much and how often.
    package struct Settings: Sendable, Hashable {
        /// How long a missing packet is waited for where it can still come: by being sent once more, or by error correction.
        package var waitMilliseconds: UInt64 = 1_000
        /// The same where it can only be late.
        package var reorderMilliseconds: UInt64 = 100
        /// When a packet is asked for after it was missed, and again after that.
        package var askMilliseconds: UInt64 = 10
        package var askAgainMilliseconds: UInt64 = 200
        /// How often one packet is asked for.
        package var asksMax = 4
        /// Packets that are asked for in a second, over all.
        package var asksPerSecondMax = 2_000

        /// As they are meant.
        package init() {}
    }

    /// What became of what came.
    package struct Counters: Sendable, Hashable {
        /// RTP packets of the media, each once, and their bytes.
        package var packets: UInt64 = 0
        package var bytes: UInt64 = 0
        /// Packets that never came.
        package var lost: UInt64 = 0
        /// Packets that were asked for (each time), that came once more in time, and that error correction made.
        package var asked: UInt64 = 0
        package var resent: UInt64 = 0
        package var corrected: UInt64 = 0
        /// Packets that were not asked for because too many were.
        package var asksHeld: UInt64 = 0
        /// Packets that had come already, that came too late, and those of no session that is known.
        package var duplicates: UInt64 = 0
        package var late: UInt64 = 0
        package var strangers: UInt64 = 0
        /// What is no RTP packet.
        package var malformed: UInt64 = 0
        /// Times that a session went on with numbers far from those before.
        package var restarts: UInt64 = 0

        /// Nothing yet.
        package init() {}
    }

    /// RTP sessions that there can be.
    package static let sourcesMax = 16
    /// Packets and bytes that wait behind gaps: beyond that gaps are given up, and of another entry, which cannot go out yet, packets.
    package static let heldMax = 4_096
    package static let heldBytesMax = 8 << 20
    /// Numbers that are missed at a time, of one session: beyond that the same is done.
    package static let missingMax = 2_048
    /// A number further ahead than this begins anew.
    static let jumpMax: Int64 = 3_000

    struct Held: Sendable {
        var timestamp: UInt32
        var marker: Bool
        /// Nil for a packet of error correction, which has its number in the row.
        var payload: [UInt8]?
    }

    struct Missing: Sendable {
        var since: UInt64
        var askedAt: UInt64?
        var asks = 0
    }

    struct Source: Sendable {
        /// The number that follows in order; nil: none came.
        var next: Int64?
        var highest: Int64 = 0
        var held: [Int64: Held] = [:]
        var missing: [Int64: Missing] = [:]
        /// Numbers to come that are of error correction.
        var siblings: Set<Int64> = []
        /// Numbers from here on are of another entry.
        var end: Int64?
        var timestamp: UInt32 = 0
        var receiver: ASFRTPReceiver
        var correction: FECDecoder?

        var isBlocked: Bool { next.map { !held.isEmpty && held[$0] == nil && $0 < end ?? .max } ?? false }
    }

    package let settings: Settings
    private(set) var sources: [UInt32: Source] = [:]
    /// SSRCs that the server named, and where they begin; empty: any is taken.
    private var expected: [UInt32: UInt16?] = [:]
    private var packetBytes: Int
    private var correction: MSRTSPClient.Media.Correction?
    private var retransmission: MSRTSPClient.Media.Retransmission?
    private let isOrdered: Bool
    private let sender: UInt32
    private var heldCount = 0
    private var heldBytes = 0
    private var asksLeft: Double
    private var asksAt: UInt64 = 0
    private var output: [ASFRTPReceiver.Packet] = []
    private var isDraining = false
    /// Nothing is waited for any longer.
    private var hasDrainingEnded = false
    private var drainUntil: UInt64 = 0
    /// What happened so far.
    package private(set) var counters = Counters()
    /// ASF packets that could not be made whole, or read.
    package private(set) var packetsBroken: UInt64 = 0

    /// Nothing came yet. `packetBytes` is P of the ASF header; `sender` any number that names us.
    package init(_ media: MSRTSPClient.Media, packetBytes: Int, sender: UInt32, settings: Settings = Settings()) {
        self.settings = settings
        self.packetBytes = packetBytes
        self.sender = sender
        expected = media.streams
        correction = media.correction
        retransmission = media.retransmission
        isOrdered = media.isInterleaved
        asksLeft = Double(settings.asksPerSecondMax) / 10
    }

    /// Sequence numbers are known better: the answer to Play came.
    package mutating func learn(_ media: MSRTSPClient.Media) {
        for (ssrc, sequence) in media.streams { expected[ssrc] = .some(sequence) }
    }

    // MARK: Packets

    /// A datagram or an interleaved frame came; `isResent`: by the way that lost ones are sent once more.
    package mutating func receive(_ packet: [UInt8], isResent: Bool = false, now: UInt64) {
        guard let header = try? RTPHeader(packet.span) else {
            counters.malformed += 1
            return
        }
        guard knows(header) else {
            counters.strangers += 1
            return
        }
        if sources[header.ssrc]?.correction != nil {
            var made: [[UInt8]] = []
            sources[header.ssrc]?.correction?.take(packet.span) { made.append($0) }
            for one in made {
                guard let header = try? RTPHeader(one.span) else { continue }
                take(one, header, .corrected, now)
            }
        }
        take(packet, header, isResent ? .resent : .first, now)
        pump(now)
    }

    /// What came whole since the last call, in order.
    package mutating func takePackets() -> [ASFRTPReceiver.Packet] {
        defer { output.removeAll(keepingCapacity: true) }
        return output
    }

    private enum Kind { case first, resent, corrected }

    /// Whether a packet is of a session that is meant; makes it known.
    private mutating func knows(_ header: RTPHeader) -> Bool {
        if sources[header.ssrc] != nil { return true }
        let isNamed = expected[header.ssrc] != nil
        // A server that names other SSRCs than it uses, as some do: what comes counts, until one comes that was named.
        guard isNamed || !sources.keys.contains(where: { expected[$0] != nil }) else { return false }
        if isNamed { for ssrc in sources.keys where expected[ssrc] == nil { forget(ssrc) } }
        guard sources.count < Self.sourcesMax else { return false }
        var source = Source(receiver: ASFRTPReceiver(packetBytes: packetBytes, isPadded: true))
        source.correction = correction.map { FECDecoder(mediaPayloadType: $0.mediaPayloadType, fecPayloadType: $0.payloadType) }
        let number = Int64(header.sequence) + 65_536
        source.next = number
        if let first = expected[header.ssrc].flatMap({ $0 }) {
            // What was lost before the first one that came is missed.
            let before = Int64(SequenceArithmetic.distance(from: first, to: header.sequence))
            if before > 0, before < 512 { source.next = number - before }
        }
        source.highest = (source.next ?? number) - 1
        sources[header.ssrc] = source
        return true
    }

    private mutating func forget(_ ssrc: UInt32) {
        guard let source = sources.removeValue(forKey: ssrc) else { return }
        note(broken: source.receiver)
        for held in source.held.values { release(held) }
    }

    private mutating func note(broken receiver: ASFRTPReceiver) {
        packetsBroken += receiver.counters.packetsIncomplete + receiver.counters.malformed
    }

    private mutating func take(_ packet: [UInt8], _ header: RTPHeader, _ kind: Kind, _ now: UInt64) {
        let ssrc = header.ssrc
        // Out of the dictionary, else each change would copy what waits.
        guard var source = sources.removeValue(forKey: ssrc) else { return }
        defer { sources[ssrc] = source }
        guard let next = source.next else { return }
        var number = SequenceArithmetic.extended(header.sequence, near: source.highest)
        if number - source.highest > Self.jumpMax || source.highest - number > Self.jumpMax {
            // What is sent once more is never far away.
            guard kind == .first else { return counters.late += 1 }
            counters.restarts += 1
            for held in source.held.values { release(held) }
            source.held = [:]
            source.missing = [:]
            source.siblings = []
            source.correction?.reset()
            source.end = nil
            source.receiver.gap()
            number = Int64(header.sequence) + 65_536
            source.next = number
            source.highest = number - 1
        } else if number < next {
            // It may have come, or have been given up; what is sent once more has often come meanwhile.
            if kind == .first { counters.late += 1 } else { counters.duplicates += 1 }
            return
        } else if source.held[number] != nil {
            counters.duplicates += 1
            return
        }
        if let end = source.end, number >= end,
            heldCount >= Self.heldMax || heldBytes >= Self.heldBytesMax || source.missing.count > Self.missingMax
        {
            counters.late += 1
            return
        }
        switch kind {
        case .first: break
        case .resent: if source.missing[number] != nil { counters.resent += 1 }
        case .corrected: counters.corrected += 1
        }
        source.missing[number] = nil
        if number > source.highest {
            // A way that keeps the order has lost what it leaves out.
            if number > source.highest + 1 {
                for number in (source.highest + 1)..<number {
                    if source.siblings.remove(number) != nil {
                        source.held[number] = Held(timestamp: header.timestamp, marker: true, payload: nil)
                        heldCount += 1
                    } else {
                        source.missing[number] = Missing(since: isOrdered ? 0 : now)
                    }
                }
            }
            source.highest = number
        }
        let isCorrection = header.payloadType == correction?.payloadType
        if !isCorrection {
            counters.packets += 1
            counters.bytes += UInt64(packet.count)
        }
        let held = Held(
            timestamp: header.timestamp, marker: header.marker,
            payload: isCorrection ? nil : Array(packet[header.payloadOffset..<header.payloadEnd]))
        source.held[number] = held
        heldCount += 1
        heldBytes += held.payload?.count ?? 0
        if isCorrection { noteSiblings(of: packet, header, number, in: &source) }
    }

    /// The packets of error correction of one span follow one another: those that are missing are no gap in the media.
    private mutating func noteSiblings(of packet: [UInt8], _ header: RTPHeader, _ number: Int64, in source: inout Source) {
        guard let fec = FECHeader(packet.span.extracting(header.payloadOffset..<header.payloadEnd)), fec.index < fec.count else { return }
        let first = number - Int64(fec.index)
        source.siblings = source.siblings.filter { $0 > source.highest }
        for sibling in first..<(first + Int64(fec.count)) where sibling != number && sibling >= source.next ?? 0 {
            guard source.missing.removeValue(forKey: sibling) != nil, source.held[sibling] == nil else {
                if sibling > source.highest { source.siblings.insert(sibling) }
                continue
            }
            source.held[sibling] = Held(timestamp: header.timestamp, marker: true, payload: nil)
            heldCount += 1
        }
    }

    private mutating func release(_ held: Held) {
        heldCount -= 1
        heldBytes -= held.payload?.count ?? 0
    }

    // MARK: Order

    /// Gives out what is in order, and gives up what was waited for long enough.
    private mutating func pump(_ now: UInt64) {
        repeat {
            while let ssrc = ready() { give(ssrc) }
        } while giveUp(now)
    }

    /// The session whose next packet goes out next.
    private func ready() -> UInt32? {
        if sources.count == 1, let (ssrc, source) = sources.first { return isReady(source) ? ssrc : nil }
        var best: (ssrc: UInt32, timestamp: UInt32)?
        var bound: UInt32?
        for (ssrc, source) in sources {
            if isReady(source), let timestamp = source.next.flatMap({ source.held[$0] })?.timestamp {
                if best.map({ SequenceArithmetic.distance(from: timestamp, to: $0.timestamp) > 0 }) ?? true { best = (ssrc, timestamp) }
            } else if source.isBlocked {
                if bound.map({ SequenceArithmetic.distance(from: source.timestamp, to: $0) > 0 }) ?? true { bound = source.timestamp }
            }
        }
        guard let best else { return nil }
        // What is missing elsewhere may be older.
        if let bound, SequenceArithmetic.distance(from: bound, to: best.timestamp) > 0 { return nil }
        return best.ssrc
    }

    private func isReady(_ source: Source) -> Bool {
        guard let next = source.next, next < source.end ?? .max else { return false }
        return source.held[next] != nil
    }

    private mutating func give(_ ssrc: UInt32) {
        guard let next = sources[ssrc]?.next, let held = sources[ssrc]?.held.removeValue(forKey: next) else { return }
        release(held)
        sources[ssrc]?.next = next + 1
        sources[ssrc]?.timestamp = held.timestamp
        guard let payload = held.payload else { return }
        var whole: [ASFRTPReceiver.Packet] = []
        sources[ssrc]?.receiver.take(payload.span, timestamp: held.timestamp, marker: held.marker) { whole.append($0) }
        output += whole
    }

    /// Whether a gap was given up. The first of each session is looked at.
    private mutating func giveUp(_ now: UInt64) -> Bool {
        for ssrc in Array(sources.keys) {
            guard sources[ssrc]?.isBlocked ?? false, var source = sources.removeValue(forKey: ssrc) else { continue }
            defer { sources[ssrc] = source }
            guard let next = source.next else { continue }
            let isFull = heldCount > Self.heldMax || heldBytes > Self.heldBytesMax || source.missing.count > Self.missingMax
            let isAtOnce = isFull || isOrdered || isDraining && now >= drainUntil
            // All that is missing together is given up together.
            var end = next
            while end <= source.highest, source.held[end] == nil, isAtOnce || now >= (source.missing[end]?.since ?? 0) &+ wait {
                source.missing[end] = nil
                counters.lost += 1
                end += 1
            }
            guard end > next else { continue }
            source.next = end
            // One number can be of error correction whose siblings are lost, too, or that has none.
            source.receiver.gap(isOne: correction != nil && end == next + 1)
            return true
        }
        return false
    }

    /// How long a gap is waited for.
    private var wait: UInt64 { retransmission == nil && correction == nil ? settings.reorderMilliseconds : settings.waitMilliseconds }

    // MARK: Asking once more

    /// The RTCP packets that ask for what is missing; they go to the port that the server named.
    package mutating func requests(now: UInt64) -> [[UInt8]] {
        guard let retransmission else { return [] }
        if now > asksAt {
            asksLeft = min(
                asksLeft + Double(now - asksAt) * Double(settings.asksPerSecondMax) / 1_000, Double(settings.asksPerSecondMax) / 10)
            asksAt = now
        }
        var requests: [[UInt8]] = []
        for ssrc in Array(sources.keys) {
            var due: [Int64] = []
            for (number, missing) in sources[ssrc]?.missing ?? [:] where missing.asks < settings.asksMax && askAt(missing) <= now {
                due.append(number)
            }
            guard !due.isEmpty else { continue }
            due.sort()
            let granted = min(due.count, Int(max(asksLeft, 0)))
            asksLeft -= Double(granted)
            counters.asksHeld += UInt64(due.count - granted)
            for (place, number) in due.enumerated() {
                sources[ssrc]?.missing[number]?.askedAt = now
                if place < granted { sources[ssrc]?.missing[number]?.asks += 1 }
            }
            counters.asked += UInt64(granted)
            let numbers = due.prefix(granted).map { UInt16(truncatingIfNeeded: $0) }
            requests += RetransmissionRequest.compounds(
                for: numbers, retransmissionSSRC: retransmission.ssrc, senderSSRC: sender, mediaSSRC: ssrc)
        }
        return requests
    }

    private func askAt(_ missing: Missing) -> UInt64 {
        missing.askedAt.map { $0 &+ settings.askAgainMilliseconds } ?? (missing.since &+ settings.askMilliseconds)
    }

    // MARK: Time

    /// When ``timeElapsed(now:)`` and ``requests(now:)`` should be called next; nil while nothing is missing.
    package var deadline: UInt64? {
        var first: UInt64?
        func note(_ time: UInt64) { if first.map({ time < $0 }) ?? true { first = time } }
        for source in sources.values {
            guard !source.missing.isEmpty else { continue }
            if source.isBlocked, let next = source.next { note((source.missing[next]?.since ?? 0) &+ wait) }
            guard retransmission != nil else { continue }
            for missing in source.missing.values where missing.asks < settings.asksMax { note(askAt(missing)) }
        }
        if isDraining, !hasDrainingEnded { note(drainUntil) }
        return first
    }

    /// Gives up what was waited for long enough.
    package mutating func timeElapsed(now: UInt64) {
        if isDraining, now >= drainUntil { hasDrainingEnded = true }
        pump(now)
    }

    // MARK: Entries of a playlist

    /// The media ends before these numbers, by SSRC; of others with what came. What follows waits for ``begin(_:packetBytes:)``.
    package mutating func drain(_ ends: [UInt32: UInt16], now: UInt64) {
        isDraining = true
        hasDrainingEnded = false
        drainUntil = now &+ wait
        for ssrc in sources.keys {
            guard let source = sources[ssrc] else { continue }
            var end = source.highest + 1
            if let told = ends[ssrc] {
                let number = SequenceArithmetic.extended(told, near: source.highest)
                if let next = source.next, number >= next, number - source.highest <= Self.jumpMax { end = number }
            }
            sources[ssrc]?.end = end
            // What came last is not known to be missing before something follows it.
            if end > source.highest + 1 {
                for number in (source.highest + 1)..<end { sources[ssrc]?.missing[number] = Missing(since: now) }
                sources[ssrc]?.highest = end - 1
            }
        }
        pump(now)
    }

    /// Whether nothing of what ends is to come any more.
    package func isDrained(now: UInt64) -> Bool {
        guard isDraining else { return true }
        return now >= drainUntil || sources.values.allSatisfy { ($0.next ?? 0) >= $0.end ?? 0 }
    }

    /// What comes from now on is of another entry.
    package mutating func begin(_ media: MSRTSPClient.Media, packetBytes: Int, now: UInt64) {
        isDraining = false
        hasDrainingEnded = false
        self.packetBytes = packetBytes
        expected = media.streams
        correction = media.correction
        retransmission = media.retransmission
        for ssrc in sources.keys {
            guard var source = sources[ssrc] else { continue }
            guard expected.isEmpty || expected[ssrc] != nil else {
                forget(ssrc)
                continue
            }
            if let end = source.end, let next = source.next, next < end {
                counters.lost += UInt64(end - next)
                for number in next..<end { if let held = source.held.removeValue(forKey: number) { release(held) } }
                source.next = end
            }
            let floor = source.next ?? 0
            source.missing = source.missing.filter { $0.key >= floor }
            source.end = nil
            source.receiver.begin(packetBytes: packetBytes)
            sources[ssrc] = source
        }
        pump(now)
    }
}

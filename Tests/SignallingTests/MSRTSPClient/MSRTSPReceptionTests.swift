import Testing
import WireFormats

@testable import Signalling

/// A server's packets, and what becomes of them on the way.
private struct Way {
    var reception: MSRTSPReception
    var packetiser: ASFRTPPacketiser
    var now: UInt64 = 10_000
    /// Send times of the ASF packets that came out.
    var times: [UInt32] = []
    /// What was sent, by its number.
    var sent: [UInt16: [UInt8]] = [:]

    static let size = 1_000

    init(
        retransmission: Bool = false, fec: FECParameters? = nil, first: UInt16 = 65_530, named: Bool = true, interleaved: Bool = false,
        bytesMax: Int = 400, change: (inout MSRTSPReception.Settings) -> Void = { _ in }
    ) {
        var media = MSRTSPClient.Media()
        if named { media.streams = [7: .some(first)] }
        media.isInterleaved = interleaved
        if retransmission { media.retransmission = .init(ssrc: 99, port: 5_005) }
        if fec != nil { media.correction = .init(mediaPayloadType: 96, payloadType: 98) }
        var settings = MSRTSPReception.Settings()
        change(&settings)
        reception = MSRTSPReception(media, packetBytes: Self.size, sender: 1, settings: settings)
        packetiser = ASFRTPPacketiser(
            packetBytes: Self.size, form: .datagrams(bytesMax: bytesMax), ssrc: 7, sequence: first, fec: fec.map { FECSettings($0) })
    }

    /// An ASF packet of one payload, full.
    static func packet(_ time: UInt32) -> [UInt8] {
        var bytes: [UInt8] = [0x82, 0, 0, 0, 0x5D]
        bytes += (0..<4).map { UInt8(truncatingIfNeeded: time >> (8 * $0)) } + [40, 0]
        bytes += [0x81, UInt8(truncatingIfNeeded: time / 40), 0, 0, 0, 0, 8]
        bytes += [UInt8](repeating: 0, count: 8)
        return bytes + [UInt8](repeating: UInt8(truncatingIfNeeded: time), count: size - bytes.count)
    }

    /// The RTP packets of an ASF packet.
    mutating func make(_ time: UInt32) throws -> [[UInt8]] {
        var bytes: [UInt8] = []
        _ = try packetiser.append(Self.packet(time), to: &bytes)
        var packets: [[UInt8]] = []
        var offset = 0
        while offset + 4 <= bytes.count {
            let length = Int(bytes[offset + 2]) << 8 | Int(bytes[offset + 3])
            packets.append(Array(bytes[(offset + 4)..<(offset + 4 + length)]))
            offset += 4 + length
        }
        for packet in packets { sent[UInt16(packet[2]) << 8 | UInt16(packet[3])] = packet }
        return packets
    }

    mutating func receive(_ packet: [UInt8], isResent: Bool = false) {
        reception.receive(packet, isResent: isResent, now: now)
        take()
    }

    mutating func take() { for packet in reception.takePackets() { times.append(packet.sendTime) } }

    mutating func elapse(_ milliseconds: UInt64) {
        now += milliseconds
        reception.timeElapsed(now: now)
        take()
    }

    /// What is asked for once more; answered if the way does so.
    mutating func requests() -> [UInt16] {
        reception.requests(now: now).flatMap { bytes in
            let request = RetransmissionRequest(bytes.span)
            return request.map { $0.retransmissionSSRC == 99 && $0.mediaSSRC == 7 ? $0.sequences : [] } ?? []
        }
    }
}

@Suite struct MSRTSPReceptionTests {
    @Test func inOrderOverTheEndOfTheNumbers() throws {
        var way = Way()
        for number in 0..<10 { for packet in try way.make(UInt32(number * 40)) { way.receive(packet) } }
        #expect(way.times == (0..<10).map { UInt32($0 * 40) })
        #expect(way.reception.counters.packets == 30 && way.reception.counters.lost == 0 && way.reception.deadline == nil)
    }

    @Test func turnedRoundAndTwice() throws {
        var way = Way()
        for number in stride(from: 0, to: 10, by: 2) {
            let packets = try way.make(UInt32(number * 40)) + (try way.make(UInt32(number * 40 + 40)))
            for packet in (number == 0 ? [packets[0]] + packets[1...].reversed() : packets.reversed()) {
                way.receive(packet)
                way.receive(packet)
            }
        }
        #expect(way.times == (0..<10).map { UInt32($0 * 40) })
        #expect(way.reception.counters.duplicates + way.reception.counters.late == 30)
    }

    /// Without anything to make it good a loss is waited for as long as packets may be late.
    @Test func lostForGood() throws {
        var way = Way()
        for packet in try way.make(0) { way.receive(packet) }
        let second = try way.make(40)
        way.receive(second[0])
        way.receive(second[2])
        for packet in try way.make(80) { way.receive(packet) }
        #expect(way.times == [0] && way.reception.deadline == way.now + 100)
        way.elapse(99)
        #expect(way.times == [0])
        way.elapse(1)
        #expect(way.times == [0, 80] && way.reception.counters.lost == 1 && way.reception.packetsBroken == 0)
        way.receive(second[1])
        #expect(way.reception.counters.late == 1 && way.reception.deadline == nil)
    }

    @Test func askedForOnceMore() throws {
        var way = Way(retransmission: true)
        var lost: [UInt16] = []
        for number in 0..<20 {
            for (place, packet) in try way.make(UInt32(number * 40)).enumerated() {
                if number % 5 == 2, place == 1 { lost.append(UInt16(packet[2]) << 8 | UInt16(packet[3])) } else { way.receive(packet) }
            }
        }
        #expect(way.times == [0, 40] && way.requests() == [])
        way.elapse(10)
        #expect(way.requests() == lost && way.requests() == [])
        // What was asked for is lost, too: once more, and then no more.
        for _ in 0..<3 {
            way.elapse(200)
            #expect(way.requests() == lost)
        }
        way.elapse(200)
        #expect(way.requests() == [])
        for number in lost { way.receive(try #require(way.sent[number]), isResent: true) }
        #expect(way.times == (0..<20).map { UInt32($0 * 40) })
        let counters = way.reception.counters
        #expect(counters.asked == 16 && counters.resent == 4 && counters.lost == 0)
    }

    @Test func requestsAreBounded() throws {
        var way = Way(retransmission: true) { $0.asksPerSecondMax = 1_000 }
        var last: [UInt8] = []
        for number in 0..<600 {
            let packets = try way.make(UInt32(number * 40))
            if number == 0 { for packet in packets { way.receive(packet) } }
            last = packets.last ?? []
        }
        // 1,796 packets are missing at once.
        way.receive(last)
        way.elapse(10)
        let asked = way.requests()
        #expect(asked.count == 100 && way.reception.counters.asksHeld == 1_696)
        let all = way.reception.requests(now: way.now + 200)
        #expect(all.allSatisfy { (RetransmissionRequest($0.span)?.entries.count ?? 99) <= RetransmissionRequest.entriesMax })
    }

    @Test(arguments: [1, 2]) func correctedFromWhatWasSentBeside(perSpan: UInt8) throws {
        let parameters = try #require(FECParameters(span: 6, perSpan: perSpan))
        var way = Way(fec: parameters, bytesMax: 600)
        var dropped: UInt64 = 0
        for number in 0..<30 {
            for packet in try way.make(UInt32(number * 40)) {
                let sequence = Int64(Int16(bitPattern: UInt16(packet[2]) << 8 | UInt16(packet[3]))) + 6
                // One of each span, and no FEC packet.
                if packet[1] & 0x7F == 96, sequence % Int64(6 + perSpan) == 2 {
                    dropped += 1
                    continue
                }
                way.receive(packet)
            }
        }
        way.elapse(1_000)
        let counters = way.reception.counters
        #expect(dropped >= 8 && counters.corrected >= dropped - 1 && counters.lost <= 1)
        #expect(way.times.count >= 29)
    }

    /// A packet of error correction that is lost is no gap in the media, wherever in its span it was.
    @Test(arguments: 0..<3) func lostCorrectionIsNoLoss(index: Int64) throws {
        var way = Way(fec: FECParameters(span: 8, perSpan: 3), first: 0)
        for number in 0..<40 {
            for packet in try way.make(UInt32(number * 40)) {
                let sequence = Int64(packet[2]) << 8 | Int64(packet[3])
                if packet[1] & 0x7F != 98 || sequence % 11 != 8 + index { way.receive(packet) }
            }
        }
        #expect(way.times == (0..<40).map { UInt32($0 * 40) })
        #expect(way.reception.counters.lost == 0 && way.reception.packetsBroken == 0)
    }

    /// One that has no siblings is waited for, and breaks nothing; a piece of media does.
    @Test func lostCorrectionBreaksNoPacket() throws {
        var way = Way(fec: FECParameters(span: 8, perSpan: 1), first: 0)
        for number in 0..<40 {
            for packet in try way.make(UInt32(number * 40)) {
                let isCorrection = packet[1] & 0x7F == 98, sequence = UInt16(packet[2]) << 8 | UInt16(packet[3])
                // The first two spans have neither correction nor, in the second, one piece.
                if sequence < 18, isCorrection || sequence == 10 { continue }
                way.receive(packet)
            }
            way.elapse(40)
        }
        way.elapse(2_000)
        #expect(way.reception.counters.lost == 3 && way.times.count == 39)
    }

    /// SSRCs that the server does not use, strangers, and a session that begins anew.
    @Test func strangers() throws {
        var unnamed = Way(named: false)
        for packet in try unnamed.make(0) { unnamed.receive(packet) }
        #expect(unnamed.times == [0])
        var way = Way()
        var wrong = try way.make(0)
        for place in wrong.indices { wrong[place][11] = 200 }
        // Nobody has come that was named: what comes counts.
        for packet in wrong { way.receive(packet) }
        #expect(way.times == [0])
        for packet in try way.make(40) { way.receive(packet) }
        // Of those that were named the first three never came.
        #expect(way.times == [0])
        way.elapse(100)
        #expect(way.times == [0, 40] && way.reception.counters.lost == 3)
        for packet in wrong { way.receive(packet) }
        #expect(way.reception.counters.strangers == UInt64(wrong.count))
        way.receive([0x80, 96, 0])
        #expect(way.reception.counters.malformed == 1)
        way.packetiser.sequence = way.packetiser.sequence &+ 20_000
        for packet in try way.make(80) { way.receive(packet) }
        #expect(way.times == [0, 40, 80] && way.reception.counters.restarts == 1 && way.reception.counters.lost == 3)
    }

    /// A sender of rubbish makes us keep no more than there is room for.
    @Test func heldIsBounded() throws {
        var way = Way(retransmission: true, bytesMax: 60_000)
        for packet in try way.make(0) { way.receive(packet) }
        _ = try way.make(40)
        for number in 2..<10_000 { for packet in try way.make(UInt32(number * 40)) { way.receive(packet) } }
        #expect(way.times.count == 9_999 && way.reception.counters.lost == 1)
    }

    /// Numbers that leap make us remember no more than there is room for.
    @Test func missedIsBounded() throws {
        var way = Way(retransmission: true)
        for number in 0...20 {
            if number > 0 { way.packetiser.sequence = way.packetiser.sequence &+ 2_500 }
            for packet in try way.make(UInt32(number * 40)) { way.receive(packet) }
        }
        #expect(way.times == (0...20).map { UInt32($0 * 40) } && way.reception.counters.lost == 50_000)
        #expect(way.reception.deadline == nil && way.requests().isEmpty)
    }

    /// The next entry of a playlist comes before it is announced.
    @Test func entries() throws {
        var way = Way(retransmission: true)
        for packet in try way.make(0) { way.receive(packet) }
        let last = try way.make(40)
        way.receive(last[0])
        let end = way.packetiser.sequence
        for packet in try way.make(5_000) { way.receive(packet) }
        way.reception.drain([7: end], now: way.now)
        way.take()
        #expect(!way.reception.isDrained(now: way.now) && way.times == [0])
        way.elapse(10)
        #expect(way.requests().count == 2)
        way.receive(last[1], isResent: true)
        way.receive(last[2], isResent: true)
        #expect(way.reception.isDrained(now: way.now) && way.times == [0, 40])
        var media = MSRTSPClient.Media()
        media.streams = [7: .some(end)]
        media.retransmission = .init(ssrc: 99, port: 5_005)
        way.reception.begin(media, packetBytes: Way.size, now: way.now)
        way.take()
        #expect(way.times == [0, 40, 5_000])
    }

    /// What is missing at an end is waited for, and not for ever.
    @Test func anEndThatLacksItsLast() throws {
        var way = Way(retransmission: true)
        for packet in try way.make(0) { way.receive(packet) }
        let lost = try way.make(40)
        way.reception.drain([7: way.packetiser.sequence], now: way.now)
        #expect(!way.reception.isDrained(now: way.now) && way.reception.deadline == way.now + 10)
        way.elapse(10)
        #expect(way.requests().count == lost.count)
        way.elapse(990)
        #expect(way.reception.isDrained(now: way.now))
        way.reception.begin(MSRTSPClient.Media(), packetBytes: Way.size, now: way.now)
        #expect(way.reception.counters.lost == UInt64(lost.count) && way.reception.deadline == nil)
        // An end that is not to be believed.
        for packet in try way.make(80) { way.receive(packet) }
        way.reception.drain([7: 20_000], now: way.now)
        way.take()
        #expect(way.times == [0, 80] && way.reception.isDrained(now: way.now))
    }

    /// Two sessions: what one misses holds the other, so that send times rise.
    @Test func severalSessions() throws {
        var media = MSRTSPClient.Media()
        media.streams = [7: .some(0), 8: .some(0)]
        media.retransmission = .init(ssrc: 99, port: 5_005)
        var reception = MSRTSPReception(media, packetBytes: Way.size, sender: 1)
        var sound = ASFRTPPacketiser(packetBytes: Way.size, form: .whole, ssrc: 7, sequence: 0)
        var picture = ASFRTPPacketiser(packetBytes: Way.size, form: .whole, ssrc: 8, sequence: 0)
        var held: [UInt8] = []
        var times: [UInt32] = []
        for number: UInt32 in 0..<20 {
            var bytes: [UInt8] = []
            if number % 2 == 0 {
                _ = try sound.append(Way.packet(number * 40), to: &bytes)
            } else {
                _ = try picture.append(Way.packet(number * 40), to: &bytes)
            }
            let packet = Array(bytes[4...])
            if number == 4 { held = packet } else { reception.receive(packet, now: 1_000 + UInt64(number)) }
            times += reception.takePackets().map(\.sendTime)
        }
        // One of the other had come before it was known that anything is missing.
        #expect(times == [0, 40, 80, 120, 200])
        reception.receive(held, isResent: true, now: 1_100)
        times += reception.takePackets().map(\.sendTime)
        #expect(times.sorted() == (0..<20).map { $0 * 40 })
        #expect(zip(times, times.dropFirst()).allSatisfy { Int($1) - Int($0) >= -40 })
    }

    /// A connection keeps its order: what it leaves out is not waited for.
    @Test func interleavedGaps() throws {
        var way = Way(interleaved: true)
        for number in 0..<5 { for packet in try way.make(UInt32(number * 40)) where number != 2 { way.receive(packet) } }
        #expect(way.times == [0, 40, 120, 160] && way.reception.counters.lost == 3)
    }

    /// Whatever comes in whatever order, what comes out rises, and what is missing is decided in time.
    @Test(arguments: 0..<30) func noise(seed: Int) throws {
        var random = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 | 1
        func next(_ bound: Int) -> Int {
            random ^= random << 13
            random ^= random >> 7
            random ^= random << 17
            return Int(random % UInt64(bound))
        }
        var way = Way(retransmission: seed % 2 == 0, fec: seed % 3 == 0 ? FECParameters(span: 6, perSpan: 2) : nil)
        var late: [[UInt8]] = []
        for number in 0..<400 {
            for packet in try way.make(UInt32(number * 40)) {
                switch next(20) {
                case 0: break
                case 1: late.append(packet)
                case 2: for _ in 0..<2 { way.receive(packet) }
                case 3:
                    var broken = packet
                    broken[next(broken.count)] ^= UInt8(1 + next(255))
                    way.receive(broken)
                default: way.receive(packet)
                }
            }
            if next(3) == 0, !late.isEmpty { way.receive(late.remove(at: next(late.count))) }
            way.elapse(UInt64(next(60)))
            for sequence in way.requests() where next(4) > 0 { if let packet = way.sent[sequence] { way.receive(packet, isResent: true) } }
        }
        way.elapse(5_000)
        way.elapse(5_000)
        #expect(way.reception.deadline == nil && way.times.count > 100)
        let counters = way.reception.counters
        #expect(counters.packets > 900 && counters.resent <= counters.asked)
    }
}

import Testing
import WireFormats

@testable import ControlPlane

@Suite struct ClipTests {
    /// Interleaved frames taken apart.
    private static func packets(_ frames: [UInt8]) throws -> [(channel: UInt8, header: RTPHeader)] {
        var found: [(channel: UInt8, header: RTPHeader)] = []
        var parser = RTSPParser(limits: .client)
        parser.append(frames)
        while let element = try parser.next() {
            guard case .interleaved(let channel, let payload) = element, channel % 2 == 0 else { continue }
            found.append((channel, try RTPHeader(payload.span)))
        }
        return found
    }

    /// Two video frames a second of two packets each, and an audio packet beside each; sequence numbers wrap.
    private static func recording() throws -> Clip {
        var dump = RTPDumpHeader().serialized()
        for frame in 0..<4 {
            for part in 0..<2 {
                let header = RTPHeader(
                    payloadType: 96, marker: part == 1, sequence: 65_533 &+ UInt16(frame * 2 + part),
                    timestamp: UInt32.max &- 50_000 &+ UInt32(frame) &* 45_000,
                    ssrc: 1)
                dump +=
                    RTPDumpRecord.serialized(packet: header.packet(payload: [1, 2, 3]), isRTCP: false, milliseconds: UInt32(frame * 500))
                    ?? []
            }
            let audio = RTPHeader(
                payloadType: 8, marker: false, sequence: 7 &+ UInt16(frame), timestamp: 100 &+ UInt32(frame) &* 4_000, ssrc: 2)
            dump +=
                RTPDumpRecord.serialized(packet: audio.packet(payload: [4]), isRTCP: false, milliseconds: UInt32(frame * 500 + 10)) ?? []
        }
        return try Clip(dump: dump, sdp: try Descriptions.description().serialized(), name: "test")
    }

    @Test func knowsHowLongALoopIs() throws {
        let clip = try Self.recording()
        #expect(clip.loopTicks == 180_000)
        #expect(clip.loopClock == 90_000)
        #expect(clip.nanoseconds(loops: 3) == 6_000_000_000)
        #expect(clip.ticks(loops: 1, track: 1) == 16_000)
    }

    @Test func goesOnOverTheSeam() throws {
        var player = ClipPlayer(try Self.recording())
        var last: [UInt8: RTPHeader] = [:]
        var dueBefore: UInt64 = 0
        for group in 0..<80 {
            let due = player.due
            #expect(due >= dueBefore)
            // Two groups for each half second, whatever the loop.
            #expect(due == UInt64(group / 2) * 500_000_000 + UInt64(group % 2) * 10_000_000)
            dueBefore = due
            for packet in try Self.packets(player.next()) {
                if let before = last[packet.channel] {
                    #expect(packet.header.sequence == before.sequence &+ 1)
                    #expect(packet.header.ssrc == before.ssrc)
                    let step: UInt32 = packet.channel == 2 ? 4_000 : before.marker ? 45_000 : 0
                    #expect(packet.header.timestamp == before.timestamp &+ step)
                }
                last[packet.channel] = packet.header
            }
        }
        #expect(last.count == 2)
    }

    @Test func theDemonstrationIsSixteenSecondsOfBothTracks() throws {
        let clip = try DemoClip.load()
        #expect(clip.nanoseconds(loops: 1) == 16_000_000_000)
        #expect(clip.ticks(loops: 1, track: 1) == 16 * 48_000)
        #expect(clip.tracks.map(\.clockRate) == [90_000, 48_000])
        var player = ClipPlayer(clip)
        var last: [UInt8: RTPHeader] = [:]
        var counts: [UInt8: Int] = [:]
        while player.due < 33_000_000_000 {
            for packet in try Self.packets(player.next()) {
                if let before = last[packet.channel] {
                    #expect(packet.header.sequence == before.sequence &+ 1)
                    let step = packet.header.timestamp &- before.timestamp
                    #expect(step == 0 || step == (packet.channel == 0 ? 3_600 : 1_024))
                }
                last[packet.channel] = packet.header
                counts[packet.channel, default: 0] += 1
            }
        }
        #expect(counts[0, default: 0] > 800)
        #expect(counts[2, default: 0] > 1_500)
    }

    @Test func reportsTheSameMomentOnBothClocks() throws {
        let clip = try Self.recording()
        var player = ClipPlayer(clip)
        while player.due < 5_000_000_000 { _ = player.next() }
        var parser = RTSPParser(limits: .client)
        parser.append(player.senderReports(elapsed: 5_000_000_000, unixNanoseconds: 1_700_000_000_000_000_000, canonicalName: "x"))
        var reports: [UInt8: RTCPSenderReport] = [:]
        while case .interleaved(let channel, let payload)? = try parser.next() {
            var packets = RTCPCompound()
            if let packet = try packets.next(in: payload.span) { reports[channel] = RTCPSenderReport(packet, in: payload.span) }
        }
        #expect(reports[1]?.rtpTimestamp == (UInt32.max &- 50_000) &+ 450_000)
        // The audio's first packet is due at 10 ms.
        #expect(reports[3]?.rtpTimestamp == UInt32(100 + 40_000 - 80))
        #expect(reports[1]?.ntp == reports[3]?.ntp)
        #expect(reports[1]?.packetCount == 20)
        #expect(reports[3]?.octetCount == 10)
    }

    @Test func saysWhatIsWrongWithAFile() throws {
        let sdp = try Descriptions.description().serialized()
        for (dump, words) in [
            (Array("nonsense".utf8), "x: not an rtpdump: the file must begin with a line '#!rtpplay1.0 address/port'"),
            (RTPDumpHeader().serialized(), "x: it holds no packet of the tracks that its SDP names"),
        ] {
            let error = #expect(throws: Clip.Trouble.self) { try Clip(dump: dump, sdp: sdp, name: "x") }
            #expect(error?.description == words)
        }
    }
}

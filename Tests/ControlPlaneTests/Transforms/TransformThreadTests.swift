import Glibc
import Synchronization
import Testing
import WireFormats

@testable import ControlPlane

/// A transform that does what the test says.
final class ScriptedTransform: TrackTransform {
    let output: TrackFormat
    private let body: (Span<UInt8>, RTPFields, TransformOutput) throws -> Void
    private let heard: Locked<[String]>

    init(
        _ heard: Locked<[String]>, output: TrackFormat = TrackFormat(kind: "video", encodingName: "H264", clockRate: 90_000),
        _ body: @escaping (Span<UInt8>, RTPFields, TransformOutput) throws -> Void
    ) {
        self.heard = heard
        self.output = output
        self.body = body
    }

    func transform(_ packet: Span<UInt8>, _ fields: RTPFields, to output: TransformOutput) throws {
        heard.withLockedValue { $0.append("packet \(fields.sequence)") }
        try body(packet, fields, output)
    }

    func sourceChanged() { heard.withLockedValue { $0.append("changed") } }
    func ended() { heard.withLockedValue { $0.append("ended") } }
    deinit { heard.withLockedValue { $0.append("gone") } }
}

/// An RTP packet.
func rtpPacket(_ sequence: UInt16, type: UInt8 = 96, timestamp: UInt32 = 1_000, marker: Bool = false, payload: [UInt8] = [1, 2, 3])
    -> [UInt8]
{
    [0x80, (marker ? 0x80 : 0) | type] + [UInt16(sequence)].flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }
        + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: timestamp >> UInt32($0)) } + [0, 0, 0, 7] + payload
}

/// Both ends of a transform's thread.
private final class Bench {
    let thread: TransformThread
    let heard = Locked<[String]>([])
    private let feed: CInt
    private let results: CInt
    private var received: [UInt8] = []
    private(set) var news = TransformThread.News()

    init(_ make: @escaping @Sendable (TransformInput, Locked<[String]>) throws -> any TrackTransform) {
        func pair() -> (CInt, CInt) {
            var ends: [CInt] = [0, 0]
            let result = unsafe socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &ends)
            precondition(result == 0)
            return (ends[0], ends[1])
        }
        let (feed, input) = pair(), (results, output) = pair()
        self.feed = feed
        self.results = results
        _ = fcntl(results, F_SETFL, O_NONBLOCK)
        thread = TransformThread(input: input, output: output)
        let format = TrackFormat(kind: "video", encodingName: "H264", clockRate: 90_000)
        thread.start(TransformInput(path: "cam", track: 0, format: format)) { [heard] in try make($0, heard) }
    }

    deinit {
        close(feed)
        close(results)
    }

    /// All of them in one piece.
    func put(_ packets: [UInt8]..., channel: UInt8 = 0) {
        let frames = packets.flatMap { InterleavedHeader.frame(channel: channel, payload: $0) }
        unsafe #expect(send(feed, frames, frames.count, CInt(MSG_NOSIGNAL)) == frames.count)
    }

    /// What came out so far: channel and packet.
    func frames() -> [(channel: UInt8, packet: [UInt8])] {
        var bytes = [UInt8](repeating: 0, count: 1 << 17)
        while true {
            let count = unsafe recv(results, &bytes, bytes.count, 0)
            guard count > 0 else { break }
            received += bytes[..<count]
        }
        var list: [(UInt8, [UInt8])] = []
        var place = 0
        while let header = InterleavedHeader(received.span.extracting(place...)) {
            list.append((header.channel, Array(received[(place + 4)..<(place + 4 + header.payloadLength)])))
            place += 4 + header.payloadLength
        }
        return list
    }

    func wait(_ condition: () -> Bool) -> Bool {
        for _ in 0..<2_000 {
            takeNews()
            if condition() {
                // What it sent was said before it was sent.
                takeNews()
                return true
            }
            usleep(5_000)
        }
        return false
    }

    private func takeNews() {
        let more = thread.takeNews()
        news.described = more.described ?? news.described
        news.first = more.first ?? news.first
        news.end = more.end ?? news.end
    }
}

@Suite struct TransformThreadTests {
    @Test func packetsGoThroughInTheirOrderAndTheLastCallIsTheEnd() {
        let bench = Bench { input, heard in
            #expect(input.path == "cam" && input.format.encodingName == "H264")
            return ScriptedTransform(heard) { packet, fields, output in
                #expect(fields.payload == 12..<15 && fields.timestamp == 1_000 && output.packetBytesMax == 65_535)
                // One is left out, one is sent twice, and written over.
                if fields.sequence == 2 { return }
                var bytes = (0..<packet.count).map { packet[$0] }
                bytes[12] = 9
                try output.send(bytes.span)
                if fields.sequence == 3 { try output.send(bytes.span) }
            }
        }
        for number in 1...4 { bench.put(rtpPacket(UInt16(number))) }
        bench.put([0x80, 96])  // Half a header is nobody's packet.
        #expect(bench.wait { bench.frames().count == 4 })
        let packets = bench.frames().map(\.packet)
        #expect(packets.map { $0[3] } == [1, 3, 3, 4] && packets.allSatisfy { $0[12...] == [9, 2, 3] })
        // One SSRC, which is not the source's.
        #expect(Set(packets.map { Array($0[8..<12]) }).count == 1 && packets[0][8..<12] != [0, 0, 0, 7])
        #expect(bench.news.described?.encodingName == "H264")
        #expect(bench.news.first == InterleavedHeader.frame(channel: 0, payload: packets[0]))
        bench.thread.sourceChanged()
        bench.put(rtpPacket(5))
        #expect(bench.wait { bench.frames().count == 5 })
        bench.thread.stop()
        #expect(bench.wait { bench.news.end != nil })
        #expect(bench.news.end == .some(nil))
        let expected = ["packet 1", "packet 2", "packet 3", "packet 4", "changed", "packet 5", "ended", "gone"]
        #expect(bench.heard.withLockedValue { $0 } == expected)
    }

    @Test func anOutputThatIsKeptTakesNothingWhenItsRunIsOver() throws {
        final class Keeper: TrackTransform {
            let output = TrackFormat(kind: "video", encodingName: "H264", clockRate: 90_000)
            let heard: Locked<[String]>
            var kept: TransformOutput?
            init(_ heard: Locked<[String]>) { self.heard = heard }
            func transform(_ packet: Span<UInt8>, _ fields: RTPFields, to output: TransformOutput) throws {
                try output.send(packet)
                kept = output
            }
            func sourceChanged() {}
            func ended() {
                do { try kept?.send(rtpPacket(9).span) } catch { heard.withLockedValue { $0.append("\(error)") } }
            }
        }
        let bench = Bench { _, heard in Keeper(heard) }
        bench.put(rtpPacket(1))
        #expect(bench.wait { bench.frames().count == 1 })
        bench.thread.stop()
        #expect(bench.wait { bench.news.end != nil })
        #expect(bench.heard.withLockedValue { $0 } == ["\(TransformError.ended)"])
        #expect(bench.frames().count == 1)
    }

    private struct Cramp: Error, CustomStringConvertible { let description = "a cramp\u{1B}[2J" }

    @Test func whatIsThrownIsTheReasonInPrintableWords() {
        let thrower = Bench { _, heard in
            ScriptedTransform(heard) { _, fields, _ in if fields.sequence == 2 { throw Cramp() } }
        }
        thrower.put(rtpPacket(1), rtpPacket(2), rtpPacket(3))
        #expect(thrower.wait { thrower.news.end != nil })
        #expect(thrower.news.end == .some("it threw: a cramp?[2J"))
        #expect(thrower.heard.withLockedValue { $0 } == ["packet 1", "packet 2", "ended", "gone"])
        let unmade = Bench { _, _ in throw Cramp() }
        #expect(unmade.wait { unmade.news.end != nil })
        #expect(unmade.news.end == .some("it threw: a cramp?[2J") && unmade.news.described == nil)
    }

    @Test(arguments: [
        (65_524, 96, "it sent a packet of 65536 bytes; 65535 is the most"), (3, 97, "it sent payload type 97, and its output is 96"),
        (-8, 96, "it sent what is no RTP packet"), (3, 73, "it sent what is no RTP packet"),
    ]) func whatCannotBeSentIsRefusedWithWords(_ payload: Int, _ type: UInt8, _ words: String) {
        let bench = Bench { _, heard in
            ScriptedTransform(heard) { _, fields, output in
                var packet = rtpPacket(fields.sequence, type: type, payload: [UInt8](repeating: 1, count: max(payload, 0)))
                packet.removeLast(max(-payload, 0))
                // Who knows better may go on.
                if fields.sequence == 1 {
                    #expect(throws: TransformError.self) { try output.send(packet.span) }
                    try output.send(rtpPacket(1).span)
                } else {
                    try output.send(packet.span)
                }
            }
        }
        bench.put(rtpPacket(1))
        #expect(bench.wait { bench.frames().count == 1 })
        bench.put(rtpPacket(2))
        #expect(bench.wait { bench.news.end != nil })
        #expect(bench.news.end == .some("it threw: \(words)"))
        #expect(bench.frames().count == 1)
    }

    @Test func theSourcesClockIsToldInTheNewTracksTime() throws {
        let bench = Bench { _, heard in
            let audio = TrackFormat(kind: "audio", payloadType: 96, encodingName: "L16", clockRate: 45_000)
            return ScriptedTransform(heard, output: audio) { _, fields, output in
                try output.send(rtpPacket(fields.sequence, timestamp: 500).span)
            }
        }
        let report = RTCPSenderReport(
            ssrc: 7, ntp: NTPTime(unixNanoseconds: 1_700_000_000_000_000_000), rtpTimestamp: 1_000 + 90_000, packetCount: 1, octetCount: 1)
        bench.put(RTCPWriter.senderReport(report, canonicalName: "x"), channel: 1)
        bench.put(rtpPacket(1))
        bench.put(RTCPWriter.senderReport(report, canonicalName: "x"), channel: 1)
        #expect(bench.wait { bench.frames().count == 3 })
        let frames = bench.frames()
        #expect(frames.map(\.channel) == [0, 1, 1])
        var compound = RTCPCompound()
        let bytes = frames[2].packet
        let part = try compound.next(in: bytes.span)
        let found = part.flatMap { RTCPSenderReport($0, in: bytes.span) }
        let told = try #require(found)
        // A second of the input's clock is a second of the output's, in other ticks.
        #expect(told.rtpTimestamp == 500 + 45_000 && told.ntp == report.ntp)
        bench.thread.stop()
    }

    @Test func oneThatDoesNotComeBackIsLeftAlone() {
        let gate = Locked(false)
        let bench = Bench { _, heard in
            ScriptedTransform(heard) { _, _, _ in while !gate.withLockedValue({ $0 }) { usleep(1_000) } }
        }
        bench.put(rtpPacket(1))
        #expect(bench.wait { bench.thread.busyNanoseconds > 20_000_000 })
        bench.thread.stop()
        usleep(20_000)
        #expect(bench.thread.takeNews().end == nil)
        bench.thread.abandon()
        #expect(bench.thread.isHanging)
        gate.withLockedValue { $0 = true }
        #expect(bench.wait { bench.news.end != nil })
        #expect(bench.wait { !bench.thread.isHanging })
        #expect(bench.heard.withLockedValue { $0 } == ["packet 1", "ended", "gone"])
    }

    /// Nobody takes what it sends: it waits, and ends when it is told to.
    @Test func oneThatWaitsForRoomEndsAtOnce() {
        let bench = Bench { _, heard in
            ScriptedTransform(heard) { _, fields, output in
                while true { try output.send(rtpPacket(fields.sequence, payload: [UInt8](repeating: 0, count: 1_000)).span) }
            }
        }
        bench.put(rtpPacket(1))
        #expect(bench.wait { bench.thread.busyNanoseconds > 100_000_000 })
        bench.thread.stop()
        #expect(bench.wait { bench.news.end == .some(nil) })
    }
}

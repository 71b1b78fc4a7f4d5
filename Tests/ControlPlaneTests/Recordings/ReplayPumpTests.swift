import NIOCore
import NIOEmbedded
import Signalling
import Testing
import WireFormats

@testable import ControlPlane

@Suite struct ReplayPumpTests {
    /// A recording that grows, a piece of sound each 20 ms, and how many of them were sent.
    private final class Rig {
        let loop = EmbeddedEventLoop()
        let recording: Recording
        var sent = 0
        private var recorded = 0
        private let pump: ReplayPump

        init(isPaced: Bool) throws {
            let sdp = try Descriptions.description(["m=audio 0 RTP/AVP 0\r\na=control:a"])
            let tracks = try #require(Recording.tracks(of: sdp, TrackSelection()))
            let recording = Recording(sdp, OriginWords(), microseconds: 60_000_000, tracks: tracks)
            self.recording = recording
            var clock = ReplayClock(clockRates: [8_000]) { 0 }
            clock.begin(at: 0, now: loop.now.uptimeNanoseconds)
            let line = clock
            pump = ReplayPump(
                recording, from: nil, position: 0, reached: 0, end: nil, isPaced: isPaced, eventLoop: loop, clock: { line })
            pump.write = { [unowned self] _, _ in sent += 1 }
            pump.flush = { true }
        }

        /// As much as so many milliseconds of the media is recorded.
        func record(to milliseconds: Int) throws {
            while recorded * 20 < milliseconds {
                let packet = RTPHeader(
                    payloadType: 0, marker: false, sequence: UInt16(recorded), timestamp: UInt32(recorded * 160), ssrc: 1
                )
                .packet(payload: [1, 2, 3])
                let record = try #require(
                    RecordedPacket(track: 0, startsKeyFrame: false, microseconds: Int64(recorded) * 20_000, byteCount: packet.count))
                recording.append(record, packet)
                recorded += 1
            }
            recording.changed()
        }

        func run(milliseconds: Int64) {
            for _ in 0..<milliseconds / 10 { loop.advanceTime(by: .milliseconds(10)) }
        }

        func start() { pump.start() }
        deinit { pump.stop() }
    }

    /// The server stands still for five seconds, and then sends all of them at once. Who cannot say when it is too much (UDP) gets them bit by bit;
    /// who can (TCP), as fast as he takes them.
    @Test(arguments: [true, false]) func catchesUpAfterAStall(isPaced: Bool) throws {
        let rig = try Rig(isPaced: isPaced)
        try rig.record(to: 1_000)
        rig.start()
        rig.run(milliseconds: 6_000)
        #expect(rig.sent == 50)
        try rig.record(to: 30_000)
        rig.run(milliseconds: 100)
        if isPaced { #expect(rig.sent - 50 <= 25) } else { #expect(rig.sent >= 300) }
        for _ in 0..<40 where isPaced {
            let before = rig.sent
            rig.run(milliseconds: 100)
            #expect((8...12).contains(rig.sent - before))
        }
        // In time again: five pieces in 100 ms.
        rig.run(milliseconds: 2_000)
        let before = rig.sent
        rig.run(milliseconds: 1_000)
        #expect((48...52).contains(rig.sent - before))
    }
}

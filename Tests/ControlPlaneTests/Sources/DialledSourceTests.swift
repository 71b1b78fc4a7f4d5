import Dispatch
import Glibc
import Logging
import NIOCore
import NIOPosix
import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

/// A path with a source of the test's own, on a real event loop above an engine that does nothing.
private final class Rig: Sendable {
    struct Held {
        let path: Path
        let port: EnginePort
    }

    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let engine = RecordingEngine()
    let log = HeardLog()
    let held: NIOLoopBound<Held>
    var loop: any EventLoop { group.next() }

    init(silence: Int = 60_000, linger: Int = 60_000, _ dialler: @escaping RelayExtensions.SourceDialler) async throws {
        let loop = group.next(), engine = engine, log = log
        held = try await loop.submit {
            var settings = PathSettings(name: "cam", source: try PathSettings.Source("acme://user:pw@x/1", takesCustom: true))
            settings.lingerMilliseconds = linger
            settings.sourceWaitMilliseconds = 30_000
            settings.silenceMilliseconds = silence
            let port = EnginePort(engine: engine, eventLoop: loop, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            var extensions = RelayExtensions()
            extensions.sources["acme"] = dialler
            let path = Path(
                settings: settings, port: port, mediaPorts: MediaPorts(range: nil), extensions: extensions, logger: log.logger())
            path.start(source: PathSourceFactory.source(for: path))
            return NIOLoopBound(Held(path: path, port: port), eventLoop: loop)
        }.get()
    }

    func on<Value: Sendable>(_ body: @escaping @Sendable (Held) throws -> Value) async throws -> Value {
        try await loop.submit { [held] in try body(held.value) }.get()
    }

    func wait(_ condition: @escaping @Sendable (Held) -> Bool) async throws -> Bool {
        for _ in 0..<3_000 {
            if try await on(condition) { return true }
            try await Task.sleep(for: .milliseconds(10))
        }
        return false
    }

    /// The interleaved frames that the engine was fed.
    var fed: [UInt8] {
        engine.commands.reduce(into: []) { bytes, command in
            if case .feed(_, let buffer) = command { unsafe bytes += Array(buffer.bytes) }
        }
    }

    func end() async throws {
        try await loop.flatSubmit { [held, loop] in
            let done = loop.makePromise(of: Void.self)
            held.value.path.stop { done.succeed() }
            return done.futureResult
        }.get()
        try await on { held in
            held.port.drainReports()
            #expect(held.port.use.streams == 0 && held.port.use.sources == 0)
        }
        try await group.shutdownGracefully()
    }
}

@Suite struct DialledSourceTests {
    static let formats = [
        TrackFormat(kind: "video", encodingName: "H264", clockRate: 90_000, parameters: "packetization-mode=1"),
        TrackFormat(kind: "audio", payloadType: 0, encodingName: "PCMU", clockRate: 8_000),
    ]

    @Test func itIsDescribedAndFeedsWhenItIsWanted() async throws {
        let refusals = Locked<[SourceError]>([]), isLookedAt = Locked(false)
        let rig = try await Rig { dial in
            #expect(dial.url == "acme://user:pw@x/1" && dial.path == "cam")
            func refused(_ body: () throws -> Void) {
                do { try body() } catch { refusals.withLockedValue { $0.append(error as? SourceError ?? .ended) } }
            }
            refused { try dial.send(rtpPacket(1).span, track: 0) }
            try await dial.describe(Self.formats)
            #expect(try !dial.send(rtpPacket(1).span, track: 0))
            isLookedAt.withLockedValue { $0 = true }
            try await dial.playing()
            refused { try dial.send(rtpPacket(1).span, track: 2) }
            refused { try dial.send(rtpPacket(1, type: 97).span, track: 0) }
            refused { try dial.send(rtpPacket(1, payload: [UInt8](repeating: 0, count: 65_524)).span, track: 0) }
            refused { try dial.send([0x80, 96, 0].span, track: 0) }
            refused { try dial.sendReport(rtpPacket(1).span, track: 0) }
            #expect(try dial.send(rtpPacket(2).span, track: 0))
            #expect(try dial.send(rtpPacket(3, type: 0).span, track: 1))
            #expect(try dial.sendReport(RTCPWriter.goodbye(from: 7, canonicalName: "x").span, track: 1))
            while true {
                try await Task.sleep(for: .milliseconds(10))
                try dial.send(rtpPacket(2).span, track: 0)
            }
        }
        let described = try await rig.loop.flatSubmit { [held = rig.held] in held.value.path.describe().map { $0.sdp.serialized() } }.get()
        let text = String(decoding: described, as: UTF8.self)
        #expect(
            text.contains("a=rtpmap:96 H264/90000\r\n") && text.contains("a=fmtp:96 packetization-mode=1\r\n")
                && text.contains("m=audio 0 RTP/AVP 0\r\n"))
        #expect(!rig.engine.names.contains("addFedSource"))
        #expect(try await rig.wait { _ in isLookedAt.withLockedValue { $0 } })
        try await rig.on { held in
            held.path.readerArrived()
            _ = held.path.play()
        }
        #expect(try await rig.wait { $0.path.isPlaying })
        #expect(try await rig.wait { _ in rig.fed.count > 60 })
        let first =
            InterleavedHeader.frame(channel: 0, payload: rtpPacket(2)) + InterleavedHeader.frame(channel: 2, payload: rtpPacket(3, type: 0))
        #expect(Array(rig.fed.prefix(first.count)) == first && rig.fed[first.count + 1] == 3)
        #expect(
            refusals.withLockedValue { $0 } == [
                .noSuchTrack(0, count: 0), .noSuchTrack(2, count: 2), .otherPayloadType(97, said: 96),
                .packetTooLarge(bytes: 65_536, max: 65_535), .notRTP, .notRTCP,
            ])
        try await rig.end()
    }

    @Test func whatWasSentBeforeAnotherDescriptionIsOfTheTracksBefore() async throws {
        let turned = Array(Self.formats.reversed())
        let isDone = Locked(false)
        let rig = try await Rig { dial in
            try await dial.describe(Self.formats)
            try await dial.playing()
            for number in 1...50 { try dial.send(rtpPacket(UInt16(number)).span, track: 0) }
            // The same tracks the other way round: 0 is the sound now.
            try await dial.describe(turned)
            #expect(throws: SourceError.otherPayloadType(96, said: 0)) { try dial.send(rtpPacket(51).span, track: 0) }
            try dial.send(rtpPacket(52, type: 0).span, track: 0)
            isDone.withLockedValue { $0 = true }
            try await Task.sleep(for: .seconds(60))
        }
        try await rig.on { held in
            held.path.readerArrived()
            _ = held.path.play()
        }
        #expect(try await rig.wait { _ in isDone.withLockedValue { $0 } })
        let size = InterleavedHeader.byteCount + rtpPacket(1).count
        #expect(try await rig.wait { _ in rig.fed.count == 51 * size || rig.fed.count == 50 * size })
        let fed = rig.fed
        for number in 1...50 {
            let frame = Array(fed[((number - 1) * size)..<(number * size)])
            #expect(frame == InterleavedHeader.frame(channel: 0, payload: rtpPacket(UInt16(number))))
        }
        try await rig.end()
    }

    @Test func itIsLetGoOfWhenNobodyWantsIt() async throws {
        let isEnded = Locked(false)
        let rig = try await Rig(linger: 50) { dial in
            try await dial.describe(Self.formats)
            do { try await dial.playing() } catch {
                isEnded.withLockedValue { $0 = true }
                throw error
            }
        }
        try await rig.on { $0.path.readerArrived() }
        #expect(try await rig.wait { $0.path.live != nil })
        try await rig.on { $0.path.readerLeft() }
        #expect(try await rig.wait { $0.path.live == nil && isEnded.withLockedValue { $0 } })
        // That is no trouble.
        #expect(try await rig.on { $0.path.lastTrouble } == nil)
        try await rig.end()
    }

    private struct NoAnswer: Error, CustomStringConvertible { let description = "no answer" }

    @Test func whatItThrowsIsTheReasonAndItIsDialledAgain() async throws {
        let dials = Locked(0)
        let rig = try await Rig { dial in
            dials.withLockedValue { $0 += 1 }
            if dials.withLockedValue({ $0 }) == 1 { throw NoAnswer() }
            try await dial.describe(Self.formats)
            try await dial.playing()
        }
        try await rig.on { $0.path.readerArrived() }
        #expect(try await rig.wait { $0.path.lastTrouble == "no answer" })
        _ = try await rig.on { _ = $0.path.play() }
        // It plays, and ends: that is a failure, too; readers stay.
        #expect(try await rig.wait { $0.path.lastTrouble == "its code returned" })
        #expect(dials.withLockedValue { $0 } >= 2)
        #expect(try await rig.on { $0.path.live != nil })
        try await rig.end()
    }

    @Test(arguments: [
        ([TrackFormat](), "it describes 0 tracks; a stream has 1 to 8"),
        ([TrackFormat](repeating: formats[0], count: 9), "it describes 9 tracks"),
        (
            [TrackFormat(kind: "vidio", encodingName: "H264", clockRate: 90_000)],
            "track 0: `vidio` is no kind of media; did you mean `video`?"
        ),
        ([TrackFormat(kind: "video", encodingName: "H264\r\na=x", clockRate: 90_000)], "track 0: "),
        ([TrackFormat(kind: "video", encodingName: "H264", clockRate: 0)], "track 0: `H264/0` names no codec"),
        ([TrackFormat(kind: "video", payloadType: 74, encodingName: "H264", clockRate: 1)], "track 0: `74` is no payload type"),
        ([TrackFormat(kind: "video", encodingName: "H264", clockRate: 1, parameters: "a\r\nm=x")], "track 0: it holds more than printable"),
    ]) func whatCannotBeServedIsRefusedInWords(_ tracks: [TrackFormat], _ words: String) async throws {
        let rig = try await Rig { try await $0.describe(tracks) }
        try await rig.on { $0.path.readerArrived() }
        let isSaid = try await rig.wait { $0.path.lastTrouble?.hasPrefix(words) == true }
        let said = try await rig.on { $0.path.lastTrouble ?? "" }
        #expect(isSaid, "\(said)")
        try await rig.end()
    }

    @Test func oneThatIsSilentIsDialledAgainAndOneThatStaysHoldsUpTheNext() async throws {
        let gate = Locked(false), dials = Locked(0), staying = Locked(0)
        let rig = try await Rig(silence: 1_000) { dial in
            dials.withLockedValue { $0 += 1 }
            try await dial.describe(Self.formats)
            try await dial.playing()
            // Deaf to its cancellation.
            staying.withLockedValue { $0 += 1 }
            defer { staying.withLockedValue { $0 -= 1 } }
            while !gate.withLockedValue({ $0 }) {
                await withCheckedContinuation { done in
                    DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(5)) { done.resume() }
                }
            }
        }
        try await rig.on { held in
            held.path.readerArrived()
            _ = held.path.play()
        }
        // Said for two seconds, within which this may not look; the log keeps it.
        let log = rig.log
        #expect(try await rig.wait { _ in log.lines().contains { $0.contains("it sent nothing for 1 s") } })
        // Where nothing ran for a second, one before it was taken for silent, too.
        #expect(
            try await rig.wait {
                $0.path.lastTrouble == "the dial before has not come back yet" && staying.withLockedValue { $0 } == 1
            })
        let before = dials.withLockedValue { $0 }
        try await Task.sleep(for: .milliseconds(300))
        #expect(dials.withLockedValue { $0 } == before)
        gate.withLockedValue { $0 = true }
        #expect(try await rig.wait { _ in dials.withLockedValue { $0 } > before })
        try await rig.end()
    }

    @Test func waitingForReadersEndsWithItsTask() async throws {
        let heard = Locked<[String]>([])
        let rig = try await Rig { dial in
            try await dial.describe(Self.formats)
            let waiting = Task { try await dial.playing() }
            waiting.cancel()
            do { try await waiting.value } catch { heard.withLockedValue { $0.append("\(type(of: error))") } }
            dial.end()
            do { try await dial.playing() } catch { heard.withLockedValue { $0.append("\(error)") } }
            do { try await dial.describe(Self.formats) } catch { heard.withLockedValue { $0.append("\(error)") } }
        }
        try await rig.on { $0.path.readerArrived() }
        #expect(try await rig.wait { _ in heard.withLockedValue { $0.count } >= 3 })
        #expect(heard.withLockedValue { Array($0.prefix(3)) } == ["CancellationError", "\(SourceError.ended)", "\(SourceError.ended)"])
        try await rig.end()
    }

    @Test func moreThanMayWaitIsLostAndCounted() async throws {
        let refused = Locked<UInt64>(0)
        let rig = try await Rig { dial in
            try await dial.describe(Self.formats)
            try await dial.playing()
            let large = rtpPacket(1, payload: [UInt8](repeating: 0, count: 60_000))
            while refused.withLockedValue({ $0 }) == 0 {
                for _ in 0..<64 { try dial.send(large.span, track: 0) }
                refused.withLockedValue { $0 = dial.packetsRefused }
                await Task.yield()
            }
            try await Task.sleep(for: .seconds(60))
        }
        try await rig.on { held in
            held.path.readerArrived()
            _ = held.path.play()
        }
        #expect(
            try await rig.wait { held in
                usleep(50_000)
                held.port.drainReports()
                return refused.withLockedValue { $0 } > 0
            })
        try await rig.end()
    }

    @Test func urlsAreShownWithoutPasswords() throws {
        #expect(CustomURL("Acme+1://a:b@host/x@y")?.description == "Acme+1://host/x@y")
        #expect(CustomURL("acme://host/x@y")?.description == "acme://host/x@y" && CustomURL("acme://host")?.scheme == "acme")
        #expect(CustomURL("://x") == nil && CustomURL("1a://x") == nil && CustomURL("a b://x") == nil && CustomURL("a://x\ny") == nil)
        var extensions = RelayExtensions()
        extensions.sources["acme"] = { _ in }
        func parse(_ source: String) throws {
            _ = try Configuration.parse("paths:\n  cam:\n    source: \(source)\n", extensions: extensions)
        }
        try parse("acme://x/1")
        let error = #expect(throws: ConfigurationErrors.self) { try parse("acne://secret@x/1") }
        #expect(
            error?.description
                == "weir.yml:3: paths.cam.source: a source of the kind `acne://` is not built; write a URL with acme, an rtsp:// or mmsh:// URL, a file (.asf, .wmv, .rtpdump) or publish"
        )
        extensions.sources["rtsp"] = { _ in }
        #expect(throws: ConfigurationErrors.self) { try parse("publish") }
    }
}

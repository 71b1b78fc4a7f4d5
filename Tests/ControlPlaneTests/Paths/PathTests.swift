import Logging
import NIOCore
import NIOEmbedded
import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

/// A source that does what the test says.
private final class WishfulSource: PathSource {
    var wanted: [SourceLevel] = []
    var goodbyes = 0
    var words: String { "scripted" }
    func want(_ level: SourceLevel) { if wanted.last != level { wanted.append(level) } }
    func saidGoodbye() { goodbyes += 1 }
    func stop(_ done: @escaping () -> Void) { done() }
}

private final class Observer: PathObserver {
    var ends: [String] = []
    var versions: [Int] = []
    func streamEnded(_ reason: String) { ends.append(reason) }
    func descriptionChanged(_ description: StreamDescription) { versions.append(description.version) }
}

@Suite struct PathTests {
    private let loop = EmbeddedEventLoop()
    private let engine = RecordingEngine()
    private let port: EnginePort
    private let source = WishfulSource()

    init() { port = EnginePort(engine: engine, eventLoop: loop, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }) }

    private func path(_ source: PathSettings.Source = .file("x.rtpdump"), _ change: (inout PathSettings) -> Void = { _ in }) -> Path {
        var settings = PathSettings(name: "/cam/", source: source)
        change(&settings)
        return Path(
            settings: settings, port: port, mediaPorts: MediaPorts(range: nil),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    /// The outcome of a future that is complete; nil while it waits.
    private func outcome(_ future: EventLoopFuture<StreamDescription>) -> Result<StreamDescription, any Error>? {
        var result: Result<StreamDescription, any Error>?
        future.assumeIsolated().whenComplete { result = $0 }
        loop.run()
        return result
    }

    private func advance(_ milliseconds: Int64) {
        loop.advanceTime(by: .milliseconds(milliseconds))
        port.drainReports()
    }

    @Test func isDialledOnceAndReleasedSomeTimeAfterTheLastReader() throws {
        let path = path()
        path.start(source: source)
        #expect(source.wanted == [.idle])
        let first = path.describe(), second = path.describe()
        #expect(source.wanted == [.idle, .described])
        #expect(outcome(first) == nil)
        _ = try path.sourceDescribed(Descriptions.description())
        #expect(try outcome(first)?.get().stream == outcome(second)?.get().stream)

        path.readerArrived()
        let play = path.play()
        #expect(source.wanted == [.idle, .described, .playing])
        #expect(outcome(play) == nil)
        path.mediaBegins()
        path.sourcePlays()
        #expect(try outcome(play)?.get().version == 1)
        #expect(try outcome(path.play())?.get().version == 1)

        path.readerLeft()
        advance(9_900)
        #expect(source.wanted.last == .playing)
        advance(200)
        #expect(source.wanted.last == .idle)
        #expect(path.live != nil)
        path.sourceReleased()
        #expect(path.live == nil)
        #expect(engine.names.last == "removeStream")
        port.drainReports()
    }

    @Test func aNewReaderKeepsTheSource() throws {
        let path = path()
        path.start(source: source)
        _ = path.describe()
        _ = try path.sourceDescribed(Descriptions.description())
        path.readerArrived()
        path.readerLeft()
        advance(9_000)
        path.readerArrived()
        advance(60_000)
        #expect(source.wanted.last == .described)
        path.readerLeft()
        advance(11_000)
        #expect(source.wanted.last == .idle)
    }

    @Test func holdsADescribeAndThenSaysWhy() throws {
        let path = path()
        path.start(source: source)
        let future = path.describe()
        path.sourceFailed("no connection: Connection refused")
        advance(9_900)
        #expect(outcome(future) == nil)
        advance(200)
        guard case .failure(let error)? = outcome(future) else {
            Issue.record("it did not fail")
            return
        }
        #expect(error as? PathError == .notReady("the source is not ready: no connection: Connection refused", retryAfterSeconds: 5))
        // The one who asked may come again soon: the source is kept for the linger time.
        #expect(source.wanted.last == .described)
        advance(10_100)
        #expect(source.wanted.last == .idle)
    }

    @Test(arguments: [(PathSettings.Dial.always, SourceLevel.playing), (.warm, .described), (.onDemand, .idle)])
    func isDialledFromTheStartIfAsked(dial: PathSettings.Dial, level: SourceLevel) {
        let path = path { $0.dial = dial }
        path.start(source: source)
        #expect(source.wanted == [level])
    }

    @Test func aReconnectIsANewEpochOfTheSameStream() throws {
        let path = path()
        let observer = Observer()
        path.addObserver(observer)
        path.start(source: source)
        let first = try path.sourceDescribed(Descriptions.description())
        path.mediaBegins()
        #expect(!engine.names.contains("beginEpoch"))
        path.sourcePlays()
        path.sourceFailed("gone")
        #expect(!path.isPlaying)
        let second = try path.sourceDescribed(Descriptions.description())
        path.mediaBegins()
        #expect(engine.names.last == "beginEpoch")
        #expect(first.stream == second.stream)
        #expect(first.tracks.map(\.plan.ssrc) == second.tracks.map(\.plan.ssrc))
        #expect(observer.ends.isEmpty && observer.versions.isEmpty)
    }

    @Test func aChangedDescriptionIsANewVersion() throws {
        let path = path()
        let observer = Observer()
        path.addObserver(observer)
        path.start(source: source)
        _ = try path.sourceDescribed(Descriptions.description())
        let other = try Descriptions.description([
            "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:a",
            "m=audio 0 RTP/AVP 8\r\na=control:b",
        ])
        #expect(try path.sourceDescribed(other).version == 2)
        #expect(observer.versions == [2])
        #expect(observer.ends.isEmpty)
    }

    @Test(arguments: [
        ["m=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000", "m=audio 0 RTP/AVP 0"], ["m=application 0 RTP/AVP 8"],
        ["m=video 0 RTP/AVP 97\r\na=rtpmap:97 H264/90000", "m=audio 0 RTP/AVP 96\r\na=rtpmap:96 PCMA/16000"],
    ])
    func anotherKindOfSourceEndsTheStream(media: [String]) throws {
        let path = path()
        let observer = Observer()
        path.addObserver(observer)
        path.start(source: source)
        let first = try path.sourceDescribed(Descriptions.description())
        let second = try path.sourceDescribed(Descriptions.description(media))
        #expect(observer.ends == ["the source came back with other tracks"])
        #expect(first.stream != second.stream)
        #expect(engine.names.filter { $0 == "removeStream" || $0 == "addStream" } == ["addStream", "removeStream", "addStream"])
        port.drainReports()
    }

    @Test func describesForReaders() throws {
        let path = path()
        path.start(source: source)
        let description = try path.sourceDescribed(Descriptions.description())
        #expect(description.tracks.map(\.control) == ["trackID=0", "trackID=1"])
        #expect(description.sdp.media.map(\.control) == ["trackID=0", "trackID=1"])
        #expect(description.tracks.map(\.plan.clockRate) == [90_000, 8_000])
        #expect(description.tracks.map(\.plan.codec) == [.h264, .opaque])
        #expect(Set(description.tracks.map(\.plan.ssrc)).count == 2)
    }

    @Test func allTracksSayingGoodbyeIsTheEndOfAConnection() throws {
        let path = path()
        path.start(source: source)
        let stream = try path.sourceDescribed(Descriptions.description()).stream
        engine.report(.sourceBye(stream, track: 1))
        port.drainReports()
        #expect(source.goodbyes == 0)
        engine.report(.sourceBye(stream, track: 0))
        port.drainReports()
        #expect(source.goodbyes == 1)
    }

    @Test func saysWithTheSumWhyThereIsNoRoom() throws {
        var limits = Limits()
        limits.packetLogBytesMax = 4 << 20
        let small = EnginePort(
            engine: RecordingEngine(limits: limits), eventLoop: loop, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        var settings = PathSettings(name: "cam", source: .publish)
        settings.bitRate = 100_000_000
        let error = #expect(throws: PathError.self) {
            try LiveStream(sdp: Descriptions.description(), settings: settings, port: small, onGoodbye: {})
        }
        #expect(error?.description.contains("100000000 bit/s × 2000 ms ÷ 8") == true)
    }

    @Test func thePolicyFollowsTheStreamAtOnce() throws {
        let path = path { settings in
            settings.readers.pacing = .off
            settings.readers.overload = .disconnect
        }
        path.start(source: source)
        _ = try path.sourceDescribed(Descriptions.description())
        #expect(engine.names == ["addStream", "setPolicy", "setTrack", "setTrack"])
        guard case .setPolicy(let stream, let policy) = engine.commands[1] else {
            Issue.record("no policy")
            return
        }
        #expect(stream == path.live?.handle)
        #expect(policy == path.settings.policy && policy != StreamPolicy())
    }

    @Test func whatTheKernelDropsIsCountedAndSaidWithTheRemedy() throws {
        let log = HeardLog()
        let path = Path(
            settings: PathSettings(name: "cam", source: .publish), port: port, mediaPorts: MediaPorts(range: nil), logger: log.logger())
        path.sourceDropped(7)
        path.sourceDropped(5)
        #expect(path.datagramsDropped == 12)
        #expect(
            log.lines() == [
                "warning the system dropped datagrams of the source: its receive buffer was full datagrams=7 path=cam "
                    + "remedy=\(path.mediaPorts.buffers.receiveRemedy) total=7"
            ])
    }

    // MARK: Publishing

    @Test func onlyOnePublisherAndOnlyWhereItIsWelcome() throws {
        #expect(throws: PathError.readOnly) { try path().announce(Descriptions.description(), from: "x") }
        let studio = path(.publish)
        studio.start(source: nil)
        let publication = try studio.announce(Descriptions.description(), from: "x")
        #expect(publication.description.tracks.map(\.control) == ["a", "b"])
        #expect(throws: PathError.alreadyPublished) { try studio.announce(Descriptions.description(), from: "y") }
    }

    @Test func readersOutliveAPublisherThatReturns() throws {
        let studio = path(.publish)
        let observer = Observer()
        studio.addObserver(observer)
        studio.start(source: nil)
        let waiting = studio.describe()
        let first = try studio.announce(Descriptions.description(), from: "x")
        #expect(try outcome(waiting)?.get().stream == first.description.stream)
        try first.setUpInterleaved(track: 0, channels: (4, 5))
        try first.setUpInterleaved(track: 1, channels: (6, 7))
        try first.record(interleavedDescriptor: openNull(), prefix: [], onText: { $0.count })
        #expect(studio.isPlaying)
        guard case .addInterleavedSource(_, _, _, let map, _)? = engine.commands.last else {
            Issue.record("no source was added")
            return
        }
        #expect((0..<4).map { map[$0] } == [4, 5, 6, 7])
        first.end(reason: "TEARDOWN")
        #expect(!studio.isPlaying)
        advance(9_900)
        let second = try studio.announce(Descriptions.description(), from: "x")
        #expect(second.description.stream == first.description.stream)
        try second.setUpInterleaved(track: 0, channels: (0, 1))
        try second.record(interleavedDescriptor: openNull(), prefix: [], onText: { $0.count })
        #expect(engine.names.contains("beginEpoch"))
        #expect(observer.ends.isEmpty)
        second.end(reason: "TEARDOWN")
        advance(10_100)
        #expect(observer.ends == ["the publisher left"])
        port.drainReports()
    }

    /// A publisher that is refused is none: those who are held for one are let go when the time is over.
    @Test func aRefusedPublisherEndsNoWait() throws {
        let studio = path(.publish)
        let observer = Observer()
        studio.addObserver(observer)
        studio.start(source: nil)
        let first = try studio.announce(Descriptions.description(), from: "x")
        try first.setUpInterleaved(track: 0, channels: (0, 1))
        try first.record(interleavedDescriptor: openNull(), prefix: [], onText: { $0.count })
        first.end(reason: "TEARDOWN")
        advance(5_000)
        #expect(throws: PathError.self) { try studio.announce(Descriptions.description([]), from: "y") }
        advance(5_100)
        #expect(observer.ends == ["the publisher left"])
        port.drainReports()
    }

    private func openNull() throws -> CInt {
        let descriptor = try #require(try? BoundSocket.open(.datagram, at: SocketAddress(ipAddress: "127.0.0.1", port: 0)))
        return descriptor
    }
}

import Glibc
import Logging
import NIOCore
import NIOEmbedded
import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

/// A file that is there as long as this is.
private final class TemporaryFile {
    let name: String
    init(_ text: String) {
        name = "/tmp/rtp-receiver-test-\(getpid())-\(UInt64.random(in: .min ... .max)).sdp"
        write(text)
    }
    deinit { _ = unsafe unlink(name) }
    func write(_ text: String) {
        let descriptor = unsafe open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        let bytes = Array(text.utf8)
        _ = unsafe Glibc.write(descriptor, bytes, bytes.count)
        close(descriptor)
    }
}

/// A path with a group as its source, an engine that only remembers, and time that the test moves.
@Suite struct RTPReceiverTests {
    private let loop = EmbeddedEventLoop()
    private let engine = RecordingEngine()
    private let port: EnginePort
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    init() { port = EnginePort(engine: engine, eventLoop: loop, logger: logger) }

    private static func sdp(_ group: String = "239.255.79.1", port: Int) -> String {
        """
        v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 \(group)/1\r\nt=0 0\r\nm=video \(port) RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
        m=audio \(port + 2) RTP/AVP 0\r\n
        """
    }

    private func path(_ file: TemporaryFile, _ query: String = "?interface=lo", _ change: (inout PathSettings) -> Void = { _ in }) throws
        -> Path
    {
        var settings = PathSettings(name: "group", source: try .init(file.name + query))
        settings.silenceMilliseconds = 1_000
        settings.lingerMilliseconds = 100
        change(&settings)
        let path = Path(settings: settings, port: port, mediaPorts: MediaPorts(range: nil), logger: logger)
        path.start(source: PathSourceFactory.source(for: path))
        return path
    }

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

    /// Lets real time pass as well, by which silence is measured.
    private func elapse(milliseconds: Int64) {
        usleep(UInt32(milliseconds) * 1_000)
        advance(milliseconds)
    }

    private struct Added: Equatable {
        let handle: SourceHandle
        let descriptor: CInt
        let channel: UInt8
        let peer: HostAddress
        let port: UInt16
    }

    private var added: [Added] {
        engine.commands.compactMap { command in
            guard case .addDatagramSource(let handle, _, let descriptor, let channel, let peer, let port) = command else { return nil }
            return Added(handle: handle, descriptor: descriptor, channel: channel, peer: peer, port: port)
        }
    }

    private func arrives(_ source: Added) {
        engine.report(.sourceActive(source.handle))
        port.drainReports()
    }

    @Test func isJoinedWhileItIsPlayedAndLeftAfterwards() throws {
        let file = TemporaryFile(Self.sdp(port: 46_300))
        let path = try path(file)
        let described = outcome(path.describe())
        #expect(try described?.get().tracks.count == 2)
        #expect(added.isEmpty, "a description needs no group")

        path.readerArrived()
        let play = path.play()
        loop.run()
        try #require(added.map(\.channel) == [0, 1, 2, 3])
        #expect(added.allSatisfy { $0.peer == .any && $0.port == 0 })
        #expect(added.map { BoundSocket.port(of: $0.descriptor) } == [46_300, 46_301, 46_302, 46_303])
        #expect(outcome(play) == nil && !path.isPlaying, "nothing has come yet")
        arrives(added[0])
        #expect(try outcome(play)?.get().version == 1)
        #expect(path.isPlaying)
        arrives(added[2])

        let sockets = added.map { SocketIdentity($0.descriptor) }
        #expect(sockets.allSatisfy { $0.isOpen })
        path.readerLeft()
        advance(200)
        #expect(engine.names.filter { $0 == "removeSource" }.count == 4)
        #expect(!sockets.contains { $0.isOpen })
        #expect(path.live == nil, "nobody is interested")
    }

    @Test func silenceIsSaidAndTheGroupJoinedAnew() throws {
        let file = TemporaryFile(Self.sdp(port: 46_310))
        let path = try path(file) { $0.dial = .always }
        loop.run()
        try #require(added.count == 4)
        let before = added
        arrives(before[0])
        #expect(path.isPlaying)
        engine.forget()
        elapse(milliseconds: 1_050)
        #expect(!path.isPlaying)
        #expect(path.lastTrouble == "no packet at 239.255.79.1:46310, 239.255.79.1:46312 for 1 s")
        try #require(
            added.count == 4 && Set(added.map(\.handle)).isDisjoint(with: before.map(\.handle)) && engine.names.contains("beginEpoch"))
        // One who asks meanwhile is told what is missing.
        let play = path.play()
        loop.run()
        arrives(added[2])
        #expect(try outcome(play)?.get() != nil)
        #expect(path.isPlaying && path.lastTrouble == nil)
        let sockets = added.map { SocketIdentity($0.descriptor) }
        let done = Locked(false)
        path.stop { done.withLockedValue { $0 = true } }
        port.drainReports()
        #expect(done.withLockedValue { $0 } && !sockets.contains { $0.isOpen })
    }

    @Test func oneSocketWhereRTPAndRTCPShareAPort() throws {
        let file = TemporaryFile(
            Self.sdp(TestHosts.loopback, port: 46_330).replacing("a=rtpmap:96 H264/90000", with: "a=rtpmap:96 H264/90000\r\na=rtcp-mux"))
        let path = try path(file) { $0.dial = .always }
        loop.run()
        try #require(added.map(\.channel) == [0, 2, 3])
        #expect(added.map { BoundSocket.port(of: $0.descriptor) } == [46_330, 46_332, 46_333])
        let sockets = added.map { SocketIdentity($0.descriptor) }
        arrives(added[0])
        #expect(path.isPlaying)
        path.stop {}
        port.drainReports()
        #expect(!sockets.contains { $0.isOpen })
    }

    /// A unicast port is for one alone: it must be free again before it is bound anew.
    @Test func aPortIsBoundAgainWhenTheEngineLetItGo() throws {
        let file = TemporaryFile(Self.sdp(TestHosts.loopback, port: 46_320))
        let path = try path(file, "?source=127.0.0.1") { $0.dial = .always }
        loop.run()
        #expect(added.map(\.peer.text) == Array(repeating: "127.0.0.1", count: 4))
        engine.forget()
        // No report is delivered meanwhile: the engine still holds the sockets.
        usleep(1_050_000)
        loop.advanceTime(by: .milliseconds(1_050))
        #expect(engine.names.filter { $0 == "removeSource" }.count == 4 && added.isEmpty)
        port.drainReports()
        #expect(added.count == 4 && path.lastTrouble?.hasPrefix("no packet at \(TestHosts.loopback):46320") == true)
        path.stop {}
        port.drainReports()
    }

    @Test func sourceSpecific() throws {
        let file = TemporaryFile(Self.sdp("232.1.79.1", port: 46_330))
        let path = try path(file, "?interface=lo&source=127.0.0.9") { $0.dial = .always }
        loop.run()
        #expect(added.count == 4 && added.allSatisfy { $0.peer.text == "127.0.0.9" && $0.port == 0 })
        path.stop {}
        port.drainReports()
    }

    @Test func aBadFileIsReadAgain() throws {
        let file = TemporaryFile("nonsense")
        let path = try path(file) { $0.sourceWaitMilliseconds = 20_000 }
        let describe = path.describe()
        #expect(outcome(describe) == nil)
        #expect(path.lastTrouble?.contains("is no session description") == true)
        file.write(Self.sdp(port: 46_340))
        advance(5_000)
        #expect(try outcome(describe)?.get().tracks.count == 2)
        path.stop {}
        port.drainReports()
    }

    @Test func anUnknownInterfaceIsSaidAndTriedAgain() throws {
        let file = TemporaryFile(Self.sdp(port: 46_350))
        let path = try path(file, "?interface=nowhere0") { $0.sourceWaitMilliseconds = 1_000 }
        let play = path.play()
        #expect(outcome(play) == nil && added.isEmpty)
        #expect(path.lastTrouble?.hasPrefix("there is no interface `nowhere0`; there are ") == true)
        advance(1_000)
        #expect(throws: PathError.self) { try outcome(play)?.get() }
        path.stop {}
        port.drainReports()
    }

    @Test func aPortThatIsTakenIsSaid() throws {
        let taken = try BoundSocket.open(.datagram, at: SocketAddress(ipAddress: TestHosts.loopback, port: 46_361))
        defer { close(taken) }
        let file = TemporaryFile(Self.sdp(TestHosts.loopback, port: 46_360))
        let path = try path(file, "") { $0.dial = .always }
        loop.run()
        #expect(added.isEmpty && path.lastTrouble?.contains("port 46361 is taken by another program") == true)
        path.stop {}
        port.drainReports()
    }
}

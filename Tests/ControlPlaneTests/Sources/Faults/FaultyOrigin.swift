import NIOCore
import NIOEmbedded
import WireFormats

@testable import ControlPlane

/// What a source's server does for a while.
enum OriginMood: String, CaseIterable {
    /// Answers, each answer a little late and in pieces, and sends media.
    case well
    /// The connection is refused; leads nowhere; or is accepted and nothing is ever said.
    case refusing, unreachable, mute
    /// Every request of one method is answered with an error, or not at all.
    case setUpFails, playFails, describeFails, describeIsMissing, keepAliveFails, unanswered
    /// Speaks something else; closes in the middle of an answer.
    case garbage, cuts
    /// Agrees to everything and sends nothing; sends for a while and stops; says goodbye; resets.
    case silent, stops, leaves, resets
    /// Is well, with another description that the readers can follow, or with one that they cannot.
    case described, estranged

    var sendsMedia: Bool { [.well, .stops, .leaves, .resets, .described, .estranged, .keepAliveFails].contains(self) }
}

/// A server without a network: the far end of embedded channels, driven by the test's clock.
final class FaultyOrigin {
    /// The far end of one connection.
    private final class Connection {
        let channel: EmbeddedChannel
        var parser = RTSPParser()
        /// What is to be written, and when.
        var answers: [(at: NIODeadline, bytes: [UInt8], closes: Bool)] = []
        var isPlaying = false
        var playsSince = NIODeadline.uptimeNanoseconds(0)

        init(_ channel: EmbeddedChannel) { self.channel = channel }
    }

    private let loop: EmbeddedEventLoop
    private var random: SplitMix64
    private var connections: [Connection] = []
    var mood = OriginMood.well
    /// The audio track's payload type, and a parameter of the video: what another description differs in.
    private var audioType = 8
    private var profile = 0
    /// When it was dialled.
    private(set) var dials: [NIODeadline] = []
    /// Everything that it was asked, with the time.
    private(set) var asked: [String] = []
    /// How many descriptions it gave that no reader of the former could follow.
    private(set) var estrangements = 0

    init(loop: EmbeddedEventLoop, seed: UInt64) {
        self.loop = loop
        random = SplitMix64(state: seed)
    }

    private static let here = try? SocketAddress(ipAddress: "127.0.0.1", port: 554)

    var isConnected: Bool { connections.contains { $0.channel.isActive } }
    /// Whether media would arrive just now.
    var sends: Bool {
        connections.contains { connection in
            guard connection.channel.isActive, connection.isPlaying, mood.sendsMedia else { return false }
            return mood != .stops || loop.now - connection.playsSince < .seconds(3)
        }
    }

    /// Takes another mood; what it did to connections that stand is part of it.
    func become(_ mood: OriginMood) {
        self.mood = mood
        switch mood {
        case .described: profile += 1
        case .estranged:
            audioType = audioType == 8 ? 0 : 8
            estrangements += 1
        default: break
        }
        // Another description comes with another life of the server.
        if [.refusing, .unreachable, .resets, .described, .estranged].contains(mood) { hangUp() }
    }

    private func hangUp() {
        for connection in connections { connection.channel.close(promise: nil) }
    }

    func connect(_ prepare: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>) -> EventLoopFuture<any Channel> {
        dials.append(loop.now)
        asked.append("\(loop.now.uptimeNanoseconds / 1_000_000) dial (\(mood))")
        let promise = loop.makePromise(of: (any Channel).self)
        let outcome = mood
        let wait =
            outcome == .unreachable
            ? TimeAmount.seconds(SourceDialler.connectSeconds) : .milliseconds(Int64.random(in: 0...80, using: &random))
        loop.assumeIsolated().scheduleTask(in: wait) { [self] in
            switch outcome {
            case .unreachable: promise.fail(ChannelError.connectTimeout(.seconds(SourceDialler.connectSeconds)))
            case .refusing: promise.fail(IOError(errnoCode: 111, reason: "connect"))
            default:
                let channel = EmbeddedChannel(loop: loop)
                channel.localAddress = Self.here
                channel.remoteAddress = Self.here
                prepare(channel).assumeIsolated().whenComplete { [self] _ in
                    if let here = Self.here { channel.connect(to: here, promise: nil) }
                    connections.append(Connection(channel))
                    promise.succeed(channel)
                }
            }
        }
        return promise.futureResult
    }

    /// Hears what came and says what is due.
    func turn() throws {
        connections.removeAll { !$0.channel.isActive }
        for connection in connections {
            while let bytes = try connection.channel.readOutbound(as: ByteBuffer.self) {
                connection.parser.append(Array(bytes.readableBytesView))
                while let element = try connection.parser.next() {
                    guard case .request(let request) = element else { continue }
                    asked.append("\(loop.now.uptimeNanoseconds / 1_000_000) \(request.method)")
                    answer(request, connection)
                }
            }
            while let next = connection.answers.first, next.at <= loop.now, connection.channel.isActive {
                connection.answers.removeFirst()
                try connection.channel.writeInbound(ByteBuffer(bytes: next.bytes))
                if next.closes { connection.channel.close(promise: nil) }
            }
        }
    }

    private func answer(_ request: RTSPRequest, _ connection: Connection) {
        guard mood != .mute else { return }
        if mood == .garbage { return say(Array("HTTP/1.0 200 OK\r\n\u{7F}\u{0}\r\n\r\n<html>".utf8), connection) }
        var response = RTSPResponse(status: .ok, headers: ["Session": "7;timeout=20"])
        switch (request.method, mood) {
        case (.describe, .describeFails): response.status = .serviceUnavailable
        case (.describe, .describeIsMissing): response.status = .notFound
        case (.setup, .setUpFails): response.status = .unsupportedTransport
        case (.play, .playFails): response.status = .internalServerError
        case (.getParameter, .keepAliveFails),
            (.options, .keepAliveFails) where connection.isPlaying:
            response.status = .sessionNotFound
        case (_, .unanswered) where request.method != .options: return
        case (.options, _): response.headers["Public"] = "DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER"
        case (.describe, _):
            response.body = Array(
                """
                v=0\r
                o=- 1 1 IN IP4 127.0.0.1\r
                s=x\r
                t=0 0\r
                m=video 0 RTP/AVP 96\r
                a=rtpmap:96 H264/90000\r
                a=fmtp:96 packetization-mode=1;x=\(profile)\r
                a=control:a\r
                m=audio 0 RTP/AVP \(audioType)\r
                a=control:b\r

                """.utf8)
            response.headers["Content-Type"] = "application/sdp"
        case (.setup, _):
            response.headers["Transport"] = (request.headers["Transport"] ?? "") + ";server_port=6970-6971"
        case (.play, _):
            connection.isPlaying = true
            connection.playsSince = loop.now
        case (.pause, _), (.teardown, _): connection.isPlaying = false
        default: break
        }
        response.headers["CSeq"] = request.headers.cseq
        let bytes = response.serialized()
        if mood == .cuts, Bool.random(using: &random) {
            return say(Array(bytes.prefix(Int.random(in: 0..<bytes.count, using: &random))), connection, closes: true)
        }
        say(bytes, connection)
    }

    /// Writes in one piece or several, soon or later, in order.
    private func say(_ bytes: [UInt8], _ connection: Connection, closes: Bool = false) {
        var at = max(loop.now, connection.answers.last?.at ?? loop.now) + .milliseconds(Int64.random(in: 0...300, using: &random))
        let cut = Bool.random(using: &random) ? Int.random(in: 0...bytes.count, using: &random) : 0
        if cut > 0 {
            connection.answers.append((at, Array(bytes.prefix(cut)), false))
            at = at + .milliseconds(Int64.random(in: 0...300, using: &random))
        }
        connection.answers.append((at, Array(bytes.dropFirst(cut)), closes))
    }
}

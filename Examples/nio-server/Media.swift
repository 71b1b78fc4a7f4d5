import FastPath
import Glibc
import NIOCore

/// The splitter, its one stream, and the connections that are sent it. Belongs to the event loop.
final class Media {
    let splitter: Splitter
    /// The UDP port that RTP is received on.
    let mediaPort: UInt16
    private let stream: StreamHandle
    private let stopped: EventLoopPromise<Void>
    private var connections: [SubscriberHandle: Connection] = [:]

    init(_ settings: Settings, _ loop: any EventLoop) throws {
        splitter = try Splitter()
        stream = try splitter.addStream(
            StreamConfiguration(tracks: [TrackPlan(clockRate: 90_000, codec: .opaque, ssrc: .random(in: 1 ... .max))]))
        let source = try splitter.openDatagramSource(stream, port: settings.mediaPort, channel: 0)
        mediaPort = splitter.port(of: source) ?? 0
        _ = try splitter.openDatagramSource(stream, port: settings.mediaPort == 0 ? 0 : mediaPort + 1, channel: 1)
        stopped = loop.makePromise()
        splitter.flush()
    }

    // [begin: handover]
    /// Hands a connection's writes over to the engine, until ``Connection/readerRemoved()``.
    func add(_ connection: Connection, descriptor: CInt) throws -> SubscriberHandle {
        let reader = try splitter.addInterleavedReader(
            stream, descriptor: descriptor, channels: ChannelMap(identity: 2), begin: .now, waits: true)
        connections[reader] = connection
        return reader
    }

    /// Takes all events; called when the splitter's event descriptor is readable.
    func drain() {
        while let event = splitter.nextEvent() {
            switch event {
            // Its answer was queued before: packets follow it.
            case .readerJoined(let reader, _): try? splitter.start(reader)
            case .readerFailed(let reader, _): try? splitter.removeReader(reader)
            case .readerRemoved(let reader): connections.removeValue(forKey: reader)?.readerRemoved()
            case .stopped(let leaks):
                print("ended, \(leaks) leaks")
                stopped.succeed()
            default: break
            }
        }
    }
    // [end: handover]

    /// Ends the engine; completes when descriptors are nobody's but ours.
    func stop() -> EventLoopFuture<Void> {
        splitter.shutdown()
        return stopped.futureResult
    }
}

/// Hears that events wait.
final class EventHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let media: Media

    init(_ media: Media) { self.media = media }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { media.drain() }
}

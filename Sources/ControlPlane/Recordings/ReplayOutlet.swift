import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// Where the packets of stored media go that are sent to one reader alone. Belongs to the event loop.
protocol ReplayOutlet: AnyObject {
    /// A finished packet of a track.
    func write(_ track: Int, _ packet: [UInt8])
    /// RTCP of a track, behind what was written.
    func report(_ track: Int, _ report: [UInt8])
    /// Gives what was written to whoever carries it; false when that would pile up.
    func flush() -> Bool
    /// Calls `done` when all that was flushed has left, or never will.
    func whenLeft(_ done: @escaping () -> Void)
    /// Memory that the engine gave it.
    var streamBytes: Int { get }
    /// Whoever it goes to takes what comes, and loses what is too much.
    var isPaced: Bool { get }
    /// Nothing more is written.
    func close()
}

/// On the RTSP connection, by NIO: a reader that takes less for a while misses nothing.
final class InterleavedReplay: ReplayOutlet {
    private weak var connection: RTSPConnection?
    private var channels: [Int: (rtp: UInt8, rtcp: UInt8)] = [:]
    private var batch: [UInt8] = []
    let streamBytes = 0
    let isPaced = false

    init(_ connection: RTSPConnection, tracks: [SessionTrack]) {
        self.connection = connection
        for track in tracks {
            if case .interleaved(let rtp, let rtcp) = track.transport { channels[track.number] = (rtp, rtcp) }
        }
    }

    func write(_ track: Int, _ packet: [UInt8]) { if let channel = channels[track]?.rtp { put(packet, channel) } }

    func report(_ track: Int, _ report: [UInt8]) {
        if let channel = channels[track]?.rtcp { put(report, channel) }
        _ = flush()
    }

    private func put(_ bytes: [UInt8], _ channel: UInt8) {
        guard bytes.count <= 0xFFFF else { return }
        batch += [InterleavedHeader.magic, channel, UInt8(truncatingIfNeeded: bytes.count >> 8), UInt8(truncatingIfNeeded: bytes.count)]
        batch += bytes
    }

    func flush() -> Bool {
        guard let connection, !connection.isClosed else { return true }
        if !batch.isEmpty {
            connection.write(batch)
            batch.removeAll(keepingCapacity: true)
        }
        return connection.channel.isWritable
    }

    func whenLeft(_ done: @escaping () -> Void) {
        _ = flush()
        guard let connection, !connection.isClosed else { return done() }
        connection.whenFlushed(done)
    }

    func close() { _ = flush() }
}

/// In datagrams, by a stream of finished RTP for each track, which has one reader.
final class DatagramReplay: ReplayOutlet {
    /// One track's stream.
    private final class Line {
        let rtcpPort: UInt16
        let isMultiplexed: Bool
        let stream: StreamHandle
        let source: EngineSource
        let subscription: Subscription
        var batch: [UInt8] = []
        var batchPackets: UInt32 = 0
        var packetsFed: UInt32 = 0

        init(rtcpPort: UInt16, isMultiplexed: Bool, _ stream: StreamHandle, _ source: EngineSource, _ subscription: Subscription) {
            self.rtcpPort = rtcpPort
            self.isMultiplexed = isMultiplexed
            self.stream = stream
            self.source = source
            self.subscription = subscription
        }
    }

    /// Nothing that the engine says of such a stream is of interest.
    private final class Silence: StreamDelegate {
        func senderReport(track: Int, ssrc: UInt32, ntp: UInt64, rtpTime: UInt32) {}
        func sourceBye(track: Int) {}
        func parameterSets(track: Int) {}
        func packetTooLarge(track: Int, bytes: Int) {}
    }

    private let port: EnginePort
    private let host: HostAddress
    private let media: () -> MediaSockets?
    private let delegate = Silence()
    private var lines: [Int: Line] = [:]
    private var isClosed = false
    private(set) var streamBytes = 0
    let isPaced = true
    /// The engine gave the reader up.
    var onLost: (() -> Void)?
    /// The reader missed packets.
    var onLagged: ((LagCause, UInt32) -> Void)?

    /// What waits to be sent for a moment: nothing is sent once more. The least there is.
    static let sizing = StreamSizing(bitRate: 8_000_000, windowMilliseconds: 500)

    /// Streams for a session's tracks. Throws ``EnginePort/Refusal``.
    init(host: HostAddress, tracks: [SessionTrack], port: EnginePort, media: @escaping () -> MediaSockets?) throws {
        self.port = port
        self.host = host
        self.media = media
        do {
            for track in tracks {
                guard case .datagram(let rtp, let rtcp) = track.transport else { continue }
                lines[track.number] = try open(rtp: rtp, rtcp: rtcp)
                streamBytes += Self.sizing.bytes
            }
        } catch {
            close()
            throw error
        }
    }

    private func open(rtp: UInt16, rtcp: UInt16) throws -> Line {
        var policy = StreamPolicy()
        // A key frame in one go would overrun small buffers on the way.
        policy.pacing = .fixed(bitsPerSecond: 64_000_000)
        // Everything goes to the one reader, whenever it was made.
        policy.joinBurst = nil
        policy.overload = .dropOldest
        let stream = try port.addVerbatimStream(sizing: Self.sizing, policy: policy, delegate: delegate).handle
        var source: EngineSource?
        do {
            let made = try EngineSource(port: port, release: {}) { .addFedSource($0, stream, channels: ChannelMap(identity: 2)) }
            source = made
            var ports = PortMap()
            ports[0] = rtp
            let subscription = try Subscription.datagram(port: port, stream: stream, host: host, ports: ports)
            subscription.onJoined = { [weak subscription] (_: JoinPoint) in _ = subscription?.go() }
            subscription.onFailed = { [weak self] (_: SubscriberFailure) in self?.onLost?() }
            subscription.onLagged = { [weak self] cause, packets in self?.onLagged?(cause, packets) }
            _ = subscription.arm(at: 0)
            return Line(rtcpPort: rtcp, isMultiplexed: rtp == rtcp, stream, made, subscription)
        } catch {
            source?.remove()
            port.submitAlways(.removeStream(stream))
            throw error
        }
    }

    func write(_ track: Int, _ packet: [UInt8]) {
        guard let line = lines[track], !isClosed, packet.count <= 0xFFFF else { return }
        // Channel 1: a reader may begin with any of them.
        line.batch += [InterleavedHeader.magic, 1, UInt8(truncatingIfNeeded: packet.count >> 8), UInt8(truncatingIfNeeded: packet.count)]
        line.batch += packet
        line.batchPackets &+= 1
        if line.batch.count >= 32 << 10 { feed(line) }
    }

    func report(_ track: Int, _ report: [UInt8]) {
        guard let line = lines[track], !isClosed else { return }
        // Who has one port for both is sent both from one.
        if line.isMultiplexed {
            media()?.sendMedia(report, host: host, port: line.rtcpPort)
        } else {
            media()?.send(report, host: host, port: line.rtcpPort)
        }
    }

    private func feed(_ line: Line) {
        guard !line.batch.isEmpty, let handle = line.source.handle else { return }
        // What the engine does not take is lost, as any datagram may be.
        if port.feed(handle, line.batch) { line.packetsFed &+= line.batchPackets }
        line.batch.removeAll(keepingCapacity: true)
        line.batchPackets = 0
    }

    func flush() -> Bool {
        if !isClosed { for line in lines.values { feed(line) } }
        return true
    }

    func whenLeft(_ done: @escaping () -> Void) {
        _ = flush()
        var remaining = lines.count + 1
        let left = {
            remaining -= 1
            if remaining == 0 { done() }
        }
        for line in lines.values {
            let fed = line.packetsFed
            let isAsked = line.subscription.last(before: fed) { [weak self] in
                left()
                // It was paused by that, and may be sent more.
                if let self, !isClosed { _ = line.subscription.arm(at: fed) }
            }
            if !isAsked { left() }
        }
        left()
    }

    func close() {
        guard !isClosed else { return }
        _ = flush()
        isClosed = true
        onLost = nil
        onLagged = nil
        for line in lines.values {
            line.subscription.remove()
            line.source.remove()
            port.submitAlways(.removeStream(line.stream))
        }
    }
}

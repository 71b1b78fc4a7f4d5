import Glibc
import Logging
import NIOCore
import NIOPosix
import PlaneLink

/// The UDP sockets that all UDP readers are sent from: a pair for each of the engine's workers, all at the same two ports, so that
/// readers see one server. The engine writes to them; what comes in is read here, on every one of them since the kernel chooses
/// which gets it: receiver reports, and the packets with which players open their NAT.
///
/// NIO reads duplicates of the descriptors, so that each side closes what is its own; ``close()`` is for when the engine has
/// stopped.
final class MediaSockets {
    let rtpPort: UInt16
    let rtcpPort: UInt16
    private let pairs: [DatagramPair]
    private let channels: [any Channel]
    private let isIPv6: Bool

    /// The engine's number of these pairs.
    static let number: UInt8 = 0
    /// Room for one datagram; reports are far below, and of what is longer the beginning suffices.
    private static let datagramBytesMax = 2_048

    private init(pairs: [DatagramPair], first: DatagramPair, channels: [any Channel], isIPv6: Bool) {
        self.pairs = pairs
        self.isIPv6 = isIPv6
        self.channels = channels
        rtpPort = first.rtpPort
        rtcpPort = first.rtcpPort
    }

    /// How many receiver reports and the like the kernel dropped since the last call because a receive buffer was full.
    func takeDrops() -> UInt64 { pairs.reduce(0) { $0 &+ $1.takeDrops() } }

    /// Binds a pair for each worker at the listen address and names them to the engine. `onReport` gets every datagram of the RTCP port, and
    /// RTCP of the RTP port: of readers whose RTP and RTCP share one (RFC 5761 section 4).
    static func open(
        at address: SocketAddress, mediaPorts: MediaPorts, port: EnginePort, logger: Logger,
        onReport: @escaping (HostAddress, UInt16, ByteBuffer) -> Void
    ) throws -> EventLoopFuture<MediaSockets> {
        let isIPv6 = if case .v6 = address { true } else { false }
        let pairs = try mediaPorts.open(at: address, sharedBy: port.engine.workerCount)
        guard let first = pairs.first else { throw ListenError(address: "media ports", trouble: "the engine has no worker") }
        var channels: [EventLoopFuture<any Channel>] = []
        for (worker, pair) in pairs.enumerated() {
            mediaPorts.widenSend(pair)
            // Reports are to come one by one, not several of equal size in one train.
            pair.takeTrains(false)
            port.submit(.addDatagramEgress(number, worker: UInt8(clamping: worker), rtp: pair.rtp, rtcp: pair.rtcp))
            let loop = port.eventLoop
            channels.append(
                DatagramInbox.read(pair.rtp, loop, datagramBytesMax: datagramBytesMax, { if isRTCP($2) { onReport($0, $1, $2) } }))
            channels.append(DatagramInbox.read(pair.rtcp, loop, datagramBytesMax: datagramBytesMax, onReport))
        }
        logger.info(
            "media ports of readers",
            metadata: ["ports": "\(first.rtpPort)-\(first.rtcpPort)", "workers": "\(pairs.count)"])
        return EventLoopFuture.whenAllSucceed(channels, on: port.eventLoop).assumeIsolated().map {
            MediaSockets(pairs: pairs, first: first, channels: $0, isIPv6: isIPv6)
        }.nonisolated()
    }

    private static func isRTCP(_ datagram: ByteBuffer) -> Bool {
        guard let first = datagram.getInteger(at: datagram.readerIndex, as: UInt8.self),
            let second = datagram.getInteger(at: datagram.readerIndex + 1, as: UInt8.self)
        else { return false }
        return first >> 6 == 2 && (192...223).contains(second)
    }

    /// Sends a report to a reader from the RTCP port, without waiting.
    func send(_ report: [UInt8], host: HostAddress, port: UInt16) {
        guard let pair = pairs.first, let address = host.socketAddress(port: port, mapped: isIPv6) else { return }
        pair.send(report, from: pair.rtcp, to: address)
    }

    /// Sends a packet of media to a reader, without waiting.
    func sendMedia(_ packet: [UInt8], host: HostAddress, port: UInt16) {
        guard let pair = pairs.first, let address = host.socketAddress(port: port, mapped: isIPv6) else { return }
        pair.send(packet, from: pair.rtp, to: address)
    }

    /// Closes both sockets; the engine must not use them any more.
    func close() {
        for channel in channels { channel.close(promise: nil) }
        for pair in pairs { pair.close() }
    }
}

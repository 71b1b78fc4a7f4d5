import NIOCore
import PlaneLink
import WireFormats

/// The UDP sockets of one pull of Windows Media: a pair for the media of all streams, and one for what is sent once more and for the requests for
/// it. Belongs to the event loop.
final class MSRTSPPullSockets {
    private let media: DatagramPair
    private let retransmission: DatagramPair
    private var channels: [any Channel] = []
    private var isClosed = false
    /// Whom datagrams are taken from.
    var server: HostAddress?
    /// Where requests for lost packets go; nil: nowhere.
    var requests: SocketAddress?

    /// Binds both pairs at the address; throws ``ListenError``.
    init(_ ports: MediaPorts, at local: SocketAddress) throws {
        let first = try ports.open(at: local, for: .source)
        do { retransmission = try ports.open(at: local, for: .source) } catch {
            first.close()
            throw error
        }
        media = first
        // Each is a packet of its own here.
        media.takeTrains(false)
        retransmission.takeTrains(false)
    }

    var mediaPair: PortPair { PortPair(rtp: media.rtpPort, rtcp: media.rtcpPort) }
    var retransmissionPair: PortPair { PortPair(rtp: retransmission.rtpPort, rtcp: retransmission.rtcpPort) }

    /// Gives what comes, with whether it came by the way of what is sent once more; `onPause`: what came together was given.
    func read(
        on loop: any EventLoop, datagramBytesMax: Int, _ onDatagram: @escaping (ByteBuffer, HostAddress, Bool) -> Void,
        onPause: @escaping () -> Void
    ) {
        for (descriptor, isResent) in [(media.rtp, false), (retransmission.rtp, true)] {
            keep(
                DatagramInbox.read(
                    descriptor, loop, datagramBytesMax: datagramBytesMax, { host, _, bytes in onDatagram(bytes, host, isResent) },
                    onPause: onPause))
        }
        // Nothing is expected there, and what comes is not to count as dropped.
        for descriptor in [media.rtcp, retransmission.rtcp] where descriptor != media.rtp && descriptor != retransmission.rtp {
            keep(DatagramInbox.read(descriptor, loop, datagramBytesMax: Self.reportBytesMax, { _, _, _ in }))
        }
    }

    private static let reportBytesMax = 2_048

    private func keep(_ opening: EventLoopFuture<any Channel>) {
        opening.assumeIsolated().whenSuccess { [weak self] channel in
            guard let self, !isClosed else { return channel.close(promise: nil) }
            channels.append(channel)
        }
    }

    /// Sends a request for lost packets.
    func ask(_ request: [UInt8]) {
        guard let requests else { return }
        retransmission.send(request, from: retransmission.rtcp, to: requests)
    }

    /// How many datagrams the kernel dropped since the last call because a receive buffer was full.
    func takeDrops() -> UInt64 { isClosed ? 0 : media.takeDrops() &+ retransmission.takeDrops() }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        for channel in channels { channel.close(promise: nil) }
        channels = []
        media.close()
        retransmission.close()
    }
}

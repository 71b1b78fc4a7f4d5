import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// Where ASF packets go that are sent to one player alone: an RTP session, which lives as long as the player's own does. Belongs to the event
/// loop.
protocol MSRTSPOutlet: AnyObject {
    /// Of the next packet.
    var nextSequence: UInt16 { get }
    /// What was sent, with RTP's own bytes.
    var packetsSent: UInt64 { get }
    var bytesSent: UInt64 { get }
    /// Packets of another header follow.
    func begin(_ header: ASFHeader)
    /// What follows begins with that number.
    func begin(at sequence: UInt16)
    func write(_ packet: [UInt8], _ number: UInt32)
    /// Gives what was written to whoever carries it; false when that would pile up.
    func flush() -> Bool
    /// Calls `done` when all that was flushed has left, or never will.
    func whenLeft(_ done: @escaping () -> Void)
    /// Sends lost packets once more, to another port. False when nothing of it is done.
    func resend(_ entry: RetransmissionRequest.Entry, to port: UInt16) -> Bool
    /// Nothing more is written.
    func close()
}

extension WindowsMediaRTPForm {
    /// How packets are made for a play.
    init(_ play: MSRTSPPlay) {
        form = play.transport.isInterleaved ? .whole : .datagrams(bytesMax: ASFRTPPacketiser.datagramBytesMaxDefault)
        splitsPayloads = play.form.splitsPayloads
        sendsLocation = play.form.sendsLocation
        fec = play.form.fec
        source = play.ssrc
    }
}

/// On the RTSP connection, by NIO.
final class InterleavedOutlet: MSRTSPOutlet {
    private let line: MSRTSPLine
    private let channel: UInt8
    private var packetiser: ASFRTPPacketiser
    private var batch: [UInt8] = []
    private(set) var packetsSent: UInt64 = 0
    private(set) var bytesSent: UInt64 = 0

    init(_ line: MSRTSPLine, channel: UInt8, form: WindowsMediaRTPForm, header: ASFHeader, sequence: UInt16) {
        self.line = line
        self.channel = channel
        packetiser = ASFRTPPacketiser(form, of: header, sequence: sequence)
    }

    var nextSequence: UInt16 { packetiser.sequence }

    func begin(_ header: ASFHeader) { packetiser.begin(packetBytes: header.packetBytes) }

    func begin(at sequence: UInt16) { packetiser.sequence = sequence }

    func write(_ packet: [UInt8], _ number: UInt32) {
        // A packet that cannot be read is left out, as everywhere.
        guard let count = try? packetiser.append(packet, locationID: number, channel: channel, to: &batch) else { return }
        packetsSent += UInt64(count)
    }

    func flush() -> Bool {
        if !batch.isEmpty, !line.isClosed {
            bytesSent += UInt64(batch.count)
            line.connection.write(batch)
            batch.removeAll(keepingCapacity: true)
        }
        return line.connection.channel.isWritable
    }

    func whenLeft(_ done: @escaping () -> Void) { line.whenOver(done) }

    // What goes over a connection is not lost.
    func resend(_ entry: RetransmissionRequest.Entry, to port: UInt16) -> Bool { false }

    func close() { _ = flush() }
}

/// In datagrams, by a stream of the engine with one reader.
final class DatagramOutlet: MSRTSPOutlet {
    private let port: EnginePort
    private let stream: StreamHandle
    private let source: EngineSource
    private let subscription: Subscription
    private var packetiser: ASFRTPPacketiser
    private var batch: [UInt8] = []
    private var batchPackets: UInt32 = 0
    private var packetsFed: UInt32 = 0
    private var isClosed = false
    private(set) var bytesSent: UInt64 = 0
    private let delegate: Silence
    /// The engine gave the player up.
    var onLost: (() -> Void)?
    /// The player missed packets.
    var onLagged: ((LagCause, UInt32) -> Void)?

    /// Nothing that the engine says of such a stream is of interest.
    private final class Silence: StreamDelegate {
        func senderReport(track: Int, ssrc: UInt32, ntp: UInt64, rtpTime: UInt32) {}
        func sourceBye(track: Int) {}
        func parameterSets(track: Int) {}
        func packetTooLarge(track: Int, bytes: Int) {}
    }

    /// For so long what was sent can be sent once more, where the bit rate is the header's.
    static let windowMilliseconds = 10_000
    private static let bitRateMin: UInt64 = 500_000
    /// What is kept of what was sent, whatever bit rate a header says: at more than that would hold, for a shorter time.
    static let windowBytesMax: UInt64 = 8 << 20

    /// The memory of a player of content of so many bits per second.
    static func sizing(bitsPerSecond: UInt64) -> StreamSizing {
        let rate = max(min(bitsPerSecond, 1 << 40), bitRateMin) / 4 * 5
        let milliseconds = min(UInt64(windowMilliseconds), windowBytesMax * 8 * 1_000 / rate)
        return StreamSizing(bitRate: Int(clamping: rate), windowMilliseconds: Int(clamping: milliseconds))
    }

    /// Memory that the engine gave it.
    let streamBytes: Int

    /// Why one more player is not sent datagrams.
    struct StreamsTaken: Error, CustomStringConvertible {
        var description: String { "as many play on demand over UDP as this server has streams for; TCP goes on" }
    }

    /// What a stream of one reader is made of.
    private struct Parts {
        let stream: StreamHandle
        let source: EngineSource
        let subscription: Subscription
        let bytes: Int
    }

    /// One for a player of that port. Throws ``EnginePort/Refusal``.
    static func open(
        host: HostAddress, clientPort: UInt16, form: WindowsMediaRTPForm, header: ASFHeader, sizing: StreamSizing, sequence: UInt16,
        port: EnginePort
    ) throws -> DatagramOutlet {
        var policy = StreamPolicy()
        policy.pacing = .off
        // Everything goes to the one reader, whenever it was made.
        policy.joinBurst = nil
        policy.overload = .dropOldest
        let delegate = Silence()
        let stream = try port.addVerbatimStream(sizing: sizing, policy: policy, delegate: delegate).handle
        var source: EngineSource?
        do {
            let made = try EngineSource(port: port, release: {}) { .addFedSource($0, stream, channels: ChannelMap(identity: 2)) }
            source = made
            var ports = PortMap()
            ports[0] = clientPort
            let subscription = try Subscription.datagram(port: port, stream: stream, host: host, ports: ports)
            let parts = Parts(stream: stream, source: made, subscription: subscription, bytes: sizing.bytes)
            return DatagramOutlet(parts, ASFRTPPacketiser(form, of: header, sequence: sequence), delegate: delegate, port: port)
        } catch {
            source?.remove()
            port.submitAlways(.removeStream(stream))
            throw error
        }
    }

    private init(_ parts: Parts, _ packetiser: ASFRTPPacketiser, delegate: Silence, port: EnginePort) {
        stream = parts.stream
        source = parts.source
        subscription = parts.subscription
        streamBytes = parts.bytes
        self.packetiser = packetiser
        self.delegate = delegate
        self.port = port
        subscription.onJoined = { [weak subscription] (_: JoinPoint) in _ = subscription?.go() }
        subscription.onFailed = { [weak self] (_: SubscriberFailure) in self?.onLost?() }
        subscription.onLagged = { [weak self] cause, packets in self?.onLagged?(cause, packets) }
        _ = subscription.arm(at: 0)
    }

    var nextSequence: UInt16 { packetiser.sequence }
    var packetsSent: UInt64 { UInt64(packetsFed) }

    func begin(_ header: ASFHeader) {
        _ = flush()
        packetiser.begin(packetBytes: header.packetBytes)
    }

    func begin(at sequence: UInt16) {
        _ = flush()
        packetiser.sequence = sequence
    }

    func write(_ packet: [UInt8], _ number: UInt32) {
        guard let count = try? packetiser.append(packet, locationID: number, firstChannel: 1, to: &batch) else { return }
        batchPackets &+= UInt32(clamping: count)
        if batch.count >= 32 << 10 { _ = flush() }
    }

    func flush() -> Bool {
        guard !batch.isEmpty, !isClosed, let handle = source.handle else { return true }
        if port.feed(handle, batch) {
            packetsFed &+= batchPackets
            bytesSent += UInt64(batch.count)
        } else {
            // A packet's number in the engine and its sequence number go together.
            packetiser.sequence &-= UInt16(truncatingIfNeeded: batchPackets)
        }
        batch.removeAll(keepingCapacity: true)
        batchPackets = 0
        return true
    }

    func whenLeft(_ done: @escaping () -> Void) {
        _ = flush()
        let fed = packetsFed
        guard !isClosed, subscription.last(before: fed, onLeft: { [weak self] in self?.left(fed, done) }) else { return done() }
    }

    private func left(_ packet: UInt32, _ done: () -> Void) {
        done()
        // It was paused by that, and may be sent more.
        if !isClosed { _ = subscription.arm(at: packet) }
    }

    func resend(_ entry: RetransmissionRequest.Entry, to port: UInt16) -> Bool {
        let back = UInt32(packetiser.sequence &- entry.packetID)
        let made = packetsFed &+ batchPackets
        guard !isClosed, back > 0, back <= made else { return false }
        return subscription.resend(made &- back, following: UInt64(entry.following), to: port)
    }

    func close() {
        guard !isClosed else { return }
        _ = flush()
        isClosed = true
        onLost = nil
        onLagged = nil
        subscription.remove()
        source.remove()
        port.submitAlways(.removeStream(stream))
    }
}

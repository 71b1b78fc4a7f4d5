import Glibc
import NIOCore
import PlaneLink
import WireFormats

/// One publisher's hold on a path, from ANNOUNCE to its end. Belongs to the event loop.
final class Publication {
    /// The stream, with the tracks of the publisher's own SDP: all that it announced, numbered by their places in it. Those that the
    /// path leaves out are there too: encoders give up when a SETUP is refused, so what comes for them is taken and thrown away.
    let description: StreamDescription
    /// The publication ended by itself: its media stopped, its connection is gone, the path ended. Not called after ``end(reason:)``.
    var onEnded: ((String) -> Void)?
    /// Receiver reports for an interleaved publisher, as frames, to be written by whoever owns the connection.
    var receiverReports: ((_ interleavedFrame: [UInt8]) -> Void)?

    private enum Transport {
        case datagrams(DatagramPair, host: HostAddress, reports: SocketAddress?, isLeased: Bool)
        case interleaved(rtp: UInt8, rtcp: UInt8)
    }

    /// The stream as it is served.
    private let served: StreamDescription
    private let path: Path
    private let watch: MediaWatch
    private var transports: [Transport?]
    private var reporters: [ReceiverReporter]
    private var sources: [EngineSource] = []
    private var isRecording = false
    private var isEnded = false

    init(path: Path, description: StreamDescription, served: StreamDescription) {
        self.served = served
        self.path = path
        self.description = description
        transports = Array(repeating: nil, count: description.tracks.count)
        let ssrc = UInt32.random(in: 1...UInt32.max)
        reporters = description.tracks.map {
            ReceiverReporter(
                track: description.map[$0.number] ?? 0, ssrc: ssrc &+ UInt32($0.number), clockRate: $0.plan.clockRate,
                scope: path.extensions.scope(path: path.name))
        }
        watch = MediaWatch(path.port, silenceMilliseconds: path.settings.silenceMilliseconds, firstMilliseconds: nil)
    }

    /// SETUP with mode=record of a track over UDP: binds a port pair at `listenHost` for what `host` sends, and answers with it.
    func setUpDatagrams(
        track: Int, host: HostAddress, clientPorts: (rtp: UInt16, rtcp: UInt16), listenHost: SocketAddress
    ) throws -> (rtp: UInt16, rtcp: UInt16) {
        try check(track)
        let pair = try path.mediaPorts.open(at: listenHost, for: .source)
        if description.map[track] == nil { pair.discard() }
        let isMapped = if case .v6 = listenHost { true } else { false }
        let reports = host.socketAddress(port: clientPorts.rtcp, mapped: isMapped)
        forget(track)
        transports[track] = .datagrams(pair, host: host, reports: clientPorts.rtcp == 0 ? nil : reports, isLeased: false)
        return (pair.rtpPort, pair.rtcpPort)
    }

    /// SETUP with mode=record of a track over the RTSP connection.
    func setUpInterleaved(track: Int, channels: (UInt8, UInt8)) throws {
        try check(track)
        forget(track)
        transports[track] = .interleaved(rtp: channels.0, rtcp: channels.1)
    }

    /// RECORD. For interleaved tracks: the connection's descriptor, a duplicate that belongs to the publication from here on
    /// (also when this throws), and what was read beyond RECORD. Text between frames goes to `onText`, which answers with how many
    /// bytes of it were whole messages.
    func record(interleavedDescriptor: CInt?, prefix: [UInt8], onText: @escaping ([UInt8]) -> Int) throws {
        guard !isEnded, !isRecording else {
            if let interleavedDescriptor { close(interleavedDescriptor) }
            throw PathError.refused("the publication is over or records already")
        }
        isRecording = true
        path.feed.mediaBegins()
        do {
            try attachDatagrams()
            if let interleavedDescriptor { try attach(interleavedDescriptor, prefix, onText) }
        } catch {
            finish("\(error)")
            throw error
        }
        watch.start(served) { [weak self] event in
            switch event {
            case .noFirstPacket, .trackSilent: break
            case .silent(let seconds): self?.endedByItself("no media for \(seconds) s")
            case .reportIsDue: self?.report()
            case .dropsAreDue: self?.countDrops()
            }
        }
        path.feed.sourcePlays()
    }

    /// The publisher left (TEARDOWN, connection closed, timeout).
    func end(reason: String) { finish(reason) }

    // MARK: Media

    private func check(_ track: Int) throws {
        guard !isEnded else { throw PathError.refused("the publication is over") }
        guard !isRecording else { throw PathError.refused("tracks are set up before RECORD") }
        guard transports.indices.contains(track) else { throw PathError.notFound("\(path.name), track \(track)") }
    }

    private func forget(_ track: Int) {
        if case .datagrams(let pair, _, _, false) = transports[track] { pair.close() }
        transports[track] = nil
    }

    private func attachDatagrams() throws {
        let stream = description.stream
        for track in transports.indices {
            guard case .datagrams(let pair, let host, let reports, _) = transports[track], let number = description.map[track] else {
                continue
            }
            transports[track] = .datagrams(pair, host: host, reports: reports, isLeased: true)
            let lease = PairLease(pair)
            // Port 0: the first packet tells which port a publisher behind an address translator really has.
            for (descriptor, channel) in [(pair.rtp, 2 * number), (pair.rtcp, 2 * number + 1)] {
                lease.uses += 1
                sources.append(
                    try EngineSource(port: path.port, release: lease.release) { handle in
                        .addDatagramSource(
                            handle, stream, descriptor: descriptor, channel: UInt8(truncatingIfNeeded: channel), peer: host, port: 0)
                    })
            }
        }
    }

    private func attach(_ descriptor: CInt, _ prefix: [UInt8], _ onText: @escaping ([UInt8]) -> Int) throws {
        var map = ChannelMap()
        for track in transports.indices {
            guard case .interleaved(let rtp, let rtcp) = transports[track], let number = description.map[track] else { continue }
            map[2 * number] = rtp
            map[2 * number + 1] = rtcp
        }
        let buffer = LinkBuffer(prefix)
        let stream = description.stream
        let source: EngineSource
        do {
            source = try EngineSource(port: path.port, release: { close(descriptor) }) { handle in
                .addInterleavedSource(handle, stream, descriptor: descriptor, channels: map, prefix: buffer)
            }
        } catch {
            buffer.free()
            throw error
        }
        source.onText = { [weak source, port = path.port] bytes in
            let consumed = onText(bytes)
            if let handle = source?.handle { port.resume(handle, consumed: consumed) }
        }
        source.onEnded = { [weak self] _ in self?.endedByItself("the publisher closed the connection") }
        sources.append(source)
    }

    private func report() {
        for track in transports.indices where description.map[track] != nil {
            switch transports[track] {
            case .datagrams(let pair, _, let address?, _):
                pair.send(reporters[track].report(description.counters), from: pair.rtcp, to: address)
            case .interleaved(_, let rtcp): receiverReports?(reporters[track].report(description.counters, channel: rtcp))
            case .datagrams, nil: break
            }
        }
    }

    private func countDrops() {
        var drops: UInt64 = 0
        for case .datagrams(let pair, _, _, true)? in transports { drops &+= pair.takeDrops() }
        if drops > 0 { path.feed.sourceDropped(drops) }
    }

    // MARK: End

    /// Ends it and says so.
    func endedByItself(_ reason: String) {
        let onEnded = onEnded
        finish(reason)
        onEnded?(reason)
    }

    private func finish(_ reason: String) {
        guard !isEnded else { return }
        isEnded = true
        onEnded = nil
        receiverReports = nil
        watch.stop()
        for source in sources { source.remove() }
        sources = []
        for track in transports.indices { forget(track) }
        path.publicationEnded(self, reason)
    }
}

extension Path {
    /// ANNOUNCE of a publisher at `from` (for the log). The stream exists from here on; media comes with RECORD.
    func announce(_ sdp: SessionDescription, from: String) throws -> Publication {
        guard acceptsPublisher else { throw PathError.readOnly }
        if let removal { throw PathError.removed(name, removal) }
        guard publication == nil else { throw PathError.alreadyPublished }
        let stream = try feed.sourceDescribed(sdp)
        // Only now is there a publisher again.
        publisherWait.stop()
        let tracks = sdp.receivableMedia.enumerated().map { place, index in
            let media = sdp.media[index]
            let plan = stream.map[place].flatMap { stream.track($0)?.plan }
            return StreamDescription.Track(
                number: place, control: media.control ?? "", plan: plan ?? TrackPlan(clockRate: media.clockRate, codec: .opaque, ssrc: 0),
                codec: media.codec)
        }
        let publication = Publication(
            path: self,
            description: StreamDescription(
                sdp: stream.sdp, tracks: tracks, map: stream.map, leftOut: stream.leftOut, canonicalName: stream.canonicalName,
                stream: stream.stream, counters: stream.counters,
                version: stream.version), served: stream)
        self.publication = publication
        logger.info("publisher", metadata: ["from": "\(from)", "tracks": "\(stream.words)"])
        return publication
    }

    func publicationEnded(_ ended: Publication, _ reason: String) {
        guard publication === ended else { return }
        publication = nil
        stage?.publisherLeft()
        logger.info("publisher left", metadata: ["reason": "\(reason)"])
        holdReaders()
    }
}

extension HostAddress {
    /// As an address of a socket; an IPv4 host as a mapped address where the sending socket is an IPv6 one.
    func socketAddress(port: UInt16, mapped: Bool) -> SocketAddress? {
        if let ipv4, !mapped {
            return try? SocketAddress(packedIPAddress: ByteBuffer(integer: ipv4), port: Int(port))
        }
        var bytes = ByteBuffer()
        bytes.writeInteger(high)
        bytes.writeInteger(low)
        guard case .v6(let address)? = try? SocketAddress(packedIPAddress: bytes, port: Int(port)) else { return nil }
        var raw = address.address
        raw.sin6_scope_id = scope
        return SocketAddress(raw, host: "")
    }
}

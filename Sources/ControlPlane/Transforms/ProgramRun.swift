import Glibc
import Logging
import NIOCore
import PlaneLink
import WireFormats

/// One run of a program that changes a track: its sockets, its files, its process, what it is given and what comes out.
///
/// It is given a track of `input` by the engine, as any UDP reader is; what comes out is a UDP source of the served stream. The sender
/// reports of its output are made from its input's (``ReportMapping``); its own, which tell this machine's time, are left alone.
final class ProgramRun: TransformRun {
    let rule: TransformRule
    let input: StreamDescription
    let track: Int
    let port: EnginePort
    let folder: PrivateFolder
    weak var owner: (any TransformRunOwner)?

    /// Sends to the program; its RTCP socket is where the engine sends the input's sender reports to, for this run to read.
    let feed: DatagramPair
    /// Where the program sends to.
    let results: DatagramPair
    /// Where the program listens.
    let inputPort: UInt16
    private var egress: UInt8?
    private var isLeased = false
    private let child: ChildProcess
    private let timer: LoopTimer
    private var log = ProgramLog()

    private enum Phase { case starting, arming, given, sending, stopping, over }
    private var phase = Phase.starting
    private var phaseBegan: NIODeadline
    private var patience: TransformPatience
    private var reader: Subscription?
    private var sources: [EngineSource] = []
    private var reports: EngineSource?
    private var media: GivenMedia?
    private var served: StreamDescription?
    /// The served stream's track.
    private var output = 0
    private var inputFirst: UInt32?
    private var first: (header: RTPHeader, bytes: [UInt8], port: UInt16)?
    private var lastReport: (report: RTCPSenderReport, at: NIODeadline)?
    private var isReportDue = false
    private var onStopped: (() -> Void)?
    private var killAt: NIODeadline?

    private static let startTick = 20
    private static let steadyTick = 100
    private static let keyFrameMilliseconds: Int64 = 10_000
    static let loopback = HostAddress(ipv4: 0x7F00_0001)
    static let outputFile = "output.sdp"
    static let inputFile = "input.sdp"

    /// Starts the program; throws what the user should know. `media` is what it will send, if that is known.
    init(
        rule: TransformRule, input: StreamDescription, track: Int, media: GivenMedia?, pathName: String, folder: PrivateFolder,
        port: EnginePort, mediaPorts: MediaPorts
    ) throws {
        self.rule = rule
        self.input = input
        self.track = track
        self.media = media
        self.folder = folder
        self.port = port
        timer = LoopTimer(port.eventLoop)
        phaseBegan = port.eventLoop.now
        patience = TransformPatience(now: phaseBegan)
        let local = try SocketAddress(ipAddress: "127.0.0.1", port: 0)
        let feed = try mediaPorts.open(at: local)
        self.feed = feed
        do { results = try mediaPorts.open(at: local) } catch {
            feed.close()
            throw error
        }
        let results = results
        do {
            for pair in [feed, results] { pair.takeTrains(false) }
            for descriptor in [feed.rtp, feed.rtcp] { mediaPorts.buffers.widenSend(descriptor) }
            // Nobody reads there: what comes all the same shall not fill memory.
            for descriptor in [feed.rtp, results.rtcp] { BoundSocket.set(descriptor, SOL_SOCKET, SO_RCVBUF, 1) }
            // A pair that is free now; the program takes it in a moment.
            let place = try mediaPorts.open(at: local)
            inputPort = place.rtpPort
            place.close()
            folder.remove(Self.outputFile)
            try folder.write(
                Self.description(input, track: track, port: inputPort, pathName: pathName).serialized(), to: Self.inputFile)
            let value = ProgramValues(folder: folder, inputPort: inputPort, outputPort: results.rtpPort).value
            child = try ChildProcess(
                words: rule.command.words(value), environment: ProgramValues.environment(pathName: pathName, value),
                directory: folder.path,
                limits: .init(dataBytes: rule.memoryBytes, cpuSeconds: rule.cpuSeconds, openFiles: rule.openFiles, nice: rule.nice))
        } catch {
            feed.close()
            results.close()
            throw error
        }
        timer.every(milliseconds: Self.startTick) { [weak self] in self?.look() }
    }

    var process: Int32? { child.number }
    /// The system's buffers overflow without telling anybody.
    var packetsMissed: UInt64 { 0 }
    /// Whatever it does, it is killed.
    var isHanging: Bool { false }
    var linesSuppressed: UInt64 { log.suppressed }

    /// What the program is sent, as an SDP that it can read.
    static func description(_ input: StreamDescription, track: Int, port: UInt16, pathName: String) -> SessionDescription {
        guard let place = input.tracks.firstIndex(where: { $0.number == track }), input.sdp.media.indices.contains(place) else {
            return SessionDescription(lines: [SDPLine("v", "0")], media: [])
        }
        var media = input.sdp.media[place]
        media.port = port
        media.proto = "RTP/AVP"
        media.lines.removeAll { $0.isAttribute("control") }
        return SessionDescription(
            lines: [
                SDPLine("v", "0"), SDPLine("o", "- 0 0 IN IP4 127.0.0.1"), SDPLine("s", pathName), SDPLine("c", "IN IP4 127.0.0.1"),
                SDPLine("t", "0 0"),
            ],
            media: [media])
    }

    // MARK: What the owner wants

    /// What the stream does with it suffices: its numbers and times go on.
    func sourceChanged() {}

    func serve(_ served: StreamDescription, track: Int) {
        self.served = served
        output = track
        attach()
    }

    var isAttached: Bool { isLeased }

    /// Ends the program: asks it to, and kills it when it takes longer than the rule allows. `done` runs when nothing of it is left.
    func stop(_ done: @escaping () -> Void) {
        guard phase != .over else { return done() }
        onStopped = done
        guard phase != .stopping else { return }
        enter(.stopping)
        detach()
        reader?.remove()
        child.signal(SIGTERM)
        killAt = port.eventLoop.now + .milliseconds(Int64(rule.stopMilliseconds))
        timer.every(milliseconds: Self.startTick) { [weak self] in self?.look() }
    }

    // MARK: Looking after it

    private func enter(_ phase: Phase) {
        self.phase = phase
        phaseBegan = port.eventLoop.now
    }

    private func isLate(_ milliseconds: Int) -> Bool { port.eventLoop.now - phaseBegan > .milliseconds(Int64(milliseconds)) }

    private func look() {
        let now = port.eventLoop.now.uptimeNanoseconds
        for line in log.take(child.read(bytesMax: ProgramLog.readBytesMax)[...], now: now) { owner?.runSaid(line) }
        if let end = child.ended() { return over(end) }
        switch phase {
        case .starting:
            if BoundPorts.isBound(inputPort) ?? isLate(500) { return listens() }
            if isLate(rule.startMilliseconds) {
                fail("it does not listen at 127.0.0.1:\(inputPort) after \(Self.seconds(rule.startMilliseconds)); does it read $INPUT_SDP?")
            }
        case .arming:
            if isLate(Int(Self.keyFrameMilliseconds)), patience.grew(input: input.counters[track, .packets]) {
                // Some streams have no key frames that we know.
                _ = reader?.arm(now: true)
            }
        case .given:
            takeReports()
            learn()
            lookForFirst()
            if phase == .given,
                patience.look(input: input.counters[track, .packets], now: port.eventLoop.now)
                    > .milliseconds(Int64(rule.startMilliseconds))
            {
                fail(
                    media == nil
                        ? "it described nothing in $OUTPUT_SDP within \(Self.seconds(rule.startMilliseconds)) of media (or say what it sends with `gives:`)"
                        : "it sent nothing to $OUTPUT_URL within \(Self.seconds(rule.startMilliseconds)) of media")
            }
        case .sending:
            if isReportDue { report() }
            isReportDue = false
            takeReports()
            watch()
        case .stopping: if let killAt, port.eventLoop.now >= killAt { child.signal(SIGKILL) }
        case .over: break
        }
    }

    private func listens() {
        enter(.arming)
        do {
            let feed = feed
            let number = try port.addEgress(rtp: feed.rtp, rtcp: feed.rtcp) { feed.close() }
            egress = number
            var ports = PortMap()
            ports[2 * track] = inputPort
            ports[2 * track + 1] = feed.rtcpPort
            let reader = try Subscription.datagram(
                port: port, stream: input.stream, host: Self.loopback, ports: ports, sockets: number)
            self.reader = reader
            reader.onJoined = { [weak self] in self?.joined(at: $0) }
            reader.onFailed = { [weak self] in self?.fail("the engine gave it up (\($0))") }
            // The sockets wait for it, also when the owner has forgotten this run.
            reader.onGone = { [self] in readerGone() }
            guard reader.arm(now: input.track(track)?.plan.codec == .opaque) else { throw EnginePort.Refusal.queueFull }
        } catch { return fail("\(error)") }
        _ = patience.grew(input: input.counters[track, .packets])
        owner?.runListens()
    }

    private func joined(at point: JoinPoint) {
        guard phase == .arming else { return }
        enter(.given)
        patience.begin(input: input.counters[track, .packets], now: phaseBegan)
        if point[track].isKnown { inputFirst = point[track].timestamp }
        if reader?.go() != true { fail("\(EnginePort.Refusal.queueFull)") }
    }

    private func readerGone() {
        reader = nil
        if phase == .over { letGoOfFeed() }
    }

    private func learn() {
        guard media == nil, let bytes = try? FileBytes.read(folder.file(Self.outputFile), bytesMax: 64 << 10) else { return }
        do throws(ValueProblem) {
            guard let media = try GivenMedia.read(bytes) else { return }
            self.media = media
            owner?.runDescribed(media)
        } catch { fail(error.text) }
    }

    // MARK: What comes out

    /// Looks at the first packet without taking it: it tells the program's clock, SSRC and port.
    private func lookForFirst() {
        // What it sends is known before its first packet is taken.
        guard first == nil, media != nil else { return }
        var bytes = [UInt8](repeating: 0, count: 1 << 16)
        for _ in 0..<64 {
            var address = sockaddr_in()
            var size = socklen_t(MemoryLayout<sockaddr_in>.size)
            let count = unsafe withUnsafeMutablePointer(to: &address) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe recvfrom(results.rtp, &bytes, bytes.count, CInt(MSG_PEEK) | CInt(MSG_DONTWAIT), $0, &size)
                }
            }
            guard count >= 0 else { return }
            let isOurs = UInt32(bigEndian: address.sin_addr.s_addr) == 0x7F00_0001
            if isOurs, let header = try? RTPHeader(bytes.span.extracting(0..<count)), !(72...76).contains(header.payloadType) {
                if let media, media.payloadType != header.payloadType {
                    return fail(
                        "it sends payload type \(header.payloadType), and \(rule.gives == nil ? "its SDP" : "`gives:`") says \(media.payloadType)"
                            + (rule.gives == nil ? "" : "; write `gives: \(header.payloadType) \(media.map)`"))
                }
                first = (header, Array(bytes[..<count]), UInt16(bigEndian: address.sin_port))
                return attach()
            }
            _ = unsafe recv(results.rtp, &bytes, bytes.count, CInt(MSG_DONTWAIT))
        }
    }

    private func attach() {
        guard let served, let first, phase == .given, !isLeased else { return }
        let stream = served.stream
        let channel = UInt8(truncatingIfNeeded: 2 * output)
        do {
            var map = ChannelMap()
            map[2 * output + 1] = channel + 1
            map[2 * output] = channel
            reports = try EngineSource(port: port, release: {}) { .addFedSource($0, stream, channels: map) }
            if served.counters[output, .packets] == 0 {
                report()
            } else if let handle = reports?.handle {
                // A stream takes a new SSRC for its source when two packets in a row have it: this is one, the next is the same, as
                // received. Before that a report would be told in the time of the run before.
                _ = port.feed(handle, InterleavedHeader.frame(channel: channel, payload: first.bytes))
                isReportDue = true
            }
            let results = results
            isLeased = true
            let source = try EngineSource(port: port, release: { results.close() }) { handle in
                .addDatagramSource(
                    handle, stream, descriptor: results.rtp, channel: channel, peer: Self.loopback, port: first.port)
            }
            source.onEnded = { [weak self] in self?.fail("its socket failed (errno \($0))") }
            sources = [source]
        } catch { return fail("\(error)") }
        let took = port.eventLoop.now - phaseBegan
        patience.answered(output: served.counters[output, .packets])
        enter(.sending)
        timer.every(milliseconds: Self.steadyTick) { [weak self] in self?.look() }
        owner?.runSends(afterMilliseconds: Int(took.nanoseconds / 1_000_000))
    }

    private func detach() {
        for source in sources { source.remove() }
        reports?.remove()
        sources = []
        reports = nil
    }

    private func watch() {
        guard let served else { return }
        let silence = patience.look(
            input: input.counters[track, .packets], output: served.counters[output, .packets], now: port.eventLoop.now)
        if silence > .milliseconds(Int64(rule.silenceMilliseconds)) {
            fail("it has sent nothing for \(Self.seconds(rule.silenceMilliseconds)) while media went in")
        }
    }

    // MARK: Sender reports

    /// Takes the input's reports, which the engine sends here: the program gets them, and the served stream in the program's time.
    private func takeReports() {
        var bytes = [UInt8](repeating: 0, count: 1_500)
        for _ in 0..<16 {
            var address = sockaddr_in()
            var size = socklen_t(MemoryLayout<sockaddr_in>.size)
            let count = unsafe withUnsafeMutablePointer(to: &address) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe recvfrom(feed.rtcp, &bytes, bytes.count, CInt(MSG_DONTWAIT), $0, &size)
                }
            }
            guard count >= 0 else { return }
            // The program's own reports arrive here too.
            guard UInt16(bigEndian: address.sin_port) == feed.rtcpPort else { continue }
            let packet = Array(bytes[..<count])
            var compound = RTCPCompound()
            while let part = try? compound.next(in: packet.span) {
                guard let sender = RTCPSenderReport(part, in: packet.span) else { continue }
                lastReport = (sender, port.eventLoop.now)
                report()
            }
            if let program = Self.loopback.socketAddress(port: inputPort &+ 1, mapped: false) {
                feed.send(packet, from: feed.rtcp, to: program)
            }
        }
    }

    private func report() {
        guard let handle = reports?.handle, let lastReport, let first, let inputFirst, let served else { return }
        let mapping = ReportMapping(
            inputFirst: inputFirst, inputClock: input.track(track)?.plan.clockRate ?? 0, outputFirst: first.header.timestamp,
            outputClock: served.track(output)?.plan.clockRate ?? 0)
        // Told as of now: a moment of the past would look like a clock that was set.
        let passed = UInt64(clamping: (port.eventLoop.now - lastReport.at).nanoseconds)
        let report = mapping.output(lastReport.report.moved(by: passed, clockRate: mapping.inputClock), ssrc: first.header.ssrc)
        let packet = RTCPWriter.senderReport(report, canonicalName: "weir-transform")
        _ = port.feed(handle, InterleavedHeader.frame(channel: UInt8(truncatingIfNeeded: 2 * output + 1), payload: packet))
    }

    // MARK: End

    private func fail(_ words: String) {
        guard phase != .over, phase != .stopping else { return }
        let last = log.lastLine.map { "; it said last: \($0)" } ?? ""
        child.signal(SIGKILL)
        failure = words + last
        enter(.stopping)
        detach()
        reader?.remove()
        killAt = port.eventLoop.now
    }

    private var failure: String?

    private func over(_ end: ChildProcess.End) {
        let now = port.eventLoop.now.uptimeNanoseconds
        for line in log.take(child.read(bytesMax: ProgramLog.readBytesMax)[...], now: now) + log.end(now: now) { owner?.runSaid(line) }
        let last = log.lastLine.map { "; it said last: \($0)" } ?? ""
        let words = failure ?? end.words + last
        let isAsked = onStopped != nil
        phase = .over
        timer.stop()
        child.closeOutput()
        detach()
        if !isLeased { results.close() }
        if let reader { reader.remove() } else { letGoOfFeed() }
        if isAsked {
            onStopped?()
            onStopped = nil
        } else {
            owner?.runEnded(words)
        }
    }

    private func letGoOfFeed() {
        guard let egress else { return feed.close() }
        self.egress = nil
        port.removeEgress(egress)
    }

    private static func seconds(_ milliseconds: Int) -> String {
        milliseconds % 1_000 == 0 ? "\(milliseconds / 1_000) s" : "\(milliseconds) ms"
    }
}

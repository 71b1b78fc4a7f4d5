import Glibc
import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// Stored media as one session is sent it: from its own place, by RTP of its own. Belongs to the event loop.
final class Replay {
    /// What a PLAY asks for.
    struct Wish: Equatable {
        /// Nil: on from where it paused, or from the beginning.
        var microseconds: Int64?
        /// The last that is wanted.
        var end: Int64?
    }

    /// What its answer says.
    struct Beginning {
        var range: RangeHeader
        var tracks: [RTPInfo]
    }

    typealias Reply = (Result<Beginning, RequestRefusal>, _ onFlushed: @escaping () -> Void) -> Void

    /// What it was set up for.
    let recording: Recording
    /// How the reader's request was met.
    let outcome: ProxyOutcome?
    private unowned let session: ServerSession
    private let source: RTSPCachedPull
    private let eventLoop: any EventLoop
    private var clock: ReplayClock
    private var tracks: [SessionTrack] = []
    private var lines: [Line]
    private var outlet: (any ReplayOutlet)?
    private var pump: ReplayPump?
    private var hold: Hold?
    private var pending: Reply?
    private var starts = 0
    private var isAtEnd = false
    /// The last that the PLAY that is met wants.
    private var wantedEnd: Int64?
    private var progress = ReplayProgress()
    /// It was sent to its end, and a PLAY begins it again.
    var isOverForNow: Bool { isAtEnd }
    private var isOver = false
    private let reportTimer: LoopTimer
    private let endTimer: LoopTimer
    /// From the monotonic clock to the wall's, as it was when the session began: reports tell one line.
    private let wallNanoseconds: UInt64
    private(set) var packetsSent: UInt64 = 0
    private(set) var bytesSent: UInt64 = 0

    /// A track's RTP.
    private struct Line {
        let ssrc: UInt32
        var sequence: UInt16
        /// What is added to recorded timestamps, and the one that stands for the media's beginning.
        var shift: UInt32 = 0
        var base: UInt32 = 0
        var packets: UInt32 = 0
        var octets: UInt32 = 0
    }

    /// A recording that is held while it is played.
    private final class Hold {
        let recording: Recording
        init(_ recording: Recording) {
            self.recording = recording
            recording.readerArrived()
        }
        func release() { recording.readerLeft() }
    }

    /// How often reports go out.
    static let reportMilliseconds = 5_000

    init(_ recording: Recording, session: ServerSession, source: RTSPCachedPull, outcome: ProxyOutcome?) {
        self.recording = recording
        self.outcome = outcome
        self.session = session
        self.source = source
        eventLoop = session.server.port.eventLoop
        clock = ReplayClock(clockRates: recording.tracks.map(\.clockRate)) { UInt32.random(in: .min ... .max) }
        let ssrcs = session.description.tracks.map(\.plan.ssrc)
        lines = ssrcs.map { Line(ssrc: $0, sequence: UInt16.random(in: .min ... .max)) }
        reportTimer = LoopTimer(eventLoop)
        endTimer = LoopTimer(eventLoop)
        var time = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &time)
        let wall = UInt64(max(time.tv_sec, 0)) * 1_000_000_000 + UInt64(max(time.tv_nsec, 0))
        wallNanoseconds = wall &- NIODeadline.now().uptimeNanoseconds
        recording.readerArrived()
    }

    var lagMilliseconds: Double { pump?.lagMilliseconds ?? 0 }
    /// Memory that the engine gave it.
    var streamBytes: Int { outlet?.streamBytes ?? 0 }
    private var now: UInt64 { NIODeadline.now().uptimeNanoseconds }

    // MARK: PLAY and PAUSE

    /// PLAY. `reply` is called once, now or when it is known where media begins; what it is given runs when the answer has left.
    func play(_ wish: Wish, _ reply: @escaping Reply) {
        let before = pump
        halt()
        starts += 1
        let number = starts
        pending = reply
        wantedEnd = wish.end
        progress = ReplayProgress()
        if wish.microseconds == nil, let before, !isAtEnd {
            return began(before.recording, from: nil, position: before.position, at: before.reached, end: wish.end)
        }
        isAtEnd = false
        source.open(recording, at: wish.microseconds ?? 0) { [weak self] result in
            guard let self, number == starts, !isOver else { return }
            switch result {
            case .success(let place):
                began(place.recording, from: place.entry, position: place.entry.first, at: place.entry.microseconds, end: wish.end)
            case .failure(let refusal): fail(refusal)
            }
        }
    }

    /// PAUSE.
    func pause() {
        halt()
        fail(.notNow(.play, "PAUSE came in between"))
    }

    /// Tracks were torn down while others play.
    func tracksChanged(_ tracks: [SessionTrack]) { self.tracks = tracks }

    private func halt() {
        starts += 1
        reportTimer.stop()
        endTimer.stop()
        pump?.pause()
        _ = outlet?.flush()
    }

    private func fail(_ refusal: RequestRefusal) {
        let reply = pending
        pending = nil
        reply?(.failure(refusal)) {}
    }

    private func began(_ recording: Recording, from entry: RecordingIndex.Entry?, position: UInt64, at microseconds: Int64, end: Int64?) {
        do { try makeOutlet() } catch {
            return fail((error as? RequestRefusal) ?? .unavailable("\(error)", retryAfterSeconds: 1))
        }
        take(recording)
        clock.begin(at: microseconds, now: now)
        for number in lines.indices where recording.bases.indices.contains(number) {
            lines[number].base = recording.bases[number]
            lines[number].shift = clock.shift(track: number, base: recording.bases[number])
        }
        pump?.stop()
        let pump = ReplayPump(
            recording, from: entry, position: position, reached: microseconds, end: end, isPaced: outlet?.isPaced ?? false,
            eventLoop: eventLoop
        ) { [unowned self] in clock }
        pump.write = { [unowned self] in write($0, $1) }
        pump.flush = { [unowned self] in outlet?.flush() ?? true }
        pump.onEnd = { [unowned self] in ended($0) }
        self.pump = pump
        let infos = tracks.map { track in
            RTPInfo(
                url: track.url, sequence: lines[track.number].sequence, rtpTime: clock.rtpTimeOfBeginning(track: track.number))
        }
        let last = end.map { min($0, recording.endMicroseconds) } ?? max(recording.endMicroseconds, microseconds)
        let range = RangeHeader.npt(start: .microseconds(max(microseconds, 0)), end: .microseconds(max(last, 0)))
        let number = starts
        let reply = pending
        pending = nil
        let begin = { [weak self] in
            guard let self, number == starts, !isOver else { return }
            sendReports()
            pump.start()
        }
        // What goes on by itself has nobody to answer.
        if let reply { reply(.success(Beginning(range: range, tracks: infos)), begin) } else { begin() }
    }

    private func take(_ recording: Recording) {
        guard recording !== hold?.recording else { return }
        let before = hold
        hold = Hold(recording)
        before?.release()
    }

    private func makeOutlet() throws {
        let wanted = session.machine.tracks
        guard outlet == nil || tracks != wanted else { return }
        outlet?.close()
        outlet = nil
        tracks = wanted
        if session.machine.isInterleaved == true {
            guard let connection = session.connection else {
                throw RequestRefusal.unavailable("the connection is gone", retryAfterSeconds: 1)
            }
            outlet = InterleavedReplay(connection, tracks: tracks)
            return
        }
        guard session.server.takesAnotherReplay(tracks: tracks.count) else {
            throw RequestRefusal.unavailable(
                "as many play stored media over UDP as this server has streams for; TCP goes on", retryAfterSeconds: 5)
        }
        let datagrams = try DatagramReplay(host: session.host, tracks: tracks, port: session.server.port) {
            [weak server = session.server] in
            server?.media
        }
        datagrams.onLost = { [weak self] in self?.session.end(.stalled) }
        datagrams.onLagged = { [weak self] cause, packets in
            guard let self else { return }
            session.server.readerLagged(session, cause, packets: packets)
        }
        outlet = datagrams
    }

    // MARK: Media

    private func write(_ number: Int, _ packet: ArraySlice<UInt8>) {
        guard lines.indices.contains(number), tracks.contains(where: { $0.number == number }), packet.count >= RTPHeader.byteCountMin else {
            return
        }
        // A track that begins later may show only then where it lies.
        if let bases = pump?.recording.bases, bases.indices.contains(number), bases[number] != lines[number].base {
            lines[number].base = bases[number]
            lines[number].shift = clock.shift(track: number, base: bases[number])
        }
        var packet = Array(packet)
        let stamp = packet.span.load32(4) &+ lines[number].shift
        let sequence = lines[number].sequence
        var bytes = packet.mutableSpan
        RTPHeader.rewrite(&bytes, sequence: sequence, timestamp: stamp, ssrc: lines[number].ssrc)
        lines[number].sequence = sequence &+ 1
        lines[number].packets &+= 1
        lines[number].octets &+= UInt32(truncatingIfNeeded: packet.count - RTPHeader.byteCountMin)
        packetsSent &+= 1
        bytesSent &+= UInt64(packet.count)
        outlet?.write(number, packet)
    }

    /// The connection takes more.
    func writable() { pump?.resume() }

    private func sendReports() {
        let now = now
        for track in tracks {
            let line = lines[track.number]
            let report = RTCPSenderReport(
                ssrc: line.ssrc, ntp: NTPTime(unixNanoseconds: now &+ wallNanoseconds),
                rtpTimestamp: clock.rtpTime(track: track.number, now: now), packetCount: line.packets, octetCount: line.octets)
            outlet?.report(track.number, RTCPWriter.senderReport(report, canonicalName: session.description.canonicalName))
        }
        reportTimer.start(milliseconds: Self.reportMilliseconds) { [weak self] in self?.sendReports() }
    }

    private func ended(_ end: ReplayPump.End) {
        switch end {
        case .done: allIsSent()
        case .broken(let words):
            // What is whole and cannot be read is of no use to those who come later.
            if let broken = pump?.recording, broken.state == .whole { source.dropped(broken) }
            let reached = pump?.reached ?? 0
            guard progress.goesOn(from: reached) else {
                session.server.logger.notice(
                    "the origin has nothing behind a place of a recording that is to be longer",
                    metadata: [
                        "path": "\(session.path.name)", "session": "\(session.id.prefix(6))",
                        "seconds": "\((Double(max(reached, 0)) / 1e6).tenths)", "why": "\(words)",
                    ])
                return allIsSent()
            }
            session.server.logger.notice(
                "the rest of a recording is asked of the origin for one reader",
                metadata: ["path": "\(session.path.name)", "session": "\(session.id.prefix(6))", "why": "\(words)"])
            let number = starts
            source.openPrivate(recording, at: reached) { [weak self] result in
                guard let self, number == starts, !isOver else { return }
                switch result {
                case .success(let place):
                    began(place.recording, from: place.entry, position: place.entry.first, at: place.entry.microseconds, end: wantedEnd)
                case .failure: session.end(.streamEnded)
                }
            }
        }
    }

    private func allIsSent() {
        isAtEnd = true
        // The last picture is to be seen as long as it lasts.
        let due = NIODeadline.uptimeNanoseconds(clock.due(pump?.recording.endMicroseconds ?? 0))
        let number = starts
        endTimer.start(at: max(min(due, .now() + .milliseconds(Self.lastMilliseconds)), .now())) { [weak self] in
            guard let self, number == starts else { return }
            outlet?.whenLeft { [weak self] in
                guard let self, number == starts, !isOver else { return }
                reportTimer.stop()
                sayGoodbye()
            }
        }
    }

    /// The end comes at most so long after the last packet.
    private static let lastMilliseconds: Int64 = 3_000

    private func sayGoodbye() {
        for track in tracks {
            let goodbye = RTCPWriter.goodbye(from: lines[track.number].ssrc, canonicalName: session.description.canonicalName)
            outlet?.report(track.number, goodbye)
        }
        _ = outlet?.flush()
    }

    /// The session is over.
    func end(saysGoodbye: Bool) {
        guard !isOver else { return }
        isOver = true
        halt()
        if saysGoodbye, !isAtEnd { sayGoodbye() }
        fail(.sessionNotFound(session.id))
        pump?.stop()
        pump = nil
        outlet?.close()
        outlet = nil
        hold?.release()
        hold = nil
        recording.readerLeft()
    }
}

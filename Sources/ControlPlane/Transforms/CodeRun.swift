import Glibc
import NIOCore
import PlaneLink
import WireFormats

/// One run of a ``TrackTransform``: its thread, what it is given and what comes out.
///
/// A connection within the process each way: the engine writes the track of `input` to one as to any interleaved reader, and reads the other
/// as an interleaved source of the served stream. So the packet path knows nothing of it, and what waits has its bounds.
final class CodeRun: TransformRun {
    weak var owner: (any TransformRunOwner)?
    private(set) var packetsMissed: UInt64 = 0
    private let rule: TransformRule
    private let input: StreamDescription
    private let track: Int
    private let port: EnginePort
    private let thread: TransformThread
    private let timer: LoopTimer

    private enum Phase { case starting, arming, given, sending, stopping, over }
    private var phase = Phase.starting
    private var phaseBegan: NIODeadline
    private var patience: TransformPatience
    /// The engine's ends, while they are this run's to close.
    private var feed: CInt?
    private var results: CInt?
    private var reader: Subscription?
    private var source: EngineSource?
    private var served: StreamDescription?
    /// The served stream's track.
    private var output = 0
    private var first: [UInt8]?
    private var failure: String?
    private var givenUpAt: NIODeadline?
    private var onStopped: (() -> Void)?

    private static let startTick = 20
    private static let steadyTick = 100
    private static let keyFrameMilliseconds: Int64 = 10_000

    /// A transform that cannot be begun, in words.
    struct Trouble: Error, CustomStringConvertible { let description: String }

    /// Starts the thread; throws what the user should know.
    init(
        rule: TransformRule, make: RelayExtensions.TransformMaker?, input: StreamDescription, track: Int, pathName: String,
        port: EnginePort
    ) throws {
        guard let make else { throw Trouble(description: "nothing of that name is registered") }
        guard TransformThread.mayBegin else {
            throw Trouble(
                description:
                    "\(TransformThread.hangingMax) transforms of this process hang already, and none is begun before one comes back")
        }
        guard let place = input.tracks.firstIndex(where: { $0.number == track }), let format = TrackFormat(input.sdp, media: place) else {
            throw Trouble(description: "the source does not say what the track carries (no a=rtpmap)")
        }
        let (feed, results) = try Self.pipes(bytes: rule.queueBytes)
        self.rule = rule
        self.input = input
        self.track = track
        self.port = port
        self.feed = feed.reader
        self.results = results.source
        thread = TransformThread(input: feed.source, output: results.reader)
        timer = LoopTimer(port.eventLoop)
        phaseBegan = port.eventLoop.now
        patience = TransformPatience(now: phaseBegan)
        let number = input.map.taken.first { $0.track == track }?.place ?? place
        thread.start(TransformInput(path: pathName, track: number, format: format), make)
        timer.every(milliseconds: Self.startTick) { [weak self] in self?.look() }
    }

    private static func pipes(bytes: Int) throws -> (feed: LoopbackPipe, results: LoopbackPipe) {
        let feed = try LoopbackPipe()
        let results: LoopbackPipe
        do { results = try LoopbackPipe() } catch {
            close(feed.reader)
            close(feed.source)
            throw error
        }
        for descriptor in [feed.reader, feed.source, results.reader, results.source] {
            // The kernel doubles it, for its own overhead; half at each end of the connection.
            BoundSocket.set(descriptor, SOL_SOCKET, SO_SNDBUF, CInt(clamping: bytes / 2))
            BoundSocket.set(descriptor, SOL_SOCKET, SO_RCVBUF, CInt(clamping: bytes / 2))
        }
        for descriptor in [feed.source, results.reader] { _ = fcntl(descriptor, F_SETFL, 0) }
        return (feed, results)
    }

    var process: Int32? { nil }
    var linesSuppressed: UInt64 { 0 }
    var isHanging: Bool { thread.isHanging }
    var isAttached: Bool { source != nil }

    // MARK: What the owner wants

    func serve(_ served: StreamDescription, track: Int) {
        self.served = served
        output = track
        attach()
    }

    func sourceChanged() { thread.sourceChanged() }

    func stop(_ done: @escaping () -> Void) {
        guard phase != .over else { return done() }
        onStopped = done
        windDown()
    }

    private func windDown() {
        guard phase != .stopping else { return }
        enter(.stopping)
        detach()
        thread.stop()
        givenUpAt = port.eventLoop.now + .milliseconds(Int64(rule.stopMilliseconds))
        timer.every(milliseconds: Self.startTick) { [weak self] in self?.look() }
    }

    private func fail(_ words: String) {
        guard phase != .over, phase != .stopping else { return }
        failure = words
        windDown()
    }

    /// The engine noticed an end, which mostly is the thread's; that one knows more.
    private func cutOff(_ words: String) {
        look()
        fail(words)
    }

    // MARK: Looking after it

    private func enter(_ phase: Phase) {
        self.phase = phase
        phaseBegan = port.eventLoop.now
    }

    private func isLate(_ milliseconds: Int) -> Bool { port.eventLoop.now - phaseBegan > .milliseconds(Int64(milliseconds)) }

    private func look() {
        let news = thread.takeNews()
        if let format = news.described, phase == .starting { described(format) }
        if let frame = news.first { first = frame }
        if let end = news.end { return over(end) }
        let packets = input.counters[track, .packets]
        switch phase {
        case .starting:
            if isLate(rule.startMilliseconds) { fail("it is not made after \(Self.seconds(rule.startMilliseconds))") }
        case .arming:
            if isLate(Int(Self.keyFrameMilliseconds)), patience.grew(input: packets) {
                // Some streams have no key frames that we know.
                _ = reader?.arm(now: true)
            }
        case .given:
            attach()
            if phase == .given { watch(packets, rule.startMilliseconds) }
        case .sending: watch(packets, rule.silenceMilliseconds)
        case .stopping:
            if let givenUpAt, port.eventLoop.now >= givenUpAt {
                thread.abandon()
                over(nil)
            }
        case .over: break
        }
    }

    private func watch(_ packets: UInt64, _ milliseconds: Int) {
        if thread.busyNanoseconds > UInt64(milliseconds) * 1_000_000 {
            return fail("it has been at one packet for \(Self.seconds(milliseconds))")
        }
        let sent = phase == .sending ? served?.counters[output, .packets] : nil
        if patience.look(input: packets, output: sent, now: port.eventLoop.now) > .milliseconds(Int64(milliseconds)) {
            fail("it has sent nothing for \(Self.seconds(milliseconds)) while media went in")
        }
    }

    private func described(_ format: TrackFormat) {
        do throws(ValueProblem) {
            let media = try format.given()
            owner?.runDescribed(media)
        } catch { return fail("what it says that comes out cannot be: \(error.text)") }
        guard phase == .starting, let descriptor = feed else { return }
        enter(.arming)
        var channels = ChannelMap()
        channels[2 * track] = TransformOutput.media
        channels[2 * track + 1] = TransformOutput.reports
        do {
            feed = nil
            let reader = try Subscription.interleaved(port: port, stream: input.stream, descriptor: descriptor, channels: channels)
            self.reader = reader
            reader.onJoined = { [weak self] _ in self?.joined() }
            reader.onFailed = { [weak self] in self?.cutOff("it is too slow: the engine gave it up (\($0))") }
            reader.onLagged = { [weak self] in self?.packetsMissed &+= UInt64($1) }
            guard reader.arm(now: input.track(track)?.plan.codec == .opaque) else { throw EnginePort.Refusal.queueFull }
        } catch { return fail("\(error)") }
        _ = patience.grew(input: input.counters[track, .packets])
        owner?.runListens()
    }

    private func joined() {
        guard phase == .arming else { return }
        enter(.given)
        patience.begin(input: input.counters[track, .packets], now: phaseBegan)
        if reader?.go() != true { fail("\(EnginePort.Refusal.queueFull)") }
    }

    private func attach() {
        guard let served, let first, phase == .given, let descriptor = results else { return }
        let stream = served.stream
        var channels = ChannelMap()
        channels[2 * output] = TransformOutput.media
        channels[2 * output + 1] = TransformOutput.reports
        // A stream takes a new SSRC for its source when two packets in a row have it: this is one, the next is the same, as written.
        let prefix = LinkBuffer(served.counters[output, .packets] == 0 ? [] : first)
        do {
            results = nil
            let source = try EngineSource(port: port, release: { close(descriptor) }) { handle in
                .addInterleavedSource(handle, stream, descriptor: descriptor, channels: channels, prefix: prefix)
            }
            self.source = source
            source.onEnded = { [weak self] _ in self?.cutOff("its connection within the relay ended") }
        } catch {
            prefix.free()
            return fail("\(error)")
        }
        let took = port.eventLoop.now - phaseBegan
        patience.answered(output: served.counters[output, .packets])
        enter(.sending)
        timer.every(milliseconds: Self.steadyTick) { [weak self] in self?.look() }
        owner?.runSends(afterMilliseconds: Int(took.nanoseconds / 1_000_000))
    }

    private func detach() {
        source?.remove()
        reader?.remove()
        reader = nil
    }

    private func over(_ words: String?) {
        guard phase != .over else { return }
        phase = .over
        timer.stop()
        detach()
        for descriptor in [feed, results] { if let descriptor { close(descriptor) } }
        feed = nil
        results = nil
        if let done = onStopped {
            onStopped = nil
            done()
        } else {
            owner?.runEnded(failure ?? words ?? "it ended")
        }
    }

    private static func seconds(_ milliseconds: Int) -> String {
        milliseconds % 1_000 == 0 ? "\(milliseconds / 1_000) s" : "\(milliseconds) ms"
    }
}

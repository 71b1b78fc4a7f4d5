import Logging
import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// A source that code of the program that embeds Weir dials (``SourceDial``).
final class DialledSource: PathSource {
    private let url: CustomURL
    private let dialler: RelayExtensions.SourceDialler
    private let settings: PathSettings
    private let port: EnginePort
    private let logger: Logger
    private weak var host: (any PathSourceHost)?

    private let pursuit = LevelPursuit()
    private var dial: SourceDial?
    private var task: Task<Void, Never>?
    /// Since when a dial that was given up has not come back; nil: none is.
    private var lingeringSince: NIODeadline?
    private var description: StreamDescription?
    private var source: EngineSource?
    private var packets: UInt64 = 0
    private var heardAt: NIODeadline
    private let redial: Redial
    private let watch: LoopTimer
    private var lastWords = "not dialled"
    /// The next dial waits for the one before.
    private var isHeldUp = false
    private var isStopped = false

    private static let watchMilliseconds = 500
    /// How long the code of a dial may take to come back before that is a failure of the next one.
    private static let lingerMillisecondsMax: Int64 = 2_000

    /// A source that is not dialled yet.
    init(
        url: CustomURL, dialler: @escaping RelayExtensions.SourceDialler, settings: PathSettings, port: EnginePort,
        host: any PathSourceHost, logger: Logger
    ) {
        self.url = url
        self.dialler = dialler
        self.settings = settings
        self.port = port
        self.host = host
        self.logger = logger
        redial = Redial(port.eventLoop, host: host)
        watch = LoopTimer(port.eventLoop)
        heardAt = port.eventLoop.now
        redial.onDue = { [weak self] in
            guard let self else { return }
            want(pursuit.level)
        }
    }

    private var now: NIODeadline { port.eventLoop.now }

    var words: String {
        guard dial != nil else { return lastWords }
        if source != nil { return "playing" }
        return description == nil ? "waiting for its description" : "described"
    }

    var nextTry: NIODeadline? { dial == nil ? redial.next : nil }

    func saidGoodbye() { failed("the source said goodbye (RTCP BYE)") }

    func want(_ level: SourceLevel) { pursuit.want(level, pursue) }

    func stop(_ done: @escaping () -> Void) {
        isStopped = true
        pursuit.end()
        redial.stop()
        hangUp()
        done()
    }

    private func pursue(_ goal: SourceLevel) {
        guard !isStopped else { return }
        if goal == .idle {
            redial.stop()
            redial.forgetWaiters()
            hangUp()
            lastWords = "not dialled"
            host?.sourceReleased()
            return
        }
        // One dial is for one playing: as a server is told by TEARDOWN.
        if goal == .described, source != nil { hangUp() }
        if dial == nil, redial.isWaiting { redial.hurry() } else if dial == nil { begin() }
        if goal == .playing, source == nil, description != nil { play() }
    }

    // MARK: One dial

    private func begin() {
        if let lingeringSince {
            lastWords = "the dial before is ending"
            let deadline = lingeringSince + .milliseconds(Self.lingerMillisecondsMax)
            isHeldUp = true
            return now < deadline ? redial.wait(until: deadline) : failed("the dial before has not come back yet")
        }
        isHeldUp = false
        redial.dialled()
        logger.info("dialling", metadata: ["source": "\(url)"])
        let loop = port.eventLoop, door = port.door
        let me = NIOLoopBound(Weak(self), eventLoop: loop)
        let number = NIOLoopBound(Serial(), eventLoop: loop)
        let dial = SourceDial(
            url: url.text, path: settings.name,
            onDescribed: { tracks in
                door.submit {
                    guard let source = me.value.source, source.serial === number.value else { throw SourceError.ended }
                    try source.described(tracks)
                }
            },
            onFrames: {
                door.post {
                    guard let source = me.value.source, source.serial === number.value else { return }
                    source.drain()
                }
            })
        serial = number.value
        self.dial = dial
        heardAt = now
        watch.every(milliseconds: Self.watchMilliseconds) { [weak self] in self?.look() }
        let dialler = dialler
        task = Task.detached {
            var words = "its code returned"
            do { try await dialler(dial) } catch { words = PeerWords.printable(String("\(error)".prefix(400))) }
            dial.end()
            // The relay may have ended long since: its code comes back when it likes.
            door.post { [words] in me.value.source?.returned(number.value, words) }
        }
    }

    private var serial: Serial?

    /// Tells one dial from another.
    private final class Serial {}

    private struct Weak {
        weak var source: DialledSource?
        init(_ source: DialledSource) { self.source = source }
    }

    private func described(_ tracks: [TrackFormat]) throws {
        guard let host, let dial else { throw SourceError.ended }
        // What was sent before is of the tracks as they were.
        drain()
        do throws(ValueProblem) {
            let sdp = try Self.sdp(tracks)
            do {
                let before = description
                description = try host.sourceDescribed(sdp)
                if description?.stream != before?.stream || description?.version != before?.version { detach() }
            } catch { throw ValueProblem("\(error)") }
        } catch { throw SourceError.refused(error.text) }
        dial.takes(tracks)
        want(pursuit.level)
    }

    /// What a description of these tracks says; throws what is wrong with it.
    static func sdp(_ tracks: [TrackFormat]) throws(ValueProblem) -> SessionDescription {
        guard (1...tracksPerStreamMax).contains(tracks.count) else {
            throw ValueProblem("it describes \(tracks.count) tracks; a stream has 1 to \(tracksPerStreamMax)")
        }
        var media: [MediaDescription] = []
        for (number, track) in tracks.enumerated() {
            let empty = MediaDescription(kind: track.kind, formats: [], lines: [.attribute("control", "track\(number)")])
            do throws(ValueProblem) { media.append(try track.given().replacing(empty)) } catch {
                throw ValueProblem("track \(number): \(error.text)")
            }
        }
        return SessionDescription(
            lines: [
                SDPLine("v", "0"), SDPLine("o", "- 0 0 IN IP4 127.0.0.1"), SDPLine("s", "-"), SDPLine("c", "IN IP4 127.0.0.1"),
                SDPLine("t", "0 0"),
            ], media: media)
    }

    private func play() {
        guard let dial, let description, let host else { return }
        host.mediaBegins()
        let stream = description.stream
        do {
            source = try port.adding(to: description) {
                try EngineSource(port: port, release: {}) { .addFedSource($0, stream, channels: description.map.channels) }
            }
        } catch { return failed("\(error)") }
        heardAt = now
        dial.play()
        host.sourcePlays()
    }

    private func drain() {
        guard let dial else { return }
        let (frames, packets) = dial.take()
        guard let handle = source?.handle, !frames.isEmpty else { return }
        // What the engine cannot take now is lost, as on a network.
        _ = port.feed(handle, frames)
        heardAt = now
        if self.packets == 0 {
            redial.succeeded()
        }
        self.packets = packets
    }

    private func look() {
        guard dial != nil, description == nil || source != nil else { return }
        let limit = settings.silenceMilliseconds
        guard now - heardAt > .milliseconds(Int64(limit)) else { return }
        failed(description == nil ? "it described nothing for \(limit / 1_000) s" : "it sent nothing for \(limit / 1_000) s")
    }

    private func returned(_ number: Serial, _ words: String) {
        if number === serial { failed(words) }
        lingeringSince = nil
        guard number !== serial, dial == nil, pursuit.level > .idle, isHeldUp else { return }
        redial.stop()
        want(pursuit.level)
    }

    // MARK: Its end

    private func failed(_ words: String) {
        lastWords = words
        hangUp()
        guard !isStopped, pursuit.level > .idle else { return }
        host?.sourceFailed(words)
        redial.wait(nanoseconds: redial.failed())
    }

    private func detach() {
        source?.remove()
        source = nil
    }

    private func hangUp() {
        watch.stop()
        detach()
        description = nil
        packets = 0
        serial = nil
        guard let ended = dial else { return }
        dial = nil
        lingeringSince = now
        ended.end()
        task?.cancel()
        task = nil
    }
}

import Logging
import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// Takes stored media from its origin into a recording: one that is kept, or a window for one reader. Belongs to the event loop.
final class RecordingMaker {
    let recording: Recording
    /// It ended, whole or not.
    var onEnded: (() -> Void)?
    /// The origin began to send, and said which timestamps stand for the media's beginning.
    var onBegan: ((_ bases: [UInt32]) -> Void)?
    /// The origin has another version now, or says something else of it: nothing was asked for. ``onEnded`` follows.
    var onChanged: (() -> Void)?

    let pull: RecordingPull
    private let eventLoop: any EventLoop
    private let logger: Logger
    private let isWindow: Bool
    private var timeline: RecordingTimeline?
    private var isOver = false
    private var hasNews = false
    private(set) var isDetached = false
    private var coverage: RecordingCoverage

    init(_ recording: Recording, pull: RecordingPull, isWindow: Bool, eventLoop: any EventLoop, logger: Logger) {
        self.recording = recording
        self.pull = pull
        self.isWindow = isWindow
        coverage = RecordingCoverage(
            microseconds: recording.microseconds, kinds: recording.tracks.map { recording.description.media[$0.media].kind })
        self.eventLoop = eventLoop
        self.logger = logger
    }

    /// Begins: dials, or has media sent by a connection that has described itself just now.
    func start() {
        recording.begins()
        pull.onPlays = { [weak self] in self?.began($0) }
        pull.onFrame = { [weak self] in self?.take($2, track: $0, isReport: $1) }
        pull.onRead = { [weak self] in self?.read() }
        pull.onEnded = { [weak self] end in
            if case .over = end { self?.isSilentAtEnd = true }
            self?.ended(end.words)
        }
        recording.onConsumed = { [weak self] in self?.balance() }
        recording.log.onStored = { [weak self] in self?.balance() }
        pull.mayBeOver = { [weak self] in self?.coverage.reachesEnd ?? false }
        guard !pull.isDescribed else { return play() }
        pull.onDescribed = { [weak self] sdp, words in
            guard let self else { return }
            // What readers were described is what they are sent. What is kept is so by what the origin said; a part for one reader is not kept.
            guard words.tag(of: sdp) == recording.tag, isWindow || words == recording.words else {
                onChanged?()
                return ended(Self.changedWords)
            }
            play()
        }
        pull.dial()
    }

    /// Why nothing comes from an origin that has another version.
    static let changedWords = "the origin has something else now; describe it anew"

    private func play() { pull.play(places: recording.tracks.map(\.place)) }

    /// Nobody new is given what it makes.
    func detach() { isDetached = true }

    /// Ends it before the origin did: what may be missing at its end is not known.
    func stop() {
        wasStopped = true
        ended("it was stopped")
    }

    private var wasStopped = false
    private var isSilentAtEnd = false

    private func began(_ beginning: RecordingPull.Beginning) {
        // Without timestamps of one moment nobody knows how the tracks lie to each other.
        guard recording.tracks.count == 1 || beginning.tracks.allSatisfy({ $0?.rtpTime != nil }) else {
            return ended("the server does not say which timestamps its media begins with (RTP-Info)")
        }
        self.beginning = beginning
        if beginning.tracks.allSatisfy({ $0?.rtpTime != nil }) { align([]) }
    }

    private var beginning: RecordingPull.Beginning?

    /// Where the tracks lie; of a single track without a word of the server the first packet is where it begins.
    private func align(_ packet: [UInt8]) {
        guard let beginning, timeline == nil else { return }
        let first = (try? RTPHeader(packet.span))?.timestamp
        var beginnings: [RecordingTimeline.Beginning] = []
        for (track, info) in zip(recording.tracks, beginning.tracks) {
            guard let time = info?.rtpTime ?? first else { return }
            beginnings.append(
                RecordingTimeline.Beginning(
                    clockRate: track.clockRate, codec: track.codec.keyFrameCodec, rtpTime: time))
        }
        let timeline = RecordingTimeline(beginnings, from: beginning.microseconds, isLenient: isWindow)
        self.timeline = timeline
        recording.begins(bases: timeline.tracks.map(\.base))
        onBegan?(recording.bases)
    }

    private func take(_ bytes: [UInt8], track: Int, isReport: Bool) {
        if timeline == nil, !isReport { align(bytes) }
        guard timeline != nil else { return }
        if isReport {
            if timeline?.take(report: bytes.span, track: track) == true { ended("the origin said goodbye before the end") }
            return
        }
        let corrections = timeline?.corrections
        guard let record = timeline?.take(bytes.span, track: track) else { return }
        if let timeline, timeline.corrections != corrections { recording.begins(bases: timeline.tracks.map(\.base)) }
        recording.append(record, bytes)
        coverage.take(track, at: record.microseconds)
        hasNews = true
    }

    private func read() {
        guard hasNews else { return }
        hasNews = false
        recording.changed()
        balance()
    }

    /// Takes from the origin no faster than it goes on.
    private func balance() {
        // What cannot be kept is of use to those alone who play it.
        guard isWindow || recording.readers > 0 || recording.log.trouble == nil else { return stop() }
        let most = isWindow ? RecordingLog.windowBytes : RecordingLog.heldBytesMax / 2
        if recording.log.trouble == nil || isWindow, recording.log.held > most { pull.hold() } else { pull.release() }
    }

    private func ended(_ words: String) {
        guard !isOver else { return }
        isOver = true
        pull.close()
        recording.onConsumed = nil
        onChanged = nil
        recording.log.onStored = nil
        let gaps = timeline?.gaps ?? 0
        let missing = isWindow ? nil : coverage.trouble(goodbyes: timeline?.tracks.map(\.saidGoodbye) ?? [], isSilent: isSilentAtEnd)
        if coverage.reachesEnd, gaps == 0 || isWindow, isWindow || !wasStopped {
            let index = recording.ends()
            if let missing {
                // Those who play it have had what there is.
                recording.unfitness = missing
                giveUp(missing)
            } else if isDetached {
                recording.log.abandon()
            } else if !isWindow {
                // A window has no end that anybody looks at.
                recording.log.append(index)
                recording.log.finish { [recording, logger] in Self.finished(recording, $0, logger) }
            }
        } else {
            let why = gaps > 0 && coverage.reachesEnd ? "\(gaps) packets are missing" : words
            recording.breaks(why)
            giveUp(why)
        }
        recording.changed()
        let onEnded = onEnded
        self.onEnded = nil
        onEnded?()
    }

    private func giveUp(_ why: String) {
        recording.log.abandon()
        guard !isWindow else { return }
        logger.notice(
            "a recording is not kept",
            metadata: [
                "why": "\(why)", "seconds": "\((Double(max(recording.reach, 0)) / 1e6).tenths)",
                "of": "\((Double(recording.microseconds) / 1e6).tenths)",
            ])
    }

    private static func finished(_ recording: Recording, _ error: (any Error)?, _ logger: Logger) {
        if let error {
            recording.log.abandon()
            logger.warning("a recording is not kept", metadata: ["why": "\(error)"])
        } else {
            logger.info(
                "a recording is whole",
                metadata: ["seconds": "\((Double(recording.microseconds) / 1e6).tenths)", "bytes": "\(recording.log.end)"])
        }
        recording.onSettled?()
    }
}

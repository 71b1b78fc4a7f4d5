import Logging
import NIOCore
import Signalling
import WireFormats

/// Where a reader's place is to be had: in what is here, in what is about to come, or from the origin for it alone.
extension RTSPCachedPull {
    /// A place that is no further ahead of a recording than this is waited for. Others are played from the origin, one to one: nobody
    /// waits half a film for the second half, and what is recorded stays in one piece.
    static let waitMicroseconds: Int64 = 5_000_000
    /// Places that are played from the origin, one to one, at a time.
    static let windowsMax = 16
    /// How long a place may take to come.
    static let placeMilliseconds = 10_000

    /// Finds a place; `done` is called once.
    func open(_ recording: Recording, at microseconds: Int64, _ done: @escaping (Result<Place, RequestRefusal>) -> Void) {
        begin(recording)
        switch recording.state {
        case .whole:
            guard let entry = recording.index.place(for: microseconds) else { return openPrivate(recording, at: microseconds, done) }
            done(.success((recording, entry)))
        case .broken: openPrivate(recording, at: microseconds, done)
        // The origin had something else before anybody played it.
        case .described: openPrivate(recording, at: microseconds, done)
        case .growing:
            guard microseconds <= max(recording.reach, 0) + Self.waitMicroseconds else {
                return openPrivate(recording, at: microseconds, done)
            }
            PlaceWait(recording, microseconds, eventLoop) { [weak self] entry in
                guard let self else { return done(.failure(.unavailable("Weir stops", retryAfterSeconds: 5))) }
                if let entry { done(.success((recording, entry))) } else { openPrivate(recording, at: microseconds, done) }
            }.look()
        }
    }

    /// The same from the origin, for one reader alone.
    func openPrivate(_ recording: Recording, at microseconds: Int64, _ done: @escaping (Result<Place, RequestRefusal>) -> Void) {
        guard windows.count < Self.windowsMax else {
            return done(
                .failure(
                    .unavailable(
                        "\(Self.windowsMax) readers play parts of this from the origin that are not here; try again later",
                        retryAfterSeconds: 5)))
        }
        let window = Recording(
            recording.description, recording.words, microseconds: recording.microseconds, tracks: recording.tracks, isWindow: true)
        let maker = RecordingMaker(window, pull: makePull(from: microseconds), isWindow: true, eventLoop: eventLoop, logger: logger)
        let id = ObjectIdentifier(maker)
        windows[id] = maker
        maker.onEnded = { [weak self] in self?.windows[id] = nil }
        maker.onChanged = { [weak self] in self?.changed(recording) }
        // Held until the place is known: then by whoever plays it.
        window.readerArrived()
        window.onUnused = { [weak maker] in maker?.stop() }
        logger.info("a part is played from the origin for one reader", metadata: ["seconds": "\((Double(microseconds) / 1e6).tenths)"])
        maker.start()
        PlaceWait(window, nil, eventLoop) { entry in
            if let entry {
                done(.success((window, entry)))
            } else {
                var words = "the origin does not send from there"
                if case .broken(let why) = window.state { words += ": \(why)" }
                done(.failure(.unavailable(words, retryAfterSeconds: 5)))
            }
            window.readerLeft()
        }.look()
    }

    // MARK: Recording

    /// Begins to record what is only described, with the origin's beginning; once.
    func begin(_ recording: Recording) {
        guard recording.state == .described, isCurrent(recording) else { return }
        let pull = takeWarm(for: recording) ?? makePull()
        let maker = RecordingMaker(recording, pull: pull, isWindow: false, eventLoop: eventLoop, logger: logger)
        self.maker = maker
        maker.onChanged = { [weak self] in self?.changed(recording) }
        maker.onBegan = { [weak self, weak maker] bases in
            guard let self, let maker, isCurrent(recording) else { return }
            let wasChallenged = maker.pull.wasChallenged
            guard mayKeep(recording, wasChallenged: wasChallenged) else { return }
            var words = recording.words
            words.wasChallenged = wasChallenged
            keep(recording, bases, words)
        }
        maker.onEnded = { [weak self, weak maker] in
            guard let self, self.maker === maker else { return }
            self.maker = nil
            if recording.isUseless { dropped(recording) }
        }
        recording.onSettled = { [weak self] in self?.rest() }
        recording.onUnused = { [weak self, weak maker] in
            guard let self, let maker, recording.state == .growing else { return }
            let goesOn =
                switch settings.fill {
                case .finish: true
                case .stop: false
                case .auto: recording.reach >= recording.microseconds / 4
                }
            if !goesOn || maker.isDetached { maker.stop() }
        }
        logger.info("recording", metadata: ["source": "\(settings.url)", "seconds": "\((Double(recording.microseconds) / 1e6).tenths)"])
        maker.start()
    }

    private func keep(_ recording: Recording, _ bases: [UInt32], _ words: OriginWords) {
        let tracks = zip(recording.tracks, bases).map { RecordingHead.Track(media: $0.media, clockRate: $0.clockRate, base: $1) }
        let head = RecordingHead(microseconds: recording.microseconds, tracks: tracks, description: recording.description)
        guard let store else { return }
        recording.log.awaitStorage()
        store.create(key, url: "\(settings.url)", head: head.serialized(), words: words) { [weak self, weak recording] result in
            guard let recording else {
                if case .success(let storage) = result { storage.abandon() }
                return
            }
            switch result {
            case .success(let storage):
                if recording.isUseless { storage.abandon() } else { recording.log.keep(in: storage) }
            case .failure(let error):
                self?.logger.warning("a recording is not kept", metadata: ["why": "\(error)"])
                recording.log.fails(error)
            }
        }
    }
}

/// Waits until a recording reaches a place.
private final class PlaceWait {
    private let recording: Recording
    private let microseconds: Int64?
    private let timer: LoopTimer
    private var done: ((RecordingIndex.Entry?) -> Void)?

    /// `done` gets the place, or nil where it will not come. Without `microseconds` it is the first there is.
    init(_ recording: Recording, _ microseconds: Int64?, _ eventLoop: any EventLoop, _ done: @escaping (RecordingIndex.Entry?) -> Void) {
        self.recording = recording
        self.microseconds = microseconds
        self.done = done
        timer = LoopTimer(eventLoop)
        timer.start(milliseconds: RTSPCachedPull.placeMilliseconds) { [self] in finish(nil) }
    }

    func look() {
        guard done != nil else { return }
        if let entry = recording.index.place(for: microseconds ?? 0), recording.reach >= microseconds ?? 0 || recording.state == .whole {
            return finish(entry)
        }
        if case .broken = recording.state { return finish(nil) }
        if recording.state == .whole { return finish(nil) }
        recording.whenChanged { [self] in look() }
    }

    private func finish(_ entry: RecordingIndex.Entry?) {
        timer.stop()
        let done = done
        self.done = nil
        done?(entry)
    }
}

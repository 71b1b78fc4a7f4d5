import NIOCore
import Signalling
import WireFormats

/// Content that is brought into the cache before anybody asks for it: a reader that wants all of it in turn, as fast as it comes, and looks at none
/// of it. What an RTSP server plays is recorded as for its first reader. Belongs to the event loop.
final class CachePrefetch {
    /// How far it is.
    private(set) var answer = PrefetchAnswer()
    /// It is over, well or not.
    var onEnd: (() -> Void)?

    private let path: Path
    private let eventLoop: any EventLoop
    private let timer: LoopTimer
    private var reader: SupplyReader?
    private var file: WindowsMediaFile?
    private var recording: Recording?
    private var wasHere = false
    /// The way through a playlist, entry by entry; and packets of those before.
    private var list: PlaylistReader?
    private var packetsBefore = 0
    private var abandon: (() -> Void)?
    private var isInterested = false
    private var beganWriting = NIODeadline.now()

    /// How long what came last may take until it is on the disk, in seconds; and how often that is looked at.
    private static let writeSecondsMax: Int64 = 30
    private static let lookMilliseconds = 50

    /// Content of a path whose source is elsewhere.
    init(id: Int, path: Path, url: String, eventLoop: any EventLoop) {
        self.path = path
        self.eventLoop = eventLoop
        timer = LoopTimer(eventLoop)
        answer.id = id
        answer.url = PeerWords.printable(url)
    }

    /// Begins.
    func start() {
        guard answer.state == .waiting else { return }
        answer.state = .asking
        isInterested = true
        path.readerArrived()
        if let proxy = path.windowsMediaProxy { return ask(proxy) }
        // An RTSP server has to say first what it has.
        path.describe().assumeIsolated().whenComplete { [weak self] result in
            guard let self, answer.state == .asking else { return }
            if let proxy = path.windowsMediaProxy { return ask(proxy) }
            if case .failure(let error) = result { return fail("\(error)") }
            guard let pull = path.cachedPull else {
                return fail("what an RTSP server plays is kept with `cache: yes` at its path, and /\(path.name) does not say so")
            }
            record(pull)
        }
    }

    private func ask(_ proxy: WindowsMediaProxy) {
        let ask = ProxyAsk(dialect: .wmsp, stage: .play)
        abandon = proxy.content(for: ask, of: path) { [weak self] result in
            guard let self, answer.state == .asking else { return }
            abandon = nil
            switch result {
            case .failure(let error): fail("\(error)")
            case .success(.file(let file)): begin(file)
            case .success(.playlist(let start)):
                list = start.reader
                if let kept = start.reader.run.kept { (answer.packetsInAll, answer.bytesInAll) = kept.inAll }
                begin(start.opened)
            case .success(.live):
                fail("it is no file that each player gets from its beginning, so nothing can be kept of it")
            }
        }
    }

    /// Ends it; what has come stays.
    func stop(_ words: String = "it was given up") { if !answer.state.isFinal { fail(words) } }

    private func begin(_ entry: OpenedEntry) {
        _ = list?.run.begin()
        if case .file(let file) = entry.media { begin(file) } else { fail("an entry of it is live") }
    }

    /// The entry is whole: goes on to the next one.
    private func goOn(_ list: PlaylistReader) {
        packetsBefore = answer.packets
        if let reader { file?.supply?.left(reader) }
        reader = nil
        switch list.run.plan(at: .now()) {
        case .open(let entry):
            list.run.kept?.open(entry) { [weak self] result in
                guard let self, answer.state == .fetching else { return }
                switch result {
                case .success(let opened): begin(opened)
                case .failure(let why): fail(why.description)
                }
            }
        case .wait, .finished: end(.kept, "all of its entries are here")
        }
    }

    private func begin(_ file: WindowsMediaFile) {
        answer.outcome = file.proxied?.outcome.words ?? ""
        guard file.proxied?.isCached == true else {
            return fail("it may not be kept, or there is no cache to keep it in (\(answer.outcome))")
        }
        self.file = file
        answer.state = .fetching
        if list == nil {
            answer.packetsInAll = Int(file.packetCount)
            answer.bytesInAll = UInt64(file.header.bytes.count) + UInt64(file.packetCount) * UInt64(file.header.packetBytes)
        }
        guard !file.isWhole, file.supply != nil else {
            return finish("all of it was here")
        }
        reader = SupplyReader()
        want(from: 0)
    }

    // MARK: What an RTSP server plays

    private func record(_ pull: RTSPCachedPull) {
        guard let (recording, outcome) = pull.recordingForAll else { return fail("it is not kept: \(pull.whyNotKept)") }
        answer.outcome = outcome.words
        answer.state = .fetching
        answer.packetsInAll = Int(clamping: recording.microseconds / 1_000)
        self.recording = recording
        wasHere = recording.state == .whole
        recording.readerArrived()
        pull.begin(recording)
        lookAtRecording()
    }

    private func lookAtRecording() {
        guard let recording, answer.state == .fetching else { return }
        answer.packets = min(Int(clamping: max(recording.reach, 0) / 1_000), answer.packetsInAll)
        if case .broken(let words) = recording.state { return fail(words) }
        guard !recording.isUseless else { return fail("it is not kept: \(recording.unfitness ?? "the cache let go of it")") }
        guard recording.state == .whole, recording.log.isSettled else {
            return timer.start(milliseconds: Self.lookMilliseconds) { [weak self] in self?.lookAtRecording() }
        }
        answer.packets = answer.packetsInAll
        answer.bytesInAll = recording.log.end
        end(.kept, wasHere ? "all of it was here" : "it was fetched")
    }

    // MARK: Windows Media

    private func want(from packet: UInt32) {
        guard let file, let supply = file.supply, let reader, answer.state == .fetching else { return }
        guard packet < file.packetCount else { return finish("it was fetched") }
        answer.packets = packetsBefore + Int(packet)
        supply.want(packet..<file.packetCount, for: reader) { [weak self] result in
            guard let self else { return }
            // Not at once: what is here already would be gone through in one turn of the event loop.
            eventLoop.assumeIsolated().execute { [weak self] in self?.came(result, from: packet) }
        }
    }

    private func came(_ result: Result<Range<UInt32>, WindowsMediaFile.Trouble>, from packet: UInt32) {
        guard answer.state == .fetching else { return }
        switch result {
        case .failure(let error): fail(error.description)
        case .success(let range) where range.upperBound > packet: want(from: range.upperBound)
        case .success: fail("its origin has less of it than it says")
        }
    }

    /// All has come, for this or for others; what was written last has to be on the disk.
    private func finish(_ words: String) {
        answer.packets = packetsBefore + Int(file?.packetCount ?? 0)
        beganWriting = .now()
        look(words)
    }

    private func look(_ words: String) {
        guard answer.state == .fetching else { return }
        if let fill = file?.supply as? ObjectFill {
            guard fill.isKept else { return fail(fill.degradation ?? "the cache let go of it") }
            guard fill.isOnDisk else {
                guard NIODeadline.now() - beganWriting < .seconds(Self.writeSecondsMax) else {
                    return fail("it came, and was not written within \(Self.writeSecondsMax) s")
                }
                return timer.start(milliseconds: Self.lookMilliseconds) { [weak self] in self?.look(words) }
            }
        }
        whole(words)
    }

    private func whole(_ words: String) {
        guard let list else { return end(.kept, words) }
        // Not at once: entries that are here already would be gone through in one turn of the event loop.
        eventLoop.assumeIsolated().execute { [weak self] in
            guard let self, answer.state == .fetching else { return }
            goOn(list)
        }
    }

    private func fail(_ words: String) { end(.failed, words) }

    private func end(_ state: PrefetchAnswer.State, _ words: String) {
        guard !answer.state.isFinal else { return }
        answer.state = state
        answer.words = PeerWords.printable(words)
        timer.stop()
        abandon?()
        abandon = nil
        if let reader { file?.supply?.left(reader) }
        reader = nil
        file = nil
        recording?.readerLeft()
        recording = nil
        list?.close()
        list = nil
        if isInterested { path.readerLeft() }
        let onEnd = onEnd
        self.onEnd = nil
        onEnd?()
    }
}

import Logging
import NIOCore

/// A playlist as a path's source, through which every reader goes on its own.
final class PlaylistSource: PathSource, PlaylistOwner {
    let programme: PlaylistProgramme
    private weak var host: (any PathSourceHost)?
    private let pursuit = LevelPursuit()

    /// A source that reads its file when it is wanted.
    init(
        file: String, settings: PlaylistSettings, pulls: PlaylistPulls? = nil, eventLoop: any EventLoop, host: any PathSourceHost,
        logger: Logger
    ) {
        programme = PlaylistProgramme(file: file, settings: settings, pulls: pulls, eventLoop: eventLoop, logger: logger)
        self.host = host
        programme.onRead = { [weak self] trouble in
            if let trouble { self?.host?.sourceFailed(trouble) } else { self?.host?.sourcePlays() }
        }
    }

    var words: String { programme.words }
    var showsHealth: Bool { false }

    func want(_ level: SourceLevel) {
        pursuit.want(level) { [self] level in if level == .idle { host?.sourceReleased() } }
    }

    func saidGoodbye() {}

    func stop(_ done: @escaping () -> Void) {
        programme.stop()
        done()
    }
}

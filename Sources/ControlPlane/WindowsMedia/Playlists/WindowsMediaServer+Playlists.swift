import NIOCore
import Signalling
import WireFormats

/// Which entry of a playlist a request is about.
extension WindowsMediaServer {
    /// Finds, and opens, what a Describe or a Play of somebody is about who is somewhere in a playlist: the entry that the session is at, the one
    /// that `playlist-seek-id` names, or by `pl-offset` the one behind or before that. False for whoever begins: `done` is not called then.
    func goesOn(
        on path: Path, _ request: WMSPRequest, from host: String, _ done: @escaping (Result<WindowsMediaContent, any Error>) -> Void
    ) -> Bool {
        guard let id = request.clientID, let reader = playlistReaders[id], reader.path === path, !reader.isOver,
            owns(request, from: host), request.dialect.takesStreamChanges
        else { return false }
        guard request.kind != .describe, request.kind != .getContentInfo else {
            guard let current = reader.current else { return false }
            done(.success(.playlist(PlaylistStart(reader: reader, opened: current, facts: current.facts))))
            return true
        }
        // Whoever asks anew wants no more of what is being sent.
        reader.play?.stop()
        do throws(PlaylistRefusal) {
            let pragma = request.pragma
            var wish = PlaylistSeek(generation: pragma.number("playlist-seek-id"))
            let offset = pragma.fraction("pl-offset") ?? 0
            wish.offset = offset > 0 ? 1 : offset < 0 ? -1 : 0
            wish.rate = pragma.fraction("rate") ?? 1
            wish.hasPlace = reader.current.map { WMSPPosition(pragma, dialect: request.dialect, header: $0.header) != .beginning } ?? false
            try seek(reader, to: wish) { [weak self] result in
                if case .failure = result { self?.endMedia(of: id) }
                done(result)
            }
        } catch {
            endMedia(of: id)
            done(.failure(WMSPRefusal.notNow(.play, error.description)))
        }
        return true
    }

    /// A way through a playlist from its beginning, with its first entry opened.
    func newReader(
        of path: Path, _ programme: PlaylistProgramme, _ done: @escaping (Result<WindowsMediaContent, any Error>) -> Void
    ) {
        programme.open().assumeIsolated().whenComplete { [playlistOpener] result in
            do {
                try result.get()
                let run = try programme.run()
                let reader = PlaylistReader(path: path, run: run)
                playlistOpener.first(of: run, run.plan(at: .now())) { result in
                    if case .failure = result { run.close() }
                    done(result.map { .playlist(PlaylistStart(reader: reader, opened: $0, facts: $0.facts)) }.mapError { $0 })
                }
            } catch { done(.failure(error)) }
        }
    }

    /// Opens where a reader goes on.
    func seek(
        _ reader: PlaylistReader, to wish: PlaylistSeek, _ done: @escaping (Result<WindowsMediaContent, any Error>) -> Void
    ) throws(PlaylistRefusal) {
        let named = wish.generation.flatMap { $0 == 0 ? nil : $0 } ?? reader.current?.entry.generation ?? 0
        let isBackwards = wish.rate < 0 && !wish.hasPlace
        let from = isBackwards && wish.offset == 0 ? reader.backwards(from: named) : named
        let isFromEnd = isBackwards && (wish.offset < 0 || wish.offset == 0 && reader.isAtEnd && from == reader.current?.entry.generation)
        let step: PlaylistStep
        if wish.offset == 0 {
            try reader.allows(from)
            step = try reader.run.go(backTo: from)
        } else {
            step = try reader.run.skip(by: wish.offset, from: from)
        }
        playlistOpener.first(of: reader.run, step) { result in
            done(
                result.map { opened in
                    var facts = opened.facts
                    // The header of where it goes from comes first.
                    if wish.offset != 0, let before = reader.opened(from) {
                        facts = before.facts
                        facts.skipsTo = [opened.facts]
                    }
                    return .playlist(PlaylistStart(reader: reader, opened: opened, facts: facts, isFromEnd: isFromEnd))
                }.mapError { $0 })
        }
    }

    /// A request was answered, or nobody waits for the answer: a playlist that was opened for it, and is not played, is closed. Where the
    /// request ended what its session was sent, and nothing came in its place, the session hears of that.
    func settle(_ source: WindowsMediaContent?, of request: WMSPRequest) {
        guard case .playlist(let start) = source else { return }
        guard start.reader.isKept else { return start.reader.close() }
        if let id = request.clientID, player(id)?.isStopped == true { endMedia(of: id) }
    }

    /// A session plays a playlist from now on.
    func keep(_ reader: PlaylistReader, for session: UInt32) {
        reader.isKept = true
        if let before = playlistReaders.updateValue(reader, forKey: session), before !== reader { before.close() }
    }

    func forgetPlaylist(of session: UInt32) { playlistReaders.removeValue(forKey: session)?.close() }
}

import NIOCore
import Signalling
import WireFormats

/// Which entry of a playlist a request is about.
extension WindowsMediaRTSP {
    /// Finds, and opens, what a request about a playlist is about: the first entry for whoever is new, the entry that the session is at, the one
    /// that `X-Playlist-Seek-Id` names, or by `X-Playlist` the one behind or before that. `begin` finds what whoever is new is given, a playlist or
    /// something else, and returns what ends a wait for that.
    func playlistContent(
        of path: Path, for request: MSRTSPRequest, on line: MSRTSPLine,
        _ done: @escaping (Result<WindowsMediaContent, any Error>) -> Void,
        begin: (_ done: @escaping (Result<WindowsMediaContent, any Error>) -> Void) -> (() -> Void)?
    ) -> (() -> Void)? {
        var player: MSRTSPPlayer?
        if case .id(let id) = request.session { player = self.player(id) }
        guard let reader = player?.playlist ?? line.described.flatMap({ $0.path === path ? $0 : nil }), !reader.isOver else {
            return begin { [weak player] result in
                if case .success(.playlist(let start)) = result {
                    start.reader.prepared = start.opened
                    // Everything was played, and the session begins anew.
                    if let player, !player.isOver {
                        player.playlist?.close()
                        player.playlist = start.reader
                        start.reader.isKept = true
                    }
                }
                done(result)
            }
        }
        let isSeeking = request.kind == .play && (reader.current != nil || request.offset != nil)
        guard isSeeking else {
            if let opened = reader.current ?? reader.prepared, opened.isCurrent {
                done(.success(.playlist(PlaylistStart(reader: reader, opened: opened, facts: opened.facts))))
                return nil
            }
            // What it was to begin with has ended meanwhile.
            playlistOpener.first(of: reader.run, reader.run.plan(at: .now())) { result in
                if case .success(let opened) = result { reader.prepared = opened }
                done(result.map { .playlist(PlaylistStart(reader: reader, opened: $0, facts: $0.facts)) }.mapError { $0 })
            }
            return nil
        }
        let headers = request.message.headers
        let wish = PlaylistSeek(
            generation: request.seekID, offset: request.offset ?? 0, rate: headers.scale ?? 1, hasPlace: headers.contains("Range"))
        do throws(PlaylistRefusal) {
            try server.windowsMedia.seek(reader, to: wish) { [weak self] result in
                if case .failure(let error) = result { self?.endIfStopped(reader, "\(error)") }
                done(result)
            }
            // Whoever goes elsewhere wants no more of what is being sent.
            reader.play?.stop()
        } catch {
            // Where nothing is on that side, what plays goes on.
            let refusal = request.offset == nil ? RequestRefusal.notNow(.play, error.description) : .requestMalformed(error.description)
            done(.failure(refusal))
        }
        return nil
    }

    /// A request was answered, or nobody waits for the answer: a playlist that was opened for it is kept for the session that is set up, or
    /// closed. Where the request ended what its session was sent, and nothing came in its place, the session hears of that.
    func settle(_ source: WindowsMediaContent?, on line: MSRTSPLine) {
        guard case .playlist(let start)? = source else { return }
        guard start.reader.isKept else {
            if line.isClosed { start.reader.close() } else { line.describes(start.reader) }
            return
        }
        endIfStopped(start.reader, "the request that went elsewhere in the playlist was refused")
    }

    private func endIfStopped(_ reader: PlaylistReader, _ why: String) {
        guard reader.play?.isStopped == true, let player = allPlayers.first(where: { $0.playlist === reader }),
            sessions.facts(of: player.id)?.isPlaying == true
        else { return }
        ended(player, .failed(why), nextSequence: player.nextSequence)
    }
}

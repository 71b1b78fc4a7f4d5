import NIOCore
import Signalling
import WireFormats

/// Which entry of a playlist a request is about.
extension WindowsMediaRTSP {
    /// Finds, and opens, what a request about a playlist is about: the first entry for whoever is new, the entry that the session is at, the one
    /// that `X-Playlist-Seek-Id` names, or by `X-Playlist` the one behind or before that.
    func playlistContent(
        of path: Path, _ programme: PlaylistProgramme, for request: MSRTSPRequest, on line: MSRTSPLine,
        _ done: @escaping (Result<WindowsMediaContent, any Error>) -> Void
    ) {
        var reader = line.described.flatMap { $0.path === path ? $0 : nil }
        if case .id(let id) = request.session { reader = player(id)?.playlist ?? reader }
        guard let reader, !reader.isOver, request.kind == .play || reader.current != nil else {
            return server.windowsMedia.newReader(of: path, programme, done)
        }
        guard request.kind == .play else {
            guard let current = reader.current else { return server.windowsMedia.newReader(of: path, programme, done) }
            return done(.success(.playlist(PlaylistStart(reader: reader, opened: current, facts: current.facts))))
        }
        let headers = request.message.headers
        let wish = PlaylistSeek(
            generation: request.seekID, offset: request.offset ?? 0, rate: Double(headers["Scale"] ?? "") ?? 1,
            hasPlace: headers.contains("Range"))
        do throws(PlaylistRefusal) { try server.windowsMedia.seek(reader, to: wish, done) } catch {
            done(.failure(RequestRefusal.notNow(.play, error.description)))
        }
    }

    /// A request was answered, or nobody waits for the answer: a playlist that was opened for it is kept for the session that is set up, or
    /// closed.
    func settle(_ source: WindowsMediaContent?, on line: MSRTSPLine) {
        guard case .playlist(let start)? = source, !start.reader.isKept else { return }
        if line.isClosed { start.reader.close() } else { line.describes(start.reader) }
    }
}

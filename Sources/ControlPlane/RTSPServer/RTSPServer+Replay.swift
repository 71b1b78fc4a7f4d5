import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// PLAY of stored media: each reader from its own place (RFC 2326 section 10.5).
extension RTSPServer {
    /// Answers PLAY, now or when it is known where media begins.
    func play(_ replay: Replay, _ request: ServerRequest, _ session: ServerSession, _ connection: RTSPConnection) throws {
        let wish = try Self.wish(request.message.headers["Range"], of: replay.recording)
        do {
            if try session.machine.play() == .none {
                // Players repeat PLAY to stay alive; with a place they mean it.
                guard wish.microseconds != nil || replay.isOverForNow else {
                    return connection.answer(ServerAnswers.ok(), session: session)
                }
                _ = try session.machine.pause()
                _ = try session.machine.play()
            }
        } catch { throw RequestRefusal(error, method: .play) }
        let scales = request.message.headers["Scale"] != nil
        replay.play(wish) { result, onFlushed in
            switch result {
            case .success(let beginning):
                guard session.machine.joined() == .go else { return connection.answer(.notNow(.play, "the session is not what it was")) }
                var response = ServerAnswers.play(beginnings: beginning.tracks, range: beginning.range)
                // Whoever asks for another speed is told that there is one.
                if scales { response.headers.add("Scale", "1") }
                connection.answer(response, session: session, onFlushed: onFlushed)
            case .failure(let refusal):
                session.machine.startFailed()
                connection.answer(refusal)
            }
        }
    }

    private static func wish(_ text: String?, of recording: Recording) throws(RequestRefusal) -> Replay.Wish {
        guard let text else { return Replay.Wish() }
        let range: RangeHeader
        do { range = try RangeHeader.parse(text) } catch { throw .rangeInvalid("\(error)") }
        guard case .npt(let start, let end) = range else { throw .rangeInvalid("of stored media only npt is known") }
        var wish = Replay.Wish()
        if case .microseconds(let start)? = start {
            guard start <= recording.microseconds else {
                throw .rangeInvalid("the media ends at \(Double(recording.microseconds) / 1e6) s")
            }
            wish.microseconds = start
        }
        if case .microseconds(let end)? = end { wish.end = end }
        if let start = wish.microseconds, let end = wish.end, end < start { throw .rangeInvalid("it ends before it begins") }
        return wish
    }

    /// Whether one more reader may be sent stored media by streams of the engine that are its own. Half of the streams, and of the
    /// memory for packets, is left to what is live.
    func takesAnotherReplay(tracks: Int) -> Bool {
        let limits = port.engine.limits
        let bytes = openSessions.reduce(0) { $0 + ($1.replay?.streamBytes ?? 0) }
        let more = tracks * DatagramReplay.sizing.bytes
        let streams = (bytes + more) / max(DatagramReplay.sizing.bytes, 1)
        return streams <= limits.streamsMax / 2 && bytes + more <= limits.packetLogBytesMax / 2
    }
}

/// One session as the server sees it (RFC 2326 appendix A.2). Pure: requests and events come in, actions go out; whoever owns the
/// sockets performs them.
package struct ServerSessionMachine: Sendable {
    /// What the client is.
    package enum Role: Sendable, Equatable, CaseIterable { case reader, publisher }

    /// Where the session stands. `starting` lies between a PLAY and the first packet that the engine found for it: this server
    /// answers PLAY only when it knows that packet, because RTP-Info must name it.
    package enum State: Sendable, Equatable, CaseIterable { case initial, ready, starting, playing, recording, ended }

    /// What is to be done.
    package enum Action: Sendable, Equatable {
        /// Nothing; a request is answered with 200.
        case none
        /// Find the first packet for the tracks as they are now, and report ``joined()``.
        case start
        /// Send from the first packet on (after the answer to PLAY, if one is owed).
        case go
        /// Send no more.
        case stop
        /// Take the publisher's media.
        case record
        /// Give up everything that the session holds.
        case end
    }

    /// Why a request cannot be done now.
    package enum Refusal: Error, Sendable, Equatable {
        /// Not in this state (455), with the reason in words.
        case notNow(String)
        /// The track is not part of the session.
        case trackNotSetUp(Int)
        /// One session uses UDP, multicast or the connection, not two of them.
        case mixedTransports
        /// The session has ended.
        case gone
    }

    /// What the client is.
    package let role: Role
    /// Where the session stands.
    package private(set) var state = State.initial
    /// The tracks in the order of their SETUP.
    package private(set) var tracks: [SessionTrack] = []
    private var tracksChanged = false

    /// A new session.
    package init(role: Role) { self.role = role }

    /// How media travels; nil before the first SETUP.
    package var kind: SessionTrack.Kind? { tracks.first?.transport.kind }
    /// Whether media goes over the RTSP connection; nil before the first SETUP.
    package var isInterleaved: Bool? { tracks.first?.transport.isInterleaved }

    /// SETUP of a track.
    package mutating func setUp(_ track: SessionTrack) throws(Refusal) {
        let place = tracks.firstIndex { $0.number == track.number }
        if let kind, kind != track.transport.kind, !(tracks.count == 1 && place == 0) { throw .mixedTransports }
        switch state {
        case .initial: state = .ready
        case .ready: break  // Another track, or other transport for the same one (players that fall back from UDP to TCP).
        case .starting: throw .notNow("PLAY is not answered yet")
        case .playing:
            // A further track may join; it is sent after the next PLAY. Changing a running one is what A.2 lets a server refuse.
            guard place == nil else { throw .notNow("the track is playing; PAUSE first") }
            tracksChanged = true
        case .recording: throw .notNow("the session is recording")
        case .ended: throw .gone
        }
        if let place { tracks[place] = track } else { tracks.append(track) }
    }

    /// PLAY.
    package mutating func play() throws(Refusal) -> Action {
        switch state {
        case .initial: throw .notNow("SETUP comes first")
        case .ready where role == .publisher: throw .notNow("the session was set up to record")
        case .ready:
            state = .starting
            tracksChanged = false
            return .start
        case .starting: throw .notNow("the PLAY before is not answered yet")
        case .playing where tracksChanged:
            state = .starting
            tracksChanged = false
            return .start
        case .playing: return .none  // Several players repeat PLAY as keep-alive on a live stream.
        case .recording: throw .notNow("the session is recording")
        case .ended: throw .gone
        }
    }

    /// The engine found the first packet.
    package mutating func joined() -> Action {
        switch state {
        case .starting:
            state = .playing
            return .go
        case .initial, .ready, .playing, .recording, .ended: return .none  // Overtaken by PAUSE or TEARDOWN.
        }
    }

    /// The stream could not be started.
    package mutating func startFailed() {
        switch state {
        case .starting: state = .ready
        case .initial, .ready, .playing, .recording, .ended: break
        }
    }

    /// PAUSE.
    package mutating func pause() throws(Refusal) -> Action {
        switch state {
        case .initial: throw .notNow("SETUP and PLAY come first")
        case .ready where role == .publisher: throw .notNow("the session was set up to record")
        case .ready: return .none
        case .starting, .playing:
            state = .ready
            return .stop
        case .recording: throw .notNow("a live recording cannot pause; TEARDOWN ends it")
        case .ended: throw .gone
        }
    }

    /// RECORD.
    package mutating func record() throws(Refusal) -> Action {
        switch state {
        case .initial: throw .notNow("SETUP comes first")
        case .ready where role == .reader: throw .notNow("the session was set up to play")
        case .ready:
            state = .recording
            return .record
        case .recording: return .none
        case .starting, .playing: throw .notNow("the session is playing")
        case .ended: throw .gone
        }
    }

    /// TEARDOWN of one track, or of the session with nil. The last track takes the session with it.
    package mutating func tearDown(track number: Int?) throws(Refusal) -> Action {
        if state == .ended { throw .gone }
        guard let number else { return end() }
        guard let place = tracks.firstIndex(where: { $0.number == number }) else { throw .trackNotSetUp(number) }
        if tracks.count == 1 { return end() }
        switch state {
        case .recording: throw .notNow("a recording ends as a whole; TEARDOWN the session's URL")
        case .initial, .ready, .ended:
            tracks.remove(at: place)
            return .none
        case .starting, .playing:
            tracks.remove(at: place)
            state = .starting
            return .start
        }
    }

    /// The connection that set the session up is gone. A reader's session over UDP lives on until its timeout: RFC 2326 section 1.1
    /// does not tie sessions to connections, and players come back. A publisher does not come back to its session: it announces anew,
    /// and would find the path taken.
    package mutating func connectionClosed() -> Action {
        switch state {
        case .initial: return end()
        case .ready, .starting, .playing, .recording: return role == .reader && isInterleaved == false ? .none : end()
        case .ended: return .none
        }
    }

    /// The session is over, whatever it did (timeout, failure, the stream's end).
    package mutating func end() -> Action {
        switch state {
        case .initial, .ready, .starting, .playing, .recording:
            state = .ended
            return .end
        case .ended: return .none
        }
    }
}

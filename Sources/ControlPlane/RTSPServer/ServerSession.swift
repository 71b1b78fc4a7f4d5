import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// One RTSP session with what it holds: a path's interest and a reader in the engine, or a publication. Belongs to the event loop.
final class ServerSession {
    let id: String
    let path: Path
    /// Where the client is; no other host may name the session.
    let host: HostAddress
    unowned let server: RTSPServer
    /// The connection that made it.
    weak var connection: RTSPConnection?
    var machine: ServerSessionMachine
    /// The last request or receiver report.
    var lastHeard: NIODeadline
    let began: NIODeadline

    /// A publisher's hold on the path; nil for readers.
    let publication: Publication?
    /// Who made it; nil where no password was needed.
    let user: String?
    /// What the client calls itself.
    let agent: String?
    /// What a reader set up, with the stream that it belongs to.
    private(set) var description: StreamDescription

    /// What is sent to a reader of stored media; nil: it reads what the path's stream sends to all.
    var replay: Replay?
    /// The reader in the engine, from the first PLAY on.
    var subscription: Subscription?
    /// The tracks that ``subscription`` was made for.
    var subscribedTracks: [SessionTrack] = []
    /// What the reader asked for instead of the path's policy.
    var overload: OverloadPolicy?
    /// Waits for the first packet, to be named in the answer.
    var pendingPlay: PlayReply?
    /// When the waiting for a key frame ends.
    var keyFrameDeadline: NIODeadline?
    /// When PLAY is answered without knowing the first packet.
    var answerDeadline: NIODeadline?
    /// Counts the starts: late news of an earlier one is ignored.
    var starts = 0
    var reports = ReaderReports()
    /// What the reader was due since it began to be sent media; nil before.
    var progress: ReaderProgress?
    /// Packets that the engine did not send since the reader was too slow, as far as it has told.
    var packetsMissed: UInt64 = 0
    private var isFinished = false
    /// Where the path keeps through which relays the reader comes.
    private var trail: Int?

    /// Answers PLAY: where each track begins (empty if nothing changed), and what to do once that has left.
    typealias PlayReply = (Result<[RTPInfo], RequestRefusal>, _ onFlushed: @escaping () -> Void) -> Void

    /// A reader's session, which holds the path's interest until ``end(_:)``, or a publisher's.
    init(
        id: String, path: Path, connection: RTSPConnection, description: StreamDescription, publication: Publication?, server: RTSPServer
    ) {
        self.id = id
        self.path = path
        self.host = connection.host
        self.connection = connection
        self.description = description
        self.publication = publication
        user = connection.user
        agent = connection.agent
        self.server = server
        machine = ServerSessionMachine(role: publication == nil ? .reader : .publisher)
        began = .now()
        lastHeard = .now()
        if let publication {
            publication.onEnded = { [weak self] _ in self?.end(path.removal == nil ? .publisherEnded : .pathRemoved) }
            publication.receiverReports = { [weak self] frame in self?.connection?.writeReport(frame) }
        } else {
            path.readerArrived()
            path.addObserver(self)
            trail = path.trails.add(connection.trail)
        }
    }

    /// How media travels, for the log.
    var transportWords: String {
        switch machine.kind {
        case .interleaved?: "tcp"
        case .datagram?: "udp"
        case .multicast?: "multicast"
        case nil: "none"
        }
    }

    /// Where its media goes, for the log: `host:port` of the connection, or of the first track's RTP.
    var addressWords: String {
        let name = host.ipv4 == nil ? "[\(host.text)]" : host.text
        for track in machine.tracks {
            if case .datagram(let rtp, _) = track.transport { return "\(name):\(rtp)" }
        }
        return connection?.words ?? name
    }

    /// Ends the session for a reason other than TEARDOWN or the machine's own.
    func end(_ reason: SessionEnd) {
        if machine.end() == .end { finish(reason) }
    }

    /// Lets go of everything, after the machine said so; once.
    func finish(_ reason: SessionEnd) {
        guard !isFinished else { return }
        isFinished = true
        server.forget(self, reason: reason)
        keyFrameDeadline = nil
        answerDeadline = nil
        if let publication {
            publication.onEnded = nil
            publication.receiverReports = nil
            publication.end(reason: reason.rawValue)
        } else {
            path.removeObserver(self)
            path.trails.remove(trail)
            sayGoodbye(reason)
            replay?.end(saysGoodbye: reason.isToldToReader && path.extensions.saysGoodbye(path: path.name))
            subscription?.remove()
            subscription = nil
            path.multicast?.release(self)
            path.readerLeft()
        }
        if let reply = pendingPlay {
            pendingPlay = nil
            reply(.failure(.sessionNotFound(id))) {}
        }
        connection?.sessionEnded(self, reason: reason)
    }
}

extension ServerSession: PathObserver {
    func streamEnded(_ reason: String) { end(path.removal == nil ? .streamEnded : .pathRemoved) }

    // Whose tracks are the same goes on: RTSP 1.0 has no way to tell a player of better parameter sets. Who had one that is gone is told
    // by the end of its session, and asks again.
    func descriptionChanged(_ next: StreamDescription) {
        guard description.keeps(machine.tracks.map(\.number), in: next) else { return end(.tracksChanged) }
        description = next
    }
}

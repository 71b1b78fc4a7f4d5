import Testing
import WireFormats

@testable import Signalling

/// Every order of requests and events up to a length, against ``MSRTSPSessions``: whatever comes, each request has one answer, nothing is
/// sent that the client was not told of, and from every state there is a way on.
///
/// Orders that lead to the same state are followed once: what the machine decides by is in ``Checked/key``.
@Suite struct MSRTSPModelCheckTests {
    private enum Step: CaseIterable {
        case describe, contentInfo, options, setUp, setUpOther, setUpElsewhere, setUpLost, thin, replace, removeStream, removeOther
        case play, playElsewhere, playFromElsewhere, playConfirming, playLagging, skip, back
        case pause, keepAlive, keepAliveElsewhere, log, event, pair, echo, tearDown, strange, foreign
        case started, startFails, entryEnds, recedes, contentEnds, breaksOff, answered, connectionCloses, timePasses, muchTimePasses
    }

    /// What the owner's side does for the session.
    private enum Player: Equatable { case none, finding, sending, held }

    private struct Checked {
        var sessions: MSRTSPSessions
        var now: UInt64 = 1_000_000
        var generation: UInt32 = 7
        var connection: UInt64 = 1
        var nextConnection: UInt64 = 2
        /// Connections that are open, and how many answers they wait for.
        var waiting: [UInt64: Int] = [1: 0]
        var player = Player.none
        var startsHeld = false
        /// The client was told of the end of what it is sent.
        var isEndTold = false
        /// An entry ended, and nothing of the next one may be sent yet.
        var isBetween = false
        var path: [Step] = []

        var key: String {
            let sessions = sessions.sessions.values.map { session in
                let slots = session.slots.map { "\($0.stream)\($0.thinning.rawValue)\($0.isStale)" }.joined()
                let change = session.change.map { "\($0.isEndTold)\($0.isReceding)\($0.dueAt > now)" } ?? "-"
                return [
                    "\(session.state)", session.connection == connection ? "here" : session.connection == nil ? "none" : "there", slots,
                    "\(session.hasMedia)\(session.hasEnded)\(session.expectsPlay)\(session.allowsPause)\(session.retransmission != nil)",
                    "\(session.isPaused)",
                    session.start.map { if case .told = $0 { "told" } else { "answering" } } ?? "-", change,
                    "\(session.deferred != nil) \(session.lagMilliseconds > 0) \(session.content.playlistGenID == generation)",
                ].joined(separator: ",")
            }
            return "\(sessions) \(player) \(isEndTold) \(isBetween) \(startsHeld) \(waiting[connection] ?? -1)"
        }
    }

    private struct Complaint: Error {
        let words: String
        init(_ words: String) { self.words = words }
    }

    private static let id = MSRTSPServerScript.id

    @Test(
        arguments: [
            (6, MSRTSPServerScript.player, MSRTSPServerScript.all, false), (5, MSRTSPServerScript.player, "com.microsoft.wm.eosmsg", false),
            (5, MSRTSPServerScript.player, MSRTSPServerScript.all, true), (6, MSRTSPServerScript.ffmpeg, nil, false),
            (5, "GStreamer/1.22.0", nil, true),
        ] as [(Int, String, String?, Bool)])
    func everyOrderIsAnswered(length: Int, agent: String, supported: String?, overUDP: Bool) throws {
        let model = Model(
            agent: agent, supported: supported, transport: overUDP ? MSRTSPServerScript.datagrams : MSRTSPServerScript.interleaved)
        var level = [Checked(sessions: MSRTSPSessions { Self.id })]
        var seen: Set<String> = [level[0].key]
        var steps = 0
        for _ in 1...length {
            var following: [Checked] = []
            for state in level {
                for step in Step.allCases {
                    var state = state
                    state.path.append(step)
                    steps += 1
                    do { guard try model.take(step, &state) else { continue } } catch let complaint as Complaint {
                        Issue.record("\(complaint.words): \(state.path.map { "\($0)" }) \(agent)")
                        return
                    }
                    guard seen.insert(state.key).inserted else { continue }
                    do { try model.findWayOn(state) } catch let complaint as Complaint {
                        Issue.record("\(complaint.words): \(state.path.map { "\($0)" }) \(agent)")
                        return
                    }
                    following.append(state)
                }
            }
            level = following
        }
        #expect(seen.count > 100 && steps > 4_000, "\(seen.count) states, \(steps) steps")
    }

    private struct Model {
        let agent: String
        let supported: String?
        let transport: String

        private var follows: Bool { supported != nil }

        /// Takes a step; false where it cannot happen in this state.
        func take(_ step: Step, _ state: inout Checked) throws -> Bool {
            state.now += 20
            let id = MSRTSPModelCheckTests.id
            let isWaiting = state.waiting[state.connection] ?? 0 > 0
            switch step {
            case .started:
                guard state.player == .finding else { return false }
                try perform(state.sessions.started(id, MSRTSPBeginning(sequence: 1, rtpTime: 0, milliseconds: 0), now: state.now), &state)
                if state.player == .finding { throw Complaint("media was found, and does not go") }
            case .startFails:
                guard state.player == .finding else { return false }
                state.player = .none
                try perform(state.sessions.startFailed(id, .unavailable("so", retryAfterSeconds: 1), now: state.now), &state)
            case .entryEnds, .recedes:
                guard state.player != .none else { return false }
                state.generation += 1
                state.isBetween = follows
                let content = try content(state.generation)
                let actions = state.sessions.contentChanged(
                    id, to: content, entryEnded: true, isReceding: step == .recedes, nextSequence: 9, now: state.now)
                try perform(actions, &state)
                // What was being found begins by itself, with the entry that was asked for.
                if state.isBetween, state.player == .sending { throw Complaint("the next entry is sent, and nobody was told") }
                if state.player == .finding { state.isBetween = false }
            case .contentEnds, .breaksOff:
                guard state.player != .none else { return false }
                state.player = .none
                let reason: MSRTSPMediaEnd = step == .contentEnds ? .done : .failed
                try perform(state.sessions.mediaEnded(id, reason: reason, nextSequence: 9, now: state.now), &state)
            case .answered: state.sessions.requestAnswered(id, status: 501, now: state.now)
            case .connectionCloses: try close(&state)
            case .timePasses:
                state.now += 700
                try perform(state.sessions.timeElapsed(now: state.now), &state)
            case .muchTimePasses:
                state.now += 66_000
                try perform(state.sessions.timeElapsed(now: state.now), &state)
            case .setUpElsewhere, .playElsewhere, .keepAliveElsewhere:
                let before = state.connection
                state.connection = state.nextConnection
                state.nextConnection += 1
                state.waiting[state.connection] = 0
                try ask(step, &state)
                if state.waiting[before] ?? 0 > 0 { throw Complaint("what waited on the old connection waits for ever") }
                try perform(state.sessions.connectionClosed(before, now: state.now), &state)
                state.waiting[before] = nil
            default:
                // A connection's next request waits for the answer before.
                guard !isWaiting else { return false }
                try ask(step, &state)
            }
            try check(state)
            return true
        }

        private func content(_ generation: UInt32) throws -> WMSPContent {
            try WMSPSample.file(streams: generation % 3 == 2 ? [1, 2, 3] : [1, 2], playlistGenID: generation)
        }

        // MARK: Requests

        private func ask(_ step: Step, _ state: inout Checked) throws {
            let generation = state.sessions.sessions[MSRTSPModelCheckTests.id]?.content.playlistGenID ?? state.generation
            var line = "GET_PARAMETER rtsp://h/live", headers: [String] = [], body = ""
            var session: UInt64? = state.sessions.count == 0 ? nil : MSRTSPModelCheckTests.id
            var host = "10.0.0.1"
            switch step {
            case .describe: line = "DESCRIBE rtsp://h/live"
            case .contentInfo:
                headers = ["Content-Type: application/x-wms-getcontentinfo"]
                body = "0"
            case .options: line = "OPTIONS rtsp://h/live"
            case .setUp, .setUpElsewhere: (line, headers) = ("SETUP rtsp://h/live/audio", [transport])
            case .setUpOther: (line, headers) = ("SETUP rtsp://h/live/stream=2", [transport, "X-Playlist-Gen-Id: \(generation)"])
            case .setUpLost: (line, headers) = ("SETUP rtsp://h/live/rtx", [MSRTSPServerScript.lost])
            case .thin, .replace:
                line = "SET_PARAMETER rtsp://h/live/audio"
                headers = ["Content-Type: application/x-wms-streamswitch"]
                body = step == .thin ? "SSEntry: 1 1 1 a a\r\n" : "SSEntry: 1 3 0 a b\r\n"
            case .removeStream: line = "TEARDOWN rtsp://h/live/audio"
            case .removeOther: line = "TEARDOWN rtsp://h/live/stream=2"
            case .play, .playElsewhere: line = "PLAY rtsp://h/live"
            case .playFromElsewhere: (line, headers) = ("PLAY rtsp://h/live", ["Range: npt=0.100-"])
            case .playConfirming:
                (line, headers) = ("PLAY rtsp://h/live", ["X-Playlist-Seek-Id: \(generation)", "X-RTP-Info: url=rtsp://h/live/audio"])
            case .playLagging: (line, headers) = ("PLAY rtsp://h/live", ["X-Playlist-Seek-Id: \(generation)", "X-Player-Lag-Time: 500"])
            case .skip: (line, headers) = ("PLAY rtsp://h/live", ["X-Playlist: pl-offset=1"])
            case .back: (line, headers) = ("PLAY rtsp://h/live", ["X-Playlist-Seek-Id: \(generation &+ 1_000)"])
            case .pause: line = "PAUSE rtsp://h/live"
            case .log: (line, headers, body) = ("SET_PARAMETER rtsp://h/live", ["Content-Type: application/x-wms-Logplaystats"], "<XML/>")
            case .event:
                (line, headers, body) = ("SET_PARAMETER rtsp://h/live", ["Content-Type: application/x-wms-sendevent"], "1\r\n1,28,0\r\n")
            case .pair:
                line = "SET_PARAMETER rtsp://h/live"
                headers = ["Content-Type: application/x-rtsp-udp-packetpair"]
                body = "type: high-entropy-packetpair"
            case .echo:
                (line, headers, body) = ("SET_PARAMETER rtsp://h/live", ["Content-Type: application/x-wms-extension-cmd"], "EOF: true\r\n")
            case .tearDown: line = "TEARDOWN rtsp://h/live"
            case .strange: session = 4_711
            case .foreign: host = "10.0.0.2"
            default: break
            }
            try send(line, headers, body, session, host, skips: step == .skip, goesBack: step == .back, &state)
        }

        private func send(
            _ line: String, _ headers: [String], _ body: String, _ session: UInt64?, _ host: String, skips: Bool = false,
            goesBack: Bool = false,
            _ state: inout Checked
        ) throws {
            var lines = ["\(line) RTSP/1.0", "CSeq: 1", "User-Agent: \(agent)"] + headers
            if let session { lines.append("Session: \(session)") }
            if let supported { lines.append("Supported: \(supported)") }
            let request = try MSRTSPServerScript.request(try MSRTSPServerScript.message(lines, body: body))
            var content: WMSPContent?
            if state.sessions.needsContent(request) {
                let here = state.sessions.sessions[MSRTSPModelCheckTests.id]?.content.playlistGenID ?? state.generation
                var found = try self.content(here)
                if skips {
                    state.generation += 1
                    found.skipsTo = [try self.content(state.generation)]
                } else if goesBack {
                    state.generation += 1
                    found = try self.content(state.generation)
                }
                content = found
            }
            var place = MSRTSPPlace(peer: host)
            place.serverPorts = PortPair(rtp: 5_004, rtcp: 5_005)
            place.nextSequence = 9
            state.waiting[state.connection, default: 0] += 1
            let actions = state.sessions.receive(
                request, on: state.connection, from: host, content: content.map { .success($0) }, place: place, now: state.now)
            try perform(actions, &state)
        }

        // MARK: What is done

        private func perform(_ actions: [MSRTSPServerAction], _ state: inout Checked) throws {
            for action in actions {
                switch action {
                case .answer(let connection, _), .answerPacketPair(let connection, _):
                    guard let count = state.waiting[connection], count > 0 else { throw Complaint("an answer that nobody waits for") }
                    state.waiting[connection] = count - 1
                case .request(let connection, _, let request):
                    guard state.waiting[connection] != nil else { throw Complaint("\(request.method) goes to a connection that is gone") }
                    if request.method == .announce {
                        if !state.isEndTold { throw Complaint("an entry is announced, and the end of the one before was not told") }
                        if !follows { throw Complaint("an entry is announced to who does not follow") }
                        state.isBetween = false
                        state.isEndTold = false
                    } else {
                        if state.player == .sending, !state.isBetween { throw Complaint("an end is told while media goes on") }
                        state.isEndTold = true
                    }
                case .start(let play):
                    if play.selection.streams.isEmpty { throw Complaint("nothing is to be sent") }
                    if state.waiting[play.connection] == nil { throw Complaint("media goes over a connection that is gone") }
                    state.player = .finding
                    state.startsHeld = play.isHeld
                    state.isBetween = false
                case .go:
                    guard state.player == .finding else { throw Complaint("nothing can go") }
                    state.player = state.startsHeld ? .held : .sending
                    state.isEndTold = false
                case .select(_, let selection):
                    guard state.player != .none else { throw Complaint("streams are selected, and nobody sends") }
                    if selection.streams.isEmpty { throw Complaint("nothing is selected") }
                    if state.isBetween { throw Complaint("the next entry is sent, and was not announced") }
                    if state.player != .finding { state.player = .sending }
                case .hold:
                    guard state.player != .none else { throw Complaint("nobody sends, and shall hold") }
                    state.player = .held
                case .stop, .finish:
                    guard state.player != .none else { throw Complaint("nobody sends, and shall stop") }
                    state.player = .none
                    state.isBetween = false
                case .ended: if state.player != .none { throw Complaint("a session ends, and is being sent media") }
                case .close(let connection):
                    guard connection == state.connection else { continue }
                    try close(&state)
                case .datagrams, .log, .event: break
                }
            }
        }

        private func close(_ state: inout Checked) throws {
            let before = state.connection
            state.waiting[before] = nil
            state.connection = state.nextConnection
            state.nextConnection += 1
            state.waiting[state.connection] = 0
            try perform(state.sessions.connectionClosed(before, now: state.now), &state)
        }

        // MARK: What holds

        private func check(_ state: Checked) throws {
            let session = state.sessions.sessions[MSRTSPModelCheckTests.id]
            let waits = state.waiting.values.reduce(0, +)
            let isStarting = session?.state == .starting
            if waits > 0, !isStarting || state.player != .finding { throw Complaint("a request waits, and nothing will answer it") }
            if isStarting, waits == 0 { throw Complaint("a Play is being answered, and nobody waits") }
            guard let session else {
                if state.player != .none { throw Complaint("media without a session") }
                return
            }
            if session.hasMedia != (state.player != .none) { throw Complaint("the session is mistaken about who sends") }
            if session.state == .playing, state.player == .none || state.player == .held {
                throw Complaint("it plays, and nothing is sent")
            }
            if session.state == .ready, state.player == .sending { throw Complaint("it does not play, and is sent media") }
            if session.connection == nil, session.state != .ready { throw Complaint("it plays, and has no connection") }
        }

        /// From here a client that comes back plays, and one that does not is forgotten.
        func findWayOn(_ state: Checked) throws {
            var copy = state
            try close(&copy)
            var silent = copy
            silent.now += 66_000
            try perform(silent.sessions.timeElapsed(now: silent.now), &silent)
            if silent.sessions.count != 0 { throw Complaint("a session without a connection lasts for ever") }
            let id = copy.sessions.count == 0 ? nil : MSRTSPModelCheckTests.id
            try send("SETUP rtsp://h/live/audio", [transport], "", id, "10.0.0.1", &copy)
            for _ in 0..<3 where copy.player != .sending {
                if copy.waiting[copy.connection] ?? 0 == 0 {
                    try send("PLAY rtsp://h/live", [], "", MSRTSPModelCheckTests.id, "10.0.0.1", &copy)
                }
                if copy.player == .finding {
                    let found = copy.sessions.started(MSRTSPModelCheckTests.id, MSRTSPBeginning(), now: copy.now)
                    try perform(found, &copy)
                }
                copy.now += 15_000
                try perform(copy.sessions.timeElapsed(now: copy.now), &copy)
            }
            try check(copy)
            guard copy.player == .sending else { throw Complaint("whoever comes back is never sent anything: \(copy.player)") }
            try send("TEARDOWN rtsp://h/live", [], "", MSRTSPModelCheckTests.id, "10.0.0.1", &copy)
            if copy.sessions.count != 0 || copy.player != .none { throw Complaint("a session cannot be ended") }
        }
    }
}

import Testing
import WireFormats

@testable import Signalling

/// Every order of requests and events up to a length, against the state tables of ``WMSPSessions``: whatever comes, each request has one
/// answer, at its place on its connection, and what goes over a connection can be read as HTTP from its first byte on.
///
/// Orders that lead to the same state are followed once: what the machine decides by is in ``Checked/key``.
@Suite struct WMSPModelCheckTests {
    private enum Step: CaseIterable {
        case describe, describeElsewhere, contentInfo, play, playPipelined, playElsewhere, skip, selectHere, selectElsewhere, selectByGet
        case keepAlive, keepAliveElsewhere, options, log, logElsewhere, event, stop, stopElsewhere, pipeline, nextEntry, nextEntryElsewhere
        case nothing, strange
        case entryEnds, entryRewound, contentEnds, connectionCloses, timePasses
    }

    /// A state, with what was written to the connection that the client keeps.
    private struct Checked {
        var sessions: WMSPSessions
        var wire = Wire()
        var now: UInt64 = 1_000_000
        var generation: UInt32 = 7
        var connection: UInt64 = 1
        var nextConnection: UInt64 = 2
        var path: [Step] = []

        /// Everything that decides what happens next, numbers that only count left out.
        var key: String {
            let sessions = sessions.sessions.values.map { session in
                [
                    "\(session.state)", session.connection == connection ? "here" : session.connection == nil ? "none" : "there",
                    "\(session.isChunked)", "\(session.features.rawValue)", "\(session.owed.map(\.closes))", "\(session.isConfirmed)",
                    "\(session.pipelineTest.map { "\($0.isRunning) \($0.connection == connection)" } ?? "-")",
                    "\(session.content?.playlistGenID == nil)", "\(session.selection.whole.numbers)", "\(session.lagMilliseconds > 0)",
                    "\(session.selectedAt != nil)",
                ].joined(separator: ",")
            }
            return "\(sessions) \(self.sessions.tests.count) \(wire.state) \(wire.owed)"
        }
    }

    /// What a client reads on one connection.
    private struct Wire {
        enum State: Equatable { case heads, chunks, endless, closed }
        var state = State.heads
        /// Requests whose answers have not come.
        var owed = 0

        mutating func read(_ bytes: [UInt8]) throws(Complaint) {
            var rest = bytes[...]
            while !rest.isEmpty {
                switch state {
                case .closed: throw Complaint("bytes behind the end")
                case .endless:
                    // A head within media would be taken for media.
                    if rest.starts(with: "HTTP/".utf8) { throw Complaint("an answer within a body that has no end") }
                    return
                case .chunks:
                    let line = rest.prefix { $0 != 13 }
                    guard let size = Int(String(decoding: line, as: UTF8.self), radix: 16), rest.count >= line.count + size + 4 else {
                        throw Complaint("no chunk: \(String(decoding: rest.prefix(40), as: UTF8.self))")
                    }
                    rest = rest.dropFirst(line.count + size + 4)
                    if size == 0 { state = .heads }
                case .heads:
                    guard rest.starts(with: "HTTP/1.".utf8) else { throw Complaint("no head where one is due") }
                    guard let end = rest.indices.first(where: { rest[$0...].starts(with: [13, 10, 13, 10]) }) else {
                        throw Complaint("a head without an end")
                    }
                    let head = String(decoding: rest[..<end], as: UTF8.self)
                    rest = rest[(end + 4)...]
                    owed -= 1
                    if owed < 0 { throw Complaint("an answer that nobody waits for") }
                    if head.contains("\r\nTransfer-Encoding: chunked") {
                        state = .chunks
                    } else if let length = head.firstRange(of: "\r\nContent-Length: ") {
                        let count = Int(head[length.upperBound...].prefix { $0.isNumber }) ?? 0
                        guard rest.count >= count else { throw Complaint("a body that is shorter than it says") }
                        rest = rest.dropFirst(count)
                    } else {
                        state = .endless
                    }
                }
            }
        }
    }

    private struct Complaint: Error {
        let words: String
        init(_ words: String) { self.words = words }
    }

    @Test(arguments: [
        ("NSPlayer/9.0.0.2833", true), ("NSPlayer/9.0.0.2833", false), ("NSServer/9.0.0.3171", true), ("NSPlayer/7.10.0.3059", true),
        ("NSPlayer/4.1.0.3856", true),
    ])
    func everyOrderOfSixRequestsIsAnswered(agent: String, predicts: Bool) throws {
        var settings = WMSPSessions.Settings()
        settings.offersPipelining = true
        settings.owedMax = 4
        var level = [Checked(sessions: WMSPSessions(settings: settings) { 2_064_325_698 })]
        var seen: Set<String> = [level[0].key]
        var steps = 0
        for _ in 1...6 {
            var following: [Checked] = []
            for state in level {
                for step in Step.allCases {
                    var state = state
                    state.path.append(step)
                    steps += 1
                    do { try take(step, &state, agent: agent, predicts: predicts) } catch let complaint as Complaint {
                        Issue.record("\(agent) \(predicts) \(state.path): \(complaint.words)")
                        return
                    }
                    if seen.insert(state.key).inserted { following.append(state) }
                }
            }
            level = following
        }
        #expect(seen.count > (agent.contains("/9") ? 100 : 20) && steps > 1_000, "\(seen.count) states, \(steps) steps")
    }

    private func take(_ step: Step, _ state: inout Checked, agent: String, predicts: Bool) throws {
        state.now += 50
        let id = WMSPServerScript.id
        switch step {
        case .connectionCloses: return try close(&state)
        case .timePasses:
            state.now += 2_000
            try perform(state.sessions.timeElapsed(now: state.now), &state)
        case .contentEnds: try perform(state.sessions.mediaEnded(id, now: state.now), &state)
        case .entryEnds:
            state.generation += 1
            let streams: [UInt8] = state.generation % 2 == 0 ? [1, 2] : [1]
            let content = try WMSPSample.file(streams: streams, playlistGenID: state.generation)
            _ = state.sessions.changeDelayMilliseconds(of: id, now: state.now)
            try perform(state.sessions.contentChanged(id, to: content, entryEnded: true, now: state.now), &state)
        case .entryRewound:
            state.generation += 1
            let content = try WMSPSample.file(streams: [1, 2], playlistGenID: state.generation)
            try perform(state.sessions.contentReceded(id, to: content, now: state.now), &state)
        default: try ask(step, &state, agent: agent, predicts: predicts)
        }
        try check(state)
    }

    /// What holds in every state.
    private func check(_ state: Checked) throws {
        for session in state.sessions.sessions.values {
            guard (session.connection != nil) == (session.state != .idle) else {
                throw Complaint("a \(session.state) session and its connection")
            }
            if let connection = session.connection, state.sessions.bodies[connection] != session.id {
                throw Complaint("a connection that does not know its session")
            }
            if session.connection == nil, !session.owed.isEmpty { throw Complaint("answers that are owed nowhere") }
            // Every body can be ended, and then nothing is owed.
            guard session.connection == state.connection, state.wire.state != .closed else { continue }
            var copy = state
            try perform(copy.sessions.mediaEnded(session.id, now: copy.now), &copy)
            if copy.wire.owed != 0, copy.wire.state != .closed { throw Complaint("\(copy.wire.owed) answers never come") }
        }
        let waits = state.sessions.sessions.values.contains { $0.connection == state.connection && $0.state != .idle }
        let isTested = state.sessions.tests[state.connection] != nil
        if state.wire.owed > 0, !waits, !isTested, state.wire.state != .closed {
            throw Complaint("an answer is owed, and nothing will send it")
        }
    }

    private func ask(_ step: Step, _ state: inout Checked, agent: String, predicts: Bool) throws {
        let id = WMSPServerScript.id
        let named = "client-id=\(id)"
        let all = "stream-switch-entry=ffff:1:0 ffff:2:0"
        var body = "", type: String?
        var line = "POST /a HTTP/1.1", pragma = ["no-cache", named]
        switch step {
        case .describe, .describeElsewhere:
            line = "GET /a HTTP/1.1"
            pragma += ["pipeline-experiment=1"]
        case .contentInfo: (body, type) = ("0", "application/x-wms-getcontentinfo")
        case .play, .playElsewhere, .skip:
            line = "GET /a HTTP/1.1"
            pragma += ["xPlayStrm=1", all, "client-lag=500"] + (step == .skip ? ["pl-offset=1", "version11-enabled=1"] : [])
        case .playPipelined:
            line = "GET /a HTTP/1.1"
            pragma += ["xPlayStrm=1", all, "version11-enabled=1"]
        case .selectHere, .selectElsewhere: pragma += [all]
        case .selectByGet:
            line = "GET /a HTTP/1.1"
            pragma += [all, "version11-enabled=1"]
        case .keepAlive, .keepAliveElsewhere: pragma += ["xKeepAliveInPause=1"]
        case .options: line = "OPTIONS * HTTP/1.1"
        case .log, .logElsewhere: (body, type) = ("<XML/>", "application/x-wms-LogStats;charset=UTF-8")
        case .event: (body, type) = ("1\r\n1,28,0\r\n", "application/x-wms-sendevent")
        case .stop, .stopElsewhere: pragma += ["xStopStrm=1"]
        case .pipeline:
            line = "GET /a HTTP/1.1"
            pragma += ["pipeline-request=1"]
        case .nextEntry, .nextEntryElsewhere:
            line = "GET /a HTTP/1.1"
            pragma += ["xPlayNextEntry=1", all]
        case .strange: pragma = ["no-cache", "client-id=4711", "xStopStrm=1"]
        case .nothing, .entryEnds, .entryRewound, .contentEnds, .connectionCloses, .timePasses: break
        }
        var lines = [line, "User-Agent: \(agent)"] + pragma.map { "Pragma: \($0)" }
        if !predicts { lines.append("Supported: com.microsoft.wm.sswitch") }
        if let type { lines.append("Content-Type: \(type)") }
        let message = try WMSPSample.http(lines, body: body)
        let isElsewhere = [
            Step.describeElsewhere, .playElsewhere, .selectElsewhere, .keepAliveElsewhere, .logElsewhere, .stopElsewhere,
            .nextEntryElsewhere,
        ].contains(step)
        let before = state.connection
        var elsewhere = Wire()
        if isElsewhere {
            state.connection = state.nextConnection
            state.nextConnection += 1
            swap(&state.wire, &elsewhere)
        } else if state.wire.state == .closed {
            // Whoever was closed comes back.
            _ = state.sessions.connectionClosed(state.connection, now: state.now)
            state.connection = state.nextConnection
            state.nextConnection += 1
            state.wire = Wire()
        }
        state.wire.owed += 1
        var content = try WMSPSample.file(streams: [1, 2], playlistGenID: state.generation)
        if step == .skip {
            state.generation += 1
            content.skipsTo = [try WMSPSample.file(streams: [1], playlistGenID: state.generation)]
        }
        let actions: [WMSPServerAction]
        do {
            let request = try WMSPRequest(message)
            actions = state.sessions.receive(request, on: state.connection, from: "10.0.0.1", content: .success(content), now: state.now)
        } catch { actions = state.sessions.refuse(error, to: message, on: state.connection) }
        // What goes to the other connection is read there.
        let here = state.connection
        for action in actions {
            switch action {
            case .send(let connection, let bytes):
                if connection == here { try state.wire.read(bytes) } else if connection == before { try elsewhere.read(bytes) }
            case .start(let play, let opening):
                if play.connection == here { try state.wire.read(opening) } else { throw Complaint("media goes elsewhere") }
            case .close(let connection):
                if connection == here { state.wire.state = .closed } else if connection == before { elsewhere.state = .closed }
            default: break
            }
        }
        guard isElsewhere else { return }
        // A connection of its own is answered at once; it is closed unless media goes over it, which then is the one that is kept.
        if state.wire.owed > 0 { throw Complaint("no answer on a connection of its own") }
        if state.sessions.bodies[here] != nil {
            _ = state.sessions.connectionClosed(before, now: state.now)
        } else {
            let more = state.sessions.connectionClosed(here, now: state.now)
            guard more.isEmpty else { throw Complaint("a side connection that closes does something") }
            state.connection = before
            state.wire = elsewhere
            if state.wire.state == .closed { try close(&state) }
        }
    }

    private func perform(_ actions: [WMSPServerAction], _ state: inout Checked) throws {
        for action in actions {
            switch action {
            case .send(let connection, let bytes) where connection == state.connection: try state.wire.read(bytes)
            case .close(let connection) where connection == state.connection: state.wire.state = .closed
            case .start: throw Complaint("media begins without a request")
            default: break
            }
        }
    }

    private func close(_ state: inout Checked) throws {
        try perform(state.sessions.connectionClosed(state.connection, now: state.now), &state)
        state.connection = state.nextConnection
        state.nextConnection += 1
        state.wire = Wire()
        try check(state)
    }
}

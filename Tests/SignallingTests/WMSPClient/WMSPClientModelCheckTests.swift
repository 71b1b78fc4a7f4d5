import Testing
import WireFormats

@testable import Signalling

/// Every order, up to a length, of what a client is told to do and what becomes of its server's media, the server being ``WMSPSessions``:
/// in both modes, with what the server says arriving at once or late. Each request is one, each answer is understood, no side waits for the
/// other for ever, and after the last word nothing is owed.
@Suite struct WMSPClientModelCheckTests {
    private enum Step: CaseIterable {
        case play, seek, select, stop, leave
        case data, entryEnds, contentEnds, connectionBreaks, keepAlive
        /// What the server says is kept back, and let go of.
        case late, soon
    }

    private struct Complaint: Error {
        let words: String
        init(_ words: String) { self.words = words }
    }

    /// A client, a server, and what is between them.
    private struct World {
        var client: WMSPClient
        var sessions: WMSPSessions
        var now: UInt64 = 1_000_000
        var generation: UInt32 = 7
        var links: [WMSPClient.Link: UInt64] = [:]
        var parsers: [UInt64: HTTPRequestParser] = [:]
        var nextConnection: UInt64 = 1
        /// What is written to these arrives nowhere.
        var broken: Set<UInt64> = []
        var isLate = false
        /// What the server said and the client has not heard; nil: the end of a connection.
        var onTheWay: [(link: WMSPClient.Link, connection: UInt64, bytes: [UInt8]?)] = []
        var hasLeft = false
        var failure: WMSPClientFailure?
        /// Numbers of the packets that came, and of the one that is sent next.
        var number: UInt32 = 0
        var path: [Step] = []
        let id = WMSPServerScript.id

        init(isPipelined: Bool) throws {
            var settings = WMSPSessions.Settings()
            settings.offersPipelining = isPipelined
            sessions = WMSPSessions(settings: settings) { WMSPServerScript.id }
            var wanted = WMSPClient.Settings(url: try WMSPSourceURL("mmsh://h/a")) { "nonce" }
            wanted.offersPipelining = true
            client = WMSPClient(settings: wanted)
            try perform(client.start(now: now))
        }

        func content() throws -> WMSPContent {
            var content = try WMSPSample.file(streams: generation % 2 == 0 ? [1, 2] : [1], playlistGenID: generation)
            content.features = [.seekable, .playlist, .skipForward, .skipBackward]
            return content
        }

        var key: String {
            let session = sessions.sessions[id].map {
                "\($0.state) \($0.isChunked) \($0.owed.count) \($0.connection == links[.media]) \($0.isConfirmed)"
            }
            let way = onTheWay.map { "\($0.link) \(($0.bytes?.count).map { min($0, 300) } ?? -1)" }
            return [
                "\(client.phase)", "\(client.pipelining)", "\(client.media.expected.map(\.exchange.name))",
                "\(client.media.current?.name ?? "-")", "\(client.awaitsEntry)", "\(client.isBetweenEntries)", "\(client.feedback != nil)",
                "\(client.waiting.count)", "\(client.isMediaOpen)", "\(session ?? "-")", "\(isLate)", "\(way)", "\(hasLeft)",
                "\(failure.map(\.description) ?? "-")", "\(client.wanted?.selection == nil)", "\(client.received == nil)",
                "\(client.keepAliveAt == nil)", "\(generation % 2)",
            ].joined(separator: "|")
        }

        // MARK: What is between them

        mutating func perform(_ actions: [WMSPClient.Action]) throws {
            var actions = actions
            while !actions.isEmpty {
                switch actions.removeFirst() {
                case .connect(let link):
                    guard links[link] == nil else { throw Complaint("a second connection for \(link)") }
                    links[link] = nextConnection
                    parsers[nextConnection] = HTTPRequestParser()
                    nextConnection += 1
                    actions += client.connected(link, now: now)
                case .send(let link, let bytes):
                    // What is written when the other side has closed goes nowhere.
                    guard let connection = links[link] else { continue }
                    try serve(bytes, on: connection, link)
                    if !isLate { actions += try heard() }
                case .close(let link):
                    guard let connection = links.removeValue(forKey: link) else { continue }
                    onTheWay.removeAll { $0.connection == connection }
                    serverDoes(sessions.connectionClosed(connection, now: now))
                case .described:
                    // In one go, as the relay does.
                    break
                case .failed(let failure):
                    guard self.failure == nil, !hasLeft else { throw Complaint("it ends twice") }
                    self.failure = failure
                case .left:
                    guard failure == nil, !hasLeft else { throw Complaint("it ends twice") }
                    hasLeft = true
                case .playing, .headerChanged, .packet, .entryEnded, .ended, .redirected: break
                }
            }
        }

        /// What was on the way arrives.
        mutating func heard() throws -> [WMSPClient.Action] {
            var actions: [WMSPClient.Action] = []
            while !onTheWay.isEmpty {
                let one = onTheWay.removeFirst()
                guard links[one.link] == one.connection else { continue }
                if let bytes = one.bytes {
                    actions += client.received(one.link, bytes, now: now)
                } else {
                    // Who hears the end of a connection has none any more.
                    links[one.link] = nil
                    actions += client.closed(one.link, now: now).filter { $0 != .close(one.link) }
                }
                // What is to be done comes before what is heard next.
                if !actions.isEmpty {
                    try perform(actions)
                    actions = []
                }
            }
            return actions
        }

        mutating func serve(_ bytes: [UInt8], on connection: UInt64, _ link: WMSPClient.Link) throws {
            guard !broken.contains(connection) else { return }
            parsers[connection]?.append(bytes)
            while let message = try parsers[connection]?.next() {
                let request = try WMSPRequest(message)
                let content = try content()
                serverDoes(
                    sessions.receive(request, on: connection, from: "10.0.0.1", content: .success(content), now: now))
            }
            guard parsers[connection]?.bytesBuffered == 0 else { throw Complaint("half a request") }
        }

        mutating func serverDoes(_ actions: [WMSPServerAction]) {
            for action in actions {
                switch action {
                case .send(let connection, let bytes): say(bytes, on: connection)
                case .start(let play, let opening): say(opening, on: play.connection)
                case .close(let connection):
                    say(nil, on: connection)
                    _ = sessions.connectionClosed(connection, now: now)
                default: break
                }
            }
        }

        mutating func say(_ bytes: [UInt8]?, on connection: UInt64) {
            guard let link = links.first(where: { $0.value == connection })?.key else { return }
            onTheWay.append((link, connection, bytes))
        }

        mutating func settle() throws { if !isLate { try perform(heard()) } }
    }

    @Test(arguments: [true, false]) func everyOrder(isPipelined: Bool) throws {
        var level = [try World(isPipelined: isPipelined)]
        var seen: Set<String> = [level[0].key]
        var steps = 0
        for _ in 1...6 {
            var following: [World] = []
            for world in level {
                for step in Step.allCases {
                    var world = world
                    world.path.append(step)
                    steps += 1
                    do {
                        try take(step, &world)
                        try check(world)
                    } catch let complaint as Complaint {
                        Issue.record(
                            "pipelined \(isPipelined), \(world.path.map { "\($0)".split(separator: ".").last ?? "" }): \(complaint.words)\n\(world.key)"
                        )
                        return
                    }
                    if seen.insert(world.key).inserted { following.append(world) }
                }
            }
            level = following
        }
        #expect(seen.count > 100 && steps > 1_000, "\(seen.count) states, \(steps) steps")
    }

    private func take(_ step: Step, _ world: inout World) throws {
        world.now += 50
        let now = world.now
        let session = world.sessions.sessions[world.id]
        switch step {
        case .play: try world.perform(world.client.play(nil, from: .beginning, now: now))
        case .seek: try world.perform(world.client.play(nil, from: .packet(3), now: now))
        case .select: try world.perform(world.client.select(WMSPSelection(keyFramesOnly: [1]), now: now))
        case .stop: try world.perform(world.client.stop(now: now))
        case .leave: try world.perform(world.client.leave(now: now))
        case .data:
            guard let session, session.state == .streaming, let connection = session.connection else { return }
            world.say(session.coded(WMSPClientScript.data(world.number)), on: connection)
            world.number += 1
        case .entryEnds:
            guard session != nil else { return }
            world.generation += 1
            let content = try world.content()
            world.serverDoes(world.sessions.contentChanged(world.id, to: content, entryEnded: true, now: now))
        case .contentEnds: world.serverDoes(world.sessions.mediaEnded(world.id, now: now))
        case .connectionBreaks:
            guard let connection = world.links[.media] else { return }
            world.serverDoes(world.sessions.connectionClosed(connection, now: now))
            world.broken.insert(connection)
            world.say(nil, on: connection)
        case .keepAlive:
            world.now += 30_000
            guard world.client.keepAliveAt != nil else { return }
            try world.perform(world.client.timeElapsed(now: world.now))
        case .late: world.isLate = true
        case .soon: world.isLate = false
        }
        try world.settle()
    }

    /// What holds in every state.
    private func check(_ world: World) throws {
        let client = world.client
        if let failure = world.failure {
            guard [.cutOff, .noHeader].contains(failure) || failure.description.contains("without an answer") else {
                throw Complaint("it fails: \(failure)")
            }
            guard client.deadline == nil, world.links.isEmpty else { throw Complaint("something is left behind a failure") }
            return
        }
        if world.hasLeft { return }
        // When all has arrived, neither waits for the other.
        var calm = world
        calm.isLate = false
        try calm.settle()
        guard calm.failure == nil, !calm.hasLeft else { return }
        if calm.client.phase == .leaving { throw Complaint("it does not leave") }
        let session = calm.sessions.sessions[calm.id]
        let expected = calm.client.media.expected
        guard expected.isEmpty || calm.client.feedback != nil else { throw Complaint("never answered: \(expected.map(\.exchange.name))") }
        guard calm.client.feedback == nil else { throw Complaint("feedback is never answered") }
        guard session?.owed.isEmpty ?? true else { throw Complaint("the server owes answers") }
        guard calm.client.phase != .testing, calm.client.phase != .starting else { throw Complaint("a Play never begins") }
        if calm.client.phase == .playing, session?.state != .streaming { throw Complaint("the server waits, and so does the client") }
        if calm.client.phase == .idle, session?.state == .streaming { throw Complaint("media that nobody wants") }
        // And it can always leave.
        try calm.perform(calm.client.leave(now: calm.now))
        try calm.settle()
        guard calm.hasLeft || calm.failure != nil, calm.links.isEmpty else { throw Complaint("it cannot leave") }
    }
}

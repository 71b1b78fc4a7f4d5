import Testing

@testable import Signalling

/// Every (role, state, event) pair, with what it leads to.
@Suite struct ServerSessionMachineTests {
    typealias Machine = ServerSessionMachine

    enum Event: CaseIterable {
        case setUpNew, setUpSame, setUpOtherTransport, play, joined, startFailed, pause, record
        case tearDownTrack, tearDownUnknown, tearDownAll, connectionClosed, end
    }

    enum Outcome: Equatable, CustomStringConvertible {
        /// The action and the state after it.
        case action(Machine.Action, Machine.State)
        /// 455; the state stays.
        case notNow
        case trackNotSetUp, mixedTransports, gone

        var description: String {
            switch self {
            case .action(let action, let state): "\(action) → \(state)"
            case .notNow: "455"
            case .trackNotSetUp: "no such track"
            case .mixedTransports: "mixed"
            case .gone: "gone"
            }
        }
    }

    /// A machine of two UDP tracks in the given state; nil where the role never gets there.
    static func machine(_ role: Machine.Role, _ state: Machine.State, interleaved: Bool = false) throws -> Machine? {
        var machine = Machine(role: role)
        func track(_ number: Int) -> SessionTrack {
            SessionTrack(
                number: number, url: "rtsp://h/p/trackID=\(number)",
                transport: interleaved
                    ? .interleaved(rtp: UInt8(2 * number), rtcp: UInt8(2 * number + 1)) : .datagram(rtp: 4_000, rtcp: 4_001))
        }
        if state == .initial { return machine }
        try machine.setUp(track(0))
        try machine.setUp(track(1))
        switch (role, state) {
        case (_, .initial), (_, .ready): break
        case (.reader, .starting): _ = try machine.play()
        case (.reader, .playing):
            _ = try machine.play()
            _ = machine.joined()
        case (.publisher, .recording): _ = try machine.record()
        case (.reader, .recording), (.publisher, .starting), (.publisher, .playing): return nil
        case (_, .ended): _ = machine.end()
        }
        #expect(machine.state == state)
        return machine
    }

    static func apply(_ event: Event, to machine: inout Machine) -> Outcome {
        func datagram(_ number: Int) -> SessionTrack {
            SessionTrack(number: number, url: "rtsp://h/p/trackID=\(number)", transport: .datagram(rtp: 5_000, rtcp: 5_001))
        }
        do throws(Machine.Refusal) {
            switch event {
            case .setUpNew: try machine.setUp(datagram(2))
            case .setUpSame: try machine.setUp(datagram(1))
            case .setUpOtherTransport: try machine.setUp(SessionTrack(number: 1, url: "u", transport: .interleaved(rtp: 0, rtcp: 1)))
            case .play: return .action(try machine.play(), machine.state)
            case .joined: return .action(machine.joined(), machine.state)
            case .startFailed: machine.startFailed()
            case .pause: return .action(try machine.pause(), machine.state)
            case .record: return .action(try machine.record(), machine.state)
            case .tearDownTrack: return .action(try machine.tearDown(track: 1), machine.state)
            case .tearDownUnknown: return .action(try machine.tearDown(track: 7), machine.state)
            case .tearDownAll: return .action(try machine.tearDown(track: nil), machine.state)
            case .connectionClosed: return .action(machine.connectionClosed(), machine.state)
            case .end: return .action(machine.end(), machine.state)
            }
            return .action(.none, machine.state)
        } catch {
            switch error {
            case .notNow: return .notNow
            case .trackNotSetUp: return .trackNotSetUp
            case .mixedTransports: return .mixedTransports
            case .gone: return .gone
            }
        }
    }

    /// In the order of `Event.allCases`.
    static let table: [(Machine.Role, Machine.State, [Outcome])] = [
        (
            .reader, .initial,
            [
                .action(.none, .ready), .action(.none, .ready), .action(.none, .ready), .notNow, .action(.none, .initial),
                .action(.none, .initial), .notNow, .notNow, .trackNotSetUp, .trackNotSetUp, .action(.end, .ended), .action(.end, .ended),
                .action(.end, .ended),
            ]
        ),
        (
            .reader, .ready,
            [
                .action(.none, .ready), .action(.none, .ready), .mixedTransports, .action(.start, .starting), .action(.none, .ready),
                .action(.none, .ready), .action(.none, .ready), .notNow, .action(.none, .ready), .trackNotSetUp, .action(.end, .ended),
                .action(.none, .ready), .action(.end, .ended),
            ]
        ),
        (
            .reader, .starting,
            [
                .notNow, .notNow, .mixedTransports, .notNow, .action(.go, .playing), .action(.none, .ready), .action(.stop, .ready),
                .notNow,
                .action(.start, .starting), .trackNotSetUp, .action(.end, .ended), .action(.none, .starting), .action(.end, .ended),
            ]
        ),
        (
            .reader, .playing,
            [
                .action(.none, .playing), .notNow, .mixedTransports, .action(.none, .playing), .action(.none, .playing),
                .action(.none, .playing), .action(.stop, .ready), .notNow, .action(.start, .starting), .trackNotSetUp,
                .action(.end, .ended), .action(.none, .playing), .action(.end, .ended),
            ]
        ),
        (
            .reader, .ended,
            [
                .gone, .gone, .mixedTransports, .gone, .action(.none, .ended), .action(.none, .ended), .gone, .gone, .gone, .gone, .gone,
                .action(.none, .ended), .action(.none, .ended),
            ]
        ),
        (
            .publisher, .initial,
            [
                .action(.none, .ready), .action(.none, .ready), .action(.none, .ready), .notNow, .action(.none, .initial),
                .action(.none, .initial), .notNow, .notNow, .trackNotSetUp, .trackNotSetUp, .action(.end, .ended), .action(.end, .ended),
                .action(.end, .ended),
            ]
        ),
        (
            .publisher, .ready,
            [
                .action(.none, .ready), .action(.none, .ready), .mixedTransports, .notNow, .action(.none, .ready), .action(.none, .ready),
                .notNow, .action(.record, .recording), .action(.none, .ready), .trackNotSetUp, .action(.end, .ended), .action(.end, .ended),
                .action(.end, .ended),
            ]
        ),
        (
            .publisher, .recording,
            [
                .notNow, .notNow, .mixedTransports, .notNow, .action(.none, .recording), .action(.none, .recording), .notNow,
                .action(.none, .recording), .notNow, .trackNotSetUp, .action(.end, .ended), .action(.end, .ended), .action(.end, .ended),
            ]
        ),
        (
            .publisher, .ended,
            [
                .gone, .gone, .mixedTransports, .gone, .action(.none, .ended), .action(.none, .ended), .gone, .gone, .gone, .gone, .gone,
                .action(.none, .ended), .action(.none, .ended),
            ]
        ),
    ]

    @Test func theTableNamesEveryReachableState() throws {
        for role in Machine.Role.allCases {
            for state in Machine.State.allCases {
                let rows = Self.table.filter { $0.0 == role && $0.1 == state }
                #expect(try rows.count == (Self.machine(role, state) == nil ? 0 : 1), "\(role) \(state)")
            }
        }
    }

    @Test(arguments: table)
    func everyPair(role: Machine.Role, state: Machine.State, outcomes: [Outcome]) throws {
        try #require(outcomes.count == Event.allCases.count)
        for (event, expected) in zip(Event.allCases, outcomes) {
            var machine = try #require(try Self.machine(role, state))
            let outcome = Self.apply(event, to: &machine)
            #expect(outcome == expected, "\(role) \(state) \(event)")
            // A refusal changes nothing.
            if case .action = expected {} else { #expect(machine.state == state, "\(role) \(state) \(event)") }
        }
    }

    @Test(arguments: Machine.State.allCases)
    func anInterleavedSessionEndsWithItsConnection(state: Machine.State) throws {
        for role in Machine.Role.allCases {
            guard var machine = try Self.machine(role, state, interleaved: true) else { continue }
            #expect(machine.connectionClosed() == (state == .ended ? .none : .end))
            #expect(machine.state == .ended)
        }
    }

    @Test func aTrackSetUpWhilePlayingIsSentAfterTheNextPlay() throws {
        var machine = try #require(try Self.machine(.reader, .playing))
        try machine.setUp(SessionTrack(number: 2, url: "u", transport: .datagram(rtp: 5_000, rtcp: 5_001)))
        #expect(try machine.play() == .start)
        #expect(machine.joined() == .go)
        #expect(try machine.play() == .none)
        #expect(machine.tracks.map(\.number) == [0, 1, 2])
    }

    @Test func theOnlyTrackMayChangeItsTransport() throws {
        var machine = Machine(role: .reader)
        try machine.setUp(SessionTrack(number: 0, url: "u", transport: .datagram(rtp: 5_000, rtcp: 5_001)))
        try machine.setUp(SessionTrack(number: 0, url: "u", transport: .interleaved(rtp: 0, rtcp: 1)))
        #expect(machine.isInterleaved == true && machine.tracks.count == 1)
    }

    @Test func aMulticastSessionIsOfOneKindAndOutlivesItsConnection() throws {
        var machine = Machine(role: .reader)
        try machine.setUp(SessionTrack(number: 0, url: "u", transport: .multicast(rtp: 5_004, rtcp: 5_005)))
        #expect(throws: Machine.Refusal.mixedTransports) {
            try machine.setUp(SessionTrack(number: 1, url: "u", transport: .datagram(rtp: 5_000, rtcp: 5_001)))
        }
        try machine.setUp(SessionTrack(number: 1, url: "u", transport: .multicast(rtp: 5_006, rtcp: 5_007)))
        #expect(machine.kind == .multicast && machine.isInterleaved == false)
        #expect(try machine.play() == .start)
        #expect(machine.connectionClosed() == .none)
    }

    @Test func theLastTrackTakesTheSessionWithIt() throws {
        var machine = try #require(try Self.machine(.reader, .playing))
        #expect(try machine.tearDown(track: 0) == .start)
        #expect(try machine.tearDown(track: 1) == .end)
        #expect(machine.state == .ended)
    }
}

import Foundation
import Logging
import NIOCore
import NIOEmbedded
import NIOPosix
import Signalling
import Testing
import WireFormats

@testable import ControlPlane

/// What origins hear of plays, through a relay that is restarted meanwhile.
@Suite(.serialized) struct OriginNoticesTests {
    private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    private let loop = EmbeddedEventLoop()

    /// What an origin heard, and whether it is there.
    private final class Origin {
        var heard: [OriginNotice] = []
        var isThere = true

        var kinds: [RemoteEvent.Kind] { heard.map(\.event.kind) }

        func deliver(_ notice: OriginNotice, _ done: @escaping (OriginNoticeOutcome) -> Void) {
            if isThere { heard.append(notice) }
            done(isThere ? .taken : .away("connection refused"))
        }
    }

    /// Keeps what it is given, as a disk does.
    private final class Shelf: NoticeStore {
        var entries: [Int64: OriginNoticeQueue.Entry] = [:]
        var failures = 0
        var isSlow = false
        /// So often it cannot be read.
        var troubles = 0
        private var onLoad: (() -> Void)?

        func load(_ done: @escaping (Result<[OriginNoticeQueue.Entry], any Error>) -> Void) {
            guard troubles == 0 else {
                troubles -= 1
                return done(.failure(PathError.refused("busy")))
            }
            let answer = { [self] in done(.success(Array(entries.values))) }
            if isSlow { onLoad = answer } else { answer() }
        }

        func loaded() { onLoad?() }
        func whenIdle(_ body: @escaping () -> Void) { body() }
        func keep(_ entry: OriginNoticeQueue.Entry) { entries[entry.number] = entry }
        func forget(_ numbers: [Int64]) { for number in numbers { entries[number] = nil } }
    }

    private static let cached = ProxiedContent(
        outcome: .init(.hit, "fresh"), origin: "mmsh://origin/a", events: [.open, .close, .log], isCached: true)
    private static let log = RemoteEvent(logOf: "NSPlayer/9.0", guid: "{1}", url: "mmsh://origin/a", xml: "<XML></XML>")

    private func path() -> Path {
        let port = EnginePort(engine: RecordingEngine(), eventLoop: loop, logger: Self.logger)
        return Path(
            settings: PathSettings(name: "a", source: .publish), port: port, mediaPorts: MediaPorts(range: nil), logger: Self.logger)
    }

    private func notices(_ origin: Origin, _ shelf: Shelf? = nil) -> OriginNotices {
        let notices = OriginNotices(eventLoop: loop, logger: Self.logger)
        notices.deliver = { origin.deliver($0, $1) }
        if let shelf { notices.keep(in: shelf) }
        return notices
    }

    private func settle(_ milliseconds: Int64 = 0) {
        loop.run()
        loop.advanceTime(by: .milliseconds(milliseconds))
        loop.run()
    }

    @Test func aPlayIsCountedAndTold() {
        let origin = Origin(), path = path()
        let notices = notices(origin)
        notices.began(.http(1), Self.cached, of: path, agent: "NSPlayer/9.0")
        settle()
        #expect(origin.kinds == [.open] && path.proxyCounts.plays == [.hit: 1] && path.proxyCounts.last?.words == "HIT fresh")
        notices.mediaEnded(.http(1))
        #expect(notices.logged(.http(1), .rendering) { url in url == "mmsh://origin/a" ? Self.log : nil })
        settle()
        #expect(origin.kinds == [.open, .log, .close] && notices.overview.delivered == 3 && notices.overview.logs["rendering"] == 1)
        // A play of our own is nobody's business.
        notices.began(.http(2), nil, of: path, agent: "NSPlayer/9.0")
        #expect(!notices.logged(.http(2), .legacy) { _ in Self.log })
        settle()
        #expect(origin.heard.count == 3 && notices.overview.logs["legacy"] == 1)
    }

    @Test func whoLogsNothingIsClosedAfterAWhile() {
        let origin = Origin()
        let notices = notices(origin)
        notices.began(.http(1), Self.cached, of: path(), agent: "")
        notices.mediaEnded(.http(1))
        settle(9_000)
        #expect(origin.kinds == [.open])
        settle(2_000)
        #expect(origin.kinds == [.open, .close])
    }

    @Test func whatIsSplitIsLoggedAlone() {
        let origin = Origin(), path = path()
        let notices = notices(origin)
        var split = Self.cached
        split.outcome = .init(.split, "x-wms-proxy-split")
        split.isCached = false
        notices.began(.rtsp(1), split, of: path, agent: "")
        _ = notices.logged(.rtsp(1), .legacy) { _ in Self.log }
        notices.over(.rtsp(1))
        settle()
        #expect(origin.kinds == [.log])
        // A relay behind this one: what it tells goes on.
        notices.heard(RemoteEvent(kind: .open), of: path, agent: "")
        settle()
        #expect(origin.kinds == [.log, .open])
    }

    @Test func whatTheOriginMissesItHearsLaterInOrder() {
        let origin = Origin(), shelf = Shelf()
        origin.isThere = false
        let first = notices(origin, shelf)
        first.began(.http(1), Self.cached, of: path(), agent: "")
        _ = first.logged(.http(1), .legacy) { _ in Self.log }
        first.over(.http(1))
        settle(3_000)
        #expect(origin.heard.isEmpty && shelf.entries.count == 3 && first.overview.originsAway == 1 && first.overview.trouble != nil)
        first.stop()
        settle(60_000)
        // The relay ended, and begins anew.
        origin.isThere = true
        shelf.isSlow = true
        let second = notices(origin, shelf)
        second.began(.http(1), Self.cached, of: path(), agent: "")
        settle()
        #expect(origin.heard.isEmpty, "what an earlier run left comes first")
        shelf.loaded()
        settle()
        #expect(origin.kinds == [.open, .log, .close, .open] && shelf.entries.isEmpty && second.overview.restored == 3)
        #expect(second.overview.waiting == 0 && second.overview.trouble == nil)
    }

    @Test func whatPlaysWhenTheRelayEndsIsClosedByTheNext() {
        let origin = Origin(), shelf = Shelf()
        let first = notices(origin, shelf)
        first.began(.http(1), Self.cached, of: path(), agent: "")
        settle()
        #expect(origin.kinds == [.open] && shelf.entries.isEmpty)
        first.stop()
        settle()
        #expect(origin.kinds == [.open] && shelf.entries.count == 1)
        let second = notices(origin, shelf)
        settle()
        #expect(origin.kinds == [.open, .close] && shelf.entries.isEmpty && second.waitingCount == 0)
    }

    /// What an earlier run left is not written over because it could not be read.
    @Test(arguments: [(1, 3), (4, 3), (5, 2)])
    func whatCannotBeReadAtOnceIsReadLater(troubles: Int, left: Int) {
        let origin = Origin(), shelf = Shelf()
        origin.isThere = false
        let first = notices(origin, shelf)
        first.began(.http(1), Self.cached, of: path(), agent: "")
        first.over(.http(1))
        settle()
        first.stop()
        #expect(shelf.entries.count == 2)
        shelf.troubles = troubles
        let second = notices(origin, shelf)
        second.began(.http(1), Self.cached, of: path(), agent: "")
        settle(20_000)
        #expect(shelf.entries.count == left && second.waitingCount == (left == 3 ? 3 : 1))
    }

    @Test func whatComesBeforeTheEndIsKept() {
        let origin = Origin(), shelf = Shelf()
        shelf.troubles = 1
        let first = notices(origin, shelf)
        first.began(.http(1), Self.cached, of: path(), agent: "")
        var isStopped = false
        first.stop { isStopped = true }
        settle()
        #expect(isStopped && origin.heard.isEmpty && shelf.entries.count == 2)
    }

    @Test func withoutAnybodyWhoTellsNothingWaits() {
        let notices = OriginNotices(eventLoop: loop, logger: Self.logger)
        notices.began(.http(1), Self.cached, of: path(), agent: "")
        settle(1_000)
        #expect(notices.overview.made == 0 && notices.waitingCount == 0)
    }

    @Test(
        arguments: [
            ("cpu  10 0 10 70 10 0 0 0 0 0\ncpu0 1 2 3 4", 20, 100), ("cpu  1 2 3 4", 6, 10), ("cpu  1 2 3", nil, nil), ("", nil, nil),
            ("intr 5", nil, nil), ("cpu  18446744073709551615 1 0 0", 0, 0), ("cpu a b c d", nil, nil),
        ] as [(String, UInt64?, UInt64?)])
    func ticks(text: String, busy: UInt64?, all: UInt64?) {
        let ticks = HostLoad.parse(text)
        #expect(ticks?.busy == busy && ticks?.all == all)
    }

    @Test func howBusyItIsIsAShare() {
        var load = HostLoad()
        for now in [0, 10, 2_000, 4_000] as [UInt64] { #expect((0...100).contains(load.percent(now: now) ?? -1)) }
    }
}

/// The table on a disk.
@Suite struct NoticeTableTests {
    private static func entry(_ number: Int64, _ xml: String = "<XML>\u{e4}\n'\"</XML>") -> OriginNoticeQueue.Entry {
        let event =
            number % 2 == 0 ? RemoteEvent(kind: .open) : RemoteEvent(logOf: "NSPlayer/9.0", guid: "{1}", url: "mmsh://o/a", xml: xml)
        return .init(number: number, notice: OriginNotice(url: "mmsh://o/a?b=c", event: event, agent: "NSPlayer/9.0"), unixSeconds: 77)
    }

    @Test func whatIsKeptIsThereAgain() async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("weir-notices-\(UUID().uuidString).sqlite").path
        defer { for end in ["", "-wal", "-shm", "-journal"] { try? FileManager.default.removeItem(atPath: path + end) } }
        func entries(_ body: @escaping @Sendable (NoticeTable) -> Void) async throws -> [OriginNoticeQueue.Entry] {
            let promise = loop.makePromise(of: [OriginNoticeQueue.Entry].self)
            loop.execute {
                do {
                    let table = try NoticeTable(path: path, eventLoop: loop, logger: Logger(label: "test"))
                    body(table)
                    // Behind all that was written before.
                    table.whenIdle {
                        table.load { promise.completeWith($0) }
                    }
                } catch { promise.fail(error) }
            }
            return try await promise.futureResult.get()
        }
        #expect(try await entries { _ in }.isEmpty)
        let first = try await entries { table in
            for number in 1...5 { table.keep(Self.entry(Int64(number))) }
            table.forget([2, 99])
            table.forget([5])
        }
        #expect(first == [1, 3, 4].map { Self.entry($0) })
        #expect(try await entries { $0.forget([1, 3]) } == [Self.entry(4)])
        #expect(try await entries { $0.keep(Self.entry(4, "other")) } == [Self.entry(4)])
    }
}

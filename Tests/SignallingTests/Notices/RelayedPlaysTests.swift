import Testing
import WireFormats

@testable import Signalling

/// In which order origins hear of plays.
@Suite struct RelayedPlaysTests {
    private static let log = RemoteEvent(logOf: "NSPlayer/9.0", guid: "{1}", url: "mmsh://o/a", xml: "<XML></XML>")

    private func content(
        _ url: String = "mmsh://o/a", _ events: MSRTSPCacheControl.Events = [.open, .close, .log], isCached: Bool = true
    ) -> RelayedPlays.Content {
        .init(url: url, events: events, isCached: isCached, agent: "NSPlayer/9.0")
    }

    private func kinds(_ notices: [OriginNotice]) -> [RemoteEvent.Kind] { notices.map(\.event.kind) }

    @Test func openThenLogThenClose() {
        var plays = RelayedPlays()
        #expect(kinds(plays.began(.http(1), content())) == [.open])
        plays.mediaEnded(.http(1), now: 100)
        #expect(kinds(plays.logged(.http(1), Self.log)) == [.log, .close])
        #expect(kinds(plays.over(.http(1))) == [] && plays.count == 0)
    }

    @Test func aLogInMidPlayClosesNothing() {
        var plays = RelayedPlays()
        _ = plays.began(.rtsp(1), content())
        #expect(kinds(plays.logged(.rtsp(1), Self.log)) == [.log])
        #expect(kinds(plays.over(.rtsp(1))) == [.close])
    }

    @Test func whoLogsNothingIsWaitedFor() {
        var plays = RelayedPlays()
        _ = plays.began(.http(1), content())
        #expect(plays.deadline == nil)
        plays.mediaEnded(.http(1), now: 100)
        plays.mediaEnded(.http(1), now: 5_000)
        #expect(plays.deadline == 100 + RelayedPlays.logWaitMilliseconds)
        #expect(kinds(plays.timeElapsed(now: 10_099)) == [] && kinds(plays.timeElapsed(now: 10_100)) == [.close])
        #expect(plays.deadline == nil)
        // What comes yet is told all the same.
        #expect(kinds(plays.logged(.http(1), Self.log)) == [.log])
    }

    @Test func aSeekIsTheSameOpeningAndAnotherContentIsNot() {
        var plays = RelayedPlays()
        _ = plays.began(.http(1), content())
        plays.mediaEnded(.http(1), now: 0)
        #expect(kinds(plays.began(.http(1), content())) == [] && plays.deadline == nil)
        let next = plays.began(.http(1), content("mmsh://o/b"))
        #expect(kinds(next) == [.close, .open] && next.map(\.url) == ["mmsh://o/a", "mmsh://o/b"])
        // Others have nothing to do with it.
        #expect(kinds(plays.began(.rtsp(1), content())) == [.open] && plays.count == 2)
    }

    @Test(
        arguments: [
            ([], true, []), ([.log], true, [.log]), ([.open], true, [.open]), ([.close], true, [.close]),
            ([.open, .close, .log], false, [.log]), ([.open, .close], false, []),
        ] as [(MSRTSPCacheControl.Events, Bool, [RemoteEvent.Kind])])
    func onlyWhatWasAskedFor(events: MSRTSPCacheControl.Events, isCached: Bool, kinds expected: [RemoteEvent.Kind]) {
        var plays = RelayedPlays()
        var told = plays.began(.http(1), content("mmsh://o/a", events, isCached: isCached))
        plays.mediaEnded(.http(1), now: 0)
        told += plays.logged(.http(1), Self.log)
        told += plays.over(.http(1))
        #expect(kinds(told) == expected)
    }

    @Test func nobodyIsToldOfWhomNothingIsKnown() {
        var plays = RelayedPlays()
        plays.mediaEnded(.http(9), now: 0)
        #expect(plays.logged(.http(9), Self.log).isEmpty && plays.over(.http(9)).isEmpty && plays.timeElapsed(now: .max).isEmpty)
        _ = plays.began(.http(9), content())
        #expect(plays.logged(.http(9), nil).isEmpty)
    }
}

import Testing
import WireFormats

@testable import ControlPlane

@Suite struct SlateWatchTests {
    private static let millisecond: UInt64 = 1_000_000

    private func sight(
        _ packets: UInt64, at milliseconds: UInt64, frame: UInt64 = 40, connected: Bool = true, watched: Bool = true
    ) -> SlateWatch.Sight {
        .init(
            packets: packets, frameNanoseconds: frame * Self.millisecond, isConnected: connected, isWatched: watched,
            now: milliseconds * Self.millisecond)
    }

    @Test func beginsAfterTheTimeAndEndsWithTheFirstPacket() {
        var watch = SlateWatch(afterMilliseconds: 500)
        #expect(watch.look(sight(0, at: 0)) == nil)
        #expect(watch.look(sight(0, at: 60_000)) == nil, "a source that never sent is not away")
        #expect(watch.look(sight(1, at: 60_100)) == nil)
        #expect(watch.look(sight(1, at: 60_599)) == nil)
        #expect(watch.look(sight(1, at: 60_600)) == .begin)
        #expect(watch.look(sight(1, at: 70_000)) == nil && watch.isOn)
        #expect(watch.look(sight(2, at: 70_100)) == .end)
        #expect(watch.look(sight(2, at: 70_500)) == nil)
        #expect(watch.look(sight(2, at: 70_600)) == .begin)
    }

    @Test func waitsWhilePacketsWaitForOthers() {
        var watch = SlateWatch(afterMilliseconds: 500)
        _ = watch.look(sight(1, at: 0))
        var held = sight(1, at: 900)
        held.waiting = 3
        #expect(watch.look(held) == nil)
        #expect(watch.look(sight(2, at: 1_000)) == nil)
        held = sight(2, at: 1_900)
        held.waiting = 1
        #expect(watch.look(held) == nil)
        #expect(watch.look(sight(2, at: 2_399)) == nil)
        #expect(watch.look(sight(2, at: 2_400)) == .begin)
    }

    @Test func waitsForThreeFramesOfASlowSourceUnlessItIsGone() {
        var watch = SlateWatch(afterMilliseconds: 500)
        #expect(watch.look(sight(1, at: 0, frame: 500)) == nil)
        #expect(watch.look(sight(1, at: 1_499, frame: 500)) == nil)
        #expect(watch.look(sight(1, at: 1_499, frame: 500, connected: false)) == .begin)
        #expect(watch.look(sight(2, at: 1_600, frame: 500)) == .end)
        #expect(watch.look(sight(2, at: 3_100, frame: 500)) == .begin)
    }

    @Test func restsWhileNobodyReads() {
        var watch = SlateWatch(afterMilliseconds: 500)
        _ = watch.look(sight(1, at: 0))
        #expect(watch.look(sight(1, at: 5_000, watched: false)) == nil)
        #expect(watch.look(sight(1, at: 6_000)) == .begin)
        #expect(watch.look(sight(1, at: 7_000, watched: false)) == .end)
        #expect(watch.look(sight(1, at: 8_000)) == .begin, "somebody came back, the source has not")
    }

    @Test func aSourceWithoutFrameRateIsJudgedByTheTimeAlone() {
        var watch = SlateWatch(afterMilliseconds: 100)
        _ = watch.look(sight(1, at: 0, frame: 0))
        #expect(watch.look(.init(packets: 1, frameNanoseconds: .max, now: 200 * Self.millisecond)) == .begin)
    }

    // MARK: Settings

    @Test(arguments: [
        ("off", SlateSettings.off), ("false", .off), ("last-key-frame", .lastKeyFrame), ("still/away.rtpdump", .clip("still/away.rtpdump")),
    ])
    func readsItsWord(text: String, expected: SlateSettings) throws { #expect(try SlateSettings(text) == expected) }

    @Test(arguments: ["", "on", "last-keyframe", "away.mp4", "repeat"])
    func saysWhatItTakes(text: String) {
        let error = #expect(throws: ValueProblem.self) { try SlateSettings(text) }
        #expect(error?.text == "`\(text)` is not known; write off, last-key-frame or a file that ends in .rtpdump")
    }

    @Test func stands() throws {
        let configuration = try Configuration.parse(
            "paths:\n  cam:\n    source: publish\n    slate: last-key-frame\n    slate-after: 2s\n")
        #expect(configuration.paths[0].slate == .lastKeyFrame && configuration.paths[0].slateAfterMilliseconds == 2_000)
        let error = #expect(throws: ConfigurationErrors.self) {
            try Configuration.parse(
                "paths:\n  cam:\n    source: publish\n    slate: still\n    slate-after: 10ms\n")
        }
        #expect(error?.errors.map(\.key).sorted() == ["paths.cam.slate", "paths.cam.slate-after"])
    }
}

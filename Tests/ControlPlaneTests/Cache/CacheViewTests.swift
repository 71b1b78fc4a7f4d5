import Foundation
import Synchronization
import Testing

@testable import ControlPlane

/// `weir cache` beside a relay, and without one.
struct CacheViewTests {
    @Test func looksWhileAnotherWrites() throws {
        let fixture = try CacheFixture()
        let store = try fixture.open()
        try CacheFixture.fill(store, "a")
        let view = try CacheView(fixture.directory)
        #expect(try view.records().map(\.key) == ["a"])
        try CacheFixture.fill(store, "b")
        #expect(try view.records().count == 2)
        #expect(view.owner != nil)
        #expect(try view.verify(view.records()[0]) == CacheView.Verdict(bytes: 100_000))
    }

    @Test(arguments: [true, false])
    func purgesAndPins(hasRelay: Bool) throws {
        let fixture = try CacheFixture()
        let store = try fixture.open()
        for key in ["a", "b"] { try CacheFixture.fill(store, key) }
        let held = try #require(try store.open("a"))
        let isOver = Mutex(false)
        if hasRelay {
            // A thread of its own: what waits for it below blocks.
            Thread.detachNewThread {
                while !isOver.withLock({ $0 }) {
                    try? store.upkeep(elapsed: .seconds(1))
                    Thread.sleep(forTimeInterval: 0.02)
                }
            }
        } else {
            store.close()
        }
        defer { isOver.withLock { $0 = true } }
        let view = try CacheView(fixture.directory)
        try view.pin("b", true)
        #expect(try view.records().first { $0.key == "b" }?.isPinned == true)
        let victims = CacheView.matching("a", in: try view.records())
        #expect(try view.remove(victims, because: .purged))
        #expect(try view.records().map(\.key) == ["b"])
        #expect(fixture.files.count == 2)
        if hasRelay { #expect(held.removal == .purged) }
        #expect(String(decoding: FileManager.default.contents(atPath: "\(fixture.directory)/pins") ?? Data(), as: UTF8.self) == "b\n")
        try view.pin("b", false)
        #expect(try view.pins() == [])
    }

    /// A relay's cache may be larger than what is standard, and older: a command beside it lets go of nothing else.
    @Test func withoutARelayNothingElseGoes() throws {
        let fixture = try CacheFixture()
        do {
            let store = try fixture.open()
            for key in ["a", "large", "old"] { try CacheFixture.fill(store, key) }
            store.close()
        }
        try fixture.sql("UPDATE object SET ranges = '0-20000000' WHERE key = 'large'")
        try fixture.sql("UPDATE object SET used_at = 5 WHERE key = 'old'")
        let view = try CacheView(fixture.directory)
        #expect(try view.records().reduce(0) { $0 + $1.bytes } > CacheSettings().bytesMax)
        #expect(try view.remove(CacheView.matching("a", in: view.records()), because: .purged))
        #expect(Set(try view.records().map(\.key)) == ["large", "old"] && fixture.files.count == 4)
        var settings = CacheSettings.withoutLimits(fixture.directory)
        settings.freeBytesMin = 0
        let store = try CacheStore.open(settings)
        try store.upkeep(elapsed: .seconds(1))
        try CacheFixture.fill(store, "more")
        #expect(store.counters.objects == 3)
    }

    @Test func aRelayThatDoesNotAnswerIsSaid() throws {
        let fixture = try CacheFixture()
        let store = try fixture.open()
        try CacheFixture.fill(store, "a")
        let view = try CacheView(fixture.directory)
        #expect(try view.remove(view.records(), because: .purged, patience: .milliseconds(200)) == false)
        try store.upkeep(elapsed: .seconds(1))
        #expect(try view.records() == [])
    }

    @Test func findsDamage() throws {
        let fixture = try CacheFixture()
        let store = try fixture.open()
        try CacheFixture.fill(store, "a")
        let view = try CacheView(fixture.directory)
        let record = try #require(try view.records().first)
        try CacheFixture.spoil(fixture.file(record), at: 50_000)
        #expect(try view.verify(record).trouble?.contains("units 0 to 99") == true)
        try store.remove("a", because: .purged)
        #expect(try view.verify(record) == CacheView.Verdict(isGone: true))
    }

    @Test func aDirectoryWithoutACacheIsSaid() throws {
        let fixture = try CacheFixture()
        #expect(troubleKind { _ = try CacheView(fixture.directory) } == .directory)
        #expect(!FileManager.default.fileExists(atPath: fixture.directory))
    }

    @Test(arguments: [
        ("mmsh://Origin.Example:80/clip.wmv", true), ("http://origin.example/clip.wmv", true), ("mms://origin.example/clip.wmv", true),
        ("abcdef0123", true), ("abcde", false), ("mmsh://origin.example/CLIP.wmv", false), ("rtsp://origin.example/clip.wmv", false),
    ])
    func aWordNamesAnObject(word: String, isIt: Bool) {
        let record = CacheRecord(
            id: "abcdef0123456789abcdef0123456789", key: "mmsh://origin.example/clip.wmv", kind: .asf, url: "", unitBytes: 1, units: 1,
            headBytes: 0, ranges: [], bytes: 0, isWhole: false, facts: CacheFacts(), createdAt: 0, usedAt: 0, verifiedAt: 0, uses: 0,
            isPinned: false)
        #expect(CacheView.matching(word, in: [record]).isEmpty == !isIt)
    }

    /// What is kept of some tracks alone has a key that no URL is; its URL means it all the same.
    @Test func aURLNamesWhatIsKeptOfSomeTracks() {
        let record = CacheRecord(
            id: "abcdef0123456789abcdef0123456789", key: "rtsp://origin.example/film?a=1 tracks=video", kind: .rtsp, url: "", unitBytes: 1,
            units: 1, headBytes: 0, ranges: [], bytes: 0, isWhole: false, facts: CacheFacts(), createdAt: 0, usedAt: 0, verifiedAt: 0,
            uses: 0, isPinned: false)
        #expect(CacheView.matching("rtsp://origin.example:554/film?a=1", in: [record]).count == 1)
        #expect(CacheView.matching("rtsp://origin.example/film", in: [record]).isEmpty)
    }
}

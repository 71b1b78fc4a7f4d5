import Foundation
import Glibc
import Testing

@testable import ControlPlane

/// Bounds: what goes, and what is refused.
struct CacheRoomTests {
    /// Six objects of 1 MB and a little fit into 7 MB; the seventh makes one go.
    @Test func anObjectGoesForANewOne() throws {
        let fixture = try CacheFixture()
        let store = try fixture.open(bytesMax: 7_000_000)
        for number in 0..<6 { try CacheFixture.fill(store, "o\(number)", units: 1_000) }
        #expect(store.counters.evicted == 0)
        try CacheFixture.fill(store, "new", units: 1_000)
        #expect(store.counters.evicted >= 1)
        #expect(store.counters.bytes <= 7_000_000)
        #expect(try store.find("new")?.isWhole == true)
        #expect(fixture.files.count == 2 * store.counters.objects)
    }

    @Test func whatIsPinnedOrHeldNeverGoes() throws {
        let fixture = try CacheFixture()
        let store = try fixture.open(bytesMax: 3 << 20)
        try store.pin("pinned", true)
        try CacheFixture.fill(store, "pinned", units: 1_000)
        let held = try CacheFixture.fill(store, "held", units: 1_000)
        for number in 0..<5 {
            do { try CacheFixture.fill(store, "o\(number)", units: 800) } catch let error as CacheTrouble { #expect(error.kind == .full) }
        }
        #expect(try store.find("pinned")?.isWhole == true)
        #expect(try held.read(0..<1_000) == CacheFixture.units("held", 0..<1_000))
        #expect(store.counters.bytes <= 3 << 20)
        #expect(try store.find("held") != nil)
    }

    @Test func withoutRoomTheFillStopsAndWhatIsThereStays() throws {
        let fixture = try CacheFixture()
        let store = try fixture.open(bytesMax: 1 << 20)
        let object = try store.create(CacheFixture.description("a", units: nil))
        var written = 0
        let kind = troubleKind {
            while written < 5_000 { written += try object.write(CacheFixture.units("a", written..<(written + 50)), atUnit: written) }
        }
        #expect(kind == .full && written > 800 && written < 1_048)
        try object.commit()
        #expect(try object.read(0..<written) == CacheFixture.units("a", 0..<written))
        #expect(store.counters.full == 1 && object.removal == nil)
    }

    @Test func aLargeObjectIsRefusedAtOnceOrWhereItBecomesTooLarge() throws {
        let fixture = try CacheFixture()
        var settings = fixture.settings()
        settings.objectBytesMax = 100_000
        let store = try CacheStore.open(settings)
        #expect(troubleKind { _ = try store.create(CacheFixture.description("a", units: 1_000)) } == .tooLarge)
        let object = try store.create(CacheFixture.description("b", units: nil))
        try object.write(CacheFixture.units("b", 0..<80), atUnit: 0)
        #expect(troubleKind { try object.write(CacheFixture.units("b", 80..<120), atUnit: 80) } == .tooLarge)
        #expect(store.counters.tooLarge == 2)
        try object.commit()
        #expect(try store.find("b")?.ranges == [0..<80])
    }

    @Test func soManyObjectsAndNoMore() throws {
        let fixture = try CacheFixture()
        var settings = fixture.settings()
        settings.objectsMax = 3
        let store = try CacheStore.open(settings)
        for number in 0..<5 { try CacheFixture.fill(store, "o\(number)", units: 3) }
        #expect(store.counters.objects == 3 && store.counters.evicted == 2)
        #expect(try store.find("o4") != nil)
    }

    @Test func soManyInUseAndNoMore() throws {
        let fixture = try CacheFixture()
        var settings = fixture.settings()
        settings.openMax = 2
        let store = try CacheStore.open(settings)
        try CacheFixture.fill(store, "c")
        let held = [try CacheFixture.fill(store, "a"), try CacheFixture.fill(store, "b")]
        #expect(troubleKind { _ = try store.open("c") } == .tooManyOpen)
        #expect(troubleKind { _ = try store.create(CacheFixture.description("d")) } == .tooManyOpen)
        #expect(try store.open("a")?.id == held[0].id, "one that is open already takes no more")
        #expect(store.counters.tooManyOpen == 2 && held.count == 2)
    }

    @Test func spaceThatOthersTakeCounts() throws {
        let fixture = try CacheFixture()
        let files = FaultyFiles(fixture.directory)
        var settings = fixture.settings()
        settings.freeBytesMin = 100 << 20
        let store = try CacheStore.open(settings, files: files)
        files.setFree(200 << 20)
        try CacheFixture.fill(store, "a")
        files.setFree(90 << 20)
        #expect(troubleKind { _ = try store.create(CacheFixture.description("b")) } == .full)
        #expect(try store.find("b") == nil && fixture.files.count <= 2)
        files.setFree(200 << 20)
        try CacheFixture.fill(store, "b")
    }

    /// A cache that is opened with smaller limits has them from its first moment on; what is pinned stays, and all else is by the rule.
    @Test func smallerLimitsHoldAfterARestart() throws {
        let fixture = try CacheFixture()
        do {
            let store = try fixture.open()
            for number in 0..<8 { try CacheFixture.fill(store, "o\(number)", units: 1_000) }
            try store.pin("o0", true)
            for key in ["o3", "o5"] { for _ in 0..<9 { _ = try store.open(key) } }
            store.close()
        }
        do {
            let store = try fixture.open(bytesMax: 4_000_000)
            #expect(store.counters.bytes <= 4_000_000 && store.counters.bytes > 2_900_000)
            #expect(Set(try store.records(limit: 9).map(\.key)) == ["o0", "o3", "o5"] && store.counters.evicted == 5)
            #expect(fixture.files.count == 6)
            store.close()
        }
        // Less than what is pinned: that stays alone.
        do {
            let store = try fixture.open(bytesMax: 500_000)
            #expect(try store.records(limit: 9).map(\.key) == ["o0"])
            #expect(troubleKind { _ = try CacheFixture.fill(store, "new") } == .full)
            store.close()
        }
        var settings = fixture.settings()
        settings.objectsMax = 3
        do {
            let store = try fixture.open()
            for number in 1..<8 { try CacheFixture.fill(store, "o\(number)", units: 10) }
            store.close()
        }
        let store = try CacheStore.open(settings)
        #expect(store.counters.objects == 3 && fixture.files.count == 6)
        #expect(try store.find("o0") != nil)
    }

    /// By the age that is set now, not by that under which they came.
    @Test func objectsThatNobodyUsesGo() throws {
        let fixture = try CacheFixture()
        do {
            let store = try fixture.open()
            for key in ["old", "pinned", "new"] { try CacheFixture.fill(store, key) }
            try store.pin("pinned", true)
            store.close()
        }
        var settings = fixture.settings()
        settings.idleSecondsMax = 100
        let store = try CacheStore.open(settings)
        let long = CacheClock.now() - 1_000
        try fixture.sql("UPDATE object SET used_at = \(long) WHERE key <> 'new'")
        try store.upkeep(elapsed: .seconds(1))
        #expect(try store.find("old") == nil && store.counters.idle == 1)
        #expect(try store.find("pinned") != nil && store.find("new") != nil)
    }
}

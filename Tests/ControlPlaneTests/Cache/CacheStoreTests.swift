import Foundation
import Glibc
import Synchronization
import Testing

@testable import ControlPlane

struct CacheStoreTests {
    @Test func aWholeObjectIsAFileOfHeadAndUnits() throws {
        let fixture = try CacheFixture()
        let store = try fixture.open()
        #expect(try store.find("a") == nil)
        let object = try CacheFixture.fill(store, "a")
        #expect(object.isWhole)
        let record = try #require(try store.find("a"))
        #expect(record.isWhole && record.ranges == [0..<100] && record.facts.etag == "\"1\"")
        let file = try #require(FileManager.default.contents(atPath: fixture.file(record)))
        #expect(Array(file) == CacheExercise.head("a", version: 1) + CacheFixture.units("a", 0..<100))
        #expect(!fixture.file(record).contains("origin.example"))
        #expect(try object.read(40..<60) == CacheFixture.units("a", 40..<60))
        #expect(object.offset(ofUnit: 2) == Int64(object.head.count + 2_000))
    }

    @Test func itIsAllThereWhenItIsOpenedAgain() throws {
        let fixture = try CacheFixture()
        do {
            let store = try fixture.open()
            let object = try store.create(CacheFixture.description("a"))
            try object.write(CacheFixture.units("a", 10..<30), atUnit: 10)
            try object.write(CacheFixture.units("a", 50..<60), atUnit: 50)
            try object.commit()
            try store.pin("a", true)
            store.close()
        }
        let store = try fixture.open()
        let record = try #require(try store.find("a"))
        #expect(record.ranges == [10..<30, 50..<60] && !record.isWhole && record.isPinned)
        let object = try #require(try store.open("a"))
        #expect(object.ranges == [10..<30, 50..<60] && object.units == 100 && object.facts.cacheControl == "public")
        #expect(object.head == CacheExercise.head("a", version: 1))
        #expect(try object.read(12..<90) == CacheFixture.units("a", 12..<30), "as far as it is there")
        #expect(troubleKind { _ = try object.read(30..<40) } == .absent)
        // The rest comes in another process; then it is whole.
        try object.write(CacheFixture.units("a", 0..<100), atUnit: 0)
        try object.commit()
        #expect(object.isWhole)
        #expect(try object.read(0..<100) == CacheFixture.units("a", 0..<100))
    }

    @Test func whatIsWrittenCanBeReadAtOnceAndIsNeverWrittenTwice() throws {
        let fixture = try CacheFixture()
        let store = try fixture.open()
        let object = try store.create(CacheFixture.description("a"))
        #expect(try object.write(CacheFixture.units("a", 0..<10), atUnit: 0) == 10)
        #expect(object.ranges == [0..<10] && object.end(ofRunFrom: 3) == 10 && object.end(ofRunFrom: 10) == nil)
        #expect(try object.read(0..<10) == CacheFixture.units("a", 0..<10))
        #expect(try store.find("a")?.ranges == [])
        // Other bytes for units that are there: these are not looked at.
        #expect(try object.write(CacheFixture.units("b", 5..<15), atUnit: 5) == 5)
        #expect(try object.read(0..<10) == CacheFixture.units("a", 0..<10))
        #expect(try object.read(10..<15) == CacheFixture.units("b", 10..<15))
        try object.commit()
        #expect(try store.find("a")?.ranges == [0..<15])
    }

    @Test func aRecordingGrowsAndIsOfUseWhenItIsFinished() throws {
        let fixture = try CacheFixture()
        do {
            let store = try fixture.open()
            for name in ["broken", "finished"] {
                let object = try store.create(
                    CacheDescription(
                        key: name, kind: .rtsp, url: "rtsp://origin.example/\(name)", head: Array("v=0\r\n".utf8), unitBytes: 1, units: nil,
                        facts: CacheFacts()))
                try object.write(CacheFixture.units(name, 0..<700, unitBytes: 1), atUnit: 0)
                try object.write(CacheFixture.units(name, 700..<300_000, unitBytes: 1), atUnit: 700)
                #expect(try object.read(600..<900) == CacheFixture.units(name, 600..<900, unitBytes: 1))
                if name == "finished" { try object.finish(units: 300_000) } else { try object.commit() }
                #expect(object.isWhole == (name == "finished"))
            }
            store.close()
        }
        let store = try fixture.open()
        #expect(try store.find("broken") == nil)
        #expect(fixture.files.count == 2)
        let object = try #require(try store.open("finished"))
        #expect(object.isWhole && object.units == 300_000)
        #expect(try object.read(0..<300_000) == CacheFixture.units("finished", 0..<300_000, unitBytes: 1))
    }

    @Test func aNewVersionTakesThePlaceAndTheOldOnesPlayersFinish() throws {
        let fixture = try CacheFixture()
        let store = try fixture.open()
        let old = try CacheFixture.fill(store, "a", version: 1)
        let new = try CacheFixture.fill(store, "a", version: 2)
        #expect(old.removal == .replaced && new.removal == nil)
        #expect(try old.read(0..<100) == CacheFixture.units("a", 0..<100, version: 1))
        #expect(try store.open("a")?.id == new.id)
        #expect(fixture.files.count == 2, "the old one's names are gone")
        #expect(troubleKind { try old.commit() } == .gone)
        #expect(store.counters.objects == 1 && store.counters.replaced == 1)
        #expect(try store.validate(id: old.id, CacheFacts()) == false)
    }

    @Test func validationIsKept() throws {
        let fixture = try CacheFixture()
        let store = try fixture.open()
        let object = try CacheFixture.fill(store, "a")
        let facts = CacheFacts(
            etag: "\"1\"", lastModified: "Sun, 01 Nov 2026 00:00:00 GMT", contentBytes: 100_000, cacheControl: "max-age=5", dialect: "rtsp",
            validatedAt: 77)
        #expect(try store.validate(id: object.id, facts))
        #expect(object.facts == facts)
        #expect(try store.find("a")?.facts == facts)
    }

    @Test func usesAreCounted() throws {
        let fixture = try CacheFixture()
        let store = try fixture.open()
        try CacheFixture.fill(store, "a")
        for _ in 0..<3 { _ = try store.open("a") }
        try store.upkeep(elapsed: .seconds(1))
        #expect(try store.find("a")?.uses == 3)
        #expect(store.counters.opened == 3 && store.counters.objectsInUse == 0)
    }

    @Test func onlyOneRelayWritesADirectory() throws {
        let fixture = try CacheFixture()
        let store = try fixture.open()
        #expect(CacheLock.owner(fixture.directory) == Int(getpid()))
        do {
            _ = try fixture.open()
            Issue.record("a second store could be opened")
        } catch let error as CacheTrouble {
            #expect(
                error.kind == .inUse && error.description.contains("process \(getpid())") && error.description.contains(fixture.directory))
        }
        store.close()
        #expect(CacheLock.owner(fixture.directory) == nil)
        _ = try fixture.open()
    }

    @Test func removedObjectsLeaveNothing() throws {
        let fixture = try CacheFixture()
        let store = try fixture.open()
        try CacheFixture.fill(store, "a")
        let held = try CacheFixture.fill(store, "b")
        #expect(try store.remove("a", because: .changed))
        #expect(try store.remove("a", because: .changed) == false)
        #expect(try store.remove("b", because: .purged))
        #expect(fixture.files == [])
        #expect(held.removal == .purged)
        #expect(try held.read(0..<100) == CacheFixture.units("b", 0..<100), "whoever plays it goes on")
        #expect(store.counters.objects == 0 && store.counters.changed == 1 && store.counters.purged == 1)
        #expect(store.counters.bytes > 0, "its bytes are on the disk as long as it is held")
    }

    @Test func bytesAreChargedUntilTheyAreFree() throws {
        let fixture = try CacheFixture()
        let store = try fixture.open()
        do {
            let object = try CacheFixture.fill(store, "a")
            #expect(store.counters.bytes >= 100_000)
            try store.remove("a", because: .purged)
            #expect(object.removal == .purged)
        }
        #expect(store.counters.bytes == 0 && store.counters.objectsInUse == 0)
        try CacheFixture.fill(store, "b")
        let record = try #require(try store.find("b"))
        #expect(store.counters.bytes == record.bytes)
    }

    /// An object that is opened again while the one before is on its way out is in use all the same, and is charged once.
    @Test func twoHoldersOfOneObjectAreCounted() throws {
        let fixture = try CacheFixture()
        let files = FaultyFiles(fixture.directory)
        let store = try fixture.open(files: files)
        let again = Mutex<CacheObject?>(nil)
        do {
            let object = try CacheFixture.fill(store, "a")
            // Its descriptors are closed as it goes; it has not said yet that it is gone.
            files.onNextClose { again.withLock { $0 = try? store.open("a") } }
            #expect(object.isWhole)
        }
        let record = try #require(try store.find("a"))
        #expect(again.withLock { $0?.id } == record.id && store.counters.objectsInUse == 1)
        #expect(try store.evict(1, false) == false, "it is in use")
        again.withLock { $0 = nil }
        #expect(store.counters.objectsInUse == 0 && store.counters.bytes == record.bytes)
        #expect(try store.evict(1, false))
        #expect(store.counters.bytes == 0 && fixture.files == [])
    }

    /// Opened and let go of as often as you like, an object is charged with what the index says of it.
    @Test func chargesDoNotDrift() throws {
        let fixture = try CacheFixture()
        do {
            let store = try fixture.open()
            let object = try store.create(CacheFixture.description("a", units: 1_000))
            for first in stride(from: 0, to: 1_000, by: 2) { try object.write(CacheFixture.units("a", first..<(first + 1)), atUnit: first) }
            try object.commit()
            store.close()
        }
        _ = try CacheStore.rebuild(fixture.settings())
        let store = try fixture.open()
        let bytes = store.counters.bytes
        for _ in 0..<20 { _ = try store.open("a") }
        let record = try #require(try store.find("a"))
        #expect(store.counters.bytes == bytes && record.bytes == bytes)
        try store.remove("a", because: .purged)
        #expect(store.counters.bytes == 0)
    }

    @Test(arguments: [
        ("", 1, [UInt8]()), ("a\n", 1, []), (String(repeating: "k", count: 8_193), 1, []), ("a", 0, []), ("a", 2 << 20, []),
    ])
    func whatCannotBeIsRefused(key: String, unitBytes: Int, head: [UInt8]) throws {
        let fixture = try CacheFixture()
        let store = try fixture.open()
        let description = CacheDescription(
            key: key, kind: .asf, url: "u", head: head, unitBytes: unitBytes, units: nil, facts: CacheFacts())
        #expect(troubleKind { _ = try store.create(description) } == .refused)
        #expect(fixture.files == [])
    }

    @Test(arguments: [(-1, 1), (0, 1_001), (99, 2), (Int.max, 1)])
    func writesBeyondTheObjectAreRefused(first: Int, count: Int) throws {
        let fixture = try CacheFixture()
        let store = try fixture.open()
        let object = try store.create(CacheFixture.description("a"))
        let bytes = [UInt8](repeating: 0, count: count == 1_001 ? 1_001 : count * 1_000)
        #expect(troubleKind { try object.write(bytes, atUnit: first) } == .refused)
        #expect(object.ranges == [])
    }

    @Test func absurdSizesAreTooLarge() throws {
        let fixture = try CacheFixture()
        let store = try fixture.open()
        for units in [Int.max, Int.max / 1_000, 1 << 40] {
            #expect(troubleKind { _ = try store.create(CacheFixture.description("a", units: units)) } == .tooLarge)
        }
        var facts = CacheFixture.description("a")
        facts.facts.cacheControl = String(repeating: "x", count: 5_000)
        #expect(troubleKind { _ = try store.create(facts) } == .tooLarge)
        #expect(store.counters.tooLarge == 4)
    }
}

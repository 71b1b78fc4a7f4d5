import Foundation
import Testing

@testable import ControlPlane

/// Playlists in the cache: a document, and entries that go with it.
struct CacheListTests {
    private static let document = Array("what its entries are".utf8)

    private static func list(_ store: CacheStore, _ key: String, entries: Int, etag: String = "\"1\"") throws -> CacheObject {
        let object = try store.createList(
            key: key, url: "mmsh://origin.example/\(key)", document: document, facts: CacheFacts(etag: etag, dialect: "wmsp"))
        for number in 0..<entries { try CacheFixture.fill(store, "\(CacheStore.entryPrefix(list: key, id: object.id))\(number)", units: 3) }
        return object
    }

    @Test func itsDocumentAndEntriesAreThereAgainAlsoWithoutAnIndex() throws {
        let fixture = try CacheFixture()
        do {
            let store = try fixture.open()
            _ = try Self.list(store, "a", entries: 3)
            _ = try Self.list(store, "a1", entries: 12)
            store.close()
        }
        for isRebuilt in [false, true] {
            if isRebuilt {
                let report = try CacheStore.rebuild(fixture.settings())
                #expect(report.objects == 17 && report.whole == 17 && report.leftOut.isEmpty)
            }
            let store = try fixture.open()
            let record = try #require(try store.find("a"))
            #expect(record.kind == .list && record.isWhole && record.facts.etag == "\"1\"")
            #expect(try store.open("a")?.read(0..<Self.document.count) == Self.document)
            #expect(try store.entries(of: record).count == 3)
            #expect(try store.entries(of: #require(try store.find("a1"))).count == 12)
            store.close()
        }
    }

    @Test func itsEntriesGoWithItHoweverItGoes() throws {
        let fixture = try CacheFixture()
        let store = try fixture.open()
        for cause in ["removed", "replaced", "purged", "damaged"] {
            let id = try Self.list(store, "a", entries: 3).id
            _ = try Self.list(store, "b", entries: 2)
            let record = try #require(try store.find("a"))
            switch cause {
            case "removed": try store.remove("a", because: .changed)
            case "replaced": _ = try Self.list(store, "a", entries: 0, etag: "\"2\"")
            case "purged":
                let view = try CacheView(fixture.directory)
                _ = try view.ask([record], because: .purged)
                try store.upkeep(elapsed: .seconds(1))
            default:
                let object = try #require(try store.open("a"))
                store.lose(object, because: .damaged)
            }
            #expect(try store.find("a")?.id != id)
            #expect(try store.records(limit: .max).filter { $0.key.contains(id) }.isEmpty, "\(cause)")
            #expect(try store.entries(of: #require(try store.find("b"))).count == 2, "\(cause)")
            try store.remove("a", because: .purged)
            try store.remove("b", because: .purged)
            #expect(store.counters.objects == 0 && fixture.files.isEmpty)
        }
    }

    @Test func anEntryGoesAloneAndAPinHoldsThemAll() throws {
        let fixture = try CacheFixture()
        let id: String, pinned: String
        do {
            // While a list is held, more room is set aside for it than there is below.
            let store = try fixture.open()
            id = try Self.list(store, "a", entries: 1).id
            pinned = try Self.list(store, "p", entries: 1).id
            try store.pin("p", true)
            store.close()
        }
        // The clock counts seconds, and of what came in one second the one with the lower name goes first.
        try fixture.sql("UPDATE object SET created_at = created_at - 10, used_at = used_at - 10")
        let store = try fixture.open(bytesMax: 3 << 20)
        // Used more than the entries are: these go first.
        for _ in 0..<20 { _ = try store.open("a") }
        for number in 0..<8 { try CacheFixture.fill(store, "o\(number)", units: 800) }
        #expect(try store.find(CacheStore.entryPrefix(list: "p", id: pinned) + "0") != nil)
        #expect(try store.find(CacheStore.entryPrefix(list: "a", id: id) + "0") == nil)
        #expect(store.counters.evicted > 0)
    }
}

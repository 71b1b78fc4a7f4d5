import Foundation
import Glibc
import Testing

@testable import ControlPlane

/// Indexes that cannot be used, and how a new one comes.
struct CacheIndexTests {
    private func filled() throws -> CacheFixture {
        let fixture = try CacheFixture()
        let store = try fixture.open()
        for key in ["a", "b", "c"] { try CacheFixture.fill(store, key, units: 300) }
        let part = try store.create(CacheFixture.description("part"))
        try part.write(CacheFixture.units("part", 20..<40), atUnit: 20)
        try part.commit()
        try store.pin("b", true)
        try store.pin("mmsh://later.example/", true)
        store.close()
        return fixture
    }

    private func spoil(_ fixture: CacheFixture, _ how: String) throws {
        let path = "\(fixture.directory)/index.sqlite"
        switch how {
        case "text": try Data("this is no database\n".utf8).write(to: URL(fileURLWithPath: path))
        case "cut": #expect(unsafe truncate(path, 6_000) == 0)
        case "page": for offset in stride(from: 4_096, to: 12_000, by: 7) { try CacheFixture.spoil(path, at: offset) }
        case "missing": for suffix in ["", "-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + suffix) }
        case "foreign": try fixture.sql("PRAGMA application_id = 5")
        default: try fixture.sql("PRAGMA user_version = 99")
        }
    }

    @Test(arguments: [
        ("text", CacheTrouble.Kind.indexDamaged), ("cut", .indexDamaged), ("page", .indexDamaged), ("missing", .indexDamaged),
        ("foreign", .indexDamaged), ("newer", .indexNewer),
    ])
    func anIndexThatCannotBeUsedIsSaidAndRebuilt(how: String, kind: CacheTrouble.Kind) throws {
        let fixture = try filled()
        try spoil(fixture, how)
        let files = fixture.files
        let before = FileManager.default.contents(atPath: "\(fixture.directory)/index.sqlite")
        do {
            _ = try fixture.open()
            Issue.record("an index that is \(how) was opened")
        } catch let error as CacheTrouble {
            #expect(error.kind == kind)
            #expect(error.description.contains("weir cache verify --rebuild --cache \(fixture.directory)"))
            #expect(error.description.contains(how == "missing" ? fixture.directory : "\(fixture.directory)/index.sqlite"))
        }
        #expect(fixture.files == files, "nothing was taken away")
        #expect(FileManager.default.contents(atPath: "\(fixture.directory)/index.sqlite") == before)

        let report = try CacheStore.rebuild(fixture.settings())
        #expect(report.objects == 4 && report.whole == 3 && report.pins == 2 && report.mended == 0 && report.leftOut == [])
        if how == "missing" {
            #expect(report.oldIndex == nil)
        } else {
            #expect(FileManager.default.contents(atPath: try #require(report.oldIndex)) == before, "the old one is kept")
        }
        let store = try fixture.open()
        for key in ["a", "b", "c"] { #expect(try store.open(key)?.read(0..<300) == CacheFixture.units(key, 0..<300)) }
        #expect(try store.open("part")?.ranges == [20..<40])
        let record = try #require(try store.find("b"))
        #expect(record.isPinned && record.isWhole && record.facts == CacheFixture.description("b").facts.at(record.facts.validatedAt))
        #expect(fixture.files == files)
    }

    @Test func aRebuildLeavesOutWhatIsDamaged() throws {
        let fixture = try filled()
        var places: [String: String] = [:]
        do {
            let store = try fixture.open()
            for record in try store.records(limit: 9) { places[record.key] = fixture.file(record) }
            store.close()
        }
        // b: a bit of its last extent; c: of its head.
        try CacheFixture.spoil(#require(places["b"]), at: 299_000)
        try CacheFixture.spoil(#require(places["c"]), at: 0)
        try spoil(fixture, "text")
        let report = try CacheStore.rebuild(fixture.settings())
        #expect(report.objects == 3 && report.whole == 1 && report.mended == 1 && report.leftOut.count == 1)
        let store = try fixture.open()
        let object = try #require(try store.open("b"))
        #expect(object.ranges == [0..<262])
        #expect(try object.read(0..<262) == CacheFixture.units("b", 0..<262))
        try object.write(CacheFixture.units("b", 0..<300), atUnit: 0)
        try object.commit()
        #expect(try object.read(0..<300) == CacheFixture.units("b", 0..<300) && object.isWhole)
    }

    @Test func aRebuildTakesOverWhatOriginsHaveYetToHear() throws {
        let fixture = try filled()
        let index = try CacheIndex.open(directory: fixture.directory, as: .beside)
        try index.write { try NoticeTable.create(in: $0) }
        index.close()
        try fixture.sql(
            "INSERT INTO notice VALUES (7, 'mmsh://origin.example/a', 'x', 1, x'0102'), (9, 'mmsh://origin.example/b', 'y', 2, x'03')")
        try spoil(fixture, "newer")
        #expect(try CacheStore.rebuild(fixture.settings()).notices == 2)
        try fixture.sql("DELETE FROM notice WHERE number = 7")
        let again = try CacheStore.rebuild(fixture.settings())
        #expect(again.notices == 1 && again.objects == 4)
        let kept = try FileManager.default.contentsOfDirectory(atPath: fixture.directory).filter {
            $0.hasPrefix("index-") && $0.hasSuffix("sqlite")
        }
        #expect(kept.count == 2, "each old index is kept")
    }

    @Test func ofTwoVersionsARebuildKeepsTheLater() throws {
        let fixture = try CacheFixture()
        let store = try fixture.open()
        try CacheFixture.fill(store, "a", version: 1)
        // What a crash between the new row and the old files leaves.
        let old = fixture.files
        let copies = old.map { ($0, FileManager.default.contents(atPath: $0)) }
        Thread.sleep(forTimeInterval: 1.1)
        try CacheFixture.fill(store, "a", version: 2)
        for (path, data) in copies { _ = FileManager.default.createFile(atPath: path, contents: data) }
        store.close()
        try spoil(fixture, "text")
        let report = try CacheStore.rebuild(fixture.settings())
        #expect(report.objects == 1 && report.leftOut.count == 1)
        #expect(try fixture.open().open("a")?.read(0..<100) == CacheFixture.units("a", 0..<100, version: 2))
    }

    /// Rows that say what cannot be harm nobody.
    @Test(arguments: [
        "ranges = '5-2'", "ranges = 'x'", "ranges = '0-99999999999999999999'", "unit_bytes = 0", "unit_bytes = 99999999999",
        "head_bytes = -1",
        "units = -1", "kind = 'x'", "id = '../../../etc/passwd'", "bytes = -5", "bytes = 9223372036854775807",
        "id = 'ABCDEF0123456789abcdef0123456789'",
    ])
    func aLyingRowIsForgotten(lie: String) throws {
        let fixture = try filled()
        try fixture.sql("UPDATE object SET \(lie) WHERE key = 'a'")
        let store = try fixture.open()
        #expect(try store.open("a") == nil)
        #expect(try store.records(limit: 9).count == 3)
        #expect(try store.open("b")?.read(0..<300) == CacheFixture.units("b", 0..<300))
        #expect(store.counters.lostAtOpen >= 1)
        #expect(store.counters.bytes > 0 && store.counters.bytes < 1 << 20)
    }

    /// An index of which every number is as large, or as small, as a number can be: nothing traps, and what there is stays within bounds.
    @Test(arguments: [
        "bytes", "uses", "units", "unit_bytes", "head_bytes", "content_bytes", "created_at", "used_at", "verified_at", "validated_at",
        "is_whole",
    ])
    func anyNumberIsHarmless(column: String) throws {
        for value in [Int64.max, .min, .max >> 9, 1 << 50] {
            let fixture = try filled()
            try fixture.sql("UPDATE object SET \(column) = \(value)")
            // Hundreds of them, so that sums are larger than any number.
            try fixture.sql(
                """
                WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600)
                INSERT INTO object SELECT printf('%032x', i), 'k' || i, kind, url, unit_bytes, units, head_bytes, ranges, bytes, is_whole, etag,
                    last_modified, content_bytes, cache_control, dialect, validated_at, created_at, used_at, verified_at, uses
                FROM n, (SELECT * FROM object WHERE key = 'b')
                """)
            do {
                let view = try CacheView(fixture.directory)
                let records = try view.records()
                #expect(!CacheListing(directory: "d", records: records, pins: []).lines(100).isEmpty)
                let statistics = try CacheStatistics(view)
                #expect(statistics.lines.count > 3 && statistics.bytes >= 0 && statistics.bytesPinned >= 0 && statistics.uses >= 0)
            }
            let store = try fixture.open()
            #expect(store.counters.bytes >= 0 && store.counters.bytes <= store.settings.bytesMax)
            for key in ["a", "b", "c", "part"] { _ = try store.open(key) }
            try store.upkeep(elapsed: .seconds(1))
            _ = try store.evict(.max, false)
            try CacheFixture.fill(store, "new")
            #expect(try store.open("new")?.read(0..<100) == CacheFixture.units("new", 0..<100))
            #expect(store.counters.bytes >= 0 && store.counters.bytes <= store.settings.bytesMax)
            store.close()
        }
    }

    /// A row is put right when the object says otherwise.
    @Test func aWrongRowIsMended() throws {
        let fixture = try filled()
        let before = try #require(try CacheView(fixture.directory).records().first { $0.key == "part" })
        try fixture.sql("UPDATE object SET ranges = '0-99', is_whole = 1, bytes = 5000000 WHERE key = 'part'")
        let store = try fixture.open()
        _ = try store.open("part")
        let after = try #require(try store.find("part"))
        #expect(after.ranges == [20..<40] && !after.isWhole && after.bytes == before.bytes)
        let bytes = try store.records(limit: 9).reduce(0) { $0 + $1.bytes }
        #expect(store.counters.bytes == bytes)
    }

    /// Rows that can be, but are not so: the object's own word stands.
    @Test(arguments: ["ranges = '0-9999999'", "ranges = '20-99', is_whole = 1, units = 5", "unit_bytes = 7", "key = 'other'"])
    func aWrongRowIsNotBelieved(lie: String) throws {
        let fixture = try filled()
        try fixture.sql("UPDATE object SET \(lie) WHERE key = 'part'")
        let store = try fixture.open()
        #expect(try store.open("other") == nil)
        guard let object = try store.open("part") else { return }
        #expect(object.ranges == [20..<40] && !object.isWhole && object.unitBytes == 1_000)
        #expect(try object.read(20..<90) == CacheFixture.units("part", 20..<40))
    }

    @Test func leftoversAreClearedAwayAndStrangersStay() throws {
        let fixture = try filled()
        let folder = "\(fixture.directory)/objects/ab"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let leftover = "\(folder)/ab000000000000000000000000000000"
        for suffix in [".asf", ".side"] { _ = FileManager.default.createFile(atPath: leftover + suffix, contents: Data([1, 2])) }
        _ = FileManager.default.createFile(atPath: "\(folder)/notes.txt", contents: Data([1]))
        let store = try fixture.open()
        #expect(store.counters.lostAtOpen == 1)
        #expect(!FileManager.default.fileExists(atPath: leftover + ".asf") && !FileManager.default.fileExists(atPath: leftover + ".side"))
        #expect(FileManager.default.fileExists(atPath: "\(folder)/notes.txt"))
    }

    @Test func theIndexSaysWhoseItIs() throws {
        let fixture = try filled()
        let header = try #require(FileManager.default.contents(atPath: "\(fixture.directory)/index.sqlite")?.prefix(100))
        #expect(header.prefix(15) == Data("SQLite format 3".utf8))
        // https://www.sqlite.org/fileformat.html, 1.3: WAL, user version, application.
        #expect(header[18] == 2 && header[19] == 2)
        #expect(Array(header[60..<64]) == [0, 0, 0, 1])
        #expect(Array(header[68..<72]) == Array("WEIR".utf8))
    }
}

extension CacheFacts {
    fileprivate func at(_ time: Int64) -> CacheFacts {
        var facts = self
        facts.validatedAt = time
        return facts
    }
}

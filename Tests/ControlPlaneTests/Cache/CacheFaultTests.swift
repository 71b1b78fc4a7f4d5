import Foundation
import Glibc
import Testing

@testable import ControlPlane

/// Disks that refuse, rot and lose their power.
struct CacheFaultTests {
    /// At each of the writes and flushes of a fill in turn the disk is full, or broken.
    @Test(arguments: [(FaultyFiles.Call.write, ENOSPC), (.write, EIO), (.sync, EIO), (.sync, ENOSPC), (.open, EMFILE), (.open, ENOSPC)])
    func aFillThatTheDiskRefusesLosesItsObjectAlone(call: FaultyFiles.Call, number: CInt) throws {
        var failures = 0
        for after in [0, 1, 2, 4, 7, 9] {
            let fixture = try CacheFixture()
            let files = FaultyFiles(fixture.directory)
            let store = try fixture.open(files: files)
            try CacheFixture.fill(store, "before")
            files.refuse(call, after: after, number)
            let kind = troubleKind {
                let object = try store.create(CacheFixture.description("a"))
                for first in stride(from: 0, to: 100, by: 25) {
                    try object.write(CacheFixture.units("a", first..<(first + 25)), atUnit: first)
                    try object.commit()
                    #expect(try object.read(first..<(first + 25)) == CacheFixture.units("a", first..<(first + 25)))
                }
            }
            files.refuseNothing()
            #expect(kind == .failed || kind == nil)
            if kind == .failed {
                failures += 1
                #expect(try store.open("a") == nil, "after \(after) calls")
                #expect(store.counters.failed == 1)
                #expect(fixture.files.count == 2, "after \(after) calls: its files are gone")
            }
            // All else goes on, and the next fill, too.
            #expect(try store.open("before")?.read(0..<100) == CacheFixture.units("before", 0..<100))
            try CacheFixture.fill(store, "a")
            #expect(try store.open("a")?.read(0..<100) == CacheFixture.units("a", 0..<100))
            store.close()
            let again = try fixture.open()
            #expect(try again.records(limit: 10).count == 2)
            #expect(again.counters.lostAtOpen == 0)
        }
        #expect(failures >= 2)
    }

    /// After an error of the disk nothing is read from the object; after a full disk its players go on with what was there.
    @Test(arguments: [
        (FaultyFiles.Call.sync, EIO, false), (.sync, ENOSPC, false), (.write, EIO, false), (.write, ENOSPC, true), (.write, EDQUOT, true),
    ])
    func afterARefusal(call: FaultyFiles.Call, number: CInt, isReadable: Bool) throws {
        let fixture = try CacheFixture()
        let files = FaultyFiles(fixture.directory)
        let store = try fixture.open(files: files)
        let object = try store.create(CacheFixture.description("a"))
        try object.write(CacheFixture.units("a", 0..<50), atUnit: 0)
        files.refuse(call, number)
        let kind = troubleKind {
            try object.write(CacheFixture.units("a", 50..<60), atUnit: 50)
            try object.commit()
        }
        #expect(kind == .failed && object.removal == .failed && object.isReadable == isReadable)
        if isReadable {
            #expect(object.ranges == [0..<50])
            #expect(try object.read(0..<60) == CacheFixture.units("a", 0..<50))
        } else {
            #expect(troubleKind { _ = try object.read(0..<10) } == .gone)
        }
        #expect(troubleKind { try object.write(CacheFixture.units("a", 50..<60), atUnit: 50) } == .gone)
        #expect(try store.find("a") == nil && fixture.files == [])
    }

    @Test func upkeepAndTheEndCommitWhatIsHeld() throws {
        let fixture = try CacheFixture()
        let store = try fixture.open()
        let object = try store.create(CacheFixture.description("a", units: 9_000))
        try object.write(CacheFixture.units("a", 0..<4_500), atUnit: 0)
        #expect(object.wantsCommit)
        try store.upkeep(elapsed: .seconds(1))
        #expect(try store.find("a")?.ranges == [0..<4_500] && !object.wantsCommit)
        try object.write(CacheFixture.units("a", 4_500..<4_600), atUnit: 4_500)
        store.close()
        #expect(try fixture.open().find("a")?.ranges == [0..<4_600])
    }

    /// A bit of the data, of the head and of each part of the side file.
    @Test(arguments: ["data", "head", "side"])
    func whatRottedIsNeverServed(place: String) throws {
        let fixture = try CacheFixture()
        do {
            let store = try fixture.open()
            for key in ["a", "good"] { try CacheFixture.fill(store, key, units: 1_000) }
            store.close()
        }
        let store = try fixture.open()
        let record = try #require(try store.find("a"))
        switch place {
        case "data": try CacheFixture.spoil(fixture.file(record), at: 777_777)
        case "head": try CacheFixture.spoil(fixture.file(record), at: 1)
        default: try CacheFixture.spoil(fixture.side(record), at: 20)
        }
        if place == "data" {
            let object = try #require(try store.open("a"))
            #expect(try object.read(0..<100) == CacheFixture.units("a", 0..<100), "what is right is right")
            #expect(troubleKind { _ = try object.read(700..<800) } == .damaged)
            #expect(object.removal == .damaged)
            #expect(troubleKind { _ = try object.read(0..<100) } == .gone)
        }
        #expect(try store.open("a") == nil)
        #expect(store.counters.damaged == 1)
        #expect(fixture.files.count == 2)
        #expect(try store.open("good")?.read(0..<1_000) == CacheFixture.units("good", 0..<1_000))
    }

    /// A checksum's record that is torn off takes its units with it, and no others.
    @Test func aTornSideFileCostsItsEndAlone() throws {
        let fixture = try CacheFixture()
        do {
            let store = try fixture.open()
            try CacheFixture.fill(store, "a", units: 1_000)
            store.close()
        }
        let store = try fixture.open()
        let record = try #require(try store.find("a"))
        let length = try #require(FileManager.default.contents(atPath: fixture.side(record))?.count)
        #expect(unsafe truncate(fixture.side(record), length - 5) == 0)
        let object = try #require(try store.open("a"))
        #expect(!object.isWhole && object.ranges.count == 1)
        let end = try #require(object.ranges.first?.upperBound)
        #expect(try object.read(0..<1_000) == CacheFixture.units("a", 0..<end))
        try object.write(CacheFixture.units("a", 0..<1_000), atUnit: 0)
        try object.commit()
        #expect(object.isWhole)
        store.close()
        #expect(try fixture.open().open("a")?.read(0..<1_000) == CacheFixture.units("a", 0..<1_000))
    }

    @Test func backgroundVerificationFindsWhatRotted() throws {
        let fixture = try CacheFixture()
        do {
            let store = try fixture.open()
            for key in ["a", "b", "c"] { try CacheFixture.fill(store, key, units: 1_000) }
            try CacheFixture.spoil(fixture.file(#require(try store.find("b"))), at: 999_000)
            store.close()
        }
        var settings = fixture.settings()
        settings.verifyBytesPerSecond = 500_000
        let store = try CacheStore.open(settings)
        var turns = 0
        while store.counters.damaged == 0, turns < 20 {
            let before = store.counters.bytesVerified
            try store.upkeep(elapsed: .seconds(1))
            #expect(store.counters.bytesVerified - before <= 500_000 + 262_144, "no faster than it may")
            turns += 1
        }
        #expect(turns >= 2 && turns < 20)
        for _ in 0..<10 { try store.upkeep(elapsed: .seconds(1)) }
        let records = try store.records(limit: 10)
        #expect(Set(records.map(\.key)) == ["a", "c"] && records.allSatisfy { $0.verifiedAt > 0 })
        let done = store.counters.bytesVerified
        try store.upkeep(elapsed: .seconds(1))
        #expect(store.counters.bytesVerified == done, "all was looked at today")
    }

    /// The power goes at a random place of a fill; the index may know all commits, or only those of an earlier time.
    @Test(arguments: [false, true])
    func withoutPowerNothingWrongIsServed(isIndexOlder: Bool) throws {
        var random = SplitMix64(state: isIndexOlder ? 11 : 7)
        var lost = (writes: 0, names: 0)
        for _ in 0..<25 {
            let fixture = try CacheFixture()
            let files = FaultyFiles(fixture.directory)
            let store = try fixture.open(files: files)
            var saved: [String: Data] = [:]
            var committed: [String: UnitRanges] = [:]
            var ends = Int.random(in: 1..<40, using: &random)
            var objects: [CacheObject] = []
            while ends > 0 {
                ends -= 1
                if objects.count < 3, Bool.random(using: &random) {
                    objects.append(try store.create(CacheFixture.description("k\(objects.count)")))
                }
                guard let object = objects.randomElement(using: &random) else { continue }
                let first = Int.random(in: 0..<95, using: &random)
                try object.write(CacheFixture.units(object.key, first..<(first + 5)), atUnit: first)
                if Int.random(in: 0..<4, using: &random) == 0 {
                    try object.commit()
                    committed[object.key] = UnitRanges(object.ranges)
                    if isIndexOlder, Bool.random(using: &random) { saved = Self.index(fixture.directory) }
                }
            }
            objects = []
            store.close()
            let now = files.losePower(&random)
            lost = (lost.writes + now.writes, lost.names + now.names)
            if isIndexOlder, !saved.isEmpty { Self.restore(saved, fixture.directory) }

            let after = try fixture.open()
            for record in try after.records(limit: 10) {
                let object = try #require(try after.open(record.key))
                for range in object.ranges { #expect(try object.read(range) == CacheFixture.units(record.key, range)) }
                if !isIndexOlder {
                    #expect(object.ranges == committed[record.key]?.ranges, "what was committed is there, no more, no less")
                }
            }
            if !isIndexOlder { #expect(try after.records(limit: 10).count == committed.count) }
        }
        #expect(lost.writes > 20 && lost.names > 0, "the power was lost in vain: \(lost)")
    }

    /// What was let go of does not come back with the power, and neither does a pin that was taken away.
    @Test func withoutPowerNothingComesBack() throws {
        var random = SplitMix64(state: 3)
        var lost = 0
        for _ in 0..<12 {
            let fixture = try CacheFixture()
            let files = FaultyFiles(fixture.directory)
            let store = try fixture.open(files: files)
            for key in ["purged", "asked", "stays"] { try CacheFixture.fill(store, key) }
            try store.pin("before", true)
            let saved = Self.index(fixture.directory)
            try store.remove("purged", because: .purged)
            let view = try CacheView(fixture.directory)
            let number = try view.ask(CacheView.matching("asked", in: view.records()), because: .purged)
            try store.upkeep(elapsed: .seconds(1))
            #expect(try view.isDone(number))
            try store.pin("before", false)
            try store.pin("after", true)
            store.close()
            lost += files.losePower(&random).names
            // The index may not have heard of it: it is not flushed each time.
            Self.restore(saved, fixture.directory)
            let after = try fixture.open()
            #expect(try after.records(limit: 9).map(\.key) == ["stays"])
            #expect(fixture.files.count == 2)
            after.close()
            let report = try CacheStore.rebuild(fixture.settings())
            #expect(report.objects == 1)
        }
        #expect(lost == 0, "every name that was given or taken was on the disk")
    }

    /// Which directories are brought to the disk, and when: a new cache's name, and those of what lies in it, before anything is kept.
    @Test func directoriesAreFlushed() throws {
        let fixture = try CacheFixture()
        let files = FaultyFiles(fixture.directory)
        do {
            let store = try fixture.open(files: files)
            #expect(files.synced.prefix(2) == ["..", "."], "\(files.synced)")
            let object = try CacheFixture.fill(store, "a")
            #expect(files.synced.suffix(2) == [CacheLayout.folder(object.id), "objects"])
            try store.pin("a", true)
            #expect(files.synced.last == ".")
            try store.remove("a", because: .purged)
            #expect(files.synced.last == CacheLayout.folder(object.id))
            store.close()
        }
        let count = files.synced.count
        _ = try CacheStore.rebuild(fixture.settings(), files: files) { _, _ in }
        #expect(files.synced.dropFirst(count).contains("."), "the old index has another name")
    }

    private static let indexFiles = ["index.sqlite", "index.sqlite-wal"]

    private static func index(_ directory: String) -> [String: Data] {
        var files: [String: Data] = [:]
        for name in indexFiles { files[name] = FileManager.default.contents(atPath: "\(directory)/\(name)") }
        return files
    }

    private static func restore(_ files: [String: Data], _ directory: String) {
        for name in indexFiles + ["index.sqlite-shm"] { try? FileManager.default.removeItem(atPath: "\(directory)/\(name)") }
        for (name, data) in files { _ = FileManager.default.createFile(atPath: "\(directory)/\(name)", contents: data) }
    }
}

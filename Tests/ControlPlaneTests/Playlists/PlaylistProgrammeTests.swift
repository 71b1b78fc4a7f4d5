import Logging
import NIOCore
import NIOPosix
import Signalling
import Testing
import WireFormats

@testable import ControlPlane

/// A path's playlist, its readers, and those who change it.
struct PlaylistProgrammeTests {
    /// A programme on a loop of its own.
    final class Bench: @unchecked Sendable {
        let folder: PlaylistFolder
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop: any EventLoop
        private let settings: PlaylistSettings
        private var programme: PlaylistProgramme?

        init(_ list: String, settings: PlaylistSettings = PlaylistSettings()) throws {
            self.settings = settings
            folder = try PlaylistFolder(["list.wsx": list])
            loop = group.next()
        }

        /// Reads the list, then runs `body` on its loop.
        func on<Result: Sendable>(_ body: @escaping @Sendable (PlaylistProgramme) throws -> Result) throws -> Result {
            try loop.flatSubmit { [self] () -> EventLoopFuture<Void> in
                let programme =
                    self.programme
                    ?? PlaylistProgramme(
                        file: folder["list.wsx"], settings: settings, eventLoop: loop,
                        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
                self.programme = programme
                return programme.open()
            }.wait()
            return try loop.submit { [self] in
                guard let programme else { throw PathError.notFound("programme") }
                return try body(programme)
            }.wait()
        }

        func end() throws {
            try loop.submit { [self] in
                programme?.stop()
                programme = nil
            }.wait()
            try group.syncShutdownGracefully()
        }
    }

    /// What a reader does with a step: opens and plays it.
    private static func play(_ run: PlaylistRun, broken: Set<String> = []) -> String {
        var step = run.plan(at: NIODeadline.now() + .seconds(1))
        while case .open(let entry) = step, broken.contains(entry.media.source) { step = run.openFailed("it is broken") }
        if case .open = step { run.begin() }
        return run.current?.media.source ?? "-"
    }

    @Test func commandsReachEveryReader() throws {
        let bench = try Bench("<smil><media src='a.wmv'/><media src='b.wmv' noSkip='true'/><media id='z' src='c.wmv'/></smil>")
        let words = try bench.on { programme -> [String] in
            var words: [String] = []
            let first = try programme.run(), second = try programme.run()
            for run in [first, second] {
                words.append(Self.play(run))
                run.onSwitch = { [unowned run] _ in run.begin() }
            }
            words.append("\(try programme.next()) \(first.current?.media.source ?? "") \(second.current?.media.source ?? "")")
            words.append("\(try programme.next()) \(first.current?.media.source ?? "")")
            words.append((try? programme.next()).map(String.init) ?? "refused")
            words.append("\(try programme.jump(to: "b.wmv")) \(second.current?.media.source ?? "")")
            do { _ = try programme.jump(to: "nobody") } catch { words.append("\(error)") }
            second.close()
            words.append("\(try programme.jump(to: "z")) \(first.current?.media.source ?? "")")
            words.append("\(programme.overview.runs) \(programme.overview.entriesBegun) \(programme.overview.entriesSkipped)")
            first.close()
            return words
        }
        #expect(
            words == [
                "a.wmv", "a.wmv", "2 b.wmv b.wmv", "2 c.wmv", "refused", "2 b.wmv",
                "no entry is called `nobody`; weir playlist ls lists them", "1 c.wmv", "1 9 7",
            ])
        try bench.end()
    }

    @Test func editsReachWhatFollows() throws {
        let bench = try Bench("<smil><media src='a.wmv'/><media src='b.wmv'/></smil>")
        let words = try bench.on { programme -> [String] in
            var words: [String] = []
            let run = try programme.run()
            words.append(Self.play(run))
            _ = run.plan(at: .now() + .seconds(1))
            var changes = 0
            run.onChange = { changes += 1 }
            let number = try programme.insert("n.wmv", after: nil)
            words.append("\(number) \(changes) \(run.following?.media.source ?? "")")
            _ = try programme.insert("end.wmv", after: "b.wmv")
            words.append("\(changes)")
            words.append(Self.play(run))
            _ = try programme.remove("b.wmv")
            words.append(Self.play(run))
            let listing = programme.listing
            words += listing.rows.map { "\($0.number) \($0.name) \($0.readers) \($0.line ?? 0)" }
            words += listing.lines(100).prefix(1).map { $0.split(separator: " ").joined(separator: " ") }
            do { _ = try programme.remove("b.wmv") } catch { words.append("gone") }
            run.close()
            return words
        }
        #expect(
            words == [
                "a.wmv", "3 1 n.wmv", "1", "n.wmv", "end.wmv", "1 a.wmv 0 1", "3 n.wmv 0 0", "4 end.wmv 1 0",
                "NO LINE KIND ID ROLE PLAYS ENTRY",
                "gone",
            ])
        try bench.end()
    }

    @Test func whatFailsIsShownAndCounted() throws {
        let bench = try Bench("<smil repeatCount='indefinite'><media src='x.wmv'/><media src='rtsp://h/y'/><media src='a.wmv'/></smil>")
        let overview = try bench.on { programme -> PlaylistOverview in
            let run = try programme.run()
            for _ in 0..<2 { _ = Self.play(run, broken: ["x.wmv"]) }
            defer { run.close() }
            return programme.overview
        }
        #expect(overview.entriesBegun == 2 && overview.entriesFailed == 4)
        #expect(overview.passedOver.map { "\($0.number) \($0.name) \($0.times)" } == ["2 rtsp://h/y 2", "1 x.wmv 2"])
        #expect(overview.passedOver.last?.reason == "it is broken")
        #expect(overview.shown.first?.current?.number == 3 && overview.shown.first?.next != nil)
        #expect(overview.lines.count == 4)
        try bench.end()
    }

    @Test func aChangedFileIsReadAnew() throws {
        let bench = try Bench("<smil><media src='a.wmv'/></smil>")
        #expect(try bench.on { $0.overview.entries } == 1)
        try bench.folder.write("list.wsx", "<smil><media src='a.wmv'/><media src='b.wmv'/></smil>")
        #expect(try bench.on { "\($0.overview.entries) \($0.overview.version) \($0.overview.reloads)" } == "2 2 1")
        try bench.folder.write("list.wsx", "<smil>\n<media/></smil>")
        let broken = try bench.on { $0.overview }
        #expect(broken.entries == 2 && broken.reloadsRefused == 1)
        #expect(
            broken.lastError?.hasSuffix("list.wsx:2: <media src>: it is missing; name a file, a directory or a URL: src=\"a.wmv\"") == true)
        try bench.folder.write("list.wsx", "<smil><media src='c.wmv'/></smil>")
        #expect(try bench.on { "\($0.overview.entries) \($0.overview.lastError ?? "")" } == "1 ")
        try bench.end()
    }

    @Test func requestsAreAnswered() throws {
        let bench = try Bench("<smil><media src='a.wmv'/></smil>")
        let words = try bench.on { programme -> [String] in
            [
                ["do": "insert", "source": "b.wmv"], ["do": "ls"], ["do": "remove", "entry": "9"], ["do": "jump"], ["do": "fly"],
                ["what": "x"], ["do": "next"],
            ].map {
                do throws(ControlAnswer.Trouble) {
                    let answer = try programme.answer(ControlRequest("playlist", $0))
                    return answer.done ?? answer.listing.map { "\($0.count) rows" } ?? ""
                } catch { return error.message }
            }
        }
        #expect(
            words == [
                "inserted as 2", "2 rows", "no entry is called `9`; weir playlist ls lists them", "entry is missing",
                "do: write ls, next, jump, insert or remove", "`playlist` takes no `what`; it takes after, do, entry, path, source",
                "nobody plays it just now",
            ])
        try bench.end()
    }
}

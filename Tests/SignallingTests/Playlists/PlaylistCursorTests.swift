import Testing
import WireFormats

@testable import Signalling

/// Ways through playlists, in a time of their own: every entry lasts ten seconds unless something ends it before.
struct PlaylistCursorTests {
    /// A reader that plays what it is told, and writes down what that was.
    struct Reader {
        var cursor: PlaylistCursor
        var now: UInt64 = 0
        var broken: Set<String> = []
        var log: [String] = []
        /// How long something lasts; 10 s for what is not named.
        var lasts: [String: UInt64] = [:]

        init(_ text: String, broken: Set<String> = [], lasts: [String: UInt64] = [:]) throws {
            cursor = PlaylistCursor(document: PlaylistDocument(try Playlist(Array(text.utf8)).root))
            self.broken = broken
            self.lasts = lasts
        }

        /// Takes a step as far as it goes without time passing; false at the end.
        mutating func take(_ first: PlaylistStep) -> Bool {
            var step = first
            while true {
                switch step {
                case .open(let entry):
                    if broken.contains(entry.media.source) {
                        step = cursor.openFailed("no such file", now: now)
                        continue
                    }
                    now += entry.delayMilliseconds
                    cursor.begin(now: now)
                    let from = entry.fromMilliseconds > 0 ? "@\(entry.fromMilliseconds / 1_000)" : ""
                    log.append((entry.delayMilliseconds > 0 ? "-\(entry.delayMilliseconds / 1_000) " : "") + entry.media.source + from)
                    return true
                case .wait(let milliseconds):
                    log.append("(\(milliseconds / 1_000))")
                    now += milliseconds
                    return true
                case .finished(let end):
                    log.append(end == .done ? "." : "!")
                    return false
                }
            }
        }

        /// How long what plays lasts.
        var rest: UInt64 {
            guard let entry = cursor.current else { return 0 }
            let natural = lasts[entry.media.source] ?? 10_000
            let end = min(entry.toMilliseconds ?? natural, natural)
            return min(end - min(entry.fromMilliseconds, end), entry.durationMilliseconds ?? .max)
        }

        /// Plays that many entries or pauses, or to the end.
        mutating func run(_ count: Int) -> String {
            log = []
            var ends = now
            for _ in 0..<count {
                let step = cursor.plan(at: max(ends, now))
                if case .open = step { now = max(ends, now) }
                guard take(step) else { break }
                ends = cursor.current != nil && log.last?.hasPrefix("(") == false ? now + rest : now
            }
            now = max(ends, now)
            return log.joined(separator: " ")
        }
    }

    @Test(arguments: [
        ("<smil><media src='a'/><media src='b'/></smil>", "a b ."),
        ("<smil repeatCount='2'><media src='a'/><media src='b'/></smil>", "a b a b ."),
        ("<smil><media src='a' repeatCount='3'/><seq repeatCount='2'><media src='b'/></seq></smil>", "a a a b b ."),
        ("<smil repeatCount='indefinite'><media src='a'/></smil>", "a a a a a a a a a a a a"),
        ("<smil><seq/><media src='a'/><switch/></smil>", "a ."),
        ("<smil/>", "!"),
        // What cannot be opened is passed over; of alternatives the first that opens plays, and no other.
        ("<smil><media src='x'/><media src='a'/><media src='x'/></smil>", "a ."),
        ("<smil><switch><media src='x'/><media src='a'/><media src='b'/></switch><media src='c'/></smil>", "a c ."),
        ("<smil><switch><seq><media src='x'/></seq><seq><media src='a'/><media src='b'/></seq></switch></smil>", "a b ."),
        ("<smil repeatCount='2'><switch><media src='x'/><media src='a'/></switch></smil>", "a a ."),
        ("<smil><media src='x'/><media src='x'/></smil>", "!"),
        // A list of nothing that opens does not spin.
        (
            "<smil repeatCount='indefinite'><media src='x'/><media src='x'/></smil>",
            "(1) (2) (4) (8) (16) (30) (30) (30) (30) (30) (30) (30)"
        ),
        ("<smil><seq repeatCount='indefinite'/></smil>", "(1) (2) (4) (8) (16) (30) (30) (30) (30) (30) (30) (30)"),
        // Nor one of nothing that lasts.
        ("<smil repeatCount='indefinite'><media src='0'/></smil>", "0 (1) 0 (2) 0 (4) 0 (8) 0 (16) 0 (30)"),
        // Times.
        ("<smil><seq dur='15s'><media src='a'/><media src='b'/><media src='c'/></seq><media src='d'/></smil>", "a b d ."),
        ("<smil><seq repeatDur='25s'><media src='a'/></seq><media src='d'/></smil>", "a a a d ."),
        ("<smil><seq dur='15s' repeatCount='2'><media src='a'/><media src='b'/></seq></smil>", "a b a b ."),
        ("<smil><media src='a' begin='3s'/><media src='b' begin='event'/><media src='c'/></smil>", "-3 a c ."),
        ("<smil><media src='a' dur='0s'/><media src='b' clipBegin='4s' clipEnd='6s'/></smil>", "b@4 ."),
        ("<smil><seq end='12s'><media src='a'/><media src='b'/><media src='c'/></seq></smil>", "a b ."),
        // excl.
        ("<smil><excl><media src='a'/><media src='b'/></excl><media src='c'/></smil>", "a c ."),
        ("<smil><excl><media src='a' begin='0s'/><media src='b' begin='4s'/></excl></smil>", "a b ."),
        ("<smil><excl><media src='a' begin='0s'/><media src='b' begin='25s'/></excl></smil>", "a -15 b ."),
        (
            "<smil><excl><priorityClass peers='pause'><media src='a' begin='0s'/><media src='b' begin='4s'/></priorityClass></excl></smil>",
            "a b a@4 ."
        ),
        (
            "<smil><excl><priorityClass peers='defer'><media src='a' begin='0s'/><media src='b' begin='4s'/></priorityClass></excl></smil>",
            "a b ."
        ),
        (
            "<smil><excl><priorityClass peers='never'><media src='a' begin='0s'/><media src='b' begin='4s'/></priorityClass></excl></smil>",
            "a ."
        ),
        (
            "<smil><excl><priorityClass><media src='n' begin='4s'/></priorityClass><priorityClass><media src='a' begin='0s'/></priorityClass></excl></smil>",
            "a n a@4 ."
        ),
        (
            "<smil><excl><priorityClass higher='stop'><media src='n' begin='0s'/></priorityClass><priorityClass lower='never'><media src='a' begin='4s'/></priorityClass></excl></smil>",
            "n a ."
        ),
        ("<smil><excl><media id='one' src='a' begin='0s'/><media src='b' begin='one.end+5s'/></excl></smil>", "a -5 b ."),
        (
            "<smil><excl><priorityClass peers='pause'><seq begin='0s'><media src='a'/><media src='b'/></seq><media src='n' begin='14s'/></priorityClass></excl></smil>",
            "a b n b@4 ."
        ),
        // Several instants.
        ("<smil><media src='a' begin='E;3s;1s'/></smil>", "-1 a ."),
        ("<smil><seq end='E;12s;20s'><media src='a'/><media src='b'/><media src='c'/></seq></smil>", "a b ."),
        ("<smil><excl><media src='a' begin='0s;25s'/><media src='b' begin='4s'/></excl></smil>", "a b -11 a ."),
        ("<smil><excl><media src='a' begin='0s;5s'/></excl></smil>", "a ."),
        (
            "<smil><excl dur='50s'><media id='a' src='a' begin='0s;b.end+5s'/><media id='b' src='b' begin='a.end'/></excl></smil>",
            "a b -5 a b ."
        ),
        (
            "<smil><excl><priorityClass peers='defer'><media src='a' begin='0s;12s'/><media src='b' begin='4s'/></priorityClass></excl></smil>",
            "a b a ."
        ),
        // Parts of rounds.
        ("<smil><media src='a' dur='4s' repeatCount='2.5'/><media src='b'/></smil>", "a a a b ."),
        ("<smil><seq dur='10s' repeatCount='0.5'><media src='a' dur='4s'/><media src='b'/><media src='c'/></seq></smil>", "a b ."),
    ]) func goesThrough(_ text: String, _ expected: String) throws {
        var reader = try Reader(text, broken: ["x"], lasts: ["0": 0])
        #expect(reader.run(12) == expected)
    }

    @Test func tellsHowLongEntriesPlay() throws {
        var reader = try Reader("<smil><seq dur='15s'><media src='a'/><media src='b' dur='9s'/></seq><media src='c' clipEnd='2s'/></smil>")
        #expect(reader.run(1) == "a")
        #expect(reader.cursor.current?.durationMilliseconds == 15_000)
        #expect(reader.run(1) == "b")
        #expect(reader.cursor.current?.durationMilliseconds == 5_000)
        #expect(reader.run(1) == "c")
        #expect(reader.cursor.current?.durationMilliseconds == nil && reader.cursor.current?.toMilliseconds == 2_000)
    }

    @Test func tellsWhatPartOfARoundIsPlayed() throws {
        var reader = try Reader("<smil><media src='a' dur='4s' repeatCount='1.25'/><media src='b' repeatCount='1.25'/></smil>")
        var found: [String] = []
        for _ in 0..<4 {
            _ = reader.run(1)
            let entry = try #require(reader.cursor.current)
            found.append("\(entry.media.source) \(entry.durationMilliseconds ?? 0) \(entry.thousandths ?? 0)")
        }
        #expect(found == ["a 4000 0", "a 1000 0", "b 0 0", "b 0 250"])
    }

    @Test func plansAheadWithoutGoing() throws {
        var reader = try Reader("<smil><media src='a'/><media src='b'/></smil>")
        #expect(reader.run(1) == "a")
        let first = reader.cursor.plan(at: 10_000), again = reader.cursor.plan(at: 10_000)
        #expect(first == again)
        #expect(reader.cursor.current?.media.source == "a" && reader.cursor.upcoming?.media.source == "b")
        let entry = reader.cursor.begin(now: 10_040)
        #expect(entry?.media.source == "b" && reader.cursor.upcoming == nil)
        #expect(reader.cursor.currentBegan == 10_040)
    }

    @Test func eachEntryHasAGenerationOfItsOwn() throws {
        var reader = try Reader("<smil repeatCount='indefinite'><media src='a'/><media src='x'/></smil>", broken: ["x"])
        var generations: [UInt32] = []
        for _ in 0..<4 {
            _ = reader.run(1)
            generations.append(reader.cursor.current?.generation ?? 0)
        }
        #expect(Set(generations).count == 4 && !generations.contains(0))
        #expect(Set(generations.map { reader.cursor.entry(generation: $0)?.media.source }) == ["a"])
        #expect(reader.cursor.entry(generation: 99_999) == nil)
        var last = PlaylistCursor(document: reader.cursor.document, firstGeneration: .max)
        _ = last.plan(at: 0)
        #expect(last.upcoming?.generation == 1)
    }

    // MARK: Skipping

    @Test func skipsForwardAndBack() throws {
        var reader = try Reader(
            "<smil><media src='a'/><media src='b' repeatCount='5'/><switch><media src='c'/><media src='d'/></switch></smil>")
        #expect(reader.run(2) == "a b")
        let b = try #require(reader.cursor.current?.generation)
        // All rounds of b are left.
        let step = try reader.cursor.skip(by: 1, from: b, now: reader.now)
        _ = reader.take(step)
        #expect(reader.log.last == "c")
        #expect(throws: PlaylistRefusal.noNeighbour(forward: true)) { try reader.cursor.skip(by: 1, now: reader.now) }
        _ = reader.take(try reader.cursor.skip(by: -1, now: reader.now))
        #expect(reader.log.last == "b")
        let back = try reader.cursor.skip(by: -1, now: reader.now)
        _ = reader.take(back)
        #expect(reader.log.last == "a")
        #expect(throws: PlaylistRefusal.noNeighbour(forward: false)) { try reader.cursor.skip(by: -1, now: reader.now) }
        // From an entry that is over for us and not for the viewer.
        _ = reader.take(try reader.cursor.skip(by: 1, from: b, now: reader.now))
        #expect(reader.log.last == "c")
        #expect(throws: PlaylistRefusal.unknown("77")) { try reader.cursor.skip(by: 1, from: 77, now: reader.now) }
        #expect(reader.cursor.counters.skipped == 4)
    }

    @Test func obeysNoSkip() throws {
        var reader = try Reader("<smil><media src='a'/><media src='ad' noSkip='true' noRecede='true'/><media src='b'/></smil>")
        #expect(reader.run(2) == "a ad")
        #expect(throws: PlaylistRefusal.forbidden(entry: "ad")) { try reader.cursor.skip(by: 1, now: reader.now) }
        #expect(throws: PlaylistRefusal.forbidden(entry: "ad")) { try reader.cursor.skip(by: -1, now: reader.now) }
        // Who owns the relay may.
        _ = reader.take(try reader.cursor.next(now: reader.now))
        #expect(reader.log.last == "b")
    }

    @Test func seeksInWhatIsOver() throws {
        var reader = try Reader("<smil><media src='a'/><media src='b'/></smil>")
        _ = reader.run(1)
        let a = try #require(reader.cursor.current)
        _ = reader.run(1)
        let step = try reader.cursor.go(backTo: a.generation, now: reader.now)
        #expect(step == .open(a))
        reader.cursor.begin(now: reader.now)
        #expect(reader.cursor.current?.generation == a.generation)
        #expect(reader.run(3) == "b .")
    }

    @Test func jumps() throws {
        var reader = try Reader(
            "<smil repeatCount='2'><media src='a'/><seq id='s'><media id='m' src='d/b.wmv'/><media src='c' begin='event'/></seq></smil>")
        _ = reader.run(1)
        for (name, expected) in [("m", "d/b.wmv"), ("b.wmv", "d/b.wmv"), ("c", "c"), ("s", "d/b.wmv"), ("4", "c")] {
            let number = try reader.cursor.document.find(name)
            _ = reader.take(try reader.cursor.jump(to: number, now: reader.now))
            #expect(reader.log.last == expected)
        }
        #expect(reader.run(3) == "a d/b.wmv .")
        #expect(throws: PlaylistRefusal.unknown("9")) { try reader.cursor.jump(to: 9, now: reader.now) }
        let document = reader.cursor.document
        #expect(throws: PlaylistRefusal.unknown("nobody")) { try document.find("nobody") }
    }

    @Test func hearsEvents() throws {
        var reader = try Reader(
            """
            <smil><excl><priorityClass peers="pause"><media src="a" begin="0s"/><media src="n" begin="Notice"/></priorityClass></excl></smil>
            """)
        _ = reader.run(1)
        let step = try reader.cursor.event("Notice", now: 3_000)
        reader.now = 3_000
        _ = reader.take(try #require(step))
        #expect(reader.log.last == "n")
        #expect(reader.cursor.entry(generation: 1)?.media.source == "a")
        reader.now = 13_000
        #expect(reader.run(2) == "a@3 .")
        #expect(throws: PlaylistRefusal.unknown("Else")) { try reader.cursor.event("Else", now: 3_000) }
    }

    @Test func leavesAtTheTimeThatAnEventSays() throws {
        var reader = try Reader(
            """
            <smil><excl><media src="a" begin="0s"/><media src="n" begin="Notice+5s"/></excl>
            <seq end="Close+2s"><media src="b"/><media src="c"/></seq><media src="d"/></smil>
            """)
        _ = reader.run(1)
        let before = reader.cursor.leavesAt
        let none = try reader.cursor.event("Notice", now: 3_000)
        let early = reader.cursor.leave(now: 7_999)
        #expect(before == .max && none == nil && early == nil && reader.cursor.leavesAt == 8_000)
        reader.now = 8_000
        let step = reader.cursor.leave(now: 8_000)
        _ = reader.take(try #require(step))
        #expect(reader.log.last == "n" && reader.cursor.leavesAt == .max)
        reader.now = 18_000
        #expect(reader.run(1) == "b")
        let closing = try reader.cursor.event("Close", now: 19_000)
        #expect(closing == nil && reader.cursor.leavesAt == 21_000)
        reader.now = 21_000
        let closed = reader.cursor.leave(now: 21_000)
        _ = reader.take(try #require(closed))
        #expect(reader.log.last == "d")
    }

    @Test(.timeLimit(.minutes(1))) func thousandsInAnExclAreQuick() throws {
        let count = 10_000
        let media = (1..<count).map { "<media src='x' id='m\($0)' begin='\($0 % 7)s;m\($0 - 1).end+1h'/>" }.joined()
        var limits = PlaylistLimits()
        limits.bytesMax = 4 << 20
        limits.entriesMax = count + 2
        var root = try Playlist(Array("<smil repeatCount='indefinite'><excl>\(media)</excl></smil>".utf8), limits: limits).root
        var group = root.children[0]
        group.children = group.children.map { node in
            var node = node
            if case .media(var media) = node.kind {
                media.location = .broken("no such file")
                node.kind = .media(media)
            }
            return node
        }
        root.children = [group]
        var cursor = PlaylistCursor(document: PlaylistDocument(root))
        guard case .wait = cursor.plan(at: 0) else { throw PlaylistRefusal.nobodyPlays }
        #expect(cursor.counters.failed >= UInt64(count - 1))
    }

    @Test func whatBeginsAnewGoesOnFromNoEarlierPlace() throws {
        var reader = try Reader(
            """
            <smil><excl><priorityClass peers="pause"><media src="x" begin="X"/><media src="y" begin="Y"/></priorityClass></excl></smil>
            """)
        #expect(reader.run(1) == "x")
        for (index, name) in ["Y", "X", "Y", "X", "Y"].enumerated() {
            reader.now = UInt64(index + 1) * 1_000
            let step = try #require(try reader.cursor.event(name, now: reader.now))
            _ = reader.take(step)
            #expect(reader.log.last == name.lowercased())
        }
        reader.now += 10_000
        #expect(reader.run(4) == "x@1 .")
    }

    // MARK: Failing

    @Test func whatEndsBeforeItsTimeIsCounted() throws {
        var reader = try Reader("<smil repeatCount='indefinite'><media src='a'/></smil>")
        #expect(reader.run(1) == "a")
        // It was thought to last for 10 s, and is over after 20 ms.
        guard case .open = reader.cursor.plan(at: 10_000, isEnd: false) else { throw PlaylistRefusal.nobodyPlays }
        #expect(reader.cursor.ended(now: 20) == .wait(milliseconds: 1_000))
        #expect(reader.cursor.plan(at: 500) == .wait(milliseconds: 520))
        guard case .open = reader.cursor.plan(at: 1_020) else { throw PlaylistRefusal.nobodyPlays }
        reader.cursor.begin(now: 1_020)
        guard case .open = reader.cursor.plan(at: 11_020, isEnd: false) else { throw PlaylistRefusal.nobodyPlays }
        #expect(reader.cursor.ended(now: 11_000) == nil)
        #expect(reader.cursor.counters.pauses == 1)
    }

    @Test func tellsWhatItPassedOver() throws {
        var reader = try Reader("<smil><media src='x'/><media src='a'/></smil>", broken: ["x"])
        _ = reader.run(1)
        let failures = reader.cursor.takeFailures()
        #expect(failures.map { "\($0.entry.media.source): \($0.reason)" } == ["x: no such file"])
        #expect(reader.cursor.takeFailures().isEmpty)
        #expect(reader.cursor.counters == .init(begun: 1, failed: 1, skipped: 0, pauses: 0))
    }

    @Test func goesOnWhenSomethingOpensAgain() throws {
        var reader = try Reader("<smil repeatCount='indefinite'><media src='x'/><media src='y'/></smil>", broken: ["x", "y"])
        #expect(reader.run(3) == "(1) (2) (4)")
        reader.broken = ["x"]
        #expect(reader.run(3) == "y y y")
        reader.broken = ["x", "y"]
        #expect(reader.run(2) == "(1) (2)")
        // Early questions do not shorten a pause.
        let again = reader.cursor.plan(at: reader.now)
        _ = reader.cursor.openFailed("no such file", now: reader.now)
        let pause = reader.cursor.openFailed("no such file", now: reader.now)
        let later = reader.cursor.plan(at: reader.now + 1_000)
        guard case .open = again else {
            Issue.record("\(again)")
            return
        }
        #expect(pause == .wait(milliseconds: 4_000) && later == .wait(milliseconds: 3_000))
    }

    @Test func backwardsPastWhatIsGone() throws {
        var reader = try Reader("<smil><media src='a'/><media src='b'/><media src='c'/></smil>")
        _ = reader.run(3)
        reader.broken = ["b"]
        _ = reader.take(try reader.cursor.skip(by: -1, now: reader.now))
        #expect(reader.log.last == "a")
    }

    // MARK: Edits

    @Test func editsWhilePlaying() throws {
        var reader = try Reader("<smil><media src='a'/><media src='b'/></smil>")
        _ = reader.run(1)
        let planned = reader.cursor.plan(at: reader.now)
        var document = reader.cursor.document
        let new = try document.insert(PlaylistMedia(source: "n"), after: document.find("a"))
        let step = reader.cursor.replace(document, now: reader.now)
        guard case .open(let entry)? = step, case .open(let before) = planned else {
            Issue.record("\(String(describing: step)), \(planned)")
            return
        }
        #expect(entry.media.source == "n" && entry.node == new && entry.generation != before.generation)
        #expect(reader.run(3) == "n b .")
        // What is added to a list that is at its end is played still.
        _ = try document.insert(PlaylistMedia(source: "z"), after: nil)
        _ = reader.cursor.replace(document, now: reader.now)
        #expect(reader.run(2) == "z .")
    }

    @Test func whatHoldsIsNotPlannedAnew() throws {
        var reader = try Reader("<smil><media src='a'/><media src='b'/></smil>")
        _ = reader.run(1)
        let planned = reader.cursor.plan(at: reader.now)
        var document = reader.cursor.document
        _ = try document.insert(PlaylistMedia(source: "n"), after: nil)
        let step = reader.cursor.replace(document, now: reader.now)
        let still = reader.cursor.plan(at: reader.now)
        #expect(step == nil && still == planned)
        #expect(reader.run(3) == "b n .")
    }

    @Test func whatPlaysCanBeTakenOut() throws {
        var reader = try Reader("<smil><seq><media src='a'/><media src='b'/></seq><media src='c'/></smil>")
        _ = reader.run(1)
        var document = reader.cursor.document
        try document.remove(document.find("a"))
        _ = reader.cursor.replace(document, now: reader.now)
        #expect(reader.cursor.current?.media.source == "a")
        #expect(reader.run(3) == "b c .")
        var other = try Reader("<smil><seq><media src='a'/><media src='b'/></seq><media src='c'/></smil>")
        _ = other.run(1)
        document = other.cursor.document
        try document.remove(1)
        _ = other.cursor.replace(document, now: other.now)
        #expect(other.run(2) == "c .")
    }

    @Test func aReloadKeepsThePlace() throws {
        var reader = try Reader("<smil repeatCount='indefinite'><media src='a'/><media src='b'/><media src='c'/></smil>")
        _ = reader.run(2)
        let text = "<smil repeatCount='indefinite'><media src='new'/><media src='c'/><media src='b'/><media src='d'/></smil>"
        let document = reader.cursor.document.reloaded(as: try Playlist(Array(text.utf8)).root)
        #expect(document.version == 2 && document.mediaCount == 4)
        _ = reader.cursor.replace(document, now: reader.now)
        #expect(reader.run(4) == "d new c b")
    }

    @Test func aDocumentHasItsMost() throws {
        var document = PlaylistDocument(try Playlist(Array("<smil><media src='a'/></smil>".utf8)).root, entriesMax: 2)
        _ = try document.insert(PlaylistMedia(source: "b"), after: 1)
        #expect(throws: PlaylistRefusal.full(entriesMax: 2)) { try document.insert(PlaylistMedia(source: "c"), after: nil) }
        #expect(throws: PlaylistRefusal.unknown("9")) { try document.remove(9) }
        #expect(document.rows.map(\.node.number) == [1, 2])
        try document.remove(1)
        #expect(throws: PlaylistRefusal.unknown("9")) { try document.insert(PlaylistMedia(source: "c"), after: 9) }
    }

    /// Any order of what can happen to a reader leaves it with a step to take, and nothing goes round without an end.
    @Test(arguments: 0..<200) func anyOrderHasAnAnswer(_ seed: UInt64) throws {
        let texts = [
            "<smil repeatCount='indefinite'><media src='a'/><switch><media src='x'/><seq><media src='b'/><media src='c' noSkip='true'/></seq></switch></smil>",
            "<smil><excl><priorityClass peers='pause'><seq begin='0s'><media src='a'/><media src='b'/></seq><media src='n' begin='E'/></priorityClass></excl><media src='x'/></smil>",
            "<smil><seq repeatDur='1h'><media src='x'/></seq><media src='a' repeatCount='indefinite' dur='3s'/></smil>",
        ]
        var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
        func chance(_ count: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % count
        }
        var reader = try Reader(texts[Int(seed) % texts.count], broken: ["x"])
        for _ in 0..<80 {
            reader.now += UInt64(chance(5_000))
            var step: PlaylistStep?
            do throws(PlaylistRefusal) {
                switch chance(9) {
                case 0: step = try reader.cursor.skip(by: 1, now: reader.now)
                case 1: step = try reader.cursor.skip(by: -1, now: reader.now)
                case 2: step = try reader.cursor.jump(to: UInt32(chance(8)), now: reader.now)
                case 3: step = try reader.cursor.event("E", now: reader.now)
                case 4: step = try reader.cursor.go(backTo: UInt32(chance(20)), now: reader.now)
                case 5:
                    var document = reader.cursor.document
                    if chance(2) == 0, document.nodeCount > 2 {
                        try document.remove(UInt32(1 + chance(8)))
                    } else {
                        _ = try document.insert(PlaylistMedia(source: chance(2) == 0 ? "a" : "x"), after: UInt32(chance(8)))
                    }
                    step = reader.cursor.replace(document, now: reader.now)
                case 6: reader.broken = chance(2) == 0 ? ["x"] : ["x", "a", "b"]
                default: step = reader.cursor.plan(at: reader.now)
                }
            } catch {}
            if let step { _ = reader.take(step) }
        }
        reader.broken = []
        let counters = reader.cursor.counters
        #expect(counters.failed < 80 * 64)
    }
}

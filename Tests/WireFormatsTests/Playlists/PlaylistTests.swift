import Testing

@testable import WireFormats

/// Playlists as people and editors write them.
struct PlaylistTests {
    static func playlist(_ text: String) throws -> Playlist { try Playlist(Array(text.utf8)) }

    /// `seq(a b×2 first(c d))`: the shape of a tree in one line.
    static func shape(_ node: PlaylistNode) -> String {
        let times =
            switch node.timing.repeatCount {
            case .times(let count): "×\(count)"
            case .indefinite: "×∞"
            case nil: ""
            }
        let inner = node.children.map(shape).joined(separator: " ")
        switch node.kind {
        case .media(let media): return media.source + times
        case .sequence: return "seq(\(inner))" + times
        case .alternatives: return "first(\(inner))" + times
        case .exclusive: return "excl(\(inner))" + times
        }
    }

    @Test(arguments: [
        (#"<?wsx version="1.0"?><smil><media src="a.wmv"/><media src="b.wmv"/></smil>"#, "seq(a.wmv b.wmv)"),
        (#"<smil><seq id="s" repeatCount="2"><media src="a"/></seq></smil>"#, "seq(seq(a)×2)"),
        (#"<smil repeatCount='indefinite'><switch><media src="a"/><media src="b"/></switch></smil>"#, "seq(first(a b))×∞"),
        (
            #"<smil><excl><priorityClass peers="pause"><media src="n" begin="E"/><media src="m" begin="0h"/></priorityClass></excl></smil>"#,
            "seq(excl(n m))"
        ),
        (#"<smil><body><ref src="a"/><video src="b"/><audio src="c"/></body></smil>"#, "seq(seq(a b c))"),
        ("<smil><!-- a <media> -->\n<media src='x&amp;y&#65;&#x42;'/></smil>", "seq(x&yAB)"),
        ("<smil/>", "seq()"),
        (#"<SMIL><Media src="a"/></SMIL>"#, "-"),
        // ASX, as it is met.
        (#"<ASX version="3.0"><Entry><Ref href="http://a/?x=1&y=2"/></ENTRY></ASX>"#, "seq(http://a/?x=1&y=2)"),
        (
            "<ASX Version = \"3.0\"\n <Title>Station</title>\n<Entry>\n<Ref href = \"http://s/1\" />\n<Ref href=\"http://b/1\">\n</Entry>\n</ASX>",
            "seq(first(http://s/1 http://b/1))"
        ),
        (#"<asx><repeat count="3"><entry><ref href="a"/></entry><entryref href="b.asx"/></repeat></asx>"#, "seq(seq(a b.asx)×3)"),
        ("<asx><repeat><entry><ref href=a.wmv></entry></repeat>", "seq(seq(a.wmv)×∞)"),
        (
            #"<asx><base href="mms://h/"/><entry><ref href="x.wmv"/></entry><entry><base href="http://i/"/><ref href="y"/></entry><entry><ref href="z"/></entry></asx>"#,
            "seq(mms://h/x.wmv http://i/y mms://h/z)"
        ),
        (
            #"<asx><param name="a" value="b"/><event name="e" whendone="NEXT"><entry><ref href="ad"/></entry></event><entry><ref href="a"/></entry></asx>"#,
            "seq(a)"
        ),
    ]) func reads(_ text: String, _ shape: String) {
        let found = (try? Self.playlist(text)).map { Self.shape($0.root) } ?? "-"
        #expect(found == shape)
    }

    @Test func readsEveryAttribute() throws {
        let list = try Self.playlist(
            """
            <?wsx version="1.0"?>
            <smil>
              <clientData title="All" author="Us"/>
              <media id="m1" src="clip.wmv" clipBegin="15s" clipEnd="00:30" mediaName="News" role="Advertisement" noSkip="TRUE"
                     noRecede="true" begin="250ms" end="02:00:00.5" dur="1.5min" repeatCount="2" repeatDur="indefinite" syncEvent="x">
                <clientData title="One"/>
              </media>
            </smil>
            """)
        #expect(list.root.descriptions.map { "\($0.name)=\($0.value)" } == ["title=All", "author=Us"])
        let node = try #require(list.root.children.first)
        let media = try #require(node.media)
        #expect(node.id == "m1" && node.line == 4 && node.descriptions.map(\.value) == ["One"])
        #expect(media.clipBegin == 15_000 && media.clipEnd == 30_000 && media.name == "News" && media.role == "Advertisement")
        #expect(media.forbidsSkipping && media.forbidsReceding)
        #expect(node.timing.begin == [.offset(250)] && node.timing.end == [.offset(7_200_500)] && node.timing.duration == 90_000)
        #expect(node.timing.repeatCount == .times(2) && node.timing.repeatDuration == .max)
        #expect(list.ignored == ["4: syncEvent of <media> has no effect"])
    }

    @Test func readsAnEntryOfASX() throws {
        let list = try Self.playlist(
            """
            <asx version="3.0"><title>Show</title>
            <entry clientskip="no"><title>One &amp; only</title><author>A</author><abstract>Words</abstract><starttime value="00:00:05.5"/>
            <duration value="30"/><ref href="mms://h/a"/><ref href="b.wmv"><starttime value="1:00"/></ref></entry></asx>
            """)
        let node = try #require(list.root.children.first)
        #expect(node.descriptions.map { "\($0.name)=\($0.value)" } == ["title=One & only", "author=A", "description=Words"])
        let first = try #require(node.children.first?.media), second = try #require(node.children.last?.media)
        #expect(first.clipBegin == 5_500 && second.clipBegin == 60_000 && first.forbidsSkipping && first.name == "One & only")
        #expect(node.children.map(\.timing.duration) == [30_000, 30_000])
    }

    @Test func readsPriorities() throws {
        let list = try Self.playlist(
            """
            <smil><excl><priorityClass peers="defer" higher="stop" lower="never"><media src="a" begin="1s"/></priorityClass>
            <priorityClass><media src="b" begin="a.end+2s"/></priorityClass></excl></smil>
            """)
        let children = try #require(list.root.children.first?.children)
        #expect(children.map(\.priority.rank) == [0, 1])
        let first = try #require(children.first?.priority)
        #expect(first.peers == .defer && first.higher == .stop && first.lower == .never)
        #expect(children.last?.timing.begin == [.event("a.end", after: 2_000)])
    }

    @Test(
        arguments: [
            ("5s", [.offset(5_000)]), ("+5s", [.offset(5_000)]),
            ("0s; 1:00 ;Evening", [.offset(0), .offset(60_000), .event("Evening", after: 0)]),
            ("indefinite", [.indefinite]), ("one.end+1.5s;two.begin", [.event("one.end", after: 1_500), .event("two.begin", after: 0)]),
            ("good-night", [.event("good-night", after: 0)]), ("part-2", [.event("part-2", after: 0)]),
        ] as [(String, [PlaylistTiming.Instant])]) func readsInstants(_ text: String, _ instants: [PlaylistTiming.Instant]) throws
    {
        let list = try Self.playlist("<smil><excl><media src='a' begin='\(text)' end='\(text)'/></excl></smil>")
        let timing = try #require(list.root.children.first?.children.first?.timing)
        #expect(timing.begin == instants && timing.end == instants)
    }

    @Test(
        arguments: [("2", 2, 0), ("2.5", 2, 500), ("0.25", 0, 250), ("1.0", 1, 0), ("1.0009", 1, 0), ("3.1234", 3, 123)])
    func readsParts(_ text: String, _ times: UInt32, _ thousandths: UInt32) throws {
        let list = try Self.playlist("<smil><media src='a' repeatCount='\(text)'/><seq repeatCount='\(text)' dur='10s'/></smil>")
        for node in list.root.children { #expect(node.timing.repeatCount == .times(times) && node.timing.repeatThousandths == thousandths) }
    }

    // MARK: Encodings

    static let text = "<?wsx version=\"1.0\"?>\n<smil><media src=\"caf\u{E9} \u{20AC}.wmv\"/></smil>"
    static func wide(_ text: String, big: Bool) -> [UInt8] {
        text.utf16.flatMap { unit in big ? [UInt8(unit >> 8), UInt8(unit & 0xFF)] : [UInt8(unit & 0xFF), UInt8(unit >> 8)] }
    }
    static let ansi: [UInt8] = text.unicodeScalars.map { $0.value == 0x20AC ? 0x80 : UInt8($0.value) }

    static func encodings() -> [[UInt8]] {
        let utf8 = Array(text.utf8), little = wide(text, big: false), big = wide(text, big: true)
        let rest = Array(ansi.drop { $0 != 0x0A })
        var all: [[UInt8]] = [utf8, little, big, ansi]
        all.append([0xEF, 0xBB, 0xBF] + utf8)
        all.append([0xFF, 0xFE] + little)
        all.append([0xFE, 0xFF] + big)
        all.append(Array("<?wsx version=\"1.0\" encoding='windows-1252'?>".utf8) + rest)
        all.append(Array("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>".utf8) + rest)
        all.append(Array("<?xml version=\"1.0\" encoding=\"UTF-16\"?>".utf8) + Array(utf8.drop { $0 != 0x0A }))
        return all
    }

    @Test(arguments: encodings()) func readsEncodings(_ bytes: [UInt8]) throws {
        #expect(Self.shape(try Playlist(bytes).root) == "seq(caf\u{E9} \u{20AC}.wmv)")
        #expect(Playlist.isOne(Array(bytes.prefix(64))))
    }

    // MARK: Errors

    @Test(arguments: [
        (
            "<smil>\n<media src=\"a\" dur=\"soon\"/></smil>",
            "2: <media dur>: `soon` is no time; write 90s, 1.5min, 250ms, 02:30 or 01:02:30.5"
        ),
        ("<smil>\n\n<media/></smil>", "3: <media src>: it is missing; name a file, a directory or a URL: src=\"a.wmv\""),
        ("<smil><media src='a' noskip='true'/></smil>", "1: <media noskip>: write it noSkip: letters count"),
        ("<smil><media src='a' loop='1'/></smil>", "1: <media loop>: there is no such attribute; take it out"),
        ("<smil><seq src='a'/></smil>", "1: <seq src>: it belongs to <media>"),
        (
            "<smil><song src='a'/></smil>",
            "1: <song>: there is no such element; a playlist has seq, media, switch, excl, priorityClass and clientData"
        ),
        ("<smil><par><media src='a'/></par></smil>", "1: <par>: one stream cannot show several things at a time; use <seq> or <excl>"),
        ("<smil><priorityClass/></smil>", "1: <priorityClass>: it stands in <excl> only; put <excl> around it"),
        (
            "<smil><excl><priorityClass peers='kill'/></excl></smil>",
            "1: <priorityClass peers>: `kill`: write one of stop, pause, defer, never"
        ),
        (
            "<smil><media src='a' repeatCount='0'/></smil>",
            "1: <media repeatCount>: `0` is no number of times; write a number above 0, such as 2 or 2.5, or indefinite"
        ),
        ("<smil><media src='a' clipBegin='5s' clipEnd='5s'/></smil>", "1: <media clipEnd>: it is not behind clipBegin"),
        ("<smil><media src='a' noSkip='perhaps'/></smil>", "1: <media noSkip>: `perhaps`: write true or false"),
        (
            "<smil><media src='a' begin='0s;wallclock(12:00)'/></smil>",
            "1: <media begin>: `wallclock(12:00)` is a time of day, and playlists keep none: write an event (begin=\"Evening\") and say `weir playlist jump PATH Evening` at that time, by cron or a timer of systemd"
        ),
        ("<smil><media src='a' begin='-2s'/></smil>", "1: <media begin>: `-2s` would be before its turn; write a time from 0s on"),
        (
            "<smil><media src='a' end='b.end-2s'/></smil>",
            "1: <media end>: `b.end-2s` is before what it refers to; only times behind that can be kept (ID.end+5s)"
        ),
        (
            "<smil><media src='a' end='b.end+soon'/></smil>",
            "1: <media end>: `b.end+soon` has no time behind its `+`; write such as ID.end+5s"
        ),
        (
            "<smil><media src='a' begin='id(b)(end)'/></smil>",
            "1: <media begin>: `id(b)(end)` is neither a time (90s, 02:30), nor `indefinite`, nor an event (Name, ID.begin, ID.end, ID.end+5s); several have `;` between them"
        ),
        (
            "<smil><media src='a' begin='1s;'/></smil>",
            "1: <media begin>: `` is neither a time (90s, 02:30), nor `indefinite`, nor an event (Name, ID.begin, ID.end, ID.end+5s); several have `;` between them"
        ),
        (
            "<smil><seq repeatCount='1.5'><media src='a'/></seq></smil>",
            "1: <seq repeatCount>: `1.5`: what a part of a round is depends on all that is in it; write a whole number, or say by dur how long a round is"
        ),
        ("<smil>\n<seq>\n</smil>", "3: <seq>: `</smil>` stands where </seq> is expected (opened in line 2)"),
        ("<smil>\n<seq>\n", "2: <seq>: it is not closed; write </seq> where it ends"),
        ("<smil><media src='a' src='b'/></smil>", "1: <media src>: it is there twice; leave one out"),
        ("<smil><media src=a/></smil>", "1: <media src>: its value needs quotes: src=\"…\""),
        ("<smil><media src='a&b'/></smil>", "1: `&b` is no character that is known here; write &amp; for a `&`"),
        (
            "<!DOCTYPE a [<!ENTITY b \"cc\">]><smil/>",
            "1: a DOCTYPE, or what it would contain, is refused: playlists have no entities of their own; take it out"
        ),
        (
            "<asx><!DOCTYPE x></asx>",
            "1: a DOCTYPE, or what it would contain, is refused: playlists have no entities of their own; take it out"
        ),
        ("<html></html>", "1: <html>: this is no playlist: the outermost element is <smil> (.wsx) or <asx> (ASX)"),
        ("", "there is no element; a playlist is <smil>…</smil> or <asx>…</asx>"),
        ("hello", "1: text stands outside of all elements; a playlist is <smil>…</smil> or <asx>…</asx>"),
        ("<smil/><smil/>", "1: something stands behind the end of the playlist"),
        (
            "<?xml version=\"1.0\" encoding=\"koi8-r\"?><smil/>",
            "1: the encoding `koi8-r` is not read; save the file as UTF-8, UTF-16 or windows-1252"
        ),
        ("<asx><entry></entry></asx>", "1: <entry>: it has no <ref href=\"…\"/>, so there is nothing to play"),
        ("<asx><entry><ref/></entry></asx>", "1: <ref href>: it is missing; name what to play"),
        ("<asx><repeat count='x'/></asx>", "1: <repeat count>: `x` is no number; leave it out to repeat for ever"),
        ("<asx><entry><duration value='long'/><ref href='a'/></entry></asx>", "1: <duration value>: `long` is no time; write hh:mm:ss.fff"),
        ("<smil>\u{0}</smil>", "1: a NUL stands in the text: this is no playlist"),
    ]) func namesWhatIsWrong(_ text: String, _ words: String) {
        #expect(throws: PlaylistError.self) { try Self.playlist(text) }
        do { _ = try Self.playlist(text) } catch { #expect("\(error)" == words) }
    }

    @Test func obeysItsLimits() throws {
        var limits = PlaylistLimits()
        limits.bytesMax = 600
        limits.entriesMax = 5
        limits.nestingMax = 3
        limits.attributesMax = 2
        func limit(_ text: String) -> String? {
            do { _ = try Playlist(Array(text.utf8), limits: limits) } catch { return error.limit ?? "none" }
            return nil
        }
        #expect(limit("<smil>" + String(repeating: "<media src='a'/>", count: 4) + "</smil>") == nil)
        #expect(limit("<smil>" + String(repeating: "<media src='a'/>", count: 5) + "</smil>") == "entriesMax")
        #expect(limit("<smil><seq><media src='a'/></seq></smil>") == nil)
        #expect(limit("<smil><seq><seq><media src='a'/></seq></seq></smil>") == "nestingMax")
        #expect(limit("<smil><media src='a' id='b' dur='1s'/></smil>") == "attributesMax")
        #expect(limit("<smil>" + String(repeating: " ", count: 600) + "</smil>") == "bytesMax")
    }

    @Test(
        arguments: [
            ("10", 10_000), ("1.5h", 5_400_000), ("30min", 1_800_000), ("250ms", 250), ("0.5ms", 0), ("02:33", 153_000),
            ("01:02:03.250", 3_723_250),
            ("00:60", nil), ("-1s", nil), ("", nil), ("s", nil), ("1.s", nil), ("1e3", nil), ("99999999999999999999s", nil), ("9000h", nil),
            ("1:2:3:4", nil), ("8784h", 31_622_400_000),
        ] as [(String, UInt64?)]) func readsTimes(_ text: String, _ milliseconds: UInt64?)
    {
        #expect(PlaylistTiming.milliseconds(text) == milliseconds)
    }
}

import Glibc
import Testing
import WireFormats

@testable import ControlPlane

/// Playlists with what they name, out of files.
struct PlaylistLoaderTests {
    /// What each thing to play was found to be, without the folder's name.
    private static func locations(_ node: PlaylistNode, _ folder: PlaylistFolder) -> [String] {
        guard let media = node.media else { return node.children.flatMap { locations($0, folder) } }
        let words =
            switch media.location {
            case .file(let name): "file \(name)"
            case .path(let name): "path \(name)"
            case .url(let text): "url \(text)"
            case .kept(let number): "kept \(number)"
            case .broken(let why): "broken \(why)"
            case .unresolved: "unresolved"
            }
        return [words.replacing(folder.path + "/", with: "")]
    }

    private static func load(_ folder: PlaylistFolder, _ limits: PlaylistLimits = PlaylistLimits()) throws -> PlaylistLoader.Loaded {
        try PlaylistLoader.load(folder["list.wsx"], limits: limits)
    }

    @Test(arguments: [
        ("a.wmv", "file a.wmv"), ("/srv/a.wmv", "file /srv/a.wmv"), ("file:///srv/a.wmv", "file /srv/a.wmv"),
        ("sub\\a.wmv", "file sub/a.wmv"),
        ("lpp://live/", "path live"), ("lpp://", "broken lpp:// names no path of this relay: lpp://NAME"),
        (
            "mms://host:8080/live",
            "url mms://host:8080/live"
        ),
        (
            "http://host/live",
            "url http://host/live"
        ),
        ("http://host/more.asx", "broken http://host/more.asx is a playlist elsewhere; only those in files here are read"),
        ("rtsp://host/x", "broken `rtsp://` cannot stand in a playlist; files and lpp://PATH can"),
        ("gone.asx", "broken cannot open gone.asx: No such file or directory"),
        ("bad.asx", "broken bad.asx:2: <duration value>: `x` is no time; write hh:mm:ss.fff"),
        ("self.wsx", "broken self.wsx contains itself"),
    ]) func finds(_ source: String, _ expected: String) throws {
        let folder = try PlaylistFolder([
            "list.wsx": "<smil><media src='\(source)'/></smil>",
            "bad.asx": "<asx>\n<entry><duration value='x'/><ref href='a'/></entry></asx>",
            "self.wsx": "<smil><media src='self.wsx'/></smil>",
        ])
        #expect(Self.locations(try Self.load(folder).root, folder) == [expected])
    }

    @Test func whatIsWrongTellsWhatWasRead() throws {
        let folder = try PlaylistFolder(["list.wsx": "<smil><media/></smil>"])
        let marks = [PlaylistLoader.FileMark(folder["list.wsx"])]
        var trouble: PlaylistLoader.Trouble?
        do { _ = try Self.load(folder) } catch { trouble = error as? PlaylistLoader.Trouble }
        #expect(trouble?.marks == marks)
        try folder.write("list.wsx", "<smil><media src='a.wmv'/></smil>")
        let isCurrent = marks[0].isCurrent
        #expect(!isCurrent)
    }

    @Test func takesListsAndDirectoriesApart() throws {
        let folder = try PlaylistFolder([
            "list.wsx": "<smil><media src='ads' role='Ad' noSkip='true' repeatCount='2'/><media src='sub/inner.asx'/></smil>",
            "ads/b.wmv": "", "ads/a.ASF": "", "ads/notes.txt": "", "ads/.hidden.wmv": "", "ads/c/d.wma": "",
            "sub/inner.asx": "<asx><entry><ref href='x.wmv'/></entry><entryref href='../more.wsx'/></asx>",
            "more.wsx": "<smil><media src='y.wmv' role='Own'/></smil>",
        ])
        let loaded = try Self.load(folder)
        #expect(
            Self.locations(loaded.root, folder) == [
                "file ads/a.ASF", "file ads/b.wmv", "file ads/c/d.wma", "file sub/x.wmv", "file sub/../y.wmv",
            ])
        let ads = try #require(loaded.root.children.first)
        #expect(ads.timing.repeatCount == .times(2))
        #expect(ads.children.first?.media?.role == "Ad" && ads.children.first?.media?.forbidsSkipping == true)
        let marks = loaded.marks.map { $0.name.replacing(folder.path + "/", with: "") }
        #expect(marks == ["list.wsx", "ads", "ads/c", "sub/inner.asx", "sub/../more.wsx"])
        let current = loaded.marks.map(\.isCurrent)
        #expect(current == [true, true, true, true, true])
        try folder.write("more.wsx", "<smil><media src='longer name.wmv'/></smil>")
        #expect(loaded.marks.map(\.isCurrent) == [true, true, true, true, false])
    }

    @Test func obeysItsLimits() throws {
        var limits = PlaylistLimits()
        limits.entriesMax = 4
        limits.depthMax = 2
        let folder = try PlaylistFolder([
            "list.wsx": "<smil><media src='b.wsx'/></smil>", "b.wsx": "<smil><media src='c.wsx'/></smil>",
            "c.wsx": "<smil><media src='a.wmv'/></smil>",
        ])
        let loaded = try Self.load(folder, limits)
        #expect(Self.locations(loaded.root, folder) == ["broken c.wsx: playlists are nested deeper than 2"])
        #expect(loaded.limitsMet == ["depthMax"])
        for name in ["1", "2", "3", "4"] { try folder.write("ads/\(name).wmv", "") }
        try folder.write("list.wsx", "<smil><media src='a.wmv'/><media src='ads'/></smil>")
        do {
            _ = try Self.load(folder, limits)
            Issue.record("too many elements were read")
        } catch let error as PlaylistLoader.Trouble {
            #expect(error.limit == "entriesMax" && error.description.contains("more than 4 elements"))
        }
        #expect(throws: PlaylistLoader.Trouble.self) { try PlaylistLoader.load(folder["nobody.wsx"], limits: limits) }
        #expect(throws: PlaylistLoader.Trouble.self) { try PlaylistLoader.load("/dev/zero", limits: limits) }
    }

    @Test func isKnownByNameAndByContent() throws {
        let folder = try PlaylistFolder(["a": "<?wsx version='1.0'?><smil/>", "b": "text", "c.asx": ""])
        #expect(PlaylistLoader.isPlaylist(content: folder["a"]) && !PlaylistLoader.isPlaylist(content: folder["b"]))
        #expect(!PlaylistLoader.isPlaylist(content: folder["nobody"]))
        #expect(PlaylistLoader.isPlaylist(named: "x/LIST.WSX") && !PlaylistLoader.isPlaylist(named: "a.wmv"))
        #expect(try PathSettings(name: "l", source: folder["a"], transport: nil, dial: nil).source == .playlist(folder["a"]))
        #expect(try PathSettings(name: "l", source: "x.asx", transport: nil, dial: nil).source == .playlist("x.asx"))
        #expect(throws: ValueProblem.self) { try PathSettings(name: "l", source: folder["b"], transport: nil, dial: nil) }
    }
}

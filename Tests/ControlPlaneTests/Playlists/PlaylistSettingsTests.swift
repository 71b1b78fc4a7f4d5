import NIOCore
import Signalling
import Testing
import WireFormats

@testable import ControlPlane

/// The limits of playlists, as the configuration has them.
struct PlaylistSettingsTests {
    @Test func readsEveryKey() throws {
        let configuration = try Configuration.parse(
            """
            paths:
              list:
                source: list.wsx
                playlist-bytes: 2MiB
                playlist-entries: 50
                playlist-nesting: 5
                playlist-depth: 3
                playlist-attributes: 9
                playlist-instants: 7
                playlist-history: 0
                playlist-pulls: 3
              plain:
                source: list.wsx
            """)
        let settings = try #require(configuration.paths.first).playlist
        #expect(settings.limits.bytesMax == 2 << 20 && settings.limits.entriesMax == 50 && settings.limits.nestingMax == 5)
        #expect(settings.limits.depthMax == 3 && settings.limits.attributesMax == 9 && settings.limits.instantsMax == 7)
        #expect(settings.historyMax == 0 && settings.cursor.historyMax == 0 && settings.changed.count == 8 && settings.pullsMax == 3)
        #expect(configuration.paths.last?.playlist == PlaylistSettings())
    }

    @Test(arguments: [
        ("list.wsx", "playlist-depth: 0", "playlist-depth: `0` is no whole number from 1 to 32"),
        ("list.wsx", "playlist-bytes: 65MiB", "playlist-bytes: `65MiB` is too much; a playlist has up to 64MiB"),
        ("list.wsx", "playlist-bytes: big", "playlist-bytes: `big` is no size"),
        ("list.wsx", "playlist-entrys: 5", "playlist-entrys: unknown key; did you mean `playlist-entries`?"),
        ("publish", "playlist-entries: 5", "playlist-entries: it is about playlists, and the path's source is none; leave it out"),
        ("clip.wmv", "playlist-history: 5", "playlist-history: it is about playlists"),
    ]) func namesWhatIsWrong(source: String, line: String, words: String) {
        let yaml = "paths:\n  a:\n    source: \(source)\n    \(line)\n"
        let error = #expect(throws: ConfigurationErrors.self) { try Configuration.parse(yaml) }
        #expect(error?.description.contains("weir.yml:4: paths.a.\(words)") ?? false, "\(error?.description ?? "")")
    }

    @Test("What meets a limit is counted under its key")
    func counts() throws {
        var settings = PlaylistSettings()
        settings.limits.entriesMax = 4
        settings.limits.depthMax = 1
        settings.historyMax = 1
        let bench = try PlaylistProgrammeTests.Bench(
            "<smil><media src='a'/><media src='b'/><media src='list.wsx'/></smil>", settings: settings)
        let words = try bench.on { programme -> [String] in
            var words: [String] = []
            do { _ = try programme.insert("c", after: "a") } catch { words.append("\(error)") }
            do { _ = try programme.insert("d", after: "a") } catch { words.append("\(error)") }
            let run = try programme.run()
            for _ in 0..<3 {
                _ = run.plan(at: NIODeadline.now() + .seconds(1))
                run.begin()
            }
            do { _ = try run.skip(by: -1) } catch { words.append("\(error)") }
            run.begin()
            do { _ = try run.skip(by: -1) } catch { words.append("\(error)") }
            run.close()
            return words + programme.overview.limitsMet.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }
        }
        #expect(
            words == [
                "the playlist has 4 elements already (playlist-entries)", "nothing is before it", "playlist-depth 1", "playlist-entries 1",
                "playlist-history 1",
            ])
        try bench.end()
    }
}

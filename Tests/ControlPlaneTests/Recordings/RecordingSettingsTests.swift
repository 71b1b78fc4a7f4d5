import Signalling
import Testing

@testable import ControlPlane

@Suite struct RecordingSettingsTests {
    /// What cannot be together with `cache: yes` of an RTSP server, and what is said of it.
    @Test(arguments: [
        ("source: rtsph://h/film", "paths.film.source", "not through HTTP"),
        ("source: rtsp://h/film\n    dial: always", "paths.film.dial", "from its own place"),
    ])
    func whatCannotBeKept(lines: String, key: String, words: String) {
        let yaml = "paths:\n  film:\n    cache: yes\n    \(lines)\n"
        let error = #expect(throws: ConfigurationErrors.self) { try Configuration.parse(yaml) }
        let said = error.map { "\($0)" } ?? ""
        #expect(said.contains(key) && said.contains(words), "\(said)")
    }

    /// Exactly what names it is asked for, by whoever the source's URL says.
    @Test func theNameIsTheQuestion() throws {
        var path = PathSettings(name: "film", source: .publish)
        path.cache.keeping = .yes
        let url = try SourceURL("rtspt://me:secret@Example.ORG:554/a/../films/%41.mp4?b=1")
        let settings = RTSPCachedPull.Settings(url: url, policy: ProxyPolicy(), path: path)
        #expect(settings.url.request == "rtsp://example.org/films/A.mp4?b=1")
        #expect(settings.url.credentials == Credentials(user: "me", password: "secret"))
    }
}

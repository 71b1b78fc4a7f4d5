import Signalling
import Testing

@testable import ControlPlane

@Suite struct WindowsMediaRouteTests {
    private func words(_ route: WindowsMediaRoute) -> [String] { route.ways.map { "\($0.words) \($0.url)" } }

    @Test(arguments: [
        ("mms://h/a", ["rtsp/udp rtsp://h/a", "rtsp/tcp rtsp://h/a", "http mms://h/a"]),
        ("mms://u:p@h:8080/a?b", ["rtsp/udp rtsp://h:8080/a?…", "rtsp/tcp rtsp://h:8080/a?…", "http mms://h:8080/a?…"]),
        ("mmsh://h/a", ["http mmsh://h/a"]), ("http://h/a", ["http http://h/a"]),
    ]) func ofHTTP(url: String, ways: [String]) throws {
        let route = WindowsMediaRoute(try WMSPSourceURL(url))
        #expect(words(route) == ways && route.rollsOver == (ways.count > 1))
        if case .rtsp(let first, _) = route.ways[0], url.contains("@") { #expect(first.credentials?.user == "u") }
    }

    @Test(arguments: [
        ("rtsp://h/a", PathSettings.Transport.auto, ["rtsp/udp rtsp://h/a", "rtsp/tcp rtsp://h/a"]),
        ("rtsp://h/a", .udp, ["rtsp/udp rtsp://h/a"]), ("rtsp://h/a", .tcp, ["rtsp/tcp rtsp://h/a"]),
        ("rtspt://h/a", .auto, ["rtsp/tcp rtsp://h/a"]), ("rtspu://h/a", .tcp, ["rtsp/udp rtsp://h/a"]),
    ]) func ofRTSP(url: String, transport: PathSettings.Transport, ways: [String]) throws {
        let route = WindowsMediaRoute(try SourceURL(url), transport: transport)
        #expect(words(route) == ways && !route.rollsOver)
    }
}

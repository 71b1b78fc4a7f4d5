import Testing
import WireFormats

@testable import Signalling

@Suite struct RTSPClientMulticastTests {
    private static let described = ClientScript.sdp.replacing("t=0 0", with: "c=IN IP4 239.5.5.5/8\r\nt=0 0")
        .replacing("m=video 0", with: "a=source-filter: incl IN IP4 * 10.0.0.8\r\nm=video 6000")

    /// What a SETUP for multicast can be answered with; the description names 239.5.5.5, port 6000, and a sender.
    @Test(
        arguments: [
            (
                "Transport: RTP/AVP;multicast;destination=239.1.2.3;source=10.0.0.9;port=5004-5005;ttl=16\r\n",
                GroupAddress(group: "239.1.2.3", ports: PortPair(rtp: 5_004, rtcp: 5_005), source: "10.0.0.9")
            ),
            (
                "Transport: RTP/AVP/UDP;multicast;destination=239.1.2.3;port=5004\r\n",
                GroupAddress(group: "239.1.2.3", ports: PortPair(rtp: 5_004), source: "10.0.0.8")
            ),
            // Cameras.
            (
                "Transport: RTP/AVP;multicast;destination=239.1.2.3;client_port=5004-5005;server_port=8000-8001\r\n",
                GroupAddress(group: "239.1.2.3", ports: PortPair(rtp: 5_004, rtcp: 5_005), source: "10.0.0.8")
            ),
            // What is left out is in the description.
            (
                "Transport: RTP/AVP;multicast\r\n",
                GroupAddress(group: "239.5.5.5", ports: PortPair(rtp: 6_000, rtcp: 6_001), source: "10.0.0.8")
            ),
            (
                "", GroupAddress(group: "239.5.5.5", ports: PortPair(rtp: 6_000, rtcp: 6_001), source: "10.0.0.8")
            ),
        ] as [(String, GroupAddress)])
    func takesTheGroupThatIsReturned(header: String, expected: GroupAddress) throws {
        var script = try ClientScript()
        script.describe(sdp: Self.described)
        script.take(script.client.setUp([.multicast], now: script.now))
        let request = script.answer("200 OK", "Session: a\r\n\(header)")
        #expect(request?.headers["Transport"] == "RTP/AVP;multicast")
        #expect(script.events.last == .ready(track: 0, .multicast(expected)))
        #expect(script.answer()?.method == .play)
        #expect(script.events.last == .playing)
    }

    @Test(arguments: [
        "Transport: RTP/AVP;unicast;client_port=5000-5001;server_port=6000-6001\r\n", "Transport: RTP/AVP;multicast;port=0-1\r\n",
        "Transport: RTP/AVP/TCP;interleaved=0-1\r\n",
    ])
    func refusesWhatIsNoMulticast(header: String) throws {
        var script = try ClientScript()
        script.describe()
        script.take(script.client.setUp([.multicast], now: script.now))
        script.answer("200 OK", "Session: a\r\n\(header)")
        #expect(script.events.last == .failed(.transportRefused(.unsupportedTransport)))
    }

    @Test func aServerWithoutMulticastSaysSo() throws {
        var script = try ClientScript()
        script.describe()
        script.take(script.client.setUp([.multicast, .multicast], now: script.now))
        script.answer("461 Unsupported Transport")
        #expect(script.events.last == .failed(.transportRefused(.unsupportedTransport)))
    }

    @Test func multicastThatWasNotAskedForIsRefused() throws {
        var script = try ClientScript()
        script.describe()
        script.take(script.client.setUp([.datagrams(PortPair(rtp: 5_000, rtcp: 5_001))], now: script.now))
        script.answer("200 OK", "Transport: RTP/AVP;multicast;destination=239.1.2.3;port=5004-5005\r\n")
        #expect(script.events.last == .failed(.transportRefused(.unsupportedTransport)))
    }
}

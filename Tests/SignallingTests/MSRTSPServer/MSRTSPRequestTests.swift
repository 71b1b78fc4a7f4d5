import Testing
import WireFormats

@testable import Signalling

/// What a request is: the type of its body decides ([MS-RTSP] 2.2.7).
@Suite struct MSRTSPRequestTests {
    private func kind(_ method: String, _ url: String, type: String?, body: String) throws -> MSRTSPRequest.Kind {
        let lines = ["\(method) \(url) RTSP/1.0", "CSeq: 1"] + (type.map { ["Content-Type: \($0)"] } ?? [])
        return try MSRTSPServerScript.request(try MSRTSPServerScript.message(lines, body: body)).kind
    }

    @Test(
        "Each is told by its method, its URL and its type",
        arguments: [
            ("OPTIONS", "", nil, "", MSRTSPRequest.Kind.options),
            ("DESCRIBE", "", nil, "", .describe),
            ("SETUP", "/audio", nil, "", .selectStream),
            ("SETUP", "/audio", "application/x-wms-streamswitch", "SSEntry: 4294967295 1 1 rtsp://h/live/audio\r\n", .selectStream),
            ("TEARDOWN", "/audio", nil, "", .selectStream),
            ("TEARDOWN", "", nil, "", .tearDown),
            ("TEARDOWN", "/", nil, "", .tearDown),
            ("PLAY", "", nil, "", .play),
            ("PLAY", "/", nil, "", .play),
            ("PAUSE", "", nil, "", .pause),
            ("GET_PARAMETER", "", nil, "", .keepAlive),
            ("GET_PARAMETER", "", "application/x-wms-getcontentinfo", "\0", .getContentInfo),
            ("GET_PARAMETER", "", "application/x-rtsp-packetpair", "", .tcpPacketPair),
            ("GET_PARAMETER", "", "application/x-wms-contentdesc", "", .keepAlive),
            ("SET_PARAMETER", "", nil, "", .keepAlive),
            ("SET_PARAMETER", "", "text/parameters", "", .keepAlive),
            ("SET_PARAMETER", "/audio", "application/x-wms-streamswitch", "SSEntry: 1 2 0 a b\r\n", .selectStream),
            ("SET_PARAMETER", "", "application/x-rtsp-udp-packetpair;charset=UTF-8", "type: high-entropy-packetpair", .udpPacketPair),
            ("SET_PARAMETER", "", "application/x-wms-Logconnectstats;charset=UTF-8", "<XML/>", .logConnect),
            ("SET_PARAMETER", "", "application/x-wms-logplaystats", "<XML/>", .logPlay),
            ("SET_PARAMETER", "", "Application/X-WMS-SendEvent", "1\r\n1,28,0\r\n", .sendEvent),
            ("SET_PARAMETER", "", "application/x-wms-extension-cmd", "EOF: true\r\n\0", .acknowledgement),
        ] as [(String, String, String?, String, MSRTSPRequest.Kind)])
    func kinds(method: String, behind: String, type: String?, body: String, expected: MSRTSPRequest.Kind) throws {
        #expect(try kind(method, "rtsp://h/live\(behind)", type: type, body: body) == expected)
    }

    @Test(
        "What is none of these says why",
        arguments: [
            ("SET_PARAMETER", "application/x-unheard-of", "x", UInt16(415)),
            ("GET_PARAMETER", "application/x-wms-Logplaystats", "<XML/>", 415),
            ("SET_PARAMETER", "text/parameters", "volume: 3\r\n", 451),
            ("SET_PARAMETER", nil, "volume: 3\r\n", 451),
            ("SETUP", "text/plain", "x", 415),
            ("SETUP", "application/x-wms-streamswitch", "SSEntry: x 1 0\r\n", 400),
            ("SET_PARAMETER", "application/x-wms-streamswitch", "SSEntry: 1 1 7\r\n", 400),
            ("ANNOUNCE", "application/sdp", "v=0\r\n", 405),
            ("RECORD", nil, "", 405),
        ] as [(String, String?, String, UInt16)])
    func refusals(method: String, type: String?, body: String, status: UInt16) throws {
        do {
            let kind = try kind(method, "rtsp://h/live", type: type, body: body)
            Issue.record("taken as \(kind)")
        } catch let refusal as RequestRefusal { #expect(refusal.status.code == status) }
    }

    @Test(
        "Ids are what this server writes, and no more than 20 characters",
        arguments: [
            ("13856065358275910855", MSRTSPRequest.SessionName.id(13_856_065_358_275_910_855)),
            ("13856065358275910855;timeout=60", .id(13_856_065_358_275_910_855)),
            ("0013856065358275910855", .foreign), ("138560653582759108550", .foreign), ("18446744073709551616", .foreign),
            ("+7", .foreign), ("abcdefghijkmnpqrstuv", .foreign), ("7", .id(7)),
        ])
    func sessionIDs(value: String, expected: MSRTSPRequest.SessionName) throws {
        let message = try MSRTSPServerScript.message(["PLAY rtsp://h/live RTSP/1.0", "CSeq: 1", "Session: \(value)"])
        #expect(try MSRTSPServerScript.request(message).session == expected)
    }

    @Test(
        "The base is the URL without the stream's name",
        arguments: [
            ("rtsp://h/live", "rtsp://h/live"), ("rtsp://h/live/", "rtsp://h/live"), ("rtsp://h:8554/live/audio", "rtsp://h:8554/live"),
            ("rtsp://h/live/stream=2", "rtsp://h/live"), ("rtsp://h/live/audio/fec", "rtsp://h/live"),
            ("rtsp://[::1]:554/live/rtx", "rtsp://[::1]:554/live"),
        ])
    func bases(url: String, base: String) throws {
        let message = try MSRTSPServerScript.message(["SETUP \(url) RTSP/1.0", "CSeq: 1"])
        #expect(try MSRTSPServerScript.request(message).baseURL == base)
    }
}

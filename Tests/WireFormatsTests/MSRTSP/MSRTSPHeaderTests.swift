import Testing

@testable import WireFormats

struct MSRTSPHeaderTests {
    @Test func readsNumbers() {
        let headers: RTSPHeaders = [
            "X-Playlist-Gen-Id": "27006", "x-playlist-seek-id": " 5351", "X-Playlist": "pl-offset=-1", "X-Player-Lag-Time": "900",
            "X-Broadcast-Id": "0", "Bandwidth": "2147483647", "X-Playlist-Change-Notice": "True", "X-Receding-PlaylistChange": "1",
            "X-Accelerate-Streaming": "AccelDuration = 18000 ; AccelBandwidth = 3500000",
            "X-Burst-Streaming": "BurstBandwidth=10000000;BurstDuration=10000",
        ]
        #expect(headers.playlistGenID == 27_006 && headers.playlistSeekID == 5_351 && headers.playlistOffset == -1)
        #expect(headers.playerLagMilliseconds == 900 && headers.broadcastID == 0 && headers.bandwidthBitsPerSecond == 2_147_483_647)
        #expect(headers.isPlaylistChangeNotice && headers.isRecedingPlaylistChange)
        #expect(headers.acceleration == MSRTSPRate(milliseconds: 18_000, bitsPerSecond: 3_500_000))
        #expect(headers.burst == MSRTSPRate(milliseconds: 10_000, bitsPerSecond: 10_000_000))
        #expect(headers.acceleration?.accelerationText == "AccelDuration=18000;AccelBandwidth=3500000")
        #expect(headers.burst?.burstText == "BurstDuration=10000;BurstBandwidth=10000000")
        let none = RTSPHeaders()
        #expect(none.playlistGenID == nil && none.playlistOffset == nil && none.acceleration == nil && !none.isPlaylistChangeNotice)
    }

    @Test(
        arguments: [
            ("pl-offset=1", 1), (" PL-OFFSET = 2", 2), ("a=b;pl-offset=-3", -3), ("pl-offset=0", nil), ("pl-offset=", nil),
            ("pl-offset=x", nil),
            ("1", nil), ("pl-offset=99999999999", nil),
        ] as [(String, Int?)]) func offset(_ value: String, _ offset: Int?)
    {
        #expect((["X-Playlist": value] as RTSPHeaders).playlistOffset == offset)
    }

    @Test func features() {
        let headers: RTSPHeaders = [
            "Supported": "com.microsoft.wm.srvppair, com.microsoft.wm.sswitch,COM.MICROSOFT.WM.EOSMSG , com.example.x",
            "Supported": "com.microsoft.wm.locid",
        ]
        #expect(MSRTSPSupported(headers) == [.packetPair, .streamSwitch, .endOfStream, .locationID])
        #expect(MSRTSPSupported(RTSPHeaders()) == nil && MSRTSPSupported(["Supported": ""]) == [])
        for raw in 0...255 as ClosedRange<UInt8> {
            let set = MSRTSPSupported(rawValue: raw)
            #expect(MSRTSPSupported(["Supported": set.text]) == set)
        }
    }

    @Test(
        arguments: [
            ("application/x-wms-Logconnectstats;charset=UTF-8", MSRTSPContentType.logConnect), ("application/x-wms-logplaystats", .logPlay),
            ("APPLICATION/SDP", .sdp), ("application/x-rtsp-udp-packetpair;charset=UTF-8", .datagramPacketPair), ("text/parameters", nil),
            ("", nil),
        ] as [(String, MSRTSPContentType?)]) func contentTypes(_ value: String, _ type: MSRTSPContentType?)
    {
        #expect(MSRTSPContentType(["Content-Type": value]) == type)
        if let type { #expect(MSRTSPContentType(["Content-Type": type.text]) == type) }
        #expect(MSRTSPContentType(RTSPHeaders()) == nil)
    }

    @Test(arguments: [
        ("x-asf-packet=10-", MSRTSPRange.packets(10, nil), "x-asf-packet=10-"),
        ("X-ASF-Packet = 10 - 20;time=x", .packets(10, 20), "x-asf-packet=10-20"),
        ("x-asf-byte=0-18446744073709551614", .bytes(0, 18_446_744_073_709_551_614), "x-asf-byte=0-18446744073709551614"),
        ("npt=3.1-", .time(.npt(start: .microseconds(3_100_000), end: nil)), "npt=3.100-"),
        ("npt=now-", .time(.live), "npt=now-"),
    ]) func ranges(_ value: String, _ range: MSRTSPRange, _ text: String) throws {
        #expect(try MSRTSPRange.parse(value) == range)
        #expect(range.text == text)
        #expect(try MSRTSPRange.parse(text) == range)
    }

    @Test(arguments: [
        "", "x-asf-packet", "x-asf-packet=", "x-asf-packet=-5", "x-asf-packet=9-3", "x-asf-packet=1x-", "x-asf-byte=18446744073709551615-",
        "bytes=1-2",
        "clock=19961108T142300Z-", "npt=", "x-asf-packet=1-2-3",
    ]) func refusesRange(_ value: String) {
        #expect(throws: RTSPHeaderError.self) { try MSRTSPRange.parse(value) }
    }

    @Test func readsInfo() throws {
        let text =
            "url=rtsp://h/list.wsx/audio;transport=RTP/AVP/UDP;unicast;server_port=5004;client_port=1790;ssrc=90cbcaac;mode=PLAY;blocksize=5994;"
            + "thinlevel=1;seq=26968;rtptime=0, url=\"rtsp://h/a,b;c/rtx\";Seq=4;x-other=1"
        let infos = try MSRTSPInfoHeader.parse(text)
        var transport = TransportSpec(protocolToken: "RTP/AVP/UDP")
        transport.isUnicast = true
        transport.serverPort = PortPair(rtp: 5_004)
        transport.clientPort = PortPair(rtp: 1_790)
        transport.ssrc = 0x90CB_CAAC
        transport.mode = .play
        #expect(
            infos == [
                MSRTSPInfo(
                    url: "rtsp://h/list.wsx/audio", transport: transport, sequence: 26_968, rtpTime: 0, thinning: .keyFrames,
                    blockBytes: 5_994),
                MSRTSPInfo(url: "rtsp://h/a,b;c/rtx", sequence: 4),
            ])
        #expect(
            MSRTSPInfoHeader.text(infos)
                == "url=rtsp://h/list.wsx/audio;transport=RTP/AVP/UDP;unicast;server_port=5004;client_port=1790;ssrc=90cbcaac;mode=PLAY;"
                + "blocksize=5994;thinlevel=1;seq=26968;rtptime=0, url=\"rtsp://h/a,b;c/rtx\";seq=4")
        #expect(try MSRTSPInfoHeader.parse(MSRTSPInfoHeader.text(infos)) == infos)
        #expect(try MSRTSPInfoHeader.parse("url=a, URL=b") == [MSRTSPInfo(url: "a"), MSRTSPInfo(url: "b")])
    }

    @Test(arguments: [
        "", ",", "seq=1", "url=", "url=a;seq=65536", "url=a;seq=", "url=a;thinlevel=3", "url=a;rtptime=-1", "url=a;transport=;seq=1",
        String(repeating: "url=a,", count: 65), "url=a" + String(repeating: ";x", count: 32),
    ]) func refusesInfo(_ value: String) {
        #expect(throws: RTSPHeaderError.self) { try MSRTSPInfoHeader.parse(value) }
    }

    @Test func readsTransports() throws {
        let text =
            "RTP/AVP/UDP;unicast;client_port=2408;ssrc=6dded651;mode=PLAY;FecSpan=18;FecPerSpan=1;FecBurstMargin=c, "
            + "RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=6dded651;mode=PLAY"
        let specs = try TransportHeader.parse(text)
        #expect(specs.count == 2 && specs[0].fec == FECOffer(span: 24, perSpan: 1, burstMargin: 12) && specs[1].fec == nil)
        #expect(specs[0].others.isEmpty && specs[0].isPlainRTP)
        #expect(specs.map(TransportHeader.windowsMediaText).joined(separator: ", ") == text)
        #expect(try TransportHeader.parse(TransportHeader.text(specs)) == specs)
        var answer = specs[0]
        answer.ssrc = 0x3
        answer.source = "127.0.0.1"
        answer.serverPort = PortPair(rtp: 5_004, rtcp: 5_005)
        answer.fec = nil
        #expect(
            TransportHeader.windowsMediaText(answer)
                == "RTP/AVP/UDP;unicast;source=127.0.0.1;server_port=5004-5005;client_port=2408;ssrc=00000003;mode=PLAY")
    }

    @Test(arguments: ["FecSpan=", "FecSpan=g", "FecSpan=100", "FecPerSpan=-1", "FecBurstMargin=123456789"]) func refusesFEC(
        _ parameter: String
    ) {
        #expect(throws: RTSPHeaderError.self) { try TransportHeader.parse("RTP/AVP/UDP;unicast;client_port=2408;\(parameter)") }
    }

    @Test(arguments: [
        (
            "no-cache, max-age=0, x-wms-stream-type=\"broadcast\", user-public, must-revalidate, x-wms-proxy-split",
            "no-cache, max-age=0, user-public, must-revalidate, x-wms-proxy-split, x-wms-stream-type=\"broadcast\""
        ),
        (
            "x-wms-content-size=23180160, max-age=86399, must-revalidate, proxy-revalidate",
            "x-wms-content-size=23180160, max-age=86399, must-revalidate, proxy-revalidate"
        ),
        (
            "Public , x-wms-event-subscription=\"remote-log, remote-open\",foo=\"a,b\",max-age=x,max-age=99999999999",
            "max-age=4294967295, public, x-wms-event-subscription=\"remote-open,remote-log\", foo=\"a,b\""
        ),
        ("", "no-cache"), ("no-store,private,no-user-cache", "no-user-cache, no-store, private"),
        ("x-wms-stream-type=\"broadcast,playlist\"", "x-wms-stream-type=\"broadcast,playlist\""),
    ]) func cacheControl(_ value: String, _ text: String) {
        let control = MSRTSPCacheControl([value])
        #expect(control.text == text)
        if !value.isEmpty { #expect(MSRTSPCacheControl([text]) == control) }
    }

    @Test func cachingNeedsAPermission() {
        #expect(!MSRTSPCacheControl([]).permitsCaching && !MSRTSPCacheControl(["max-age=5"]).permitsCaching)
        #expect(MSRTSPCacheControl(["max-age=5", "must-revalidate"]).permitsCaching)
        #expect(MSRTSPCacheControl([String(repeating: "a,", count: 100)]).others.count == MSRTSPCacheControl.countMax)
    }

    @Test func tags() throws {
        #expect(try EntityTagCondition.parse(" * ") == .any)
        let tags = try EntityTagCondition.parse("\"{83A04BD0-FD30-1984-4994-0A22CA116ED3}\", W/\"a,b\", c")
        #expect(tags == .tags(["{83A04BD0-FD30-1984-4994-0A22CA116ED3}", "a,b", "c"]))
        #expect(tags.matches("{83a04bd0-FD30-1984-4994-0A22CA116ED3}") && !tags.matches("d") && EntityTagCondition.any.matches("d"))
        for value in ["", "\"\"", ",", "\"a", "a\"b\"", String(repeating: "\"a\",", count: 33)] {
            #expect(throws: RTSPHeaderError.self) { try EntityTagCondition.parse(value) }
        }
        #expect(throws: Never.self) { try EntityTagCondition.parse(String(repeating: "\"a\",", count: 31) + "\"a\"") }
    }

    @Test(
        arguments: [
            ("WMPlayer/9.0.0.2980 guid/3300AD50-2C39-46c0-AE0A-C4D98694D7B4", .player, 9, 0, "3300AD50-2C39-46C0-AE0A-C4D98694D7B4"),
            ("WMServer/9.1.1.5000", .server, 9, 1, nil),
            ("WMCacheProxy/9.5 guid/{3300AD50-2C39-46C0-AE0A-C4D98694D7B4}", .cacheProxy, 9, 5, "3300AD50-2C39-46C0-AE0A-C4D98694D7B4"),
            ("NSPlayer/12.0.7601.17514", .player, 12, 0, nil), ("Lavf59.27.100", .lavf, 59, 27, nil),
            ("GStreamer/1.22.0", .gstreamer, 1, 22, nil),
            ("LibVLC/3.0.18 (LIVE555 Streaming Media v2016.11.28)", .liveMedia, 3, 0, nil),
            ("openRTSP (LIVE555 Streaming Media v2016.11.28)", .liveMedia, 0, 0, nil), ("WMPlayerX/9", .other, 0, 0, nil),
            ("", .other, 0, 0, nil),
            (nil, .other, 0, 0, nil), ("WMPlayer guid/33", .player, 0, 0, nil),
        ] as [(String?, MSRTSPAgent.Product, UInt16, UInt16, String?)])
    func agents(_ text: String?, _ product: MSRTSPAgent.Product, _ major: UInt16, _ minor: UInt16, _ guid: String?) {
        let agent = MSRTSPAgent(text)
        #expect(agent.product == product && agent.version == .init(major, minor) && agent.guid == guid && agent.text == text ?? "")
        #expect(agent.wantsSinglePayloads == (product == .lavf) && agent.wantsOpenRange == (product == .gstreamer))
    }
}

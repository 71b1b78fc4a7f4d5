import Testing

@testable import WireFormats

struct MSRTSPBodyTests {
    @Test(
        arguments: [
            (
                "SSEntry: 4294967295 6 1 rtsp://h/a/stream=6\r\n",
                [MSRTSPSwitchEntry(destination: 6, thinning: .keyFrames, destinationURL: "rtsp://h/a/stream=6")]
            ),
            ("SSEntry: 6 4294967295 0 rtsp://h/6\r\n", [MSRTSPSwitchEntry(source: 6, destination: nil, sourceURL: "rtsp://h/6")]),
            (
                "SSEntry: 7 6 0 rtsp://h/7 rtsp://h/6\r\n",
                [MSRTSPSwitchEntry(source: 7, destination: 6, sourceURL: "rtsp://h/7", destinationURL: "rtsp://h/6")]
            ),
            // Without the word, folded, without a blank, without URLs, two at once.
            (
                "5 5 2 rtsp://h/5 rtsp://h/5",
                [MSRTSPSwitchEntry(source: 5, destination: 5, thinning: .off, sourceURL: "rtsp://h/5", destinationURL: "rtsp://h/5")]
            ),
            (
                "ssentry:7 6 0\r\n rtsp://h/7\r\n rtsp://h/6",
                [MSRTSPSwitchEntry(source: 7, destination: 6, sourceURL: "rtsp://h/7", destinationURL: "rtsp://h/6")]
            ),
            (
                "SSEntry: 1 2 0\nSSEntry: 3 4 1",
                [MSRTSPSwitchEntry(source: 1, destination: 2), MSRTSPSwitchEntry(source: 3, destination: 4, thinning: .keyFrames)]
            ),
            (
                "1 2 0 3 4 2\u{0}",
                [MSRTSPSwitchEntry(source: 1, destination: 2), MSRTSPSwitchEntry(source: 3, destination: 4, thinning: .off)]
            ),
        ] as [(String, [MSRTSPSwitchEntry])]) func switches(_ text: String, _ entries: [MSRTSPSwitchEntry]) throws
    {
        #expect(try MSRTSPSwitchEntry.parse(Array(text.utf8)) == entries)
        #expect(try MSRTSPSwitchEntry.parse(MSRTSPSwitchEntry.body(entries)) == entries)
    }

    @Test(arguments: [
        ("", MSRTSPSwitchEntry.Trouble.empty), ("SSEntry: ", .notANumber("", entry: 1)), ("SSEntry: 1 x 0", .notANumber("x", entry: 1)),
        ("1 2 3", .unknownThinning("3", entry: 1)), ("1 2", .unknownThinning("", entry: 1)),
        ("SSEntry: 1 2 0 SSEntry: 4294967296 1 0", .notANumber("4294967296", entry: 2)), ("4294967295 4294967295 0", .noStream(entry: 1)),
        ("SSEntry: -1 2 0", .notANumber("-1", entry: 1)), (String(repeating: "1 2 0\r\n", count: 257), .tooManyEntries),
        (String(repeating: " ", count: 70_000), .tooLong(bytes: 70_000)),
    ]) func refusesSwitches(_ text: String, _ trouble: MSRTSPSwitchEntry.Trouble) {
        #expect(throws: trouble) { try MSRTSPSwitchEntry.parse(Array(text.utf8)) }
        #expect(!trouble.description.isEmpty)
    }

    @Test(arguments: MSRTSPEndOfStream.Reason.allCases) func ends(_ reason: MSRTSPEndOfStream.Reason) throws {
        let end = MSRTSPEndOfStream(session: "13856065358275910855", reason: reason)
        #expect(try MSRTSPEndOfStream(end.body) == end)
        // GStreamer sends it back with a zero byte behind it.
        #expect(try MSRTSPEndOfStream(end.body + [0]) == end)
        #expect(try MSRTSPEndOfStream(Array(String(decoding: end.body, as: UTF8.self).lowercased().utf8)) == end)
    }

    @Test func writesAnEnd() {
        let body = MSRTSPEndOfStream(session: "13856065358275910855", reason: .entry).body
        #expect(String(decoding: body, as: UTF8.self) == "Session: 13856065358275910855\r\nEOF: true\r\nEnd-Of-Playlist-Entry: true\r\n")
        #expect(body.count == 71)
        #expect(MSRTSPEndOfStream.isNotice(["X-Notice": MSRTSPEndOfStream.notice]) && !MSRTSPEndOfStream.isNotice(["X-Notice": "2104 x"]))
        for body in ["", "EOF: false", "EOF", "End-Of-Playlist-Entry: true"] {
            #expect(throws: MSRTSPEndOfStream.Trouble.noEnd) { try MSRTSPEndOfStream(Array(body.utf8)) }
        }
        #expect(throws: MSRTSPEndOfStream.Trouble.self) { try MSRTSPEndOfStream([UInt8](repeating: 10, count: 5_000)) }
    }

    /// The request of the document's example: packets 26,970 and 26,972.
    @Test func readsARequestForPackets() throws {
        let request = RetransmissionRequest(
            retransmissionSSRC: 0x2F73_682B, senderSSRC: 5, mediaSSRC: 0x90CB_CAAC, entries: [.init(packetID: 26_970, following: 2)])
        #expect(request.sequences == [26_970, 26_972])
        var bytes = request.serialized()
        #expect(Array(bytes.suffix(16)) == [0x91, 0xCD, 0, 3, 0, 0, 0, 5, 0x90, 0xCB, 0xCA, 0xAC, 0x69, 0x5A, 0, 2])
        #expect(String(decoding: bytes[10..<60], as: UTF8.self) == "796092459@WMS:7ff42e07-3c7c-4eb5-9c17-6bdd11ad90de")
        #expect(bytes.count % 4 == 0 && RetransmissionRequest(bytes.span) == request)
        // Without the bit that is to be ignored, and behind a receiver report.
        bytes[bytes.count - 16] = 0x81
        #expect(RetransmissionRequest(bytes.span) == request)
        let behind =
            RTCPWriter.receiverReport(from: 5, block: nil, canonicalName: "796092459@WMS:7FF42E07-3C7C-4EB5-9C17-6BDD11AD90DE")
            + bytes.suffix(16)
        #expect(RetransmissionRequest(behind.span) == request)
    }

    @Test func refusesOtherFeedback() {
        let request = RetransmissionRequest(retransmissionSSRC: 1, senderSSRC: 5, mediaSSRC: 6, entries: [.init(packetID: 1)]).serialized()
        let name = request.dropLast(16), nack = Array(request.suffix(16))
        func isRequest(_ bytes: [UInt8]) -> Bool { RetransmissionRequest(bytes.span) != nil }
        #expect(isRequest(request) && isRequest(nack + name))
        #expect(!isRequest(nack) && !isRequest(Array(name)) && !isRequest([]))
        for (offset, value) in [(0, UInt8(0x82)), (0, 0x11), (1, 206)] {
            var other = nack
            other[offset] = value
            #expect(!isRequest(name + other))
        }
        for cname in [
            "1@WMS:", "x@WMS:7ff42e07-3c7c-4eb5-9c17-6bdd11ad90de", "4294967296@WMS:7ff42e07-3c7c-4eb5-9c17-6bdd11ad90de",
            "@WMS:7ff42e07-3c7c-4eb5-9c17-6bdd11ad90de",
        ] {
            #expect(!isRequest(RTCPWriter.receiverReport(from: 5, block: nil, canonicalName: cname) + nack))
        }
    }

    /// No more packets are looked for than the limit, whatever is asked.
    @Test func limitsRequests() throws {
        var bytes = RetransmissionRequest(retransmissionSSRC: 1, senderSSRC: 5, mediaSSRC: 6, entries: []).serialized()
        bytes[bytes.count - 9] = 2 + 200
        for index in 0..<200 { bytes += [0, UInt8(index), 0xFF, 0xFF] }
        let parsed = RetransmissionRequest(bytes.span)
        let request = try #require(parsed)
        #expect(request.sequences.count == RetransmissionRequest.packetsMax)
        #expect(request.entries.count == 8 && request.entries[7] == .init(packetID: 7, following: 0x00FF))
    }

    @Test(
        arguments: [
            ([], []), ([7], [.init(packetID: 7)]), ([7, 7, 8, 23], [.init(packetID: 7, following: 0x8001)]),
            ([65_535, 0, 16], [.init(packetID: 65_535, following: 1), .init(packetID: 16)]),
            ([1, 18], [.init(packetID: 1), .init(packetID: 18)]),
        ] as [([UInt16], [RetransmissionRequest.Entry])]) func gathers(_ sequences: [UInt16], _ entries: [RetransmissionRequest.Entry])
    {
        #expect(RetransmissionRequest.entries(for: sequences) == entries)
    }

    @Test func asksInPieces() {
        let sequences = (0..<70).map { UInt16($0 * 20) }
        let compounds = RetransmissionRequest.compounds(for: sequences, retransmissionSSRC: 1, senderSSRC: 2, mediaSSRC: 3)
        #expect(compounds.count == 3)
        #expect(compounds.flatMap { RetransmissionRequest($0.span)?.sequences ?? [] } == sequences)
    }

    @Test(
        arguments: [
            ("type: high-entropy-packetpair", DatagramPacketPair.highEntropy),
            ("Type:high-entropy-packetpair variable-size\r\n", .variableSize),
            ("type: other", nil), ("", nil), ("high-entropy-packetpair", nil),
        ] as [(String, DatagramPacketPair?)]) func pairs(_ body: String, _ pair: DatagramPacketPair?)
    {
        #expect(DatagramPacketPair(Array(body.utf8)) == pair)
        if let pair { #expect(DatagramPacketPair(pair.body) == pair) }
    }

    @Test func pairPackets() throws {
        #expect(DatagramPacketPair.highEntropy.body.count == 29 && DatagramPacketPair.variableSize.body.count == 43)
        for pair in DatagramPacketPair.allCases {
            let packets = pair.packets(ssrc: 0x2F73_682B, sequence: 65_535) { 0xA5 }
            #expect(packets[0].prefix(13) == [0x80, 0xE0, 0xFF, 0xFF, 0, 0, 0, 0, 0x2F, 0x73, 0x68, 0x2B, 0xC0])
            #expect(packets[1][2...3] == [0, 0] && packets[1][12] == 0x40)
            #expect(packets.map(\.count) == (pair == .highEntropy ? [1_470, 1_471, 1_472] : [1_299, 1_300, 1_301]))
            if pair == .variableSize { #expect(packets.map { ($0.count - 16) % 3 } == [2, 0, 1]) }
            for packet in packets {
                let isOwn = DatagramPacketPair.isPair(packet.span, ssrc: 0x2F73_682B),
                    isOther = DatagramPacketPair.isPair(packet.span, ssrc: 1)
                #expect(isOwn && !isOther)
            }
        }
        var packetiser = ASFRTPPacketiser(packetBytes: 128, form: .whole, ssrc: 1, sequence: 0)
        var bytes: [UInt8] = []
        _ = try packetiser.append(ASFSample.packet0, to: &bytes)
        let media = Array(bytes[4...])
        let isPair = DatagramPacketPair.isPair(media.span, ssrc: 1)
        #expect(!isPair)
    }
}

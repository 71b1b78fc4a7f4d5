import Testing

@testable import WireFormats

@Suite struct ContentDescriptionTests {
    /// The 350 bytes of a real server's shape: lengths, empty values, commas inside of values.
    private static let entry = ContentDescription(
        language: "",
        [
            .init("WMS_CONTENT_DESCRIPTION_SERVER_BRANDING_INFO", .lpwstr, "Relay/1.0"), .init("title", .lpwstr, "Entry B"),
            .init("WMS_CONTENT_DESCRIPTION_PLAYLIST_ENTRY_START_OFFSET", .i4, "1000"),
            .init("WMS_CONTENT_DESCRIPTION_PLAYLIST_ENTRY_DURATION", .i4, "200"),
            .init("WMS_CONTENT_DESCRIPTION_COPIED_METADATA_FROM_PLAYLIST_FILE", .i4, "0"),
            .init("WMS_CONTENT_DESCRIPTION_PLAYLIST_ENTRY_URL", .lpwstr, "b.asf"),
        ])

    @Test func golden() throws {
        let bytes = Self.entry.serialized()
        let text = String(decoding: bytes, as: UTF8.self)
        #expect(
            bytes.count == 350
                && text.hasPrefix("8,language,31,0,,44,WMS_CONTENT_DESCRIPTION_SERVER_BRANDING_INFO,31,9,Relay/1.0,5,title,31,7,"))
        #expect(try ContentDescription.parse(bytes[...]) == [Self.entry])
        #expect(try ContentDescription.parse(bytes.dropLast(2)) == [Self.entry])
        #expect(try ContentDescription.parse((bytes + bytes)[...]) == [Self.entry, Self.entry])
        let metadata = WMSPMetadata(
            playlistGenID: 8, features: [.seekable, .stridable, .playlist, .skipBackward, .skipForward], descriptions: [Self.entry])
        #expect(WMSPFraming.metadata(metadata.serialized()).count == 461 + 4 - 4)
        #expect(Array(WMSPFraming.metadata(metadata.serialized()).prefix(12)) == hex("24 4d c9 01 00 00 00 00 00 0c c9 01"))
    }

    @Test(
        arguments: [
            ("5,title,31,12,a,b, \u{201C}c\u{201D},6,author,31,0,\r\n", ["title": "a,b, \u{201C}c\u{201D}", "author": ""]),
            ("1,x,99,3,abc,1,y,3,1,5\r\n", ["y": "5"]), ("1,x,31,2,\r\n,1,y,3,1,5\n", ["x": "\r\n", "y": "5"]), ("", [:]),
        ] as [(String, [String: String])])
    func lists(text: String, items: [String: String]) throws {
        let found = try ContentDescription.parse(Array(text.utf8)[...]).flatMap(\.items)
        #expect(Dictionary(found.map { ($0.name, $0.value) }) { first, _ in first } == items)
    }

    @Test(
        arguments: [
            ("x", ContentDescription.Trouble.malformed(at: 0)), ("5", .malformed(at: 1)), ("5,tit", .tooLong(5, at: 0)),
            ("5,title", .malformed(at: 7)), ("5,title,31,9,a", .tooLong(9, at: 11)), ("5,title,31,1,a;", .malformed(at: 14)),
            ("5,title,31,1,a,", .malformed(at: 15)), ("5,title,31,1,a\r", .malformed(at: 15)), ("99999999999,a", .tooLong(.max, at: 0)),
            ("4294967295,a,31,0,", .tooLong(4_294_967_295, at: 0)), (String(repeating: "1,a,3,0,,", count: 1_025), .tooManyItems),
        ] as [(String, ContentDescription.Trouble)])
    func broken(text: String, trouble: ContentDescription.Trouble) {
        #expect(throws: trouble) { try ContentDescription.parse(Array(text.utf8)[...]) }
        #expect(!trouble.description.isEmpty)
    }

    @Test func metadataWithoutDescriptions() throws {
        let metadata = try WMSPMetadata(Array(#"playlist-gen-id=3, broadcast-id=9, features="broadcast""#.utf8))
        #expect(metadata == WMSPMetadata(playlistGenID: 3, broadcastID: 9, features: .broadcast, descriptions: []))
        #expect(throws: WMSPMetadata.Trouble.descriptions(.malformed(at: 0))) { try WMSPMetadata([0x61, 0, 0x62]) }
        #expect(throws: WMSPMetadata.Trouble.tokens(.tooLong(bytes: 9_000))) { try WMSPMetadata([UInt8](repeating: 0x61, count: 9_000)) }
    }
}

@Suite struct RemoteEventTests {
    @Test func aLogTravels() throws {
        let event = RemoteEvent(
            logOf: "NSPlayer/12.0.7601.1", guid: "{3300AD50-2C39-46c0-AE0A-000000000077}", url: "http://origin.example/vod/a.wmv",
            xml: "<XML></XML>")
        let text = String(decoding: event.serialized(), as: UTF8.self)
        #expect(
            text == """
                1\r\n1,30,0\r
                12,context-type,3,1,2,14,WMS_USER_AGENT,31,20,NSPlayer/12.0.7601.1,13,WMS_USER_GUID,31,38,{3300AD50-2C39-46c0-AE0A-000000000077}\r
                12,context-type,3,1,5,24,@WMS_COMMAND_CONTEXT_URL,31,31,http://origin.example/vod/a.wmv,12,@.REMOTE_LOG,31,11,<XML></XML>\r\n
                """)
        #expect(try RemoteEvent(event.serialized()) == event)
        #expect(event.content?["@.remote_log"] == "<XML></XML>")
    }

    @Test(
        arguments: [
            ("1\r\n1,28,0\r\n", RemoteEvent(kind: .open)), ("1\n1,29,-2147467259", RemoteEvent(kind: .close, reason: 0x8000_4005)),
        ] as [(String, RemoteEvent)])
    func opensAndCloses(text: String, event: RemoteEvent) throws {
        #expect(try RemoteEvent(Array(text.utf8)) == event)
        #expect(try RemoteEvent(event.serialized()) == event)
    }

    @Test(
        arguments: [
            ("", RemoteEvent.Trouble.malformed(line: 1)), ("2\r\n1,28,0\r\n", .malformed(line: 1)), ("1\r\n1,28\r\n", .malformed(line: 2)),
            ("1\r\n2,28,0\r\n", .malformed(line: 2)), ("1\r\n1,x,0\r\n", .malformed(line: 2)), ("1\r\n1,31,0\r\n", .unknownKind(31)),
            ("1\r\n1,30,0\r\n", .descriptions("a log needs two of them")),
        ] as [(String, RemoteEvent.Trouble)])
    func broken(text: String, trouble: RemoteEvent.Trouble) {
        #expect(throws: trouble) { try RemoteEvent(Array(text.utf8)) }
        #expect(!trouble.description.isEmpty)
    }
}

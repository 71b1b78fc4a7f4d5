import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

@Suite struct TrackMatchTests {
    private static let media: [Character: String] = [
        "v": "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 sprop-parameter-sets=AA==",
        // Another resolution alone.
        "w": "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 sprop-parameter-sets=BB==",
        "h": "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000", "p": "m=video 0 RTP/AVP 97\r\na=rtpmap:97 H264/90000",
        "a": "m=audio 0 RTP/AVP 98\r\na=rtpmap:98 MPEG4-GENERIC/48000/2\r\na=fmtp:98 mode=AAC-hbr;config=1190",
        "A": "m=audio 0 RTP/AVP 98\r\na=rtpmap:98 mpeg4-generic/48000/2\r\na=fmtp:98 config=1190;mode=AAC-hbr",
        "b": "m=audio 0 RTP/AVP 98\r\na=rtpmap:98 MPEG4-GENERIC/48000/2\r\na=fmtp:98 mode=AAC-hbr;config=1188",
        "c": "m=audio 0 RTP/AVP 98\r\na=rtpmap:98 MPEG4-GENERIC/44100/2\r\na=fmtp:98 mode=AAC-hbr;config=1210",
        "l": "m=audio 0 RTP/AVP 99\r\na=rtpmap:99 L16/48000", "m": "m=audio 0 RTP/AVP 99\r\na=rtpmap:99 L16/48000/1",
        "s": "m=audio 0 RTP/AVP 99\r\na=rtpmap:99 L16/48000/2", "u": "m=audio 0 RTP/AVP 0", "x": "m=application 0 RTP/AVP 0",
    ]

    static func shapes(_ text: String) throws -> [TrackShape] {
        try Descriptions.description(text.compactMap { media[$0] }).media.map(TrackShape.init)
    }

    @Test(arguments: [
        ("", "va", [nil, nil]), ("va", "va", [0, 1]), ("va", "av", [1, 0]), ("va", "v", [0]), ("va", "a", [1]), ("v", "va", [0, nil]),
        // A resolution is nothing new; codec, clock, channels, payload type, kind and an audio decoder's setup are.
        ("va", "wa", [0, 1]), ("va", "ha", [nil, 1]), ("va", "pa", [nil, 1]), ("va", "vA", [0, 1]), ("va", "vb", [0, nil]),
        ("va", "vc", [0, nil]), ("va", "vu", [0, nil]), ("l", "m", [0]), ("l", "s", [nil]), ("u", "x", [nil]), ("va", "hu", [nil, nil]),
        // Equals go by their order, each once.
        ("vv", "vv", [0, 1]), ("vv", "v", [0]), ("v", "vv", [0, nil]), ("vv", "wvw", [0, 1, nil]), ("vav", "avv", [1, 0, 2]),
    ])
    func matches(before: String, after: String, expected: [Int?]) throws {
        #expect(try TrackMatch.match(Self.shapes(after), to: Self.shapes(before)) == expected)
    }
}

@Suite struct TrackLedgerTests {
    private struct Book {
        var ledger = TrackLedger()
        private var ssrcs: UInt32 = 100

        mutating func take(_ text: String) throws -> TrackLedger.Change {
            var next = ssrcs
            defer { ssrcs = next }
            let media = try TrackMatchTests.shapes(text).map { ($0, $0.codec) }
            return ledger.take(media) {
                next += 1
                return next
            }
        }

        var ssrc: [UInt32] { ledger.slots.map(\.plan.ssrc) }
        var controls: [String] { ledger.slots.map(\.control) }
        var live: [Bool] { ledger.slots.map(\.isLive) }
    }

    @Test func aChangedTrackTakesAnotherSlotAndName() throws {
        var book = Book()
        #expect(try book.take("va") == .init(slots: [0, 1], planned: [0, 1], isAllNew: true))
        let before = book.ssrc
        #expect(try book.take("va") == .init(slots: [0, 1]))
        #expect(try book.take("vu") == .init(slots: [0, 2], planned: [1, 2]))
        #expect(book.ssrc.prefix(2) == before[...] && book.live == [true, false, true])
        #expect(book.controls == ["trackID=0", "trackID=1", "trackID=2"])
    }

    @Test func aSilentTrackComesBackWithItsNameAndAnotherSSRC() throws {
        var book = Book()
        _ = try book.take("va")
        let before = book.ssrc
        #expect(try book.take("v") == .init(slots: [0], planned: [1]))
        #expect(book.live == [true, false])
        #expect(try book.take("av") == .init(slots: [1, 0], planned: [1]))
        #expect(book.ssrc[0] == before[0] && book.ssrc[1] != before[1])
        #expect(book.controls == ["trackID=0", "trackID=1"])
        #expect(book.ledger.order == [1, 0])
    }

    @Test func aSilentVideoTrackIsNobodysKeyFrame() throws {
        var book = Book()
        _ = try book.take("va")
        _ = try book.take("ha")
        #expect(book.ledger.slots.map(\.plan.codec) == [.opaque, .opaque, .h265])
        _ = try book.take("va")
        #expect(book.ledger.slots.map(\.plan.codec) == [.h264, .opaque, .opaque])
    }

    @Test func nothingOfTheOldIsADifferentStream() throws {
        var book = Book()
        _ = try book.take("va")
        let before = book.ledger.slots
        #expect(try book.take("hu").isAllNew)
        #expect(book.ledger.slots == before, "nothing was taken")
        _ = try book.take("v")
        #expect(try book.take("a").isAllNew, "a track that is silent keeps no reader")
    }

    @Test func whenAllSlotsWereUsedTheLongestSilentGoesFirst() throws {
        var book = Book()
        _ = try book.take("va")
        for (number, text) in ["vu", "vb", "vc", "vl", "vs", "vx"].enumerated() {
            #expect(try book.take(text).slots == [0, number + 2])
        }
        #expect(book.ledger.slots.count == tracksPerStreamMax)
        // All are in use or silent: `a` has been silent for longest, but it comes back itself.
        #expect(try book.take("va").slots == [0, 1])
        let change = try book.take("vh")
        #expect(change == .init(slots: [0, 2], planned: [1, 2]))
        #expect(book.controls[2] == "trackID=8", "no name is given twice")
        #expect(try book.take("vhhhhhhh").slots.sorted() == Array(0..<8))
        #expect(Set(book.controls).count == 8 && Set(book.ssrc).count == 8)
    }

    @Test func theMapFollowsTheOrderOfTheSource() throws {
        let map = TrackMap([2, nil, 0])
        #expect(map.count == 3 && map[0] == 2 && map[1] == nil && map[2] == 0 && map[3] == nil && map[-1] == nil)
        #expect(map.place(ofTrack: 0) == 2 && map.place(ofTrack: 1) == nil)
        #expect((0..<6).map { map.channels[$0] } == [4, 5, nil, nil, 0, 1])
        #expect(map.taken.map(\.track) == [2, 0] && map.taken.map(\.place) == [0, 2])
    }
}

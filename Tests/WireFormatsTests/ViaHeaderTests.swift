import Testing
import WireFormats

/// Through whom a message came.
@Suite struct ViaHeaderTests {
    @Test(
        arguments: [
            ([], []), ([""], []), ([",,,", "garbage"], []), (["RTSP/1.0 relay"], ["RTSP/1.0 relay"]),
            (["HTTP/1.1 WMCacheProxy (WMCacheProxy/9.5.6001.1)"], ["HTTP/1.1 WMCacheProxy (WMCacheProxy/9.5.6001.1)"]),
            (["1.1 a:80(x),1.0\tb"], ["1.1 a:80 (x)", "1.0 b"]), (["1.1 a (b, c (d, e)), 1.0 f"], ["1.1 a (b, c (d, e))", "1.0 f"]),
            // A bracket that is never closed hides nobody.
            (["1.1 a (b, 1.0 c", "1.0 d"], ["1.1 a", "1.0 c", "1.0 d"]), (["1.1 a ), 1.0 c"], ["1.1 a", "1.0 c"]),
            (["1.1 (a)"], []), (["1.1 a b"], ["1.1 a"]), (["1.1 a (\u{1})"], ["1.1 a"]), (["1.1 \u{e9}"], []),
        ] as [([String], [String])])
    func entries(values: [String], texts: [String]) { #expect(ViaHeader.entries(values).map(\.text) == texts) }

    @Test func theyAreBounded() {
        #expect(ViaHeader.entries([String](repeating: "1.1 a, 1.1 b", count: 1_000)).count == ViaHeader.countMax)
        let long = String(repeating: "x", count: ViaHeader.entryBytesMax)
        #expect(ViaHeader.entries(["1.1 \(long)", "1.1 a (\(long))"]).map(\.text) == ["1.1 a"])
    }

    @Test(
        arguments: [
            (nil, nil), ("", nil), ("9", 9), (" 0 ", 0), ("255", 255), ("256", 255), ("99999999999999999999", 255), ("-1", nil),
            ("9x", nil),
            ("0x1", nil), ("\u{661}", nil),
        ] as [(String?, UInt8?)])
    func forwards(value: String?, left: UInt8?) { #expect(ViaHeader.maxForwards(value) == left) }
}

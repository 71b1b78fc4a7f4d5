import Testing

@testable import WireFormats

struct RegisterHeaderTests {
    /// Value, and its form when written.
    static let accepted: [(String, String)] = [
        // LIVE555's RTSPServer::registerStream and its registerRTSPStream.
        (
            "reuse_connection; preferred_delivery_protocol=interleaved; proxy_url_suffix=cam",
            "reuse_connection; preferred_delivery_protocol=interleaved; proxy_url_suffix=cam"
        ),
        ("preferred_delivery_protocol=udp; proxy_url_suffix=cam", "preferred_delivery_protocol=udp; proxy_url_suffix=cam"),
        // LIVE555's DEREGISTER, and that of one without a suffix: nothing stands behind `Transport:`.
        ("proxy_url_suffix=cam", "proxy_url_suffix=cam"),
        ("", ""),
        // As other hands write it.
        (
            " ;Reuse_Connection;PREFERRED_DELIVERY_PROTOCOL = Interleaved ;proxy_url_suffix=\"a/b\";x=1;",
            "reuse_connection; preferred_delivery_protocol=interleaved; proxy_url_suffix=a/b"
        ),
        ("preferred_delivery_protocol=carrier-pigeon", ""),
        ("proxy_url_suffix=", ""),
        ("reuse_connection=1", ""),
    ]

    @Test(arguments: accepted) func readsAndWrites(_ test: (value: String, written: String)) throws {
        let header = try RegisterHeader(parsing: test.value)
        #expect(header.text == test.written)
        #expect(try RegisterHeader(parsing: header.text) == header)
    }

    @Test(arguments: [
        "proxy_url_suffix=a b", "proxy_url_suffix=\"a;b\"", "proxy_url_suffix=a,b", "proxy_url_suffix=\u{1}",
        "proxy_url_suffix=" + String(repeating: "a", count: 256), String(repeating: ";", count: 16),
    ]) func refuses(_ value: String) { #expect(throws: RTSPHeaderError.self) { try RegisterHeader(parsing: value) } }
}

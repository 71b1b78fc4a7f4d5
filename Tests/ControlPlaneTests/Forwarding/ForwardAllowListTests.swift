import NIOCore
import PlaneLink
import Signalling
import Testing

@testable import ControlPlane

/// Whom the forward proxy asks.
struct ForwardAllowListTests {
    @Test(
        "who is listed",
        arguments: [
            ("origin.example.org", "mmsh://origin.example.org/x", true),
            ("Origin.Example.org", "rtsp://ORIGIN.example.org/x", true),
            ("origin.example.org", "mmsh://origin.example.org:8080/x", false),
            ("origin.example.org:8080", "mmsh://origin.example.org:8080/x", true),
            ("origin.example.org:8080", "mmsh://origin.example.org/x", false),
            ("origin.example.org:*", "mmsh://origin.example.org:25/x", true),
            ("origin.example.org", "mmsh://origin.example.org./x", false),
            ("origin.example.org", "mmsh://evil-origin.example.org/x", false),
            ("origin.example.org", "mmsh://origin.example.org@evil.example/x", false),
            ("*.example.org", "mmsh://a.b.example.org/x", true),
            ("*.example.org", "mmsh://example.org/x", false),
            ("*.example.org", "mmsh://notexample.org/x", false),
            ("*.example.org:*", "rtsp://a.example.org:8554/x", true),
            ("192.0.2.7", "mmsh://192.0.2.7/x", true),
            ("192.0.2.7", "mmsh://192.0.2.77/x", false),
            ("[2001:DB8::1]", "mmsh://[2001:db8::1]/x", true),
            ("[2001:db8::1]:554", "mmsh://[2001:db8::1]:554/x", true),
            ("*", "mmsh://anybody.example/x", true),
            ("*", "mmsh://anybody.example:22/x", false),
            ("*:*", "mmsh://anybody.example:22/x", true), ("*", "mmsh://10.0.0.1/x", false), ("*:*", "mmsh://[::1]:80/x", false),
            ("*", "mmsh://192.0.2.7/x", true), ("10.0.0.0/8", "mmsh://10.1.2.3/x", true), ("10.0.0.0/8", "mmsh://10.1.2.3:8080/x", false),
            ("10.0.0.0/8:8080", "mmsh://10.1.2.3:8080/x", true), ("10.0.0.0/8", "mmsh://11.1.2.3/x", false),
            ("10.0.0.0/8", "mmsh://10.1.2.3.example/x", false), ("10.0.0.0/8", "mmsh://[::ffff:10.1.2.3]/x", true),
            ("[fd00::/8]:*", "rtsp://[fd12::1]:8554/x", true), ("127.0.0.1:*", "mmsh://127.0.0.1:99/x", true),
        ])
    func listed(_ entry: String, _ url: String, _ isPermitted: Bool) throws {
        #expect(try ForwardAllowList([entry]).permits(CacheKey(url)) == isPermitted)
        #expect(try ForwardAllowList(["other.example", entry]).permits(CacheKey(url)) == isPermitted)
    }

    @Test(
        "what is no entry",
        arguments: [
            "", ":80", "h:", "h:0", "h:65536", "h:x", "http://h", "h/x", "h?x", "u@h", "a b", "*.", "*.*", "*example.org", "a.*.org",
            "[::1", "::1", "*.[::1]", "h:80:80",
            "10.0.0.1/8", "10.0.0.0/33", "fd00::/8", "[10.0.0.1]", "[fd00::]/8",
        ])
    func refused(_ entry: String) { #expect(throws: ForwardAllowList.Trouble.self) { try ForwardAllowList([entry]) } }

    /// Entries, an address that a permitted name leads to, whether it may be dialled at port 8080.
    @Test(
        "where a name leads",
        arguments: [
            ("*:*", "192.0.2.7", true), ("*:*", "127.0.0.1", false), ("*:*", "10.0.0.1", false), ("*:*", "100.64.0.1", false),
            ("*:*", "169.254.169.254", false), ("*:*", "172.31.0.1", false), ("*:*", "172.32.0.1", true), ("*:*", "192.168.1.1", false),
            ("*:*", "0.0.0.0", false), ("*:*", "224.0.0.1", false), ("*:*", "255.255.255.255", false), ("*:*", "::1", false),
            ("*:*", "::", false), ("*:*", "fe80::1", false), ("*:*", "fd00::1", false), ("*:*", "ff02::1", false),
            ("*:*", "::ffff:127.0.0.1", false), ("*:*", "64:ff9b::7f00:1", false), ("*:*", "2002:7f00:1::", false),
            ("*:*", "::7f00:1", false), ("*:*", "::127.0.0.1", false), ("*:*", "2001::ce49:7601:80ff:fffe", false),
            ("*:*", "100::1", false), ("*:*", "2001:200::1", true),
            ("*:*", "2001:db8::1", true), ("origin.example:*", "10.0.0.1", false), ("10.0.0.0/8:*", "10.0.0.1", true),
            ("10.0.0.0/8:8080", "10.0.0.1", true), ("10.0.0.0/8", "10.0.0.1", false), ("10.0.0.1:*", "10.0.0.2", false),
            ("[::1]:*", "::1", true),
        ])
    func leads(_ entry: String, _ address: String, _ isPermitted: Bool) throws {
        let address = try #require(HostAddress(numeric: address))
        #expect(try ForwardAllowList(["origin.example:*", entry]).permits(address, port: 8_080) == isPermitted)
    }

    @Test("Of the addresses of a name those that may be asked are tried, and the last other one is told")
    func gate() throws {
        let list = try ForwardAllowList(["*:*", "127.0.0.1:*", "10.0.0.1:*"])
        let gate = ForwardGate(allow: list, own: OwnPlaces(names: []) { [8_554] })
        func address(_ text: String, _ port: Int) throws -> SocketAddress { try SocketAddress(ipAddress: text, port: port) }
        let found = try [address("192.168.0.1", 80), address("10.0.0.1", 80), address("192.0.2.1", 80), address("::1", 80)]
        let (permitted, trouble) = gate.choose(found, "origin.example", 80)
        #expect(permitted == Array(found[1...2]))
        #expect(trouble?.words.contains("origin.example is at ::1, which is no address of the internet") == true)
        let here = try address("127.0.0.1", 8_554)
        let (none, loop) = gate.choose([here], "origin.example", 8_554)
        #expect(none.isEmpty && loop == .loop("origin.example:8554 is this relay: it would ask itself"))
        let (other, _) = gate.choose([try address("127.0.0.1", 80)], "origin.example", 80)
        #expect(other.count == 1)
        let many = try (1...9).map { try address("192.0.2.\($0)", 80) }
        let (few, _) = gate.choose(many, "origin.example", 80)
        #expect(few == Array(many.prefix(ForwardGate.addressesMax)))
    }

    @Test func allReservedNetworksCanBeRead() { #expect(ForwardAllowList.reserved.count == 21) }

    @Test func nobodyByDefault() throws {
        let list = try ForwardAllowList([])
        #expect(list.isEmpty)
        #expect(!list.permits(try CacheKey("mmsh://h/x")))
        #expect(throws: ForwardAllowList.Trouble.self) { try ForwardAllowList(Array(repeating: "h", count: ForwardAllowList.countMax + 1)) }
    }
}

import NIOCore
import PlaneLink
import Testing

@testable import ControlPlane

@Suite struct AddressTests {
    @Test(arguments: [
        ("0.0.0.0:8554", "0.0.0.0:8554"), ("[::]:8554", "[::]:8554"), (":554", "[::]:554"), ("127.0.0.1", "127.0.0.1:8554"),
        ("[::1]", "[::1]:8554"), ("localhost:0", "localhost:0"), ("*:9", "[::]:9"),
    ])
    func listens(text: String, address: String) throws {
        #expect(try ListenAddress(parsing: text).description == address)
    }

    @Test(arguments: ["", "::1", "[::1", "[::1]8554", "[::1]:", "h:", "h:-1", "h:65536", "h:x", "h:99999999999999999999", "h:+1"])
    func refuses(text: String) {
        do throws(ListenAddressError) {
            _ = try ListenAddress(parsing: text)
            Issue.record("was taken")
        } catch { #expect("\(error)".contains("HOST:PORT")) }
    }

    @Test(arguments: [
        ("127.0.0.1", "127.0.0.1"), ("::ffff:10.1.2.3", "10.1.2.3"), ("::1", "::1"), ("2001:db8::1:0:0:1", "2001:db8::1:0:0:1"),
        ("fe80::1", "fe80::1"), ("::", "::"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("1:0:3:4:5:6:7:8", "1:0:3:4:5:6:7:8"),
        ("1::", "1::"), ("0:0:0:4::", "0:0:0:4::"),
    ])
    func hosts(text: String, host: String) throws {
        #expect(HostAddress(try SocketAddress(ipAddress: text, port: 1))?.text == host)
    }
}

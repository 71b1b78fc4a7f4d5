import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

@Suite struct MulticastSettingsTests {
    private static func parse(_ lines: String...) throws(ConfigurationErrors) -> PathSettings {
        let yaml = "paths:\n  cam:\n    source: publish\n" + lines.map { "    \($0)\n" }.joined()
        return try Configuration.parse(yaml).paths[0]
    }

    @Test func readsEverything() throws {
        let path = try Self.parse(
            "multicast: 239.1.2.3:5004", "multicast-ttl: 3", "multicast-interface: eth0", "multicast-source: 10.0.0.9",
            "multicast-loop: off", "multicast-only: on", "multicast-always: on")
        var expected = MulticastSettings()
        expected.destination = .init(group: HostAddress(ipv4: 0xEF01_0203), port: 5_004)
        expected.ttl = 3
        expected.interface = "eth0"
        expected.source = HostAddress(ipv4: 0x0A00_0009)
        expected.loops = false
        expected.isOnly = true
        expected.isAlways = true
        #expect(path.multicast == expected)
        #expect(expected.words == "multicast to 239.1.2.3:5004, ttl 3, at eth0, from 10.0.0.9, always, and nothing else")
        let six = try Self.parse("multicast: '[ff15::1:2]:6000'").multicast
        #expect(six.destination?.group.text == "ff15::1:2" && six.destination?.port == 6_000)
        #expect(six.ttl == 16 && six.loops && !six.isOnly && !six.isAlways && six.interface == nil && six.source == nil)
        #expect(try Self.parse().multicast == MulticastSettings())
    }

    /// The environment reaches the keys, too, and the longest key that fits is meant.
    @Test func readsTheEnvironment() throws {
        let configuration = try Configuration.parse(
            "paths:\n  cam:\n    source: publish\n",
            environment: ["WEIR_PATHS_CAM_MULTICAST": "239.1.2.3:5004", "WEIR_PATHS_CAM_MULTICAST_SOURCE": "10.0.0.9"])
        #expect(configuration.paths[0].multicast.source?.text == "10.0.0.9" && configuration.paths[0].source == .publish)
    }

    @Test(
        arguments: [
            (["multicast: 10.0.0.1:5004"], "multicast: 10.0.0.1 is no multicast address: those are 224.0.0.0 to 239.255.255.255"),
            (["multicast: 224.0.0.5:5004"], "multicast: 224.0.0.5 belongs to the routing protocols (224.0.0.0/24)"),
            (["multicast: 239.1.2.3"], "multicast: `239.1.2.3` has no port; write GROUP:PORT, such as 239.1.2.3:5004"),
            (["multicast: 239.1.2.3:5005"], "the port 5005 is odd: RTP takes an even one and RTCP the next; write 5004 or 5006"),
            (["multicast: 239.1.2.3:65522"], "the port 65522 leaves no room for 8 tracks above it; take one up to 65520"),
            (["multicast: 239.1.2.3:0"], "`0` is no whole number from 1 to 65535"),
            (["multicast: ff15::1:5004"], "an IPv6 group needs brackets"),
            (["multicast: '[ff15::1]'"], "has no port"),
            (["multicast: cam.example:5004"], "`cam.example` is no numeric address"),
            (["multicast-ttl: 256"], "multicast-ttl: `256` is no whole number from 0 to 255"),
            (["multicast-interface: 239.1.2.3"], "`239.1.2.3` is a group; write the name of an interface"),
            (["multicast-interface: a/b"], "`a/b` is neither the name of an interface, such as eth0, nor a numeric address"),
            (["multicast-source: 0.0.0.0"], "`0.0.0.0` is no address that packets can come from"),
            (["multicast-source: 239.1.2.3"], "`239.1.2.3` is no address that packets can come from"),
            (["multicast-loop: maybe"], "`maybe` is neither true nor false"),
            (["multicast-only: on"], "paths.cam.multicast: it is missing, and without a group the other multicast keys mean nothing"),
            (["multicast-ttl: 3"], "paths.cam.multicast: it is missing"),
            (
                ["multicast: 239.1.2.3:5004", "multicast-source: fd00::1"],
                "paths.cam.multicast-source: fd00::1 is not of the same family (IPv4 or IPv6) as the group 239.1.2.3"
            ),
            (
                ["multicast: '[ff02::5]:5004'"],
                "paths.cam.multicast-interface: ff02::5 reaches one link only: say which by the name of an interface"
            ),
            (["multicst: 239.1.2.3:5004"], "unknown key; did you mean `multicast`?"),
        ] as [([String], String)])
    func saysWhatIsWrong(lines: [String], words: String) {
        let yaml = "paths:\n  cam:\n    source: publish\n" + lines.map { "    \($0)\n" }.joined()
        do throws(ConfigurationErrors) {
            _ = try Configuration.parse(yaml)
            Issue.record("was taken")
        } catch {
            #expect(error.errors.count == 1)
            #expect(error.description.contains(words), "\(error)")
        }
    }

    @Test func pathsDoNotShareAGroupsPorts() throws {
        func both(_ first: String, _ second: String) throws(ConfigurationErrors) {
            _ = try Configuration.parse(
                "paths:\n  a:\n    source: publish\n    multicast: \(first)\n  b:\n    source: publish\n    multicast: \(second)\n")
        }
        try both("239.1.2.3:5004", "239.1.2.3:5020")
        try both("239.1.2.3:5004", "239.1.2.4:5004")
        #expect(throws: ConfigurationErrors.self) { try both("239.1.2.3:5004", "239.1.2.3:5018") }
        #expect(throws: ConfigurationErrors.self) { try both("239.1.2.3:5004", "239.1.2.3:5004") }
    }

    /// A pull by multicast says where to join without sending to a group of its own.
    @Test func anInterfaceAloneIsForPulls() throws {
        let path = try Self.parse("transport: multicast", "multicast-interface: eth0")
        #expect(path.transport == .multicast && path.multicast.interface == "eth0")
    }

    @Test(
        arguments: [
            ("239.1.2.3", true, false, false), ("232.1.2.3", true, true, false), ("10.0.0.1", false, false, false),
            ("ff15::1", true, false, false), ("ff3e::1", true, true, false), ("ff3e:1::1", true, false, false),
            ("ff02::1", true, false, true), ("ff01::1", true, false, true), ("ff32::1", true, true, true), ("fe80::1", false, false, false),
        ] as [(String, Bool, Bool, Bool)])
    func knowsKindsOfGroups(text: String, isGroup: Bool, isSourceSpecific: Bool, isLinkLocal: Bool) throws {
        let host = try #require(HostAddress(numeric: text))
        #expect(host.isMulticast == isGroup && host.isSourceSpecific == isSourceSpecific && host.isLinkLocalGroup == isLinkLocal)
    }

    @Test func findsInterfaces() throws {
        let loopback = try NetworkInterface.named("lo")
        #expect(loopback.index >= 1)
        #expect(try NetworkInterface.named("127.0.0.1") == loopback)
        do throws(MulticastTrouble) {
            _ = try NetworkInterface.named("nowhere0")
            Issue.record("was found")
        } catch {
            #expect(error.description.hasPrefix("there is no interface `nowhere0`; there are "))
            #expect(error.description.contains("lo (127.0.0.1"))
        }
        #expect(throws: MulticastTrouble.self) { try NetworkInterface.named("192.0.2.254") }
    }
}

import PlaneLink
import Signalling
import Testing

@testable import ControlPlane

@Suite struct NetworkPrefixTests {
    @Test(arguments: [
        ("192.168.1.0/24", "192.168.1.255", true), ("192.168.1.0/24", "192.168.2.0", false), ("10.0.0.1", "10.0.0.1", true),
        ("10.0.0.1", "10.0.0.2", false), ("0.0.0.0/0", "255.1.2.3", true), ("0.0.0.0/0", "::1", false), ("::/0", "fe80::1", true),
        ("fd00::/8", "fdff::1", true), ("fd00::/8", "fe00::1", false), ("2001:db8::/64", "2001:db8::ffff", true),
        ("2001:db8::/65", "2001:db8:0:0:8000::", false), ("::1", "::1", true), ("127.0.0.0/8", "::ffff:127.0.0.1", true),
        ("2001:db8:0:1::/63", "2001:db8:0:1::", false),
    ])
    func contains(network: String, host: String, isInside: Bool) throws {
        guard let host = HostAddress(numeric: host) else {
            Issue.record("\(host) is no address")
            return
        }
        guard let prefix = try? NetworkPrefix(parsing: network) else {
            #expect(!isInside)
            return
        }
        #expect(prefix.contains(host) == isInside)
    }

    @Test(arguments: [
        "", "10.0.0.0/33", "10.0.0.1/24", "host", "::/129", "10.0.0.0/", "10.0.0.0/-1", "/8", "10.0.0/8", "2001:db8:0:1::/63",
    ])
    func refuses(text: String) { #expect(throws: ValueProblem.self) { try NetworkPrefix(parsing: text) } }
}

@Suite struct AccessRuleTests {
    private static let inside = HostAddress(ipv4: 0x0A00_0001)
    private static let outside = HostAddress(ipv4: 0x0B00_0001)

    @Test(arguments: [
        ("any", true, true, true), ("users", false, false, true), ("nobody", false, false, false), ("alice", false, false, true),
        ("bob", false, false, false), ("bob, alice", false, false, true), ("10.0.0.0/8", true, false, false),
        ("10.0.0.0/8, alice", true, false, true), ("10.0.0.1,users", true, false, true), ("any,bob", true, true, true),
    ])
    func allows(text: String, fromInside: Bool, fromOutside: Bool, alice: Bool) throws {
        let rule = try AccessRule(parsing: text)
        #expect(rule.allowsWithoutPassword(Self.inside) == fromInside)
        #expect(rule.allowsWithoutPassword(Self.outside) == fromOutside)
        #expect(rule.allows(user: "alice") == alice)
        #expect(try AccessRule(parsing: rule.description) == rule)
    }

    @Test(arguments: ["", ",", "alice,", "nobody,alice", "a b", "10.0.0.1/8", "al:ice"])
    func refuses(text: String) { #expect(throws: ValueProblem.self) { try AccessRule(parsing: text) } }
}

@Suite struct UserPasswordTests {
    private static let sha256 = DigestAlgorithm.sha256.hash("alice:Weir:secret")
    private static let md5 = DigestAlgorithm.md5.hash("alice:Weir:secret")

    @Test func aHashIsAsGoodAsThePassword() throws {
        let plain = try UserPassword(parsing: "secret").secret(user: "alice", realm: "Weir")
        let hashed = try UserPassword(parsing: "sha256:\(Self.sha256.uppercased())  md5:\(Self.md5)").secret(user: "alice", realm: "Weir")
        #expect(plain == hashed)
    }

    @Test(arguments: ["", "sha256:0", "md5:0", "sha256:K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols=", "md5:\(md5) secret", "a\u{7}"])
    func refuses(text: String) {
        do throws(ValueProblem) {
            _ = try UserPassword(parsing: text)
            Issue.record("taken")
        } catch {
            #expect(text.isEmpty || !error.text.contains(text), "the words repeat it")
        }
    }

    @Test func printsNothing() throws { #expect("\(try UserPassword(parsing: "secret"))" == "…") }
}

@Suite struct LoginFailuresTests {
    private static func host(_ number: UInt32) -> HostAddress { HostAddress(ipv4: number) }

    private static func failures(_ max: Int, addresses: Int = 100) -> LoginFailures {
        var settings = AccessSettings()
        settings.failuresMax = max
        settings.addressesMax = addresses
        var failures = LoginFailures(settings: settings)
        failures.forgive(now: 1_000_000)
        return failures
    }

    @Test func anAddressThatFailsMustWait() {
        var failures = Self.failures(3)
        for _ in 0..<3 {
            #expect(failures.mayTry(Self.host(1)))
            failures.failed(Self.host(1))
        }
        #expect(!failures.mayTry(Self.host(1)) && failures.mayTry(Self.host(2)))
        failures.forgive(now: 1_005_000)
        #expect(!failures.mayTry(Self.host(1)))
        failures.forgive(now: 1_006_000)
        #expect(failures.mayTry(Self.host(1)))
        failures.failed(Self.host(1))
        #expect(!failures.mayTry(Self.host(1)))
        failures.forgive(now: 1_100_000)
        #expect(failures.count == 0)
    }

    @Test func theFirstSecondForgivesNothing() {
        var settings = AccessSettings()
        settings.failuresMax = 1
        var failures = LoginFailures(settings: settings)
        failures.failed(Self.host(1))
        failures.forgive(now: 1_000_000)
        #expect(!failures.mayTry(Self.host(1)))
    }

    @Test func aNetworkOfIPv6IsOneAddress() {
        var failures = Self.failures(1)
        failures.failed(HostAddress(high: 5, low: 1))
        #expect(!failures.mayTry(HostAddress(high: 5, low: 2)) && failures.mayTry(HostAddress(high: 6, low: 1)))
    }

    @Test func oneLineAMinute() {
        var failures = Self.failures(3)
        let host = Self.host(1)
        #expect(failures.report(.wrong, of: host, now: 1_000_000) == .init(unsaid: 0))
        for _ in 0..<4 { #expect(failures.report(.wrong, of: host, now: 1_059_999) == nil) }
        #expect(failures.report(.missing, of: host, now: 1_059_999) == .init(unsaid: 0))
        failures.forgive(now: 1_059_999)
        #expect(failures.report(.wrong, of: host, now: 1_060_000) == .init(unsaid: 4))
    }

    @Test func theTableIsBounded() {
        var failures = Self.failures(3, addresses: 16)
        for number in 0..<1_000 { failures.failed(Self.host(UInt32(number))) }
        #expect(failures.count == 16)
    }

    @Test func whoLogsInAfterAllIsNotTalkedOf() {
        var failures = Self.failures(3)
        for number in 1...2 { failures.abandoned(Self.host(UInt32(number)), from: "\(number)", request: "DESCRIBE /", now: 1_000_000) }
        failures.loggedIn(Self.host(1))
        #expect(failures.takeAbandoned(now: 1_002_999).isEmpty)
        #expect(failures.takeAbandoned(now: 1_003_000).map(\.0.from) == ["2"])
        #expect(failures.takeAbandoned(now: 1_004_000).isEmpty)
    }
}

/// Words that open this relay go nowhere else: an origin is passed a player's only where none were asked of him here.
@Suite struct OpenPathTests {
    @Test(
        arguments: [
            (nil, nil, false, true, true), (nil, nil, true, false, false), (nil, "users", false, false, false),
            (nil, "any", true, true, true), (nil, "10.0.0.0/8, users", true, true, false), ("any", "users", true, true, true),
            ("any", nil, true, true, true), ("users", "any", true, false, false), ("10.0.0.0/8", nil, true, true, false),
            ("alice", nil, true, false, false), ("nobody", nil, false, false, false),
        ] as [(String?, String?, Bool, Bool, Bool)])
    func isOpen(ofPath: String?, ofAll: String?, hasUsers: Bool, toInside: Bool, toOutside: Bool) throws {
        var settings = AccessSettings()
        if hasUsers { settings.users = [UserSettings(name: "alice")] }
        settings.rules[.read] = try ofAll.map { try AccessRule(parsing: $0) }
        var path = PathSettings(name: "a", source: .publish)
        path.access[.read] = try ofPath.map { try AccessRule(parsing: $0) }
        let access = AccessControl(settings: settings, paths: [path])
        #expect(access.isOpen(.read, of: path, to: HostAddress(ipv4: 0x0A00_0001)) == toInside)
        #expect(access.isOpen(.read, of: path, to: HostAddress(ipv4: 0x0B00_0001)) == toOutside)
    }
}

import Testing

@testable import ControlPlane

@Suite struct AccessConfigurationTests {
    @Test func readsUsersAndRules() throws {
        let configuration = try Configuration.parse(
            """
            access:
              realm: Cameras
              methods: [digest-sha256, basic]
              read: any
              publish: encoder
              nonce-life: 90s
              failures-max: 5
            users:
              encoder:
                password: "123"
                from: [10.0.0.0/8, "::1"]
              alice: {password: "sha256:\(String(repeating: "a", count: 64))"}
            paths:
              cam:
                source: publish
                read: [alice, 192.168.0.0/16]
                publish: nobody
              open:
                source: publish
            """)
        let access = configuration.access
        #expect(access.login.realm == "Cameras" && access.login.methods == [.digestSHA256, .basic])
        #expect(access.login.nonceMilliseconds == 90_000 && access.failuresMax == 5)
        #expect(access.users.map(\.name) == ["encoder", "alice"] && access.users[0].networks.count == 2)
        #expect(access.rule(.read, of: configuration.paths[0]).description == "alice, 192.168.0.0/16")
        #expect(access.rule(.publish, of: configuration.paths[0]).description == "nobody")
        #expect(access.rule(.read, of: configuration.paths[1]) == .any && access.rule(.publish, of: nil).description == "encoder")
        #expect(configuration.summary.contains("access: read: any; publish: encoder; 2 users, by digest-sha256, basic"))
    }

    @Test func withoutUsersAllIsOpenAndWithThemNothingIs() throws {
        #expect(try Configuration.parse("").access.rule(.publish, of: nil) == .any)
        #expect(try Configuration.parse("users: {a: {password: b}}").access.rule(.read, of: nil) == .users)
    }

    @Test func environment() throws {
        let configuration = try Configuration.parse(
            "users: {a-b: {password: x}}\npaths: {cam: {source: publish}}",
            environment: [
                "WEIR_USERS_A_B_PASSWORD": "y", "WEIR_USERS_EVE_PASSWORD": "z", "WEIR_PATHS_CAM_READ": "eve", "WEIR_ACCESS_REALM": "R",
            ])
        #expect(configuration.access.users.map(\.name) == ["a-b", "eve"] && configuration.access.users[0].password == .plain("y"))
        #expect(configuration.paths[0].access[.read]?.usersNamed == ["eve"] && configuration.access.login.realm == "R")
    }

    @Test(arguments: [
        ("users:\n  any:\n    password: x\n", "weir.yml:2: users.any: `any` has a meaning of its own"),
        ("users:\n  a b:\n    password: x\n", "weir.yml:2: users.a b: a user's name is made of"),
        ("users:\n  a:\n    pass: x\n", "weir.yml:3: users.a.pass: unknown key; allowed: from, password"),
        ("users:\n  a:\n", "weir.yml:2: users.a: it has no `password:`"),
        ("users:\n  a:\n    password: md5:hunter2\n", "weir.yml:3: users.a.password: md5: is followed by 32 hexadecimal digits"),
        ("users:\n  a:\n    password: x\n    from: 10.0.0.1/8\n", "weir.yml:4: users.a.from: `10.0.0.1/8` has bits set"),
        ("access:\n  methods: digest\n", "weir.yml:2: access.methods: `digest` is not known; allowed: basic, digest-md5, digest-sha256"),
        ("access:\n  read: eve\n", "weir.yml:2: access.read: `eve` is no user, address or network; there is no user under `users:`"),
        (
            "users: {eva: {password: x}}\npaths:\n  cam:\n    source: publish\n    publish: [eve]\n",
            "weir.yml:5: paths.cam.publish: `eve` is no user, address or network; did you mean `eva`?"
        ),
        ("access:\n  read: [a, {b: c}]\n", "weir.yml:2: access.read: a single value or a list of them is expected here"),
        (
            "access: {methods: digest-sha256}\nusers:\n  a: {password: 'md5:00000000000000000000000000000000'}\n",
            "weir.yml:3: users.a.password: its hash serves none of the methods: digest-sha256"
        ),
    ])
    func refuses(yaml: String, words: String) {
        do throws(ConfigurationErrors) {
            _ = try Configuration.parse(yaml)
            Issue.record("taken")
        } catch {
            #expect(error.errors.count == 1 && error.description.hasPrefix(words), "\(error)")
            #expect(!error.description.contains("hunter2"))
        }
    }
}

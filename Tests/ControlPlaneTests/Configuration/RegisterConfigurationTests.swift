import Testing

@testable import ControlPlane

struct RegisterConfigurationTests {
    @Test func readsEverything() throws {
        let configuration = try Configuration.parse(
            """
            users:
              cam: {password: secret}
            access:
              control: cam
            register:
              allow: [cam, 10.0.0.0/8]
              prefix: cams/
              hosts: requester, 192.168.0.0/16, Camera.example
              paths-max: 7
              wait: 90s
            paths:
              one:
                source: publish
                parameters: pass-all
                control: nobody
                register-at:
                  - rtsp://u:p@a.example/one
                  - rtsp://b.example:9554?transport=udp
            """)
        let register = configuration.register
        #expect(register.isOn && register.prefix == "cams/" && register.pathsMax == 7 && register.waitMilliseconds == 90_000)
        #expect(register.words == "register: cam, 10.0.0.0/8 as /cams/…; from requester, 192.168.0.0/16, camera.example; up to 7 paths")
        let path = try #require(configuration.paths.first)
        #expect(path.parameters == .passAll)
        #expect(configuration.access.rule(.control, of: path).description == "nobody")
        #expect(configuration.access.rule(.control, of: nil).description == "cam")
        #expect(path.registerAt.map { $0.name(of: path.name) } == ["one", "one"])
        #expect(path.registerAt.map(\.delivery) == [.interleaved, .udp])
    }

    @Test func nobodyMayUnlessItIsSaid() throws {
        let configuration = try Configuration.parse("paths:\n  one:\n    source: publish\n")
        #expect(!configuration.register.isOn && configuration.register.words == nil)
        #expect(configuration.paths[0].parameters == .off)
        #expect(configuration.access.rule(.control, of: configuration.paths[0]).description == "nobody")
    }

    /// What is wrong, and how its one line begins.
    @Test(arguments: [
        ("register:\n  alow: any\n", "weir.yml:2: register.alow: unknown key; did you mean `allow`?"),
        ("register:\n  allow: cam\n", "weir.yml:2: register.allow: `cam` is no user, address or network"),
        ("register:\n  prefix: a b\n", "weir.yml:2: register.prefix: a path's name"),
        ("register:\n  hosts: a b\n", "weir.yml:2: register.hosts: `a b` is no host"),
        ("register:\n  paths-max: 0\n", "weir.yml:2: register.paths-max: `0` is no whole number"),
        (
            "paths:\n  a:\n    source: publish\n    register-at: rtsp://u:secret@b/x?y=1\n",
            "weir.yml:4: paths.a.register-at: behind the ? of a proxy:"
        ),
        ("paths:\n  a:\n    source: publish\n    parameters: pass\n", "weir.yml:4: paths.a.parameters: `pass` is not known"),
    ]) func namesWhatIsWrong(_ test: (yaml: String, words: String)) {
        let error = #expect(throws: ConfigurationErrors.self) { try Configuration.parse(test.yaml) }
        #expect(error?.errors.count == 1)
        #expect(error?.description.hasPrefix(test.words) == true, "\(error?.description ?? "")")
        #expect(error?.description.contains("secret") == false)
    }
}

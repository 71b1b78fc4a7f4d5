import PlaneLink
import Testing

@testable import ControlPlane

@Suite struct ReaderSettingsTests {
    @Test func theDefaultsAreTheEngines() {
        #expect(ReaderSettings().policy == StreamPolicy())
    }

    @Test func readsAWholePolicy() throws {
        let configuration = try Configuration.parse(
            """
            paths:
              cam:
                source: publish
                pacing: 20M
                join-burst-time: 3s
                join-burst-bytes: 4MiB
                join-burst-speed: 2.5
                overload: disconnect
                disconnect-after: 1500ms
                lag-time: 700ms
                lag-bytes: 2MiB
                clock: origin
            """)
        var expected = StreamPolicy()
        expected.pacing = .fixed(bitsPerSecond: 20_000_000)
        expected.joinBurst = JoinBurst(nanosecondsMax: 3_000_000_000, bytesMax: 4 << 20, speedTenths: 25)
        expected.overload = .disconnect(afterNanoseconds: 1_500_000_000)
        expected.lagNanosecondsMax = 700_000_000
        expected.lagBytesMax = 2 << 20
        expected.clock = .origin
        #expect(configuration.paths.first?.readers.policy == expected)
    }

    /// The defaults, changed.
    private static func policy(_ change: (inout StreamPolicy) -> Void = { _ in }) -> StreamPolicy {
        var policy = StreamPolicy()
        change(&policy)
        return policy
    }

    @Test(arguments: [
        ("pacing: off", policy { $0.pacing = .off }), ("pacing: adaptive", policy { $0.pacing = .adaptive }),
        ("pacing: 800k", policy { $0.pacing = .fixed(bitsPerSecond: 800_000) }), ("join-burst: off", policy { $0.joinBurst = nil }),
        ("join-burst: on", policy()), ("overload: drop-oldest", policy { $0.overload = .dropOldest }),
        ("overload: skip-to-keyframe", policy()),
        ("overload: disconnect", policy { $0.overload = .disconnect(afterNanoseconds: 5_000_000_000) }), ("lag-bytes: 0", policy()),
        ("lag-time: 0", policy()), ("clock: relay", policy()), ("clock: origin", policy { $0.clock = .origin }),
        ("join-burst-speed: 1.1", policy { $0.joinBurst?.speedTenths = 11 }),
        ("join-burst-speed: 100", policy { $0.joinBurst?.speedTenths = 1_000 }),
    ])
    func readsOneSetting(line: String, expected: StreamPolicy) throws {
        let configuration = try Configuration.parse("paths: {cam: {source: publish, \(line)}}")
        #expect(configuration.paths.first?.readers.policy == expected)
    }

    @Test(arguments: [
        (
            "pacing: fast",
            "pacing: `fast` is no pacing; write off, adaptive, or the bits per second that one reader gets at most, such as 20M"
        ), ("join-burst: maybe", "join-burst: `maybe` is neither true nor false"),
        (
            "join-burst-speed: 1",
            "join-burst-speed: `1` is no speed from 1.1 to 100; write how many times faster than real time, such as 4 or 2.5"
        ),
        (
            "join-burst-speed: 99999999999999999999",
            "join-burst-speed: `99999999999999999999` is no speed from 1.1 to 100; write how many times faster than real time, such as 4 or 2.5"
        ),
        (
            "overload: disconect",
            "overload: `disconect` is not known; did you mean `disconnect`? (allowed: disconnect, drop-oldest, skip-to-keyframe)"
        ), ("clock: source", "clock: `source` is not known; allowed: origin, relay"),
        ("disconnect-after: 1000s", "disconnect-after: `1000s` is more than the largest, 600s"),
        ("lag-time: 5", "lag-time: `5` is no duration; write a number with a unit, such as 500ms, 10s or 2m"),
        ("join-burst-bytes: 0", "join-burst-bytes: `0` is no size; write bytes, or a number with KiB, MiB or GiB, such as 512MiB"),
    ])
    func namesWhatIsWrong(line: String, words: String) {
        let error = #expect(throws: ConfigurationErrors.self) { try Configuration.parse("paths: {cam: {source: publish, \(line)}}") }
        #expect(error?.errors.first?.description == "weir.yml:1: paths.cam.\(words)")
    }

    @Test func theEnvironmentSetsThemToo() throws {
        let configuration = try Configuration.parse(
            "paths: {cam: {source: publish, join-burst: on}}",
            environment: [
                "WEIR_PATHS_CAM_JOIN_BURST": "off", "WEIR_PATHS_CAM_PACING": "5M", "WEIR_ENGINE_WORKERS": "2",
                "WEIR_ENGINE_ZERO_COPY": "off",
                "WEIR_ENGINE_MAX_DELAY": "1s", "WEIR_PATHS_CAM_JOIN_BURST_TIME": "2s",
            ])
        #expect(configuration.paths.first?.readers.policy.joinBurst == nil)
        #expect(configuration.paths.first?.readers.joinBurst.nanosecondsMax == 2_000_000_000)
        #expect(configuration.paths.first?.readers.pacing == .fixed(bitsPerSecond: 5_000_000))
        #expect(configuration.engine.workers == 2)
        #expect(configuration.engine.zeroCopy == .off)
        #expect(configuration.limits.delayMicrosecondsMax == 1_000_000)
    }

    @Test func anOptionOfTheCommandLineIsNamedInItsError() {
        var path = PathSettings(name: "x", source: .publish)
        let error = #expect(throws: ConfigurationErrors.self) { try path.set(option: "--lag-time", key: "lag-time", to: "soon") }
        #expect(
            error?.description == "--lag-time: `soon` is no duration; write a number with a unit, such as 500ms, 10s or 2m")
    }

    @Test func workersCanBeLeftToTheMachine() throws {
        #expect(try Configuration.parse("engine: {workers: 4}", environment: ["WEIR_ENGINE_WORKERS": "auto"]).engine.workers == nil)
    }
}

import Testing

@testable import ControlPlane

@Suite struct ConfigurationTests {
    @Test func readsEverything() throws {
        let configuration = try Configuration.parse(
            """
            listen: 127.0.0.1:9554
            media-ports: 30000-30999
            log-level: debug
            engine:
              backend: epoll
              workers: 3
              max-delay: 500us
              zero-copy: on
              require-io-uring: false
            limits:
              sessions: 500
              packet-log-bytes: 512MiB
              window: 3s
              stored-files: 7
              stored-blocks: 128
              stored-block-bytes: 128KiB
              stored-stall: 2m
              stored-wait: 12s
            paths:
              cam:
                source: rtsp://u:p@cam/x
                dial: warm
                linger: 1500ms
                source-wait: 5s
                transport: tcp
                window: 500ms
                bit-rate: 4M
              /studio/one/:
                source: publish
              clip:
                source: clips/a.rtpdump
                dial: always
            """)
        #expect(configuration.listen == ListenAddress(host: "127.0.0.1", port: 9554))
        #expect(configuration.mediaPorts == 30000...30999)
        #expect(configuration.logLevel == .debug)
        #expect(configuration.engine.backend == .epoll)
        #expect(configuration.engine.workers == 3)
        #expect(configuration.engine.zeroCopy == .on)
        #expect(configuration.limits.delayMicrosecondsMax == 500)
        #expect(configuration.limits.subscribersMax == 500)
        #expect(configuration.limits.packetLogBytesMax == 512 << 20)
        #expect(configuration.limits.windowMilliseconds == 3_000)
        #expect(configuration.limits.storedFilesMax == 7)
        #expect(configuration.limits.storedBlocks == 128)
        #expect(configuration.limits.storedBlockBytes == 128 << 10)
        #expect(configuration.limits.storedStallNanoseconds == 120_000_000_000)
        #expect(configuration.limits.storedWaitNanoseconds == 12_000_000_000)
        #expect(configuration.paths.map(\.name) == ["cam", "studio/one", "clip"])
        let cam = configuration.paths[0]
        #expect(cam.dial == .warm)
        #expect(cam.lingerMilliseconds == 1_500)
        #expect(cam.sourceWaitMilliseconds == 5_000)
        #expect(cam.transport == .tcp)
        #expect(cam.windowMilliseconds == 500)
        #expect(cam.bitRate == 4_000_000)
        #expect(configuration.paths[1].source == .publish)
        #expect(configuration.paths[2].source == .file("clips/a.rtpdump"))
    }

    /// What is wrong, and the one line that says so.
    @Test(arguments: [
        (
            "lisen: a:1",
            "weir.yml:1: lisen: unknown key; did you mean `listen`? (allowed: access, cache-age-max, cache-dir, cache-free-min, cache-memory-max, cache-object-max, cache-objects-max, cache-open-max, cache-size, cache-verify-rate, engine, forward-proxy, limits, listen, log-level, media-ports, paths, readers-max, register, then, users)"
        ),
        (
            "listen: a:b",
            "weir.yml:1: listen: `a:b` is no address to listen on: `b` is not a port from 0 to 65535; write HOST:PORT, for example 0.0.0.0:8554 or [::]:8554"
        ),
        ("log-level: [info]", "weir.yml:1: log-level: a single value is expected here"),
        (
            "listen: [\"a:1\", \"b:2\", \"a:1\"]",
            "weir.yml:1: listen: `a:1` is no address to listen on: it is there twice; write HOST:PORT, for example 0.0.0.0:8554 or [::]:8554"
        ),
        (
            "paths:\n  a:\n    source: publish\n    broadcast: true",
            "weir.yml:4: paths.a.broadcast: it is about ASF files, and the path's source is none; leave it out"
        ),
        (
            "paths:\n  a:\n    source: a.wmv\n    slate: last-key-frame",
            "weir.yml:4: paths.a.slate: it is about RTP, and the path's source is Windows Media (ASF); leave it out"
        ),
        ("engine:\n  workers: 65", "weir.yml:2: engine.workers: `65` is neither auto nor a whole number from 1 to 64"),
        ("engine:\n  workers: 0", "weir.yml:2: engine.workers: `0` is neither auto nor a whole number from 1 to 64"),
        (
            "engine:\n  zero-copy: yes",
            "weir.yml:2: engine.zero-copy: `yes` is not known; allowed: auto, off, on"
        ),
        (
            "engine:\n  max-delay: 1001ms",
            "weir.yml:2: engine.max-delay: `1001ms` is no duration from 0 to 1000ms; write a number with a unit, such as 500us or 2ms"
        ),
        (
            "engine:\n  backend: iouring",
            "weir.yml:2: engine.backend: `iouring` is not known; did you mean `io_uring`? (allowed: auto, epoll, io_uring, plain)"
        ),
        ("engine: 7", "weir.yml:1: engine: a map of keys and values is expected here"),
        ("limits:\n  stored-wait: 0", "weir.yml:2: limits.stored-wait: `0`: disks need some time; write 1s or more"),
        ("limits:\n  stored-block-bytes: 2MiB", "weir.yml:2: limits.stored-block-bytes: `2MiB` is not from 4KiB to 1024KiB"),
        ("limits:\n  sessions: -1", "weir.yml:2: limits.sessions: `-1` is no whole number from 1 to 200000"),
        (
            "media-ports: 5-5",
            "weir.yml:1: media-ports: `5-5` is no port range; write the first and the last, such as 30000-30999, with room for an even port and the next"
        ),
        (
            "paths:\n  cam:\n    sorce: x",
            "weir.yml:3: paths.cam.sorce: unknown key; did you mean `source`? (allowed: "
                + PathSettings.fields.map(\.key).sorted().joined(separator: ", ") + ")"
        ),
        (
            "paths:\n  cam:\n    source: publish\n    linger: 10",
            "weir.yml:4: paths.cam.linger: `10` is no duration; write a number with a unit, such as 500ms, 10s or 2m"
        ),
        (
            "paths:\n  cam:\n    source: publish\n    linger: 99999999999999999999s",
            "weir.yml:4: paths.cam.linger: `99999999999999999999s` is no duration; write a number with a unit, such as 500ms, 10s or 2m"
        ),
        (
            "paths:\n  cam:\n    source: publish\n    dial: never",
            "weir.yml:4: paths.cam.dial: `never` is not known; allowed: always, on-demand, warm"
        ),
        (
            "paths:\n  cam:\n    source: ftp://x/y",
            "weir.yml:3: paths.cam.source: a source of the kind `ftp://` is not built; write an rtsp:// or mmsh:// URL, a file (.asf, .wmv, .rtpdump) or publish"
        ),
        (
            "paths:\n  cam:\n    source: x.mp4",
            "weir.yml:3: paths.cam.source: `x.mp4` is neither a URL nor a file that can be played; write an rtsp:// URL, a file that ends in .asf, .wmv, .wma, .wsx, .asx, .sdp or .rtpdump, or publish"
        ),
        (
            "paths:\n  cam: {}",
            "weir.yml:2: paths.cam: it has no `source:`; write an rtsp:// or rtp:// URL, a file (.rtpdump, .sdp) or publish"
        ),
        (
            "paths:\n  'a b':\n    source: publish",
            "weir.yml:2: paths.a b: a path's name is made of printable ASCII without blanks and ? # % \" < > \\, at most 255 characters"
        ),
        ("paths:\n  a:\n    source: publish\n  /a/:\n    source: publish", "weir.yml:4: paths./a/: the path `a` is already there"),
    ])
    func namesWhatIsWrong(yaml: String, words: String) {
        let error = #expect(throws: ConfigurationErrors.self) { try Configuration.parse(yaml) }
        #expect(error?.errors.first?.description == words)
    }

    @Test func namesEverythingThatIsWrongAtOnce() {
        let error = #expect(throws: ConfigurationErrors.self) { try Configuration.parse("a: 1\nb: 2\nlog-level: loud") }
        #expect(error?.errors.count == 3)
    }

    @Test(arguments: [
        "paths: {cam: {source: 'rtsp://u:secret@h:x/'}}", "paths: {cam: {source: 'ftp://u:secret@h/'}}",
        "paths: {cam: {source: \"rtsp://u:secret@",
    ])
    func repeatsNoSecret(yaml: String) {
        let error = #expect(throws: ConfigurationErrors.self) { try Configuration.parse(yaml) }
        #expect(error?.description.contains("secret") == false)
    }

    @Test func theSummaryRepeatsNoSecret() throws {
        let configuration = try Configuration.parse("paths: {cam: {source: 'rtsp://u:secret@h/'}}")
        #expect(configuration.summary.contains("path /cam: rtsp://h/, on-demand"))
    }

    @Test(arguments: ["", "# nothing", "paths:"])
    func anEmptyFileIsAConfiguration(yaml: String) throws {
        #expect(try Configuration.parse(yaml).paths.isEmpty)
    }

    @Test func theEnvironmentGoesBeforeTheFile() throws {
        let configuration = try Configuration.parse(
            "listen: :1\npaths:\n  front-door:\n    source: publish",
            environment: [
                "WEIR_LISTEN": ":2", "WEIR_ENGINE_MAX_DELAY": "0", "WEIR_LIMITS_SESSIONS": "7", "WEIR_PATHS_FRONT_DOOR_SOURCE": "rtsp://h/",
                "WEIR_PATHS_FRONT_DOOR_SOURCE_WAIT": "3s", "WEIR_PATHS_NEW_SOURCE": "publish", "PATH": "/bin",
            ])
        #expect(configuration.listen.port == 2)
        #expect(configuration.limits.delayMicrosecondsMax == 0)
        #expect(configuration.limits.subscribersMax == 7)
        #expect(configuration.paths.map(\.name) == ["front-door", "new"])
        #expect(configuration.paths[0].source.description == "rtsp://h/")
        #expect(configuration.paths[0].sourceWaitMilliseconds == 3_000)
    }

    @Test(arguments: [
        ("WEIR_LISTN", "environment variable WEIR_LISTN: it means nothing; did you mean `WEIR_LISTEN`?"),
        ("WEIR_LIMITS_SESSIONS", "environment variable WEIR_LIMITS_SESSIONS: `x` is no whole number from 1 to 200000"),
        (
            "WEIR_PATHS_CAM_LINGER",
            "environment variable WEIR_PATHS_CAM_LINGER: there is no path for it: the file names none and WEIR_PATHS_CAM_SOURCE is not set"
        ),
        ("WEIR_PATHS_CAM", "environment variable WEIR_PATHS_CAM: it means nothing"),
    ])
    func namesTheVariableThatIsWrong(name: String, words: String) {
        let error = #expect(throws: ConfigurationErrors.self) { try Configuration.parse("", environment: [name: "x"]) }
        #expect(error?.description.hasPrefix(words) == true, "\(error?.description ?? "")")
    }

    @Test(arguments: [("0", 0), ("1ms", 1), ("2s", 2_000), ("3m", 180_000), ("1h", 3_600_000)])
    func readsDurations(text: String, milliseconds: Int) throws {
        #expect(try SettingValue.milliseconds(text) == milliseconds)
    }

    @Test(arguments: ["", "s", "-1s", "1", "1 s", "1.5s", "1us", "9223372036854775807h"])
    func refusesWhatIsNoDuration(text: String) {
        #expect(throws: ValueProblem.self) { try SettingValue.milliseconds(text) }
    }
}

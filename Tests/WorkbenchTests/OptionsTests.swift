import Testing

@testable import Workbench

struct OptionsTests {
    @Test(arguments: [
        "mmst://127.0.0.1/x", "mmsh://", "mmsh://127.0.0.1:0/x", "rtsps://127.0.0.1/x", "rtsp://", "rtsp://127.0.0.1:0/x",
        "rtsp://127.0.0.1:99999/x", "", "nonsense",
    ])
    func badURLsAreUsageErrors(_ url: String) {
        #expect { try LoadClient.run(LoadOptions(url: url)) } throws: { ($0 as? WorkbenchError)?.kind == .usage }
    }

    @Test func otherMachinesAreRefusedUnlessAllowed() {
        // TEST-NET-1 (RFC 5737): nothing is sent to it, the address alone decides.
        let error = #expect(throws: WorkbenchError.self) { try LoadClient.run(LoadOptions(url: "rtsp://192.0.2.1/x")) }
        #expect(error?.kind == .usage)
        #expect(error?.description.contains("--allow-remote") == true)
    }

    @Test(
        arguments: [
            { $0.sessions = 0 }, { $0.sessions = 1_000_000 }, { $0.duration = 0 }, { $0.duration = .nan }, { $0.settling = -1 },
            { $0.joinTimeout = 0 }, { $0.joinsInFlightMax = 0 }, { $0.joinsPerSecond = 0 }, { $0.serverProcess = -4 },
            { $0.joiners = -1 }, { $0.joiners = 10_000 }, { $0.processes = 0 }, { $0.processes = 65 },
            {
                $0.sessions = 3
                $0.processes = 4
            },
        ] as [@Sendable (inout LoadOptions) -> Void])
    func badLoadOptionsAreNamed(_ change: @Sendable (inout LoadOptions) -> Void) {
        var options = LoadOptions(url: "rtsp://127.0.0.1/x")
        change(&options)
        #expect { try options.check() } throws: { ($0 as? WorkbenchError)?.kind == .usage }
    }

    @Test(
        arguments: [
            { $0.subscribers = 0 }, { $0.subscribers = 1_000_000 }, { $0.packetsPerFrame = 0 }, { $0.packetSize = 12 },
            { $0.packetSize = 70_000 },
            { $0.duration = 0 }, { $0.framesPerSecond = 0 }, { $0.framesPerSecond = .nan }, { $0.destination = "" },
            { $0.destination = "127.0.0.1:" }, { $0.destination = "127.0.0.1:0" }, { $0.destination = "[::1]:70000" },
            {
                $0.destination = "127.0.0.1"
                $0.transport = .tcp
            },
        ] as [@Sendable (inout FanoutOptions) -> Void])
    func badFanoutOptionsAreNamed(_ change: @Sendable (inout FanoutOptions) -> Void) {
        var options = FanoutOptions()
        change(&options)
        #expect { try options.check() } throws: { ($0 as? WorkbenchError)?.kind == .usage }
    }

    @Test(
        arguments: [
            { $0.streams = 0 }, { $0.packetsPerFrame = 65 }, { $0.packetSize = 9_001 }, { $0.duration = -1 },
        ] as [@Sendable (inout IngestOptions) -> Void])
    func badIngestOptionsAreNamed(_ change: @Sendable (inout IngestOptions) -> Void) {
        var options = IngestOptions()
        change(&options)
        #expect { try options.check() } throws: { ($0 as? WorkbenchError)?.kind == .usage }
    }

    @Test(arguments: [
        ("127.0.0.1", 9, true), ("127.0.0.1:5000", 5_000, true), ("::1", 9, false), ("[::1]", 9, false), ("[::1]:7", 7, false),
    ])
    func destinationsAreRead(_ text: String, port: UInt16, isIPv4: Bool) throws {
        let there = try FanoutOptions.endpoint(text)
        #expect(there.port == port)
        #expect(there.isIPv4 == isIPv4)
        #expect(there.host.ipv4 == (isIPv4 ? 0x7F00_0001 : nil))
        #expect(there.host.low & 0xFF == 1)
    }

    @Test(arguments: [(10, 3), (7, 7), (1, 1), (20_001, 2)])
    func partsAddUp(number: Int, count: Int) {
        let shares = (0..<count).map { LoadPart(index: $0, count: count).share(of: number) }
        #expect(shares.reduce(0, +) == number)
        #expect((shares.max() ?? 0) - (shares.min() ?? 0) <= 1)
    }

    @Test func defaultsAreFine() throws {
        try LoadOptions(url: "rtsp://127.0.0.1/x").check()
        try FanoutOptions().check()
        try IngestOptions().check()
        try ProbeOptions(source: "x").check()
    }

    @Test func aServerThatIsNotThereFailsTheSessions() throws {
        // Bound, not listening: connects are refused at once.
        let held = try DatagramSocket(at: Endpoint(host: "127.0.0.1", port: 0))
        var options = LoadOptions(url: "rtsp://127.0.0.1:\(held.port)/x")
        options.sessions = 3
        options.joinTimeout = 2
        let report = try LoadClient.run(options)
        #expect(report.running.playing == 0)
        #expect(report.exitStatus == 1)
        #expect(report.failures.values.reduce(0, +) == 3)
    }
}

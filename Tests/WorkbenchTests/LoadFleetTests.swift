import Foundation
import Glibc
import Testing

@testable import Workbench

/// Several processes as one load: here each child is a thread behind the same pipes.
@Suite(.serialized)
struct LoadFleetTests {
    private func child(_ number: Int, _ body: @escaping @Sendable (_ input: Int32, _ output: Int32) -> Void) throws -> LoadChild {
        var down: [Int32] = [0, 0]
        var up: [Int32] = [0, 0]
        guard unsafe pipe(&down) == 0, unsafe pipe(&up) == 0 else { throw WorkbenchError("no pipe") }
        let (input, output) = (down[0], up[1])
        Thread.detachNewThread {
            body(input, output)
            close(input)
            close(output)
        }
        return LoadChild(number: number, process: nil, input: down[1], output: up[0])
    }

    @Test(arguments: ReaderTransport.allCases)
    func threeMakeOneReport(transport: ReaderTransport) throws {
        let origin = try ScriptedOrigin()
        defer { origin.stop() }
        var options = LoadOptions(url: origin.url())
        options.sessions = 20
        options.joiners = 10
        options.joinsPerSecond = 30
        options.processes = 3
        options.transport = transport
        options.duration = 1.5
        options.settling = 0.3
        options.serverProcess = getpid()
        try options.check()
        let report = try LoadFleet.run(options) { try child($0) { LoadClient.runAsChild(input: $0, output: $1) } }
        #expect((report.running.sessions, report.running.playing, report.running.lost) == (20, 20, 0))
        #expect((report.joiners?.sessions, report.joiners?.playing, report.joiners?.lost) == (10, 10, 0))
        #expect(report.running.joinMilliseconds.count == 20)
        #expect(report.processes == 3)
        #expect(report.exitStatus == 0)
        let rate = ScriptedOrigin.framesPerSecond * Double(ScriptedOrigin.packetsPerFrame)
        #expect(abs(report.packetsPerSecond / (20 * rate) - 1) < 0.15)
        #expect(abs((report.realTimeRatio ?? 0) - 1) < 0.15)
        #expect((report.serverMicrosecondsPerPacket ?? 0) > 0)
        #expect((report.serverCores ?? 0) > 0)
        #expect((report.serverResidentMiB ?? 0) > 1)
        #expect((report.lateness?.p50 ?? .infinity) < 30)
        #expect(report.spreadReaders == (report.sink == .ebpf ? 20 : 15))
    }

    @Test func aChildThatIsGoneIsAnError() throws {
        var options = LoadOptions(url: "rtsp://127.0.0.1:1/x")
        options.sessions = 2
        options.processes = 2
        let error = #expect(throws: WorkbenchError.self) {
            try LoadFleet.run(options) { number in
                try child(number) { input, output in
                    if number == 0 { return LoadClient.runAsChild(input: input, output: output) }
                }
            }
        }
        #expect(error?.description == "process 2 ended without a result")
    }

    @Test func whatAChildSaysIsTheError() throws {
        let options = LoadOptions(url: "rtsp://127.0.0.1:1/x")
        let error = #expect(throws: WorkbenchError.self) {
            try LoadFleet.run(options) { try child($0) { LoadLeader(input: $0, output: $1).tell(.failed("no luck")) } }
        }
        #expect(error?.description == "process 1: no luck")
    }

    /// The parent's end is the child's, wherever it is.
    @Test func aChildEndsWithItsParent() throws {
        let origin = try ScriptedOrigin()
        defer { origin.stop() }
        var options = LoadOptions(url: origin.url())
        options.sessions = 2
        options.duration = 1_000
        options.settling = 0
        let done = DispatchSemaphore(value: 0)
        let one = try child(0) {
            LoadClient.runAsChild(input: $0, output: $1)
            done.signal()
        }
        try one.order(.begin(options, .whole))
        while one.joined == nil { try one.listen() }
        let now = monotonicNanoseconds()
        try one.order(.window(start: now, end: now + 1_000_000_000_000))
        usleep(300_000)
        one.end()
        #expect(done.wait(timeout: .now() + 5) == .success)
    }

    /// Percentiles of all samples together, which the processes' percentiles do not tell.
    @Test func percentilesAreOfAllSamples() {
        var one = LoadTally()
        one.seconds = 1
        one.running.sessions = 98
        one.running.joinMilliseconds = Array(repeating: 1, count: 98)
        one.latenessMilliseconds = [1, 1, 1]
        one.running.realTimeRatios = [1, 1]
        one.failures = ["a": 1, "b": 1]
        var two = LoadTally()
        two.seconds = 1
        two.running.sessions = 2
        two.running.joinMilliseconds = [50, 100]
        two.latenessMilliseconds = [5]
        two.running.realTimeRatios = [0.5]
        two.failures = ["a": 2]
        let report = LoadReport(LoadOptions(url: "rtsp://127.0.0.1/x"), [one, two], server: nil)
        #expect(report.join?.p50 == 1)
        #expect(report.join?.p99 == 50)
        #expect(report.join?.max == 100)
        #expect(report.lateness?.p50 == 1)
        #expect(report.lateness?.max == 5)
        #expect(report.realTimeRatio == 1)
        #expect(report.failures == ["a": 3, "b": 1])
        #expect(report.running.sessions == 100)
    }

    @Test func serverIsChargedForAllPackets() {
        var tally = LoadTally()
        tally.seconds = 2
        tally.running.packets = 600
        tally.joiners.packets = 400
        var options = LoadOptions(url: "rtsp://127.0.0.1/x")
        options.joiners = 1
        let report = LoadReport(options, [tally], server: ServerCost(nanoseconds: 1_000_000, residentMiB: 7))
        #expect(report.serverMicrosecondsPerPacket == 1)
        #expect(report.serverCores == 0.0005)
        #expect(report.packetsPerSecond == 300)
    }
}

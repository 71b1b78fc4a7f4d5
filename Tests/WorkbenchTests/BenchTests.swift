import Glibc
import Testing

@testable import Workbench

/// The benches, small: that they measure, not what.
@Suite(.serialized)
struct BenchTests {
    @Test(arguments: ReaderTransport.allCases, [nil, 50.0])
    func fanoutMeasuresBothSides(transport: ReaderTransport, framesPerSecond: Double?) throws {
        var options = FanoutOptions()
        options.transport = transport
        options.subscribers = 20
        options.packetsPerFrame = 12
        options.duration = 1.2
        options.framesPerSecond = framesPerSecond
        options.gather = transport == .udp
        let report = try FanoutBench.run(options)
        #expect(report.packets > 0)
        // Each frame's packets are all accounted for. At a pace of its own the engine waits for nobody: on a busy machine it may drop some.
        #expect((report.packets + report.drops) % 240 == 0)
        if framesPerSecond == nil { #expect(report.drops == 0) }
        #expect((report.microsecondsPerPacket ?? 0) > 0)
        #expect((report.limitMicrosecondsPerPacket ?? 0) > 0)
        #expect((report.ratioToLimit ?? 0) > 0)
        #expect((report.meanTrain ?? 0) > 1)
        #expect((report.residentMiB ?? 0) > 1)
        #expect(!report.backend.isEmpty)
        #expect((report.lateness == nil) == (framesPerSecond == nil))
        #expect(report.workers == 1)
        let isBatched = report.backend == "epoll" && transport == .udp
        #expect(report.sendCall == (report.backend == "io_uring" ? "io_uring send" : isBatched ? "sendmmsg" : "sendmsg"))
        if transport == .udp {
            // Where the filter may not be used, arrivals are not known.
            #expect((report.missing != nil) == (report.sink == .ebpf))
            if framesPerSecond == nil { #expect((report.missing ?? 0) == 0) }
            if report.sink == .ebpf {
                #expect((report.spread?.p50 ?? 0) > 0)
                #expect((report.limitSpread?.p50 ?? 0) > 0)
            }
            #expect((report.gatherMicrosecondsPerPacket ?? 0) > 0)
        }
    }

    /// Frames of more packets than a train holds, and sinks that take packets one by one.
    @Test func fanoutCutsLongFrames() throws {
        var options = FanoutOptions()
        options.subscribers = 3
        options.packetsPerFrame = 150
        options.packetSize = 900
        options.duration = 0.6
        options.receiveGRO = false
        let report = try FanoutBench.run(options)
        #expect(report.drops == 0)
        #expect(report.missing == (report.sink == .ebpf ? 0 : nil))
        #expect((report.meanTrain ?? 0) > 12)
    }

    @Test(arguments: ReaderTransport.allCases)
    func fanoutSpreadsOverWorkers(transport: ReaderTransport) throws {
        var options = FanoutOptions()
        options.transport = transport
        options.subscribers = 30
        options.duration = 0.6
        options.engine.workers = 3
        let report = try FanoutBench.run(options)
        #expect(report.workers == 3)
        #expect(report.packets > 0)
        #expect(report.packets % 360 == 0)
        #expect(report.drops == 0)
        if transport == .udp { #expect(report.missing == (report.sink == .ebpf ? 0 : nil)) }
    }

    /// On loopback the kernel copies; forced on, every packet still arrives.
    @Test(arguments: ReaderTransport.allCases)
    func fanoutWithoutCopies(transport: ReaderTransport) throws {
        var options = FanoutOptions()
        options.transport = transport
        options.subscribers = 20
        options.packetsPerFrame = 40
        options.duration = 0.4
        options.engine.zeroCopy = .on
        let report = try FanoutBench.run(options)
        #expect(report.packets > 0)
        #expect(report.drops == 0)
        if transport == .udp { #expect(report.missing == (report.sink == .ebpf ? 0 : nil)) }
        if report.backend == "io_uring" {
            #expect(report.sendCall == "io_uring send_zc")
            #expect(report.zeroCopySent > 0)
        }
    }

    @Test(arguments: ["127.0.0.1", "[::1]"])
    func fanoutGoesElsewhere(host: String) throws {
        let address = host.filter { $0 != "[" && $0 != "]" }
        let there = try DatagramSocket(at: Endpoint(host: address, port: 0))
        try there.discardAll()
        var options = FanoutOptions()
        options.subscribers = 10
        options.duration = 0.4
        options.destination = "\(host):\(there.port)"
        let report = try FanoutBench.run(options)
        #expect(report.packets > 0)
        #expect(report.drops == 0)
        #expect(report.missing == nil)
        #expect(report.sink == nil)
        #expect(there.drops > report.packets)
        #expect((report.ratioToLimit ?? 0) > 0)
    }

    @Test(arguments: [1, 2])
    func finishedMeasuresBothSides(workers: Int) throws {
        var options = VerbatimOptions()
        options.transport = .udp
        options.subscribers = 20
        options.bitRate = 2_000_000
        options.duration = 1.2
        options.engine.workers = workers
        let report = try VerbatimBench.run(options)
        for side in [report.verbatim, report.interleaved] {
            #expect(side.packets > 0 && side.packets % 20 == 0)
            #expect((side.nanosecondsPerPacket ?? 0) > 0)
            #expect((side.meanTrain ?? 0) >= 1)
            #expect(side.lost == 0)
        }
        #expect((report.ratioToInterleaved ?? 0) > 0)
        #expect(report.drops == 0 && report.workers == workers)
        options.chunked = true
        #expect(throws: WorkbenchError.self) { try options.check() }
    }

    @Test(arguments: [false, true], [1, 2])
    func verbatimMeasuresBothSides(chunked: Bool, workers: Int) throws {
        var options = VerbatimOptions()
        options.subscribers = 20
        options.bitRate = 2_000_000
        options.packetSize = 1_400
        options.chunked = chunked
        options.duration = 1.2
        options.engine.workers = workers
        let report = try VerbatimBench.run(options)
        for side in [report.verbatim, report.interleaved] {
            #expect(side.packets > 0 && side.packets % 20 == 0)
            #expect((side.nanosecondsPerByte ?? 0) > 0)
            #expect((side.meanTrain ?? 0) >= 1)
            #expect(side.lost == 0)
            #expect((side.lateness == nil) == chunked)
        }
        #expect(report.verbatim.bytes == report.verbatim.packets * 1_400, "chunks are not counted")
        #expect((report.ratioToInterleaved ?? 0) > 0)
        #expect(report.drops == 0)
        #expect(report.workers == workers)
    }

    @Test func ingestMeasuresBothSides() throws {
        var options = IngestOptions()
        options.streams = 5
        options.duration = 0.8
        let report = try IngestBench.run(options)
        #expect(report.packets > 0)
        #expect(report.drops == 0)
        #expect((report.microsecondsPerPacket ?? 0) > 0)
        #expect((report.limitMicrosecondsPerPacket ?? 0) > 0)
        #expect((report.ratioToLimit ?? 0) > 0)
    }

    @Test func parsersAreMeasured() throws {
        let figures = try ParsersBench.run(seconds: 0.01)
        #expect(figures.map(\.name) == ["rtsp_request", "sdp", "rtp_header", "rtcp_compound", "h264_frame_marks"])
        #expect(figures.allSatisfy { $0.nanosecondsPerCall > 0 && $0.nanosecondsPerCall < 1e7 })
    }

    @Test func meterSeesTheTimeOfThreads() throws {
        var meter = try ProcessMeter(process: getpid())
        var none = try ProcessMeter(process: getpid()) { _, _ in false }
        let spent = { () -> Double in
            var time = timespec()
            unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
            return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
        }
        let began = spent()
        while spent() - began < 0.06 {}
        meter.poll()
        none.poll()
        #expect(meter.cpuNanoseconds > 20_000_000)
        #expect(none.cpuNanoseconds == 0)
        #expect(throws: WorkbenchError.self) { try ProcessMeter(process: .max) }
        #expect(ProcessMeter.residentMiB(of: .max) == nil)
    }

    @Test func anotherProcessReadsTCP() throws {
        let sinks = try StreamSinks(count: 5, sampled: 1)
        #expect(sinks.senders.count == 5)
        #expect(sinks.samples.count == 1)
        let bytes = [UInt8](repeating: 1, count: 10_000)
        for sender in sinks.senders { #expect(unsafe send(sender, bytes, bytes.count, 0) == bytes.count) }
        let end = monotonicNanoseconds() + 5_000_000_000
        while sinks.bytes < 40_000, monotonicNanoseconds() < end { usleep(1_000) }
        // The sampled connection's bytes are for us.
        #expect(sinks.bytes == 40_000)
        var chunk = [UInt8](repeating: 0, count: 20_000)
        #expect(unsafe recv(sinks.samples[0], &chunk, chunk.count, 0) == 10_000)
    }
}

import Glibc
import NIOCore
import Testing
import WireFormats

@testable import ControlPlane

@Suite struct ProgramLogTests {
    @Test func linesAreCutCleanedAndCounted() {
        var log = ProgramLog()
        #expect(log.take(Array("a\r\n\n  \nb\u{1B}[31mc\npart".utf8)[...], now: 0) == ["a", "b?[31mc"])
        #expect(log.take(Array("ial\r".utf8)[...], now: 1) == ["partial"])
        #expect(log.lastLine == "partial")
        let long = log.take(Array(repeating: UInt8(ascii: "x"), count: 1_000)[...] + [0x0A], now: 2)
        #expect(long == [String(repeating: "x", count: ProgramLog.lineBytesMax) + "…"])
    }

    @Test func aFloodIsLeftOutAndSaidOnce() {
        var log = ProgramLog()
        let flood = Array(String(repeating: "flood\n", count: 1_000).utf8)
        #expect(log.take(flood[...], now: 0).count == ProgramLog.linesMax)
        #expect(log.suppressed == UInt64(1_000 - ProgramLog.linesMax))
        #expect(log.take(Array("after\n".utf8)[...], now: ProgramLog.windowNanoseconds + 1) == ["(960 more lines)", "after"])
        #expect(log.end(now: ProgramLog.windowNanoseconds + 2) == [])
    }
}

@Suite struct ReportMappingTests {
    @Test(arguments: [
        // The same clock, another beginning; around 2^32 both ways; a clock of another rate.
        (ReportMapping(inputFirst: 1_000, inputClock: 90_000, outputFirst: 500_000, outputClock: 90_000), UInt32(91_000), UInt32(590_000)),
        (ReportMapping(inputFirst: 1_000, inputClock: 90_000, outputFirst: 500_000, outputClock: 90_000), 100, 499_100),
        (ReportMapping(inputFirst: 0xFFFF_FF00, inputClock: 90_000, outputFirst: 0xFFFF_FFF0, outputClock: 90_000), 0x100, 0x1F0),
        (ReportMapping(inputFirst: 0, inputClock: 8_000, outputFirst: 7, outputClock: 48_000), 8_001, 48_013),
        (ReportMapping(inputFirst: 8_000, inputClock: 8_000, outputFirst: 48_000, outputClock: 48_000), 0, 0),
    ])
    func aMomentIsTheSameOnBothClocks(mapping: ReportMapping, input: UInt32, output: UInt32) {
        #expect(mapping.output(input) == output)
    }

    @Test func aReportKeepsTheSourcesWallClock() {
        let mapping = ReportMapping(inputFirst: 0, inputClock: 90_000, outputFirst: 10, outputClock: 90_000)
        let report = RTCPSenderReport(ssrc: 1, ntp: NTPTime(77), rtpTimestamp: 90_000, packetCount: 3, octetCount: 4)
        let mapped = mapping.output(report, ssrc: 9)
        let later = report.moved(by: 1_500_000_000, clockRate: 90_000)
        #expect(later.ntp.value == 77 + 3 << 31 && later.rtpTimestamp == 225_000)
        #expect(mapped.ssrc == 9 && mapped.ntp == NTPTime(77) && mapped.rtpTimestamp == 90_010)
    }
}

@Suite struct BoundPortsTests {
    @Test func aSocketIsFoundByItsPort() throws {
        let descriptor = try BoundSocket.open(.datagram, at: try SocketAddress(ipAddress: "127.0.0.1", port: 0))
        let port = BoundSocket.port(of: descriptor)
        #expect(BoundPorts.isBound(port) == true)
        close(descriptor)
        #expect(BoundPorts.isBound(port) == false)
    }

    @Test func onlyThePortOfItsOwnEndCounts() {
        let list = Array("  sl  local rem\n  1: 0100007F:1F90 0100007F:C350 07\n  2: 00000000:0035 00000000:0000 07\n  3: x\n 4:\n".utf8)
        #expect(BoundPorts.contains(list, port: 8_080))
        #expect(BoundPorts.contains(list, port: 53))
        #expect(!BoundPorts.contains(list, port: 50_000))
        #expect(!BoundPorts.contains([], port: 1))
    }
}

@Suite struct ChildProcessTests {
    private func end(of child: ChildProcess, seconds: Double = 10) -> (ChildProcess.End?, String) {
        var text: [UInt8] = []
        for _ in 0..<Int(seconds * 100) {
            text += child.read(bytesMax: 4_096)
            if let end = child.ended() { return (end, String(decoding: text + child.read(bytesMax: 4_096), as: UTF8.self)) }
            usleep(10_000)
        }
        return (nil, String(decoding: text, as: UTF8.self))
    }

    private func start(_ script: String, limits: ChildProcess.Limits = .init(), environment: [String] = ["PATH=/usr/bin:/bin"]) throws
        -> ChildProcess
    {
        try ChildProcess(words: ["sh", "-c", script], environment: environment, directory: "/tmp", limits: limits)
    }

    @Test func itsWordsAndItsEndAreHeard() throws {
        let (end, text) = end(of: try start("echo out; echo err >&2; pwd; exit 3"))
        #expect(end == .exited(3) && end?.words == "it ended with status 3")
        #expect(text == "out\nerr\n/tmp\n")
    }

    @Test func itHasNothingOfOursButItsPipe() throws {
        let (_, text) = end(of: try start("ls -l /proc/self/fd; cat; echo end", environment: ["PATH=/usr/bin:/bin", "A=b"]))
        #expect(text.contains("0 -> /dev/null"))
        #expect(!text.contains("socket:") && !text.contains("io_uring"))
        #expect(text.hasSuffix("end\n"))
        let (_, variables) = end(of: try start("env", environment: ["PATH=/usr/bin:/bin", "A=b"]))
        #expect(variables.contains("A=b\n") && !variables.contains("HOME="))
    }

    @Test func aMissingProgramIsSaidInWords() {
        let error = #expect(throws: ChildProcess.Trouble.self) {
            try ChildProcess(words: ["no-such-program"], environment: [], directory: "/tmp", limits: .init())
        }
        #expect(error?.description == "cannot start `no-such-program`: No such file or directory; install it, or write its whole name")
    }

    @Test func itsWholeGroupEnds() throws {
        let child = try start("sleep 60 & echo $!; trap '' TERM; wait; sleep 60")
        var text = ""
        for _ in 0..<500 where !text.contains("\n") {
            text += String(decoding: child.read(bytesMax: 100), as: UTF8.self)
            usleep(10_000)
        }
        let grandchild = try #require(pid_t(text.split(separator: "\n").first.map(String.init) ?? ""))
        child.signal(SIGKILL)
        #expect(end(of: child).0 == .signalled(SIGKILL))
        // It needs the processor to die, and may then still wait for init to take note of it.
        var state: String?
        for _ in 0..<1_000 {
            state = (try? FileBytes.read("/proc/\(grandchild)/stat", bytesMax: 4_096)).map { String(decoding: $0, as: UTF8.self) }
            if state?.contains(") Z ") != false { break }
            usleep(10_000)
        }
        #expect(state == nil || state?.contains(") Z ") == true, "\(state ?? "")")
    }

    @Test func limitsHold() throws {
        let limits = ChildProcess.Limits(dataBytes: 1 << 30, cpuSeconds: 7, openFiles: 33, nice: 3)
        let (_, text) = end(of: try start("ulimit -d; ulimit -t; ulimit -n; ulimit -c; nice", limits: limits))
        #expect(text == "1048576\n7\n33\n0\n3\n")
    }

    @Test func aFolderIsPrivateAndGoes() throws {
        let folder = try PrivateFolder()
        try folder.write(Array("x".utf8), to: "a")
        var status = stat()
        #expect(unsafe stat(folder.path, &status) == 0 && status.st_mode & 0o777 == 0o700)
        #expect(unsafe stat(folder.file("a"), &status) == 0 && status.st_mode & 0o777 == 0o600)
        folder.remove()
        #expect(unsafe access(folder.path, F_OK) != 0)
    }

    @Test func aPipeIsOneConnection() throws {
        let pipe = try LoopbackPipe()
        defer {
            close(pipe.reader)
            close(pipe.source)
        }
        var bytes: [UInt8] = [1, 2, 3]
        #expect(unsafe write(pipe.reader, bytes, 3) == 3)
        usleep(10_000)
        #expect(unsafe read(pipe.source, &bytes, 3) == 3)
    }
}

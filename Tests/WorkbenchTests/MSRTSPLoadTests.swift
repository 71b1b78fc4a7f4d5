import Foundation
import Testing

@testable import Workbench

/// Load and probe against an origin of MS-RTSP.
@Suite(.serialized)
struct MSRTSPLoadTests {
    private static let media = TestASF(seconds: 4, bitRate: 400_000, packetBytes: 2_000)

    /// RTP packets a second: over UDP two for each ASF packet.
    private func packetsPerSecond(_ media: TestASF, _ transport: ReaderTransport) -> Double {
        Double(media.packets.count * (transport == .udp ? 2 : 1)) / (Double(media.milliseconds) / 1_000)
    }

    @Test(arguments: ReaderTransport.allCases, [false, true])
    func countsWhatIsLost(transport: ReaderTransport, isLossy: Bool) throws {
        let media = try #require(Self.media)
        let origin = try ScriptedOrigin(.init(isDropped: { isLossy && $0 % 20 == 3 }, windowsMedia: media))
        defer { origin.stop() }
        var options = LoadOptions(url: origin.url())
        options.sessions = 12
        options.transport = transport
        options.duration = 2
        options.settling = 0.3
        options.joinTimeout = 10
        options.serverProcess = getpid()
        let report = try LoadClient.run(options)
        #expect(report.running.playing == 12)
        #expect(report.isMSRTSP)
        #expect(report.exitStatus == (isLossy ? 3 : 0))
        let rounds = isLossy ? Double(report.running.packets) / 20 : 0
        #expect(abs(Double(report.running.lost) - rounds) <= (isLossy ? 12 + rounds * 0.1 : 0))
        #expect(abs(report.packetsPerSecond / (12 * packetsPerSecond(media, transport)) - (isLossy ? 0.95 : 1)) < 0.15)
        #expect(abs((report.realTimeRatio ?? 0) - 1) < 0.1)
    }

    @Test func probeSaysWhatItIs() throws {
        let media = try #require(Self.media)
        let origin = try ScriptedOrigin(.init(windowsMedia: media))
        defer { origin.stop() }
        var options = ProbeOptions(source: origin.url())
        options.duration = 2
        guard case .windowsMedia(let report) = try Probe.examine(options) else {
            Issue.record("not taken for Windows Media")
            return
        }
        #expect(report.transport == "tcp" && report.server == "WMServer/9.1.1.5000" && report.isBroadcast && !report.isSeekable)
        #expect(report.header.packetBytes == 2_000 && report.header.streams.map(\.kind) == [.video])
        #expect(report.scan.packets > 30 && report.scan.brokenPackets == 0 && report.lost == 0)
        #expect(report.text.contains("MS-RTSP over tcp"))
        #expect(throws: WorkbenchError.self) { try Probe.run(options) }
    }
}

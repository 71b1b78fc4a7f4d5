import Glibc
import Synchronization
import Testing
import WeirRelay

/// Hears everything.
private final class Observer: RelayReports {
    struct Heard {
        var source: [SourceReport] = []
        var reader: [ReaderReport] = []
        var relay: [RelayReport] = []
    }
    let heard = Mutex(Heard())

    func sourceReported(_ report: SourceReport) { heard.withLock { $0.source.append(report) } }
    func readerReported(_ report: ReaderReport) { heard.withLock { $0.reader.append(report) } }
    func relayReported(_ report: RelayReport) { heard.withLock { $0.relay.append(report) } }
}

/// Opens as Weir does, and remembers.
private final class Opener: MediaSocketOpener {
    let asked = Mutex<[MediaSocketRequest]>([])

    func openSocket(_ request: MediaSocketRequest) throws -> CInt {
        asked.withLock { $0.append(request) }
        return try SystemMediaSockets().openSocket(request)
    }
}

/// Turns each payload's first byte over.
private final class Flip: TrackTransform {
    let output: TrackFormat
    init(_ input: TransformInput) { output = input.format }

    func transform(_ packet: Span<UInt8>, _ fields: RTPFields, to output: TransformOutput) throws {
        var bytes = packet.indices.map { packet[$0] }
        bytes[fields.payload.lowerBound] ^= 0xFF
        try output.send(bytes.span)
    }
}

/// Numbers as they go over the wire.
private func bytes(_ words: [UInt32]) -> [UInt8] {
    var bytes: [UInt8] = []
    for word in words { for shift: UInt32 in [24, 16, 8, 0] { bytes.append(UInt8(word >> shift & 0xFF)) } }
    return bytes
}

@Suite(.serialized) struct ChainTests {
    /// A source of this program, a relay that pulls it through a transform, and a relay that pulls from that one.
    @Test func packetsAndReportsGoThroughThreeRelays() async throws {
        var ofOrigin = RelayExtensions()
        ofOrigin.sources["count"] = { dial in
            try await dial.describe([TrackFormat(kind: "audio", payloadType: 0, encodingName: "PCMU", clockRate: 8_000)])
            try await dial.playing()
            for number in 0... {
                let time = UInt32(number * 160)
                let head: [UInt8] = [0x80, 0, UInt8(number >> 8 & 0xFF), UInt8(number & 0xFF)]
                let packet: [UInt8] = head + bytes([time, 7]) + [UInt8](repeating: 0x55, count: 160)
                try dial.send(packet.span, track: 0)
                if number % 25 == 0 {
                    var now = timespec()
                    unsafe clock_gettime(CLOCK_REALTIME, &now)
                    let seconds = UInt32(now.tv_sec + 2_208_988_800), fraction = UInt32(now.tv_nsec) << 2
                    let report: [UInt8] = [0x80, 200, 0, 6] + bytes([7, seconds, fraction, time, 1, 1])
                    try dial.sendReport(report.span, track: 0)
                }
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        let origin = try EmbeddedRelay(yaml: quiet + "paths:\n  a:\n    source: count://1\n", extensions: ofOrigin, logger: Heard().logger)
        let first = try await origin.start()

        let observer = Observer(), opener = Opener()
        var ofMiddle = RelayExtensions()
        ofMiddle.reports = observer
        ofMiddle.sockets = opener
        ofMiddle.requestHeaders = { _, _ in [("User-Agent", "Camera/9"), ("X-Path", "b")] }
        ofMiddle.transforms["flip"] = { Flip($0) }
        let log = Heard()
        let middle = try EmbeddedRelay(
            yaml: quiet
                + "paths:\n  b:\n    source: \(first.url(of: "a"))\n    transport: udp\n    transform:\n      audio: { use: flip }\n",
            extensions: ofMiddle, logger: log.logger)
        let second = try await middle.start()
        let last = try EmbeddedRelay(
            yaml: quiet + "paths:\n  c:\n    source: \(second.url(of: "b"))\n    dial: always\n    transport: udp\n", logger: Heard().logger
        )
        try await last.start()

        var isWhole = false
        for _ in 0..<300 where !isWhole {
            try await Task.sleep(for: .milliseconds(50))
            isWhole = observer.heard.withLock { !$0.source.isEmpty && !$0.relay.isEmpty && !$0.reader.isEmpty }
        }
        let heard = observer.heard.withLock { $0 }
        #expect(isWhole, "\(heard) \(log.all.suffix(20))")
        #expect(heard.source.allSatisfy { $0.path == "b" && $0.track == 0 && $0.ntp >> 32 > 3_900_000_000 })
        #expect(heard.relay.first.map { $0.path == "b" && $0.lossPercent == 0 && $0.packetsLost == 0 } == true, "\(heard.relay)")
        #expect(
            heard.reader.first.map { $0.path == "b" && $0.lossPercent == 0 && $0.address.hasPrefix("127.0.0.1:") } == true,
            "\(heard.reader)")
        let asked = opener.asked.withLock { $0 }
        #expect(asked.contains { $0.purpose == .readers } && asked.contains { $0.purpose == .source })
        // The origin was told who asks. Where this process had no time for seconds, its reader may just have dialled again.
        var isTold = false
        for _ in 0..<300 where !isTold {
            isTold = try await origin.status().readers.shown.map(\.userAgent) == ["Camera/9"]
            if !isTold { try await Task.sleep(for: .milliseconds(50)) }
        }
        #expect(isTold, "\(log.all.suffix(20))")
        func transforms() async throws -> [TransformOverview] { try await middle.status().paths.first?.transforms ?? [] }
        for _ in 0..<300 where try await transforms().first?.state != .sending { try await Task.sleep(for: .milliseconds(50)) }
        let transform = try #require(try await transforms().first)
        #expect(transform.program == "flip" && transform.state == .sending && transform.starts == 1 && transform.failures == 0)
        var received: UInt64 = 0
        for _ in 0..<100 where received <= 100 {
            received = try await last.status().paths.first?.packetsReceived ?? 0
            try await Task.sleep(for: .milliseconds(100))
        }
        #expect(received > 100)
        // Ended from the far end on; the one that reads is told, and dials again.
        #expect(await origin.stop() == 0)
        #expect(await middle.stop() == 0)
        #expect(await last.stop() == 0)
    }

    private struct Closed: Error, CustomStringConvertible { let description = "the shop is closed" }
    private struct Refusing: MediaSocketOpener { func openSocket(_ request: MediaSocketRequest) throws -> CInt { throw Closed() } }

    @Test func withoutSocketsItDoesNotStart() async throws {
        var extensions = RelayExtensions()
        extensions.sockets = Refusing()
        let relay = try EmbeddedRelay(yaml: quiet, extensions: extensions, logger: Heard().logger)
        let error = await #expect(throws: (any Error).self) { try await relay.start() }
        #expect(error.map { "\($0)" }?.contains("the shop is closed") == true)
        #expect(await relay.stop() == 0)
    }
}

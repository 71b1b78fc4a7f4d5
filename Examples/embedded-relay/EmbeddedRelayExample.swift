@preconcurrency import Glibc
import Logging
import WeirRelay

let help = """
    usage: embedded-relay CONFIG

    Runs Weir's relay as the configuration file CONFIG says, with parts of its own that the file may name: the transforms
    `linear` (G.711 mu-law to 16-bit samples) and `brittle` (nothing but that it fails after 100 packets), and sources
    tone://HERTZ (a sawtooth). Ends with SIGINT or SIGTERM.
    """

nonisolated(unsafe) var isInterrupted: sig_atomic_t = 0

@main struct EmbeddedRelayExample {
    static func main() async {
        setvbuf(stdout, nil, _IOLBF, 0)
        let arguments = CommandLine.arguments.dropFirst()
        if arguments.contains("--help") || arguments.contains("-h") { return print(help) }
        guard arguments.count == 1, let file = arguments.first else { fail("one argument is needed, a file\n\n\(help)") }
        for number in [SIGINT, SIGTERM] { signal(number) { _ in isInterrupted = 1 } }
        do { try await run(file) } catch { fail("\(error)") }
    }

    static func run(_ file: String) async throws {
        var extensions = RelayExtensions()
        extensions.transforms["linear"] = { input in try Linear(input) }
        extensions.transforms["brittle"] = { input in Brittle(input) }
        extensions.sources["tone"] = tone
        extensions.reports = Watcher()
        let logger = Logger(label: "relay") { StreamLogHandler.standardError(label: $0) }
        let relay = try EmbeddedRelay(file: file, extensions: extensions, logger: logger)
        let addresses = try await relay.start()
        print("listening on \(addresses.host):\(addresses.port)")
        var said: [String: String] = [:]
        while isInterrupted == 0 {
            try await Task.sleep(for: .milliseconds(200))
            for path in try await relay.status(readers: 0).paths {
                for transform in path.transforms ?? [] {
                    let words = "\(transform.starts) starts, \(transform.failures) failures, \(transform.lastError ?? "no error")"
                    if said.updateValue(words, forKey: path.name) != words { print("\(path.name): \(transform.program): \(words)") }
                }
            }
        }
        print("ended, \(await relay.stop()) leaks")
    }
}

/// Tells what is lost on the way to the relay and from it.
struct Watcher: RelayReports {
    func readerReported(_ report: ReaderReport) { print("\(report.path): \(report.address) lost \(report.lossPercent) %") }
    func relayReported(_ report: RelayReport) { print("\(report.path): the relay lost \(report.lossPercent) %") }
}

/// G.711 mu-law to linear samples of 16 bits.
final class Linear: TrackTransform {
    let output: TrackFormat
    private static let samples = (0...UInt8.max).map { byte in
        let code = Int(~byte)
        let size = ((code & 0x0F) << 3 + 0x84) << ((code & 0x70) >> 4) - 0x84
        return Int16(code & 0x80 == 0 ? size : -size)
    }

    init(_ input: TransformInput) throws {
        guard input.format.encodingName.uppercased() == "PCMU" else { throw Unfit(codec: input.format.encodingName) }
        output = TrackFormat(kind: "audio", encodingName: "L16", clockRate: input.format.clockRate)
    }

    func transform(_ packet: Span<UInt8>, _ fields: RTPFields, to output: TransformOutput) throws {
        var result = header(type: 96, fields.sequence, fields.timestamp, isMarked: fields.isMarked)
        for index in fields.payload { append(Self.samples[Int(packet[index])], to: &result) }
        try output.send(result.span)
    }
}

struct Unfit: Error, CustomStringConvertible {
    let codec: String
    var description: String { "\(codec) is not mu-law" }
}

/// Fails after a hundred packets, as code does.
final class Brittle: TrackTransform {
    struct Broken: Error, CustomStringConvertible { let description = "broken after 100 packets" }

    let output: TrackFormat
    private var packets = 0

    init(_ input: TransformInput) { output = input.format }

    func transform(_ packet: Span<UInt8>, _ fields: RTPFields, to output: TransformOutput) throws {
        packets += 1
        if packets > 100 { throw Broken() }
        try output.send(packet)
    }
}

/// A sawtooth of as many hertz as the URL says, 50 packets a second.
@Sendable func tone(_ dial: SourceDial) async throws {
    guard let hertz = Int(dial.url.dropFirst("tone://".count)), (1...4_000).contains(hertz) else {
        throw SourceError.refused("`\(dial.url)` names no frequency from 1 to 4000")
    }
    try await dial.describe([TrackFormat(kind: "audio", encodingName: "L16", clockRate: 8_000)])
    try await dial.playing()
    let clock = ContinuousClock(), began = clock.now
    for number in 0... {
        let first = number * 160
        var packet = header(type: 96, UInt16(truncatingIfNeeded: number), UInt32(truncatingIfNeeded: first), isMarked: number == 0)
        for sample in first..<(first + 160) { append(Int16(sample * hertz % 8_000 * 8 - 32_000), to: &packet) }
        try dial.send(packet.span, track: 0)
        try await clock.sleep(until: began + .milliseconds(20 * (number + 1)))
    }
}

/// The header of an RTP packet; the relay puts its own SSRC.
func header(type: UInt8, _ sequence: UInt16, _ timestamp: UInt32, isMarked: Bool) -> [UInt8] {
    [0x80, type | (isMarked ? 0x80 : 0), UInt8(sequence >> 8), UInt8(sequence & 0xFF)]
        + [24, 16, 8, 0].map { UInt8(timestamp >> UInt32($0) & 0xFF) } + [0, 0, 0, 1]
}

func append(_ sample: Int16, to packet: inout [UInt8]) {
    packet.append(UInt8(truncatingIfNeeded: sample >> 8))
    packet.append(UInt8(truncatingIfNeeded: sample))
}

func fail(_ words: String) -> Never {
    fputs("embedded-relay: \(words)\n", stderr)
    exit(1)
}

import CSinks
import Glibc
import Signalling
import WireFormats

/// What to probe.
package struct ProbeOptions: Sendable {
    /// A URL of RTSP (plain, or Windows Media's) or of Windows Media over HTTP, an rtpdump file beside its SDP, or an ASF file.
    package var source: String
    /// Seconds to listen, or of the recording to look at.
    package var duration = 5.0
    /// Seconds until a server that does not play is given up.
    package var patience = 15.0

    /// The defaults for a source.
    package init(source: String) { self.source = source }

    /// Throws a usage error for a value that cannot be.
    package func check() throws(WorkbenchError) {
        guard duration > 0, duration <= 86_400 else { throw .usage("--duration \(duration): above 0 and at most 86400 seconds") }
    }
}

/// What a probe found out about whatever it was.
package enum ProbeResult: Sendable {
    case stream(ProbeReport)
    case asf(ASFProbeReport)
    case windowsMedia(WMSPProbeReport)

    /// The result as one JSON object.
    package var json: JSONValue {
        switch self {
        case .stream(let report): report.json
        case .asf(let report): report.json
        case .windowsMedia(let report): report.json
        }
    }

    /// The result for people.
    package var text: String {
        switch self {
        case .stream(let report): report.text
        case .asf(let report): report.text
        case .windowsMedia(let report): report.text
        }
    }
}

/// Looks at a stream: its tracks, codecs, bit rates and key frames.
package enum Probe {
    /// Looks at a stream or at a file of any kind that is known.
    package static func examine(_ options: ProbeOptions) throws -> ProbeResult {
        try options.check()
        if WMSPSourceURL.isOne(options.source) { return .windowsMedia(try WMSPProbe.run(options)) }
        guard options.source.contains("://") || !ASFFileProbe.takes(options.source) else { return .asf(try ASFFileProbe.run(options)) }
        return try play(options)
    }

    /// What a stream of plain RTP is, or a recording.
    package static func run(_ options: ProbeOptions) throws -> ProbeReport {
        try options.check()
        guard case .stream(let report) = try play(options) else {
            throw WorkbenchError("\(options.source) is Windows Media, of which there is no report by tracks")
        }
        return report
    }

    /// Plays the stream for a while, over TCP and if the server refuses that over UDP; or reads a recording.
    private static func play(_ options: ProbeOptions) throws -> ProbeResult {
        guard options.source.contains("://") else { return .stream(try RecordingProbe.run(options)) }
        let url = try LoadClient.url(options.source)
        do {
            return try StreamProbe(url, .tcp).run(options)
        } catch let error as WorkbenchError where error.kind == .transportRefused {
            progress("\(error.description); trying UDP")
            return try StreamProbe(url, .udp).run(options)
        }
    }
}

/// One reader's session that looks at every packet.
private final class StreamProbe {
    private let url: RTSPURL
    private let transport: ReaderTransport
    private let poller: Poller
    private let connection: ReaderConnection
    private let readMemory = ReadMemory()
    private let packetReader = PacketReader()
    private var machine: ReaderMachine
    private var pairs: [DatagramPair] = []
    private var tracks: [TrackProbe] = []
    private var asf: ASFStreamProbe?
    private var isConnected = false

    init(_ url: RTSPURL, _ transport: ReaderTransport) throws {
        self.url = url
        self.transport = transport
        poller = try Poller()
        connection = try ReaderConnection(to: Endpoint(host: url.host, port: url.portOrDefault), timestamps: true)
        machine = ReaderMachine(url: url, transport: transport, seed: UInt64.random(in: 0 ... .max))
        try poller.add(connection.number, events: Poller.readable | Poller.writable, key: 0)
    }

    func run(_ options: ProbeOptions) throws -> ProbeResult {
        let patience = monotonicNanoseconds() + UInt64(options.patience * 1e9)
        while !machine.isPlaying {
            guard monotonicNanoseconds() < patience else {
                throw WorkbenchError("\(url): the server does not play within \(options.patience) s")
            }
            try turn()
        }
        let start = monotonicNanoseconds()
        let end = start + UInt64(options.duration * 1e9)
        var keepAlive = start + UInt64(machine.timeoutSeconds) * 500_000_000
        while monotonicNanoseconds() < end {
            if monotonicNanoseconds() >= keepAlive {
                keepAlive += UInt64(machine.timeoutSeconds) * 500_000_000
                try connection.send(machine.keepAlive())
            }
            try turn()
        }
        try? connection.send(machine.tearDown())
        let seconds = Double(monotonicNanoseconds() - start) / 1e9
        if let asf, let description = machine.windowsMedia {
            return .windowsMedia(
                asf.report(source: url.description, transport: transport.rawValue, server: machine.server, description, seconds: seconds))
        }
        return .stream(
            ProbeReport(
                source: url.description, transport: transport.rawValue, duration: seconds,
                tracks: zip(tracks, machine.tracks).map { $0.report($1) },
                description: String(decoding: machine.description, as: UTF8.self)))
    }

    private func turn() throws {
        try poller.wait(nanoseconds: 50_000_000) { ready in
            if ready.key > 0 {
                let track = Int(ready.key) - 1
                packetReader.read(pairs[track].rtp.number) { packet, bytes in
                    tracks[track].take(bytes, seconds: Double(packet.arrivalNanoseconds) / 1e9)
                    asf?.take(bytes)
                }
                return
            }
            if ready.isWritable, !isConnected {
                try connection.finishConnecting()
                isConnected = true
                try connection.send(machine.describe())
            }
            if ready.isReadable { try read() }
            try connection.flush()
            try poller.change(
                connection.number, events: Poller.readable | (connection.wantsToWrite ? Poller.writable : 0), key: 0)
        }
    }

    private func read() throws {
        let messages = try connection.read(with: readMemory) { channel, bytes, arrival in
            guard let track = machine.tracks.firstIndex(where: { $0.channels?.rtp == channel }), track < tracks.count else { return }
            tracks[track].take(bytes, seconds: Double(arrival) / 1e9)
            asf?.take(bytes)
        }
        guard let messages else { throw WorkbenchError("\(url): the server closed the connection") }
        for response in try connection.answers(in: messages) {
            switch try machine.take(response) {
            case .send(let bytes): try connection.send(bytes)
            case .described: try connection.send(machine.setUp(clientPorts: try prepare()))
            case .playing, .none: break
            }
        }
    }

    private func prepare() throws -> [PortPair] {
        tracks = machine.tracks.map { TrackProbe(codec: $0.codec, clockRate: $0.clockRate) }
        asf = try machine.windowsMedia.map { try ASFStreamProbe($0) }
        guard transport == .udp else { return [] }
        var ports = try PortPairs(on: try connection.localEndpoint(), part: .whole, sharesRTCP: false)
        for index in tracks.indices {
            let pair = try ports.take(receiveGRO: false, timestamps: true, receiveBytes: 4 << 20)
            try poller.add(pair.rtp.number, events: Poller.readable, key: UInt64(index + 1))
            pairs.append(pair)
        }
        return pairs.map(\.ports)
    }
}

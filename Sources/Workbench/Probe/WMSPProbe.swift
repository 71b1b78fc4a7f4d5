import Signalling
import WireFormats

/// Looks at what a server of Windows Media over HTTP offers: describes it, and plays it for a while.
final class WMSPProbe {
    private let options: ProbeOptions
    private var url: WMSPSourceURL
    private let poller: Poller
    private let memory = ReadMemory()
    private var machine: WMSPClient
    private var trail: [WMSPSourceURL] = []
    private var connection: ReaderConnection?
    private var isConnected = false

    private var header: ASFHeader?
    private var metadata: WMSPMetadata?
    private var scan: ASFScan?
    private var account = SequenceAccount()
    /// What was lost until the newest header.
    private var lostBefore: UInt64 = 0
    private var sawHeaders = 0
    private var isPlaying = false
    private var ended: String?
    private var playingSince: UInt64 = 0

    static func run(_ options: ProbeOptions) throws(WorkbenchError) -> WMSPProbeReport {
        let url: WMSPSourceURL
        do throws(WMSPSourceURL.Trouble) { url = try WMSPSourceURL(options.source) } catch { throw .usage(error.description) }
        return try WMSPProbe(options, url).run()
    }

    private init(_ options: ProbeOptions, _ url: WMSPSourceURL) throws(WorkbenchError) {
        self.options = options
        self.url = url
        poller = try Poller()
        machine = Self.machine(url, after: [])
    }

    private static func machine(_ url: WMSPSourceURL, after trail: [WMSPSourceURL]) -> WMSPClient {
        var settings = WMSPClient.Settings(url: url) { String(UInt64.random(in: 0 ... .max), radix: 16) }
        // Servers tell a player of version 9 most, the playlist's words among it.
        settings.userAgent = LoadOptions(url: "").userAgent
        settings.trail = trail
        return WMSPClient(settings: settings)
    }

    private func run() throws(WorkbenchError) -> WMSPProbeReport {
        try perform(machine.start(now: now))
        let patience = monotonicNanoseconds() + UInt64(options.patience * 1e9)
        while ended == nil {
            let moment = monotonicNanoseconds()
            if isPlaying, moment >= playingSince + UInt64(options.duration * 1e9) { break }
            guard isPlaying || moment < patience else {
                throw WorkbenchError("\(url): the server does not play within \(options.patience) s")
            }
            try turn()
        }
        guard let header, let scan else { throw WorkbenchError("\(url): \(ended ?? "nothing came")") }
        return WMSPProbeReport(
            source: url.description, server: machine.server?.text, features: machine.features, header: header, metadata: metadata,
            scan: scan,
            lost: lostBefore &+ account.lost, headers: sawHeaders, seconds: Double(monotonicNanoseconds() - playingSince) / 1e9,
            ended: ended)
    }

    private var now: UInt64 { monotonicNanoseconds() / 1_000_000 }

    private func turn() throws(WorkbenchError) {
        var caught: WorkbenchError?
        do {
            try poller.wait(nanoseconds: 50_000_000) { ready in
                guard let connection, ready.key == UInt64(connection.number) else { return }
                if ready.isWritable {
                    if isConnected {
                        try connection.flush()
                    } else {
                        try connection.finishConnecting()
                        isConnected = true
                        try perform(machine.connected(.media, now: now))
                    }
                    if let connection = self.connection {
                        let events = Poller.readable | (connection.wantsToWrite ? Poller.writable : 0)
                        try poller.change(connection.number, events: events, key: UInt64(connection.number))
                    }
                }
                if ready.isReadable { try read() }
            }
        } catch {
            caught = error as? WorkbenchError ?? WorkbenchError("\(error)")
        }
        if let caught { throw caught }
        try perform(machine.timeElapsed(now: now))
    }

    private func read() throws(WorkbenchError) {
        guard let connection else { return }
        var bytes: [UInt8] = []
        let isOpen = try connection.receive(with: memory) { span, _ throws(WorkbenchError) in
            bytes.reserveCapacity(span.count)
            for index in span.indices { bytes.append(span[index]) }
            return span.count
        }
        if !bytes.isEmpty { try perform(machine.received(.media, bytes, now: now)) }
        guard !isOpen, self.connection === connection else { return }
        try perform(machine.closed(.media, now: now))
    }

    private func perform(_ actions: [WMSPClient.Action]) throws(WorkbenchError) {
        var actions = actions
        var next = 0
        while next < actions.count {
            defer { next += 1 }
            switch actions[next] {
            case .connect(.media): try connect()
            case .send(.media, let bytes): try connection?.send(bytes)
            case .close(.media): hangUp()
            case .connect(.feedback), .send(.feedback, _), .close(.feedback): break
            case .described(let bytes, let metadata):
                take(bytes, metadata)
                // An answer that runs on into the media is the Play already.
                if !actions[next...].contains(where: \.isPlaying) { actions += machine.play(nil, from: .beginning, now: now) }
            case .playing(let bytes, let metadata):
                take(bytes, metadata)
                sawHeaders = 1
                isPlaying = true
                playingSince = monotonicNanoseconds()
            case .headerChanged(let bytes, let metadata, _):
                take(bytes, metadata)
                sawHeaders += 1
                lostBefore &+= UInt64(account.lost)
                account = SequenceAccount()
            case .packet(let number, let bytes):
                account.take(UInt16(truncatingIfNeeded: number))
                scan?.take(bytes.span, number: Int(number))
            case .entryEnded, .left: break
            case .ended(let reason):
                ended = reason.isFailure ? "the server ended the media with the failure \(reason)" : "the media came to its end"
            case .redirected(let other):
                trail.append(url)
                url = other
                machine = Self.machine(other, after: trail)
                actions += machine.start(now: now)
            case .failed(let failure):
                guard isPlaying else { throw WorkbenchError("\(url): \(failure)") }
                ended = failure.description
            }
        }
    }

    /// What is looked at is the first header's: with another one it begins anew.
    private func take(_ bytes: [UInt8], _ metadata: WMSPMetadata?) {
        if let metadata { self.metadata = metadata }
        guard let new = try? ASFHeader(bytes.span), new != header else { return }
        header = new
        scan = ASFScan(header: new)
    }

    private func connect() throws(WorkbenchError) {
        hangUp()
        let connection = try ReaderConnection(to: Endpoint(host: url.host, port: url.port), timestamps: false)
        try poller.add(connection.number, events: Poller.readable | Poller.writable, key: UInt64(connection.number))
        self.connection = connection
    }

    private func hangUp() {
        if let connection { poller.remove(connection.number) }
        connection = nil
        isConnected = false
    }
}

extension WMSPClient.Action {
    /// Whether media begins with it.
    var isPlaying: Bool {
        guard case .playing = self else { return false }
        return true
    }
}

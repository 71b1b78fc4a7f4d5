import Signalling
import WireFormats

extension WMSPLoadClient {
    /// The conversation of one session.
    func machine(for url: WMSPSourceURL, trail: [WMSPSourceURL]) -> WMSPClient {
        var settings = WMSPClient.Settings(url: url) { String(UInt64.random(in: 0 ... .max), radix: 16) }
        settings.userAgent = options.userAgent
        settings.trail = trail
        settings.answerMilliseconds = UInt64(options.joinTimeout * 1_000) + 1_000
        return WMSPClient(settings: settings)
    }

    /// What became ready on one of the descriptors.
    func handle(_ ready: Poller.Ready) throws {
        guard ready.key != UInt64(LoadClient.leaderIndex) else { return try leader?.listen() ?? () }
        let session = sessions[Int(ready.key)]
        guard let connection = session.connection else { return }
        if ready.isWritable {
            guarded(session) { () throws(WorkbenchError) in
                if session.isConnected {
                    try connection.flush()
                } else {
                    try connection.finishConnecting()
                    session.isConnected = true
                    if session.describedNanoseconds == 0 { session.describedNanoseconds = monotonicNanoseconds() }
                    try perform(session.machine.connected(.media, now: Self.milliseconds), of: session)
                }
                try watch(session)
            }
        }
        if ready.isReadable { read(session) }
    }

    private func watch(_ session: WMSPLoadSession) throws(WorkbenchError) {
        guard let connection = session.connection else { return }
        let events = Poller.readable | (connection.wantsToWrite ? Poller.writable : 0)
        try poller.change(connection.number, events: events, key: UInt64(session.index))
    }

    /// Runs a step of a session, which ends with it where it fails.
    func guarded(_ session: WMSPLoadSession, _ body: () throws(WorkbenchError) -> Void) {
        do throws(WorkbenchError) { try body() } catch { end(session, error.description) }
    }

    /// Reads what is there.
    func read(_ session: WMSPLoadSession) {
        guard let connection = session.connection else { return }
        guarded(session) { () throws(WorkbenchError) in
            let isOpen = try connection.receive(with: memory) { bytes, arrival throws(WorkbenchError) in
                try take(bytes, arrival, of: session)
            }
            guard !isOpen, session.connection === connection else { return }
            if case .walked = session.reading { return end(session, "the server closed the connection") }
            try perform(session.machine.closed(.media, now: Self.milliseconds), of: session)
        }
        // Once its first packet has been seen in time it is swept; nobody needs to be woken for it.
        if !session.isSampled, !session.isSwept, session.phase == .playing, session.firstPacketNanoseconds != nil {
            session.isSwept = true
            if let connection = session.connection { poller.remove(connection.number) }
            swept.append(session)
        }
    }

    /// Bytes of a connection; how many of them were taken.
    private func take(_ bytes: Span<UInt8>, _ arrival: UInt64, of session: WMSPLoadSession) throws(WorkbenchError) -> Int {
        switch session.reading {
        case .parsed: break
        case .head: return try takeHead(bytes, arrival, of: session)
        case .walked(var walk):
            var ended: WMSPReason?
            let used = try walk.take(bytes) { step in
                switch step {
                case .data(let number, let sendTime, _): note(number, sendTime, arrival, of: session)
                case .header: session.tookHeader()
                case .end(let reason): ended = reason
                }
            }
            session.reading = .walked(walk)
            if let ended { end(session, Self.words(ended)) }
            return used
        }
        var copy: [UInt8] = []
        copy.reserveCapacity(bytes.count)
        for index in bytes.indices { copy.append(bytes[index]) }
        try perform(session.machine.received(.media, copy, now: Self.milliseconds), of: session, arrival: arrival)
        return bytes.count
    }

    /// The answer to Play: its head is for the machine, what follows a success is walked over.
    private func takeHead(_ bytes: Span<UInt8>, _ arrival: UInt64, of session: WMSPLoadSession) throws(WorkbenchError) -> Int {
        var used = 0
        while used < bytes.count, !Self.isWhole(session.head) {
            session.head.append(bytes[used])
            used += 1
        }
        guard Self.isWhole(session.head) || session.head.count > HTTPResponseReader.clientLimits.headBytesMax else { return used }
        let head = session.head
        let actions = session.machine.received(.media, head, now: Self.milliseconds)
        // A success asks for nothing; a challenge, a redirection and a refusal do.
        guard actions.isEmpty else {
            try perform(actions, of: session, arrival: arrival)
            return bytes.count
        }
        let text = String(decoding: head, as: UTF8.self).lowercased()
        if text.contains("\ntransfer-encoding:") {
            session.reading = .parsed
        } else {
            session.reading = .walked(WMSPWalk())
            begins(session)
        }
        return try used + take(bytes.extracting(used...), arrival, of: session)
    }

    private static func isWhole(_ head: [UInt8]) -> Bool {
        head.last == 10 && (head.suffix(4) == [13, 10, 13, 10] || head.suffix(2) == [10, 10])
    }

    private func begins(_ session: WMSPLoadSession) {
        guard session.isPending else { return }
        if session.phase == .describing { inFlight -= 1 }
        session.phase = .playing
        pending -= 1
    }

    private func note(_ number: UInt32, _ sendTime: UInt32?, _ arrival: UInt64, of session: WMSPLoadSession) {
        session.take(number: number, sendTime: sendTime, arrivalNanoseconds: arrival)
        guard session.isSampled, let sendTime else { return }
        spreadLog.take(sequence: UInt16(truncatingIfNeeded: number), timestamp: sendTime, arrivalNanoseconds: arrival)
    }

    /// Does what the conversation wants, in order: what follows from one thing comes behind those that were asked for before.
    func perform(_ actions: [WMSPClient.Action], of session: WMSPLoadSession, arrival: UInt64 = 0) throws(WorkbenchError) {
        var actions = actions
        var next = 0
        while next < actions.count {
            defer { next += 1 }
            switch actions[next] {
            case .connect(.media): try connect(session)
            case .send(.media, let bytes): try session.connection?.send(bytes)
            case .close(.media): hangUp(session)
            case .connect(.feedback), .send(.feedback, _), .close(.feedback): break
            case .described(let header, _):
                guard session.phase == .describing else { continue }
                let position = try position(of: session, header: header)
                session.phase = .starting
                inFlight -= 1
                // An answer that runs on into the media is the Play already; nothing is to be asked again.
                if !actions[next...].contains(where: \.isPlaying) {
                    actions += session.machine.play(nil, from: position, now: Self.milliseconds)
                }
            case .playing:
                begins(session)
                session.tookHeader()
            case .headerChanged: session.tookHeader()
            case .packet(let number, let bytes):
                note(number, ASFPacket.sendTime(ofHead: bytes.span), arrival, of: session)
            case .entryEnded: break
            case .ended(let reason): end(session, Self.words(reason))
            case .left: break
            case .redirected(let url):
                session.trail.append(session.url)
                session.url = url
                session.machine = machine(for: url, trail: session.trail)
                if session.phase == .starting {
                    session.phase = .describing
                    inFlight += 1
                }
                actions += session.machine.start(now: Self.milliseconds)
            case .failed(let failure): end(session, failure.description)
            }
        }
    }

    private func connect(_ session: WMSPLoadSession) throws(WorkbenchError) {
        hangUp(session)
        let connection = try ReaderConnection(to: endpoint(of: session.url), timestamps: session.isSampled)
        try poller.add(connection.number, events: Poller.readable | Poller.writable, key: UInt64(session.index))
        session.connection = connection
        // A Describe's answer may run on into the media.
        if session.phase == .describing { session.reading = .parsed }
    }

    private func hangUp(_ session: WMSPLoadSession) {
        if let connection = session.connection { poller.remove(connection.number) }
        session.drop()
    }

    /// Where a session is to begin.
    private func position(of session: WMSPLoadSession, header bytes: [UInt8]) throws(WorkbenchError) -> WMSPPosition {
        guard options.positions == .spread else { return .beginning }
        let header: ASFHeader
        do throws(ASFHeaderError) { header = try ASFHeader(bytes.span) } catch { throw WorkbenchError(error.description) }
        guard let length = header.file.contentMilliseconds else {
            throw WorkbenchError("the server does not say how long this is; --positions spread wants a file on demand")
        }
        // All must last through the run: the joining, the settling, the window and a little more.
        let run = Double(options.sessionsInAll) / options.joinsPerSecond + options.settling + options.duration + 5
        let room = Double(length) - run * 1_000
        guard room > 0 else {
            throw WorkbenchError(
                "the file lasts \(length / 1_000) s and the run about \(Int(run)) s: --positions spread wants a longer file, or a shorter --duration"
            )
        }
        let place = (Double(part.index) + (Double(session.index) + 0.5) / Double(options.sessionsInAll)) / Double(part.count)
        return .time(milliseconds: UInt32(min(place * room, 4_294_967_000)))
    }

    private static func words(_ reason: WMSPReason) -> String {
        reason.isFailure ? "the server ended the media with the failure \(reason)" : "the media came to its end"
    }

    /// A session is over, before it played or after.
    func end(_ session: WMSPLoadSession, _ reason: String) {
        switch session.phase {
        case .describing, .starting:
            if session.phase == .describing { inFlight -= 1 }
            pending -= 1
            session.phase = .failed(reason)
        case .playing: session.phase = .died(reason)
        case .failed, .died: return
        }
        failures[reason, default: 0] += 1
        hangUp(session)
    }
}

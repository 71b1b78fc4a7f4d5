import WireFormats

extension LoadClient {
    /// What became ready on one of the descriptors.
    func handle(_ ready: Poller.Ready) throws {
        let index = Int(ready.key >> 8)
        let part = Int(ready.key & 0xFF)
        if index == Self.leaderIndex {
            try leader?.listen()
            return
        }
        guard let session = index == Self.sourceIndex ? source : sessions[index] else { return }
        if part > 0 {
            readDatagrams(session, track: part - 1)
            return
        }
        do {
            if ready.isWritable {
                if session.phase == .connecting {
                    try session.connection.finishConnecting()
                    session.phase = .joining
                    session.describedNanoseconds = monotonicNanoseconds()
                    try session.connection.send(session.machine.describe())
                } else {
                    try session.connection.flush()
                }
                try watch(session)
            }
            if ready.isReadable { try read(session) }
        } catch let error as WorkbenchError {
            end(session, error.description)
        }
    }

    private func watch(_ session: LoadSession) throws {
        let events = Poller.readable | (session.connection.wantsToWrite ? Poller.writable : 0)
        try poller.change(session.connection.number, events: events, key: Self.key(session.index, 0))
    }

    func read(_ session: LoadSession) throws {
        let messages = try session.connection.read(with: readMemory) { channel, bytes, arrival in
            if let packet = ArrivedPacket(bytes, arrivalNanoseconds: arrival) { take(packet, channel: channel, of: session) }
        }
        guard let messages else { return end(session, "the server closed the connection") }
        for response in try session.connection.answers(in: messages) { try take(response, of: session) }
        // Once its first packet has been seen in time it is swept; nobody needs to be woken for it.
        if session.reading != .watched, !session.isSwept, session.phase == .playing, session.firstPacketNanoseconds != nil {
            session.isSwept = true
            poller.remove(session.connection.number)
            swept.append(session)
        }
    }

    private func take(_ response: RTSPResponse, of session: LoadSession) throws {
        switch try session.machine.take(response) {
        case .none: break
        case .send(let bytes):
            try session.connection.send(bytes)
            // The last request of joining: PLAY may be held until a key frame, so others may begin meanwhile.
            if session.machine.isStarting, session.phase == .joining {
                session.phase = .starting
                if session.index != Self.sourceIndex { inFlight -= 1 }
            }
        case .described:
            try prepare(session)
            try session.connection.send(session.machine.setUp(clientPorts: session.pairs.map(\.ports)))
        case .playing:
            session.phase = .playing
            session.keepAliveNanoseconds = monotonicNanoseconds() + keepAliveInterval(session)
            guard session.index != Self.sourceIndex else { return }
            pending -= 1
        }
    }

    private func take(_ packet: ArrivedPacket, channel: UInt8, of session: LoadSession) {
        guard let track = session.machine.tracks.firstIndex(where: { $0.channels?.rtp == channel }), track < session.accounts.count else {
            return
        }
        if session.firstPacketNanoseconds == nil { session.firstPacketNanoseconds = monotonicNanoseconds() }
        session.accounts[track].take(packet.sequence)
        session.payloadBytes &+= UInt64(max(packet.bytes - 12, 0))
        if track == 0 { session.timestampLast = packet.timestamp }
        if session.isSampled { note(packet, track: track, of: session) }
    }

    private func readDatagrams(_ session: LoadSession, track: Int) {
        packetReader.read(session.pairs[track].rtp.number) { packet, _ in
            if session.firstPacketNanoseconds == nil { session.firstPacketNanoseconds = monotonicNanoseconds() }
            session.payloadBytes &+= UInt64(max(packet.bytes - 12, 0))
            if track == 0 { session.timestampLast = packet.timestamp }
            note(packet, track: track, of: session)
        }
    }

    func note(_ packet: ArrivedPacket, track: Int, of session: LoadSession) {
        session.logs[track].take(
            sequence: packet.sequence, timestamp: packet.timestamp, arrivalNanoseconds: packet.arrivalNanoseconds)
        if track == 0 {
            spreadLog.take(sequence: packet.sequence, timestamp: packet.timestamp, arrivalNanoseconds: packet.arrivalNanoseconds)
        }
    }
}

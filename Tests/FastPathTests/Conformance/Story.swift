import PlaneLink

@testable import FastPath

/// How packets come to the engine.
enum Ingest: String, CaseIterable, Sendable {
    case fed, datagrams, interleaved
}

/// What the readers of a story got, and what the worker said: the same over every kernel.
struct Outcome: Equatable {
    /// Packets of each UDP reader. The time of those after the splice depends on the clock: it is zero here.
    var datagrams: [[[UInt8]]] = []
    /// Reports of each UDP reader, without what depends on the clock.
    var control: [[[UInt8]]] = []
    /// What came over each connection: frames with their wire channel, and text.
    var connections: [[[UInt8]]] = []
    /// What the worker said, sorted.
    var reports: [String] = []
    var counters: [String: UInt64] = [:]
    var leaks: UInt32 = 0
}

/// One traffic: readers come and go, replies go between packets, a source sends trains, reports, rubbish and text, and is dialled again.
struct Story {
    let rig: ConformanceRig
    let ingest: Ingest
    /// What a UDP reader that stays must have got, packet by packet.
    private(set) var expected: [[UInt8]] = []
    private var sequence: UInt16 = 65_500
    private var ssrc: UInt32 = 0xAAAA
    private var sources: [SourceHandle] = []
    private var descriptors: [Int32] = []
    private var sequenceOut: UInt16 = 65_500

    static let frames = 18
    static let packetsPerFrame = 7
    static let spliceAt = 12
    static let reply = Array("RTSP/1.0 200 OK\r\nCSeq: 7\r\n\r\n".utf8)
    static let text = Array("OPTIONS * RTSP/1.0\r\nCSeq: 9\r\n\r\n".utf8)

    init(_ rig: ConformanceRig, _ ingest: Ingest) {
        self.rig = rig
        self.ingest = ingest
    }

    // MARK: Sources

    private mutating func addSource() {
        let stream = rig.stream
        switch ingest {
        case .fed:
            sources = [SourceHandle(index: 0, generation: 1)]
            rig.submit(.addFedSource(sources[0], stream, channels: ChannelMap(identity: 2)))
        case .datagrams:
            for channel in 0..<2 {
                let handle = SourceHandle(index: UInt32(channel), generation: 1)
                sources.append(handle)
                descriptors.append(rig.network.openSource())
                rig.submit(
                    .addDatagramSource(
                        handle, stream, descriptor: descriptors[channel], channel: UInt8(channel), peer: HostAddress(ipv4: 0x7F00_0001),
                        port: 0))
            }
        case .interleaved:
            sources = [SourceHandle(index: 0, generation: 1)]
            descriptors = [rig.network.openConnection(isSmall: false)]
            rig.submit(
                .addInterleavedSource(
                    sources[0], stream, descriptor: descriptors[0], channels: ChannelMap(identity: 2), prefix: LinkBuffer([])))
        }
    }

    private func give(_ channel: Int, _ packets: [[UInt8]]) {
        let frames = packets.flatMap { framed(UInt8(channel), $0) }
        switch ingest {
        case .fed: rig.submit(.feed(sources[0], LinkBuffer(frames)))
        case .datagrams: rig.network.sendTrain(packets, to: descriptors[channel])
        case .interleaved: rig.network.write(frames, over: descriptors[0])
        }
    }

    private mutating func frame(_ number: Int) -> [[UInt8]] {
        (0..<Self.packetsPerFrame).map { place in
            let isLast = place == Self.packetsPerFrame - 1
            let payload = [UInt8](repeating: UInt8(truncatingIfNeeded: number * 16 + place), count: isLast ? 300 : 1_000)
            let packet = rtp(
                sequence: sequence, timestamp: UInt32(number) * 3_600, ssrc: ssrc, marker: isLast, payload: payload)
            sequence &+= 1
            let isSpliced = number >= Self.spliceAt
            expected.append(
                rtp(
                    sequence: sequenceOut, timestamp: isSpliced ? 0 : UInt32(number) * 3_600, ssrc: 0x5EED, marker: isLast,
                    payload: payload))
            sequenceOut &+= 1
            return packet
        }
    }

    // MARK: The story

    mutating func tell() throws -> Outcome {
        rig.addStream()
        addSource()
        let first = try rig.addReader(0)
        let second = try rig.addReader(1)
        let connection = try rig.addConnection(2)
        var late: (handle: SubscriberHandle, connection: Int32, from: Int)?
        var secondCount = 0
        for number in 0..<Self.frames {
            try happen(number, connection.handle, second.handle, &secondCount, &late)
            give(0, frame(number))
            try rig.until("frame \(number) to reach every reader") {
                rig.network.datagrams(first.rtp).count >= expected.count
                    && (secondCount > 0 || rig.network.datagrams(second.rtp).count >= expected.count)
                    && parts(connection.connection).count { $0.first == 0x24 && $0[1] == 0 } >= expected.count
                    && late.map { late in parts(late.connection).count { $0[1] == 0 } >= expected.count - late.from } != false
            }
        }
        return try end(first, second, connection.connection, late)
    }

    /// What happens before a frame.
    private mutating func happen(
        _ number: Int, _ connection: SubscriberHandle, _ second: SubscriberHandle, _ secondCount: inout Int,
        _ late: inout (handle: SubscriberHandle, connection: Int32, from: Int)?
    ) throws {
        switch number {
        case 2:
            let report: [UInt8] =
                [0x80, 200, 0, 6] + big(ssrc) + big(0xE000_0001) + big(0x8000_0000) + big(3_600) + big(1) + big(1)
            give(1, [report])
            try rig.until("the sender report") { rig.has { if case .senderReport = $0 { true } else { false } } }
        case 4: rig.submit(.send(connection, LinkBuffer(Self.reply)))
        case 6:
            rig.submit(.removeSubscriber(second))
            secondCount = expected.count
            try rig.until("the second reader to go") { rig.has { if case .subscriberRemoved(second) = $0 { true } else { false } } }
        case 8: try rubbish()
        case 10 where ingest == .interleaved:
            rig.network.write(Self.text, over: descriptors[0])
            try rig.until("the source's text") { !rig.texts.isEmpty }
            rig.submit(.resumeSource(sources[0], consumed: UInt32(rig.texts[0].count)))
        case Self.spliceAt:
            rig.submit(.beginEpoch(rig.stream))
            rig.step()
            ssrc = 0xCCCC
            sequence = 9
        case 15:
            let reader = try rig.addConnection(3)
            late = (reader.handle, reader.connection, expected.count)
        default: break
        }
    }

    private func rubbish() throws {
        switch ingest {
        case .datagrams:
            rig.network.send([1, 2, 3], to: descriptors[0], from: 0)
            rig.network.send(rtp(sequence: 1, timestamp: 0, payload: [1]), to: descriptors[0], from: 5)
            try rig.until("rubbish to be counted") {
                rig.counters[.datagramsMalformed] >= 1 && rig.counters[.datagramsForeign] >= 1
            }
        case .fed, .interleaved:
            give(9, [[1, 2, 3]])
            try rig.until("rubbish to be counted") { rig.counters[.framesUnknownChannel] >= 1 }
        }
    }

    // MARK: The end

    private func end(
        _ first: (handle: SubscriberHandle, rtp: UInt16, rtcp: UInt16), _ second: (handle: SubscriberHandle, rtp: UInt16, rtcp: UInt16),
        _ connection: Int32, _ late: (handle: SubscriberHandle, connection: Int32, from: Int)?
    ) throws -> Outcome {
        if ingest == .interleaved {
            rig.network.finish(descriptors[0])
            try rig.until("the end of the source") { rig.has { if case .sourceEnded(sources[0], 0) = $0 { true } else { false } } }
        }
        for source in sources {
            rig.submit(.removeSource(source))
            try rig.until("source \(source.index) to go") { rig.has { if case .sourceRemoved(source) = $0 { true } else { false } } }
        }
        rig.submit(.removeStream(rig.stream))
        try rig.until("the stream to go") { rig.has { if case .streamRemoved = $0 { true } else { false } } }
        let stale = rig.counters[.staleCommands]
        rig.submit(.go(first.handle))
        try rig.until("a stale command to be counted") { rig.counters[.staleCommands] > stale }
        var outcome = Outcome()
        outcome.leaks = try rig.stop()
        for reader in [first, second] {
            outcome.datagrams.append(withoutTime(rig.network.datagrams(reader.rtp)))
            outcome.control.append(rig.network.datagrams(reader.rtcp).map { Array($0.prefix(8)) + $0.dropFirst(28) })
        }
        for connection in [connection, late?.connection].compactMap(\.self) {
            let skipped = connection == late?.connection ? expected.count : 0
            let media = parts(connection).filter { $0.first != 0x24 || $0[1] == 0 }
            outcome.connections.append(withoutTime(media, header: 4, skipped))
        }
        outcome.reports = rig.reports.map(Self.words).sorted()
        for counter in Self.counted { outcome.counters["\(counter)"] = rig.counters[counter] }
        return outcome
    }

    /// The pieces of what came over a connection: frames, and text up to the next frame.
    private func parts(_ connection: Int32) -> [[UInt8]] {
        var bytes = rig.network.received(connection)[...]
        var parts: [[UInt8]] = []
        while let mark = bytes.first {
            if mark == 0x24 {
                guard bytes.count >= 4 else { break }
                let length = Int(bytes[bytes.startIndex + 2]) << 8 | Int(bytes[bytes.startIndex + 3])
                guard bytes.count >= 4 + length else { break }
                parts.append(Array(bytes.prefix(4 + length)))
                bytes = bytes.dropFirst(4 + length)
            } else {
                let text = bytes.prefix { $0 != 0x24 }
                parts.append(Array(text))
                bytes = bytes.dropFirst(text.count)
            }
        }
        return parts
    }

    /// Packets whose time is zero from the splice on.
    private func withoutTime(_ packets: [[UInt8]], header: Int = 0, _ skipped: Int = 0) -> [[UInt8]] {
        var media = skipped
        return packets.map { packet in
            guard header == 0 || packet.first == 0x24, packet.count >= header + 12 else { return packet }
            media += 1
            guard media > Self.spliceAt * Self.packetsPerFrame else { return packet }
            return Array(packet[0..<header + 4]) + [0, 0, 0, 0] + packet[(header + 8)...]
        }
    }

    private static let counted: [EngineCounter] = [
        .packetsReceived, .bytesReceived, .packetsSent, .bytesSent, .datagramsForeign, .datagramsMalformed, .framesUnknownChannel,
        .staleCommands, .packetsOverrun, .packetsDroppedNoRoom, .packetsRefused, .packetsLogPinned, .readersConnectionLost, .readersStalled,
    ]

    private static func words(_ report: Report) -> String {
        switch report {
        case .joined(let handle, _): "joined \(handle.index)"
        case .subscriberFailed(let handle, let why): "failed \(handle.index) \(why)"
        case .subscriberLagged(let handle, let why, _): "lagged \(handle.index) \(why)"
        case .storedEnded(let handle, let packet, let number): "stored ended \(handle.index) \(packet) \(number)"
        case .subscriberRemoved(let handle): "reader removed \(handle.index)"
        case .sourceActive(let handle): "active \(handle.index)"
        case .sourceText(let handle, let view): "text \(handle.index) \(view.count)"
        case .sourceEnded(let handle, let number): "ended \(handle.index) \(number)"
        case .sourceRemoved(let handle): "source removed \(handle.index)"
        case .senderReport(_, let track, let ssrc, let ntp, let time): "report \(track) \(ssrc) \(ntp) \(time)"
        case .sourceBye(_, let track): "bye \(track)"
        case .parameterSets(_, let track): "parameter sets \(track)"
        case .packetTooLarge(_, let track, let bytes): "too large \(track) \(bytes)"
        case .bufferReturned: "buffer"
        case .streamRemoved: "stream removed"
        case .egressRemoved(let number): "egress removed \(number)"
        case .refused(let what, let number): "refused \(what) \(number)"
        case .stopped(let leaks): "stopped \(leaks)"
        }
    }

    /// What the outcome must be, from what was sent alone: all packets for the readers that stayed, in order, with replies between them.
    func check(_ outcome: Outcome) -> [String] {
        var wrong: [String] = []
        let gone = 6 * Self.packetsPerFrame
        if outcome.datagrams.first != expected { wrong.append("the first UDP reader's packets") }
        if outcome.datagrams.last != Array(expected.prefix(gone)) { wrong.append("the second UDP reader's packets") }
        let frames = expected.map { framed(0, $0) }
        let replyAt = 4 * Self.packetsPerFrame
        if outcome.connections.first != Array(frames[..<replyAt]) + [Self.reply] + frames[replyAt...] {
            wrong.append("the connection's frames and its reply")
        }
        if outcome.connections.last != Array(frames.suffix(3 * Self.packetsPerFrame)) { wrong.append("the late connection's frames") }
        if outcome.control.first?.isEmpty != false { wrong.append("the report") }
        if outcome.leaks != 0 { wrong.append("\(outcome.leaks) things did not come home") }
        for loss: EngineCounter in [.packetsOverrun, .packetsDroppedNoRoom, .packetsRefused, .packetsLogPinned]
        where outcome.counters["\(loss)"] != 0 { wrong.append("\(loss)") }
        return wrong
    }
}

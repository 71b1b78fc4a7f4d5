import NIOCore
import NIOPosix
import Signalling
import WireFormats

/// Where a player begins in what is not all here.
extension ObjectFill: PacketSupply {
    func locate(
        _ position: WMSPPosition, streams: ASFStreamSet,
        _ done: @escaping (Result<WindowsMediaFile.Beginning, WindowsMediaFile.Trouble>) -> Void
    ) {
        if position == .beginning { return begin(done) }
        if let found = seekHere(position, streams) {
            return found.assumeIsolated().whenComplete { [weak self] result in
                if case .success(let beginning?) = result { return done(.success(beginning)) }
                self?.ask(position, done)
            }
        }
        ask(position, done)
    }

    /// The beginning, with the time of its first packet.
    private func begin(_ done: @escaping (Result<WindowsMediaFile.Beginning, WindowsMediaFile.Trouble>) -> Void) {
        let reader = SupplyReader()
        want(0..<min(64, end), for: reader) { [self] result in
            left(reader)
            var beginning = WindowsMediaFile.Beginning(packet: 0)
            beginning.milliseconds = 0
            guard case .success(let range) = result, !range.isEmpty else {
                return done(result.map { _ in beginning })
            }
            let packets = packets, header = header, known = beginning
            read { () -> WindowsMediaFile.Beginning in
                var beginning = known
                let bytes = try packets.read(at: Int64(header.bytes.count), count: header.packetBytes)
                beginning.sendTime = (try? ASFPacket(bytes.span, packetBytes: header.packetBytes))?.sendTime
                return beginning
            }.assumeIsolated().whenComplete { result in done(.success((try? result.get()) ?? known)) }
        }
    }

    private func read<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) -> EventLoopFuture<Value> {
        NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop, body)
    }

    /// Looks for a position in what is here from the beginning on, where it certainly lies in there.
    private func seekHere(_ position: WMSPPosition, _ streams: ASFStreamSet) -> EventLoopFuture<WindowsMediaFile.Beginning?>? {
        let run = here.run(from: 0)
        guard !run.isEmpty else { return nil }
        let packets = packets, header = header
        let file = ASFFile(header: header, fileBytes: UInt64(header.bytes.count) + UInt64(run.count) * UInt64(header.packetBytes))
        return read {
            func bytes(offset: UInt64, count: Int) -> [UInt8] { (try? packets.read(at: Int64(clamping: offset), count: count)) ?? [] }
            func sendTime(_ packet: Int) -> UInt32? {
                let bytes = bytes(offset: file.offset(ofPacket: packet), count: header.packetBytes)
                return (try? ASFPacket(bytes.span, packetBytes: header.packetBytes))?.sendTime
            }
            let seek = ASFSeek(file: file, index: nil)
            let found: ASFSeek.Start
            switch position {
            case .beginning: return nil
            case .packet(let number):
                guard number < UInt64(run.upperBound) else { return nil }
                found = seek.start(atPacket: Int(clamping: number), streams: streams, bytes)
            case .time(let milliseconds):
                // What is here has to go on behind it, or the last packet that is here may not be the one.
                guard let last = sendTime(run.upperBound - 1),
                    UInt64(last) > UInt64(milliseconds) + UInt64(header.file.prerollMilliseconds)
                else { return nil }
                found = seek.start(atMilliseconds: UInt64(milliseconds), streams: streams, bytes)
            }
            var beginning = WindowsMediaFile.Beginning(packet: UInt32(clamping: found.packet))
            beginning.sendTime = sendTime(found.packet)
            if let time = found.presentationTime ?? beginning.sendTime {
                beginning.milliseconds = UInt64(time - min(time, header.file.prerollMilliseconds))
            }
            return beginning
        }
    }
}

/// Players whose place only the origin knows: a session plays from there, and so finds it.
extension ObjectFill {
    /// Somebody who wants to begin there.
    struct Search {
        let number: Int
        let position: WMSPPosition
        let done: (Result<WindowsMediaFile.Beginning, WindowsMediaFile.Trouble>) -> Void
        /// Runs until he has waited long enough for a session.
        let timer: LoopTimer
    }

    /// How long a player waits for a session, in milliseconds.
    static let searchMilliseconds = 10_000
    /// So many players may wait; more are refused at once.
    static let searchesMax = 256

    /// The origin says where that is: it plays from there.
    func ask(
        _ position: WMSPPosition, _ done: @escaping (Result<WindowsMediaFile.Beginning, WindowsMediaFile.Trouble>) -> Void
    ) {
        guard !isOutdated else { return done(.failure(Self.outdated)) }
        idle.stop()
        guard searches.count < Self.searchesMax else { return refuse(done) }
        nextNumber += 1
        let number = nextNumber, timer = LoopTimer(eventLoop)
        searches.append(Search(number: number, position: position, done: done, timer: timer))
        search()
        guard searches.contains(where: { $0.number == number }) else { return }
        order.counts.searchesQueued += 1
        timer.start(milliseconds: Self.searchMilliseconds) { [weak self] in
            guard let self, let index = searches.firstIndex(where: { $0.number == number }) else { return }
            refuse(searches.remove(at: index).done)
        }
    }

    private func refuse(_ done: (Result<WindowsMediaFile.Beginning, WindowsMediaFile.Trouble>) -> Void) {
        order.counts.searchesRefused += 1
        done(
            .failure(
                WindowsMediaFile.Trouble(
                    description: "all sessions with the origin that may fetch this are in use (cache-fill-sessions: \(order.sessionsMax))"))
        )
    }

    /// Gives those who wait the sessions that there are for them.
    func search() {
        while !searches.isEmpty, let play = searcher() {
            let search = searches.removeFirst()
            search.timer.stop()
            play.find(search.position, pace: pace) { [weak self] start in
                guard let self else { return }
                guard let start else {
                    return search.done(.failure(WindowsMediaFile.Trouble(description: "the origin does not play from there")))
                }
                hold(start.packet)
                search.done(
                    .success(
                        WindowsMediaFile.Beginning(
                            packet: start.packet, sendTime: start.sendTime, milliseconds: UInt64(start.milliseconds))))
            }
        }
    }

    /// A session that plays nothing, else a new one, else the last of those that fetch what nobody needs just now; nil: all are needed.
    private func searcher() -> ObjectPlay? {
        if spare != nil || plays.count < limits.sessionsMax { return session() }
        return plays.last { $0.onBegan == nil && !isNeeded($0) }
    }

    /// Somebody waits for what it brings, or will soon.
    private func isNeeded(_ play: ObjectPlay) -> Bool {
        guard let next = play.next.map(Int.init) else { return false }
        return readers.values.contains { reader in
            let place = Int(reader.range.lowerBound), first = come.firstMissing(from: place)
            return (reader.isHeld || first - place <= limits.waitPacketsMax) && next <= first && first - next <= limits.waitPacketsMax
        }
    }

    /// Nobody waits for a session any more.
    func endSearches(_ words: String) {
        let searches = searches
        self.searches = []
        for search in searches {
            search.timer.stop()
            search.done(.failure(WindowsMediaFile.Trouble(description: words)))
        }
    }
}

/// What came of players that wanted more of the origin than it may be asked at once, of all paths. Belongs to the event loop.
final class FillCounts {
    /// Players that had to wait for a session that finds out where they begin.
    var searchesQueued = 0
    /// Of them those that were given none.
    var searchesRefused = 0
}

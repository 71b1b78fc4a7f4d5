import NIOCore
import Signalling
import WireFormats

/// What sessions with the origin bring, and how they end.
extension ObjectFill {
    /// Whether that packet is of any use; then it is counted as come.
    func takes(_ number: UInt32) -> Bool {
        number < end && !come.contains(Int(number)) && come.insert(Int(number)..<(Int(number) + 1))
    }

    func brought(_ bytes: [UInt8], first: UInt32) {
        guard isKept, let object = order.object, let desk = order.desk else { return remember(bytes, first: first) }
        bytesToWrite += bytes.count
        desk.writing { _ in
            _ = try object.write(bytes, atUnit: Int(first))
            if object.wantsCommit { try object.commit() }
        }.assumeIsolated().whenComplete { [weak self] result in
            guard let self else { return }
            bytesToWrite -= bytes.count
            switch result {
            case .success:
                here.insert(Int(first)..<(Int(first) + bytes.count / header.packetBytes))
                arrived()
            case .failure(let error):
                degrade("\(error)")
                remember(bytes, first: first)
            }
        }
    }

    func remember(_ bytes: [UInt8], first: UInt32) {
        let size = header.packetBytes
        for index in 0..<(bytes.count / size) {
            packets.put(first + UInt32(index), Array(bytes[(index * size)..<((index + 1) * size)]))
        }
        bytesInMemory += bytes.count
        here.insert(Int(first)..<(Int(first) + bytes.count / size))
        arrived()
    }

    private func arrived() {
        answer()
        if !isWhole, let count = order.packetCount, here.isWhole(Int(count)) {
            isWhole = true
            commit()
            sayChange()
        }
        plan()
    }

    func commit() {
        guard isKept, let object = order.object, let desk = order.desk else { return }
        desk.writing { _ in try object.commit() }.assumeIsolated().whenFailure { [weak self] in self?.degrade("\($0)") }
    }

    /// What comes from now on is not kept.
    func degrade(_ words: String) {
        guard degradation == nil else { return }
        degradation = words
        limits.aheadPackets = .max / 2
        order.logger.warning("what the origin sends is not kept any more", metadata: ["why": "\(words)"])
        sayChange()
    }

    /// Takes out of memory what no reader is about to read, where there is too much in it.
    func makeRoom() {
        guard bytesInMemory > 0, header.packetBytes > 0, bytesInMemory >= memoryBytesMax else { return }
        let window = UInt32(clamping: max(memoryBytesMax / max(readers.count, 1) / header.packetBytes, 1))
        let ahead = readers.values.map { $0.range.lowerBound..<($0.range.lowerBound &+ min(window, .max - $0.range.lowerBound)) }
        let gone = packets.numbersInMemory.filter { number in !ahead.contains { $0.contains(number) } }
        packets.drop(gone)
        bytesInMemory -= gone.count * header.packetBytes
        for number in gone {
            here.remove(Int(number)..<(Int(number) + 1))
            come.remove(Int(number)..<(Int(number) + 1))
        }
    }

    /// The origin leaves packets out: players are given nothing in their place, and nothing of the kind is kept.
    func leftOut(_ range: Range<UInt32>) {
        let range = range.clamped(to: 0..<end)
        guard !range.isEmpty else { return }
        degrade("the origin leaves packets out")
        // Players would wait so long for what comes behind it that it is over for them; and it would be asked for again and again.
        guard header.milliseconds(ofPackets: range.count) <= Self.leftOutMillisecondsMax,
            range.count <= Self.leftOutBytesMax / max(header.packetBytes, 1)
        else {
            end = range.lowerBound
            return answer()
        }
        while let gap = come.hole(from: Int(range.lowerBound), below: Int(range.upperBound)) {
            guard come.insert(gap), here.insert(gap), packets.leaveOut(gap) else {
                end = UInt32(clamping: gap.lowerBound)
                return answer()
            }
        }
        arrived()
    }

    /// Longer gaps end the content, in milliseconds of it.
    static let leftOutMillisecondsMax: UInt64 = 30_000
    /// So do those of so many bytes, whatever the header says of their time.
    static let leftOutBytesMax = 64 << 20

    func flushed(_ play: ObjectPlay) { plan() }

    /// A play came to the content's end, behind its last packet.
    func finished(at packet: UInt32) {
        if packet < end {
            end = packet
            if order.packetCount != nil { degrade("it ends at packet \(packet), before the end that its header names") }
        }
        answer()
        plan()
    }

    /// A play was at the content's end at once. Where there is more, as is known, the origin does not give what it was asked for.
    func finishedAtOnce(_ play: ObjectPlay, at packet: UInt32?) {
        guard let packet, packet < end else { return plan() }
        guard let last = come.ranges.last, last.upperBound > Int(packet) else { return finished(at: packet) }
        drop(play)
        goesAway("the origin has nothing from packet \(packet) on")
    }

    func ended(_ play: ObjectPlay, _ end: OriginPlay.End) {
        plays.removeAll { $0 === play }
        if case .changed(let words) = end { return changed(words) }
        goesAway("the origin: \(end.words)")
        commit()
        sayChange()
    }

    /// No other session is made for a while, longer each time. The others go on, and with them those for whom they bring something.
    private func goesAway(_ words: String) {
        isAway = true
        limits.sessionsMax = min(max(plays.count, 1), order.sessionsMax)
        retry.start(milliseconds: retryMilliseconds) { [weak self] in
            guard let self else { return }
            isAway = false
            limits.sessionsMax = max(order.sessionsMax, 1)
            plan()
        }
        retryMilliseconds = min(2 * retryMilliseconds, Self.retryMillisecondsMax)
        // Who seeks may wait for the sessions that there are.
        if plays.isEmpty { endSearches(words) }
        plan()
        fail(words) { reader in plays.contains { play in play.next.map { isFor(reader, $0) } ?? false } }
    }

    /// A new session plays.
    func playsAgain() { retryMilliseconds = Self.retryMillisecondsMin }

    /// Nobody new is given it, and nothing more of it is kept. Those who read it go on.
    func letGo(_ words: String) {
        guard !isLetGo else { return }
        isLetGo = true
        degrade(words)
        if isUnused { rest() } else { plan() }
        sayChange()
    }

    /// The origin has something else under its name now.
    func changed(_ words: String) {
        guard !isOutdated else { return }
        isOutdated = true
        retry.stop()
        order.logger.notice("the origin has another version", metadata: ["why": "\(words)"])
        let plays = plays
        self.plays = []
        for play in plays { play.leave() }
        fail(Self.outdated.description)
        endSearches(Self.outdated.description)
        sayChange()
    }

    /// The origin wanted to know who asks, and the operator's own words opened it: what comes then is not for everybody.
    func isGuarded(by opener: OriginStatement.Opener) {
        if opener == .configuration, order.sharesOperators { return }
        if case .window = order.memory { return }
        letGo("the origin asks for a password now")
    }

    /// The origin does not number its packets: nothing that is located by time can be kept.
    func isUnnumbered() { degrade("the origin does not number its packets") }
}

extension ASFHeader {
    /// How long so many packets play, as far as the header says it.
    func milliseconds(ofPackets count: Int) -> UInt64 {
        let count = UInt64(clamping: count)
        if file.packetCount > 0, file.sendDuration >= 10_000 {
            let (sum, overflows) = count.multipliedReportingOverflow(by: file.sendDuration / 10_000)
            return overflows ? .max : sum / file.packetCount
        }
        // A packet a second, where it says nothing.
        guard file.bitrateMax > 0 else { return count.multipliedReportingOverflow(by: 1_000).partialValue }
        let (bits, overflows) = count.multipliedReportingOverflow(by: UInt64(packetBytes) * 8_000)
        return overflows ? .max : bits / UInt64(file.bitrateMax)
    }
}

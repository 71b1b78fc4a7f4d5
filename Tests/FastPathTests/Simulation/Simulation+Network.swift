import Glibc
import PlaneLink

@testable import FastPath

/// Sockets, networks and readers' ends of a simulation.
extension Simulation {
    // MARK: Datagrams

    /// A datagram or train leaves from a socket that cuts at `option` bytes: 0, or a negative error number.
    @unsafe func datagram(
        _ worker: Int, _ bytes: UnsafeRawBufferPointer, option: Int, host: HostAddress, port: UInt16, isRTCP: Bool
    ) -> Int32 {
        let serial = (Int(port) - 1_024) / 4
        let channel = (Int(port) - 1_024) % 4
        guard port >= 1_024, serial < readers.count else {
            fail("a datagram to port \(port)")
            return 0
        }
        let reader = readers[serial]
        if reader.worker != worker { fail("\(reader.name) is sent to by worker \(worker)") }
        if reader.host != host || reader.isInterleaved || isRTCP != (channel & 1 == 1) { fail("\(reader.name): a datagram went astray") }
        let isAgain = reader.stream.isFinished && channel == 2
        if isAgain { return unsafe again(reader, bytes, option: option) }
        if !reader.isAllowed { fail("\(reader.name) is sent a datagram, but not since `go`") }
        let segment = option > 0 ? min(option, bytes.count) : bytes.count
        let packets = (bytes.count + segment - 1) / segment
        trace("  \(reader.name) channel \(channel): \(packets) packets, \(bytes.count) bytes, from \(reader.cursor) on")
        if packets > circumstances.segmentsMax || bytes.count > Train.bytesMax {
            fail("a train of \(packets) packets, \(bytes.count) bytes")
        }
        if let errorNumber = refusal(worker, host, option: option) {
            trace("  refused: \(errorNumber)")
            return unsafe refuse(reader, channel, bytes, segment, packets, errorNumber)
        }
        reader.spend(bytes.count, packetBytes: segment)
        unsafe deliver(reader, channel, bytes, segment, isLost: false)
        datagramPackets += packets
        datagramBytes += bytes.count
        return 0
    }

    /// A packet that was asked for once more, alone in its message.
    @unsafe private func again(_ reader: SimulatedReader, _ bytes: UnsafeRawBufferPointer, option: Int) -> Int32 {
        if option > 0, option < bytes.count { fail("\(reader.name): a packet that is sent again is cut at \(option) bytes") }
        if let errorNumber = refusal(reader.worker, reader.host, option: option) { return -errorNumber }
        resendsSeen += 1
        unsafe reader.takeAgain(bytes)
        return 0
    }

    @unsafe private func deliver(
        _ reader: SimulatedReader, _ channel: Int, _ bytes: UnsafeRawBufferPointer, _ segment: Int, isLost: Bool
    ) {
        var offset = 0
        while offset < bytes.count, !hasFailed {
            let packet = unsafe UnsafeRawBufferPointer(rebasing: bytes[offset..<min(offset + segment, bytes.count)])
            unsafe reader.take(channel, packet, isLost: isLost, channels: reader.channels)
            offset += segment
        }
    }

    private func refusal(_ worker: Int, _ host: HostAddress, option: Int) -> Int32? {
        if egressFullUntil[worker] > time { return EAGAIN }
        // As Linux has it: what the path does not take is refused to a socket that cuts segments, however short the message.
        if option > 0 {
            switch circumstances.networks[Int(host.low >> 8 & 0xFF)] {
            case .open: break
            case .refusesTrains(let errorNumber): return errorNumber
            case .segmentMax(let bytes, let errorNumber): if option > bytes { return errorNumber }
            }
        }
        guard !isCalm else { return nil }
        for (errorNumber, permille) in circumstances.refusals where random.happens(permille) { return errorNumber }
        return nil
    }

    /// What the engine is to make of a refusal: send later, send one by one, or count the packets as lost.
    @unsafe private func refuse(
        _ reader: SimulatedReader, _ channel: Int, _ bytes: UnsafeRawBufferPointer, _ segment: Int, _ packets: Int, _ errorNumber: Int32
    ) -> Int32 {
        switch errorNumber {
        case EAGAIN, ENOBUFS, ENOMEM: reader.wasDeferred = true
        case EIO, EINVAL, EMSGSIZE:
            if packets == 1 {
                packetsPerhapsRefused += 1
                unsafe reader.mayLose(channel, bytes)
            }
        default:
            packetsRefused += packets
            unsafe deliver(reader, channel, bytes, segment, isLost: true)
        }
        return -errorNumber
    }

    // MARK: Connections

    private static let descriptorBase: Int32 = 1_000_000

    func descriptor(of reader: SimulatedReader) -> Int32 { Self.descriptorBase + Int32(reader.serial) }

    private func reader(of descriptor: Int32) -> SimulatedReader? {
        let serial = Int(descriptor - Self.descriptorBase)
        return serial >= 0 && serial < readers.count ? readers[serial] : nil
    }

    /// Bytes go to a connection: how many it took, or a negative error number.
    @unsafe func stream(_ worker: Int, _ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int32 {
        guard let reader = reader(of: descriptor), bytes.count > 0 else {
            fail("a send to descriptor \(descriptor) of \(bytes.count) bytes")
            return Int32(bytes.count)
        }
        if reader.worker != worker { fail("\(reader.name) is sent to by worker \(worker)") }
        if reader.failure != nil { fail("\(reader.name) is sent to after it failed") }
        if !isCalm, random.happens(circumstances.brokenPermille) { reader.connection.isBroken = true }
        if reader.connection.isBroken { return random.pick([-ECONNRESET, -EPIPE]) }
        let isShort = !isCalm && random.happens(circumstances.shortWritePermille)
        let taken = isShort ? random.within(0...min(reader.connection.room, bytes.count)) : min(reader.connection.room, bytes.count)
        reader.connection.wasShort = taken < bytes.count
        trace("  \(reader.name): \(taken) of \(bytes.count) bytes, from \(reader.cursor) on")
        guard taken > 0 else { return random.pick([-EAGAIN, -ENOBUFS]) }
        reader.connection.room -= taken
        reader.connection.tookAt = time
        unsafe reader.take(UnsafeRawBufferPointer(rebasing: bytes[0..<taken]))
        return Int32(taken)
    }

    func hasRoom(_ descriptor: Int32) -> Bool {
        guard let reader = reader(of: descriptor) else { return false }
        return reader.connection.room > 0 || reader.connection.isBroken
    }

    func unsentBytes(_ descriptor: Int32) -> Int {
        reader(of: descriptor).map { max(SimulatedConnection.roomMax - $0.connection.room, 0) } ?? 0
    }

    func refusesAttach(_ descriptor: Int32) -> Bool {
        guard let reader = reader(of: descriptor), random.happens(20) else { return false }
        reader.neverCame = true
        return true
    }

    func detached(_ descriptor: Int32) { reader(of: descriptor)?.connection.isOpen = false }
    func aborted(_ descriptor: Int32) { reader(of: descriptor)?.connection.isBroken = true }

    // MARK: Counters

    /// What the engine has counted must be what the kernel saw.
    func checkCounters() {
        let refused = Int(clamping: counters[.packetsRefused])
        if !(packetsRefused...packetsRefused + packetsPerhapsRefused).contains(refused) {
            fail("packetsRefused is \(refused), but the kernel refused \(packetsRefused) and perhaps \(packetsPerhapsRefused)")
        }
        let explained = counters[.packetsLogPinned] + counters[.packetsBeforeKeyFrame] + counters[.packetsBeforeSplice]
        if UInt64(packetsAbsent) > explained { fail("\(packetsAbsent) packets never reached a log, \(explained) were counted") }
        let resent = Int(clamping: counters[.packetsResent])
        if resent != resendsSeen { fail("\(resent) packets are counted as sent again, \(resendsSeen) were") }
        let answered = resent + Int(clamping: counters[.resendsTooLate] + counters[.resendsRefused])
        if answered > resendsAsked { fail("\(resendsAsked) packets were asked for again, \(answered) are counted") }
        let caused = counters[.packetsOverrun] + counters[.packetsOverPolicy] + counters[.packetsDroppedNoRoom] + counters[.packetsRefused]
        let missed = streams.reduce(UInt64(0)) { $0 + $1.memory.counters[.packetsDropped] }
        if caused != missed { fail("streams count \(missed) packets missed, their causes make \(caused)") }
    }
}

import Glibc
import PlaneLink

/// Memory that the kernel sends from without a copy: a train of a stream's log, or a block of framed packets.
struct ZeroCopyHold: BitwiseCopyable {
    /// The stream's slot; of a block the reader it was sent to.
    var stream: UInt32
    var reader: UInt32
    var generation: UInt32
    /// The block, or -1 for packets of the log from `packet` on.
    var block: Int16
    /// Sends that the kernel has not given back.
    var outstanding: UInt32
    var packet: UInt64
    var next: Int32
}

/// Sends without a copy, judged: where trains are long and the kernel really does not copy. The memory is the kernel's until it
/// says so: packets stay pinned, a stream's memory stays with the engine.
extension Worker where K: ~Copyable {
    /// What can be held at a time; beyond it sends are copied.
    static var holdsMax: Int { 4_096 }
    /// A send that is shorter costs more in notices than the copy does (measured by others: gains from 30 to 60 kB on).
    static var zeroCopyBytesMin: Int { 30_000 }

    /// Sends that the kernel holds at a time: each brings a notice, for which there must be room.
    static var heldSendsMax: UInt64 { 16_384 }

    /// How long nothing is tried after the kernel had no memory to hold what was sent.
    static var zeroCopyPauseNanoseconds: UInt64 { 1_000_000_000 }

    /// Whether this worker sends without a copy just now.
    var mayZeroCopy: Bool {
        zeroCopy != .off && kernel.canZeroCopy && counters.ownValue(.zcPending) < Self.heldSendsMax && now >= zeroCopyPausedUntil
    }

    mutating func pauseZeroCopy() { zeroCopyPausedUntil = now + Self.zeroCopyPauseNanoseconds }

    /// Makes a stream's arena known to the kernel. Without (more than may be locked) each send pins its pages by itself.
    mutating func registerArena(_ stream: Int, _ memory: StreamMemory) {
        guard mayZeroCopy else { return }
        if unsafe kernel.register(memory.arena, count: memory.arenaBytes, index: stream) {
            streams[stream].state.registered = Int32(stream)
        } else if !hasSaidUnregistered {
            hasSaidUnregistered = true
            report(.refused(.registerFailed, errorNumber: ENOMEM))
        }
    }

    /// A hold for the sends of a train, or -1 when it goes by copy.
    mutating func beginHold(_ stream: Int, _ train: Train) -> Int32 {
        // Memory that is not known to the kernel is pinned page by page in each send: that is tried only when asked for.
        let pays = train.bytes >= Self.zeroCopyBytesMin && streams[stream].state.registered >= 0
        guard mayZeroCopy, zeroCopy == .on || pays else { return -1 }
        return takeHold(
            ZeroCopyHold(stream: UInt32(stream), reader: 0, generation: 0, block: -1, outstanding: 1, packet: train.first, next: -1))
    }

    private mutating func takeHold(_ hold: ZeroCopyHold) -> Int32 {
        guard freeHold >= 0 else { return -1 }
        let number = freeHold
        freeHold = holds[Int(number)].next
        holds[Int(number)] = hold
        holdsUsed += 1
        if hold.block < 0 {
            let stream = Int(hold.stream)
            streams[stream].state.zeroCopyHolds += 1
            streams[stream].state.zeroCopyPin = min(streams[stream].state.zeroCopyPin, hold.packet)
        }
        return number
    }

    /// The train was flushed: its hold ends with the last of its sends.
    mutating func endHold(_ hold: Int32) {
        if hold >= 0 { letGo(Int(hold)) }
    }

    /// Whether a reader is sent a train without a copy.
    func takesZeroCopy(_ reader: Int) -> Bool {
        mayZeroCopy && (zeroCopy == .on || destinations.mayZeroCopy(subscribers[reader].destination, now: now))
    }

    func takesZeroCopy(_ reader: Int, bytes: Int) -> Bool {
        (zeroCopy == .on || bytes >= Self.zeroCopyBytesMin) && takesZeroCopy(reader)
    }

    @unsafe mutating func sendHeld(
        _ reader: Int, _ file: KernelFile, _ bytes: UnsafeRawPointer, _ count: Int, _ port: UInt16, _ hold: Int32
    ) {
        noteHeld(reader, hold)
        let stream = Int(subscribers[reader].stream)
        unsafe kernel.sendDatagramZeroCopy(
            file, bytes, count: count, host: subscribers[reader].host, port: port, buffer: Int(streams[stream].state.registered),
            tag: RequestTag(.zeroCopy, index: UInt32(reader), generation: UInt32(hold)))
    }

    /// Sends a block without a copy. False when nothing more can be held.
    mutating func sendHeldBlock(_ reader: Int, _ block: Int) -> Bool {
        let hold = takeHold(
            ZeroCopyHold(
                stream: subscribers[reader].stream, reader: UInt32(reader), generation: subscribers[reader].generation,
                block: Int16(block), outstanding: 0, packet: 0, next: -1))
        guard hold >= 0 else { return false }
        blocks.hold(block)
        subscribers[reader].sendsHeld += 1
        noteHeld(reader, hold)
        unsafe kernel.sendBytesZeroCopy(
            subscribers[reader].file, blocks.bytes(of: block), count: Int(blocks[block].bytes), buffer: -1,
            tag: RequestTag(.zeroCopy, index: UInt32(reader), generation: UInt32(hold)))
        return true
    }

    private mutating func noteHeld(_ reader: Int, _ hold: Int32) {
        holds[Int(hold)].outstanding += 1
        destinations.noteZeroCopy(subscribers[reader].destination)
        counters.add(.zcSent)
        counters.add(.zcPending)
    }

    /// The kernel is done with the bytes of one send.
    mutating func zeroCopyDone(_ tag: RequestTag, copied: Bool) {
        counters.add(.zcPending, 0 &- 1)
        if copied { counters.add(.zcCopied) }
        let reader = Int(tag.index)
        if reader < subscribers.count, subscribers[reader].isActive {
            destinations.noteDone(subscribers[reader].destination, copied: copied, now: now)
        }
        let hold = Int(tag.generation)
        if hold < holds.count { letGo(hold) }
    }

    /// The kernel has ended: it holds nothing any more.
    mutating func letGoOfAll() {
        for number in 0..<holds.count {
            while holds[number].outstanding > 0 {
                counters.add(.zcPending, 0 &- 1)
                letGo(number)
            }
        }
    }

    private mutating func letGo(_ number: Int) {
        holds[number].outstanding -= 1
        guard holds[number].outstanding == 0 else { return }
        let hold = holds[number]
        holds[number].next = freeHold
        freeHold = Int32(number)
        holdsUsed -= 1
        guard hold.block < 0 else {
            if subscribers[Int(hold.reader)].generation == hold.generation, subscribers[Int(hold.reader)].sendsHeld > 0 {
                subscribers[Int(hold.reader)].sendsHeld -= 1
                if subscribers[Int(hold.reader)].sendsHeld == 0 { holdsEnded(Int(hold.reader)) }
            }
            return blocks.letGo(Int(hold.block))
        }
        let stream = Int(hold.stream)
        streams[stream].state.zeroCopyHolds -= 1
        if hold.packet == streams[stream].state.zeroCopyPin { findZeroCopyPin(stream) }
        if streams[stream].isClosing, streams[stream].state.zeroCopyHolds == 0 { finishStream(stream) }
    }

    /// The oldest packet of a stream that the kernel still holds.
    private func findZeroCopyPin(_ stream: Int) {
        var lowest = UInt64.max
        if streams[stream].state.zeroCopyHolds > 0 {
            for hold in 0..<holds.count where holds[hold].outstanding > 0 && holds[hold].block < 0 && Int(holds[hold].stream) == stream {
                lowest = min(lowest, holds[hold].packet)
            }
        }
        streams[stream].state.zeroCopyPin = lowest
        unpin(stream)
    }
}

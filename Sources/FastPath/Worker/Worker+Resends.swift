import Glibc
import PlaneLink

/// Finished RTP that a UDP reader did not get, and asks for.
extension Worker where K: ~Copyable {
    /// Packets that may be sent once more before the other commands of a turn: those wait for the next.
    static var resendsPerTurn: Int { 1_024 }

    /// Sends stored packets once more, as they are.
    mutating func resend(_ handle: SubscriberHandle, _ number: UInt32, _ following: UInt64, _ port: UInt16) {
        guard let reader = find(handle) else { return }
        let stream = Int(subscribers[reader].stream)
        guard isOfKind(stream, verbatim: true) else { return }
        let wanted = UInt64(1 + following.nonzeroBitCount)
        resendsLeft -= Int(wanted)
        guard !subscribers[reader].isInterleaved, port != 0 else { return counters.add(.resendsRefused, wanted) }
        let end = subscribers[reader].list == .live ? streams[stream].state.sent : subscribers[reader].cursor
        guard end > 0 else { return counters.add(.resendsRefused, wanted) }
        guard let oldest = pinResends(stream, number, end) else {
            counters.add(.resendsTooLate, wanted)
            return unpin(stream)
        }
        var sends: UInt64 = 0
        var left = following
        var offset: UInt32 = 0
        while true {
            if resendOne(reader, stream, number &+ offset, from: oldest, to: end, port) { sends += 1 }
            if left == 0 { break }
            let place = left.trailingZeroBitCount
            left &= left - 1
            offset = UInt32(place + 1)
        }
        kernel.flush()
        countResent(stream, sends)
        unpin(stream)
    }

    /// Pins what a reader asks for, as far as it is in the log: the first packet from there on. Nil when nothing of it is.
    private func pinResends(_ stream: Int, _ number: UInt32, _ end: UInt64) -> UInt64? {
        guard pin(stream, end - 1) else { return nil }
        let behind = Int32(bitPattern: streams[stream].state.log.record(end - 1).timestamp &- number)
        let wanted = end - 1 - min(UInt64(max(behind, 0)), end - 1)
        // The tail may move on meanwhile.
        for _ in 0..<4 {
            let oldest = max(wanted, streams[stream].state.board.load(.tail))
            guard oldest < end else { return nil }
            if pin(stream, oldest) { return oldest }
        }
        return nil
    }

    /// Queues one packet. False, and counted, when it cannot be had.
    private mutating func resendOne(
        _ reader: Int, _ stream: Int, _ number: UInt32, from oldest: UInt64, to end: UInt64, _ port: UInt16
    ) -> Bool {
        let log = streams[stream].state.log
        let place = packet(stream, atOrBehind: number, from: oldest, to: end)
        guard place < end else {
            // The reader was not sent it yet.
            counters.add(.resendsRefused)
            return false
        }
        let record = log.record(place)
        guard record.timestamp == number else {
            counters.add(.resendsTooLate)
            return false
        }
        let train = Train.cut(log, from: place, limit: place + 1)
        guard train.bytes <= Train.bytesMax else {
            counters.add(.resendsRefused)
            return false
        }
        // Each is readied for by itself: they differ in size.
        var prepared: UInt8 = .max
        var hold: Int32 = -1
        unsafe sendTrain(reader, train, log.bytes(of: record), port, &prepared, &hold)
        return true
    }

    /// Counts what the kernel took. What it refused is not tried again: the reader may ask again.
    private mutating func countResent(_ stream: Int, _ sends: UInt64) {
        var refused: UInt64 = 0
        while let result = kernel.nextSendResult() {
            if result.result < 0 { refused += 1 }
        }
        let sent = sends - min(refused, sends)
        counters.add(.resendsRefused, refused)
        counters.add(.packetsResent, sent)
        streams[stream].state.counters.add(.packetsResent, sent)
    }
}

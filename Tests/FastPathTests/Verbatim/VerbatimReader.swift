import Glibc
import PlaneLink
import Testing

@testable import FastPath

/// A packet of a verbatim stream as these tests feed it: `$D`, its size, its number, and bytes that only this packet has.
func message(_ number: Int, _ count: Int) -> [UInt8] {
    let size = max(count, 9) - 8
    return [0x24, 0x44, UInt8(size >> 8), UInt8(size & 0xFF)] + big(UInt32(number)) + steps(from: number &* 31, size)
}

/// Bytes that each are 7 more than the one before. Cut out of what is made once: a debug build takes its time over each byte, and these tests look
/// at hundreds of thousands of packets.
func steps(from first: Int, _ count: Int) -> ArraySlice<UInt8> {
    // 7 * 183 is 1 of 256: so far in is the first.
    let start = first &* 183 & 0xFF
    return allSteps[start..<start + count]
}

private let allSteps: [UInt8] = (0..<66_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }

/// A control message, which the control plane has sent between packets.
func control(_ number: Int) -> [UInt8] { [0x24, 0x43, 0, 0] + big(UInt32(number)) }

/// The far end of a reader's connection: takes what came apart and says what it is.
final class VerbatimReader {
    enum Element: Equatable {
        case packet(Int)
        case control(Int)
        /// Bytes that are neither, or not those that were fed.
        case wrong(String)
    }

    let socket: TestSocket
    let isChunked: Bool
    private var bytes: [UInt8] = []
    private(set) var elements: [Element] = []

    init(_ socket: TestSocket, isChunked: Bool = false) {
        self.socket = socket
        self.isChunked = isChunked
    }

    /// Numbers of the packets that came.
    var packets: [Int] { elements.compactMap { if case .packet(let number) = $0 { number } else { nil } } }

    /// Reads what has come; with `room` no more than so much.
    func read(milliseconds: Int32 = 0, room: Int = 1 << 20) {
        guard let more = socket.receive(milliseconds: milliseconds, room: room), !more.isEmpty else { return }
        bytes += more
        while takeOne() {}
    }

    /// Reads until so many elements came.
    func read(elements count: Int, milliseconds: Int = 3_000) -> Bool {
        let end = monotonicNanoseconds() + UInt64(milliseconds) * 1_000_000
        while elements.count < count, monotonicNanoseconds() < end { read(milliseconds: 20) }
        return elements.count == count
    }

    private func takeOne() -> Bool {
        guard bytes.count >= 8 else { return false }
        if bytes[0] == 0x24, bytes[1] == 0x43 {
            elements.append(.control(Int(number(4))))
            bytes.removeFirst(8)
            return true
        }
        guard isChunked else { return takePacket(from: 0, trailer: 0) }
        guard let end = bytes.prefix(8).firstIndex(of: 13), let size = Int(String(decoding: bytes[..<end], as: UTF8.self), radix: 16) else {
            return fail("no chunk: \(bytes.prefix(12))")
        }
        guard bytes.count >= end + 2 + size + 2 else { return false }
        guard bytes[end + 1] == 10, Array(bytes[(end + 2 + size)..<(end + 4 + size)]) == [13, 10] else { return fail("no end of a chunk") }
        return takePacket(from: end + 2, trailer: 2, size: size)
    }

    private func takePacket(from start: Int, trailer: Int, size: Int? = nil) -> Bool {
        guard bytes.count >= start + 8 else { return false }
        guard bytes[start] == 0x24, bytes[start + 1] == 0x44 else { return fail("no packet: \(bytes.prefix(12))") }
        let count = 8 + Int(bytes[start + 2]) << 8 + Int(bytes[start + 3])
        if let size, size != count { return fail("a chunk of \(size) around a packet of \(count)") }
        guard bytes.count >= start + count + trailer else { return false }
        let number = Int(number(start + 4))
        guard Array(bytes[start..<start + count]) == message(number, count) else { return fail("packet \(number) is not as it was fed") }
        elements.append(.packet(number))
        bytes.removeFirst(start + count + trailer)
        return true
    }

    private func fail(_ what: String) -> Bool {
        elements.append(.wrong(what))
        bytes = []
        return false
    }

    private func number(_ start: Int) -> UInt32 { bytes[start..<start + 4].reduce(0) { $0 << 8 | UInt32($1) } }
}

extension Bench {
    /// Feeds packets of these sizes, each with its number; those whose numbers are in `starts` may be a reader's first.
    func feed(_ source: SourceHandle, numbers: Range<Int>, starts: Set<Int> = [], bytes: (Int) -> Int = { 100 + $0 % 50 }) {
        submit(.feed(source, LinkBuffer(numbers.flatMap { framed(starts.contains($0) ? 1 : 0, message($0, bytes($0))) })))
    }

    /// Adds a reader of the verbatim stream.
    func addVerbatim(
        _ index: UInt32, chunked: Bool = false, now: Bool = false, sendBuffer: Int32? = nil, receiveBuffer: Int32? = nil
    ) -> (handle: SubscriberHandle, reader: VerbatimReader) {
        let (player, connection) = TestSocket.connectedPair(sendBuffer: sendBuffer, receiveBuffer: receiveBuffer)
        keep(connection)
        let handle = SubscriberHandle(index: index, generation: 1)
        submit(.addVerbatimSubscriber(handle, stream, descriptor: connection.descriptor, chunked: chunked))
        submit(.arm(handle, now: now))
        return (handle, VerbatimReader(player, isChunked: chunked))
    }
}

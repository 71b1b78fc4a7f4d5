import Glibc
import PlaneLink
import Testing

@testable import FastPath

/// A file of packets of one size behind some bytes of a header; each packet is told from every other.
final class StoredTestFile {
    let descriptor: Int32
    let packetBytes: Int
    let packetCount: Int
    private let packets: [[UInt8]]
    static let headerBytes = 777

    init(packetBytes: Int, packetCount: Int) {
        var name = Array("/tmp/weir-stored-XXXXXX".utf8CString)
        descriptor = unsafe mkstemp(&name)
        unsafe unlink(name)
        self.packetBytes = packetBytes
        self.packetCount = packetCount
        packets = (0..<packetCount).map { number in
            var packet: [UInt8] = []
            for part in 0...packetBytes >> 8 { packet += steps(from: number &* 131 &+ part, min(256, packetBytes - part << 8)) }
            return packet
        }
        var bytes = [UInt8](repeating: 0xEE, count: Self.headerBytes)
        for packet in packets { bytes += packet }
        var at = 0
        while at < bytes.count {
            let count = unsafe bytes[at...].withUnsafeBytes { unsafe pwrite(descriptor, $0.baseAddress, $0.count, at) }
            guard count > 0 else { break }
            at += count
        }
    }

    deinit { close(descriptor) }

    /// The packet of that number; none beyond the file's.
    func packet(_ number: Int) -> [UInt8] { packets.indices.contains(number) ? packets[number] : [] }

    /// A plan with blocks of so many packets.
    func plan(blockPackets: Int = 8, limits: Limits = Limits()) throws -> StoredPlan {
        try #require(
            StoredPlan(
                descriptor: descriptor, offset: UInt64(Self.headerBytes), packetBytes: packetBytes, packetCount: UInt32(packetCount),
                blockBytes: blockPackets * packetBytes, limits: limits))
    }

    /// Has it end behind so many packets and some bytes.
    func cut(behind packets: Int, and bytes: Int = 0) { ftruncate(descriptor, Self.headerBytes + packets * packetBytes + bytes) }
}

/// The far end of a stored reader's connection: what it is sent, taken apart and compared with the file.
final class StoredReaderEnd {
    enum Element: Equatable {
        /// Of `$D`: the packet's number and the flags.
        case packet(Int, flags: Int)
        case control(Int)
        case wrong(String)
    }

    let socket: TestSocket
    let file: StoredTestFile
    let isChunked: Bool
    private var bytes: [UInt8] = []
    private(set) var elements: [Element] = []

    init(_ socket: TestSocket, _ file: StoredTestFile, isChunked: Bool) {
        self.socket = socket
        self.file = file
        self.isChunked = isChunked
    }

    /// Packets from a number on, as their reader is sent them.
    static func packets(_ range: Range<Int>, from first: Int, firstFlags: Int = 0) -> [Element] {
        range.map { .packet($0, flags: ($0 - first + firstFlags) & 0xFF) }
    }

    /// Reads what has come; with `room` no more than so much.
    func read(milliseconds: Int32 = 0, room: Int = 1 << 20) {
        guard let more = socket.receive(milliseconds: milliseconds, room: room), !more.isEmpty else { return }
        bytes += more
        while takeOne() {}
    }

    /// Reads until so many elements came.
    func read(elements count: Int, milliseconds: Int = 5_000, room: Int = 1 << 20) -> Bool {
        let end = monotonicNanoseconds() + UInt64(milliseconds) * 1_000_000
        while elements.count < count, monotonicNanoseconds() < end { read(milliseconds: 20, room: room) }
        return elements.count == count
    }

    private func takeOne() -> Bool {
        guard bytes.count >= 2 else { return false }
        if bytes[0] == 0x24, bytes[1] == 0x43 {
            guard bytes.count >= 8 else { return false }
            elements.append(.control(Int(bytes[4..<8].reduce(UInt32(0)) { $0 << 8 | UInt32($1) })))
            bytes.removeFirst(8)
            return true
        }
        var start = 0
        let whole = 12 + file.packetBytes
        if isChunked {
            let head = Array((String(whole, radix: 16) + "\r\n").utf8)
            guard bytes.count >= head.count + whole + 2 else { return false }
            guard bytes.starts(with: head) else { return fail("no chunk of \(whole): \(bytes.prefix(12))") }
            start = head.count
            guard Array(bytes[(start + whole)..<(start + whole + 2)]) == [13, 10] else { return fail("no end of a chunk") }
        }
        guard bytes.count >= start + whole else { return false }
        let head = bytes[start..<(start + 12)].map { Int($0) }
        let length = head[2] | head[3] << 8
        guard head[0] == 0x24, head[1] == 0x44, length == file.packetBytes + 8, head[8] == 5, head[10] | head[11] << 8 == length else {
            return fail("no $D of this file: \(head)")
        }
        let number = head[4] | head[5] << 8 | head[6] << 16 | head[7] << 24
        guard Array(bytes[(start + 12)..<(start + whole)]) == file.packet(number) else { return fail("packet \(number) is not the file's") }
        elements.append(.packet(number, flags: head[9]))
        bytes.removeFirst(start + whole + (isChunked ? 2 : 0))
        return true
    }

    private func fail(_ what: String) -> Bool {
        elements.append(.wrong(what))
        bytes = []
        return false
    }
}

/// A reader of a stored stream, and its far end.
struct StoredTestReader {
    let handle: SubscriberHandle
    let end: StoredReaderEnd
    let progress: StoredProgress
}

extension Bench {
    static let storedStream = StreamHandle(index: 3, generation: 1)

    /// Opens a file as the stored stream.
    func addStored(_ plan: StoredPlan, _ stream: StreamHandle = Bench.storedStream) {
        let memory = StreamMemory(sizing: .stored, workers: engine.workerCount)
        keep(memory)
        submit(.addStoredStream(stream, memory, plan))
    }

    /// Adds a reader of it.
    func addStored(
        _ index: UInt32, _ file: StoredTestFile, first: Int, firstFlags: UInt8 = 0, chunked: Bool = false,
        stream: StreamHandle = Bench.storedStream, sendBuffer: Int32? = nil, receiveBuffer: Int32? = nil
    ) -> StoredTestReader {
        let (player, connection) = TestSocket.connectedPair(sendBuffer: sendBuffer, receiveBuffer: receiveBuffer)
        keep(connection)
        let handle = SubscriberHandle(index: index, generation: 1)
        let progress = StoredProgress(packet: UInt32(first))
        let framing = StoredFraming(incarnation: 5, firstFlags: firstFlags, isChunked: chunked)
        submit(
            .addStoredSubscriber(handle, stream, descriptor: connection.descriptor, first: UInt32(first), framing, progress))
        return StoredTestReader(handle: handle, end: StoredReaderEnd(player, file, isChunked: chunked), progress: progress)
    }
}

import PlaneLink

@testable import FastPath

/// A packet of finished RTP as these tests feed it: its numbers are the feeder's, behind them what only this packet has.
func finished(_ number: Int, _ count: Int) -> [UInt8] {
    rtp(
        sequence: UInt16(truncatingIfNeeded: 65_500 + number), timestamp: UInt32(truncatingIfNeeded: number * 40), ssrc: 0xF00D,
        payload: big(UInt32(truncatingIfNeeded: number)) + steps(from: number &* 31, max(count, 17) - 16))
}

/// The far end of a reader of finished RTP, over UDP or interleaved: says which packets came, and which were not those that were fed.
final class FinishedReader {
    let socket: TestSocket
    /// The channel on which frames are to come; nil over UDP.
    let wire: UInt8?
    private var bytes: [UInt8] = []
    private(set) var packets: [Int] = []
    private(set) var wrong: [String] = []
    /// Words between the frames.
    private(set) var words: [Int] = []

    init(_ socket: TestSocket, wire: UInt8? = nil) {
        self.socket = socket
        self.wire = wire
    }

    /// Reads what has come.
    func read(milliseconds: Int32 = 0) {
        var wait = milliseconds
        while let more = socket.receive(milliseconds: wait, room: 1 << 18), !more.isEmpty {
            wait = 0
            guard wire != nil else {
                take(more)
                continue
            }
            bytes += more
            while takeFrame() {}
        }
    }

    /// Reads until so many packets came.
    func read(packets count: Int, milliseconds: Int = 3_000) -> Bool {
        let end = monotonicNanoseconds() + UInt64(milliseconds) * 1_000_000
        while packets.count < count, monotonicNanoseconds() < end { read(milliseconds: 20) }
        return packets.count == count && wrong.isEmpty
    }

    private func takeFrame() -> Bool {
        guard bytes.count >= 8 else { return false }
        if bytes[0] == 0x24, bytes[1] == 0x43 {
            // A word (``control(_:)``).
            words.append(packets.count)
            bytes.removeFirst(8)
            return true
        }
        guard bytes[0] == 0x24, bytes[1] == wire else {
            wrong.append("no frame: \(bytes.prefix(8))")
            bytes = []
            return false
        }
        let count = Int(bytes[2]) << 8 | Int(bytes[3])
        guard bytes.count >= 4 + count else { return false }
        take(Array(bytes[4..<4 + count]))
        bytes.removeFirst(4 + count)
        return true
    }

    private func take(_ packet: [UInt8]) {
        guard packet.count >= 16 else { return wrong.append("\(packet.count) bytes") }
        let number = Int(packet[12..<16].reduce(0 as UInt32) { $0 << 8 | UInt32($1) })
        if packet != finished(number, packet.count) { wrong.append("packet \(number) is not as it was fed") }
        packets.append(number)
    }
}

extension Bench {
    /// Feeds packets of finished RTP of these sizes, together; those whose numbers are in `starts` may be a reader's first.
    func feedFinished(_ source: SourceHandle, _ numbers: Range<Int>, starts: Set<Int> = [], bytes: (Int) -> Int = { _ in 1_200 }) {
        submit(.feed(source, LinkBuffer(numbers.flatMap { framed(starts.contains($0) ? 1 : 0, finished($0, bytes($0))) })))
    }

    /// Adds a reader over UDP.
    func addFinished(_ index: UInt32, stream: StreamHandle? = nil, socket: TestSocket = TestSocket(datagram: ())) -> (
        handle: SubscriberHandle, far: FinishedReader
    ) {
        let handle = SubscriberHandle(index: index, generation: 1)
        var ports = PortMap()
        ports[0] = socket.port
        submit(.addDatagramSubscriber(handle, stream ?? self.stream, host: HostAddress(ipv4: 0x7F00_0001), ports: ports, sockets: 0))
        return (handle, FinishedReader(socket))
    }

    /// Adds an interleaved one.
    func addFinished(_ index: UInt32, wire: UInt8, sendBuffer: Int32? = nil, receiveBuffer: Int32? = nil) -> (
        handle: SubscriberHandle, far: FinishedReader
    ) {
        let (player, connection) = TestSocket.connectedPair(sendBuffer: sendBuffer, receiveBuffer: receiveBuffer)
        keep(connection)
        let handle = SubscriberHandle(index: index, generation: 1)
        var channels = ChannelMap()
        channels[0] = wire
        submit(.addInterleavedSubscriber(handle, stream, descriptor: connection.descriptor, channels: channels))
        return (handle, FinishedReader(player, wire: wire))
    }
}

import Glibc
import Testing
import WireFormats

@testable import Workbench

/// What the filter in the kernel counts. Where eBPF is not permitted there is no filter to test.
@Suite(.enabled(if: (try? CountingFilter()) != nil, "eBPF is not permitted here"))
struct CountingFilterTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let testDescription: String
        /// Each inner array is one datagram: with more than one number a train.
        let datagrams: [[UInt16]]
        var lost: UInt64 = 0
        var duplicates: UInt64 = 0
        var reordered: UInt64 = 0
        var restarts: UInt64 = 0
    }

    static let cases = [
        Case(testDescription: "in order", datagrams: [[1], [2], [3]]),
        Case(testDescription: "around the end of the numbers", datagrams: [[65_534], [65_535], [0], [1]]),
        Case(testDescription: "a gap", datagrams: [[1], [5]], lost: 3),
        Case(testDescription: "a gap filled later", datagrams: [[1], [3], [2], [4]], reordered: 1),
        Case(testDescription: "twice the newest", datagrams: [[1], [2], [2]], duplicates: 1),
        Case(testDescription: "twice an older one", datagrams: [[1], [2], [3], [2]], duplicates: 1),
        Case(testDescription: "a late one twice", datagrams: [[1], [3], [2], [2]], duplicates: 1, reordered: 1),
        Case(testDescription: "too late to tell", datagrams: [[100], [200], [120]], lost: 99, reordered: 1),
        Case(testDescription: "a new sequence", datagrams: [[50_000], [30_000], [30_001]], restarts: 1),
        Case(testDescription: "trains", datagrams: [Array(10..<22), Array(22..<34)]),
        Case(testDescription: "a train twice", datagrams: [Array(10..<22), Array(10..<22)], duplicates: 12),
        Case(testDescription: "a train missing", datagrams: [Array(10..<22), Array(34..<46)], lost: 12),
        Case(testDescription: "a train late", datagrams: [[9], Array(22..<34), Array(10..<22)], reordered: 12),
        Case(testDescription: "a packet missing inside a train", datagrams: [[9], [10, 11, 13, 14]], lost: 1),
        Case(testDescription: "the longest train", datagrams: [Array(0..<64), Array(64..<128), [128]]),
    ]

    @Test(arguments: cases, [false, true])
    func counts(_ one: Case, receiveGRO: Bool) throws {
        let filter = try CountingFilter()
        let home = try Endpoint(host: "127.0.0.1", port: 0)
        let sink = try DatagramSocket(at: home, receiveGRO: receiveGRO)
        try filter.attach(to: sink.number, deliver: false)
        let sender = try DatagramSender(like: home)
        for numbers in one.datagrams {
            try sender.send(numbers.flatMap { packet($0) }, segmentBytes: Self.packetBytes, toPort: sink.port)
        }
        let counts = filter.counts(port: sink.port)
        let packets = one.datagrams.reduce(0) { $0 + $1.count }
        #expect(counts.packets == UInt64(packets))
        #expect(counts.bytes == UInt64(packets * Self.packetBytes))
        #expect(counts.lost == one.lost)
        #expect(counts.duplicates == one.duplicates)
        #expect(counts.reordered == one.reordered)
        #expect(counts.restarts == one.restarts)
        #expect(counts.buffers == UInt64(receiveGRO ? one.datagrams.count : packets))
        #expect(filter.timestampLast(port: sink.port) == 0x1234_5678)
    }

    @Test(arguments: cases)
    func agreesWithTheReaderHere(_ one: Case) {
        var account = SequenceAccount()
        for number in one.datagrams.joined() { account.take(number) }
        #expect(account.lost == one.lost)
        #expect(account.duplicates == one.duplicates)
        #expect(account.reordered == one.reordered)
        #expect(account.restarts == one.restarts)
    }

    /// Disorder of every kind, from a seed: kernel and reader must say the same.
    @Test(arguments: [1, 2, 3, 4, 5] as [UInt64])
    func agreesOnDisorder(seed: UInt64) throws {
        var random = seed
        func next(_ bound: UInt64) -> UInt64 {
            random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (random >> 33) % bound
        }
        let filter = try CountingFilter()
        let home = try Endpoint(host: "127.0.0.1", port: 0)
        let sink = try DatagramSocket(at: home)
        try filter.attach(to: sink.number, deliver: false)
        let sender = try DatagramSender(like: home)
        var account = SequenceAccount()
        var number = UInt16(truncatingIfNeeded: next(65_536))
        for _ in 0..<2_000 {
            switch next(10) {
            case 0: number &+= UInt16(next(200))
            case 1: number &-= UInt16(next(100))
            case 2: break
            case 3 where next(20) == 0: number &-= UInt16(5_000 + next(10_000))
            default: number &+= 1
            }
            account.take(number)
            try sender.send(packet(number), segmentBytes: Self.packetBytes, toPort: sink.port)
        }
        let counts = filter.counts(port: sink.port)
        #expect(counts.packets == account.packets)
        #expect(counts.lost == account.lost, "seed \(seed)")
        #expect(counts.duplicates == account.duplicates, "seed \(seed)")
        #expect(counts.reordered == account.reordered, "seed \(seed)")
        #expect(counts.restarts == account.restarts, "seed \(seed)")
    }

    @Test func leavesOutWhatIsNoRTP() throws {
        let filter = try CountingFilter()
        let home = try Endpoint(host: "127.0.0.1", port: 0)
        let sink = try DatagramSocket(at: home)
        try filter.attach(to: sink.number, deliver: false)
        let sender = try DatagramSender(like: home)
        try sender.send([1, 2, 3], segmentBytes: 100, toPort: sink.port)
        try sender.send(ParserInput.reports, segmentBytes: 1_000, toPort: sink.port)
        try sender.send(Array(repeating: 0, count: 40), segmentBytes: 100, toPort: sink.port)
        #expect(filter.counts(port: sink.port) == SinkCounts())
    }

    @Test(arguments: [false, true])
    func deliversToSampledReadersToo(receiveGRO: Bool) throws {
        let filter = try CountingFilter()
        let home = try Endpoint(host: "127.0.0.1", port: 0)
        let sink = try DatagramSocket(at: home, receiveGRO: receiveGRO, timestamps: true)
        try filter.attach(to: sink.number, deliver: true)
        let sender = try DatagramSender(like: home)
        try sender.send((0..<12).flatMap { packet(UInt16($0)) }, segmentBytes: Self.packetBytes, toPort: sink.port)
        var seen: [UInt16] = []
        var times: [UInt64] = []
        PacketReader().read(sink.number) { packet, bytes in
            seen.append(packet.sequence)
            times.append(packet.arrivalNanoseconds)
            #expect(bytes.count == Self.packetBytes)
        }
        #expect(seen == Array(0..<12))
        #expect(times.allSatisfy { $0 > 1_600_000_000_000_000_000 })
        #expect(filter.counts(port: sink.port).packets == 12)
        #expect(sink.drops == 0)
    }

    /// Packets from first to last of three watched sockets; a fourth is not watched.
    @Test(arguments: [false, true])
    func tellsTheSpread(receiveGRO: Bool) throws {
        let filter = try CountingFilter()
        let home = try Endpoint(host: "127.0.0.1", port: 0)
        let sender = try DatagramSender(like: home)
        let sinks = try (0..<4).map { _ in try DatagramSocket(at: home, receiveGRO: receiveGRO) }
        for (index, sink) in sinks.enumerated() {
            try filter.attach(to: sink.number, deliver: false)
            filter.watch(port: sink.port, index < 3)
        }
        func send(_ numbers: ClosedRange<UInt16>, to sink: DatagramSocket) throws {
            try sender.send(numbers.flatMap { packet($0) }, segmentBytes: Self.packetBytes, toPort: sink.port)
        }
        let began = monotonicNanoseconds()
        try send(1...12, to: sinks[3])
        for sink in sinks[..<3] {
            // 8, and of a train that holds 16 and 24 with trains the last only.
            try send(1...12, to: sink)
            try send(13...30, to: sink)
            usleep(2_000)
        }
        // The third socket does not get 32.
        for sink in sinks[..<2] { try send(31...33, to: sink) }
        let packets = filter.takeSpread(readers: 3...3)
        #expect(packets.map(\.sequence) == (receiveGRO ? [8, 24] : [8, 16, 24]))
        for packet in packets {
            #expect(packet.milliseconds >= 4)
            #expect(packet.milliseconds <= Double(monotonicNanoseconds() - began) / 1e6)
            #expect(packet.lastNanoseconds <= monotonicNanoseconds())
        }
        #expect(filter.takeSpread(readers: 3...3).isEmpty)
        try send(34...34, to: sinks[2])
        try send(32...32, to: sinks[2])  // late
        #expect(filter.takeSpread(readers: 3...3).map(\.sequence) == [32])
        #expect(sinks.map { filter.counts(port: $0.port).packets } == [33, 33, 32, 12])
    }

    static let packetBytes = 100

    private func packet(_ number: UInt16) -> [UInt8] {
        RTPHeader(payloadType: 96, marker: false, sequence: number, timestamp: 0x1234_5678, ssrc: 7)
            .packet(payload: [UInt8](repeating: 0, count: Self.packetBytes - 12))
    }
}

import PlaneLink
import Testing

@Suite struct BoundedRingTests {
    @Test("Elements come out in order, and a full ring takes no more", arguments: [1, 2, 3, 64])
    func order(capacity: Int) {
        let ring = BoundedRing<Int>(capacity: capacity)
        #expect(ring.capacity == max(capacity, 1))
        for round in 0..<5 {
            for value in 0..<ring.capacity { #expect(ring.push(round * 1_000 + value)) }
            #expect(!ring.push(-1))
            #expect(ring.count == ring.capacity)
            for value in 0..<ring.capacity { #expect(ring.pop() == round * 1_000 + value) }
            #expect(ring.pop() == nil)
        }
    }

    @Test("Two threads lose and repeat nothing")
    func twoThreads() async {
        let ring = BoundedRing<UInt64>(capacity: 16)
        let total: UInt64 = 200_000
        async let sum: UInt64 = Task.detached {
            var expected: UInt64 = 0
            while expected < total {
                guard let value = ring.pop() else {
                    await Task.yield()
                    continue
                }
                if value != expected { return value }
                expected += 1
            }
            return expected
        }.value
        var next: UInt64 = 0
        while next < total {
            if ring.push(next) { next += 1 } else { await Task.yield() }
        }
        #expect(await sum == total)
    }
}

@Suite struct HandleTests {
    @Test("A slot's next use has another generation, and no more slots than allowed are given out")
    func generations() throws {
        var table = HandleTable(slotsMax: 2)
        let takes = [table.take(), table.take(), table.take()]
        let first = try #require(takes[0])
        let second = try #require(takes[1])
        #expect(takes[2] == nil && first.index != second.index && table.inUse == 2)
        table.release(index: first.index)
        let again = table.take()
        #expect(again?.index == first.index && again?.generation != first.generation)
    }
}

@Suite struct MapTests {
    @Test("Channels read back what was written, out of range reads as none")
    func channels() {
        var map = ChannelMap()
        for channel in 0..<16 { #expect(map[channel] == nil) }
        map[0] = 7
        map[8] = 9
        map[14] = 5
        map[14] = nil
        map[15] = 255
        map[16] = 1
        map[-1] = 1
        #expect(map[0] == 7 && map[8] == 9 && map[15] == 255 && map[14] == nil && map[1] == nil && map[16] == nil && map[-1] == nil)
        #expect(map.channel(ofWire: 9) == 8 && map.channel(ofWire: 3) == nil && map.channel(ofWire: 255) == 15)
        #expect(ChannelMap(identity: 4).channel(ofWire: 3) == 3 && ChannelMap(identity: 99)[15] == 15)
    }

    @Test("IPv4 hosts compare equal whether mapped or not")
    func hosts() {
        #expect(HostAddress(ipv4: 0x7F00_0001) == HostAddress(high: 0, low: 0xFFFF_7F00_0001))
        #expect(HostAddress(ipv4: 0x7F00_0001).ipv4 == 0x7F00_0001)
        #expect(HostAddress(high: 0, low: 1).ipv4 == nil)
    }
}

@Suite struct SizingTests {
    @Test(
        "A packet log follows bit rate and window, between its bounds",
        arguments: [
            (8_000_000, 2_000, 2_002_944), (0, 2_000, StreamSizing.arenaBytesMin), (-5, -5, StreamSizing.arenaBytesMin),
            (Int.max, Int.max, StreamSizing.arenaBytesMax),
        ])
    func sizes(bitRate: Int, window: Int, arena: Int) {
        let sizing = StreamSizing(bitRate: bitRate, windowMilliseconds: window)
        #expect(sizing.arenaBytes == arena && sizing.arenaBytes % 4_096 == 0)
        #expect(sizing.recordCount & (sizing.recordCount - 1) == 0)
    }

    @Test("A log that does not fit is refused with the sum, and what is given back can be taken again")
    func budget() throws {
        var limits = Limits()
        let sizing = StreamSizing(bitRate: 8_000_000, windowMilliseconds: 2_000)
        limits.packetLogBytesMax = sizing.bytes
        var budget = PacketLogBudget(limits: limits)
        try budget.take(sizing)
        let refusal = #expect(throws: PacketLogRefusal.self) { try budget.take(sizing) }
        let text = try #require(refusal).description
        #expect(
            text.contains("8000000 bit/s × 2000 ms") && text.contains("packet-log-bytes")
                && text.contains("\(sizing.bytes) of \(sizing.bytes)"))
        budget.giveBack(sizing)
        #expect(budget.bytesInUse == 0)
        try budget.take(sizing)
    }

    @Test("The report queue holds everything that can be outstanding")
    func reports() {
        var limits = Limits()
        limits.subscribersMax = 10
        limits.sourcesMax = 2
        limits.streamsMax = 1
        #expect(limits.reportsMax == 10 * 5 + limits.queuedSendsMax + 2 * 4 + 2 + Limits.egressMax)
    }
}

@Suite struct ClockTests {
    @Test(
        "Ticks are exact, and no clock rate or span overflows",
        arguments: [
            (90_000, 1_000_000_000, 90_000), (48_000, 21_333_333, 1_023), (90_000, 0, 0), (0, 2_000_000_000, 180_000),
            (UInt32.max, 1_000_000_000, UInt64(UInt32.max)),
        ] as [(UInt32, UInt64, UInt64)])
    func ticks(rate: UInt32, nanoseconds: UInt64, ticks: UInt64) {
        #expect(TrackPlan(clockRate: rate, codec: .opaque, ssrc: 0).ticks(nanoseconds) == ticks)
        _ = TrackPlan(clockRate: rate, codec: .opaque, ssrc: 0).ticks(.max)
    }
}

@Suite struct CounterTests {
    @Test("Counters of streams and tracks do not overlap")
    func layout() {
        let memory = StreamMemory(sizing: StreamSizing(bitRate: 0, windowMilliseconds: 0))
        var value: UInt64 = 1
        for counter in StreamCounter.allCases {
            memory.counters.set(counter, value)
            value += 1
        }
        for track in 0..<tracksPerStreamMax {
            for counter in TrackCounter.allCases {
                memory.counters.set(track, counter, value)
                value += 1
            }
        }
        var expected: UInt64 = 1
        for counter in StreamCounter.allCases {
            #expect(memory.counters[counter] == expected)
            expected += 1
        }
        for track in 0..<tracksPerStreamMax {
            for counter in TrackCounter.allCases {
                #expect(memory.counters[track, counter] == expected)
                expected += 1
            }
        }
        memory.free()
    }
}

import PlaneLink
import Testing

@testable import FastPath

@Suite struct PacketLogTests {
    @Test("A train never runs beyond the arena, also where packets fit it exactly", arguments: [1_024, 4_096, 1_316, 1_200, 65_536 / 2])
    func trainsStayInside(length: Int) throws {
        let memory = StreamMemory(sizing: StreamSizing(bitRate: 0, windowMilliseconds: 0))
        defer { memory.free() }
        let log = PacketLog(memory: memory)
        var writer = LogWriter(log: log, board: memory.board, workers: 1)
        let total = UInt64(3 * memory.arenaBytes / length)
        var trains = 0
        for number in 0..<total {
            let room = unsafe writer.room(for: length)
            guard let place = unsafe room else { Issue.record("no room"); return }
            _ = unsafe place.initializeMemory(as: UInt8.self, repeating: UInt8(truncatingIfNeeded: number), count: length)
            writer.append(length: length, channel: 0, plan: 0, flags: [], arrival: number, sequence: 0, timestamp: 0)
            guard number >= 8 else { continue }
            let train = Train.cut(log, from: number - 7, limit: number + 1)
            let start = unsafe log.bytes(of: train.record)
            let offset = unsafe start - UnsafeRawPointer(memory.arena)
            #expect(offset >= 0 && offset + train.bytes <= memory.arenaBytes, "from \(offset), \(train.bytes) bytes")
            for packet in 0..<train.packets {
                let byte = unsafe start.load(fromByteOffset: packet * length, as: UInt8.self)
                #expect(byte == UInt8(truncatingIfNeeded: train.first + UInt64(packet)))
            }
            trains += train.packets > 1 ? 1 : 0
        }
        #expect(trains > 0 || length > 32_000)
    }
}

import Foundation
import Glibc
import WireFormats

/// A file of as many packets as a test wants, one audio stream, each packet the beginning of an object of its own.
struct LongASF {
    static let packetBytes = 128
    let header: [UInt8]
    let packets: [[UInt8]]

    init(packets count: Int, stepMilliseconds: Int = 1) {
        var header = Array(SmallASF.bytes[..<SmallASF.headerBytes])
        func put(_ value: Int, _ bytes: Int, at place: Int, of target: inout [UInt8]) {
            for index in 0..<bytes { target[place + index] = UInt8(truncatingIfNeeded: value >> (8 * index)) }
        }
        let length = (count * stepMilliseconds + 1_000) * 10_000
        put(SmallASF.headerBytes + count * Self.packetBytes, 8, at: 70, of: &header)
        put(count, 8, at: 86, of: &header)
        put(length, 8, at: 94, of: &header)
        put(length, 8, at: 102, of: &header)
        put(50 + count * Self.packetBytes, 8, at: 292, of: &header)
        put(count, 8, at: 316, of: &header)
        let first = Array(SmallASF.bytes[SmallASF.headerBytes..<(SmallASF.headerBytes + Self.packetBytes)])
        packets = (0..<count).map { number in
            var packet = first
            put(number * stepMilliseconds, 4, at: 7, of: &packet)
            packet[14] = UInt8(truncatingIfNeeded: number)
            put(1_000 + number * stepMilliseconds, 4, at: 24, of: &packet)
            return packet
        }
        self.header = header
    }

    var bytes: [UInt8] { packets.reduce(into: header) { $0 += $1 } }

    /// A file of it that goes with the test.
    final class File {
        let name = NSTemporaryDirectory() + "weir-long-\(UInt64.random(in: 0 ... .max)).asf"
        init(_ content: LongASF) throws { try Data(content.bytes).write(to: URL(fileURLWithPath: name)) }
        deinit { unsafe unlink(name) }
    }
}

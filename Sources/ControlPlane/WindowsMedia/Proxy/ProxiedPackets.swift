import Signalling
import Synchronization
import WireFormats

/// The packets of one version of an object elsewhere, as far as they are here: on the disk, in memory, or here and there. Any thread may read.
final class ProxiedPackets: PacketStorage {
    /// The header, at whose end the packets begin; the size of each.
    let head: [UInt8]
    let packetBytes: Int
    /// What is kept on the disk; nil: nothing is.
    let object: CacheObject?
    private let memory = Mutex<[UInt32: [UInt8]]>([:])
    /// What the origin leaves out, and is read as nothing that could be a packet.
    private let gaps = Mutex(PacketRanges())

    init(head: [UInt8], packetBytes: Int, object: CacheObject?) {
        self.head = head
        self.packetBytes = packetBytes
        self.object = object
    }

    var descriptor: CInt? { object.flatMap { $0.isWhole && !$0.isGone ? $0.descriptor : nil } }

    /// Puts a packet, at full size, into memory.
    func put(_ number: UInt32, _ bytes: [UInt8]) { memory.withLock { $0[number] = bytes } }

    /// Takes packets out of memory.
    func drop(_ numbers: [UInt32]) { memory.withLock { memory in for number in numbers { memory[number] = nil } } }

    /// These are not to be had; false: there are too many gaps.
    func leaveOut(_ range: Range<Int>) -> Bool { gaps.withLock { $0.insert(range) } }

    /// What is not to be had.
    var leftOut: PacketRanges { gaps.withLock { $0 } }

    /// What lies in memory.
    var numbersInMemory: [UInt32] { memory.withLock { Array($0.keys) } }

    func read(at offset: Int64, count: Int) throws(WindowsMediaFile.Trouble) -> [UInt8] {
        guard offset >= 0, count > 0 else { return [] }
        let headBytes = Int64(head.count)
        var bytes: [UInt8] = []
        if offset < headBytes { bytes += head[Int(offset)..<Int(min(headBytes, offset + Int64(count)))] }
        let from = max(offset - headBytes, 0), left = count - bytes.count
        guard left > 0, packetBytes > 0 else { return bytes }
        // Whole packets are what is kept; what is asked for may begin within one.
        let first = from / Int64(packetBytes), end = (from + Int64(left) + Int64(packetBytes) - 1) / Int64(packetBytes)
        guard let low = UInt32(exactly: first), let high = UInt32(exactly: end) else { return bytes }
        let packets = try read(packets: low..<high)
        let skipped = Int(from - first * Int64(packetBytes))
        guard packets.count > skipped else { return bytes }
        if bytes.isEmpty, skipped == 0, packets.count <= left { return packets }
        return bytes + packets[skipped..<min(packets.count, skipped + left)]
    }

    /// These packets, as far as they are here from the first one on without a gap.
    private func read(packets range: Range<UInt32>) throws(WindowsMediaFile.Trouble) -> [UInt8] {
        var bytes: [UInt8] = []
        var next = range.lowerBound
        while next < range.upperBound {
            let kept = memory.withLock { memory in
                var kept: [UInt8] = []
                while next < range.upperBound, let packet = memory[next] {
                    kept += packet
                    next += 1
                }
                return kept
            }
            bytes += kept
            let gap = gaps.withLock { $0.run(from: Int(next)) }
            if !gap.isEmpty {
                // It is left out wherever packets are sent.
                let end = UInt32(clamping: min(gap.upperBound, Int(range.upperBound)))
                bytes += [UInt8](repeating: 0xFF, count: Int(end - next) * packetBytes)
                next = end
                continue
            }
            guard next < range.upperBound, let object, let end = object.end(ofRunFrom: Int(next)), end > Int(next) else { break }
            let run = Int(next)..<min(end, Int(range.upperBound))
            do throws(CacheTrouble) {
                let read = try object.read(run)
                guard read.count >= packetBytes else { break }
                bytes += read
                next += UInt32(clamping: read.count / packetBytes)
            } catch {
                // What came before it is good.
                guard bytes.isEmpty else { break }
                throw WindowsMediaFile.Trouble(description: error.description)
            }
        }
        return bytes
    }
}

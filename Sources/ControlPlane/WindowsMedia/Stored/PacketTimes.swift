import NIOCore
import NIOPosix
import WireFormats

/// When the packets of a file are due: read once for all who are sent it, a stretch at a time, a little ahead of them. What is read so is in the
/// kernel's cache when it is sent, and was looked at. Belongs to the event loop.
final class PacketTimes {
    /// What is known of a stretch.
    struct Stretch: Sendable {
        /// The first packet, and the send time of each that is there, in milliseconds.
        let first: UInt32
        let sendTimes: [UInt32]
        /// The packets go as they lie: each can be read, and has nothing that a player who chose all streams would not be sent.
        let isPlain: Bool
    }

    private struct Kept {
        let stretch: Stretch
        var usedAt: UInt64
    }

    /// What there is to say of a packet.
    enum Answer {
        case known(Stretch)
        /// Being read; whoever asked is called.
        case coming
        /// It cannot be read, in words.
        case failed(String)
    }

    private let file: WindowsMediaFile
    private let eventLoop: any EventLoop
    /// Packets of a stretch: whole blocks.
    let stretchPackets: UInt32
    private var stretches: [UInt32: Kept] = [:]
    /// Counts uses: the one used longest ago goes when there are too many.
    private var uses: UInt64 = 0
    /// So many are kept.
    private let stretchesMax: Int
    /// Stretches that were read, and such that were let go of to make room, for tests and for whoever asks why the disk is busy.
    private(set) var loads = 0, drops = 0
    private var waiting: [UInt32: [() -> Void]] = [:]
    private var failures: [UInt32: String] = [:]

    /// A stretch has about so many bytes: some seconds.
    static let stretchBytes = 512 << 10
    /// Times of no more packets are kept, four bytes each: three hours at 1 Mbit/s and 1,400 bytes. Then those go that were used longest ago, and are
    /// read anew when they are wanted.
    static let packetsKeptMax = 1 << 20

    init(_ file: WindowsMediaFile, blockPackets: UInt32, packetsMax: Int = packetsKeptMax, on eventLoop: any EventLoop) {
        self.file = file
        self.eventLoop = eventLoop
        let blockBytes = max(Int(blockPackets) * file.header.packetBytes, 1)
        stretchPackets = max(blockPackets, 1) * UInt32(max(Self.stretchBytes / blockBytes, 1))
        stretchesMax = max(packetsMax / Int(stretchPackets), 2)
    }

    /// What is known of a packet's stretch; where it has to be read, `onKnown` runs afterwards.
    func ask(_ packet: UInt32, _ onKnown: @escaping () -> Void) -> Answer {
        let number = packet / stretchPackets
        if let kept = stretches[number] {
            uses += 1
            stretches[number]?.usedAt = uses
            return .known(kept.stretch)
        }
        if let words = failures.removeValue(forKey: number) { return .failed(words) }
        waiting[number, default: []].append(onKnown)
        if waiting[number]?.count == 1 { load(number) }
        return .coming
    }

    /// Sees to it that the stretch behind a packet's is there when it is wanted.
    func readAhead(of packet: UInt32) {
        let number = packet / stretchPackets + 1
        guard number * stretchPackets < file.packetCount else { return }
        if stretches[number] != nil { return readAhead(number) }
        guard waiting[number] == nil else { return }
        waiting[number] = [{}]
        load(number)
    }

    /// Its times are known, but its bytes may have left the kernel's cache.
    private func readAhead(_ number: UInt32) {
        guard let place = file.stored else { return }
        let packetBytes = file.header.packetBytes, count = Int(stretchPackets) * packetBytes
        let offset = Int(clamping: place.packetsOffset) + Int(number) * count
        let file = file
        NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop) {
            // The file is open as long as this runs.
            withExtendedLifetime(file) { FileAdvice.willNeed(place.descriptor, offset: offset, count: count) }
        }.whenComplete { _ in }
    }

    private func keep(_ stretch: Stretch, _ number: UInt32) {
        if stretches.count >= stretchesMax, let oldest = stretches.min(by: { $0.value.usedAt < $1.value.usedAt }) {
            stretches[oldest.key] = nil
            drops += 1
        }
        uses += 1
        stretches[number] = Kept(stretch: stretch, usedAt: uses)
    }

    private func load(_ number: UInt32) {
        loads += 1
        let file = file, first = number * stretchPackets
        let range = first..<(first + min(stretchPackets, file.packetCount - min(first, file.packetCount)))
        NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop) { try Self.read(file, range) }
            .assumeIsolated().whenComplete { [weak self] result in
                guard let self else { return }
                switch result {
                case .success(let stretch):
                    keep(stretch, number)
                case .failure(let error): failures[number] = "\(error)"
                }
                for one in waiting.removeValue(forKey: number) ?? [] { one() }
            }
    }

    /// Reads a stretch and looks at each packet; blocking.
    private static func read(_ file: WindowsMediaFile, _ range: Range<UInt32>) throws -> Stretch {
        let packetBytes = file.header.packetBytes
        let bytes = try file.read(packets: range)
        var all = ASFStreamSet()
        for stream in file.header.streams { all.insert(stream.number) }
        var selection = ASFSelection(streams: all)
        var times: [UInt32] = []
        times.reserveCapacity(bytes.count / packetBytes)
        var isPlain = true
        var last: UInt32 = 0
        for start in stride(from: 0, to: bytes.count - bytes.count % packetBytes, by: packetBytes) {
            let packet = Array(bytes[start..<(start + packetBytes)])
            if let head = try? ASFPacket(packet.span, packetBytes: packetBytes) { last = head.sendTime } else { isPlain = false }
            times.append(last)
            if isPlain, (try? selection.packet(packet, packetBytes: packetBytes)) != packet { isPlain = false }
        }
        return Stretch(first: range.lowerBound, sendTimes: times, isPlain: isPlain)
    }
}

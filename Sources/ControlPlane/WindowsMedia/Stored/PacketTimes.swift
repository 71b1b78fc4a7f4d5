import NIOCore
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

    /// A stretch that is being read.
    private struct Load {
        let began: NIODeadline
        /// Its readers were told that it takes too long; whoever asks is told so at once.
        var isOverdue = false
        var waiting: [(_ failure: String?) -> Void] = []
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
    /// Reads that were waited for too long.
    private(set) var overdue = 0
    private var loading: [UInt32: Load] = [:]
    private let patience: TimeAmount
    private let overdueTimer: LoopTimer

    /// A stretch has about so many bytes: some seconds.
    static let stretchBytes = 512 << 10
    /// Times of no more packets are kept, four bytes each: three hours at 1 Mbit/s and 1,400 bytes. Then those go that were used longest ago, and are
    /// read anew when they are wanted.
    static let packetsKeptMax = 1 << 20

    /// A read of a stretch is waited for no longer than `patience`.
    init(
        _ file: WindowsMediaFile, blockPackets: UInt32, packetsMax: Int = packetsKeptMax, patience: TimeAmount = .seconds(30),
        on eventLoop: any EventLoop
    ) {
        self.file = file
        self.eventLoop = eventLoop
        self.patience = patience
        overdueTimer = LoopTimer(eventLoop)
        let blockBytes = max(Int(blockPackets) * file.header.packetBytes, 1)
        stretchPackets = max(blockPackets, 1) * UInt32(max(Self.stretchBytes / blockBytes, 1))
        stretchesMax = max(packetsMax / Int(stretchPackets), 2)
    }

    deinit { overdueTimer.stop() }

    /// Whether something is being read.
    var isReading: Bool { !loading.isEmpty }

    /// What is known of a packet's stretch. Nil: it has to be read, and `onKnown` runs afterwards, with the reason in words where it cannot be.
    func ask(_ packet: UInt32, _ onKnown: @escaping (_ failure: String?) -> Void) -> Stretch? {
        let number = packet / stretchPackets
        if let kept = stretches[number] {
            uses += 1
            stretches[number]?.usedAt = uses
            return kept.stretch
        }
        if let load = loading[number], load.isOverdue {
            eventLoop.assumeIsolated().execute { [words = overdueWords] in onKnown(words) }
            return nil
        }
        if loading[number] == nil { load(number) }
        loading[number]?.waiting.append(onKnown)
        return nil
    }

    /// Sees to it that the stretch behind a packet's is there when it is wanted.
    func readAhead(of packet: UInt32) {
        let number = packet / stretchPackets + 1
        guard number * stretchPackets < file.packetCount else { return }
        if stretches[number] != nil { return readAhead(number) }
        // What fails now may be read when it is wanted.
        if loading[number] == nil { load(number) }
    }

    /// Its times are known, but its bytes may have left the kernel's cache.
    private func readAhead(_ number: UInt32) {
        guard let place = file.stored else { return }
        let packetBytes = file.header.packetBytes, count = Int(stretchPackets) * packetBytes
        let offset = Int(clamping: place.packetsOffset) + Int(number) * count
        let file = file
        file.onThread(eventLoop) {
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
        loading[number] = Load(began: eventLoop.now)
        if !overdueTimer.isRunning { watch() }
        let file = file, first = number * stretchPackets
        let range = first..<(first + min(stretchPackets, file.packetCount - min(first, file.packetCount)))
        file.onThread(eventLoop) { try Self.read(file, range) }
            .assumeIsolated().whenComplete { [weak self] result in
                guard let self else { return }
                let waiting = loading.removeValue(forKey: number)?.waiting ?? []
                switch result {
                case .success(let stretch):
                    keep(stretch, number)
                    for one in waiting { one(nil) }
                case .failure(let error): for one in waiting { one("\(error)") }
                }
            }
    }

    /// One timer for all reads: it looks when the oldest has taken too long.
    private func watch() {
        guard let oldest = loading.values.lazy.filter({ !$0.isOverdue }).map(\.began).min() else { return }
        overdueTimer.start(at: oldest + patience) { [weak self] in self?.endOverdue() }
    }

    private func endOverdue() {
        let now = eventLoop.now
        for (number, load) in loading where !load.isOverdue && load.began + patience <= now {
            overdue += 1
            loading[number]?.isOverdue = true
            loading[number]?.waiting = []
            for one in load.waiting { one(overdueWords) }
        }
        watch()
    }

    private var overdueWords: String {
        "\(file.name) cannot be read: what it lies on has not answered for \(patience.nanoseconds / 1_000_000_000) s"
    }

    /// Reads a stretch and looks at each packet; blocking.
    private static func read(_ file: WindowsMediaFile, _ range: Range<UInt32>) throws -> Stretch {
        let packetBytes = file.header.packetBytes
        let bytes = try file.read(packets: range)
        let streams = file.header.streamNumbers
        var times: [UInt32] = []
        times.reserveCapacity(bytes.count / packetBytes)
        var isPlain = true
        var last: UInt32 = 0
        for start in stride(from: 0, to: bytes.count - bytes.count % packetBytes, by: packetBytes) {
            let packet = bytes.span.extracting(start..<(start + packetBytes))
            if let head = try? ASFPacket(packet, packetBytes: packetBytes) {
                last = head.sendTime
                if isPlain { isPlain = (try? goesAsItLies(head, packet, streams)) == true }
            } else {
                isPlain = false
            }
            times.append(last)
        }
        return Stretch(first: range.lowerBound, sendTimes: times, isPlain: isPlain)
    }

    /// Whether a filter would let all of a packet pass: it has payloads, of known streams alone, and is of full size.
    private static func goesAsItLies(_ head: ASFPacket, _ packet: Span<UInt8>, _ streams: ASFStreamSet) throws(ASFPacketError) -> Bool {
        var payloads = ASFPayloads(head)
        var isEmpty = true
        while let payload = try payloads.next(in: packet) {
            guard streams.contains(payload.stream) else { return false }
            isEmpty = false
        }
        return !isEmpty && head.byteCount >= packet.count
    }
}

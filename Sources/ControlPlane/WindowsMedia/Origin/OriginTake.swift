import Signalling
import WireFormats

/// Looks at the packets of one play as they come from an origin: gives each its number, makes it whole, and tells an origin that lies.
struct OriginTake {
    /// What becomes of a packet, in order.
    enum Event: Equatable {
        case began(OriginPlay.Start)
        case skipped(Range<UInt32>)
        case packet(UInt32, [UInt8])
        case lies(String)
        case differs(String)
    }

    /// Packets of a play that cannot be read, and that it goes on behind.
    static let brokenMax = 64
    /// So many packets may come again where a play goes on: from the key frame before.
    static let overlapMax: UInt32 = 4_096
    /// So many show that a connection is sound.
    static let soundPacketsMin = 64

    /// The packet that comes next; nil: none came.
    private(set) var next: UInt32?
    /// What is gone on with after a broken connection.
    private(set) var goesOnAt: UInt32?
    /// Packets that came since the connection stands.
    private(set) var soundPackets = 0
    private(set) var broken = 0
    private var isExact = true
    /// The connection that this comes over has brought nothing.
    private var isFirst = true

    /// Nothing came of a play yet.
    mutating func begin(at place: UInt32?) {
        self = OriginTake()
        goesOnAt = place
    }

    /// The connection is gone: what comes over the next one goes on here.
    mutating func breaks() {
        goesOnAt = next
        isFirst = true
        soundPackets = 0
    }

    /// A packet came, with its number where the origin says it.
    mutating func take(
        _ said: UInt32?, _ bytes: [UInt8], of description: OriginPlay.Description, askedFor position: WMSPPosition, isWhole: Bool
    ) -> [Event] {
        let header = description.header
        let whole = try? ASFPacket.full(bytes, packetBytes: header.packetBytes)
        let sendTime = whole.flatMap { ASFPacket.sendTime(ofHead: $0.span) } ?? 0
        var events: [Event] = []
        let number: UInt32
        if isFirst {
            isFirst = false
            if let place = goesOnAt {
                guard let said, isExact else { return [.lies("the origin does not say which packet it goes on with")] }
                guard said <= place, place - said <= Self.overlapMax else {
                    return [.lies("the origin goes on with packet \(said), not with \(place)")]
                }
            } else {
                guard whole != nil else {
                    isFirst = true
                    return spoiled(said)
                }
                let start = start(said, sendTime, of: description, askedFor: position)
                isExact = start.isExact
                next = start.packet
                events.append(.began(start))
            }
        }
        guard let next else { return [] }
        if let said, isExact { number = said } else { number = next }
        if let count = description.packetCount, !description.isPlaylist, number >= count {
            // An estimate may lead behind the end; what is said may not.
            return isExact ? [.differs("packet \(number) came of \(count) that the header names")] : events
        }
        if let place = goesOnAt {
            if number < place { return [] }
            goesOnAt = nil
        }
        guard number >= next else { return [.lies("the origin's packet numbers go back, from \(next - 1) to \(number)")] }
        guard number < .max else { return [.lies("the packet number \(number) is none")] }
        self.next = number + 1
        if number > next, isWhole { events.append(.skipped(next..<number)) }
        guard let whole else { return events + spoiled(number) }
        soundPackets += 1
        events.append(.packet(number, whole))
        return events
    }

    private mutating func spoiled(_ number: UInt32?) -> [Event] {
        broken += 1
        guard broken <= Self.brokenMax else { return [.lies("more than \(Self.brokenMax) packets cannot be read")] }
        return number.map { $0 < .max ? [.skipped($0..<($0 + 1))] : [] } ?? []
    }

    private func start(
        _ said: UInt32?, _ sendTime: UInt32, of description: OriginPlay.Description, askedFor position: WMSPPosition
    ) -> OriginPlay.Start {
        let file = description.header.file
        let milliseconds = sendTime - min(sendTime, file.prerollMilliseconds)
        var start = OriginPlay.Start(packet: 0, sendTime: sendTime, milliseconds: milliseconds, isExact: true)
        switch (said, position) {
        case (let said?, .beginning):
            start.packet = said
            start.isExact = said == 0 || description.isPlaylist
        case (let said?, .packet(let asked)):
            start.packet = said
            start.isExact = UInt64(said) <= asked
        case (let said?, .time): start.packet = said
        case (nil, .beginning): break
        case (nil, .packet), (nil, .time):
            start.isExact = false
            // Where it would be if all packets were sent evenly.
            let count = UInt64(description.packetCount ?? 0), duration = max(file.sendDuration / 10_000, 1)
            start.packet = UInt32(clamping: min(UInt64(sendTime) &* count / duration, count > 0 ? count - 1 : 0))
        }
        // A number beyond what there is is told apart by whoever looks at it as said.
        if !start.isExact, let count = description.packetCount, start.packet >= count { start.packet = count > 0 ? count - 1 : 0 }
        return start
    }
}

extension OriginPlay.Description {
    /// What a header and what was said with it come to.
    init(_ header: ASFHeader, _ metadata: WMSPMetadata?, _ statement: OriginStatement) {
        self.header = header
        self.metadata = metadata
        self.statement = statement
        let control = MSRTSPCacheControl(statement.cacheControl)
        isPlaylist = control.isPlaylist || (statement.features ?? []).contains(.playlist)
        packetCount = nil
        unfit = nil
        let file = header.file
        if statement.isBroadcast {
            unfit = "it is live"
        } else if file.packetBytesMin != file.packetBytesMax {
            unfit = "its packets are of several sizes"
        } else if file.packetCount == 0 || file.packetCount >= UInt64(UInt32.max) {
            unfit = "its header does not say how many packets there are"
        } else if header.data.packetCount != 0, header.data.packetCount != file.packetCount {
            unfit = "its header contradicts itself: \(file.packetCount) packets, and \(header.data.packetCount)"
        } else {
            packetCount = UInt32(file.packetCount)
            let bytes = UInt64(header.bytes.count) &+ file.packetCount &* UInt64(header.packetBytes)
            if isPlaylist {
                unfit = "it is a playlist"
            } else if let said = control.contentBytes, said > 0, bytes > said &+ Self.sizeSlackBytes {
                unfit = "its header names \(bytes) bytes, and the origin \(said)"
            }
        }
    }

    /// The size that an origin names is that of its file, whose header may be shorter than the one that it sends.
    private static let sizeSlackBytes: UInt64 = 64 << 10

    /// Why it is not the same content; nil: it is.
    func differs(from other: Self) -> String? {
        if header.bytes != other.header.bytes { return "the origin describes another header than before" }
        if let a = statement.etag, let b = other.statement.etag, a != b { return "the origin's Etag is another one than before" }
        if let a = statement.lastModified, let b = other.statement.lastModified, a != b {
            return "the origin's content was modified"
        }
        return nil
    }
}

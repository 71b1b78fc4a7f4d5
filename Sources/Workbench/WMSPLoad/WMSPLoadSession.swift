import Signalling
import WireFormats

/// One reader of a load run on Windows Media over HTTP: its conversation, its connection and what was seen on it.
final class WMSPLoadSession {
    enum Phase: Equatable {
        /// Describe, over a connection of its own.
        case describing
        /// Play was sent, or is about to be.
        case starting
        case playing
        /// It never played.
        case failed(String)
        /// It played, and then its media ended.
        case died(String)
    }

    /// How the answer to Play is read.
    enum Reading {
        /// Its head has not come whole.
        case head
        /// Packets are walked over.
        case walked(WMSPWalk)
        /// By the client's own parser: a body in chunks, or one that runs on from the answer to Describe.
        case parsed
    }

    /// What a session delivered up to one moment.
    struct Snapshot {
        var counts = SinkCounts()
        /// Everything on its connections, framing included.
        var connectionBytes: UInt64 = 0
        /// Send time of the newest packet.
        var sendTime: UInt32?
    }

    let index: Int
    /// Whether it joined while the others were measured.
    let isJoiner: Bool
    let isSampled: Bool
    /// Where it asks: elsewhere after a redirection, and which ones came before.
    var url: WMSPSourceURL
    var machine: WMSPClient
    var trail: [WMSPSourceURL] = []
    var connection: ReaderConnection?
    var isConnected = false
    var phase = Phase.describing
    var reading = Reading.head
    /// The head of the answer to Play, as far as it came.
    var head: [UInt8] = []
    /// Read in sweeps, no longer when something is there.
    var isSwept = false

    /// Of the header that counts now, and of those before it.
    private var account = SequenceAccount()
    private var countsBefore = SinkCounts()
    private var bytesBefore: UInt64 = 0
    private var hasHeader = false
    private(set) var sendTimeLast: UInt32?
    /// Sampled readers.
    var log = ArrivalLog(clockRate: 1_000)
    private var first: (sendTime: UInt32, arrivalNanoseconds: UInt64)?
    /// Of the window, one for each packet; see ``LoadTally/behindMilliseconds``.
    var behindMilliseconds: [Double] = []

    let startedNanoseconds: UInt64
    var describedNanoseconds: UInt64 = 0
    var firstPacketNanoseconds: UInt64?

    /// At the window's beginning, of a joiner empty; and at its end.
    var atStart = Snapshot()
    var atEnd = Snapshot()

    init(index: Int, isJoiner: Bool, isSampled: Bool, url: WMSPSourceURL, machine: WMSPClient) {
        self.index = index
        self.isJoiner = isJoiner
        self.isSampled = isSampled
        self.url = url
        self.machine = machine
        startedNanoseconds = monotonicNanoseconds()
    }

    /// Between its connect and its Play's answer.
    var isPending: Bool { phase == .describing || phase == .starting }

    /// Describe sent to first packet; nil when none came.
    var joinMilliseconds: Double? {
        firstPacketNanoseconds.map { Double($0 &- min($0, describedNanoseconds)) / 1e6 }
    }

    /// A connection is left for another.
    func drop() {
        bytesBefore &+= connection?.bytesReceived ?? 0
        connection = nil
        isConnected = false
        reading = .head
        head = []
    }

    /// Another header: packets may be numbered anew.
    func tookHeader() {
        if hasHeader {
            countsBefore = countsBefore + SinkCounts(account)
            account = SequenceAccount()
            first = nil
        }
        hasHeader = true
    }

    /// A `$D` came.
    func take(number: UInt32, sendTime: UInt32?, arrivalNanoseconds: UInt64) {
        if firstPacketNanoseconds == nil { firstPacketNanoseconds = monotonicNanoseconds() }
        // Gaps as of 16 bits: 32,768 numbers and more at a time count as a new beginning, not as lost.
        account.take(UInt16(truncatingIfNeeded: number))
        guard let sendTime else { return }
        sendTimeLast = sendTime
        guard isSampled else { return }
        log.take(sequence: UInt16(truncatingIfNeeded: number), timestamp: sendTime, arrivalNanoseconds: arrivalNanoseconds)
        guard let first else { return first = (sendTime, arrivalNanoseconds) }
        guard behindMilliseconds.count < ArrivalLog.pointsMax else { return }
        let media = Double(Int32(bitPattern: sendTime &- first.sendTime))
        let wall = (Double(arrivalNanoseconds) - Double(first.arrivalNanoseconds)) / 1e6
        behindMilliseconds.append(max(0, wall - media))
    }

    func snapshot() -> Snapshot {
        Snapshot(
            counts: countsBefore + SinkCounts(account), connectionBytes: bytesBefore &+ (connection?.bytesReceived ?? 0),
            sendTime: sendTimeLast)
    }
}

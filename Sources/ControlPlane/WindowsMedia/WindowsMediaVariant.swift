import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// How packets go over the wire.
enum WindowsMediaForm: Hashable {
    /// `$D` packets of WMSP.
    case wmsp
    /// RTP as MS-RTSP has it.
    case rtp(WindowsMediaRTPForm)
}

/// What of RTP is the same for all players of a class.
struct WindowsMediaRTPForm: Hashable {
    /// Whole packets for connections, or cut to a size for datagrams.
    var form = ASFRTPPacketiser.Form.whole
    /// One payload in each ASF packet.
    var splitsPayloads = false
    var sendsLocation = false
    var fec: FECSettings?
    /// By which RTP knows the session (SSRC).
    var source: UInt32 = 0
}

/// What players must have in common in order to be sent the same bytes.
struct WindowsMediaClass: Hashable {
    var selection: WMSPSelection
    var form = WindowsMediaForm.wmsp
    /// For those who were told which sequence number comes next.
    var origin: Origin?
    /// It is for one player alone.
    var isPromised: Bool { if case .promise? = origin { true } else { false } }

    /// It is for those who came from another one.
    var isCrossed: Bool { if case .crossing? = origin { true } else { false } }
    var fec: FECSettings? { if case .rtp(let form) = form { form.fec } else { nil } }

    enum Origin: Hashable {
        /// They come from another class in the middle of a play, of which others may have come away before.
        case crossing(stream: UInt32, generation: UInt32, crossings: Int)
        /// One of them, whom it was promised.
        case promise(session: UInt64, sequence: UInt16)
    }
}

/// One class of a broadcast's players: a stream in the engine that carries packets as they go over the wire.
final class WindowsMediaVariant {
    let stream: StreamHandle
    let counters: StreamCounters
    /// What comes within this time goes out together. With packets of 1,400 bytes 2,000 players cost 2.6 times the processor time of
    /// interleaved RTP without it, and 1.25 times with it. Packets of 3,200 bytes come 26 ms apart at 1 Mbit/s: with a longer time each of
    /// them would wait for the next one.
    private static let collectNanoseconds: UInt64 = 15_000_000

    /// Packets fed so far: the next one's number in the engine.
    private(set) var packetsFed: UInt32 = 0
    /// Who is sent this.
    let kind: WindowsMediaClass
    private let port: EnginePort
    fileprivate var packetiser: ASFRTPPacketiser?
    /// The send times of packets with which players may have begun, of late.
    fileprivate var starts: [(packet: UInt32, sendTime: UInt32)] = []
    /// How often players went from here to other streams, and whether any came so.
    fileprivate var crossings = 0
    fileprivate var isEntered = false
    /// No packet is taken before one with which a player may begin.
    private var isSilent = false
    private var filter: ASFFilter
    private var source: EngineSource?
    private var batch: [UInt8] = []
    fileprivate var batchPackets: UInt32 = 0
    private var sequence: UInt8 = 0
    private(set) var players = 0
    private var isRetired = false
    private var isEnded = false
    private let linger: LoopTimer
    private let onUnused: () -> Void
    private let delegate = Delegate()

    /// Nothing that the engine says of such a stream is of interest.
    private final class Delegate: StreamDelegate {
        func senderReport(track: Int, ssrc: UInt32, ntp: UInt64, rtpTime: UInt32) {}
        func sourceBye(track: Int) {}
        func parameterSets(track: Int) {}
        func packetTooLarge(track: Int, bytes: Int) {}
    }

    init(
        _ kind: WindowsMediaClass, of header: ASFHeader, settings: PathSettings, port: EnginePort, onUnused: @escaping () -> Void
    ) throws {
        self.kind = kind
        self.port = port
        self.onUnused = onUnused
        linger = LoopTimer(port.eventLoop)
        let selection = kind.selection
        filter = ASFFilter(selection, of: header)
        if case .rtp(let form) = kind.form {
            var sequence = UInt16.random(in: 0 ... .max)
            if case .promise(_, let promised) = kind.origin {
                sequence = promised
                isSilent = true
            }
            packetiser = ASFRTPPacketiser(form, of: header, sequence: sequence)
        }
        let limits = port.engine.limits
        let sizing = StreamSizing(
            bitRate: settings.bitRate ?? Int(clamping: max(header.bitrate(of: selection.whole) * 2, UInt64(limits.bitRateDefault / 4))),
            windowMilliseconds: WindowsMediaBroadcast.windowMilliseconds(settings, port))
        var policy = settings.policy
        // TCP paces itself.
        policy.pacing = .off
        policy.collectNanoseconds = Self.collectNanoseconds
        let opened = try port.addVerbatimStream(sizing: sizing, policy: policy, delegate: delegate)
        stream = opened.handle
        counters = opened.counters
        do {
            source = try EngineSource(port: port, release: {}) { .addFedSource($0, opened.handle, channels: ChannelMap(identity: 2)) }
        } catch {
            port.submitAlways(.removeStream(opened.handle))
            throw error
        }
    }

    func playerArrived() {
        players += 1
        linger.stop()
    }

    func playerLeft() {
        players -= 1
        guard players == 0 else { return }
        if isRetired { return end() }
        // Nobody else will ever want what was made for players that did not come.
        if kind.isCrossed, !isEntered { return onUnused() }
        linger.start(milliseconds: WindowsMediaBroadcast.variantLingerMilliseconds) { [weak self] in self?.onUnused() }
    }

    func begins(_ header: ASFHeader) {
        flush()
        filter = ASFFilter(kind.selection, of: header)
        packetiser?.begin(packetBytes: header.packetBytes)
        starts = []
        port.submit(.beginEpoch(stream))
    }

    /// Whether a player that has played other streams can go on with this packet: no object of sound that it heard begin is cut.
    func mayBeEntered(with packet: [UInt8]) -> Bool { filter.hasSound && filter.isStart(packet) }

    func take(_ packet: [UInt8], number: UInt32) {
        let isStart = filter.isStart(packet)
        guard let kept = filter.filter(packet) else { return }
        guard packetiser == nil else { return takeRTP(kept, number: number, isStart: isStart) }
        let length = WMSPFraming.dataHeadBytes + kept.count
        guard let frame = UInt16(exactly: length) else { return }
        let at = batch.count + 4
        batch.append(WMSPFraming.magic)
        batch.append(isStart ? 1 : 0)
        batch.append(UInt8(truncatingIfNeeded: frame >> 8))
        batch.append(UInt8(truncatingIfNeeded: frame))
        batch.append(contentsOf: repeatElement(0, count: WMSPFraming.dataHeadBytes))
        var span = batch.mutableSpan
        WMSPFraming.writeDataHead(payloadBytes: kept.count, locationID: number, flags: sequence, to: &span, at: at)
        batch.append(contentsOf: kept)
        sequence &+= 1
        batchPackets += 1
        if batch.count >= 64 << 10 { flush() }
    }

    private func takeRTP(_ packet: [UInt8], number: UInt32, isStart: Bool) {
        // The first that is sent has the number that was promised.
        if isSilent, !isStart { return }
        isSilent = false
        if isStart, let head = try? ASFPacket(packet.span, packetBytes: packet.count) {
            if starts.count >= Self.startsMax { starts.removeFirst(Self.startsMax / 2) }
            starts.append((packetsFed &+ batchPackets, head.sendTime))
        }
        let count = try? packetiser?.append(packet, locationID: number, firstChannel: isStart ? 1 : 0, to: &batch)
        batchPackets &+= UInt32(clamping: count ?? 0)
        if batch.count >= 64 << 10 { flush() }
    }

    /// Of so many packets with which players may have begun it is known when they were due.
    private static let startsMax = 512

    func flush() {
        guard !batch.isEmpty, let handle = source?.handle else { return }
        // The engine counts what it was given.
        if port.feed(handle, batch) {
            packetsFed &+= batchPackets
        } else {
            packetsRefused += UInt64(batchPackets)
            // A packet's number in the engine and its sequence number go together.
            if let next = packetiser?.sequence { packetiser?.sequence = next &- UInt16(truncatingIfNeeded: batchPackets) }
        }
        batch.removeAll(keepingCapacity: true)
        batchPackets = 0
    }

    /// Packets that the engine's full queue did not take.
    private(set) var packetsRefused: UInt64 = 0

    /// Nothing more is fed. Ends when the last player has what it was given, or soon.
    func retire() {
        isRetired = true
        source?.remove()
        source = nil
        guard players > 0 else { return end() }
        linger.start(milliseconds: WindowsMediaBroadcast.variantLingerMilliseconds) { [weak self] in self?.end() }
    }

    func end() {
        linger.stop()
        source?.remove()
        source = nil
        guard !isEnded else { return }
        isEnded = true
        port.submitAlways(.removeStream(stream))
    }
}

/// What is only there where RTP goes.
extension WindowsMediaVariant {
    /// The sequence number of the next packet that is fed.
    var nextSequence: UInt16 { sequence(ofPacket: packetsFed) }

    func sequence(ofPacket number: UInt32) -> UInt16 {
        guard let packetiser else { return 0 }
        return packetiser.sequence &- UInt16(truncatingIfNeeded: packetsFed &+ batchPackets &- number)
    }

    /// The packet of that sequence number that was fed last.
    func packet(ofSequence sequence: UInt16) -> UInt32? {
        guard let packetiser else { return nil }
        let back = UInt32(packetiser.sequence &- sequence)
        let fed = packetsFed &+ batchPackets
        return back > 0 && back <= fed ? fed &- back : nil
    }

    /// The RTP time of a packet with which a player begins, where that is known.
    func sendTime(ofPacket number: UInt32) -> UInt32? { starts.last { $0.packet == number }?.sendTime }

    /// What is fed from here on goes on in the sequence numbers of another class. False where others have entered this one before: who comes
    /// later needs one of its own.
    func goOn(from other: WindowsMediaVariant) -> Bool {
        guard packetiser != nil, other.packetiser != nil, other !== self else { return true }
        flush()
        other.flush()
        let next = other.nextSequence
        if nextSequence == next {
            isEntered = true
            return true
        }
        guard !isEntered else { return false }
        isEntered = true
        packetiser?.sequence = next
        other.crossings += 1
        return true
    }

    /// The class of those who go from here to other streams: for WMSP that of all who are sent these.
    func next(_ selection: WMSPSelection) -> WindowsMediaClass {
        if selection == kind.selection { return kind }
        guard packetiser != nil else { return WindowsMediaClass(selection: selection, form: kind.form) }
        return WindowsMediaClass(
            selection: selection, form: kind.form,
            origin: .crossing(stream: stream.index, generation: stream.generation, crossings: crossings))
    }
}

extension ASFRTPPacketiser {
    /// For content with that header.
    init(_ form: WindowsMediaRTPForm, of header: ASFHeader, sequence: UInt16) {
        self.init(
            packetBytes: header.packetBytes, form: form.form, ssrc: form.source, sequence: sequence, splitsPayloads: form.splitsPayloads,
            sendsLocation: form.sendsLocation, fec: form.fec)
    }
}

import Glibc
import Synchronization
import WireFormats

/// Takes the packets that a transform sends. Belongs to the transform's thread: for use within its calls alone. One that is kept beyond its
/// run takes nothing any more (``TransformError/ended``).
///
/// Packets go on in the order in which they are sent; sequence numbers are the transform's own, one more with each packet that it does not
/// leave out. Their timestamps tell when what they carry was taken, on the clock of ``TrackTransform/output``: a packet that was made of
/// another keeps its timestamp, in other ticks where the clock is another. By that the relay tells the source's wall clock (sender reports)
/// in the new track's time, so players bring it together with the others. The SSRC is of no consequence: the relay puts its own.
public final class TransformOutput {
    /// The largest packet that is taken, in bytes. UDP readers get packets beyond the path's `udp-packet-max` as its `oversize` says.
    public let packetBytesMax = 0xFFFF
    /// Packets that were sent in this run.
    public private(set) var packetsSent: UInt64 = 0

    private let descriptor: CInt
    /// The descriptor may be somebody else's by now.
    private let isEnded = Atomic(false)
    private let payloadType: UInt8
    private let outputClock: UInt32
    private let inputClock: UInt32
    private let ssrc = UInt32.random(in: 1...UInt32.max)
    private var frames: [UInt8] = []
    private var inputTimestamp: UInt32 = 0
    private var mapping: ReportMapping?
    private var lastReport: (report: RTCPSenderReport, at: UInt64)?
    /// The first packet, as an interleaved frame; told once.
    private let onFirst: ([UInt8]) -> Void

    /// As many bytes are written together.
    private static let flushBytes = 64 << 10
    /// No transform holds packets back for longer.
    private static let keptSecondsMax: Int64 = 10
    /// The channels within the relay.
    static let media: UInt8 = 0
    static let reports: UInt8 = 1

    /// Writes interleaved frames to a descriptor, which may make it wait.
    init(descriptor: CInt, format: TrackFormat, inputClock: UInt32, onFirst: @escaping ([UInt8]) -> Void) {
        self.descriptor = descriptor
        payloadType = format.payloadType
        outputClock = format.clockRate
        self.inputClock = inputClock
        self.onFirst = onFirst
    }

    /// Sends one RTP packet, whole. Copied; may wait for room.
    public func send(_ packet: Span<UInt8>) throws(TransformError) {
        guard !isEnded.load(ordering: .acquiring) else { throw .ended }
        guard packet.count <= packetBytesMax else { throw .packetTooLarge(bytes: packet.count, max: packetBytesMax) }
        guard let header = try? RTPHeader(packet), !(72...76).contains(header.payloadType) else { throw .notRTP }
        guard header.payloadType == payloadType else { throw .otherPayloadType(header.payloadType, said: payloadType) }
        let start = frames.count
        frames.reserveCapacity(start + InterleavedHeader.byteCount + packet.count)
        frames += [InterleavedHeader.magic, Self.media, UInt8(packet.count >> 8), UInt8(packet.count & 0xFF)]
        for index in packet.indices { frames.append(packet[index]) }
        for byte in 0..<4 { frames[start + 12 + byte] = UInt8(truncatingIfNeeded: ssrc >> UInt32(24 - 8 * byte)) }
        packetsSent += 1
        if mapping == nil {
            // Near the input's on the same clock it was kept, and this packet is of an earlier one that waited.
            let ahead = Int32(bitPattern: header.timestamp &- inputTimestamp)
            let isKept = outputClock == inputClock && Int64(ahead.magnitude) < Int64(inputClock) * Self.keptSecondsMax
            mapping = ReportMapping(
                inputFirst: isKept ? header.timestamp : inputTimestamp, inputClock: inputClock, outputFirst: header.timestamp,
                outputClock: outputClock)
            onFirst(Array(frames[start...]))
            if let lastReport { report(lastReport.report, passed: Uptime.now - lastReport.at) }
        }
        if frames.count >= Self.flushBytes { try flush() }
    }

    /// The run is over: nothing is taken any more, and nothing written.
    func end() {
        isEnded.store(true, ordering: .releasing)
        frames = []
    }

    /// A packet of this time goes in.
    func begin(timestamp: UInt32) { inputTimestamp = timestamp }

    /// A sender report of the input came.
    func take(_ report: RTCPSenderReport) {
        lastReport = (report, Uptime.now)
        self.report(report, passed: 0)
    }

    private func report(_ report: RTCPSenderReport, passed nanoseconds: UInt64) {
        guard let mapping else { return }
        // Told as of now: a moment of the past would look like a clock that was set.
        let mapped = mapping.output(report.moved(by: nanoseconds, clockRate: inputClock), ssrc: ssrc)
        frames += InterleavedHeader.frame(
            channel: Self.reports, payload: RTCPWriter.senderReport(mapped, canonicalName: "weir-transform"))
    }

    /// Writes what waits.
    func flush() throws(TransformError) {
        guard !isEnded.load(ordering: .acquiring) else { throw .ended }
        var written = 0
        while written < frames.count {
            let count = unsafe frames.withUnsafeBytes { bytes in
                unsafe Glibc.send(descriptor, bytes.baseAddress?.advanced(by: written), bytes.count - written, CInt(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw .ended }
            written += count
        }
        frames.removeAll(keepingCapacity: true)
    }
}

/// The clock that does not jump.
enum Uptime {
    /// In nanoseconds.
    static var now: UInt64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}

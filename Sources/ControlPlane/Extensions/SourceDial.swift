import NIOCore
import Synchronization
import WireFormats

/// One dial of a source of your own: how code that speaks some protocol hands its tracks and packets to the relay.
///
/// ``RelayExtensions/sources`` says which code dials which URL scheme. It is called in a task of its own for each dial: when somebody wants
/// the path (or at the start, with `dial: always`), and again after each failure, with the pauses that every source gets. It describes
/// the source, waits until media is wanted, and sends packets until it ends; returning or throwing ends the dial. When nobody wants
/// the source any more, the task is cancelled, ``send(_:track:)`` throws, and whatever it waits for here throws. A dial whose code does not
/// come back then stands in the way of the next one.
///
/// All of it may be called from any task or thread, and waits for no packet to be sent. The task runs on Swift's shared threads: wait with
/// `await`, and put what blocks on a thread of your own.
public final class SourceDial: Sendable {
    /// As the configuration has it, with user and password where there are any.
    public let url: String
    /// The path that is fed.
    public let path: String

    private struct State {
        var frames: [UInt8] = []
        var isDrainDue = false
        var isEnded = false
        var isPlaying = false
        var formats: [UInt8] = []
        var waiters: [UInt64: CheckedContinuation<Void, any Error>] = [:]
        var waitersEver: UInt64 = 0
        var packets: UInt64 = 0
        var packetsRefused: UInt64 = 0
    }

    private let state = Mutex(State())
    private let onDescribed: @Sendable ([TrackFormat]) -> EventLoopFuture<Void>?
    private let onFrames: @Sendable () -> Void

    /// What may wait for the relay's event loop: half a second of a stream of 16 Mbit/s.
    public static let queueBytesMax = 1 << 20
    /// The largest packet, in bytes.
    public static let packetBytesMax = 0xFFFF

    /// A dial that nobody has answered yet. Both calls come from any thread; `onDescribed` calls ``takes(_:)``, or answers nil when there is
    /// no relay any more.
    init(
        url: String, path: String, onDescribed: @escaping @Sendable ([TrackFormat]) -> EventLoopFuture<Void>?,
        onFrames: @escaping @Sendable () -> Void
    ) {
        self.url = url
        self.path = path
        self.onDescribed = onDescribed
        self.onFrames = onFrames
    }

    /// Says what the source consists of: one to eight tracks, numbered from 0 as they stand here. Again when it changes: readers of
    /// tracks that stay as they were go on.
    ///
    /// - Throws: words about a description that cannot be served; ``SourceError/ended``.
    public func describe(_ tracks: [TrackFormat]) async throws {
        // A relay that has stopped answers nothing any more.
        guard !state.withLock({ $0.isEnded }), let answer = onDescribed(tracks) else { throw SourceError.ended }
        try await answer.get()
        guard !state.withLock({ $0.isEnded }) else { throw SourceError.ended }
    }

    /// Waits until somebody wants media; what is sent before is lost. Call ``describe(_:)`` first.
    ///
    /// - Throws: ``SourceError/ended``; `CancellationError` when the task is cancelled.
    public func playing() async throws {
        let number = state.withLock { state in
            state.waitersEver += 1
            return state.waitersEver
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let answer: Result<Void, any Error>? = state.withLock { state in
                    if state.isEnded { return .failure(SourceError.ended) }
                    if state.isPlaying { return .success(()) }
                    if Task.isCancelled { return .failure(CancellationError()) }
                    state.waiters[number] = continuation
                    return nil
                }
                if let answer { continuation.resume(with: answer) }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: number) }?.resume(throwing: CancellationError())
        }
    }

    /// Sends an RTP packet of a track; copied. Sequence numbers, timestamps and SSRC are the source's own: the relay makes one line of
    /// them over all dials.
    ///
    /// - Returns: false when it is lost, because nobody wants media just now or ``queueBytesMax`` wait already.
    /// - Throws: ``SourceError``.
    @discardableResult
    public func send(_ packet: Span<UInt8>, track: Int) throws(SourceError) -> Bool {
        guard packet.count <= Self.packetBytesMax else { throw .packetTooLarge(bytes: packet.count, max: Self.packetBytesMax) }
        guard let header = try? RTPHeader(packet), !(72...76).contains(header.payloadType) else { throw .notRTP }
        return try put(packet, track: track, isReport: false, type: header.payloadType)
    }

    /// Sends an RTCP packet (mostly a sender report) of a track; else as ``send(_:track:)``. Without sender reports players cannot bring
    /// tracks together: the relay then tells when packets came.
    @discardableResult
    public func sendReport(_ packet: Span<UInt8>, track: Int) throws(SourceError) -> Bool {
        var compound = RTCPCompound()
        guard packet.count <= Self.packetBytesMax else { throw .packetTooLarge(bytes: packet.count, max: Self.packetBytesMax) }
        guard (try? compound.next(in: packet)) != nil else { throw .notRTCP }
        return try put(packet, track: track, isReport: true, type: nil)
    }

    /// Packets that were lost for ``queueBytesMax``.
    public var packetsRefused: UInt64 { state.withLock { $0.packetsRefused } }

    private func put(_ packet: Span<UInt8>, track: Int, isReport: Bool, type: UInt8?) throws(SourceError) -> Bool {
        let outcome: Result<(isTaken: Bool, isDrainDue: Bool), SourceError> = state.withLock { state in
            guard !state.isEnded else { return .failure(.ended) }
            guard state.formats.indices.contains(track) else { return .failure(.noSuchTrack(track, count: state.formats.count)) }
            if let type, type != state.formats[track] { return .failure(.otherPayloadType(type, said: state.formats[track])) }
            guard state.isPlaying else { return .success((false, false)) }
            guard state.frames.count + packet.count + InterleavedHeader.byteCount <= Self.queueBytesMax else {
                state.packetsRefused += 1
                return .success((false, false))
            }
            let channel = UInt8(truncatingIfNeeded: isReport ? 2 * track + 1 : 2 * track)
            state.frames += [
                InterleavedHeader.magic, channel, UInt8(packet.count >> 8), UInt8(packet.count & 0xFF),
            ]
            for index in packet.indices { state.frames.append(packet[index]) }
            state.packets += 1
            defer { state.isDrainDue = true }
            return .success((true, !state.isDrainDue))
        }
        let (isTaken, isDrainDue) = try outcome.get()
        if isDrainDue { onFrames() }
        return isTaken
    }

    // MARK: The relay's end

    /// These are its tracks from here on. What was sent in the meantime was of those before, and is lost.
    func takes(_ tracks: [TrackFormat]) {
        state.withLock { state in
            state.formats = tracks.map(\.payloadType)
            state.frames = []
        }
    }

    /// Takes what waits, as interleaved frames, and how many packets came so far.
    func take() -> (frames: [UInt8], packets: UInt64) {
        state.withLock { state in
            state.isDrainDue = false
            defer { state.frames = [] }
            return (state.frames, state.packets)
        }
    }

    /// Media is wanted.
    func play() {
        let waiters = state.withLock { state in
            state.isPlaying = true
            defer { state.waiters = [:] }
            return state.waiters
        }
        for waiter in waiters.values { waiter.resume() }
    }

    /// Nothing is taken any more.
    func end() {
        let waiters = state.withLock { state in
            state.isEnded = true
            state.frames = []
            defer { state.waiters = [:] }
            return state.waiters
        }
        for waiter in waiters.values { waiter.resume(throwing: SourceError.ended) }
    }
}

/// Why a source of your own was not listened to.
public enum SourceError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The dial is over: nobody wants the source any more, or the relay stops.
    case ended
    /// It described itself in a way that cannot be served; why, in words.
    case refused(String)
    /// A track that it has not described, and how many it has.
    case noSuchTrack(Int, count: Int)
    /// It is of another payload type than the track's description says.
    case otherPayloadType(UInt8, said: UInt8)
    /// Its size, and the largest in bytes.
    case packetTooLarge(bytes: Int, max: Int)
    /// No RTP packet of version 2, or not whole.
    case notRTP
    /// No RTCP packet, or not whole.
    case notRTCP

    /// What is wrong, in words.
    public var description: String {
        switch self {
        case .ended: "the dial is over"
        case .refused(let words): words
        case .noSuchTrack(let track, let count): "it sent a packet of track \(track), and has described \(count) tracks"
        case .otherPayloadType(let type, let said): "it sent payload type \(type), and its description says \(said)"
        case .packetTooLarge(let bytes, let max): "it sent a packet of \(bytes) bytes; \(max) is the most"
        case .notRTP: "it sent what is no RTP packet"
        case .notRTCP: "it sent what is no RTCP packet"
        }
    }
}

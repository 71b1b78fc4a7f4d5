import Foundation
import Glibc
import Synchronization
import WireFormats

/// The thread of one run of a ``TrackTransform``: reads interleaved frames from one descriptor, has the transform make others of them and
/// writes these to another. Both descriptors are its own.
final class TransformThread: Sendable {
    /// What came up since it was last asked.
    struct News: Sendable {
        /// What the transform says that comes out.
        var described: TrackFormat?
        /// The first packet that came out, as an interleaved frame.
        var first: [UInt8]?
        /// It is over: why, or nil when it was asked to end.
        var end: String??
    }

    private let news = Mutex(News())
    /// Whether the descriptors are open; guards them against being shut down when they are somebody else's.
    private let isOpen = Mutex(true)
    private let input: CInt
    private let output: CInt
    private let isStopped = Atomic(false)
    private let isOver = Atomic(false)
    private let isAbandoned = Atomic(false)
    private let changes = Atomic(0)
    private let busySince = Atomic<UInt64>(0)

    /// Threads of all relays that were given up and have not come back.
    private static let hanging = Atomic(0)
    /// No more of them: each holds its memory.
    static let hangingMax = 16

    /// Whether one more may be begun.
    static var mayBegin: Bool { hanging.load(ordering: .relaxed) < hangingMax }

    /// A thread that does not run yet. Takes two connected, blocking descriptors over.
    init(input: CInt, output: CInt) {
        self.input = input
        self.output = output
    }

    /// Begins: makes the transform, and feeds it.
    func start(_ context: TransformInput, _ make: @escaping RelayExtensions.TransformMaker) {
        let thread = Thread { [self] in
            run(context, make)
        }
        thread.name = "weir-transform"
        thread.start()
    }

    /// Takes what came up.
    func takeNews() -> News {
        news.withLock { news in
            defer { news = News() }
            return news
        }
    }

    /// For how long the call that is under way has lasted, in nanoseconds.
    var busyNanoseconds: UInt64 {
        let since = busySince.load(ordering: .relaxed)
        let now = Uptime.now
        return since == 0 || now < since ? 0 : now - since
    }

    /// Whether it was given up and is still at work.
    var isHanging: Bool { isAbandoned.load(ordering: .acquiring) && !isOver.load(ordering: .acquiring) }

    /// The source begins another time line.
    func sourceChanged() { changes.add(1, ordering: .relaxed) }

    /// Has it end as soon as it comes back from the call that is under way.
    func stop() {
        isStopped.store(true, ordering: .releasing)
        isOpen.withLock { isOpen in
            guard isOpen else { return }
            shutdown(input, CInt(SHUT_RDWR))
            shutdown(output, CInt(SHUT_RDWR))
        }
    }

    /// It was stopped, and nobody waits for it any more.
    func abandon() {
        Self.hanging.add(1, ordering: .relaxed)
        isAbandoned.store(true, ordering: .sequentiallyConsistent)
        // It may just have come back; one of the two takes the count down.
        if isOver.load(ordering: .sequentiallyConsistent) { takeDown() }
    }

    private func takeDown() {
        if isAbandoned.exchange(false, ordering: .sequentiallyConsistent) { Self.hanging.subtract(1, ordering: .relaxed) }
    }

    // MARK: On the thread

    private func run(_ context: TransformInput, _ make: RelayExtensions.TransformMaker) {
        var words: String?
        do { try work(context, make) } catch {
            // What was cut off by the end is no news.
            if !isStopped.load(ordering: .acquiring) { words = "it threw: \(PeerWords.printable(String("\(error)".prefix(400))))" }
        }
        // First the reason: whoever sees the descriptors closed asks for it.
        news.withLock { $0.end = .some(words) }
        isOpen.withLock { isOpen in
            isOpen = false
            close(input)
            close(output)
        }
        isOver.store(true, ordering: .sequentiallyConsistent)
        takeDown()
    }

    private func work(_ context: TransformInput, _ make: RelayExtensions.TransformMaker) throws {
        let transform = try busily { try make(context) }
        defer { busily { transform.ended() } }
        let format = busily { transform.output }
        news.withLock { $0.described = format }
        let taker = TransformOutput(descriptor: output, format: format, inputClock: context.format.clockRate) { [self] frame in
            news.withLock { $0.first = frame }
        }
        // Before the transform hears of its end: what it sends then would have nowhere to go.
        defer { taker.end() }
        var buffer = [UInt8](repeating: 0, count: 2 * (InterleavedHeader.byteCount + 0xFFFF))
        var filled = 0
        var changesSeen = changes.load(ordering: .relaxed)
        while !isStopped.load(ordering: .acquiring) {
            let count = unsafe buffer.withUnsafeMutableBytes { bytes in
                unsafe recv(input, bytes.baseAddress?.advanced(by: filled), bytes.count - filled, 0)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                if !isStopped.load(ordering: .acquiring) { throw TransformError.ended }
                return
            }
            filled += count
            var place = 0
            while let header = InterleavedHeader(buffer.span.extracting(place..<filled)) {
                let start = place + InterleavedHeader.byteCount, end = start + header.payloadLength
                guard end <= filled else { break }
                let packet = buffer.span.extracting(start..<end)
                if header.channel == TransformOutput.reports {
                    Self.take(packet, into: taker)
                } else if let fields = RTPFields(packet) {
                    let changesNow = changes.load(ordering: .relaxed)
                    try busily {
                        if changesNow != changesSeen { try transform.sourceChanged() }
                        taker.begin(timestamp: fields.timestamp)
                        try transform.transform(packet, fields, to: taker)
                    }
                    changesSeen = changesNow
                }
                place = end
                guard !isStopped.load(ordering: .acquiring) else { return }
            }
            try taker.flush()
            buffer.replaceSubrange(0..<(filled - place), with: buffer[place..<filled])
            filled -= place
        }
    }

    private func busily<Value, Failure: Error>(_ body: () throws(Failure) -> Value) throws(Failure) -> Value {
        busySince.store(Uptime.now, ordering: .relaxed)
        defer { busySince.store(0, ordering: .relaxed) }
        return try body()
    }

    private static func take(_ packet: Span<UInt8>, into taker: TransformOutput) {
        var compound = RTCPCompound()
        while let part = try? compound.next(in: packet) {
            if let report = RTCPSenderReport(part, in: packet) { taker.take(report) }
        }
    }
}

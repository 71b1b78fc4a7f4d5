import Signalling
import WireFormats

/// Requests that the server sent to a client, until they are answered.
///
/// What comes back is no condition for anything: FFmpeg answers 501 without a `CSeq`, GStreamer sends a request of its own. An answer that
/// names no request that waits is taken for the oldest one's.
struct AskedRequests {
    private var waiting: [(sequence: UInt32, onAnswer: (RTSPStatus) -> Void)] = []
    private var last: UInt32 = 0

    /// As many are remembered; when one more is sent the oldest counts as never answered.
    static let waitingMax = 32

    /// How many wait.
    var count: Int { waiting.count }

    /// The number of the next request.
    mutating func next(_ onAnswer: @escaping (RTSPStatus) -> Void) -> UInt32 {
        last &+= 1
        if waiting.count >= Self.waitingMax { waiting.removeFirst() }
        waiting.append((last, onAnswer))
        return last
    }

    /// An answer came: gives who waits for it.
    mutating func take(_ response: RTSPResponse) -> ((RTSPStatus) -> Void)? {
        guard !waiting.isEmpty else { return nil }
        let sequence = response.headers.cseq.flatMap { UInt32($0) }
        return waiting.remove(at: waiting.firstIndex { $0.sequence == sequence } ?? 0).onAnswer
    }

    /// The client showed in another way that it has the oldest request: gives who waits for that.
    mutating func takeOldest() -> ((RTSPStatus) -> Void)? { waiting.isEmpty ? nil : waiting.removeFirst().onAnswer }
}

extension RTSPConnection {
    /// Sends a request to the client, behind all that was written. `onAnswer` is called when it is answered, and maybe never.
    func ask(_ request: RTSPRequest, onAnswer: @escaping (RTSPStatus) -> Void = { _ in }) {
        guard !isClosed else { return }
        var headers = RTSPHeaders()
        headers.add("CSeq", "\(asked.next(onAnswer))")
        headers.add("Date", server.dateText)
        for field in request.headers.fields { headers.add(field.name, field.value) }
        var request = request
        request.headers = headers
        write(request.serialized())
    }
}

extension RTSPConnection {
    /// Answers with bytes by which the client measures its link: packets of their own behind the head, each in a segment of TCP.
    func answer(packetPair response: RTSPResponse, as name: String) {
        var response = response
        response.body = [UInt8](repeating: 0, count: WMSPFraming.packetPairBytes)
        answer(
            response, session: nil, as: name,
            changed: { bytes in
                let headBytes = bytes.count - WMSPFraming.packetPairBytes
                var generator = SystemRandomNumberGenerator()
                return Array(bytes[..<headBytes])
                    + WMSPFraming.packetPair(headBytes: headBytes) { UInt8.random(in: 0 ... .max, using: &generator) }
            })
    }
}

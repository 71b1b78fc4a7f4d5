import WireFormats

/// What the URLs of an entry's streams end with, as its description says (``MSRTSPDescription``).
struct MSRTSPControls {
    /// What a control names.
    enum Target: Equatable {
        /// The stream of that number.
        case stream(UInt8)
        /// What makes lost packets of a stream good.
        case fec(UInt8)
        /// Lost packets once more.
        case retransmission
    }

    static let retransmission = "rtx"
    private static let fec = "/fec"

    private let header: ASFHeader

    init(_ header: ASFHeader) { self.header = header }

    /// `audio` and `video` for the first of each, `stream=N` for the others.
    func control(of stream: UInt8) -> String {
        if first(.audio) == stream { return "audio" }
        if first(.video) == stream { return "video" }
        return "stream=\(stream)"
    }

    /// What a control names; nil for nothing. Without one it is the only stream, where there is just one.
    func target(of control: String?) -> Target? {
        guard let control else {
            let only = header.streams.count == 1 ? header.streams.first : nil
            return only.map { .stream($0.number) }
        }
        if control == Self.retransmission { return .retransmission }
        if control.hasSuffix(Self.fec) { return stream(named: String(control.dropLast(Self.fec.count))).map { .fec($0) } }
        return stream(named: control).map { .stream($0) }
    }

    private func stream(named control: String) -> UInt8? {
        switch control {
        case "audio": return first(.audio)
        case "video": return first(.video)
        default:
            guard control.hasPrefix("stream="), let number = UInt8(control.dropFirst("stream=".count)) else { return nil }
            return header.streamNumbers.contains(number) ? number : nil
        }
    }

    private func first(_ kind: ASFStream.Kind) -> UInt8? { header.streams.first { $0.kind == kind }?.number }
}

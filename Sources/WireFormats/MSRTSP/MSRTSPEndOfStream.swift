/// The body of an EndOfStream request ([MS-RTSP] 2.2.7.5), by which a server says that nothing more comes.
package struct MSRTSPEndOfStream: Sendable, Hashable {
    /// What follows.
    package enum Reason: Sendable, Hashable, CaseIterable {
        /// Nothing: it was the end.
        case end
        /// The next entry of the playlist is announced.
        case entry
        /// So is the one before: it is being played backwards.
        case receding
        /// Nothing: somebody ended it.
        case disconnected

        fileprivate var name: String? {
            switch self {
            case .end: nil
            case .entry: "End-Of-Playlist-Entry"
            case .receding: "RecedingEos"
            case .disconnected: "AdministrativeDisconnection"
            }
        }
    }

    /// Why a body is none.
    package enum Trouble: Error, Hashable, CustomStringConvertible {
        /// A body above ``MSRTSPEndOfStream/bytesMax``.
        case tooLong(bytes: Int)
        /// It does not say that the stream ended.
        case noEnd

        /// What was wrong, in words.
        package var description: String {
            switch self {
            case .tooLong(let bytes): "a body of \(bytes) bytes is longer than \(MSRTSPEndOfStream.bytesMax)"
            case .noEnd: "the body does not say 'EOF: true'"
            }
        }
    }

    /// The longest body.
    package static let bytesMax = 4_096
    /// The value of `X-Notice`.
    package static let notice = "2101 \"End-of-Stream Reached\""

    /// The session's id; nil where the body names none.
    package var session: String?
    /// What follows.
    package var reason: Reason

    /// An end.
    package init(session: String?, reason: Reason) {
        self.session = session
        self.reason = reason
    }

    /// Takes a body apart: lines of a name, a colon and a value, in any case and order. Unknown names are left out.
    package init(_ body: [UInt8]) throws(Trouble) {
        guard body.count <= Self.bytesMax else { throw .tooLong(bytes: body.count) }
        session = nil
        reason = .end
        var isEnd = false
        for line in body.split(whereSeparator: { ASCII.isLineEnd($0) || $0 == 0 }) {
            let (name, value) = line.split(atFirst: ASCII.colon)
            guard let value = value?.trimmed else { continue }
            let key = name.trimmed
            if ASCII.equalIgnoringCase(key, "Session") { session = value.isEmpty ? nil : value.text }
            guard ASCII.equalIgnoringCase(value, "true") else { continue }
            if ASCII.equalIgnoringCase(key, "EOF") { isEnd = true }
            for reason in Reason.allCases where reason.name.map({ ASCII.equalIgnoringCase(key, $0) }) ?? false { self.reason = reason }
        }
        guard isEnd else { throw .noEnd }
    }

    /// The body of a request.
    package var body: [UInt8] {
        var bytes: [UInt8] = []
        let lines = (session.map { ["Session: \($0)"] } ?? []) + ["EOF: true"] + (reason.name.map { ["\($0): true"] } ?? [])
        for line in lines {
            bytes.append(line: line)
            bytes += [ASCII.carriageReturn, ASCII.lineFeed]
        }
        return bytes
    }

    /// Whether a message says by `X-Notice` that it is one.
    package static func isNotice(_ headers: RTSPHeaders) -> Bool {
        headers["X-Notice"].map { PragmaNumber.leading($0.byteSlice) == 2_101 } ?? false
    }
}

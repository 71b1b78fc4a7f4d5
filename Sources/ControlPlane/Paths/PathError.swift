/// Why a path gives nothing, or takes nothing, just now. The description is for the peer and names no secret.
enum PathError: Error, Equatable, CustomStringConvertible {
    /// Nothing is served under this name.
    case notFound(String)
    /// It was served until just now (404); the name, and why it is not any more.
    case removed(String, String)
    /// The source is not there yet (503).
    case notReady(String, retryAfterSeconds: Int)
    /// Nobody publishes under this name (404), and only a publisher makes it a path.
    case notPublished(String)
    /// What is there is Windows Media, which RTSP does not carry here (503).
    case notRTP(String)
    /// The path would be its own source, through other relays (508).
    case loop(String)
    /// The path has a source of its own; nobody can publish to it.
    case readOnly
    /// Somebody else publishes here.
    case alreadyPublished
    /// The process has no room for the stream, or cannot carry it.
    case refused(String)

    /// What is wrong, in words.
    var description: String {
        switch self {
        case .notFound(let name): "nothing is served as /\(name)"
        case .removed(let name, let reason): "/\(name) is not served any more: \(reason)"
        case .notReady(let words, _), .loop(let words): words
        case .notRTP(let name): "/\(name) is Windows Media: play it by HTTP, as mmsh://HOST:PORT/\(name) at this address"
        case .notPublished(let name): "nobody publishes as /\(name)"
        case .readOnly: "the path has a source of its own; publish to one with `source: publish`"
        case .alreadyPublished: "somebody publishes here already"
        case .refused(let words): words
        }
    }
}

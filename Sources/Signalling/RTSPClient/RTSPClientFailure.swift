import WireFormats

/// Why a source could not be pulled, or stopped being one. The words are for the user and repeat no password.
package enum RTSPClientFailure: Error, Sendable, Equatable, CustomStringConvertible {
    /// Name and password are missing or were refused.
    case unauthorized(String)
    /// The server answered a request with a status that ends the attempt.
    case refused(RTSPMethod, RTSPStatus)
    /// The server does not carry media in the way that was asked for (461): try the other.
    case transportRefused(RTSPStatus)
    /// A request was not answered in time.
    case noAnswer(RTSPMethod, seconds: Int)
    /// The server sends something that is no RTSP.
    case malformed(String)
    /// The description cannot be used.
    case description(String)
    /// The server forgot the session (454).
    case sessionGone
    /// The server closed the connection, or it broke.
    case connectionLost
    /// More redirections than are followed, or one that leads nowhere.
    case redirection(String)

    /// What went wrong, in words.
    package var description: String {
        switch self {
        case .unauthorized(let words): words
        case .refused(let method, let status): "the server answers \(method) with \(status)"
        case .transportRefused(let status): "the server refuses this transport (\(status))"
        case .noAnswer(let method, let seconds): "no answer to \(method) within \(seconds) s"
        case .malformed(let words): "the server does not speak RTSP: \(words)"
        case .description(let words): "the server's description cannot be used: \(words)"
        case .sessionGone: "the server has forgotten the session"
        case .connectionLost: "the server closed the connection"
        case .redirection(let words): words
        }
    }
}

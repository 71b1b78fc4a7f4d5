import WireFormats

/// Why Windows Media could not be pulled over HTTP, or stopped coming. The words are for the user and repeat no password.
package enum WMSPClientFailure: Error, Sendable, Equatable, CustomStringConvertible {
    /// Name and password are missing or were refused.
    case unauthorized(String)
    /// The server answered a request with a status that ends the attempt.
    case refused(String, HTTPStatus)
    /// What is not answered, or goes on too slowly.
    case noAnswer(String, milliseconds: UInt64)
    /// The connection ended before an answer came.
    case unanswered
    /// What the server sends is no HTTP.
    case malformed(String)
    /// The body is none of Windows Media.
    case notWindowsMedia(String)
    /// The connection ended before a header came: an encoder that has nothing yet.
    case noHeader
    /// The connection ended while media came, without a word of an end. ``WMSPClient/resumption`` says where it could go on.
    case cutOff
    /// `$E` or `$C` with a failure.
    case server(WMSPReason)
    /// A redirection that leads nowhere, or one too many.
    case redirection(String)

    /// What went wrong, in words.
    package var description: String {
        switch self {
        case .unauthorized(let words): words
        case .refused(let request, let status): "the server answers \(request) with \(status)"
        case .noAnswer(let request, let milliseconds): "no answer to \(request) within \(milliseconds / 1_000) s"
        case .unanswered: "the server closes the connection without an answer"
        case .malformed(let words): "the server does not speak HTTP: \(words)"
        case .notWindowsMedia(let words): "this is no Windows Media over HTTP: \(words)"
        case .noHeader: "the server closes the connection before it sends a header; it may have no media yet"
        case .cutOff: "the connection ended in the middle of the media"
        case .server(let reason): "the server ends the media with the failure \(reason)"
        case .redirection(let words): words
        }
    }
}

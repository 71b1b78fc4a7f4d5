import WireFormats

/// The client's side of Basic (RFC 7617) and Digest (RFC 7616) over RTSP. Pure: the client nonce comes in.
///
/// Ask ``authorization(method:uri:clientNonce:)`` for the header of every request; tell ``challenged(by:)`` of every 401 and
/// ``accepted()`` of every other answer. It never loops: a server that refuses an answer made from its own fresh challenge has
/// refused the password.
package struct ClientAuthenticator: Sendable {
    /// What to do after a 401.
    package enum Verdict: Sendable, Equatable {
        /// Send the request again, now with the header.
        case retry
        /// The server wants a name and a password, and the URL has none.
        case credentialsMissing
        /// The server does not accept these.
        case credentialsRefused
        /// The server offers only schemes that Weir does not know.
        case schemeUnknown
    }

    private let credentials: Credentials?
    private var challenge: AuthenticationChallenge?
    private var nonceCount: UInt32 = 0
    private var wasAccepted = false
    private var refusalsInARow = 0
    private var lastRequestCarriedAnswer = false

    /// An authenticator that has not been challenged yet.
    package init(credentials: Credentials?) {
        self.credentials = credentials
    }

    /// A 401 came with these `WWW-Authenticate` values. The strongest challenge that can be answered is taken.
    package mutating func challenged(by values: [String]) -> Verdict {
        guard credentials != nil else { return .credentialsMissing }
        let challenges = values.flatMap(AuthenticationChallenge.parse)
        // Of equals the first: a server sends what it likes best first.
        guard let strongest = challenges.reduce(nil, Self.stronger) else { return .schemeUnknown }
        if lastRequestCarriedAnswer {
            refusalsInARow += 1
            // Some cameras let a nonce expire without saying `stale`; who accepted us before may have meant that. Once.
            guard refusalsInARow == 1, wasAccepted || strongest.isStale else { return .credentialsRefused }
        }
        challenge = strongest
        nonceCount = 0
        return .retry
    }

    /// The server took a request (any status but 401).
    package mutating func accepted() {
        guard lastRequestCarriedAnswer else { return }
        wasAccepted = true
        refusalsInARow = 0
    }

    /// The `Authorization` header's value for a request, or nil before the first challenge. `uri` is the URI of the request line,
    /// literally; `clientNonce` a fresh unguessable word without quotes (used with `qop` only).
    package mutating func authorization(method: String, uri: String, clientNonce: @autoclosure () -> String) -> String? {
        guard let credentials, let challenge else {
            lastRequestCarriedAnswer = false
            return nil
        }
        lastRequestCarriedAnswer = true
        switch challenge.scheme {
        case .basic:
            return "Basic " + Base64.encode(Array("\(credentials.user):\(credentials.password)".utf8))
        case .digest(let algorithm, let nonce, let opaque, let quality, _):
            nonceCount &+= 1
            let answer = DigestAnswer(
                credentials: credentials, realm: challenge.realm, algorithm: algorithm, nonce: nonce, opaque: opaque,
                quality: quality ? .init(count: nonceCount, clientNonce: clientNonce()) : nil)
            return answer.header(method: method, uri: uri)
        }
    }

    private static func stronger(_ best: AuthenticationChallenge?, _ next: AuthenticationChallenge) -> AuthenticationChallenge? {
        guard let best else { return next }
        return next.strength > best.strength ? next : best
    }
}

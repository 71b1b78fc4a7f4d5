import WireFormats

/// A back end that asks a proxy to serve one of its streams (LIVE555's REGISTER), or no longer to, over one connection. Pure: bytes and
/// time come in, actions go out.
package struct RegisterClient: Sendable {
    /// What is asked for.
    package struct Settings: Sendable {
        /// The stream's URL as the proxy is to know it.
        package var url: String
        /// How it is to be fetched, and its name at the proxy.
        package var header: RegisterHeader
        /// For the proxy.
        package var credentials: Credentials?
        /// The name is ours from before: where it is taken, it is taken back first. LIVE555's proxy keeps a name whose back end is gone.
        package var isOurs = false
        package var userAgent = "Weir"
        /// How long an answer may take.
        package var answerSeconds: UInt64 = 10
        /// A fresh unguessable word, for Digest.
        package var clientNonce: @Sendable () -> String

        /// A wish.
        package init(
            url: String, header: RegisterHeader, credentials: Credentials? = nil, clientNonce: @escaping @Sendable () -> String
        ) {
            self.url = url
            self.header = header
            self.credentials = credentials
            self.clientNonce = clientNonce
        }
    }

    /// What the owner of the connection has to do, in order.
    package enum Action: Sendable, Equatable {
        /// Write these bytes to the connection.
        case send([UInt8])
        /// The proxy serves the stream. With ``RegisterHeader/reusesConnection`` it asks from now on, and we answer; what it said
        /// already is in ``takeRemainder()``.
        case registered
        /// The proxy serves the stream no more.
        case deregistered
        /// The proxy does not want to.
        case refused(RTSPStatus, String)
        /// The conversation cannot go on.
        case failed(String)
    }

    private enum Phase: Sendable { case idle, registering, clearing, registeringAgain, deregistering, done }

    private let settings: Settings
    private var phase = Phase.idle
    private var authenticator: ClientAuthenticator
    private var parser = RTSPParser(limits: .client)
    private var sequence: UInt32 = 0
    /// When the answer is overdue; nil while nothing is asked.
    package private(set) var deadline: UInt64?

    private static let wordsCharactersMax = 160

    /// A client whose connection stands and that has not asked anything yet.
    package init(settings: Settings) {
        self.settings = settings
        authenticator = ClientAuthenticator(credentials: settings.credentials)
    }

    /// Asks for the stream to be served. `now` is monotonic, in nanoseconds, here and everywhere.
    package mutating func register(now: UInt64) -> [Action] {
        guard phase == .idle else { return [] }
        return ask(.registering, now)
    }

    /// Asks for the stream not to be served any more.
    package mutating func deregister(now: UInt64) -> [Action] {
        guard phase == .idle else { return [] }
        return ask(.deregistering, now)
    }

    /// Bytes came from the proxy.
    package mutating func receive(_ bytes: [UInt8], now: UInt64) -> [Action] {
        parser.append(bytes)
        var actions: [Action] = []
        do throws(RTSPParseError) {
            // What follows the last answer is the proxy's first request.
            while phase != .idle, phase != .done, let element = try parser.next() {
                switch element {
                case .response(let response) where response.status.code >= 200: actions += answered(response, now)
                case .response, .request, .interleaved: break
                }
            }
        } catch {
            actions += end(.failed("the proxy's answer cannot be read: \(error.description)"))
        }
        return actions
    }

    /// Looks whether the answer is overdue.
    package mutating func timeElapsed(now: UInt64) -> [Action] {
        guard let deadline, deadline <= now else { return [] }
        return end(.failed("the proxy did not answer within \(settings.answerSeconds) s"))
    }

    /// What the proxy said beyond its last answer.
    package mutating func takeRemainder() -> [UInt8] { parser.takeRemainder() }

    private mutating func ask(_ next: Phase, _ now: UInt64) -> [Action] {
        phase = next
        deadline = now &+ settings.answerSeconds * 1_000_000_000
        let method: RTSPMethod = next == .clearing || next == .deregistering ? .deregister : .register
        sequence &+= 1
        var message = RTSPRequest(method: method, uri: settings.url)
        message.headers.add("CSeq", String(sequence))
        if let answer = authenticator.authorization(method: method.name, uri: settings.url, clientNonce: settings.clientNonce()) {
            message.headers.add("Authorization", answer)
        }
        message.headers.add("User-Agent", settings.userAgent)
        var header = settings.header
        if method == .deregister { header = RegisterHeader(suffix: header.suffix) }
        if !header.text.isEmpty { message.headers.add("Transport", header.text) }
        return [.send(message.serialized())]
    }

    private mutating func answered(_ response: RTSPResponse, _ now: UInt64) -> [Action] {
        if response.status == .unauthorized {
            switch authenticator.challenged(by: response.headers.values(named: "WWW-Authenticate")) {
            case .retry: return ask(phase, now)
            case .credentialsMissing: return end(.refused(response.status, "the proxy wants a user and a password: rtsp://USER:PASSWORD@…"))
            case .credentialsRefused: return end(.refused(response.status, "the proxy does not accept this user and password"))
            case .schemeUnknown: return end(.refused(response.status, "the proxy asks for a kind of login that Weir does not know"))
            }
        }
        authenticator.accepted()
        switch phase {
        case .registering where response.status == .parameterNotUnderstood && settings.isOurs && settings.header.suffix != nil:
            return ask(.clearing, now)
        // Whether it was taken back shows in the next answer.
        case .clearing: return ask(.registeringAgain, now)
        case .registering, .registeringAgain: return end(response.status.isSuccess ? .registered : refusal(response))
        // A name that the proxy does not know any more is as good.
        case .deregistering:
            return end(response.status.isSuccess || response.status == .parameterNotUnderstood ? .deregistered : refusal(response))
        case .idle, .done: return []
        }
    }

    /// The proxy's own words, if it has any for people; otherwise what its status means here.
    private func refusal(_ response: RTSPResponse) -> Action {
        var words = "the proxy refuses (\(response.status))"
        if response.status == .notImplemented || response.status == .methodNotAllowed {
            words = "the proxy takes no REGISTER (\(response.status))"
        }
        if response.status == .parameterNotUnderstood { words = "the proxy has this name already (\(response.status))" }
        if response.headers.contentType == "text/plain" {
            let text = String(decoding: response.body.prefix(Self.wordsCharactersMax), as: UTF8.self)
            words += ": " + String(text.unicodeScalars.filter { $0.value >= 0x20 && $0.value != 0x7F })
        }
        return .refused(response.status, words)
    }

    private mutating func end(_ action: Action) -> [Action] {
        phase = .done
        deadline = nil
        return [action]
    }
}

import Signalling
import WireFormats

/// What of readers' GET_PARAMETER and SET_PARAMETER with a body is passed to a path's source. Without a body they are a keep-alive and
/// are never passed.
package enum ParameterPassing: String, Sendable, CaseIterable {
    /// Nothing: they are answered with 451.
    case off
    /// GET_PARAMETER.
    case passGet = "pass-get"
    /// GET_PARAMETER, and SET_PARAMETER of whoever has the right ``AccessRight/control``.
    case passAll = "pass-all"

    /// Longest body of a request, and of an answer.
    static let bodyBytesMax = 4 << 10
    static let answerBytesMax = 64 << 10
    /// Longest `Content-Type` that is passed.
    static let contentTypeBytesMax = 128
    /// Requests of all readers that may wait for one source's answer at once. One reader has one at a time: its requests are answered
    /// in their order.
    static let waitingMax = 8
}

/// What became of a reader's request to a source.
enum ParameterOutcome {
    /// The source's answer, whatever its status.
    case answered(RTSPResponse)
    /// None in time.
    case noAnswer
    /// Too many wait.
    case busy
    /// The source is not there; why.
    case unavailable(String)
    /// It is no server, and cannot be asked anything.
    case unsupported
}

extension RTSPServer {
    /// Passes a reader's GET_PARAMETER or SET_PARAMETER to the source, if the path's settings say so; the answer follows then.
    func pass(_ request: ServerRequest, _ connection: RTSPConnection) throws -> Bool {
        let message = request.message
        // Whoever has set nothing up has nothing to ask.
        guard !message.body.isEmpty, let id = request.session else { return false }
        let session = try session(id, for: connection)
        guard session.publication == nil else { return false }
        let passing = session.path.settings.parameters
        guard passing == .passAll || passing == .passGet && message.method == .getParameter else { return false }
        guard message.body.count <= ParameterPassing.bodyBytesMax else {
            count(.parametersOversize)
            let words = RequestRefusal.body("the body is longer than \(ParameterPassing.bodyBytesMax) bytes")
            connection.answer(
                RTSPResponse(status: .requestEntityTooLarge, headers: ["Content-Type": "text/plain"], body: words), session: session)
            return true
        }
        let type = message.headers["Content-Type"] ?? "text/parameters"
        guard type.utf8.count <= ParameterPassing.contentTypeBytesMax else {
            throw RequestRefusal.headerMalformed("Content-Type", "it is longer than \(ParameterPassing.contentTypeBytesMax) bytes")
        }
        let parameters = ParameterRequest(method: message.method, contentType: type, body: message.body)
        // The reader holds the path's interest: a source that is not there is being dialled.
        session.path.describe().assumeIsolated().whenComplete { [weak self] result in
            switch result {
            case .success:
                session.path.pass(parameters) { outcome in self?.answer(outcome, message.method, session, connection) }
            case .failure(let error): connection.answer(RequestRefusal(pathError: error))
            }
        }
        return true
    }

    private func answer(_ outcome: ParameterOutcome, _ method: RTSPMethod, _ session: ServerSession, _ connection: RTSPConnection) {
        func refuse(_ status: RTSPStatus, _ words: String) {
            connection.answer(
                RTSPResponse(status: status, headers: ["Content-Type": "text/plain"], body: RequestRefusal.body(words)), session: session)
        }
        switch outcome {
        case .answered(let response):
            // These are about our own conversation with the source.
            if response.status.isRedirection || [.unauthorized, .proxyAuthenticationRequired, .sessionNotFound].contains(response.status) {
                return refuse(.badGateway, "the source does not let Weir do this (\(response.status))")
            }
            guard response.body.count <= ParameterPassing.answerBytesMax else {
                count(.parametersOversize)
                return refuse(.badGateway, "the source's answer is longer than \(ParameterPassing.answerBytesMax) bytes")
            }
            var answer = RTSPResponse(status: response.status, body: response.body)
            if !response.body.isEmpty, let type = response.headers["Content-Type"] { answer.headers.add("Content-Type", type) }
            connection.answer(answer, session: session)
        case .noAnswer:
            count(.parametersTimeout)
            refuse(.gatewayTimeout, "the source did not answer within \(RTSPClient.parameterSeconds) s")
        case .busy:
            count(.parametersBusy)
            connection.answer(.unavailable("\(ParameterPassing.waitingMax) requests wait for this source's answer", retryAfterSeconds: 1))
        case .unavailable(let words): connection.answer(.unavailable("the source is not ready: \(words)", retryAfterSeconds: 1))
        case .unsupported: refuse(.methodNotAllowed, "\(method.name) is for paths that are pulled from an RTSP server")
        }
    }
}

import WireFormats

/// GET_PARAMETER or SET_PARAMETER with a body (RFC 2326 sections 10.8 and 10.9), on its way from a reader to the source.
package struct ParameterRequest: Sendable, Equatable {
    /// ``RTSPMethod/getParameter`` or ``RTSPMethod/setParameter``.
    package let method: RTSPMethod
    /// What the body is, as the reader says.
    package let contentType: String
    /// Not empty.
    package let body: [UInt8]

    /// A request.
    package init(method: RTSPMethod, contentType: String, body: [UInt8]) {
        self.method = method
        self.contentType = contentType
        self.body = body
    }
}

extension RTSPClient.Request {
    /// Whether somebody else asks.
    var isPassed: Bool {
        switch self {
        case .parameters, .abandoned: true
        case .options, .describe, .play, .pause, .teardown, .keepAlive, .setUp: false
        }
    }
}

extension RTSPClient {
    /// An answer to what somebody else asked. It changes nothing here.
    mutating func answeredParameters(_ request: Request, _ response: RTSPResponse) {
        guard case .parameters(let number) = request else { return }
        passed[number] = nil
        actions.append(.answered(number, response))
    }

    /// Nobody waits any longer for answers that are overdue. The requests are remembered for a while: an answer that comes late, after
    /// all, must not be taken for one to another request.
    mutating func abandonLateParameters() {
        for index in outstanding.indices where outstanding[index].deadline <= now {
            guard case .parameters(let number) = outstanding[index].request else { continue }
            let question = outstanding[index]
            outstanding[index] = Outstanding(number: question.number, request: .abandoned, method: question.method, deadline: .max)
            passed[number] = nil
            actions.append(.answered(number, nil))
        }
        let surplus = outstanding.count { $0.request == .abandoned } - Self.abandonedMax
        guard surplus > 0 else { return }
        for _ in 0..<surplus {
            if let oldest = outstanding.firstIndex(where: { $0.request == .abandoned }) { outstanding.remove(at: oldest) }
        }
    }
}

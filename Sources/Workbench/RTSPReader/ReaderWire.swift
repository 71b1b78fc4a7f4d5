import WireFormats

/// RTSP text in what a connection read.
enum ReaderWire {
    /// The message that the bytes begin with and its length, nil while it is not whole.
    static func message(in bytes: Span<UInt8>) throws(WorkbenchError) -> (ReaderConnection.Message, Int)? {
        var parser = RTSPParser(limits: .client)
        parser.append(bytes)
        do {
            switch try parser.next() {
            case .response(let response): return (.answer(response), Int(parser.bytesConsumed))
            case .request(let request): return (.request(reply: reply(to: request)), Int(parser.bytesConsumed))
            case .interleaved, nil: return nil
            }
        } catch {
            throw WorkbenchError("the server does not speak RTSP: \(error)")
        }
    }

    /// Some servers look whether their client is alive.
    private static func reply(to request: RTSPRequest) -> [UInt8] {
        let status: RTSPStatus
        switch request.method {
        case .options, .getParameter, .setParameter, .announce: status = .ok
        default: status = .notImplemented
        }
        return RTSPResponse(status: status, headers: ["CSeq": request.headers["CSeq"] ?? "0"]).serialized()
    }
}

import NIOCore
import Signalling
import WireFormats

/// REGISTER and DEREGISTER, as LIVE555's proxy takes them.
extension RTSPServer {
    /// A connection that changes its roles is left alone for so long after our answer: LIVE555's back ends need the time to look at it
    /// as a server's, and would take our first request for a part of the answer.
    static let registerPauseMilliseconds: Int64 = 100

    func register(_ request: ServerRequest, _ connection: RTSPConnection) throws(RequestRefusal) {
        let (header, owner) = try registration(request, connection)
        if header.reusesConnection {
            guard !connection.isTunnel else {
                throw .methodNotAllowed(.register, "a connection through HTTP cannot be used the other way round; use rtsp://")
            }
            guard connection.sessions.isEmpty else { throw .notNow(.register, "the connection has sessions; use one of its own") }
        }
        guard let take = try registrar.register(request.message.uri, header, owner: owner, count: count) else {
            return connection.answer(ServerAnswers.ok())
        }
        connection.giveAway(answer: ServerAnswers.ok(), pauseMilliseconds: Self.registerPauseMilliseconds, to: take)
    }

    func deregister(_ request: ServerRequest, _ connection: RTSPConnection) throws(RequestRefusal) {
        let (header, owner) = try registration(request, connection)
        try registrar.deregister(request.message.uri, header, owner: owner, count: count)
        connection.answer(ServerAnswers.ok())
    }

    private func registration(
        _ request: ServerRequest, _ connection: RTSPConnection
    ) throws(RequestRefusal) -> (RegisterHeader, Registrar.Owner) {
        guard settings.register.isOn else { throw .methodUnknown(request.message.method.name) }
        do throws(RTSPHeaderError) {
            let header = try RegisterHeader(parsing: request.message.headers["Transport"] ?? "")
            return (header, Registrar.Owner(user: connection.user, host: connection.host))
        } catch { throw .headerMalformed("Transport", error.description) }
    }
}

import PlaneLink

/// A broadcast over a connection of WMSP.
final class WMSPLiveLine: LiveLine {
    private let connection: WMSPConnection
    private let isChunked: Bool
    private let port: EnginePort

    init(_ connection: WMSPConnection, isChunked: Bool, port: EnginePort) {
        self.connection = connection
        self.isChunked = isChunked
        self.port = port
    }

    func subscribe(to variant: WindowsMediaVariant) throws -> Subscription {
        try .verbatim(port: port, stream: variant.stream, descriptor: try connection.duplicateDescriptor(), chunked: isChunked)
    }

    func whenFree(_ body: @escaping () -> Void) { connection.whenFree(body) }

    func handWritesOver(to send: @escaping (_ bytes: [UInt8], _ onLeft: @escaping () -> Void) -> Bool) {
        connection.handWritesOver(to: send)
    }

    func writesReturn() { connection.writesReturn() }

    func writesReturned() { connection.writesReturned() }

    func whenOver(_ body: @escaping () -> Void) { connection.whenOver(body) }

    func close() { connection.close() }

    func drain() { connection.drain() }
}

import NIOCore
import NIOPosix
import Signalling

/// How a source's server is reached, and the chance in it. What stands in its place needs neither a network nor real time.
struct SourceDialler {
    /// Connects to a host and port on an event loop; the third argument prepares the channel before anything is read.
    var connect:
        (_ host: String, _ port: Int, _ loop: any EventLoop, _ prepare: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>)
            -> EventLoopFuture<any Channel>
    /// Even in `0..<1`: spreads the attempts of many relays at one server.
    var chance: () -> Double = { Double.random(in: 0..<1) }

    /// Why a redirection to there is not followed; nil: it is.
    var refusal: (SourceURL) -> String? = { _ in nil }
    /// What is being done until the connection stands.
    var words = "connecting"

    static let connectSeconds: Int64 = 5

    /// TCP.
    static var tcp: Self {
        Self { host, port, loop, prepare in bootstrap(loop, prepare).connect(host: host, port: port) }
    }

    /// A connection over TCP that is to be made.
    static func bootstrap(
        _ loop: any EventLoop, _ prepare: @escaping @Sendable (any Channel) -> EventLoopFuture<Void>
    ) -> ClientBootstrap {
        ClientBootstrap(group: loop)
            .connectTimeout(.seconds(connectSeconds))
            // One read at a time: after PLAY's answer not a byte more may be taken.
            .channelOption(.maxMessagesPerRead, value: 1)
            .channelOption(.socketOption(.tcp_nodelay), value: 1)
            .channelInitializer(prepare)
    }
}

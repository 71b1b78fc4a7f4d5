import PlaneLink

/// What can be chosen about the RTSP server. Every limit has a default here.
package struct ServerSettings: Sendable {
    /// The capacities of the process.
    package var limits = Limits()
    /// How long PLAY waits for a key frame before it starts at any packet.
    package var keyFrameWaitSeconds: Double = 10
    /// Announced in `Session: …;timeout=`; a session that nobody names for so long, and whose connection is gone, ends.
    package var sessionTimeoutSeconds = 60
    /// A request that has begun must be complete within this time (a client that drips bytes is cut off).
    package var requestSeconds: Double = 10
    /// RTSP-over-HTTP tunnels that may wait for their other half at the same time.
    package var halfOpenTunnelsMax = 256
    /// How long they wait.
    package var tunnelSeconds: Double = 10
    /// A connection without a session that asks nothing is closed after this time.
    package var idleSeconds: Double = 60
    /// A connection that takes none of its answers for this time is closed.
    package var answerStallSeconds: Double = 10
    /// Requests that may wait behind one that is not answered yet; reading stops while so many wait.
    package var queuedRequestsMax = 8
    /// Sessions that one connection may hold.
    package var sessionsPerConnectionMax = 16
    /// Who may read and publish.
    package var access = AccessSettings()
    /// Which back ends may register.
    package var register = RegisterSettings()
    /// Of which servers players may have Windows Media by naming them.
    package var forwardProxy = ForwardProxySettings()
    /// How many readers there may be on all paths together, and where others go.
    package var distribution = Distribution()
    /// How often timers are looked at.
    package var sweepMilliseconds: Int64 = 1_000
    /// The `Server` header.
    package var name = "Weir"

    /// The defaults.
    package init() {}
}

import Logging
import PlaneLink

/// Everything that can be chosen, read from a file, the environment and the command line, in this order.
package struct Configuration: Sendable {
    /// Where the server listens.
    package var listen = ListenAddress.standard
    /// Ports for media sockets; nil lets the kernel choose.
    package var mediaPorts: ClosedRange<UInt16>?
    /// Nothing below this level is logged.
    package var logLevel = Logger.Level.info
    /// How the engine runs.
    package var engine = EngineSettings()
    /// The capacities of the process.
    package var limits = Limits()
    /// What is served.
    package var paths: [PathSettings] = []

    /// The defaults, and no path.
    package init() {}
}

/// How the engine runs.
package struct EngineSettings: Sendable, Equatable {
    /// The names of the backends.
    package enum Backend: String, Sendable, CaseIterable {
        /// The best that works here.
        case auto
        case ioUring = "io_uring"
        case epoll
    }

    /// Which backend carries the media.
    package var backend = Backend.auto
    /// Refuse to start when io_uring does not work here.
    package var requireIOUring = false

    /// The defaults.
    package init() {}
}

import Logging
import PlaneLink

/// Everything that can be chosen, read from a file, the environment and the command line, in this order.
package struct Configuration: Sendable {
    /// Where the server listens.
    package var listen = ListenAddress.standard
    /// Where it listens besides. Media sockets are at the first address alone.
    package var listenBesides: [ListenAddress] = []
    /// Ports for media sockets; nil lets the kernel choose.
    package var mediaPorts: ClosedRange<UInt16>?
    /// Nothing below this level is logged.
    package var logLevel = Logger.Level.info
    /// How the engine runs.
    package var engine = EngineSettings()
    /// The capacities of the process.
    package var limits = Limits()
    /// Who may read and publish.
    package var access = AccessSettings()
    /// Which back ends may ask to be served.
    package var register = RegisterSettings()
    /// How many readers all paths together may have, and where others go.
    package var distribution = Distribution()
    /// Of which servers players may have Windows Media by naming them.
    package var forwardProxy = ForwardProxySettings()
    /// Where what is kept of sources lies; without a directory nothing is.
    package var cache = CacheSettings(directory: "")
    /// Bytes of one object that may not be written to a disk, and is kept in memory while it is played.
    package var cacheMemoryBytesMax = 64 << 20
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
        case plain
    }

    /// When sends are made without copying the media into the kernel.
    package enum ZeroCopy: String, Sendable, CaseIterable {
        /// Where it is found to pay, for each destination.
        case auto
        case on, off
    }

    /// Which backend carries the media.
    package var backend = Backend.auto
    /// Refuse to start when io_uring does not work here.
    package var requireIOUring = false
    /// Threads that carry media; nil: as many as the processors that the process may use.
    package var workers: Int?
    /// When sends are made without a copy.
    package var zeroCopy = ZeroCopy.auto

    /// The defaults.
    package init() {}
}

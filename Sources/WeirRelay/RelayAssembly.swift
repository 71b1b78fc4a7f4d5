import ControlPlane
import FastPath
import Logging
import PlaneLink

/// This version of Weir.
package enum WeirVersion {
    /// What `--version` and every status say.
    package static let text = "0.1.0"
}

/// A relay above its engine, wired as the command and every embedder have it.
package struct RelayAssembly: Sendable {
    /// What carries the media.
    package let engine: Engine
    /// What decides; it does not listen yet.
    package let relay: Relay

    /// Starts the engine's threads and the relay's event loop; waits for them. Throws words for the user.
    package init(configuration: Configuration, extensions: RelayExtensions = RelayExtensions(), logger: Logger) throws {
        engine = try Engine(options: EngineOptions(configuration))
        relay = try Relay(
            configuration: configuration, extensions: extensions, engine: engine, version: WeirVersion.text, logger: logger)
    }
}

extension EngineOptions {
    /// The engine that a configuration asks for.
    package init(_ configuration: Configuration) {
        let backend: BackendName? =
            switch configuration.engine.backend {
            case .auto: nil
            case .ioUring: .ioUring
            case .epoll: .epoll
            case .plain: .plain
            }
        let zeroCopy: ZeroCopy =
            switch configuration.engine.zeroCopy {
            case .auto: .auto
            case .on: .on
            case .off: .off
            }
        self.init(
            limits: configuration.limits, backend: backend, requireIOUring: configuration.engine.requireIOUring,
            workers: configuration.engine.workers ?? min(max(Processors.usable, 1), Limits.workersMax), zeroCopy: zeroCopy)
    }
}

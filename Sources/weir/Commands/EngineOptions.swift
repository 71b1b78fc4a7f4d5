import ArgumentParser
import ControlPlane

/// How the engine runs; the same for demo, serve, relay and bench.
struct EngineArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "What carries the media: io_uring, epoll, plain (no batches, no offloads), or auto: the first of them that works here; default "
                + "auto.", valueName: "name"))
    var backend: String?

    @Option(
        help: ArgumentHelp(
            "Threads that carry media; default auto, as many as the processors that the process may use (bench: 1).", valueName: "n|auto"))
    var workers: String?

    @Option(
        help: ArgumentHelp(
            "The longest that a packet waits for others to go with it, up to 1s; default 2ms, 0 sends at once. From 10ms on, readers over "
                + "TCP are sent several frames together.", valueName: "duration"))
    var maxDelay: String?

    @Option(help: ArgumentHelp("Sending without a copy: auto (where it pays), on or off; default auto.", valueName: "mode"))
    var zeroCopy: String?

    @Flag(name: .customLong("require-io-uring"), help: "Fail rather than use another backend when io_uring does not work here.")
    var requireIOUring = false

    /// Sets what was given.
    func apply(to configuration: inout Configuration) throws {
        try set(&configuration, "--backend", "backend", backend)
        try set(&configuration, "--workers", "workers", workers)
        try set(&configuration, "--max-delay", "max-delay", maxDelay)
        try set(&configuration, "--zero-copy", "zero-copy", zeroCopy)
        if requireIOUring { configuration.engine.requireIOUring = true }
        let backend = configuration.engine.backend
        if configuration.engine.requireIOUring, backend == .epoll || backend == .plain {
            throw ValidationError("--require-io-uring and --backend \(backend.rawValue) exclude each other; leave one out")
        }
    }
}

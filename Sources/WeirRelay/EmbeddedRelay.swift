@_exported import ControlPlane
import Foundation
import Logging
import NIOPosix
import Synchronization

/// Weir's whole relay within your program: sources, paths, the RTSP server, and the engine that carries the media.
///
///     let relay = try EmbeddedRelay(yaml: """
///         listen: 0.0.0.0:8554
///         paths:
///           cam:
///             source: rtsp://camera.example/stream
///         """, logger: logger)
///     let addresses = try await relay.start()
///     …
///     await relay.stop()
///
/// It is made from what `weir serve` takes, and does the same. It installs no signal handler, changes no limit of the process and
/// writes nothing but to its logger. It has threads of its own (one for each of the engine's workers, one event loop); every method may be
/// called from anywhere, any number of times, and waits without holding a thread up.
public final class EmbeddedRelay: Sendable {
    private enum State {
        case fresh
        case started(Task<Running, any Error>)
        case ended(Task<Int, Never>)
    }

    private let configuration: Configuration
    private let extensions: RelayExtensions
    private let logger: Logger
    private let state = Mutex(State.fresh)

    /// A relay that does nothing yet, from the text of a configuration.
    ///
    /// - Parameters:
    ///   - yaml: what a configuration file holds.
    ///   - fileName: what errors call it.
    ///   - environment: `WEIR_…` variables that go before the text; none unless you give some (`ProcessInfo.processInfo.environment`).
    ///   - extensions: what takes the place of Weir's own parts; what the text names of them must be there.
    ///   - logger: where the relay logs, from the level on that `log-level:` says (`info`). Its handler is called on the relay's threads.
    /// - Throws: ``ConfigurationErrors``: all that is wrong, each with its line and key. Recordings that the text names are opened, too.
    public convenience init(
        yaml: String, fileName: String = "weir.yml", environment: [String: String] = [:],
        extensions: RelayExtensions = RelayExtensions(), logger: Logger = Logger(label: "weir")
    ) throws(ConfigurationErrors) {
        let configuration = try Configuration.parse(yaml, fileName: fileName, environment: environment, extensions: extensions)
        try configuration.checkFiles(fileName: fileName)
        self.init(configuration, extensions, logger)
    }

    /// A relay that does nothing yet, from a configuration file; else as ``init(yaml:fileName:environment:extensions:logger:)``.
    public convenience init(
        file: String, environment: [String: String] = [:], extensions: RelayExtensions = RelayExtensions(),
        logger: Logger = Logger(label: "weir")
    ) throws(ConfigurationErrors) {
        let configuration = try Configuration.load(file: file, environment: environment, extensions: extensions)
        try configuration.checkFiles(fileName: file)
        self.init(configuration, extensions, logger)
    }

    private init(_ configuration: Configuration, _ extensions: RelayExtensions, _ logger: Logger) {
        self.configuration = configuration
        self.extensions = extensions
        var logger = logger
        logger.logLevel = configuration.logLevel
        self.logger = logger
    }

    /// A relay that is forgotten stops; nobody hears when it has.
    deinit { _ = ending() }

    /// Listens and dials what is to be dialled from the start. Once.
    ///
    /// - Throws: ``RelayError/startedBefore``, or words about what could not be had (a port that is taken, io_uring where it is required);
    ///   nothing is left running then.
    @discardableResult
    public func start() async throws -> RelayAddresses {
        let task = try state.withLock { state throws(RelayError) in
            guard case .fresh = state else { throw .startedBefore }
            let task = Task.detached { [configuration, extensions, logger] in
                try await Running.starting(configuration, extensions, logger)
            }
            state = .started(task)
            return task
        }
        return try await task.value.addresses
    }

    /// What can be known of the relay just now: what `weir status --json` shows.
    ///
    /// - Parameters:
    ///   - readers: how many readers it tells of one by one, the worst first; at most 1,000.
    ///   - path: of this path alone.
    /// - Throws: ``RelayError``, or what ``start()`` threw.
    public func status(readers: Int = 20, path: String? = nil) async throws -> RelayStatus {
        let running = try await running()
        do { return try await running.assembly.relay.overview(readers: readers, path: path) } catch let trouble as ControlAnswer.Trouble {
            throw trouble == .stopping ? RelayError.notRunning : RelayError.refused(trouble.message)
        }
    }

    /// Lets `weir status` and `weir top` look at this relay, over a UNIX socket for this user alone, until it stops.
    ///
    /// - Parameter path: where; nil: where the commands look for it by the RTSP port.
    /// - Returns: where it is.
    /// - Throws: ``RelayError``, or words about a place that cannot be used.
    @discardableResult
    public func openControlSocket(at path: String? = nil) async throws -> String {
        try await running().openControlSocket(at: path)
    }

    /// Ends sources and readers in good order (players are told), gives everything back and ends all threads; takes up to some seconds.
    /// A relay that has stopped cannot be started again: make another one.
    ///
    /// - Returns: how many things did not come home. 0, or it is a bug of Weir: please report it.
    @discardableResult
    public func stop() async -> Int { await ending().value }

    private func running() async throws -> Running {
        let task = try state.withLock { state throws(RelayError) in
            switch state {
            case .fresh: throw .notRunning
            case .started(let task): return task
            case .ended: throw .notRunning
            }
        }
        return try await task.value
    }

    private func ending() -> Task<Int, Never> {
        state.withLock { state in
            let task: Task<Int, Never>
            switch state {
            case .fresh: task = Task { 0 }
            case .started(let starting): task = Task.detached { await (try? starting.value)?.end() ?? 0 }
            case .ended(let ending): return ending
            }
            state = .ended(task)
            return task
        }
    }
}

/// What can be known of a relay: see ``Overview``.
public typealias RelayStatus = Overview

/// Where a relay listens.
public struct RelayAddresses: Sendable, Equatable {
    /// The numeric address of the RTSP server, as bound: `::` and `0.0.0.0` mean every address.
    public let host: String
    /// The port of the RTSP server, also where the configuration left it to the kernel (`listen: 127.0.0.1:0`).
    public let port: UInt16
    /// The UDP port that readers are sent RTP from.
    public let mediaPort: UInt16
    /// The UDP port that readers are sent RTCP from, and send theirs to.
    public let reportPort: UInt16

    /// The URL of a path for players on this machine.
    public func url(of path: String) -> String {
        let isEvery = host == "::" || host == "0.0.0.0"
        return "rtsp://\(ListenAddress(host: isEvery ? "127.0.0.1" : host, port: port))/\(PathSettings.trimmed(path))"
    }
}

/// What a relay cannot do.
public enum RelayError: Error, Sendable, Equatable, CustomStringConvertible {
    /// ``EmbeddedRelay/start()`` was called before.
    case startedBefore
    /// It does not run: not yet, or not any more.
    case notRunning
    /// It cannot be asked for that; why, in words.
    case refused(String)

    /// What is wrong, in words.
    public var description: String {
        switch self {
        case .startedBefore: "the relay was started before; make another one"
        case .notRunning: "the relay does not run"
        case .refused(let words): words
        }
    }
}

/// A relay that listens.
private final class Running: Sendable {
    let assembly: RelayAssembly
    let addresses: RelayAddresses
    private let control = Mutex(Control.none)

    private enum Control {
        case none, opening
        case open(ControlSocket)
        /// The relay stops.
        case ended
    }

    private init(_ assembly: RelayAssembly, _ addresses: RelayAddresses) {
        self.assembly = assembly
        self.addresses = addresses
    }

    /// Starts everything; leaves nothing behind when it throws.
    static func starting(_ configuration: Configuration, _ extensions: RelayExtensions, _ logger: Logger) async throws -> Running {
        // Making threads waits for them: not on a thread of the caller's.
        let assembly = try await NIOThreadPool.singleton.runIfActive {
            try RelayAssembly(configuration: configuration, extensions: extensions, logger: logger)
        }
        do {
            let address: ListenAddress = try await assembly.relay.start()
            let media = try await assembly.relay.mediaPorts()
            return Running(
                assembly,
                RelayAddresses(host: address.host, port: address.port, mediaPort: media?.rtp ?? 0, reportPort: media?.rtcp ?? 0))
        } catch {
            _ = await assembly.relay.stop()
            await assembly.relay.end()
            throw error
        }
    }

    func openControlSocket(at path: String?) async throws -> String {
        try await NIOThreadPool.singleton.runIfActive { [self] in
            let path = try path ?? ControlPlace.path(port: addresses.port, environment: ProcessInfo.processInfo.environment)
            try control.withLock { control throws(RelayError) in
                switch control {
                case .none: control = .opening
                case .opening, .open: throw .refused("the relay has a control socket already")
                case .ended: throw .notRunning
                }
            }
            let opened = Result { try assembly.relay.openControl(at: path) }
            let isEnded = control.withLock { control in
                if case .ended = control { return true }
                if case .success(let socket) = opened { control = .open(socket) } else { control = .none }
                return false
            }
            let socket = try opened.get()
            if isEnded {
                socket.close()
                throw RelayError.notRunning
            }
            return socket.path
        }
    }

    func end() async -> Int {
        let former = control.withLock { control in
            defer { control = .ended }
            return control
        }
        if case .open(let socket) = former { _ = try? await NIOThreadPool.singleton.runIfActive { socket.close() } }
        let leaks = await assembly.relay.stop()
        await assembly.relay.end()
        return Int(leaks)
    }
}

import ArgumentParser
import ControlPlane
import FastPath
import Foundation
import Glibc
import Logging
import Synchronization
import WeirRelay

/// Runs a relay until it is asked to end: the common part of demo, serve and relay.
struct RelayRun {
    let configuration: Configuration
    let json: Bool
    /// Where the control socket is to be; nil: where it is looked for, `off`: nowhere.
    let control: String?
    /// What to show when it listens, given the URL of its paths' common beginning.
    let banner: (_ base: String) -> String

    private static let tickMicroseconds: UInt32 = 50_000
    private static let ticksPerSecond = 20

    /// Ends the program with a status: 0 as asked, 1 something failed.
    func run() throws {
        Signals.catchAll()
        let allowed = Descriptors.raise()
        let level = configuration.logLevel
        LoggingSystem.bootstrap { _ in
            var log = ConsoleLog()
            log.logLevel = level
            return log
        }
        let logger = Logger(label: "weir")
        let relay: Relay
        let engine: Engine
        let address: ListenAddress
        do {
            let assembly = try RelayAssembly(configuration: configuration, logger: logger)
            engine = assembly.engine
            relay = assembly.relay
            address = try relay.start()
        } catch {
            Console.shared.printError("weir: \(error)")
            throw ExitCode(1)
        }
        // Before it is said that the relay listens: whoever waits for those words may ask at once.
        let socket = try openControl(relay, address)
        say(banner(Self.base(address)))
        let workers = engine.workerCount == 1 ? "one worker" : "\(engine.workerCount) workers"
        say("Listening on \(address). Backend \(engine.backend.name), \(workers): \(engine.backend.reason). Ctrl-C ends.")
        // Two for each connection: NIO's and, while media flows over it, the engine's.
        let needed = configuration.limits.connectionsMax * 2 + 1_024
        let purpose = "\(configuration.limits.connectionsMax) connections"
        if let words = Descriptors.shortage(allowed: allowed, needed: needed, for: purpose) { say(words) }
        do {
            defer { socket?.close() }
            try watch(relay, backend: engine.backend)
        }
        try end(relay)
    }

    /// A place that was named must do; without one, a relay that cannot be looked at is better than none.
    private func openControl(_ relay: Relay, _ address: ListenAddress) throws -> ControlSocket? {
        guard control != "off" else { return nil }
        do {
            let path = try control ?? ControlPlace.path(port: address.port, environment: ProcessInfo.processInfo.environment)
            return try relay.openControl(at: path)
        } catch {
            guard control != nil else {
                say("No control socket, so weir status and weir top cannot look at this relay: \(error)")
                return nil
            }
            Console.shared.printError("weir: --control: \(error)")
            throw ExitCode(1)
        }
    }

    private func say(_ text: String) {
        if json { Console.shared.printError(text) } else { Console.shared.print(text) }
    }

    private func watch(_ relay: Relay, backend: BackendChoice) throws {
        var before = try relay.status()
        var ticks = 0
        while Signals.received == 0 {
            usleep(Self.tickMicroseconds)
            ticks += 1
            guard ticks % Self.ticksPerSecond == 0 else { continue }
            let status = try relay.status()
            guard status.workersFailed < status.workers else {
                // Whoever looks after this process starts it anew; nothing would flow otherwise.
                Console.shared.printError(
                    "weir: no worker is left: the backend \(backend.name) ended for good (the log says how); --backend takes another one")
                throw ExitCode(1)
            }
            let rates = Status.Rates(from: before, to: status)
            before = status
            if json { Console.shared.print(rates.json(backend: backend)) } else { Console.shared.show(live: rates.line) }
        }
    }

    private func end(_ relay: Relay) throws {
        Console.shared.endLine()
        let asked = Signals.received
        let result = Mutex<UInt32?>(nil)
        relay.stop { leaks in result.withLock { $0 = leaks } }
        while result.withLock({ $0 == nil }) {
            guard Signals.received == asked else { _exit(1) }
            usleep(Self.tickMicroseconds)
        }
        relay.end()
        let leaks = result.withLock { $0 ?? 0 }
        guard leaks == 0 else {
            Console.shared.printError("weir: \(leaks) things did not come home at the end; please report this as a bug")
            throw ExitCode(1)
        }
    }

    /// How a player on this machine reaches the server.
    private static func base(_ address: ListenAddress) -> String {
        let host = address.host == "::" || address.host == "0.0.0.0" ? "127.0.0.1" : address.host
        return "rtsp://\(ListenAddress(host: host, port: address.port))"
    }
}

import Foundation
import Glibc
import Logging
import Synchronization
import Testing
import WeirRelay

/// Keeps what is logged.
final class Heard: Sendable {
    private let lines = Mutex<[String]>([])

    var all: [String] { lines.withLock { $0 } }

    var logger: Logger { Logger(label: "test") { _ in Handler(heard: self) } }

    private struct Handler: LogHandler {
        let heard: Heard
        var metadata = Logger.Metadata()
        var logLevel = Logger.Level.trace
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let fields = metadata.merging(event.metadata ?? [:]) { $1 }.map { "\($0)=\($1)" }.sorted().joined(separator: " ")
            heard.lines.withLock { $0.append("\(event.level) \(event.message) \(fields)") }
        }
    }
}

/// Whether nothing of three relays or more is left. A thread that has ended can be seen for a moment longer, and Swift's own pool may have
/// grown by one or two since; what it has beyond that ends after five seconds of rest.
func nothingGrew(since before: (descriptors: Int, threads: Int)) -> Bool {
    for _ in 0..<500 {
        let after = belongings()
        if after.descriptors <= before.descriptors, after.threads < before.threads + 3 { return true }
        usleep(20_000)
    }
    return false
}

/// The process's open descriptors and threads.
func belongings() -> (descriptors: Int, threads: Int) { (entries("/proc/self/fd"), entries("/proc/self/task")) }

private func entries(_ folder: String) -> Int {
    guard let open = unsafe opendir(folder) else { return -1 }
    defer { unsafe closedir(open) }
    var count = 0
    while unsafe readdir(open) != nil { count += 1 }
    return count
}

/// A connection to a port of this machine, or nil.
func connected(_ port: UInt16) -> CInt? {
    let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let result = unsafe withUnsafePointer(to: &address) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            unsafe connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    guard result == 0 else {
        close(descriptor)
        return nil
    }
    return descriptor
}

let quiet = "listen: 127.0.0.1:0\nengine:\n  workers: 1\n  backend: plain\nlimits:\n  sessions: 100\n  connections: 100\n"

@Suite(.serialized) struct EmbeddedRelayTests {
    @Test func itListensAnswersTellsAndEnds() async throws {
        let heard = Heard()
        let relay = try EmbeddedRelay(yaml: quiet + "paths:\n  studio:\n    source: publish\n", logger: heard.logger)
        await #expect(throws: RelayError.notRunning) { _ = try await relay.status() }
        let addresses = try await relay.start()
        #expect(addresses.host == "127.0.0.1" && addresses.port > 0 && addresses.mediaPort > 0)
        #expect(addresses.reportPort == addresses.mediaPort + 1)
        #expect(addresses.url(of: "/studio/") == "rtsp://127.0.0.1:\(addresses.port)/studio")
        let client = try #require(connected(addresses.port))
        close(client)
        let status = try await relay.status()
        #expect(status.paths.map(\.name) == ["studio"] && status.program.listen == "127.0.0.1:\(addresses.port)")
        #expect(try status.json().contains("\"words\":\"nobody publishes here yet\""))
        await #expect(throws: RelayError.refused("there is no path `nowhere`")) { _ = try await relay.status(path: "nowhere") }
        await #expect(throws: RelayError.startedBefore) { try await relay.start() }
        #expect(await relay.stop() == 0)
        #expect(connected(addresses.port) == nil)
        await #expect(throws: RelayError.notRunning) { _ = try await relay.status() }
        await #expect(throws: RelayError.startedBefore) { try await relay.start() }
        #expect(await relay.stop() == 0)
        #expect(heard.all.contains { $0.hasPrefix("info listening") })
    }

    // Descriptors and threads are counted where nothing else runs.

    @Test func aTakenPortIsSaidAndNothingIsLeft() async {
        await #expect(processExitsWith: .success) {
            let first = try EmbeddedRelay(yaml: quiet, logger: Heard().logger)
            let port = try await first.start().port
            let taken = quiet.replacing("127.0.0.1:0", with: "127.0.0.1:\(port)")
            // What is made once for the process is there before it is counted.
            _ = try? await EmbeddedRelay(yaml: taken, logger: Heard().logger).start()
            let before = belongings()
            for _ in 0..<3 {
                let second = try EmbeddedRelay(yaml: taken, logger: Heard().logger)
                let error = await #expect(throws: (any Error).self) { try await second.start() }
                precondition(error.map { "\($0)" }?.contains("port \(port) is taken") == true)
                await #expect(throws: (any Error).self) { _ = try await second.status() }
                let leaks = await second.stop()
                precondition(leaks == 0)
            }
            precondition(nothingGrew(since: before), "\(before) \(belongings())")
            let leaks = await first.stop()
            precondition(leaks == 0)
        }
    }

    @Test func manyComeAndGoAndTwoStandSideBySide() async {
        await #expect(processExitsWith: .success) {
            var before = belongings()
            for round in 0..<6 {
                let one = try EmbeddedRelay(yaml: quiet, logger: Heard().logger)
                let other = try EmbeddedRelay(yaml: quiet, logger: Heard().logger)
                let ports = try await [one.start().port, other.start().port]
                precondition(ports[0] != ports[1])
                let leaks = await one.stop()
                precondition(leaks == 0 && connected(ports[0]) == nil)
                guard let client = connected(ports[1]) else { preconditionFailure("the other one went with it") }
                close(client)
                let more = await other.stop()
                precondition(more == 0)
                if round == 1 { before = belongings() }
            }
            precondition(nothingGrew(since: before), "\(before) \(belongings())")
        }
    }

    @Test func whoIsForgottenStops() async throws {
        var port: UInt16 = 0
        do {
            let relay = try EmbeddedRelay(yaml: quiet, logger: Heard().logger)
            port = try await relay.start().port
        }
        var isGone = false
        for _ in 0..<200 where !isGone {
            try await Task.sleep(for: .milliseconds(20))
            if let client = connected(port) { close(client) } else { isGone = true }
        }
        #expect(isGone)
    }

    @Test(arguments: [
        ("listen: 127.0.0.1:0\npaths:\n  cam:\n    sauce: publish\n", "my.yml:4: paths.cam.sauce: unknown key; did you mean `source`?"),
        ("paths:\n  cam:\n    source: acme://x\n", "my.yml:3: paths.cam.source: a source of the kind `acme://` is not built"),
        ("paths:\n  cam:\n    source: nowhere.rtpdump\n", "my.yml: paths.cam.source: "),
        ("listen: [\n", "my.yml:2: this is not YAML"),
    ]) func whatIsWrongIsSaidWithItsPlace(_ yaml: String, _ words: String) {
        let error = #expect(throws: ConfigurationErrors.self) { _ = try EmbeddedRelay(yaml: yaml, fileName: "my.yml") }
        #expect(error?.description.hasPrefix(words) == true, "\(error?.description ?? "")")
    }

    @Test func theControlSocketIsThereWhileItRuns() async throws {
        let relay = try EmbeddedRelay(yaml: quiet, logger: Heard().logger)
        try await relay.start()
        let place = "/tmp/weir-embed-\(getpid()).sock"
        #expect(try await relay.openControlSocket(at: place) == place)
        #expect(FileManager.default.fileExists(atPath: place))
        await #expect(throws: RelayError.self) { try await relay.openControlSocket(at: place) }
        #expect(await relay.stop() == 0)
        #expect(!FileManager.default.fileExists(atPath: place))
    }

    @Test func twoControlSocketsAtOnceAreOneAndARefusal() async throws {
        let relay = try EmbeddedRelay(yaml: quiet, logger: Heard().logger)
        try await relay.start()
        let places = (0..<4).map { "/tmp/weir-embed-\(getpid())-\($0).sock" }
        let opened = await withTaskGroup(of: String?.self) { group in
            for place in places { group.addTask { try? await relay.openControlSocket(at: place) } }
            return await group.reduce(into: [String]()) { list, place in if let place { list.append(place) } }
        }
        #expect(opened.count == 1)
        #expect(places.filter { FileManager.default.fileExists(atPath: $0) } == opened)
        #expect(await relay.stop() == 0)
        #expect(places.allSatisfy { !FileManager.default.fileExists(atPath: $0) })
    }

    @Test(.timeLimit(.minutes(10))) func whoAsksWhileItStopsIsAnswered() async throws {
        for round in 0..<15 {
            let relay = try EmbeddedRelay(yaml: quiet + "paths:\n  studio:\n    source: publish\n", logger: Heard().logger)
            try await relay.start()
            let place = "/tmp/weir-embed-\(getpid())-race-\(round).sock"
            try await withThrowingTaskGroup(of: Void.self) { group in
                for asker in 0..<8 {
                    group.addTask {
                        do {
                            while true {
                                if asker == 0 {
                                    _ = try await relay.openControlSocket(at: place)
                                } else {
                                    _ = try await relay.status()
                                }
                            }
                        } catch RelayError.notRunning {} catch RelayError.refused where asker == 0 {}
                    }
                }
                group.addTask {
                    try await Task.sleep(for: .milliseconds(round))
                    #expect(await relay.stop() == 0)
                }
                try await group.waitForAll()
            }
            #expect(!FileManager.default.fileExists(atPath: place))
        }
    }

    @Test(.timeLimit(.minutes(10))) func aSourceThatComesBackAfterTheEndHarmsNobody() async throws {
        final class Noted: Sendable {
            let dials = Mutex<[SourceDial]>([])
            let ends = Mutex(0)
        }
        let noted = Noted()
        var extensions = RelayExtensions()
        extensions.sources["acme"] = { dial in
            noted.dials.withLock { $0.append(dial) }
            // It does not hear that it is to end.
            try? await Task { try await Task.sleep(for: .milliseconds(700)) }.value
            noted.ends.withLock { $0 += 1 }
        }
        let relay = try EmbeddedRelay(
            yaml: quiet + "paths:\n  cam:\n    source: acme://x\n    dial: always\n", extensions: extensions, logger: Heard().logger)
        try await relay.start()
        for _ in 0..<200 where noted.dials.withLock({ $0.isEmpty }) { try await Task.sleep(for: .milliseconds(5)) }
        #expect(await relay.stop() == 0)
        let dialled = noted.dials.withLock { $0.count }
        let dial = try #require(noted.dials.withLock { $0.first })
        await #expect(throws: SourceError.ended) {
            try await dial.describe([TrackFormat(kind: "video", encodingName: "H264", clockRate: 90_000)])
        }
        for _ in 0..<2_000 where noted.ends.withLock({ $0 }) < dialled { try await Task.sleep(for: .milliseconds(5)) }
        #expect(noted.ends.withLock { $0 } == dialled && noted.dials.withLock { $0.count } == dialled)
        try await Task.sleep(for: .milliseconds(50))
    }
}

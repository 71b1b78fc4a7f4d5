import ArgumentParser
import ControlPlane
import Foundation
import Glibc
import Logging
import WeirRelay

/// `weir cache prefetch`.
extension CacheCommand {
    struct Prefetch: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "prefetch",
            abstract: "Bring content into the cache before anybody asks for it.",
            discussion: """
                Has the running relay of this user fetch it, as for a player but as fast as it comes, and waits until all of it is kept. What \
                an RTSP server plays comes no faster than it plays it, to a path with `cache: yes`. The URLs are those of the origins, as in \
                the sources of the relay's paths. With --cache a cache is filled that no relay uses just \
                now.

                  weir cache prefetch mmsh://origin.example/film.wmv
                  weir cache prefetch films.txt --json
                  weir cache prefetch films.txt --cache /var/cache/weir

                Exit status: 0 all is kept, 1 something is not, 64 several relays run and none was named, 65 the cache's index cannot be used, \
                69 no relay is there, 75 a relay uses the cache, 77 the relay belongs to another user.
                """)

        @Argument(
            help: ArgumentHelp(
                "What is to be kept: a URL, or a file with one on each line (# begins a comment; - is standard input).",
                valueName: "url|list"))
        var what: [String]

        @Option(help: ArgumentHelp("The port that the relay listens on, where several run.", valueName: "port"))
        var port: UInt16?

        @Option(help: ArgumentHelp("The relay's control socket, when it was started with --control.", valueName: "path"))
        var control: String?

        @Option(help: ArgumentHelp("Fill the cache in this directory, which no relay uses just now.", valueName: "dir"))
        var cache: String?

        @Flag(help: "Print one line of JSON for each URL when it is done.")
        var json = false

        func validate() throws {
            if port != nil, control != nil { throw ValidationError("--port and --control name a relay each; give one of them") }
            if cache != nil, port != nil || control != nil {
                throw ValidationError("--cache fills a cache without a relay; leave --port and --control out, or have the relay fetch it")
            }
        }

        func run() throws {
            let urls = try urls()
            guard !urls.isEmpty else { throw ValidationError("there is no URL in \(what.joined(separator: ", "))") }
            Signals.catchAll()
            let failed: Int
            if let cache {
                failed = try PrefetchWithoutRelay(directory: cache).run(urls) { try watch(urls, $0) }
            } else {
                failed = try asking { try watch(urls, ControlTarget.connect(port: port, control: control)) }
            }
            if failed > 0 { throw ExitCode(1) }
        }

        /// Those that were given, and those of the lists.
        private func urls() throws -> [String] {
            var urls: [String] = []
            for one in what {
                guard one == "-" || one.firstRange(of: "://") == nil else {
                    urls.append(one)
                    continue
                }
                let text: String
                do {
                    let data = one == "-" ? FileHandle.standardInput.readDataToEndOfFile() : try Data(contentsOf: URL(fileURLWithPath: one))
                    text = String(decoding: data, as: UTF8.self)
                } catch { throw ValidationError("\(one) is neither a URL nor a file that can be read: \(error.localizedDescription)") }
                for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
                    let url = line.prefix { $0 != "#" }.trimmingCharacters(in: .whitespaces)
                    if url.isEmpty { continue }
                    guard !CacheView.keys(url).isEmpty else {
                        throw ValidationError(
                            "\(one):\(number + 1): `\(url)` is no URL that anything is kept under, such as mmsh://host/film.wmv")
                    }
                    urls.append(url)
                }
            }
            return urls
        }

        private static let lookMicroseconds: UInt32 = 200_000

        /// Has all of them fetched, and says what becomes of each; answers with how many are not kept.
        private func watch(_ urls: [String], _ client: ControlClient) throws -> Int {
            var failed = 0
            var open: [PrefetchAnswer] = []
            for url in urls {
                do { open.append(try client.prefetch("start", ["url": url])) } catch let error as ControlAnswer.Trouble {
                    failed += 1
                    var answer = PrefetchAnswer()
                    answer.url = url
                    answer.state = .failed
                    answer.words = error.message
                    try say(answer)
                }
            }
            while !open.isEmpty {
                guard Signals.received == 0 else {
                    for answer in open { _ = try? client.prefetch("stop", ["id": "\(answer.id)"]) }
                    Console.shared.endLine()
                    Console.shared.printError("weir: given up; what has come is kept")
                    return failed + open.count
                }
                usleep(Self.lookMicroseconds)
                open = try open.map { try client.prefetch("look", ["id": "\($0.id)"]) }
                for answer in open where answer.state.isFinal {
                    if answer.state == .failed { failed += 1 }
                    try say(answer)
                }
                open.removeAll { $0.state.isFinal }
                if !json, let first = open.first {
                    let others = open.count > 1 ? " (and \(open.count - 1) more)" : ""
                    Console.shared.show(live: "\(first.state.rawValue) \(first.percent)% \(first.url)\(others)")
                }
            }
            Console.shared.endLine()
            return failed
        }

        private func say(_ answer: PrefetchAnswer) throws {
            if json { return Console.shared.print(try ControlJSON.line(answer)) }
            let what = answer.outcome.isEmpty ? "" : " [\(answer.outcome)]"
            let line = "\(answer.state.rawValue)  \(answer.url)\(what): \(answer.words)"
            if answer.state == .failed { Console.shared.printError("weir: \(line)") } else { Console.shared.print(line) }
        }
    }
}

/// A relay that nobody can ask for anything, for as long as a cache is being filled.
private struct PrefetchWithoutRelay {
    let directory: String

    func run(_ urls: [String], _ body: (ControlClient) throws -> Int) throws -> Int {
        LoggingSystem.bootstrap { _ in
            var log = ConsoleLog()
            log.logLevel = .error
            return log
        }
        var configuration = Configuration()
        configuration.listen = ListenAddress(host: "127.0.0.1", port: 0)
        configuration.engine.workers = 1
        // How much the relay's cache may hold is not known here; it lets go of what is too much when it starts.
        configuration.cache = .withoutLimits(directory)
        do {
            for (number, url) in Set(urls).sorted().enumerated() {
                var path = try PathSettings(name: "prefetch-\(number)", source: url, transport: nil, dial: nil)
                // Of what an RTSP server plays nothing is kept unless somebody says so, and this is what is said here.
                if case .pull = path.source { path.cache.keeping = .yes }
                configuration.paths.append(path)
            }
        } catch { throw ValidationError("\(error)") }
        // In a folder that nobody else can look into.
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("weir-prefetch-\(getpid())")
        defer { try? FileManager.default.removeItem(at: folder) }
        var failed = 0
        try cacheWork {
            try FileManager.default.createDirectory(
                at: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
            let assembly = try RelayAssembly(configuration: configuration, logger: Logger(label: "weir"))
            defer {
                let done = DispatchSemaphore(value: 0)
                assembly.relay.stop { _ in done.signal() }
                done.wait()
                assembly.relay.end()
            }
            _ = try assembly.relay.start()
            let socket = try assembly.relay.openControl(at: folder.appendingPathComponent("control.sock").path)
            defer { socket.close() }
            failed = try body(try ControlClient(path: socket.path))
        }
        return failed
    }
}

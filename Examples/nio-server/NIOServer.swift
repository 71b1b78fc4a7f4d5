import FastPath
@preconcurrency import Glibc
import NIOCore
import NIOPosix

let help = """
    usage: nio-server [--listen HOST:PORT] [--media PORT]

    Accepts TCP connections (127.0.0.1:5540) and receives RTP on a UDP port (5004; RTCP on the next one). A connection's commands, a line
    each:
      PLAY   is answered `OK`; then packets follow, framed as in RTSP: `$`, a byte for the channel (0 RTP, 1 RTCP), two bytes of length
      PAUSE  is answered `OK`; no packet follows until the next PLAY
      PING   is answered `PONG`, between two packets
      QUIT   is answered `BYE`, and the connection is closed
    """

/// What the command line says.
struct Settings {
    var host = "127.0.0.1"
    var port = 5_540
    var mediaPort: UInt16 = 5_004

    init(_ arguments: [String]) throws(UsageError) {
        var rest = arguments[...]
        while let name = rest.popFirst() {
            guard let value = rest.popFirst() else { throw UsageError(words: "`\(name)` needs a value") }
            switch name {
            case "--listen":
                guard let colon = value.lastIndex(of: ":"), let port = UInt16(value[value.index(after: colon)...]) else {
                    throw UsageError(words: "--listen is `\(value)`, but must be HOST:PORT")
                }
                host = value[..<colon].filter { $0 != "[" && $0 != "]" }
                self.port = Int(port)
            case "--media":
                guard let port = UInt16(value), port < .max else { throw UsageError(words: "--media is `\(value)`, but must be 0...65534") }
                mediaPort = port
            default: throw UsageError(words: "there is no option `\(name)`")
            }
        }
    }
}

struct UsageError: Error {
    let words: String
}

@main struct NIOServer {
    static func main() async {
        let arguments = Array(CommandLine.arguments.dropFirst())
        if arguments.contains("--help") || arguments.contains("-h") { return print(help) }
        do {
            try await run(try Settings(arguments))
        } catch let error as UsageError {
            fputs("nio-server: \(error.words)\n\n\(help)\n", stderr)
            exit(2)
        } catch {
            fputs("nio-server: \(error)\n", stderr)
            exit(1)
        }
    }

    // [begin: nio]
    /// One event loop owns the splitter and every connection: all calls belong to its thread.
    static func run(_ settings: Settings) async throws {
        setvbuf(stdout, nil, _IOLBF, 0)
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let media = try await loop.submit { NIOLoopBound(try Media(settings, loop), eventLoop: loop) }.get()
        let events = try await NIOPipeBootstrap(group: loop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(EventHandler(media.value)) }
            }
            .takingOwnershipOfDescriptor(input: loop.submit { dup(media.value.splitter.eventDescriptor) }.get()).get()
        let listener = try await ServerBootstrap(group: loop)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Connection(media.value, channel)) }
            }
            .bind(host: settings.host, port: settings.port).get()
        let port = try await loop.submit { media.value.mediaPort }.get()
        print("listening on \(listener.localAddress.map { "\($0)" } ?? "?"), media on port \(port)")
        try await interruption()
        try await listener.close()
        try await loop.flatSubmit { media.value.stop() }.get()
        try await events.close()
    }
    // [end: nio]

    /// Waits for SIGINT or SIGTERM.
    private static func interruption() async throws {
        signal(SIGINT) { _ in isInterrupted = 1 }
        signal(SIGTERM) { _ in isInterrupted = 1 }
        while isInterrupted == 0 { try await Task.sleep(for: .milliseconds(100)) }
    }
}

/// Written by a signal handler alone.
nonisolated(unsafe) private var isInterrupted: sig_atomic_t = 0

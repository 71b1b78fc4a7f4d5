import Glibc
import Logging
import NIOCore
import NIOPosix
import PlaneLink
import Testing

@testable import ControlPlane

/// What a stream costs that nobody reads: counted in wake-ups of the event loop's own thread.
@Suite struct IdleTests {
    private static let streams = 1_000

    /// Lives on the loop.
    private final class Kept: @unchecked Sendable {
        var things: [AnyObject] = []
        var memory: StreamMemory?
    }

    /// How often the loop's thread went to sleep in about a second, with what `make` made and keeps.
    private func sleeps(_ make: @escaping @Sendable (EnginePort, Kept) -> Void) throws -> Int {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        defer { try? group.syncShutdownGracefully() }
        let loop = group.next()
        let kept = Kept()
        let thread = try loop.submit {
            let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            let port = EnginePort(engine: RecordingEngine(), eventLoop: loop, logger: logger)
            kept.things.append(port)
            make(port, kept)
            return try Self.thread()
        }.wait()
        // What it has to do at first it does in its own time.
        var before = try Self.switches(thread), isAtRest = false
        for _ in 0..<50 where !isAtRest {
            usleep(200_000)
            let now = try Self.switches(thread)
            isAtRest = now == before
            before = now
        }
        let began = Uptime.now
        usleep(1_100_000)
        let after = try Self.switches(thread), elapsed = Uptime.now - began
        try loop.submit {
            kept.things = []
            kept.memory?.free()
        }.wait()
        // A busy machine may have let it sleep for longer.
        return Int((Double(after - before) * 1.1e9 / Double(elapsed)).rounded(.up))
    }

    /// The thread that runs this, as a folder of `/proc`.
    private static func thread() throws -> String {
        var bytes = [CChar](repeating: 0, count: 256)
        let count = unsafe readlink("/proc/thread-self", &bytes, bytes.count)
        try #require(count > 0)
        return "/proc/" + String(decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func switches(_ thread: String) throws -> Int {
        let text = try #require(try? FileBytes.read("\(thread)/status", bytesMax: 64 << 10))
        let line = try #require(String(decoding: text, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix("voluntary_ctxt") })
        return try #require(Int(line.split(separator: "\t").last ?? ""))
    }

    @Test func aThousandPathsAtRestDoNotWakeTheLoop() throws {
        let sleeps = try sleeps { port, kept in
            let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            let ports = MediaPorts(range: nil)
            for number in 0..<Self.streams {
                var settings = PathSettings(name: "path\(number)", source: .publish)
                settings.lingerMilliseconds = 0
                let path = Path(settings: settings, port: port, mediaPorts: ports, logger: logger)
                path.start(source: nil)
                // Somebody was here.
                path.readerArrived()
                path.readerLeft()
                kept.things.append(path)
            }
        }
        #expect(sleeps == 0)
    }

    @Test func aThousandSourcesThatNobodyReadsShareOneTimer() throws {
        let sdp = try Descriptions.description()
        let sleeps = try sleeps { port, kept in
            let memory = StreamMemory(sizing: StreamSizing(bitRate: 0, windowMilliseconds: 0))
            kept.memory = memory
            let description = StreamDescription(
                sdp: sdp, tracks: [], map: TrackMap([]), leftOut: [], canonicalName: "", stream: StreamHandle(index: 0, generation: 1),
                counters: memory.counters,
                version: 1)
            for _ in 0..<Self.streams {
                let watch = MediaWatch(port, silenceMilliseconds: 10_000, firstMilliseconds: nil)
                watch.start(description) { _ in }
                kept.things.append(watch)
            }
        }
        #expect((1...6).contains(sleeps), "\(sleeps) times in a second")
    }
}

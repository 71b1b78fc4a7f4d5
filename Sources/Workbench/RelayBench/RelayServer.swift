import CSinks
import Foundation
import Glibc
import Synchronization
import WireFormats

/// A whole Weir in a process of its own, with media that this process makes: what `bench relay` measures.
///
/// It serves `/wm`, a broadcast of Windows Media, `/vod`, the same on demand, and `/rtp`, RTP of the same bit rate at 30 frames a second.
final class RelayServer {
    let process: Int32
    let port: UInt16
    let onDemandFile: String
    private let folder: URL
    private let input: Int32
    private let feed: RTPFeed

    /// Seconds that it may take to listen.
    private static let patience = 15.0

    init(bitRate: Int, packetBytes: Int, onDemandSeconds: Int, keptFile: String? = nil, arguments: [String]) throws {
        guard let live = TestASF(seconds: 20, bitRate: bitRate, packetBytes: packetBytes) else {
            throw WorkbenchError("no packet of \(packetBytes) bytes can be made")
        }
        folder = FileManager.default.temporaryDirectory.appending(path: "weir-bench-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try Data(live.file).write(to: folder.appending(path: "live.asf"))
        onDemandFile = folder.appending(path: "vod.asf").path
        try TestASF.write(to: onDemandFile, seconds: onDemandSeconds, bitRate: bitRate, packetBytes: packetBytes)
        if let keptFile {
            try? FileManager.default.removeItem(atPath: keptFile)
            // The same file where that can be: it may be large.
            do { try FileManager.default.linkItem(atPath: onDemandFile, toPath: keptFile) } catch {
                try FileManager.default.copyItem(atPath: onDemandFile, toPath: keptFile)
            }
        }
        let media = try Self.freePort(step: 2)
        port = try Self.freePort(step: 1)
        try Data(RTPFeed.description(port: media).utf8).write(to: folder.appending(path: "rtp.sdp"))
        let configuration = """
            listen: 127.0.0.1:\(port)
            paths:
              wm:
                source: \(folder.path)/live.asf
                broadcast: true
              vod:
                source: \(folder.path)/vod.asf
              rtp:
                source: rtp://127.0.0.1:\(media)?sdp=\(folder.path)/rtp.sdp

            """
        let file = folder.appending(path: "weir.yml")
        try Data(configuration.utf8).write(to: file)
        feed = try RTPFeed(port: media, bitRate: bitRate)
        let words = ["weir", "serve", "--config", file.path, "--log-level", "warning"] + arguments
        var list = unsafe words.map { unsafe strdup($0) } + [nil]
        defer { for index in unsafe list.indices { unsafe free(list[index]) } }
        var input: Int32 = -1
        var output: Int32 = -1
        process = try kernel("cannot start the relay", unsafe csinks_spawn_self(&list, &input, &output))
        self.input = input
        Self.drain(output)
    }

    /// Has the kernel forget what it keeps of the file on demand, so that it comes from the disk again.
    func forgetOnDemand() throws(WorkbenchError) {
        let file = try Descriptor(kernel("cannot open \(onDemandFile)", unsafe open(onDemandFile, O_RDONLY | O_CLOEXEC)))
        // What is not on the disk yet is kept.
        _ = try kernel("cannot write \(onDemandFile) out", fdatasync(file.number))
        guard posix_fadvise(file.number, 0, 0, CInt(POSIX_FADV_DONTNEED)) == 0 else {
            throw WorkbenchError("the kernel keeps \(onDemandFile) in memory")
        }
    }

    /// Bytes that it has had from disks so far.
    var diskBytes: UInt64 {
        let text = (try? String(contentsOfFile: "/proc/\(process)/io", encoding: .utf8)) ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("read_bytes:") }
        return line.flatMap { UInt64($0.dropFirst(11).trimmingCharacters(in: .whitespaces)) } ?? 0
    }

    /// Waits until it listens.
    func waitUntilListening() throws {
        let limit = monotonicNanoseconds() + UInt64(Self.patience * 1e9)
        let endpoint = try Endpoint(host: "127.0.0.1", port: port)
        while monotonicNanoseconds() < limit {
            try Interruption.check()
            let connection = try ReaderConnection(to: endpoint, timestamps: false)
            csinks_sleep_ns(50_000_000)
            if (try? connection.finishConnecting()) != nil { return }
        }
        throw WorkbenchError("the relay does not listen within \(Self.patience) s")
    }

    /// Ends it in order, and takes its files away.
    func stop() {
        feed.stop()
        kill(process, SIGINT)
        _ = csinks_wait(process)
        close(input)
        try? FileManager.default.removeItem(at: folder)
    }

    /// A port that nobody had a moment ago.
    private static func freePort(step: UInt16) throws -> UInt16 {
        for _ in 0..<64 {
            let port = try DatagramSocket(at: Endpoint(host: "127.0.0.1", port: 0)).port
            if port % step == 0 { return port }
        }
        throw WorkbenchError("no even port is free")
    }

    /// Throws away what the relay prints: a full pipe would hold it up.
    private static func drain(_ output: Int32) {
        Thread.detachNewThread {
            var chunk = [UInt8](repeating: 0, count: 4_096)
            while true {
                let count = unsafe Glibc.read(output, &chunk, chunk.count)
                if count <= 0, !(count < 0 && errno == EINTR) { break }
            }
            close(output)
        }
    }
}

/// RTP at 30 frames a second to a port of this machine, from a thread of its own: an H.264 stream by its NAL units' types, a key frame a second.
final class RTPFeed: Sendable {
    private let isStopped = Atomic<Bool>(false)

    static func description(port: UInt16) -> String {
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=bench\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video \(port) RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    }

    init(port: UInt16, bitRate: Int) throws {
        let sender = try DatagramSender(like: Endpoint(host: "127.0.0.1", port: port))
        let frameBytes = max(bitRate / 8 / 30, 64)
        let packets = (frameBytes + 1_399) / 1_400
        let payloadBytes = max(frameBytes / packets - RTPHeader.byteCountMin, 8)
        // The thread alone uses it from here on.
        nonisolated(unsafe) let confined = sender
        Thread.detachNewThread { [self] in
            let sender = unsafe confined
            var sequence: UInt16 = 0
            let start = monotonicNanoseconds()
            for frame in 0..<Int.max {
                if isStopped.load(ordering: .relaxed) { return }
                let type: UInt8 = frame.isMultiple(of: 30) ? 0x65 : 0x41
                for index in 0..<packets {
                    let header = RTPHeader(
                        payloadType: 96, marker: index == packets - 1, sequence: sequence,
                        timestamp: UInt32(truncatingIfNeeded: frame &* 3_000), ssrc: 0x5745_4952)
                    sequence &+= 1
                    let packet = header.packet(payload: [type] + [UInt8](repeating: 0x55, count: payloadBytes - 1))
                    // Nobody may listen yet.
                    try? sender.send(packet, segmentBytes: 65_000, toPort: port)
                }
                let due = start + UInt64(frame + 1) * 100_000_000 / 3
                let now = monotonicNanoseconds()
                if due > now { csinks_sleep_ns(due - now) }
            }
        }
    }

    func stop() { isStopped.store(true, ordering: .relaxed) }
}

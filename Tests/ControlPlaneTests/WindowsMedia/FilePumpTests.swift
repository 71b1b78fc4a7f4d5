import Glibc
import NIOCore
import NIOPosix
import Signalling
import Testing

@testable import ControlPlane

struct FilePumpTests {
    /// A pump of the smallest file on a loop of its own; its player takes no more behind the first flush that gave it something.
    private final class Bench: @unchecked Sendable {
        let file: SmallASF.File
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop: any EventLoop
        private var pump: FilePump?
        private var written: [UInt32] = []
        private var takesMore = true
        private var end: PumpEnd?

        init() throws {
            file = try SmallASF.File()
            loop = group.next()
        }

        func start() throws {
            try loop.submit { [self] in
                let asf = try WindowsMediaFile.open(file.name)
                let pump = FilePump(
                    plan: FilePump.Plan(file: asf, selection: WMSPSelection(whole: asf.header.streamNumbers), packets: 0..<asf.packetCount),
                    eventLoop: loop)
                self.pump = pump
                pump.write = { [weak self] _, number in
                    self?.written.append(number)
                    self?.takesMore = false
                }
                pump.flush = { [weak self] in self?.takesMore ?? false }
                pump.onEnd = { [weak self] in self?.end = $0 }
                pump.start()
            }.wait()
        }

        func resume() throws {
            try loop.submit { [self] in
                takesMore = true
                pump?.resume()
            }.wait()
        }

        /// What was written once it is so many packets, and so many milliseconds later, and whether that was all.
        func after(packets: Int, milliseconds: Int64) throws -> (written: [UInt32], end: PumpEnd?) {
            for _ in 0..<1_000 where try loop.submit({ [self] in written.count < packets }).wait() { usleep(5_000) }
            return try loop.scheduleTask(in: .milliseconds(milliseconds)) { [self] in (written, end) }.futureResult.wait()
        }

        func stop() throws {
            try loop.submit { [self] in
                pump?.stop()
                pump = nil
            }.wait()
            try group.syncShutdownGracefully()
        }
    }

    @Test("A player that takes no more is sent nothing until it does, at whatever pace the file goes")
    func waits() throws {
        let bench = try Bench()
        try bench.start()
        // The second packet is due after 100 ms.
        let held = try bench.after(packets: 1, milliseconds: 400)
        #expect(held.written == [0] && held.end == nil)
        try bench.resume()
        let done = try bench.after(packets: 2, milliseconds: 200)
        #expect(done.written == [0, 1] && done.end == .done)
        try bench.stop()
    }
}

import Foundation
import Logging
import NIOCore
import NIOPosix
import Testing

@testable import ControlPlane

struct CacheDeskTests {
    @Test func callsRunBesideTheLoopAndUpkeepByItself() async throws {
        let fixture = try CacheFixture()
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let store = try fixture.open()
        let desk = try await loop.submit { CacheDesk(store: store, eventLoop: loop, logger: Logger(label: "test")) }.get()
        try await desk.writing { store in
            #expect(!loop.inEventLoop)
            _ = try CacheFixture.fill(store, "a")
        }.get()
        let bytes = try await desk.reading { store in try store.open("a")?.read(3..<5) }.get()
        #expect(bytes == CacheFixture.units("a", 3..<5))
        await #expect(throws: CacheTrouble.self) {
            try await desk.reading { store in try store.open("a")?.read(200..<201) }.get()
        }
        // What another process asks for is done by the upkeep, within a second or so.
        try await loop.submit { desk.start() }.get()
        let view = try CacheView(fixture.directory)
        let number = try view.ask(view.records(), because: .purged)
        let end = ContinuousClock.now + .seconds(20)
        while try !view.isDone(number), ContinuousClock.now < end { try await Task.sleep(for: .milliseconds(20)) }
        #expect(try view.isDone(number) && view.records() == [])
        try await loop.submit { desk.stop() }.get().get()
        #expect(CacheLock.owner(fixture.directory) == nil)
        await #expect(throws: (any Error).self) { try await desk.reading { _ in 1 }.get() }
        try await group.shutdownGracefully()
    }
}

import NIOPosix
import Testing

@testable import ControlPlane

/// What other threads hand to an event loop that ends.
@Suite struct LoopDoorTests {
    @Test func whatWasLetInIsDoneAndNothingElseIs() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let door = LoopDoor(group.next())
        let done = Locked(0), refused = Locked(0)
        await withTaskGroup(of: Void.self) { tasks in
            for _ in 0..<4 {
                tasks.addTask {
                    for _ in 0..<2_000 {
                        if !door.post({ done.withLockedValue { $0 += 1 } }) { refused.withLockedValue { $0 += 1 } }
                        await Task.yield()
                    }
                }
            }
            tasks.addTask {
                try? await Task.sleep(for: .milliseconds(2))
                door.shut()
                try? await group.shutdownGracefully()
            }
        }
        #expect(done.withLockedValue { $0 } + refused.withLockedValue { $0 } == 8_000)
        #expect(door.submit { 1 } == nil && door.flatSubmit { group.next().makeSucceededFuture(1) } == nil)
    }

    @Test func whileItIsOpenTheLoopAnswers() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let door = LoopDoor(group.next())
        #expect(try await door.submit { 7 }?.get() == 7)
        #expect(try await door.flatSubmit { group.next().makeSucceededFuture(8) }?.get() == 8)
        door.shut()
        try await group.shutdownGracefully()
    }
}

import Glibc
import Testing

@testable import ControlPlane

/// What is due is released to the engine; the engine is one that a test plays.
struct StoredPumpTests {
    @Test("A player that takes nothing is let alone until it was sent half of what was released")
    func waitsForRoom() throws {
        let rig = try FilmRig()
        try rig.start()
        try rig.eventually("the pump waits for room") { $0.pump?.awaitsRoom == true }
        // 512 KiB of packets of 128 bytes, and a block.
        let released = try rig.run { $0.engine.released }
        #expect((4_096...4_300).contains(released))
        #expect(try rig.run { $0.files?.ticks.isIdle } == true, "nobody looks at it in between")
        try rig.run { $0.engine.take(to: 1_000) }
        #expect(try rig.run { $0.pump?.awaitsRoom } == true)
        try rig.run { $0.engine.take(to: released - 2_000) }
        try rig.eventually("more is released") { $0.engine.released > released && $0.pump?.awaitsRoom == true }
        try rig.run { $0.engine.take(to: 15_000) }
        try rig.eventually("all is released") { $0.engine.released == 15_000 }
        try rig.run { $0.engine.take(to: 15_000) }
        try rig.eventually("it is over") { $0.end == .done }
        try rig.stop()
    }

    @Test("A play that the engine had no room for is offered again until it has")
    func offersAgain() throws {
        let rig = try FilmRig()
        try rig.run { $0.engine.refusesReaders = true }
        try rig.start(isFast: false)
        try rig.eventually("the engine refused it") { $0.files?.refused == 1 }
        #expect(try rig.run { $0.pump?.isStored } == false)
        try rig.run { $0.engine.refusesReaders = false }
        try rig.eventually("the engine has it") { $0.pump?.isStored == true }
        #expect(try rig.run { $0.files?.takenLater } == 1)
        #expect(try rig.run { $0.files?.refused } == 1, "a play is counted once")
        try rig.stop()
    }

    @Test("A file whose disk does not answer ends with these words")
    func overdue() throws {
        let rig = try FilmRig()
        try rig.start()
        try rig.eventually("the pump waits for room") { $0.pump?.awaitsRoom == true }
        try rig.run { rig in
            if let reader = rig.engine.reader { rig.engine.report(.storedEnded(reader, packet: 17, errorNumber: ETIMEDOUT)) }
        }
        try rig.eventually("it is over") { $0.end != nil }
        guard case .failed(let words)? = try rig.run({ $0.end }) else { throw WindowsMediaFile.Trouble(description: "no failure") }
        #expect(words.hasSuffix("at packet 17: what it lies on has not answered for 30 s"))
        try rig.stop()
    }
}

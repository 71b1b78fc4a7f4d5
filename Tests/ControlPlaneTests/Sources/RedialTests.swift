import NIOCore
import NIOEmbedded
import Signalling
import Testing
import WireFormats

@testable import ControlPlane

/// Serialized: an embedded loop belongs to one thread.
@Suite(.serialized) struct RedialTests {
    private final class Host: PathSourceHost {
        var isAwaited = false
        func sourceDescribed(_ sdp: SessionDescription) throws -> StreamDescription { throw PathError.readOnly }
        func standbyDescribed(_ sdp: SessionDescription) throws -> StreamDescription? { nil }
        func mediaBegins() {}
        func sourcePlays() {}
        func sourceFailed(_ words: String) {}
        func sourceDropped(_ datagrams: UInt64) {}
        func sourceReleased() {}
    }

    private final class Rig {
        let loop = EmbeddedEventLoop()
        let host = Host()
        let redial: Redial
        private(set) var dials = 0
        private var delay: UInt64 = 0

        init() {
            // Every delay is its whole step.
            redial = Redial(loop, host: host, chance: { 1 })
            redial.onDue = { [unowned self] in dials += 1 }
        }

        /// The source fails so often in a row, each time after its delay; answers with the delay that runs then, in milliseconds.
        func fail(_ times: Int) -> Int64 {
            for _ in 0..<times {
                if redial.isWaiting { advance(Int64(delay / 1_000_000)) }
                redial.dialled()
                delay = redial.failed()
                redial.wait(nanoseconds: delay)
            }
            return Int64(delay / 1_000_000)
        }

        func advance(_ milliseconds: Int64) { loop.advanceTime(by: .milliseconds(milliseconds)) }
    }

    @Test("Delays grow to a ceiling, and success begins anew")
    func grows() {
        let rig = Rig()
        #expect(rig.fail(1) == 1_000)
        #expect(rig.fail(2) == 4_000)
        #expect(rig.fail(6) == 30_000)
        #expect(rig.dials == 8 && rig.redial.isWaiting)
        rig.redial.succeeded()
        #expect(rig.fail(1) == 1_000)
    }

    @Test("Whoever comes while a long delay runs waits for two seconds after the last attempt at most")
    func hurries() {
        let rig = Rig()
        #expect(rig.fail(7) == 30_000)
        let before = rig.dials
        rig.redial.hurry()
        rig.advance(500)
        #expect(rig.dials == before, "nobody waits")
        rig.host.isAwaited = true
        rig.redial.hurry()
        rig.advance(1_499)
        #expect(rig.dials == before)
        rig.advance(1)
        #expect(rig.dials == before + 1 && !rig.redial.isWaiting && rig.redial.next == nil)
        #expect(rig.fail(1) == 2_000, "and so it goes on while somebody waits")
    }

    @Test("One who comes late is dialled for at once, and a short delay is not made longer")
    func comesLate() {
        let rig = Rig()
        #expect(rig.fail(7) == 30_000)
        rig.host.isAwaited = true
        rig.advance(10_000)
        let before = rig.dials
        rig.redial.hurry()
        rig.advance(0)
        #expect(rig.dials == before + 1)
        let other = Rig()
        #expect(other.fail(1) == 1_000)
        other.host.isAwaited = true
        other.redial.hurry()
        other.advance(1_000)
        #expect(other.dials == 1)
    }

    @Test("Stopped, nothing follows")
    func stops() {
        let rig = Rig()
        _ = rig.fail(1)
        rig.redial.stop()
        rig.advance(60_000)
        #expect(rig.dials == 0 && !rig.redial.isWaiting)
        rig.redial.reset()
        #expect(rig.fail(1) == 1_000)
    }
}

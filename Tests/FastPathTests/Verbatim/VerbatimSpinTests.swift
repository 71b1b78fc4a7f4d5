import Glibc
import PlaneLink
import Testing

@testable import FastPath

/// Readers of a verbatim stream that come, pause, stop reading, are told things and go, as a seed has it. Whatever happens, each is sent whole
/// packets in order, and words at their places.
@Suite(.serialized) struct VerbatimSpinTests {
    /// One reader as the test drives it.
    private final class Guest {
        let handle: SubscriberHandle
        let far: VerbatimReader
        /// Words that it was sent, in order: before which packet each goes, if it has a place.
        var words: [(number: Int, place: Int?)] = []
        var isPlaying = false
        var hasPaused = false
        var takesLittle = false
        var isLeaving = false

        init(_ handle: SubscriberHandle, _ far: VerbatimReader) {
            self.handle = handle
            self.far = far
        }
    }

    @Test(
        "Whatever readers do, packets stay whole and in order and words at their places", arguments: EngineShape.all, [1, 2, 3] as [UInt64])
    func spin(shape: EngineShape, seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        var policy = StreamPolicy()
        policy.pacing = .off
        if seed == 2 { policy.overload = .dropOldest }
        if seed == 3 { policy.collectNanoseconds = 3_000_000 }
        let bench = try Bench(
            shape, sizing: StreamSizing(bitRate: 8_000_000, windowMilliseconds: 1_000), policy: policy, isVerbatim: true)
        let source = bench.addFed()
        var guests: [Guest] = []
        var fed = 0
        var slot: UInt32 = 0
        for _ in 0..<400 {
            switch random.below(12) {
            case 0...4:
                let count = 1 + random.below(12)
                let size = [40, 700, 3_200, 12_000][random.below(4)]
                let start = random.below(3) == 0 ? [fed + random.below(count)] as Set<Int> : []
                bench.feed(source, numbers: fed..<fed + count, starts: start) { size + $0 % 100 }
                fed += count
            case 5 where guests.count < 40:
                let isSmall = random.below(3) == 0
                let one = bench.addVerbatim(
                    slot, chunked: random.below(2) == 0, now: random.below(2) == 0, sendBuffer: isSmall ? 8_192 : nil,
                    receiveBuffer: isSmall ? 65_536 : nil)
                slot += 1
                guests.append(Guest(one.handle, one.reader))
            case 6, 7:
                guard let guest = pick(guests, &random) else { break }
                let place = random.below(4) == 0 ? nil : fed + random.below(20)
                let number = guest.words.count + 1
                guest.words.append((number, place))
                let buffer = LinkBuffer(control(number))
                bench.submit(place.map { .sendBefore(guest.handle, buffer, packet: UInt32($0)) } ?? .send(guest.handle, buffer))
            case 8:
                guard let guest = pick(guests, &random), guest.isPlaying, random.below(4) == 0 else { break }
                guest.isPlaying = false
                guest.hasPaused = true
                bench.submit(.pause(guest.handle))
                bench.submit(.arm(guest.handle, now: random.below(2) == 0))
            case 9:
                guard let guest = pick(guests, &random) else { break }
                guest.takesLittle.toggle()
            case 10:
                guard let guest = pick(guests, &random), random.below(5) == 0 else { break }
                guest.isLeaving = true
                bench.submit(.removeSubscriber(guest.handle))
            default: usleep(UInt32(random.below(3_000)))
            }
            while case .joined(let handle, _)? = bench.wait(milliseconds: 0, for: { if case .joined = $0 { true } else { false } }) {
                guard let guest = guests.first(where: { $0.handle == handle }), !guest.isLeaving else { continue }
                guest.isPlaying = true
                bench.submit(.go(handle))
            }
            for guest in guests where !guest.takesLittle { guest.far.read() }
        }
        // Those who are left take everything.
        let end = monotonicNanoseconds() + 400_000_000
        while monotonicNanoseconds() < end { for guest in guests { guest.far.read(milliseconds: 1) } }
        for (index, guest) in guests.enumerated() { check(guest, "reader \(index)") }
        #expect(bench.engine.counters[.datagramsMalformed] == 0)
        #expect(bench.stop() == 0)
    }

    private func pick(_ guests: [Guest], _ random: inout SplitMix64) -> Guest? {
        let there = guests.filter { !$0.isLeaving }
        return there.isEmpty ? nil : there[random.below(there.count)]
    }

    private func check(_ guest: Guest, _ name: String) {
        // Who waits behind somebody waits with him.
        var places: [Int?] = []
        var latest = 0
        for word in guest.words {
            latest = max(latest, word.place ?? 0)
            places.append(word.place == nil ? nil : latest)
        }
        // Words that a pause or the end let go have no place any more.
        let isStrict = !guest.hasPaused && !guest.isLeaving
        var last = -1
        var told = 0
        for element in guest.far.elements {
            switch element {
            case .packet(let number):
                #expect(number > last, "\(name): packet \(number) behind \(last)")
                last = number
                if isStrict, told < places.count, let place = places[told], place <= number {
                    Issue.record("\(name): packet \(number) before what goes before \(place)")
                }
            case .control(let number):
                told += 1
                guard number == told, told <= places.count else {
                    Issue.record("\(name): word \(number) for word \(told)")
                    return
                }
                if isStrict, let place = places[told - 1], last >= place {
                    Issue.record("\(name): word \(number) behind packet \(last) and not before \(place)")
                }
            case .wrong(let what): Issue.record("\(name): \(what)")
            }
        }
    }
}

import Testing
import WireFormats

@testable import Signalling

/// What waits to be told to origins: order, back-off, bounds.
@Suite struct OriginNoticeQueueTests {
    private static func notice(_ url: String, _ kind: RemoteEvent.Kind = .open) -> OriginNotice {
        OriginNotice(url: url, event: RemoteEvent(kind: kind), agent: "NSPlayer/9.0")
    }

    /// Which notices are to be told, by their numbers.
    private func told(_ actions: [OriginNoticeQueue.Action]) -> [Int64] {
        actions.compactMap { (action) -> Int64? in if case .deliver(let number, _) = action { number } else { nil } }
    }

    private func forgotten(_ actions: [OriginNoticeQueue.Action]) -> [Int64] {
        actions.flatMap { (action) -> [Int64] in if case .forget(let numbers) = action { numbers } else { [] } }
    }

    @Test(
        arguments: [
            ("mmsh://Origin.Example/a/b?c", "mmsh://origin.example"), ("rtsp://o:8554/x", "rtsp://o:8554"),
            ("rtsp://[::1]:8554", "rtsp://[::1]:8554"),
            ("mmsh://o?q=/", "mmsh://o"), ("nonsense", "nonsense"),
        ])
    func noticesOfOnePlace(url: String, place: String) { #expect(Self.notice(url).place == place) }

    @Test func oneAfterTheOtherForEachPlace() {
        var queue = OriginNoticeQueue()
        let first = queue.add(Self.notice("mmsh://a/1"), now: 0, unixSeconds: 100)
        #expect(first.first == .keep(.init(number: 1, notice: Self.notice("mmsh://a/1"), unixSeconds: 100)) && told(first) == [1])
        #expect(told(queue.add(Self.notice("mmsh://a/2", .close), now: 0, unixSeconds: 100)) == [])
        // Another place does not wait for this one.
        #expect(told(queue.add(Self.notice("mmsh://b/1"), now: 0, unixSeconds: 100)) == [3])
        let next = queue.answered(1, .taken, now: 5)
        #expect(forgotten(next) == [1] && told(next) == [2])
        #expect(told(queue.answered(3, .refused("404"), now: 5)) == [] && queue.counters.refused == 1)
        #expect(told(queue.answered(2, .taken, now: 5)) == [] && queue.count == 0 && queue.byteCount == 0 && queue.deadline == nil)
        // An answer that nobody waits for changes nothing.
        #expect(queue.answered(2, .taken, now: 6) == [] && queue.counters.delivered == 2)
    }

    @Test func aPlaceThatIsAwayIsTriedAgainLaterAndLater() {
        var queue = OriginNoticeQueue()
        _ = queue.add(Self.notice("mmsh://a/1"), now: 0, unixSeconds: 0)
        _ = queue.add(Self.notice("mmsh://a/2"), now: 0, unixSeconds: 0)
        var now: UInt64 = 0
        var waits: [UInt64] = []
        for _ in 0..<12 {
            #expect(told(queue.answered(1, .away("refused"), now: now)) == [] && queue.trouble == "refused")
            guard let due = queue.deadline else { return #expect(Bool(false), "nothing is tried again") }
            waits.append(due - now)
            #expect(told(queue.timeElapsed(now: due - 1, unixSeconds: 0)) == [])
            now = due
            // Always the same one first: nothing overtakes.
            #expect(told(queue.timeElapsed(now: now, unixSeconds: 0)) == [1])
        }
        #expect(waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300].map { $0 * 1_000 })
        #expect(told(queue.answered(1, .taken, now: now)) == [2] && queue.trouble == nil && queue.placesAway == 0)
        #expect(queue.counters.attemptsFailed == 12)
    }

    @Test func thereIsRoomForSoMany() {
        var settings = OriginNoticeQueue.Settings()
        settings.countMax = 6
        settings.countPerPlaceMax = 4
        var queue = OriginNoticeQueue(settings: settings)
        var gone: [Int64] = []
        for index in 1...6 { gone += forgotten(queue.add(Self.notice("mmsh://a/\(index)"), now: 0, unixSeconds: 0)) }
        // The first is being told; of the others the oldest go.
        #expect(gone == [2, 3] && queue.count == 4)
        gone = []
        for index in 1...3 { gone += forgotten(queue.add(Self.notice("mmsh://b/\(index)"), now: 0, unixSeconds: 0)) }
        #expect(gone == [4] && queue.count == 6 && queue.counters.overflowed == 3)
        // By bytes, too: what is being told stays whatever it takes.
        settings.bytesMax = 1
        queue = OriginNoticeQueue(settings: settings)
        _ = queue.add(Self.notice("mmsh://a/1"), now: 0, unixSeconds: 0)
        #expect(queue.count == 0 || queue.count == 1)
        #expect(forgotten(queue.add(Self.notice("mmsh://a/2"), now: 0, unixSeconds: 0)).contains(2))
    }

    @Test func whatIsTooOldIsNotTold() {
        var queue = OriginNoticeQueue()
        _ = queue.add(Self.notice("mmsh://a/1"), now: 0, unixSeconds: 1_000)
        _ = queue.add(Self.notice("mmsh://a/2"), now: 0, unixSeconds: 1_000)
        _ = queue.add(Self.notice("mmsh://a/3"), now: 0, unixSeconds: 1_002)
        let later = 1_001 + queue.settings.ageSecondsMax
        // The first is being told just now.
        #expect(forgotten(queue.timeElapsed(now: 1, unixSeconds: later)) == [2])
        _ = queue.answered(1, .away("x"), now: 1)
        #expect(forgotten(queue.timeElapsed(now: 2, unixSeconds: later)) == [1] && queue.counters.expired == 2)
    }

    @Test func whatAnEarlierRunLeftComesFirst() {
        var queue = OriginNoticeQueue()
        let left = [7, 5, 0, -3].map { OriginNoticeQueue.Entry(number: $0, notice: Self.notice("mmsh://a/\($0)"), unixSeconds: 10) }
        #expect(told(queue.restore(left, now: 0, unixSeconds: 20)) == [5] && queue.count == 2 && queue.counters.restored == 2)
        let made = queue.add(Self.notice("mmsh://a/new"), now: 0, unixSeconds: 20)
        #expect(made.first == .keep(.init(number: 8, notice: Self.notice("mmsh://a/new"), unixSeconds: 20)))
        #expect(told(queue.answered(5, .taken, now: 0)) == [7] && told(queue.answered(7, .taken, now: 0)) == [8])
    }

    /// Whatever happens in whatever order: at most one at a time for each place, in order, and the sums are right.
    @Test(arguments: 0..<20) func whateverHappens(seed: Int) {
        var random = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 &+ 1
        func next(_ bound: UInt64) -> UInt64 {
            random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (random >> 33) % bound
        }
        var settings = OriginNoticeQueue.Settings()
        settings.countMax = 12
        settings.countPerPlaceMax = 5
        settings.ageSecondsMax = 50
        var queue = OriginNoticeQueue(settings: settings)
        var kept: Set<Int64> = [], underWay: [Int64: String] = [:], last: [String: Int64] = [:]
        var now: UInt64 = 0
        func take(_ actions: [OriginNoticeQueue.Action]) {
            for action in actions {
                switch action {
                case .keep(let entry): kept.insert(entry.number)
                case .forget(let numbers): kept.subtract(numbers)
                case .deliver(let number, let notice):
                    #expect(!underWay.values.contains(notice.place) && last[notice.place, default: 0] <= number)
                    underWay[number] = notice.place
                    last[notice.place] = number
                }
            }
        }
        for _ in 0..<400 {
            switch next(4) {
            case 0, 1: take(queue.add(Self.notice("mmsh://\(["a", "b", "c"][Int(next(3))])/x"), now: now, unixSeconds: Int64(now / 1_000)))
            case 2:
                guard let number = underWay.keys.sorted().dropFirst(Int(next(3))).first else { continue }
                underWay[number] = nil
                take(queue.answered(number, [.taken, .refused("no"), .away("gone")][Int(next(3))], now: now))
            default:
                now += next(20_000)
                take(queue.timeElapsed(now: now, unixSeconds: Int64(now / 1_000)))
            }
            #expect(kept.count == queue.count && queue.count <= settings.countMax)
            let counters = queue.counters
            #expect(counters.made == counters.delivered + counters.refused + counters.overflowed + counters.expired + queue.count)
        }
    }
}

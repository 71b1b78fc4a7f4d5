/// Notices on their way to the origins that asked for them: one after the other for each place, in order, again with back-off while a place is
/// away, and no more of them than there is room for. Numbers and times come in, actions go out; `now` is monotonic, in milliseconds.
package struct OriginNoticeQueue: Sendable {
    /// What can be chosen.
    package struct Settings: Sendable, Equatable {
        /// Notices that wait in all. Beyond it the oldest of the place that has most goes.
        package var countMax = 4_096
        /// Notices that wait for one place.
        package var countPerPlaceMax = 2_048
        /// Bytes of all that wait.
        package var bytesMax = 16 << 20
        /// A notice that could not be told for so long is not told any more: seven days.
        package var ageSecondsMax: Int64 = 7 * 86_400
        /// A place that is away is tried again after so long, then twice as long, …
        package var waitMilliseconds: UInt64 = 1_000
        /// … but not longer.
        package var waitMillisecondsMax: UInt64 = 300_000

        /// The defaults.
        package init() {}
    }

    /// One that waits.
    package struct Entry: Sendable, Equatable {
        /// Grows from one to the next, over restarts too.
        package var number: Int64
        package var notice: OriginNotice
        /// When it was made, in seconds since 1970.
        package var unixSeconds: Int64

        /// A notice with its number.
        package init(number: Int64, notice: OriginNotice, unixSeconds: Int64) {
            self.number = number
            self.notice = notice
            self.unixSeconds = unixSeconds
        }
    }

    /// What became of notices, in numbers that only grow.
    package struct Counters: Sendable, Equatable {
        /// That were to be told.
        package var made = 0
        /// That origins took.
        package var delivered = 0
        /// That origins did not want.
        package var refused = 0
        /// Attempts at a place that was away.
        package var attemptsFailed = 0
        /// That there was no room for.
        package var overflowed = 0
        /// That waited too long.
        package var expired = 0
        /// That were found from an earlier run.
        package var restored = 0
    }

    /// What the owner has to do, in order.
    package enum Action: Sendable, Equatable {
        /// Write it down.
        case keep(Entry)
        /// Strike it out.
        case forget([Int64])
        /// Tell it, and call ``OriginNoticeQueue/answered(_:_:now:)`` once.
        case deliver(Int64, OriginNotice)
    }

    private struct Place {
        var entries: [Entry] = []
        /// The first one is being told.
        var isBusy = false
        var failures = 0
        var due: UInt64 = 0
    }

    /// As it was given.
    package let settings: Settings
    private var places: [String: Place] = [:]
    /// Which place a notice that is being told is of.
    private var underWay: [Int64: String] = [:]
    private var next: Int64 = 1
    /// Bytes of all that wait.
    package private(set) var byteCount = 0
    /// How many wait.
    package private(set) var count = 0
    /// What became of others.
    package private(set) var counters = Counters()
    /// What was wrong last at a place that is away; nil when all go.
    package private(set) var trouble: String?

    /// Nothing waits.
    package init(settings: Settings = Settings()) { self.settings = settings }

    /// Places that are away.
    package var placesAway: Int { places.values.count { $0.failures > 0 } }
    /// Whether something waits for a place.
    package func waits(for place: String) -> Bool { places[place]?.entries.isEmpty == false }

    /// When ``timeElapsed(now:unixSeconds:)`` is to be called; nil: nothing waits for time.
    package var deadline: UInt64? { places.values.lazy.filter { !$0.isBusy && !$0.entries.isEmpty }.map(\.due).min() }

    /// One more.
    package mutating func add(_ notice: OriginNotice, now: UInt64, unixSeconds: Int64) -> [Action] {
        counters.made += 1
        let entry = Entry(number: next, notice: notice, unixSeconds: unixSeconds)
        next += 1
        var actions = [Action.keep(entry)]
        take(entry)
        actions += makeRoom(in: notice.place)
        return actions + begin(notice.place, now: now)
    }

    /// What was kept by an earlier run, before anything else.
    package mutating func restore(_ entries: [Entry], now: UInt64, unixSeconds: Int64) -> [Action] {
        for entry in entries.sorted(by: { $0.number < $1.number }) where entry.number > 0 && entry.number < Int64.max / 2 {
            next = max(next, entry.number + 1)
            counters.restored += 1
            var entry = entry
            // A damaged index says anything.
            entry.unixSeconds = max(entry.unixSeconds, 0)
            take(entry)
        }
        var actions: [Action] = []
        for place in places.keys.sorted() {
            // What was made meanwhile has its turn behind what was there.
            if places[place]?.isBusy == false { places[place]?.entries.sort { $0.number < $1.number } }
            actions += makeRoom(in: place)
        }
        return actions + timeElapsed(now: now, unixSeconds: unixSeconds)
    }

    /// What became of one that was to be told.
    package mutating func answered(_ number: Int64, _ outcome: OriginNoticeOutcome, now: UInt64) -> [Action] {
        guard let name = underWay.removeValue(forKey: number), var place = places[name] else { return [] }
        place.isBusy = false
        var actions: [Action] = []
        switch outcome {
        case .taken, .refused:
            if case .taken = outcome { counters.delivered += 1 } else { counters.refused += 1 }
            place.failures = 0
            place.due = 0
            places[name] = place
            if let index = place.entries.firstIndex(where: { $0.number == number }) { strike(index, of: name) }
            actions.append(.forget([number]))
        case .away(let words):
            counters.attemptsFailed += 1
            trouble = words
            let wait = settings.waitMilliseconds &<< UInt64(min(place.failures, 20))
            place.due = now &+ min(wait, settings.waitMillisecondsMax)
            place.failures += 1
            places[name] = place
        }
        if placesAway == 0 { trouble = nil }
        return actions + begin(name, now: now)
    }

    /// Looks whose time has come, and whose is over.
    package mutating func timeElapsed(now: UInt64, unixSeconds: Int64) -> [Action] {
        var forgotten: [Int64] = []
        for name in places.keys.sorted() {
            let busy = places[name]?.isBusy == true ? places[name]?.entries.first?.number : nil
            let old = places[name]?.entries.filter { unixSeconds - $0.unixSeconds > settings.ageSecondsMax && $0.number != busy } ?? []
            for entry in old {
                if let index = places[name]?.entries.firstIndex(where: { $0.number == entry.number }) { strike(index, of: name) }
                forgotten.append(entry.number)
                counters.expired += 1
            }
        }
        return (forgotten.isEmpty ? [] : [.forget(forgotten)]) + places.keys.sorted().flatMap { begin($0, now: now) }
    }

    // MARK: Places

    private mutating func take(_ entry: Entry) {
        places[entry.notice.place, default: Place()].entries.append(entry)
        count += 1
        byteCount += entry.notice.byteCount
    }

    private mutating func strike(_ index: Int, of name: String) {
        guard let entry = places[name]?.entries.remove(at: index) else { return }
        count -= 1
        byteCount -= entry.notice.byteCount
        if places[name]?.entries.isEmpty == true { places[name] = nil }
    }

    /// The oldest go that are not being told just now: what is newest says most of how it is.
    private mutating func makeRoom(in own: String) -> [Action] {
        var forgotten: [Int64] = []
        while true {
            let name: String?
            if places[own]?.entries.count ?? 0 > settings.countPerPlaceMax {
                name = own
            } else if count > settings.countMax || byteCount > settings.bytesMax {
                name = places.max { ($0.value.entries.count, $1.key) < ($1.value.entries.count, $0.key) }?.key
            } else {
                name = nil
            }
            guard let name, let place = places[name] else { break }
            let index = place.isBusy ? 1 : 0
            guard index < place.entries.count else { break }
            forgotten.append(place.entries[index].number)
            counters.overflowed += 1
            strike(index, of: name)
        }
        return forgotten.isEmpty ? [] : [.forget(forgotten)]
    }

    private mutating func begin(_ name: String, now: UInt64) -> [Action] {
        guard let place = places[name], !place.isBusy, place.due <= now, let first = place.entries.first else { return [] }
        places[name]?.isBusy = true
        underWay[first.number] = name
        return [.deliver(first.number, first.notice)]
    }
}

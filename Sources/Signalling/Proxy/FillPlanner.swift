/// Which plays at the origin an object that is being filled should have: made anew after each change, out of what there is alone.
///
/// A reader wants the first packet from his place on that is not here. Who is far from it needs nothing now. A session that will come to that
/// packet soon is waited for; else one that nobody needs any more is moved there; else one is started there, as long as there are fewer than
/// ``Limits/sessionsMax``; else one that nobody needs just now is moved; else the reader goes without, which is said. A session that has run into what is here already is moved to the next hole
/// that is wanted, or ended. So no two sessions bring the same packets, and none asks for what is here.
package struct FillPlanner: Sendable, Hashable {
    /// How much is done at once.
    package struct Limits: Sendable, Hashable {
        /// Sessions with the origin that fetch one object at the same time.
        package var sessionsMax: Int
        /// A session that comes to a wanted packet within so many is waited for.
        package var waitPacketsMax: Int
        /// Who has so many packets before him needs none now.
        package var aheadPackets: Int

        /// Limits: for packets of some ten milliseconds, a wait of a second or so, and ten seconds ahead.
        package init(sessionsMax: Int = 3, waitPacketsMax: Int = 64, aheadPackets: Int = 512) {
            self.sessionsMax = max(1, sessionsMax)
            self.waitPacketsMax = max(0, waitPacketsMax)
            self.aheadPackets = max(1, aheadPackets)
        }
    }

    /// Somebody who plays the object.
    package struct Reader: Sendable, Hashable {
        /// The caller's number for him.
        package var id: Int
        /// The packet that he wants next.
        package var place: Int

        /// A reader.
        package init(id: Int, place: Int) {
            self.id = id
            self.place = place
        }
    }

    /// A play at the origin.
    package struct Play: Sendable, Hashable {
        /// The caller's number for its session.
        package var id: Int
        /// The packet that it brings next; while it is being opened or moved, the one that was asked for. An origin begins at a key frame before
        /// that: then this goes back a little, and what is here already is thrown away.
        package var next: Int

        /// A play.
        package init(id: Int, next: Int) {
            self.id = id
            self.next = next
        }
    }

    /// What is to be done.
    package enum Step: Sendable, Hashable {
        /// Play from this packet, in a new session.
        case start(at: Int)
        /// Let this session play from there.
        case move(Int, to: Int)
        /// This session is not needed any more.
        case end(Int)
        /// Nothing is on its way to this reader who needs it now, and no session is free: he may be given one of his own.
        case starve(Int)
    }

    /// What becomes of a fill when the last reader leaves.
    package enum Leaving: String, Sendable, Hashable, CaseIterable {
        /// It goes on where at least a quarter is here: then asking for all of it again would cost more than the rest.
        case auto
        case finish, stop

        /// Whether it goes on.
        package func goesOn(here: PacketRanges, count: Int) -> Bool {
            switch self {
            case .finish: true
            case .stop: false
            case .auto: here.count >= (count + 3) / 4
            }
        }
    }

    /// What to do now. Nothing is done twice: carried out, the same question has no steps but ``Step/starve(_:)`` as its answer.
    ///
    /// - Parameters:
    ///   - count: the packets of the object.
    ///   - goesOn: it is filled to its end, also where nobody wants it just now.
    package static func plan(readers: [Reader], plays: [Play], here: PacketRanges, count: Int, goesOn: Bool, limits: Limits) -> [Step] {
        var planner = FillPlanner(plays: plays, here: here, count: max(0, count), limits: limits)
        planner.serve(readers, goesOn: goesOn)
        planner.tidy(readers, goesOn: goesOn)
        return planner.steps
    }

    private let here: PacketRanges
    private let count: Int
    private let limits: Limits
    /// Those that nothing has been decided about, by the hole that each is about to fill.
    private var open: [Play] = []
    /// Packets that are on their way, and how many sessions bring them.
    private var busy: [Play] = []
    private var starts: [Int] = []
    private var steps: [Step] = []

    private init(plays: [Play], here: PacketRanges, count: Int, limits: Limits) {
        self.here = here
        self.count = count
        self.limits = limits
        open = plays.sorted { ($0.next, $0.id) < ($1.next, $1.id) }
    }

    /// Gives each of those who need something now a session that brings it.
    private mutating func serve(_ readers: [Reader], goesOn: Bool) {
        // Who has the least before him comes first; many at one place are one.
        let needs = readers.compactMap { reader in
            here.hole(from: max(0, reader.place), below: count).map {
                (reader: reader, first: $0.lowerBound, ahead: $0.lowerBound - max(0, reader.place))
            }
        }.filter { $0.ahead < limits.aheadPackets }.sorted { ($0.ahead, $0.first, $0.reader.id) < ($1.ahead, $1.first, $1.reader.id) }
        var unserved: [(reader: Reader, first: Int, ahead: Int)] = []
        for need in needs where !isCovered(need.first) {
            if let index = open.lastIndex(where: { covers($0.next, need.first) }) {
                busy.append(open.remove(at: index))
            } else {
                unserved.append(need)
            }
        }
        for need in unserved where !isCovered(need.first) {
            let isFull = open.count + busy.count >= limits.sessionsMax
            if let index = spare(for: need.first, among: readers, goesOn: goesOn, isFull: isFull) {
                let play = open.remove(at: index)
                steps.append(.move(play.id, to: need.first))
                busy.append(Play(id: play.id, next: need.first))
            } else if !isFull {
                steps.append(.start(at: need.first))
                busy.append(Play(id: .min, next: need.first))
            } else if need.ahead == 0 {
                steps.append(.starve(need.reader.id))
            }
        }
    }

    /// A session for another place: one that would bring nothing that anybody comes to, as after a seek; where no more may be opened any that
    /// nobody needs just now. Of those the one that is nearest behind the place, else the first.
    private func spare(for packet: Int, among readers: [Reader], goesOn: Bool, isFull: Bool) -> Int? {
        let spare = open.indices.filter { index in
            guard let first = here.hole(from: max(0, open[index].next), below: count)?.lowerBound else { return true }
            return isFull || !goesOn && !readers.contains { $0.place <= first }
        }
        return spare.last { open[$0].next <= packet } ?? spare.first
    }

    private func covers(_ next: Int, _ packet: Int) -> Bool { next <= packet && packet - next <= limits.waitPacketsMax }

    private func isCovered(_ packet: Int) -> Bool { busy.contains { covers($0.next, packet) } }

    /// What becomes of the sessions that nobody needs now.
    private mutating func tidy(_ readers: [Reader], goesOn: Bool) {
        for play in open {
            // Two that bring the same are one too many.
            let hole = here.hole(from: max(0, play.next), below: count)
            let target = hole.flatMap { hole -> Int? in isTaken(hole.lowerBound) ? nil : hole.lowerBound }
            let isWanted = target.map { first in goesOn || readers.contains { $0.place <= first } } ?? false
            if let target, isWanted, target - play.next <= limits.waitPacketsMax {
                busy.append(play)
            } else if let target = isWanted ? target : next(readers, goesOn) {
                steps.append(.move(play.id, to: target))
                busy.append(Play(id: play.id, next: target))
            } else {
                steps.append(.end(play.id))
            }
        }
        // Where nobody is served and it goes on all the same, one session is enough.
        guard goesOn, busy.isEmpty, let first = next(readers, true) else { return }
        steps.append(.start(at: first))
    }

    /// The next hole that somebody will come to, else (where it goes on) the first, that no session is about to fill.
    private func next(_ readers: [Reader], _ goesOn: Bool) -> Int? {
        let wanted = readers.compactMap { here.hole(from: max(0, $0.place), below: count)?.lowerBound }.filter { !isTaken($0) }.min()
        return wanted ?? (goesOn ? here.holes(of: count).first { !isTaken($0.lowerBound) }?.lowerBound : nil)
    }

    /// Whether a session will come to a packet without running into what is here.
    private func isTaken(_ packet: Int) -> Bool {
        busy.contains { play in
            play.next <= packet
                && (covers(play.next, packet) || here.hole(from: max(0, play.next), below: packet + 1)?.contains(packet) == true)
        }
    }
}

import Glibc
import PlaneLink
import WireFormats

/// Puts one track's packets in order by their sequence numbers and takes each number once, whichever leg brings it. Knows nothing of
/// streams: packets and time go in, a verdict and packets come out. All memory is there from the start.
///
/// Legs carry the same stream when number, timestamp and payload type of their packets agree (SMPTE ST 2022-7 asks for the same RTP
/// header; the SSRC may differ, since servers choose one for each session). One of them leads: where they disagree, it is right, and
/// the other is left out until it agrees for a while, or until the leading one is silent.
@safe struct TrackReorder: BitwiseCopyable {
    /// What becomes of a packet.
    enum Verdict: Equatable {
        /// It is the next: it goes on, and ``takeReady(now:)`` may have more.
        case next
        /// It was put aside.
        case waits
        /// It goes on; what is before it comes first, with ``takeBelow(_:)``: there is no room to wait.
        case overtakes
        /// The same was there already; it came after its gap was given up; it belongs to another stream.
        case duplicate, late, foreign
        /// A far jump: it goes on as it is. If the next packet follows it, numbers begin anew.
        case jump
        /// Numbers begin anew with it; what waits comes first, with ``takeBelow(_:)`` of nil.
        case restart
    }

    /// What the legs say of one another.
    struct Leg: BitwiseCopyable {
        var heardAt: UInt64 = 0
        var candidate: UInt16 = 0
        var hasCandidate = false
        var disagreements: UInt8 = 0
        var agreements: UInt8 = 0
        var isLeftOut = false
        /// How far it is behind the first, smoothed.
        var lagNanoseconds: UInt64 = 0
        var reception = ReceptionStatistics(needsProbation: false)

        init() {}
    }

    /// A packet that waits.
    private struct Slot: BitwiseCopyable {
        var arrival: UInt64
        var sequence: UInt16
        var length: UInt16
        var isUsed: Bool
    }

    /// A number that was taken.
    private struct Seen: BitwiseCopyable {
        var arrival: UInt64
        var timestamp: UInt32
        var sequence: UInt16
        var leg: UInt8
        var payloadType: UInt8
        var isSet: Bool
    }

    /// Taken numbers that are remembered.
    static var seenMax: Int { 2_048 }
    /// A gap ahead that is still believed.
    static var gapMax: Int16 { 3_000 }
    /// Disagreements in a row that leave a leg out, agreements in a row that take it back.
    static var disagreementsMax: UInt8 { 3 }
    static var agreementsMin: UInt8 { 100 }

    private let slots: UnsafeMutablePointer<Slot>
    private let seen: UnsafeMutablePointer<Seen>
    private let bytes: UnsafeMutableRawPointer
    private let waitMax: UInt64
    private let silenceMax: UInt64
    private(set) var legs: InlineArray<4, Leg>
    private(set) var lead = 0
    private var isStarted = false
    private var next: UInt16 = 0
    /// The highest number taken or waiting, to know what filled a gap.
    private var highest: UInt16 = 0
    /// Packets that wait.
    private(set) var waiting = 0
    /// When the oldest of them came; it may have gone on since.
    private var oldest: UInt64 = .max
    private var hasOldestGone = false
    /// The SSRC of the numbers that count: what all legs' packets are to carry.
    private(set) var ssrc: UInt32 = 0
    /// Numbers that were given up, gaps given up for want of room, and beginnings after the first.
    private(set) var missing: UInt64 = 0
    private(set) var overflows: UInt64 = 0
    private(set) var restarts: UInt64 = 0

    private static var slotMax: Int { ReorderPlan.packetsMax }
    private static var slotBytes: Int { ReorderPlan.packetBytesMax }

    /// Room for one track; nil when there is no memory. A leg that is silent for `silenceNanoseconds` no longer leads. Every page is
    /// touched: the packet path meets no page fault.
    init?(waitNanosecondsMax: UInt64, silenceNanoseconds: UInt64) {
        guard let slots = unsafe calloc(Self.slotMax, MemoryLayout<Slot>.stride) else { return nil }
        guard let seen = unsafe calloc(Self.seenMax, MemoryLayout<Seen>.stride), let bytes = unsafe malloc(Self.slotMax * Self.slotBytes)
        else {
            unsafe Glibc.free(slots)
            return nil
        }
        unsafe memset(slots, 0, Self.slotMax * MemoryLayout<Slot>.stride)
        unsafe memset(seen, 0, Self.seenMax * MemoryLayout<Seen>.stride)
        unsafe memset(bytes, 1, Self.slotMax * Self.slotBytes)
        unsafe self.slots = slots.bindMemory(to: Slot.self, capacity: Self.slotMax)
        unsafe self.seen = seen.bindMemory(to: Seen.self, capacity: Self.seenMax)
        unsafe self.bytes = bytes
        waitMax = waitNanosecondsMax
        silenceMax = silenceNanoseconds
        legs = InlineArray(repeating: Leg())
    }

    /// Gives the memory back. Once.
    func free() {
        unsafe Glibc.free(slots)
        unsafe Glibc.free(seen)
        unsafe Glibc.free(bytes)
    }

    // MARK: Packets in

    /// What becomes of a packet that a leg brought. One that waits is copied. `fills`: it fills a gap.
    @unsafe mutating func offer(
        _ leg: Int, _ header: RTPHeader, _ packet: UnsafeRawPointer, _ count: Int, now: UInt64, fills: inout Bool
    ) -> Verdict {
        legs[leg].heardAt = now
        guard isStarted else {
            lead = leg
            begin(header)
            note(leg, header, now)
            return .next
        }
        if leg != lead, now &- legs[lead].heardAt > silenceMax {
            lead = leg
            legs[leg].disagreements = 0
            if legs[leg].isLeftOut {
                legs[leg].isLeftOut = false
                restarts &+= 1
                return .restart
            }
        }
        let ahead = Int16(bitPattern: header.sequence &- next)
        if legs[leg].isLeftOut { return reconsider(leg, header, ahead) }
        if ahead < 0, Int(ahead) >= -Self.seenMax {
            let place = Int(header.sequence) & (Self.seenMax - 1)
            guard unsafe seen[place].isSet && seen[place].sequence == header.sequence else {
                legs[leg].hasCandidate = false
                return .late
            }
            if agrees(place, header) { return duplicate(leg, place, now) }
            return disagreement(leg, place, header, now)
        }
        guard ahead >= 0, ahead < Self.gapMax else { return jump(leg, header, now) }
        legs[leg].hasCandidate = false
        let slot = Int(header.sequence) & (Self.slotMax - 1)
        if ahead > 0, Int(ahead) < Self.slotMax, unsafe slots[slot].isUsed {
            let place = Int(header.sequence) & (Self.seenMax - 1)
            return agrees(place, header) ? duplicate(leg, place, now) : disagreement(leg, place, header, now)
        }
        fills = Int16(bitPattern: header.sequence &- highest) < 0
        note(leg, header, now)
        if ahead == 0 {
            next &+= 1
            return .next
        }
        guard Int(ahead) < Self.slotMax, count <= Self.slotBytes else { return .overtakes }
        unsafe slots[slot] = Slot(arrival: now, sequence: header.sequence, length: UInt16(truncatingIfNeeded: count), isUsed: true)
        unsafe (bytes + slot * Self.slotBytes).copyMemory(from: packet, byteCount: count)
        waiting += 1
        oldest = min(oldest, now)
        return .waits
    }

    private mutating func begin(_ header: RTPHeader) {
        isStarted = true
        next = header.sequence &+ 1
        highest = header.sequence
        ssrc = header.ssrc
    }

    /// Remembers a number that was taken.
    private mutating func note(_ leg: Int, _ header: RTPHeader, _ now: UInt64) {
        unsafe seen[Int(header.sequence) & (Self.seenMax - 1)] = Seen(
            arrival: now, timestamp: header.timestamp, sequence: header.sequence, leg: UInt8(truncatingIfNeeded: leg),
            payloadType: header.payloadType, isSet: true)
        if Int16(bitPattern: header.sequence &- highest) > 0 { highest = header.sequence }
        legs[leg].lagNanoseconds -= legs[leg].lagNanoseconds / 16
    }

    private func agrees(_ place: Int, _ header: RTPHeader) -> Bool {
        unsafe seen[place].timestamp == header.timestamp && seen[place].payloadType == header.payloadType
    }

    private mutating func duplicate(_ leg: Int, _ place: Int, _ now: UInt64) -> Verdict {
        legs[leg].hasCandidate = false
        legs[leg].disagreements = 0
        let former = unsafe seen[place]
        if former.leg != UInt8(truncatingIfNeeded: leg) {
            let lag = now &- former.arrival
            legs[leg].lagNanoseconds = legs[leg].lagNanoseconds - legs[leg].lagNanoseconds / 16 &+ lag / 16
        }
        return .duplicate
    }

    /// Two packets of one number that are not the same. Between two legs the one that leads is right.
    private mutating func disagreement(_ leg: Int, _ place: Int, _ header: RTPHeader, _ now: UInt64) -> Verdict {
        let other = unsafe Int(seen[place].leg)
        guard other != leg else { return jump(leg, header, now) }
        let wrong = leg == lead ? other : leg
        legs[wrong].disagreements += legs[wrong].disagreements < Self.disagreementsMax ? 1 : 0
        if legs[wrong].disagreements >= Self.disagreementsMax {
            legs[wrong].isLeftOut = true
            legs[wrong].agreements = 0
        }
        return .foreign
    }

    /// A leg that was left out is taken back when it agrees for a while.
    private mutating func reconsider(_ leg: Int, _ header: RTPHeader, _ ahead: Int16) -> Verdict {
        let place = Int(header.sequence) & (Self.seenMax - 1)
        if ahead < 0, Int(ahead) >= -Self.seenMax, unsafe seen[place].isSet, unsafe seen[place].sequence == header.sequence {
            legs[leg].agreements = agrees(place, header) ? legs[leg].agreements + 1 : 0
            if legs[leg].agreements >= Self.agreementsMin {
                legs[leg].isLeftOut = false
                legs[leg].disagreements = 0
            }
        }
        return .foreign
    }

    /// Numbers that are far off: a restart if the next packet follows, and only of the leg that leads.
    private mutating func jump(_ leg: Int, _ header: RTPHeader, _ now: UInt64) -> Verdict {
        guard leg == lead else { return .foreign }
        defer {
            legs[leg].candidate = header.sequence
            legs[leg].hasCandidate = true
        }
        guard legs[leg].hasCandidate, header.sequence == legs[leg].candidate &+ 1 else { return .jump }
        restarts &+= 1
        return .restart
    }

    // MARK: Packets out

    /// Numbers begin anew with a packet (``Verdict/restart``), after what waited was taken.
    mutating func restart(_ leg: Int, _ header: RTPHeader, now: UInt64) {
        unsafe memset(seen, 0, Self.seenMax * MemoryLayout<Seen>.stride)
        begin(header)
        legs[leg].hasCandidate = false
        note(leg, header, now)
    }

    /// A packet went on before its time (``Verdict/overtakes``), after what was before it was taken.
    mutating func overtaken(by header: RTPHeader) {
        missing &+= UInt64(header.sequence &- next)
        overflows &+= 1
        next = header.sequence &+ 1
    }

    /// Forgets all numbers; what waited must have been taken or is lost.
    mutating func reset() {
        for slot in 0..<Self.slotMax { unsafe slots[slot].isUsed = false }
        for place in 0..<Self.seenMax { unsafe seen[place].isSet = false }
        isStarted = false
        waiting = 0
        oldest = .max
        hasOldestGone = false
        for leg in 0..<4 { legs[leg] = Leg() }
    }

    /// When a gap is to be given up; `.max`: nothing waits.
    var dueAt: UInt64 { waiting == 0 ? .max : oldest &+ waitMax }

    /// The next packet that may go on: because the one before it did, or because it waited long enough. Its bytes stay until the next
    /// call that puts one aside.
    @unsafe mutating func takeReady(now: UInt64) -> (bytes: UnsafeMutableRawPointer, count: Int)? {
        guard waiting > 0 else { return nil }
        let slot = Int(next) & (Self.slotMax - 1)
        if unsafe slots[slot].isUsed { return unsafe take(slot) }
        guard dueAt <= now else { return nil }
        return unsafe takeLowest()
    }

    /// What waits before a number, lowest first, whatever is missing between; nil: everything that waits.
    @unsafe mutating func takeBelow(_ sequence: UInt16?) -> (bytes: UnsafeMutableRawPointer, count: Int)? {
        guard waiting > 0, let lowest = lowestWaiting() else { return nil }
        if let sequence, unsafe Int16(bitPattern: slots[lowest].sequence &- sequence) >= 0 { return nil }
        return unsafe takeLowest()
    }

    private func lowestWaiting() -> Int? {
        for offset in 0..<UInt16(Self.slotMax) {
            let slot = Int(next &+ offset) & (Self.slotMax - 1)
            if unsafe slots[slot].isUsed { return slot }
        }
        return nil
    }

    @unsafe private mutating func takeLowest() -> (bytes: UnsafeMutableRawPointer, count: Int)? {
        guard let slot = lowestWaiting() else { return nil }
        missing &+= unsafe UInt64(slots[slot].sequence &- next)
        return unsafe take(slot)
    }

    @unsafe private mutating func take(_ slot: Int) -> (bytes: UnsafeMutableRawPointer, count: Int) {
        unsafe slots[slot].isUsed = false
        next = unsafe slots[slot].sequence &+ 1
        waiting -= 1
        if unsafe slots[slot].arrival <= oldest { hasOldestGone = true }
        if waiting == 0 {
            oldest = .max
            hasOldestGone = false
        } else if hasOldestGone, unsafe !slots[Int(next) & (Self.slotMax - 1)].isUsed {
            // A gap is left before the others: how long they have waited decides when it is given up.
            oldest = oldestWaiting()
            hasOldestGone = false
        }
        return unsafe (bytes + slot * Self.slotBytes, Int(slots[slot].length))
    }

    private func oldestWaiting() -> UInt64 {
        var oldest = UInt64.max
        for slot in 0..<Self.slotMax where unsafe slots[slot].isUsed { oldest = unsafe min(oldest, slots[slot].arrival) }
        return oldest
    }

    // MARK: Legs

    /// Counts a leg's packet for its own receiver reports.
    mutating func receive(_ leg: Int, _ header: RTPHeader, arrival: UInt32) {
        _ = legs[leg].reception.receive(sequence: header.sequence, timestamp: header.timestamp, arrival: arrival)
    }
}

/// The tracks of one stream that are put in order; none, where a stream's packets go on as they come.
@safe struct ReorderStage: BitwiseCopyable {
    private let base: UnsafeMutablePointer<TrackReorder>?
    let tracks: Int
    let legs: Int
    private let waitNanosecondsMax: UInt64
    private let silenceNanoseconds: UInt64

    /// Packets go on as they come.
    static var none: ReorderStage {
        unsafe ReorderStage(base: nil, tracks: 0, legs: 0, waitNanosecondsMax: 0, silenceNanoseconds: 0)
    }

    /// Room for a plan; nil when there is no memory.
    static func make(_ plan: ReorderPlan, tracks: Int, silenceNanoseconds: UInt64) -> ReorderStage? {
        let base = UnsafeMutablePointer<TrackReorder>.allocate(capacity: tracksPerStreamMax)
        let empty = unsafe ReorderStage(
            base: base, tracks: 0, legs: Int(plan.legs), waitNanosecondsMax: plan.waitNanosecondsMax, silenceNanoseconds: silenceNanoseconds
        )
        guard let stage = empty.grown(to: tracks) else {
            unsafe base.deallocate()
            return nil
        }
        return stage
    }

    /// The same with room for more tracks; takes the place of this one. Nil when there is no memory.
    func grown(to count: Int) -> ReorderStage? {
        guard let base = unsafe base, count <= tracksPerStreamMax else { return nil }
        for track in tracks..<max(count, tracks) {
            guard let reorder = TrackReorder(waitNanosecondsMax: waitNanosecondsMax, silenceNanoseconds: silenceNanoseconds) else {
                for made in tracks..<track { unsafe base[made].free() }
                return nil
            }
            unsafe (base + track).initialize(to: reorder)
        }
        return unsafe ReorderStage(
            base: base, tracks: max(count, tracks), legs: legs, waitNanosecondsMax: waitNanosecondsMax,
            silenceNanoseconds: silenceNanoseconds)
    }

    @unsafe private init(
        base: UnsafeMutablePointer<TrackReorder>?, tracks: Int, legs: Int, waitNanosecondsMax: UInt64, silenceNanoseconds: UInt64
    ) {
        unsafe self.base = base
        self.tracks = tracks
        self.legs = legs
        self.waitNanosecondsMax = waitNanosecondsMax
        self.silenceNanoseconds = silenceNanoseconds
    }

    var isOn: Bool { unsafe base != nil }

    /// Gives the memory back. Once.
    func free() {
        guard let base = unsafe base else { return }
        for track in 0..<tracks { unsafe base[track].free() }
        unsafe base.deallocate()
    }

    subscript(track: Int) -> TrackReorder {
        @inline(__always) unsafeAddress {
            guard track >= 0, track < tracks, let base = unsafe base else { preconditionFailure("no such track") }
            return unsafe UnsafePointer(base + track)
        }
        @inline(__always) nonmutating unsafeMutableAddress {
            guard track >= 0, track < tracks, let base = unsafe base else { preconditionFailure("no such track") }
            return unsafe base + track
        }
    }
}

import PlaneLink
import WireFormats

/// The tracks of one stream through all descriptions that its source gives, and their slots in the engine. Pure.
///
/// A track keeps its slot, its SSRC and its name (`trackID=…`) as long as the source has media of its shape. One that the source has
/// no more stays in its slot, silent, and comes back with its name when such media does. New media takes a slot that was never used,
/// then the one that has been silent for longest. No name is given twice.
struct TrackLedger {
    /// One slot.
    struct Slot: Equatable {
        let shape: TrackShape
        let control: String
        var plan: TrackPlan
        var isLive: Bool
        /// Counts the descriptions; of the last one that had it.
        var seen: Int

        static func == (left: Self, right: Self) -> Bool {
            left.shape == right.shape && left.control == right.control && left.plan.ssrc == right.plan.ssrc && left.isLive == right.isLive
        }
    }

    /// What a description changed.
    struct Change: Equatable {
        /// For each media its slot.
        var slots: [Int] = []
        /// Slots that the engine must be told of: new tracks, and those that fell silent.
        var planned: [Int] = []
        /// No track went on.
        var isAllNew = false
    }

    /// By the track's number in the engine.
    private(set) var slots: [Slot] = []
    /// The live ones in the order of the last description.
    private(set) var order: [Int] = []
    private var names = 0
    private var descriptions = 0

    /// Takes the media of a description, at most ``tracksPerStreamMax``. With ``Change/isAllNew`` nothing was taken, unless it is the
    /// first.
    mutating func take(_ media: [(shape: TrackShape, codec: MediaCodec)], ssrc: () -> UInt32) -> Change {
        let candidates = order + slots.indices.filter { !slots[$0].isLive }.sorted { slots[$0].seen > slots[$1].seen }
        let matches = TrackMatch.match(media.map(\.shape), to: candidates.map { slots[$0].shape })
        var change = Change()
        change.isAllNew = !matches.contains { match in match.map { slots[candidates[$0]].isLive } ?? false }
        guard !change.isAllNew || slots.isEmpty else { return change }
        descriptions += 1
        var taken: [Int?] = matches.map { $0.map { candidates[$0] } }
        for slot in order where !taken.contains(slot) {
            slots[slot].isLive = false
            // Readers wait for no key frame of it.
            slots[slot].plan.codec = .opaque
            change.planned.append(slot)
        }
        for place in media.indices {
            if let slot = taken[place] {
                if !slots[slot].isLive {
                    slots[slot].plan = Self.plan(media[place], ssrc())
                    slots[slot].isLive = true
                    change.planned.append(slot)
                }
            } else {
                taken[place] = add(media[place], ssrc(), avoiding: taken)
                if let slot = taken[place], !change.planned.contains(slot) { change.planned.append(slot) }
            }
        }
        change.slots = taken.compactMap(\.self)
        order = change.slots
        for slot in order { slots[slot].seen = descriptions }
        return change
    }

    private mutating func add(_ media: (shape: TrackShape, codec: MediaCodec), _ ssrc: UInt32, avoiding taken: [Int?]) -> Int? {
        let slot = Slot(
            shape: media.shape, control: "trackID=\(names)", plan: Self.plan(media, ssrc), isLive: true, seen: descriptions)
        if slots.count < tracksPerStreamMax {
            names += 1
            slots.append(slot)
            return slots.count - 1
        }
        let silent = slots.indices.filter { !slots[$0].isLive && !taken.contains($0) }
        guard let oldest = silent.min(by: { slots[$0].seen < slots[$1].seen }) else { return nil }
        names += 1
        slots[oldest] = slot
        return oldest
    }

    private static func plan(_ media: (shape: TrackShape, codec: MediaCodec), _ ssrc: UInt32) -> TrackPlan {
        var plan = TrackPlan(clockRate: media.shape.clockRate, codec: TrackCodec(media.codec.keyFrameCodec), ssrc: ssrc)
        plan.mayBeFragmented = !media.shape.hasDecodingOrderNumbers
        return plan
    }
}

/// Slots with generations and what is known of each. A slot is free again when its entry is taken out.
struct SlotTable<Entry> {
    private struct Slot {
        var generation: UInt32
        var entry: Entry?
    }

    private var slots: [Slot] = []
    private var free: [UInt32] = []
    private let firstGeneration: UInt32
    let slotsMax: Int
    /// How many slots are in use.
    private(set) var count = 0

    /// A table of at most `slotsMax` slots; memory grows with use. Generations begin at `firstGeneration`, so that a handle of another
    /// splitter hardly ever fits here.
    init(slotsMax: Int, firstGeneration: UInt32) {
        self.slotsMax = slotsMax
        self.firstGeneration = max(firstGeneration, 1)
    }

    /// Whether another entry fits.
    var hasRoom: Bool { !free.isEmpty || slots.count < slotsMax }

    /// Puts an entry into a free slot; nil when there is none.
    mutating func insert(_ entry: Entry) -> (index: UInt32, generation: UInt32)? {
        if let index = free.popLast() {
            slots[Int(index)].entry = entry
            count += 1
            return (index, slots[Int(index)].generation)
        }
        guard slots.count < slotsMax else { return nil }
        slots.append(Slot(generation: firstGeneration, entry: entry))
        count += 1
        return (UInt32(slots.count - 1), firstGeneration)
    }

    /// The entry that a handle names; nil when it names none. Setting changes an entry that is there; nil takes it out.
    subscript(index: UInt32, generation: UInt32) -> Entry? {
        get {
            guard Int(index) < slots.count, slots[Int(index)].generation == generation else { return nil }
            return slots[Int(index)].entry
        }
        set {
            guard Int(index) < slots.count, slots[Int(index)].generation == generation, slots[Int(index)].entry != nil else { return }
            slots[Int(index)].entry = newValue
            guard newValue == nil else { return }
            slots[Int(index)].generation = generation == .max ? 1 : generation + 1
            free.append(index)
            count -= 1
        }
    }

    /// The entry of a slot whatever its generation.
    subscript(index: UInt32) -> Entry? {
        get { Int(index) < slots.count ? slots[Int(index)].entry : nil }
        set {
            guard Int(index) < slots.count else { return }
            self[index, slots[Int(index)].generation] = newValue
        }
    }

    /// The generation of a slot; 0 for one that was never used.
    func generation(of index: UInt32) -> UInt32 { Int(index) < slots.count ? slots[Int(index)].generation : 0 }

    /// The slots in use.
    var used: [(index: UInt32, generation: UInt32, entry: Entry)] {
        var used: [(index: UInt32, generation: UInt32, entry: Entry)] = []
        for (index, slot) in slots.enumerated() {
            if let entry = slot.entry { used.append((UInt32(index), slot.generation, entry)) }
        }
        return used
    }
}

/// A first-in, first-out queue.
struct FIFO<Element> {
    private var elements: [Element] = []
    private var first = 0

    var isEmpty: Bool { first == elements.count }
    var count: Int { elements.count - first }
    var head: Element? { first < elements.count ? elements[first] : nil }

    mutating func append(_ element: Element) { elements.append(element) }

    mutating func popFirst() -> Element? {
        guard first < elements.count else { return nil }
        let element = elements[first]
        first += 1
        if first == elements.count {
            elements.removeAll(keepingCapacity: elements.count <= 64)
            first = 0
        } else if first >= 1_024, first * 2 > elements.count {
            elements.removeFirst(first)
            first = 0
        }
        return element
    }
}

/// Completions put aside until their turn: a queue of fixed room over a slab.
struct AsideQueue<Element: BitwiseCopyable>: ~Copyable {
    private let slots: Slab<Element>
    private var first = 0
    private(set) var count = 0

    /// Nil when there is no memory.
    init?(room: Int) {
        guard let slots = Slab<Element>(count: room) else { return nil }
        self.slots = slots
    }

    var isFull: Bool { count == slots.count }
    /// How many more fit.
    var room: Int { slots.count - count }

    mutating func push(_ element: Element) {
        precondition(!isFull)
        var place = first + count
        if place >= slots.count { place -= slots.count }
        slots[place] = element
        count += 1
    }

    mutating func pop() -> Element? {
        guard count > 0 else { return nil }
        let element = slots[first]
        first += 1
        if first == slots.count { first = 0 }
        count -= 1
        return element
    }
}

import Synchronization

/// A queue of fixed capacity between exactly two threads: one pushes, one pops. Neither ever waits.
///
/// Plain values only, so that nothing is retained or released on the way.
@safe public final class BoundedRing<Element: BitwiseCopyable & Sendable>: @unchecked Sendable {
    // Sendable because `head` is written by the pushing thread alone and `tail` by the popping thread alone; an element is
    // written before `head` is released and read after it was acquired, and the other way round for the free slot.
    private let slots: UnsafeMutablePointer<Element>
    private let mask: UInt32
    private let head = Atomic<UInt32>(0)
    private let tail = Atomic<UInt32>(0)

    /// How many elements fit; a power of two.
    public let capacity: Int

    /// Room for at least `capacityMin` elements, at most 2³⁰.
    public init(capacityMin: Int) {
        var capacity = 2
        while capacity < min(capacityMin, 1 << 30) { capacity *= 2 }
        self.capacity = capacity
        mask = UInt32(capacity - 1)
        unsafe slots = UnsafeMutablePointer<Element>.allocate(capacity: capacity)
    }

    deinit {
        unsafe slots.deallocate()
    }

    /// Adds an element, or returns false when the ring is full. For the pushing thread.
    public func push(_ element: Element) -> Bool {
        let head = head.load(ordering: .relaxed)
        // Pairs with the release in `pop`: the slot's last reader is done.
        guard head &- tail.load(ordering: .acquiring) <= mask else { return false }
        unsafe (slots + Int(head & mask)).initialize(to: element)
        // Pairs with the acquire in `pop`: the element is written before it can be seen.
        self.head.store(head &+ 1, ordering: .releasing)
        return true
    }

    /// Takes the oldest element, or nil when the ring is empty. For the popping thread.
    public func pop() -> Element? {
        let tail = tail.load(ordering: .relaxed)
        guard tail != head.load(ordering: .acquiring) else { return nil }
        let element = unsafe slots[Int(tail & mask)]
        self.tail.store(tail &+ 1, ordering: .releasing)
        return element
    }

    /// How many elements wait; exact only for a thread that is the only one running.
    public var count: Int {
        Int(head.load(ordering: .acquiring) &- tail.load(ordering: .acquiring))
    }
}

import Synchronization

/// A queue of fixed capacity between exactly two threads: one pushes, one pops. Neither ever waits.
///
/// Plain values only, so that nothing is retained or released on the way.
@safe public final class BoundedRing<Element: BitwiseCopyable & Sendable>: @unchecked Sendable {
    // Sendable because `head` is written by the pushing thread alone and `tail` by the popping thread alone; an element is
    // written before `head` is released and read after it was acquired, and the other way round for the free slot.
    private let slots: UnsafeMutablePointer<Element>
    /// How many elements were ever pushed and popped.
    private let head = Atomic<UInt64>(0)
    private let tail = Atomic<UInt64>(0)

    /// How many elements fit.
    public let capacity: Int

    /// Room for `capacity` elements, at least 1.
    public init(capacity: Int) {
        let capacity = max(capacity, 1)
        self.capacity = capacity
        unsafe slots = UnsafeMutablePointer<Element>.allocate(capacity: capacity)
    }

    deinit {
        unsafe slots.deallocate()
    }

    /// Adds an element, or returns false when the ring is full. For the pushing thread.
    public func push(_ element: Element) -> Bool {
        let head = head.load(ordering: .relaxed)
        // Pairs with the release in `pop`: the slot's last reader is done.
        guard head &- tail.load(ordering: .acquiring) < UInt64(capacity) else { return false }
        unsafe (slots + Int(head % UInt64(capacity))).initialize(to: element)
        // Pairs with the acquire in `pop`: the element is written before it can be seen.
        self.head.store(head &+ 1, ordering: .releasing)
        return true
    }

    /// Takes the oldest element, or nil when the ring is empty. For the popping thread.
    public func pop() -> Element? {
        let tail = tail.load(ordering: .relaxed)
        guard tail != head.load(ordering: .acquiring) else { return nil }
        let element = unsafe slots[Int(tail % UInt64(capacity))]
        self.tail.store(tail &+ 1, ordering: .releasing)
        return element
    }

    /// How many elements wait; exact only for a thread that is the only one running.
    public var count: Int {
        Int(head.load(ordering: .acquiring) &- tail.load(ordering: .acquiring))
    }
}

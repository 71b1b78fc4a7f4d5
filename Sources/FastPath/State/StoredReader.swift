import PlaneLink

/// What a reader of a stored stream has beside other readers (``Command/addStoredSubscriber(_:_:descriptor:first:_:_:)``).
struct StoredReader: BitwiseCopyable {
    /// Which list it is in.
    enum Place: UInt8, BitwiseCopyable {
        case none
        /// It may be sent something.
        case ready
        /// It waits for its block to be read.
        case waiting
        /// It waits for a block to be free.
        case short
    }

    var place = Place.none
    /// Its file cannot be read any further, which was told.
    var hasEnded = false
    /// The block that it waits for, or that is kept for it; -1: none.
    var block: Int32 = -1
    /// The next reader of its list.
    var next = SubscriberList.end
    /// Since when it has been waiting for a block to be free.
    var shortSince: UInt64 = 0
    /// It may be sent the packets before this one.
    var limit: UInt32 = 0
    /// The packet that it began with: flags count from there.
    var first: UInt32 = 0
    var framing = StoredFraming(incarnation: 0, isChunked: false)
    /// Nil: of no stored stream.
    var progress: StoredProgress?
}

/// Stored readers in the order in which their turn came: a list through their slots.
struct StoredList: BitwiseCopyable {
    private(set) var first = SubscriberList.end
    private var last = SubscriberList.end
    private(set) var count = 0

    /// Adds a reader at the end.
    mutating func append(_ reader: Int, in slab: borrowing Slab<Subscriber>) {
        slab[reader].stored.next = SubscriberList.end
        if last == SubscriberList.end { first = UInt32(reader) } else { slab[Int(last)].stored.next = UInt32(reader) }
        last = UInt32(reader)
        count += 1
    }

    /// Adds a reader at the beginning.
    mutating func prepend(_ reader: Int, in slab: borrowing Slab<Subscriber>) {
        slab[reader].stored.next = first
        first = UInt32(reader)
        if last == SubscriberList.end { last = first }
        count += 1
    }

    /// Takes the first reader out; -1 when there is none.
    mutating func pop(in slab: borrowing Slab<Subscriber>) -> Int {
        guard first != SubscriberList.end else { return -1 }
        let reader = Int(first)
        first = slab[reader].stored.next
        if first == SubscriberList.end { last = SubscriberList.end }
        count -= 1
        return reader
    }

    /// Takes a reader out, wherever it stands.
    mutating func remove(_ reader: Int, in slab: borrowing Slab<Subscriber>) {
        var before = SubscriberList.end
        var index = first
        while index != SubscriberList.end, Int(index) != reader {
            before = index
            index = slab[Int(index)].stored.next
        }
        guard index != SubscriberList.end else { return }
        let next = slab[reader].stored.next
        if before == SubscriberList.end { first = next } else { slab[Int(before)].stored.next = next }
        if last == index { last = before }
        count -= 1
    }
}

/// Stored streams with readers that wait for a block to be free: a list through the streams' slots, in which they take turns.
struct ShortStreams: BitwiseCopyable {
    var first = SubscriberList.end
    var last = SubscriberList.end
    var count = 0
}

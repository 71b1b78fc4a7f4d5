import PlaneLink

/// Readers that a packet reaches over the same path, as far as a sender can tell: one socket, one network (an IPv4 /24, an IPv6
/// /64). What the kernel says of one message to such a class holds for the others, and for none beyond it.
struct DestinationClass: BitwiseCopyable {
    var network: UInt64
    var egress: UInt8
    var isUsed: Bool
    /// Readers of the class.
    var readers: UInt32
    /// Until then trains are not tried: one packet a message. For segments longer than ``segmentBytesMax`` alone, if that is not 0.
    var refusedUntil: UInt64
    var segmentBytesMax: UInt32
    /// Sends without a copy: how many were tried, how many of them are done, how many the kernel copied all the same.
    var zeroCopyTried: UInt32
    var zeroCopyDone: UInt32
    var zeroCopyCopied: UInt32
    /// Until then they are not tried again, because the kernel copied; until then they need no trial, because it did not.
    var copiesUntil: UInt64
    var sparesUntil: UInt64

    /// Whether trains of such segments are refused just now.
    func refuses(segmentBytes: Int, now: UInt64) -> Bool {
        refusedUntil > now && (segmentBytesMax == 0 || segmentBytes > Int(segmentBytesMax))
    }
}

/// The classes of a worker's readers. Class 0 takes those for whom there is no room: nothing is remembered of it.
struct DestinationTable: ~Copyable {
    private let classes: Slab<DestinationClass>
    private static let roomMax = 1_024
    private static let probesMax = 16

    /// A refusal is forgotten after so long.
    static var refusalNanoseconds: UInt64 { 60_000_000_000 }
    /// Zero-copy sends of one trial.
    static var trialSends: UInt32 { 16 }

    /// Nil when there is no memory.
    init?() {
        guard let classes = Slab<DestinationClass>(count: Self.roomMax + 1) else { return nil }
        self.classes = classes
    }

    subscript(number: UInt16) -> DestinationClass { classes[Int(number)] }

    /// The class of an address, for one more reader.
    func enter(_ host: HostAddress, egress: UInt8) -> UInt16 {
        // An IPv4 address is its mapped form: the upper half is zero, the lower 0xFFFF and the address.
        let network = host.ipv4 != nil ? host.low >> 8 : host.high
        var hash = (network ^ UInt64(egress) << 56) &* 0x9E37_79B9_7F4A_7C15
        hash ^= hash >> 32
        var free = -1
        for probe in 0..<Self.probesMax {
            let place = 1 + Int((hash &+ UInt64(probe)) % UInt64(Self.roomMax))
            if classes[place].isUsed, classes[place].network == network, classes[place].egress == egress {
                classes[place].readers += 1
                return UInt16(place)
            }
            if free < 0, !classes[place].isUsed || classes[place].readers == 0 { free = place }
        }
        guard free >= 0 else { return 0 }
        classes[free] = DestinationClass(
            network: network, egress: egress, isUsed: true, readers: 1, refusedUntil: 0, segmentBytesMax: 0, zeroCopyTried: 0,
            zeroCopyDone: 0, zeroCopyCopied: 0, copiesUntil: 0, sparesUntil: 0)
        return UInt16(free)
    }

    /// A reader of the class is gone.
    func leave(_ number: UInt16) {
        if number != 0, classes[Int(number)].readers > 0 { classes[Int(number)].readers -= 1 }
    }

    /// The kernel refused a train: of any size (`segmentBytes` 0), or of such segments.
    func noteRefusal(_ number: UInt16, segmentBytes: Int, now: UInt64) {
        guard number != 0 else { return }
        let known = classes[Int(number)].refusedUntil > now ? classes[Int(number)].segmentBytesMax : .max
        classes[Int(number)].segmentBytesMax = segmentBytes == 0 ? 0 : min(known, UInt32(segmentBytes - 1))
        classes[Int(number)].refusedUntil = now + Self.refusalNanoseconds
    }

    /// Whether a send without a copy is worth trying.
    func mayZeroCopy(_ number: UInt16, now: UInt64) -> Bool {
        let known = classes[Int(number)]
        return known.sparesUntil > now || known.copiesUntil <= now && known.zeroCopyTried < Self.trialSends
    }

    /// A send without a copy was tried.
    func noteZeroCopy(_ number: UInt16) { classes[Int(number)].zeroCopyTried &+= 1 }

    /// The kernel is done with one, and says whether it copied. After a trial the class is judged: where most were copied, copying
    /// at once is cheaper.
    func noteDone(_ number: UInt16, copied: Bool, now: UInt64) {
        if copied { classes[Int(number)].zeroCopyCopied += 1 }
        classes[Int(number)].zeroCopyDone += 1
        guard classes[Int(number)].zeroCopyDone >= Self.trialSends else { return }
        if classes[Int(number)].zeroCopyCopied * 2 >= Self.trialSends {
            classes[Int(number)].copiesUntil = now + Self.refusalNanoseconds
            classes[Int(number)].sparesUntil = 0
        } else {
            classes[Int(number)].sparesUntil = now + Self.refusalNanoseconds
        }
        classes[Int(number)].zeroCopyTried = 0
        classes[Int(number)].zeroCopyDone = 0
        classes[Int(number)].zeroCopyCopied = 0
    }
}

/// What a receiver counts of one source (RFC 3550 section 6.4.1, appendices A.1, A.3 and A.8). A plain value, cheap enough for
/// every packet; all arithmetic wraps.
package struct ReceptionStatistics: Sendable, Hashable, BitwiseCopyable {
    /// What became of a packet.
    package enum Verdict: Sendable, Hashable, BitwiseCopyable {
        /// In order, or a little ahead.
        case counted
        /// Late, or the same again.
        case lateOrDuplicate
        /// The source is not yet believed to be one: it needs ``probationPackets`` in a row.
        case onProbation
        /// Far off. If the next packet follows it, the source has restarted.
        case suspicious
        /// The source has started anew with this packet; all counts begin here.
        case restarted
    }

    /// Packets in a row that make a source valid (A.1: MIN_SEQUENTIAL).
    package static let probationPackets: UInt8 = 2
    /// A gap ahead that is still believed (A.1: MAX_DROPOUT).
    package static let dropoutMax: UInt16 = 3_000
    /// How far behind a packet is taken for late, and not for a restart (A.1: MAX_MISORDER).
    package static let misorderMax: UInt16 = 100

    private var isStarted = false
    private var probation: UInt8 = 0
    private var base: UInt16 = 0
    private var highest: UInt16 = 0
    private var cycles: UInt32 = 0
    private var suspect: UInt32 = .max
    private var expectedBefore: UInt32 = 0
    private var receivedBefore: UInt32 = 0
    private var transitBefore: UInt32 = 0
    private var hasTransit = false
    /// Sixteen times the jitter, as in A.8.
    private var jitterScaled: UInt32 = 0
    /// Packets counted, late and duplicate ones included, as the RFC has it.
    package private(set) var received: UInt32 = 0

    /// Nothing received yet. Pull sources that were asked for need no probation: `needsProbation` false.
    package init(needsProbation: Bool = true) { probation = needsProbation ? Self.probationPackets : 0 }

    /// Whether the source has passed its probation.
    package var isValid: Bool { isStarted && probation == 0 }

    /// Takes notice of a packet.
    ///
    /// - Parameter arrival: when it came, in units of the RTP timestamp, on any clock that does not jump.
    package mutating func receive(sequence: UInt16, timestamp: UInt32, arrival: UInt32) -> Verdict {
        let verdict = count(sequence)
        switch verdict {
        case .counted, .lateOrDuplicate: addTransit(arrival &- timestamp)
        case .restarted:
            jitterScaled = 0
            transitBefore = arrival &- timestamp
            hasTransit = true
        case .onProbation, .suspicious: break
        }
        return verdict
    }

    private mutating func count(_ sequence: UInt16) -> Verdict {
        guard isStarted else {
            let left = probation
            start(at: sequence)
            highest = sequence
            isStarted = true
            if left <= 1 {
                probation = 0
                received = 1
                return .counted
            }
            probation = left &- 1
            return .onProbation
        }
        let delta = sequence &- highest
        if probation > 0 {
            guard delta == 1 else {
                probation = Self.probationPackets &- 1
                highest = sequence
                return .onProbation
            }
            probation &-= 1
            highest = sequence
            guard probation == 0 else { return .onProbation }
            start(at: sequence)
            received = 1
            return .counted
        }
        if delta < Self.dropoutMax {
            if sequence < highest { cycles &+= 1 << 16 }
            highest = sequence
            received &+= 1
            suspect = .max
            return delta == 0 ? .lateOrDuplicate : .counted
        }
        if delta <= 0 &- Self.misorderMax {
            // A large jump: believed when the next packet goes on from it.
            if UInt32(sequence) == suspect {
                start(at: sequence)
                received = 1
                return .restarted
            }
            suspect = UInt32(sequence &+ 1)
            return .suspicious
        }
        received &+= 1
        return .lateOrDuplicate
    }

    private mutating func start(at sequence: UInt16) {
        base = sequence
        highest = sequence
        cycles = 0
        suspect = .max
        received = 0
        receivedBefore = 0
        expectedBefore = 0
    }

    private mutating func addTransit(_ transit: UInt32) {
        defer {
            transitBefore = transit
            hasTransit = true
        }
        guard hasTransit else { return }
        let difference = Int32(bitPattern: transit &- transitBefore).magnitude
        jitterScaled = jitterScaled &+ difference &- ((jitterScaled &+ 8) >> 4)
    }

    /// The highest sequence number received, with the number of cycles in the upper half.
    package var highestExtended: UInt32 { cycles &+ UInt32(highest) }

    /// Packets that the sequence numbers say were sent.
    package var expected: UInt32 { isValid ? highestExtended &- UInt32(base) &+ 1 : 0 }

    /// Packets lost so far, as a report carries it: within 24 bits with a sign; negative when duplicates outnumber losses.
    package var lostTotal: Int32 {
        let lost = Int64(expected) - Int64(received)
        return Int32(truncatingIfNeeded: min(max(lost, -0x80_0000), 0x7F_FFFF))
    }

    /// Interarrival jitter in timestamp units.
    package var jitter: UInt32 { jitterScaled >> 4 }

    /// The report block of this moment. Begins a new interval for `fractionLost`.
    package mutating func reportBlock(ssrc: UInt32, lastSenderReport: UInt32, delaySinceLastSenderReport: UInt32) -> RTCPReportBlock {
        let expectedNow = expected
        let expectedInterval = Int64(expectedNow &- expectedBefore), receivedInterval = Int64(received &- receivedBefore)
        expectedBefore = expectedNow
        receivedBefore = received
        let lost = expectedInterval - receivedInterval
        let fraction = expectedInterval == 0 || lost <= 0 ? 0 : min(lost * 256 / expectedInterval, 255)
        return RTCPReportBlock(
            ssrc: ssrc, fractionLost: UInt8(truncatingIfNeeded: fraction), lostTotal: lostTotal, highestSequence: highestExtended,
            jitter: jitter, lastSenderReport: lastSenderReport, delaySinceLastSenderReport: delaySinceLastSenderReport)
    }
}

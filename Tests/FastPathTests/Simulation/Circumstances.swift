import Glibc
import PlaneLink

@testable import FastPath

/// What kind of machine, network and audience a seed makes.
struct Circumstances {
    let workers: Int
    let zeroCopy: ZeroCopy
    let canZeroCopy: Bool
    /// How often registering memory succeeds, and zero-copy sends turn out to have been copied, in a thousand.
    let registersPermille: Int
    let copiedPermille: Int
    /// How soon the kernel lets go of what it sends without a copy.
    let noticePermille: Int
    let delayMicroseconds: Int
    /// Time passes within a turn.
    let isBusy: Bool
    let sendBatchMax: Int
    let readersMax: Int
    let commandRoom: Int
    let queuedSendsMax: Int
    let writeStallNanoseconds: UInt64
    let events: Int
    /// Payload of packets and of key frames; each stream takes one of the ranges.
    let packetBytes: [ClosedRange<Int>]
    let keyFrameBytes: [ClosedRange<Int>]
    /// Other frames are not much smaller than key frames: the log goes round often.
    let hasLargeFrames: Bool
    let sourceLossPermille: Int
    let strayPermille: Int
    /// UDP sends refused at random.
    let refusals: [(errorNumber: Int32, permille: Int)]
    let shortWritePermille: Int
    let brokenPermille: Int
    /// Bytes that a connection takes at once.
    let connectionRoom: ClosedRange<Int>
    /// Networks (/24) by number: how each treats trains. 0 takes everything.
    let networks: [Network]
    let interleavedPermille: Int
    /// Packets that a message may carry: 1 where nothing cuts trains.
    let segmentsMax: Int

    enum Network {
        case open
        /// Refuses every train.
        case refusesTrains(Int32)
        /// Refuses trains of longer segments.
        case segmentMax(Int, Int32)
    }

    init(_ random: inout SplitMix64) {
        workers = random.within(1...3)
        zeroCopy = random.pick([.off, .off, .on, .on, .auto])
        canZeroCopy = !random.happens(100)
        registersPermille = random.pick([0, 1_000, 1_000])
        copiedPermille = random.pick([0, 300, 1_000])
        noticePermille = random.pick([10, 300, 1_000])
        delayMicroseconds = random.pick([0, 2_000, 2_000, 100_000])
        isBusy = random.happens(400)
        sendBatchMax = random.pick([1, 4, 32])
        readersMax = random.pick([3, 6, 12, 28])
        commandRoom = random.pick([8, 1_024, 1_024])
        queuedSendsMax = random.pick([3, 16])
        writeStallNanoseconds = random.pick([1_000_000_000, 10_000_000_000])
        events = random.within(150...350)
        packetBytes = random.pick([
            [22...200], [1_200...1_200, 1_000...1_400], [22...9_000, 8_000...8_000], [20_000...60_000], [50_000...60_000],
        ])
        keyFrameBytes = random.pick([[2_000...6_000], [10_000...60_000], [100_000...300_000]])
        hasLargeFrames = random.happens(300)
        sourceLossPermille = random.pick([0, 0, 20])
        strayPermille = random.pick([0, 0, 10])
        let isRefusing = random.happens(600)
        refusals =
            isRefusing
            ? [EAGAIN, ENOBUFS, EIO, EINVAL, EMSGSIZE, EHOSTUNREACH, EPERM, ENOMEM].map { ($0, random.pick([0, 0, 0, 5, 40])) } : []
        shortWritePermille = random.pick([0, 20, 300])
        brokenPermille = random.pick([0, 0, 5])
        connectionRoom = random.pick([200_000...400_000, 4_000...100_000, 1...3_000])
        networks = [
            .open, random.happens(500) ? .refusesTrains(random.pick([EIO, EINVAL])) : .open,
            random.happens(500) ? .segmentMax(1_100, random.pick([EINVAL, EMSGSIZE])) : .open,
        ]
        interleavedPermille = random.pick([0, 300, 500, 1_000])
        segmentsMax = random.pick([Train.segmentsMax, Train.segmentsMax, Train.segmentsMax, 1])
    }

    /// The capacities of an engine of that size.
    var limits: Limits {
        var limits = Limits()
        limits.subscribersMax = 40
        limits.sourcesMax = 8
        limits.streamsMax = 4
        limits.queuedSendsMax = queuedSendsMax
        limits.writeStallNanoseconds = writeStallNanoseconds
        limits.delayMicrosecondsMax = delayMicroseconds
        return limits
    }

    func makePolicy(_ random: inout SplitMix64) -> StreamPolicy {
        var policy = StreamPolicy()
        policy.pacing = random.pick([
            .off, .off, .adaptive, .adaptive, .fixed(bitsPerSecond: UInt64(random.pick([2_000_000, 50_000_000]))),
        ])
        policy.joinBurst = random.pick([
            nil, JoinBurst(), JoinBurst(nanosecondsMax: 100_000_000, bytesMax: 100_000), JoinBurst(speedTenths: 11),
        ])
        policy.overload = random.pick([.skipToKeyFrame, .skipToKeyFrame, .dropOldest, .disconnect(afterNanoseconds: 500_000_000)])
        policy.clock = random.pick([.relay, .origin])
        // A pace that keeps packets back for longer than readers may lag would be a contradiction.
        switch policy.pacing {
        case .off: policy.lagNanosecondsMax = random.pick([0, 0, 50_000_000, 1_000_000_000])
        case .adaptive: policy.lagNanosecondsMax = random.pick([0, 1_000_000_000])
        case .fixed: policy.lagNanosecondsMax = 0
        }
        // Nor may one frame, or what is collected for TCP readers, be more than they may lag.
        policy.lagBytesMax = delayMicroseconds < Limits.collectMicrosecondsMin ? random.pick([0, 0, 350_000]) : 0
        return policy
    }
}

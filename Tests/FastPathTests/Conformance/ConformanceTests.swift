import Glibc
import PlaneLink
import Testing

@testable import FastPath

/// One suite over every kernel: the same traffic gives the same result, whatever goes wrong beneath.
@Suite(.serialized) struct ConformanceTests {
    /// What goes wrong.
    enum Fault: String, CaseIterable, Sendable {
        case none, fullSockets, noBuffers, noMemory, fullForAWhile, trainRefused, shortWrites, crumbs, refusedAndShort
        case noticesAtOnce, noticesLate, noticesLateAndFailed
        case receiveEnds, receiveOutOfBuffers, receiveCancelled, receiveErrors

        var plan: FaultPlan {
            let plan = FaultPlan()
            switch self {
            case .none: break
            case .fullSockets: plan.refusal = { $0 % 3 == 1 ? EAGAIN : nil }
            case .noBuffers: plan.refusal = { $0 % 4 == 0 ? ENOBUFS : nil }
            case .noMemory: plan.refusal = { $0 % 5 == 2 ? ENOMEM : nil }
            case .fullForAWhile: plan.refusal = { $0 / 20 % 2 == 1 ? EAGAIN : nil }
            case .trainRefused: plan.refusal = { $0 == 4 ? EIO : nil }
            case .shortWrites: plan.shortWrite = { $0 % 2 == 0 ? 1_500 : nil }
            case .crumbs: plan.shortWrite = { $0 % 97 == 96 ? nil : 1 + $0 % 331 }
            case .refusedAndShort:
                plan.refusal = { $0 % 7 == 3 ? ENOBUFS : $0 % 7 == 5 ? EAGAIN : nil }
                plan.shortWrite = { $0 % 3 == 0 ? 700 : nil }
            case .noticesAtOnce: plan.notices = .atOnce
            case .noticesLate: plan.notices = .late(waits: 9)
            case .noticesLateAndFailed:
                plan.notices = .late(waits: 5)
                plan.refusal = { $0 % 3 == 1 ? ENOBUFS : $0 % 7 == 0 ? EAGAIN : nil }
                plan.shortWrite = { $0 % 2 == 0 ? 900 : nil }
            case .receiveEnds: plan.ending = { $0 % 4 == 1 ? 0 : nil }
            case .receiveOutOfBuffers: plan.ending = { $0 % 3 == 1 ? ENOBUFS : nil }
            case .receiveCancelled: plan.ending = { $0 % 5 == 2 ? ECANCELED : nil }
            case .receiveErrors: plan.ending = { $0 % 5 == 3 ? ECONNREFUSED : nil }
            }
            return plan
        }

        /// Faults of receives need datagrams, those of notices something held.
        var ingests: [Ingest] {
            switch self {
            case .none: Ingest.allCases
            case .receiveEnds, .receiveOutOfBuffers, .receiveCancelled, .receiveErrors: [.datagrams]
            case .fullSockets, .noticesLate: [.datagrams, .interleaved]
            default: [.fed]
            }
        }

        var zeroCopy: ZeroCopy {
            switch self {
            case .noticesAtOnce, .noticesLate, .noticesLateAndFailed: .on
            default: .off
            }
        }
    }

    @Test(
        "The same traffic gives the same result over every kernel, whatever is refused", arguments: ConformanceKernel.allCases,
        Fault.allCases)
    func sameResult(kernel: ConformanceKernel, fault: Fault) throws {
        for ingest in fault.ingests {
            var reference = Story(try ConformanceRig.make(.scripted), ingest)
            let expected = try reference.tell()
            #expect(reference.check(expected) == [], "the scripted kernel, \(ingest)")
            let plan = fault.plan
            let rig = try ConformanceRig.make(kernel, plan, zeroCopy: fault.zeroCopy)
            var story = Story(rig, ingest)
            let outcome = try story.tell()
            #expect(story.check(outcome) == [], "\(ingest)")
            #expect(outcome.datagrams == expected.datagrams && outcome.control == expected.control, "\(ingest)")
            #expect(outcome.connections == expected.connections, "\(ingest)")
            #expect(outcome.reports == expected.reports, "\(ingest)")
            #expect(outcome.counters == expected.counters, "\(ingest)")
            #expect(plan.spoilt == 0, "bytes changed while the kernel held them")
            if fault != .none, fault != .noticesAtOnce { #expect(plan.injected > 0, "the fault never happened") }
        }
    }

    @Test(
        "Notices that never come: readers lose nothing, and what did not come home is told at the end",
        arguments: ConformanceKernel.allCases)
    func missingNotices(kernel: ConformanceKernel) throws {
        let plan = FaultPlan()
        plan.notices = .never
        let rig = try ConformanceRig.make(kernel, plan, zeroCopy: .on)
        rig.addStream()
        let source = SourceHandle(index: 0, generation: 1)
        rig.submit(.addFedSource(source, rig.stream, channels: ChannelMap(identity: 2)))
        let reader = try rig.addReader(0)
        let connection = try rig.addConnection(1)
        for number in 0..<10 {
            rig.submit(.feed(source, LinkBuffer(framed(0, rtp(sequence: UInt16(number), timestamp: 0, marker: true, payload: idr())))))
        }
        try rig.until("all packets") {
            rig.network.datagrams(reader.rtp).count == 10 && rig.network.received(connection.connection).count == 10 * 116
        }
        #expect(plan.injected > 0)
        // The run-down waits five seconds of the engine's clock for them.
        plan.waitSkew = 500_000_000
        let began = monotonicNanoseconds()
        let leaks = try rig.stop()
        #expect(leaks > 0, "held memory must be told of")
        #expect(monotonicNanoseconds() - began < 3_000_000_000)
    }

    @Test("Completions beyond the ring's room are kept aside by the kernel, and none is lost", arguments: [8, 16, 64] as [UInt32])
    func overflow(completions: UInt32) throws {
        let rig = try ConformanceRig.make(.ioUring, completions: completions)
        rig.addStream()
        let source = SourceHandle(index: 0, generation: 1)
        let socket = rig.network.openSource()
        rig.submit(
            .addDatagramSource(source, rig.stream, descriptor: socket, channel: 0, peer: HostAddress(ipv4: 0x7F00_0001), port: 0))
        let connections = try (0..<40).map { try rig.addConnection($0) }
        var fed: [UInt8] = []
        for number in 0..<300 {
            let packet = rtp(sequence: UInt16(number), timestamp: 0, ssrc: 0x5EED, marker: true, payload: [UInt8](repeating: 7, count: 500))
            rig.network.send(packet, to: socket, from: 0)
            fed += framed(0, packet)
            // Hundreds of completions wait for one turn.
            if number % 100 == 99 {
                try rig.until("packet \(number) at every reader") {
                    connections.allSatisfy { rig.network.received($0.connection).count >= fed.count }
                }
            }
        }
        for connection in connections { #expect(rig.network.received(connection.connection) == fed) }
        #expect(rig.counters[.packetsReceived] == 300)
        #expect(rig.counters[.packetsSent] == 300 * 40)
        if completions < 64 { #expect(rig.counters[.completionOverflows] > 0, "the ring never overflowed") }
        #expect(try rig.stop() == 0)
    }
}

import Foundation
import PlaneLink
import Testing

@testable import ControlPlane

@Suite struct StatusTests {
    private func status(_ change: (EngineCounters) -> Void = { _ in }) -> Status {
        let counters = EngineCounters(workers: 2)
        defer { counters.free() }
        change(counters)
        return Status(counters, nanoseconds: 5_000_000_000)
    }

    /// The line as a JSON reader sees it.
    private func read(_ status: Status) throws -> [String: Any] {
        let line = Status.Rates(from: self.status(), to: status).json(
            backend: BackendChoice(name: "io_uring", reason: "a \"reason\" with \\ and a\nline"))
        #expect(!line.contains("\n"))
        return try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
    }

    @Test func showsTheEnginesCountersSummedOverWorkers() throws {
        var status = status { counters in
            counters.forWorker(0).add(.zcSent, 3)
            counters.forWorker(1).add(.zcSent, 4)
            counters.add(.zcCopied, 2)
            counters.add(.zcPending, 1)
            counters.add(.joinBursts, 5)
            counters.add(.packetsOverPolicy, 11)
            counters.add(.readersTooSlow, 2)
            counters.add(.packetsDroppedNoRoom, 7)
        }
        status.workers = 2
        let line = try read(status)
        let engine = try #require(line["engine"] as? [String: Int])
        #expect(
            engine["workers"] == 2 && engine["workers_failed"] == 0 && engine["zc_sent"] == 7 && engine["zc_copied"] == 2
                && engine["zc_pending"] == 1)
        #expect(engine["join_bursts"] == 5)
        #expect(Set(engine.keys) == Set(Status.EngineFact.allCases.map(\.rawValue) + ["workers", "workers_failed"]))
        let drops = try #require(line["drops"] as? [String: Int])
        #expect(drops == ["overrun": 0, "no_room": 7, "refused": 0, "policy": 11, "stalled": 0, "too_slow": 2, "too_large": 0])
        #expect(line["backend"] as? String == "io_uring")
        #expect(line["backend_reason"] as? String == "a \"reason\" with \\ and a line")
    }

    @Test func namesThePathsThatHaveAStream() throws {
        var status = status()
        status.receiveDrops = 9
        status.paths = [.init(name: "cam/1", readers: 3, receiveDrops: 9), .init(name: "two", readers: 0, receiveDrops: 0)]
        let line = try read(status)
        #expect(line["receive_drops"] as? Int == 9)
        let paths = try #require(line["paths"] as? [String: [String: Int]])
        #expect(paths == ["cam/1": ["readers": 3, "receive_drops": 9], "two": ["readers": 0, "receive_drops": 0]])
        #expect(Status.Rates(from: self.status(), to: status).line.hasSuffix("drops 0  receive drops 9"))
        #expect(Status.Rates(from: status, to: self.status()).line.hasSuffix("drops 0"))
    }
}

import Foundation
import Testing

@testable import Workbench

struct JSONTests {
    @Test func writesEveryKindOnOneLine() {
        let value = JSONValue.members([
            "a": .integer(-3), "b": .number(0.12345), "c": .null, "d": .boolean(true), "e": .array([.integer(1), .text("x")]),
            "f": .text("say \"\\\" \n\u{1}é"), "g": .number(.nan), "h": .number(.infinity), "i": .object([]), "j": .count(.max),
        ])
        #expect(
            value.line
                == #"{"a":-3,"b":0.1235,"c":null,"d":true,"e":[1,"x"],"f":"say \"\\\" \n\u0001é","g":null,"h":null,"i":{},"j":9223372036854775807}"#
        )
    }

    @Test(arguments: [0.0, 1.5, 0.0001, 123_456.789, 1e11, 1e22, -2.25])
    func numbersAreReadBack(_ number: Double) throws {
        let data = Data(JSONValue.array([.number(number)]).line.utf8)
        let read = try #require(try JSONSerialization.jsonObject(with: data) as? [Double])
        #expect(abs(read[0] - number) <= 0.00005)
    }

    /// The names that users' scripts go by, in the order they are promised.
    @Test func loadReportHasItsMembers() throws {
        let read = try object(LoadReport().json)
        #expect(
            Set(read.keys) == [
                "sessions", "playing", "packets", "pps", "lost", "lossy_sessions", "real_time_ratio", "spread_ms", "spread_readers",
                "lateness_ms", "join_ms", "sink", "server_cpu_us_per_packet", "server_cores", "server_rss_mib", "client_cores",
                "duplicates", "reordered", "receiver_drops", "mean_train", "receive_gro", "protocol", "transport", "duration", "processes",
                "joiners", "behind_ms", "bytes", "failures", "server_cpu_ns_per_byte",
            ])
        for name in ["spread_ms", "lateness_ms", "join_ms"] {
            #expect(Set((read[name] as? [String: Any] ?? [:]).keys) == ["p50", "p99", "max"])
        }
        #expect(read["joiners"] is NSNull)
        var report = LoadReport()
        report.joiners = LoadAccount()
        let joiners = try #require(try object(report.json)["joiners"] as? [String: Any])
        #expect(
            Set(joiners.keys) == ["sessions", "playing", "rate", "packets", "lost", "lossy_sessions", "duplicates", "join_ms"])
        report.sink = .trunc
        #expect(try (object(report.json)["joiners"] as? [String: Any])?["lost"] is NSNull)
    }

    @Test func fanoutReportHasItsMembers() throws {
        var report = FanoutReport()
        let names: Set<String> = [
            "packets", "cpu_us_per_packet", "limit_us_per_packet", "ratio_to_limit", "drops", "spread_ms", "limit_spread_ms",
            "lateness_ms", "rss_mib", "backend", "backend_reason", "send_call", "zc_sent", "zc_copied", "workers", "mean_train", "missing",
            "transport",
            "subscribers",
            "packets_per_frame", "packet_size", "fps", "receive_gro", "sink", "pairs",
        ]
        #expect(Set(try object(report.json).keys) == names)
        report.options.gather = true
        #expect(Set(try object(report.json).keys) == names.union(["gather_us_per_packet", "contiguous_to_gather"]))
        report.options.gather = false
        report.options.destination = "192.0.2.1"
        #expect(Set(try object(report.json).keys) == names.union(["to", "note"]))
    }

    @Test func ingestReportHasTheFanoutsMembers() throws {
        let read = try object(IngestReport().json)
        for name in [
            "packets", "cpu_us_per_packet", "limit_us_per_packet", "ratio_to_limit", "drops", "lateness_ms", "rss_mib", "backend",
            "backend_reason",
            "mean_train",
            "streams", "receive_gro", "pairs",
        ] {
            #expect(read[name] != nil, "\(name)")
        }
    }

    @Test func exitStatusTellsLossFromFailure() {
        var report = LoadReport()
        report.running.sessions = 2
        report.running.playing = 2
        #expect(report.exitStatus == 0)
        report.running.lost = 1
        #expect(report.exitStatus == 3)
        report.running.lost = 0
        report.running.lossySessions = 1
        #expect(report.exitStatus == 3)
        report.running.playing = 1
        #expect(report.exitStatus == 1)
        report.running = LoadAccount()
        report.joiners = LoadAccount()
        #expect(report.exitStatus == 0)
        report.joiners?.lost = 1
        #expect(report.exitStatus == 3)
        report.joiners?.sessions = 1
        #expect(report.exitStatus == 1)
    }

    private func object(_ value: JSONValue) throws -> [String: Any] {
        #expect(!value.line.contains("\n"))
        return try #require(try JSONSerialization.jsonObject(with: Data(value.line.utf8)) as? [String: Any])
    }
}

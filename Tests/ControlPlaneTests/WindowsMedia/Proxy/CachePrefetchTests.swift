import Foundation
import NIOCore
import Testing

@testable import ControlPlane

extension RTSPServerTests {
    /// What is brought into the cache before anybody asks for it, as the control socket hears of it.
    @Suite struct Prefetched {
        /// The prefetches of a rig's proxy.
        private struct Prefetches: Sendable {
            let rig: ServerHarness
            let bound: NIOLoopBound<CachePrefetches>

            init(_ rig: ServerHarness) throws {
                self.rig = rig
                bound = try rig.run { NIOLoopBound(CachePrefetches(paths: $0.paths, eventLoop: $0.loop), eventLoop: $0.loop) }
            }

            func ask(_ arguments: [String: String]) throws -> PrefetchAnswer {
                try rig.run { [bound] _ in try bound.value.answer(ControlRequest("prefetch", arguments)) }
            }

            /// Waits until it is over, or so.
            func wait(_ id: Int, until isSo: (PrefetchAnswer) -> Bool = { $0.state.isFinal }) throws -> PrefetchAnswer {
                var answer = PrefetchAnswer()
                for _ in 0..<2_000 {
                    answer = try ask(["do": "look", "id": "\(id)"])
                    if isSo(answer) { return answer }
                    usleep(10_000)
                }
                Issue.record("prefetch \(id) is still \(answer)")
                return answer
            }

            func run(_ url: String) throws -> PrefetchAnswer { try wait(try ask(["do": "start", "url": url]).id) }

            /// How all of them are, in one turn of the event loop, after one of them was given up.
            func states(_ ids: [Int], stopping id: Int? = nil) throws -> [PrefetchAnswer] {
                try rig.run { [bound] _ in
                    if let id { _ = try bound.value.answer(ControlRequest("prefetch", ["do": "stop", "id": "\(id)"])) }
                    return try ids.map { try bound.value.answer(ControlRequest("prefetch", ["do": "look", "id": "\($0)"])) }
                }
            }

            /// What a request is refused with.
            func refusal(_ arguments: [String: String]) -> String? {
                do { return "answered: \(try ask(arguments))" } catch { return (error as? ControlAnswer.Trouble)?.code }
            }
        }

        @Test("All of it is on the disk before anybody plays it, by one play of the origin; then the origin may go")
        func isKept() throws {
            let rig = try ProxyRig()
            defer { rig.stop() }
            let prefetches = try Prefetches(rig.proxy)
            let url = "mms://127.0.0.1:\(rig.origin.port)/%61"
            let answer = try prefetches.run(url)
            #expect(answer.state == .kept && answer.words == "it was fetched" && answer.outcome == "MISS not-cached", "\(answer)")
            #expect(answer.packets == 2_000 && answer.packetsInAll == 2_000 && answer.percent == 100)
            #expect(answer.bytesInAll == UInt64(rig.content.bytes.count))
            #expect(try rig.plays() == 1)
            let records = try CacheView(rig.directory).records()
            #expect(records.map(\.isWhole) == [true] && records.first?.ranges == [0..<2_000])
            // Once more: nothing is fetched twice.
            let again = try prefetches.run(url)
            #expect(again.state == .kept && again.words == "all of it was here", "\(again)")
            #expect(try rig.plays() == 1)
            try rig.origin.stop()
            let played = try rig.play(guid: "{1}")
            #expect(played.ended && played.packets == rig.content.packets)
            #expect(rig.outcomes.last == "HIT origin-unreachable", "\(rig.outcomes)")
        }

        @Test("What a player brought a moment ago is kept when that is on the disk, too")
        func isKeptBehindAPlayer() throws {
            for _ in 0..<3 {
                let rig = try ProxyRig(packets: 200)
                defer { rig.stop() }
                let prefetches = try Prefetches(rig.proxy)
                #expect(try rig.play(guid: "{1}").ended)
                let answer = try prefetches.run("mms://127.0.0.1:\(rig.origin.port)/a")
                let records = try CacheView(rig.directory).records()
                #expect(answer.state == .kept && records.map(\.isWhole) == [true], "\(answer) \(records)")
            }
        }

        @Test("What may not be kept, or cannot be had, fails with words")
        func fails() throws {
            let rig = try ProxyRig(path: "    cache: no\n")
            defer { rig.stop() }
            let prefetches = try Prefetches(rig.proxy)
            let url = "mmsh://127.0.0.1:\(rig.origin.port)/a"
            let forbidden = try prefetches.run(url)
            #expect(
                forbidden.state == .failed && forbidden.words.contains("may not be kept") && forbidden.words.contains("cache-off"),
                "\(forbidden)")
            try rig.origin.stop()
            let gone = try prefetches.run(url)
            #expect(gone.state == .failed && !gone.words.isEmpty, "\(gone)")
            // What is over is known on, and is not ended again.
            #expect(try prefetches.ask(["do": "stop", "id": "\(forbidden.id)"]) == forbidden)
        }

        @Test("What is asked wrongly is refused")
        func refuses() throws {
            let rig = try ProxyRig(packets: 10)
            defer { rig.stop() }
            let prefetches = try Prefetches(rig.proxy)
            let url = "mmsh://127.0.0.1:\(rig.origin.port)/a"
            for (arguments, code) in [
                ([:], "argument"), (["do": "dance"], "argument"), (["do": "start"], "argument"),
                (["do": "start", "url": "no URL"], "argument"),
                (["do": "start", "url": "mmsh://127.0.0.1/%zz"], "argument"),
                (["do": "start", "url": "mmsh://elsewhere.example/a"], "path"),
                (["do": "start", "url": url, "id": "1"], "argument"), (["do": "look", "id": "77"], "argument"),
                (["do": "look", "id": "x"], "argument"), (["do": "stop"], "argument"),
            ] { #expect(prefetches.refusal(arguments) == code, "\(arguments)") }
        }

        @Test("Four are fetched at a time; one that is given up makes room, and the end ends all")
        func fourAtATime() throws {
            // It takes every connection and says nothing.
            let silent = try ScriptedHTTPOrigin { _, _ in .silence }
            let others = (0..<6).map { "  s\($0):\n    source: mmsh://127.0.0.1:\(silent.port)/s\($0)\n" }.joined()
            let rig = try ProxyRig(packets: 10, path: others)
            defer { rig.stop() }
            let prefetches = try Prefetches(rig.proxy)
            // Each of these is one turn of the event loop: the origin's silence has not been noticed meanwhile.
            let ids = try rig.proxy.run { [bound = prefetches.bound] _ in
                try (0..<6).map { number in
                    let url = "mmsh://127.0.0.1:\(silent.port)/s\(number)"
                    return try bound.value.answer(ControlRequest("prefetch", ["do": "start", "url": url])).id
                }
            }
            let first = try prefetches.states(ids, stopping: ids[1])
            #expect(first.map(\.state) == [.asking, .failed, .asking, .asking, .waiting, .waiting], "\(first)")
            #expect(first[1].words == "it was given up")
            let second = try prefetches.states(ids)
            #expect(second.map(\.state) == [.asking, .failed, .asking, .asking, .asking, .waiting], "\(second)")
            try rig.proxy.run { [bound = prefetches.bound] _ in bound.value.stop() }
            let ended = try prefetches.states(ids)
            #expect(ended.allSatisfy { $0.state == .failed } && ended[5].words == "Weir stops", "\(ended)")
        }
    }
}

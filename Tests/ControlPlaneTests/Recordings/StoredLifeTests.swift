import NIOCore
import Testing
import WireFormats

@testable import ControlPlane

extension RTSPServerTests {
    /// What happens to stored media while it is recorded and played.
    @Suite struct StoredLives {
        private static let film = (0..<10).map { UInt8($0) }

        /// Who plays what is purged plays on; who comes then begins anew.
        @Test func purgedWhileItIsPlayed() throws {
            let origin = try StoredOrigin()
            let rig = try StoredRig("rtsp://127.0.0.1:\(origin.port)/film", path: "    cache-age: 1h\n")
            defer {
                rig.remove()
                origin.close()
            }
            try rig.player().playAll()
            try rig.waitUntilWhole()
            // A decision holds for a moment.
            try rig.forgetDecision()
            let reader = try rig.playing()
            try reader.read(pictures: 2)
            #expect(try rig.outcome() == "HIT fresh")
            try rig.purge()
            origin.change { $0.version = 2 }
            let next = try rig.player()
            try next.playAll()
            #expect(try rig.outcome() == "MISS not-cached")
            #expect(next.versions == [2] && next.pictures == Self.film)
            try reader.read()
            #expect(reader.versions == [1] && reader.pictures == Self.film && reader.goodbyes == 2)
            try rig.stop()
        }

        @Test func purgedWhileItIsRecorded() throws {
            var mood = StoredOrigin.Mood()
            mood.saysGoodbye = false
            let origin = try StoredOrigin(mood, length: 8_000)
            let rig = try StoredRig("rtsp://127.0.0.1:\(origin.port)/film")
            defer {
                rig.remove()
                origin.close()
            }
            let reader = try rig.playing()
            try reader.read(pictures: 2)
            try rig.harness.eventually("there is something to purge") {
                (try? $0.film?.cacheDesk?.store.records(limit: 10).isEmpty) == false
            }
            try rig.purge()
            // The next has a recording of his own; what the first one's server sends from now on still reaches the first.
            let next = try rig.playing()
            #expect(try rig.outcome() == "MISS not-cached")
            #expect(origin.count(.play) == 2)
            try reader.read(pictures: 10)
            try next.read(pictures: 10)
            origin.send(onConnection: 0, StoredOrigin.picture(10, version: 9))
            try reader.read(pictures: 11)
            #expect(reader.pictures == (0...10).map { UInt8($0) } && reader.versions == [1, 9])
            try rig.stop()
        }

        /// The server does not say goodbye, and one of its tracks is shorter: that it is there and sends nothing more is the end. That it is gone
        /// is none.
        @Test(arguments: [true, false]) func endWithoutGoodbye(isThere: Bool) throws {
            var mood = StoredOrigin.Mood()
            (mood.saysGoodbye, mood.videoEnds, mood.audioEnds) = (false, 1_000, 3_000)
            let origin = try StoredOrigin(mood, length: 3_000)
            let rig = try StoredRig("rtsp://127.0.0.1:\(origin.port)/film", path: "    silence: \(isThere ? 1 : 60)s\n    cache-age: 1h\n")
            defer {
                rig.remove()
                origin.close()
            }
            let reader = try rig.playing()
            try reader.read(pictures: 10)
            if !isThere { origin.hangUp() }
            if isThere {
                try rig.waitUntilWhole()
            } else {
                try rig.harness.eventually("it is let go of") { $0.film?.cachedPull?.recordingForAll == nil }
            }
            try reader.read()
            #expect(reader.goodbyes == 2)
            try rig.harness.eventually("what is in the cache") {
                (try? $0.film?.cacheDesk?.store.records(limit: 10).map(\.isWhole)) == (isThere ? [true] : [])
            }
            #expect(origin.count(.getParameter) == (isThere ? 1 : 0))
            try rig.stop()
        }

        /// A server that is silent for a while near the end, does not answer whether it is there, and goes on.
        @Test func mediaBehindTheQuestionGoesOn() throws {
            var mood = StoredOrigin.Mood()
            (mood.saysGoodbye, mood.videoEnds, mood.audioEnds, mood.unanswered) = (false, 2_000, 2_000, [.getParameter])
            let origin = try StoredOrigin(mood, length: 3_000)
            let rig = try StoredRig("rtsp://127.0.0.1:\(origin.port)/film", path: "    silence: 1s\n")
            defer {
                rig.remove()
                origin.close()
            }
            let reader = try rig.playing()
            try reader.read(pictures: 1)
            try rig.harness.eventually("it is asked") { _ in origin.count(.getParameter) == 1 }
            origin.send(onConnection: 0, StoredOrigin.picture(20, version: 1))
            // As that is not the end, silence is looked for anew.
            try rig.harness.eventually("it is asked again") { _ in origin.count(.getParameter) == 2 }
            try reader.read(pictures: 21)
            #expect(reader.pictures == (0...20).map { UInt8($0) })
            try rig.stop()
        }

        /// What was recorded by one relay is played by the next, without the server.
        @Test func outlivesTheRelay() throws {
            let origin = try StoredOrigin()
            let first = try StoredRig("rtsp://127.0.0.1:\(origin.port)/film", path: "    cache-age: 1h\n")
            defer { first.remove() }
            try first.player().playAll()
            try first.waitUntilWhole()
            try first.stop()
            origin.close()
            let second = try StoredRig("rtsp://127.0.0.1:\(origin.port)/film", path: "    cache-age: 1h\n", in: first.directory)
            let reader = try second.player()
            try reader.playAll()
            #expect(reader.pictures == Self.film && reader.versions == [1])
            #expect(try second.outcome() == "HIT fresh")
            // It has ended, and goodbye was said; played again it begins again.
            #expect(try reader.play().status == .ok)
            try reader.read(pictures: 11)
            #expect(reader.pictures.last == 0)
            try second.stop()
        }

        @Test func prefetched() throws {
            let origin = try StoredOrigin()
            let rig = try StoredRig("rtsp://127.0.0.1:\(origin.port)/film")
            defer {
                rig.remove()
                origin.close()
            }
            let url = "rtsp://127.0.0.1:\(origin.port)/film"
            func prefetch() throws -> PrefetchAnswer {
                let jobs = try rig.harness.run { NIOLoopBound(CachePrefetches(paths: $0.paths, eventLoop: $0.loop), eventLoop: $0.loop) }
                let id = try rig.harness.run { _ in
                    try jobs.value.answer(ControlRequest("prefetch", ["do": "start", "url": url])).id
                }
                let look = ControlRequest("prefetch", ["do": "look", "id": "\(id)"])
                try rig.harness.eventually("the prefetch ends") { _ in (try? jobs.value.answer(look).state.isFinal) == true }
                return try rig.harness.run { _ in try jobs.value.answer(look) }
            }
            let answer = try prefetch()
            #expect(answer.state == .kept && answer.outcome == "MISS not-cached" && answer.percent == 100, "\(answer)")
            #expect(answer.bytesInAll > 0)
            #expect(try prefetch().state == .kept)
            #expect(origin.count(.play) == 1)
            origin.change { $0.cacheControl = "no-cache" }
            try rig.forgetDecision()
            let refused = try prefetch()
            #expect(refused.state == .failed && refused.words.contains("no-cache"), "\(refused)")
            try rig.stop()
        }
    }
}

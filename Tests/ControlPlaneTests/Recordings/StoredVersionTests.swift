import NIOCore
import Testing
import WireFormats

@testable import ControlPlane

extension RTSPServerTests {
    /// What is kept of a server's stored media is one version, of one place, and of nobody's password.
    @Suite struct StoredVersions {
        private func with(_ mood: StoredOrigin.Mood, path: String = "", user: String = "", _ body: (StoredOrigin, StoredRig) throws -> Void)
            throws
        {
            let origin = try StoredOrigin(mood)
            let rig = try StoredRig("rtsp://\(user)127.0.0.1:\(origin.port)/film", path: path)
            defer {
                rig.remove()
                origin.close()
            }
            do { try body(origin, rig) } catch {
                try rig.stop()
                throw error
            }
            try rig.stop()
        }

        @Test func anotherVersionIsNotPlayedInTheOldOnesPlace() throws {
            var mood = StoredOrigin.Mood()
            mood.etag = "\"1\""
            try with(mood) { origin, rig in
                let first = try rig.player()
                _ = try first.describe()
                try first.setUp()
                // The connection that described itself breaks; behind the next one there is another film.
                origin.change { ($0.version, $0.etag) = (2, "\"2\"") }
                origin.hangUp()
                try rig.harness.eventually("the connection is gone") { $0.film?.cachedPull?.warm == nil }
                let answer = try first.play()
                #expect(answer.status == .serviceUnavailable)
                #expect(String(decoding: answer.body, as: UTF8.self).contains("has something else now"))
                #expect(origin.count(.play) == 0)
                // Who asks anew is described and played what there is.
                let second = try rig.player()
                try second.playAll()
                #expect(second.versions == [2])
                try rig.waitUntilWhole()
                let third = try rig.player()
                try third.playAll()
                #expect(third.versions == [2] && origin.count(.play) == 1)
            }
        }

        @Test func halfOfAVersionIsNotCompletedWithAnother() throws {
            var mood = StoredOrigin.Mood()
            (mood.etag, mood.saysGoodbye) = ("\"1\"", false)
            (mood.videoEnds, mood.audioEnds) = (1_000, 1_000)
            let origin = try StoredOrigin(mood, length: 30_000)
            let rig = try StoredRig("rtsp://127.0.0.1:\(origin.port)/film")
            defer {
                rig.remove()
                origin.close()
            }
            let reader = try rig.playing()
            try reader.read(pictures: 1)
            // A second one is beside it.
            let beside = try rig.playing()
            origin.change { ($0.version, $0.etag, $0.videoEnds, $0.audioEnds) = (2, "\"2\"", 30_000, 30_000) }
            // A place that is not here would come from the new version.
            let far = try rig.player()
            _ = try far.describe()
            try far.setUp()
            #expect(try far.play(at: 20).status == .serviceUnavailable)
            origin.hangUp()
            try reader.read()
            try beside.read()
            for player in [reader, beside] {
                #expect(player.versions == [1] && player.goodbyes == 2)
                #expect(player.pictures == (0..<10).map { UInt8($0) })
            }
            #expect(origin.count(.play) == 1)
            // That it changed is known since then: nobody is described the old one, though it was asked about a moment ago.
            let described = origin.count(.describe)
            _ = try rig.player().describe()
            #expect(origin.count(.describe) == described + 1)
            try rig.stop()
        }

        /// Where the source's own URL leads is asked each time; what is kept is kept under that URL.
        @Test func redirectionsAreFollowedAnew() throws {
            var mood = StoredOrigin.Mood()
            mood.etag = "\"1\""
            let one = try StoredOrigin(mood)
            (mood.version, mood.etag) = (2, "\"2\"")
            let two = try StoredOrigin(mood)
            mood.location = "rtsp://127.0.0.1:\(one.port)/there"
            let guide = try StoredOrigin(mood)
            let rig = try StoredRig("rtsp://127.0.0.1:\(guide.port)/a/../film")
            defer {
                rig.remove()
                for origin in [guide, one, two] { origin.close() }
            }
            let first = try rig.player()
            try first.playAll()
            #expect(first.versions == [1])
            try rig.waitUntilWhole()
            guide.change { $0.location = "rtsp://127.0.0.1:\(two.port)/there" }
            try rig.forgetDecision()
            let second = try rig.player()
            try second.playAll()
            #expect(second.versions == [2])
            #expect(try rig.outcome() == "MISS changed")
            #expect(Set(guide.requests.filter { $0.method == .describe }.map(\.uri)) == ["rtsp://127.0.0.1:\(guide.port)/film"])
            #expect(try rig.harness.run { $0.film?.cachedPull?.key } == "rtsp://127.0.0.1:\(guide.port)/film")
            try rig.stop()
        }

        // MARK: Passwords

        /// What the operator's password opens is not kept for others, wherever the server asks for it.
        @Test(arguments: [[RTSPMethod.options, .describe, .setup, .play], [.describe], [.setup], [.play]])
        func whatAPasswordOpensIsNotKept(guarded: [RTSPMethod]) throws {
            var mood = StoredOrigin.Mood()
            mood.guarded = guarded
            try with(mood, user: "me:secret@") { origin, rig in
                let first = try rig.player()
                let answer = try first.describe()
                #expect(!"\(answer.headers) \(String(decoding: answer.body, as: UTF8.self))".contains("secret"))
                if answer.status == .ok, try !rig.isLive() {
                    // It shows when it is played: who asked before is played it.
                    try first.setUp()
                    #expect(try first.play().status == .ok)
                    try first.read()
                    #expect(first.versions == [1])
                    _ = try rig.player().describe()
                }
                #expect(try rig.isLive())
                #expect(try rig.harness.run { try $0.film?.cacheDesk?.store.records(limit: 10).isEmpty } == true)
            }
        }

        @Test(arguments: [[RTSPMethod.describe], [.play]]) func sharedPasswordsAreNotTold(guarded: [RTSPMethod]) throws {
            var mood = StoredOrigin.Mood()
            mood.guarded = guarded
            try with(mood, path: "    cache-credentials: share\n    cache-age: 1h\n", user: "me:secret@") { origin, rig in
                let first = try rig.player()
                let answer = try first.describe()
                #expect(answer.status == .ok)
                #expect(!"\(answer.headers) \(String(decoding: answer.body, as: UTF8.self))".contains("secret"))
                try first.setUp()
                #expect(try first.play().status == .ok)
                try first.read()
                try rig.waitUntilWhole()
                let record = try rig.harness.run { try $0.film?.cacheDesk?.store.records(limit: 10).first }
                #expect(record?.key == "rtsp://127.0.0.1:\(origin.port)/film")
                #expect(record.map { !"\($0)".contains("secret") && $0.facts.dialect == CachedRecording.challengedDialect } == true)
            }
        }

        /// A server that has begun to ask for a password: what it gave to everybody is not given any more.
        @Test func aNewPasswordLetsGoOfWhatIsKept() throws {
            try with(StoredOrigin.Mood()) { origin, rig in
                try rig.player().playAll()
                try rig.waitUntilWhole()
                origin.change { $0.guarded = [.describe] }
                try rig.forgetDecision()
                #expect(try rig.player().describe().status == .serviceUnavailable)
                #expect(try rig.isLive())
                try rig.harness.eventually("it is let go of") {
                    (try? $0.film?.cacheDesk?.store.records(limit: 10).isEmpty) == true
                }
            }
        }
    }
}

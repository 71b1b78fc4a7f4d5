import Glibc
import NIOCore
import Signalling
import Testing
import WireFormats

@testable import ControlPlane

extension RTSPServerTests {
    /// On-demand content of a Weir that is the origin, by both protocols.
    @Suite struct OriginOfOurOwn {
        private static func origin(packets: Int, step: Int = 1, _ more: String = "") throws -> (LongASF, LongASF.File, ServerHarness) {
            let content = LongASF(packets: packets, stepMilliseconds: step)
            let file = try LongASF.File(content)
            return (content, file, try ServerHarness(yaml: "paths:\n  a:\n    source: \(file.name)\n\(more)"))
        }

        private static func url(_ scheme: String, _ harness: ServerHarness, _ path: String = "a") -> String {
            "\(scheme)://127.0.0.1:\(harness.port)/\(path)"
        }

        @Test(arguments: ["mmsh", "rtsp", "mms"]) func whatItSays(scheme: String) throws {
            let (content, file, harness) = try Self.origin(packets: 10)
            defer { withExtendedLifetime(file) { try? harness.stop() } }
            let rig = try OriginRig(Self.url(scheme, harness))
            guard case .says(let said) = try rig.ask() else { return #expect(Bool(false)) }
            #expect(said.means == .contentInfo && said.dialect == (scheme == "mmsh" ? .wmsp : .rtsp))
            let control = MSRTSPCacheControl(said.cacheControl)
            #expect(control.contentBytes == UInt64(content.bytes.count) && control.maxAgeSeconds != nil)
            #expect(!said.isBroadcast && said.openedBy == .nobody && said.header == nil)
            guard case .says(let described) = try rig.ask(.describe) else { return #expect(Bool(false)) }
            #expect(described.means == .describe && described.header == content.header)
            #expect(described.etag != nil && said.etag.map { $0 == described.etag } ?? (scheme != "mmsh"))
            #expect(described.features?.contains(.seekable) == true && !described.isBroadcast)
            guard case .refused(404, _) = try OriginRig(Self.url(scheme, harness, "nothing")).ask() else { return #expect(Bool(false)) }
        }

        @Test(arguments: ["mmsh", "rtsp", "mms"]) func everyPacket(scheme: String) throws {
            let (content, file, harness) = try Self.origin(packets: 3_000)
            defer { withExtendedLifetime(file) { try? harness.stop() } }
            let rig = try OriginRig(Self.url(scheme, harness))
            try rig.start()
            try rig.eventually("it comes to its end") { $0.finished == 1 }
            let heard = try rig.run { $0.packets }
            #expect(heard.map(\.number) == Array(0..<3_000) && heard.map(\.bytes) == content.packets)
            let description = try #require(try rig.run { $0.description })
            #expect(description.header.bytes == content.header && description.packetCount == 3_000 && description.unfit == nil)
            #expect(try rig.run { $0.starts } == [.init(packet: 0, sendTime: 0, milliseconds: 0, isExact: true)])
            // Once more, from elsewhere, in the same session.
            try rig.run { $0.forget() }
            try rig.with { $0.play(from: .packet(2_990), pace: .player(nil)) }
            try rig.eventually("it comes to its end again") { $0.finished == 2 }
            #expect(try rig.run { $0.packets.map(\.number) } == Array(2_990..<3_000))
            #expect(try rig.run { $0.end } == nil)
            try rig.leave()
        }

        @Test(arguments: ["mmsh", "rtsp"]) func fromATimeAndElsewhereWhileItPlays(scheme: String) throws {
            let (_, file, harness) = try Self.origin(packets: 600, step: 100)
            defer { withExtendedLifetime(file) { try? harness.stop() } }
            let rig = try OriginRig(Self.url(scheme, harness))
            try rig.run { $0.seeks = (at: 5, to: .packet(550)) }
            try rig.start(.time(milliseconds: 30_000))
            try rig.eventually("it plays from elsewhere") { $0.starts.count == 2 && $0.packets.count > 5 }
            let starts = try rig.run { $0.starts }
            // 30 s without the preroll, which the presentation times have and the send times have not.
            #expect(starts.first?.packet == 300 && starts.first?.isExact == true && starts.last?.packet == 550, "\(starts)")
            #expect(try rig.run { $0.packets.map(\.number).starts(with: 550...555) })
            try rig.leave()
        }

        @Test(arguments: ["mmsh", "rtsp"]) func whatIsHeldStaysThere(scheme: String) throws {
            let (content, file, harness) = try Self.origin(packets: 60_000, step: 0)
            defer { withExtendedLifetime(file) { try? harness.stop() } }
            let rig = try OriginRig(Self.url(scheme, harness))
            try rig.run { $0.pausesAt = 100 }
            try rig.start()
            try rig.eventually("it begins") { $0.packets.count >= 100 }
            usleep(300_000)
            let held = try rig.run { $0.packets.count }
            // One read of what was on the way.
            #expect(held < 100 + 65_536 / 100, "\(held)")
            usleep(200_000)
            #expect(try rig.run { $0.packets.count } == held)
            try rig.with { $0.resume() }
            try rig.eventually("all of it comes", seconds: 20) { $0.finished == 1 }
            #expect(try rig.run { $0.packets.map(\.number) } == Array(0..<60_000))
            #expect(try rig.run { $0.packets.last?.bytes } == content.packets.last)
            try rig.leave()
        }

        /// Where one entry of a playlist ends and the next begins is told; nothing of either is missing, and nothing is kept by number.
        @Test(arguments: ["mmsh", "rtsp"]) func entriesOfAPlaylist(scheme: String) throws {
            let first = LongASF(packets: 40), second = LongASF(packets: 70)
            let files = [try LongASF.File(first), try LongASF.File(second)]
            let folder = try PlaylistFolder(["list.wsx": "<smil>\(files.map { "<media src='\($0.name)'/>" }.joined())</smil>"])
            let harness = try ServerHarness(yaml: "paths:\n  list:\n    source: \(folder["list.wsx"])\n")
            defer { withExtendedLifetime(files) { try? harness.stop() } }
            let rig = try OriginRig(Self.url(scheme, harness, "list"))
            try rig.start(pace: .player(nil))
            try rig.eventually("it comes to its end", seconds: 20) { $0.finished == 1 || $0.end != nil }
            #expect(try rig.run { $0.description?.isPlaylist == true && $0.description?.unfit == "it is a playlist" })
            #expect(try rig.run { $0.entries } == 1)
            let starts = try rig.run { $0.starts }
            #expect(starts.count == 2, "\(starts)")
            #expect(try rig.run { $0.packets.map(\.bytes) } == first.packets + second.packets)
            try rig.leave()
        }

        @Test func nobodyThere() throws {
            let origin = try ScriptedHTTPOrigin { _, _ in .silence }
            let port = origin.port
            guard case .unreachable(let words) = try OriginRig("mmsh://127.0.0.1:\(port)/a").ask() else { return #expect(Bool(false)) }
            #expect(words.contains("within 3 s"))
            for scheme in ["mmsh", "rtsp", "mms"] {
                let rig = try OriginRig("\(scheme)://127.0.0.1:1/a")
                guard case .unreachable = try rig.ask() else { return #expect(Bool(false)) }
                try rig.start()
                guard case .unreachable? = try rig.ended() else { return #expect(Bool(false)) }
            }
        }
    }
}

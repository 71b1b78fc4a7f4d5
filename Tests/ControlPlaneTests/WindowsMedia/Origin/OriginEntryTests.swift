import NIOCore
import Signalling
import Testing
import WireFormats

@testable import ControlPlane

extension RTSPServerTests {
    /// What a playlist consists of, and each of its entries by itself, of a Weir that is the origin, by both protocols.
    @Suite struct EntriesOfOurOwn {
        private static func origin(_ counts: [Int], _ attributes: String = "") throws -> (
            [LongASF], [LongASF.File], PlaylistFolder, ServerHarness
        ) {
            let contents = counts.map { LongASF(packets: $0) }
            let files = try contents.map { try LongASF.File($0) }
            let media = files.map { "<media src='\($0.name)' \(attributes)/>" }.joined()
            let folder = try PlaylistFolder(["list.wsx": "<smil>\(media)</smil>"])
            return (contents, files, folder, try ServerHarness(yaml: "paths:\n  list:\n    source: \(folder["list.wsx"])\n"))
        }

        @Test(arguments: ["mmsh", "rtsp"]) func eachByItself(scheme: String) throws {
            let (contents, files, folder, harness) = try Self.origin([40, 70, 1, 55])
            defer { withExtendedLifetime((files, folder)) { try? harness.stop() } }
            let rig = try OriginRig("\(scheme)://127.0.0.1:\(harness.port)/list")
            guard case .success((let list, let statement)) = try rig.walk() else { return #expect(Bool(false)) }
            #expect(list.entries.map { Array($0.header) } == contents.map(\.header))
            #expect(list.entries.map(\.packets) == [40, 70, 1, 55])
            #expect(statement.etag != nil && KeptList(list.bytes) == list)
            // The whole of one, the rest of it in the same session, and the next one.
            let tag = OriginFacts.opaque(try #require(statement.etag))
            let plays: [(index: Int, etag: String?)] = [(3, tag), (0, "\"\(tag)\""), (1, nil)]
            for (index, etag) in plays {
                let rig = try OriginRig("\(scheme)://127.0.0.1:\(harness.port)/list")
                try rig.run { $0.entry = OriginEntry(list: list, index: index, etag: etag) }
                try rig.start()
                try rig.eventually("entry \(index) comes to its end") { $0.finished == 1 || $0.end != nil }
                #expect(try rig.run { $0.packets.map(\.bytes) } == contents[index].packets)
                #expect(try rig.run { $0.description?.header.bytes } == contents[index].header)
                try rig.run { $0.forget() }
                try rig.with { $0.play(from: .packet(30), pace: .asFastAsAllowed) }
                try rig.eventually("the rest of entry \(index) comes") { $0.finished == 2 || $0.end != nil }
                #expect(try rig.run { $0.packets.map(\.bytes) } == Array(contents[index].packets[30...]))
                #expect(try rig.run { $0.end } == nil && rig.run { $0.entries } == 0)
                try rig.leave()
            }
            // Of another version nothing is taken.
            let other = try OriginRig("\(scheme)://127.0.0.1:\(harness.port)/list")
            try other.run { $0.entry = OriginEntry(list: list, index: 1, etag: "\"another\"") }
            try other.start()
            guard case .changed? = try other.ended() else { return #expect(Bool(false)) }
        }

        @Test func whatIsCutOrForbiddenIsNotKept() throws {
            for attributes in ["clipBegin='10ms'", "noSkip='TRUE'"] {
                let (_, files, folder, harness) = try Self.origin([400, 70], attributes)
                defer { withExtendedLifetime((files, folder)) { try? harness.stop() } }
                guard case .failure(let unfit) = try OriginRig("mmsh://127.0.0.1:\(harness.port)/list").walk() else {
                    return #expect(Bool(false), "\(attributes)")
                }
                #expect(unfit.description.hasPrefix("entry 1: "))
            }
        }
    }
}

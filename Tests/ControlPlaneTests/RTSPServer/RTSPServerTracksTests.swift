import Glibc
import PlaneLink
import Testing
import WireFormats

@testable import ControlPlane

extension RTSPServerTests {
    @Suite struct Tracks {
        /// `/live` with other audio.
        private static let otherAudio = ServerHarness.twoTracks.replacing("97 opus/48000/2", with: "97 L16/48000/2")

        private func change(_ harness: ServerHarness, _ sdp: String = Self.otherAudio) throws {
            try harness.run { _ = try $0.paths.path(named: "live")?.sourceDescribed(SessionDescription(sdp)) }
        }

        /// The SSRC that a goodbye in a compound is of.
        private static func goodbye(_ bytes: [UInt8]) -> UInt32? {
            var compound = RTCPCompound()
            while let packet = try? compound.next(in: bytes.span) {
                guard packet.packetType == RTCPPacketType.bye else { continue }
                return bytes.suffix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            }
            return nil
        }

        private func ssrcs(_ harness: ServerHarness) throws -> [UInt32] {
            try harness.run { $0.paths.path(named: "live")?.live?.description.tracks.map(\.plan.ssrc) ?? [] }
        }

        @Test func readersOfUnchangedTracksStayAndOthersAreTold() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            try harness.joinsAt(video: (1, 2), audio: (3, 4))
            let both = try harness.client(), onlyVideo = try harness.client()
            let first = try both.setUpLive()
            let answer = try onlyVideo.ask("SETUP", "/live/trackID=0", ["Transport: RTP/AVP/TCP;unicast;interleaved=0-1"])
            let second = try #require(answer.headers.session?.id)
            #expect(try both.ask("PLAY", "/live/", ["Session: \(first)"]).status == .ok)
            #expect(try onlyVideo.ask("PLAY", "/live/", ["Session: \(second)"]).status == .ok)
            let before = try ssrcs(harness)
            try change(harness)
            // Goodbye on both of its tracks, then the connection's end.
            var goodbyes: [UInt8: UInt32] = [:]
            for _ in 0..<2 {
                guard case .interleaved(let channel, let bytes) = try both.receive() else { continue }
                goodbyes[channel] = Self.goodbye(bytes)
            }
            #expect(goodbyes == [1: before[0], 3: before[1]])
            #expect(both.isClosed())
            #expect(try onlyVideo.ask("GET_PARAMETER", "/live/", ["Session: \(second)"]).status == .ok)
            #expect(try harness.statistics().ends == [.tracksChanged: 1])
            #expect(try harness.log().filter { $0.hasPrefix("remove") } == ["remove 0"])
            #expect(try ssrcs(harness).first == before.first)

            // The new description: the video track by its old name, the audio track by a new one; the old name is none any more.
            let again = try harness.client()
            let sdp = try SessionDescription(try again.ask("DESCRIBE", "/live").body)
            #expect(sdp.media.map(\.control) == ["trackID=0", "trackID=2"])
            #expect(sdp.media.last?.codec == .l16)
            let tcp = "Transport: RTP/AVP/TCP;unicast"
            #expect(try again.ask("SETUP", "/live/trackID=1", [tcp]).status == .notFound)
            let session = try #require(try again.ask("SETUP", "/live/trackID=2", [tcp]).headers.session?.id)
            #expect(try again.ask("SETUP", "/live/trackID=0", [tcp, "Session: \(session)"]).status == .ok)
            #expect(try again.ask("PLAY", "/live/", ["Session: \(session)"]).status == .ok)
            #expect(try harness.log().contains { $0.hasPrefix("addInterleaved") && $0.hasSuffix("2-3 none-none") })
            // Who stayed may take the new track.
            #expect(try onlyVideo.ask("SETUP", "/live/trackID=2", [tcp, "Session: \(second)"]).status == .ok)
        }

        @Test(arguments: [SessionEnd.tracksChanged, .streamEnded, .shutdown])
        func aReaderOverUDPHearsGoodbyeOnEachTrack(end: SessionEnd) throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            try harness.joinsAt(video: (1, 2), audio: (3, 4))
            let sockets = try (0..<2).map { _ in try BoundSocket.open(.datagram, at: .init(ipAddress: "127.0.0.1", port: 0)) }
            defer { for socket in sockets { close(socket) } }
            let ports = sockets.map { Int(BoundSocket.port(of: $0)) }
            let client = try harness.client()
            var session = ""
            for track in 0..<2 {
                let answer = try client.ask(
                    "SETUP", "/live/trackID=\(track)",
                    ["Transport: RTP/AVP;unicast;client_port=40000-\(ports[track])"] + (track == 0 ? [] : ["Session: \(session)"]))
                session = answer.headers.session?.id ?? ""
            }
            #expect(try client.ask("PLAY", "/live/", ["Session: \(session)"]).status == .ok)
            let before = try ssrcs(harness)
            switch end {
            case .tracksChanged: try change(harness)
            case .streamEnded: try harness.run { $0.paths.path(named: "live")?.endStream("gone") }
            default: try harness.loop.flatSubmit { harness.server.stop() }.wait()
            }
            for track in 0..<2 {
                var patience = timeval(tv_sec: 2, tv_usec: 0)
                _ = unsafe setsockopt(sockets[track], SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
                var buffer = [UInt8](repeating: 0, count: 2_048)
                let count = unsafe recv(sockets[track], &buffer, buffer.count, 0)
                #expect(Self.goodbye(Array(buffer.prefix(max(count, 0)))) == before[track])
            }
            #expect(try harness.statistics().ends == [end: 1])
        }

        @Test func anAnswerToPlayThatWaitsIsGivenWhenItsTrackGoes() throws {
            let harness = try ServerHarness()
            defer { try? harness.stop() }
            let client = try harness.client()
            let session = try client.setUpLive(udp: 42_000)
            client.send(client.text("PLAY", "/live/", ["Session: \(session)"]))
            try harness.eventually("it is armed") { $0.engine.log.contains { $0.hasPrefix("arm") } }
            try change(harness)
            #expect(try client.response().status == .sessionNotFound)
        }
    }
}

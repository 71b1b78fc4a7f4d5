import Testing
import WireFormats

@testable import ControlPlane

struct PlaylistSpliceTests {
    /// The smallest file's header: one stream of audio, packets of 128 bytes, a preroll of 1 s.
    private static var header: ASFHeader { get throws { try ASFHeader(Array(SmallASF.bytes[..<SmallASF.headerBytes]).span) } }

    private static var packets: [[UInt8]] {
        let data = Array(SmallASF.bytes[SmallASF.headerBytes...])
        return [Array(data[..<128]), Array(data[128...])]
    }

    /// The same programme in packets of another size, with another preroll, as another stream.
    private static func other(format: UInt8? = nil) throws -> ASFHeader {
        var bytes = try header.bytes
        bytes[30 + 80] = 0xF4
        bytes[30 + 81] = 0x01
        for place in [30 + 92, 30 + 96] {
            bytes[place] = 0
            bytes[place + 1] = 1
        }
        bytes[0xB4 + 72] = 5
        if let format { bytes[0xB4 + 78] = format }
        return try ASFHeader(bytes.span)
    }

    private static func objects(_ packets: [[UInt8]], packetBytes: Int) throws -> [ASFMediaObject] {
        var reassembler = ASFReassembler()
        var objects: [ASFMediaObject] = []
        for packet in packets { try reassembler.take(packet.span, packetBytes: packetBytes) { objects.append($0) } }
        #expect(reassembler.objectsDropped == 0)
        return objects
    }

    @Test("Entries of the same form are moved in time, and nothing else")
    func moved() throws {
        var splice = PlaylistSplice(header: try Self.header)
        var out: [[UInt8]] = []
        for _ in 0..<3 {
            try splice.begins(try Self.header)
            for packet in Self.packets { splice.take(packet) { out.append($0) } }
            splice.ends { out.append($0) }
        }
        let times = try out.map { try ASFPacket($0.span, packetBytes: 128).sendTime }
        #expect(times == [0, 100, 175, 275, 350, 450] && splice.remade == 0 && splice.broken == 0)
        let shown = try Self.objects(out, packetBytes: 128)
        #expect(shown.count == 9 && zip(shown, shown.dropFirst()).allSatisfy { $0.presentationTime <= $1.presentationTime })
        #expect(shown.map(\.bytes) == Array(repeating: shown[..<3].map(\.bytes), count: 3).flatMap(\.self))
    }

    @Test("An entry in packets of another size, numbered otherwise, is made anew behind the first one's header")
    func remade() throws {
        let source = try Self.objects(Self.packets, packetBytes: 128)
        var packetiser = try #require(ASFPacketiser(packetBytes: 256, prerollMilliseconds: 500))
        var large: [[UInt8]] = []
        for var object in source {
            object.stream = 5
            object.presentationTime -= 500
            packetiser.add(object) { large.append($0) }
        }
        packetiser.flush { large.append($0) }
        var splice = PlaylistSplice(header: try Self.header)
        var out: [[UInt8]] = []
        try splice.begins(try Self.header, isOwn: true)
        for packet in Self.packets { splice.take(packet) { out.append($0) } }
        try splice.begins(try Self.other())
        for packet in large { splice.take(packet) { out.append($0) } }
        splice.ends { out.append($0) }
        #expect(splice.remade == 1 && splice.broken == 0 && out.allSatisfy { $0.count == 128 })
        let shown = try Self.objects(out, packetBytes: 128)
        #expect(shown.map(\.bytes) == source.map(\.bytes) + source.map(\.bytes))
        #expect(shown.allSatisfy { $0.stream == 1 })
        #expect(zip(shown, shown.dropFirst()).allSatisfy { $0.presentationTime <= $1.presentationTime && $0.number != $1.number })
        let times = try out.map { try ASFPacket($0.span, packetBytes: 128).sendTime }
        #expect(times == times.sorted())
        // What the player buffers at the seam is what it buffers anywhere.
        #expect(shown[3].presentationTime - times[2] == 1_000)
    }

    @Test("An entry of another format does not fit, and says why; the splice goes on with one that does")
    func misfit() throws {
        var splice = PlaylistSplice(header: try Self.header)
        try splice.begins(try Self.header)
        let other = try Self.other(format: 2)
        var words = ""
        do throws(PlaylistSplice.Misfit) { try splice.begins(other) } catch { words = error.description }
        #expect(words.hasPrefix("stream 1 is ") && words.contains("another format"))
        try splice.begins(try Self.header)
        var out: [[UInt8]] = []
        for packet in Self.packets { splice.take(packet) { out.append($0) } }
        #expect(out.count == 2)
    }
}

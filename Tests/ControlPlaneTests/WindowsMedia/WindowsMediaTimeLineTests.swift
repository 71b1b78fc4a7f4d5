import Testing
import WireFormats

@testable import ControlPlane

struct WindowsMediaTimeLineTests {
    private static let size = 128

    /// The two packets of the smallest file: due at 0 and 100 ms, the second for 75 ms; objects 0, and 1 and 2.
    private static var packets: [[UInt8]] {
        let data = Array(SmallASF.bytes[SmallASF.headerBytes...])
        return [Array(data[..<size]), Array(data[size...])]
    }

    private static func moved(_ line: inout WindowsMediaTimeLine, _ packet: [UInt8]) throws -> (
        send: UInt32, shown: UInt32?, object: UInt32
    ) {
        var packet = packet
        try line.move(&packet, packetBytes: size)
        let head = try ASFPacket(packet.span, packetBytes: size)
        var payloads = ASFPayloads(head)
        let first = try payloads.next(in: packet.span)
        return (head.sendTime, first?.presentationTime, first?.objectNumber ?? .max)
    }

    @Test("A piece goes through as it is")
    func first() throws {
        var line = WindowsMediaTimeLine()
        #expect(try Self.moved(&line, Self.packets[0]) == (0, 1_000, 0))
        #expect(try Self.moved(&line, Self.packets[1]) == (100, 1_100, 1))
    }

    @Test("The next piece goes on where the last one ended, with other objects")
    func goesOn() throws {
        var line = WindowsMediaTimeLine()
        for packet in Self.packets { _ = try Self.moved(&line, packet) }
        line.begins(goingOn: true)
        #expect(try Self.moved(&line, Self.packets[0]) == (175, 1_175, 3))
        #expect(try Self.moved(&line, Self.packets[1]) == (275, 1_275, 4))
        line.begins(goingOn: true)
        #expect(try Self.moved(&line, Self.packets[0]) == (350, 1_350, 6))
    }

    @Test("A clock that steps back in mid-stream begins another piece; a small step does not")
    func stepsBack() throws {
        var line = WindowsMediaTimeLine()
        let later = try Self.shifted(Self.packets[0], by: 60_000)
        _ = try Self.moved(&line, later)
        #expect(try Self.moved(&line, try Self.shifted(Self.packets[0], by: 59_900)).send == 59_900)
        #expect(try Self.moved(&line, Self.packets[0]).send == 60_000)
    }

    @Test("A piece that does not go on is a line of its own")
    func anew() throws {
        var line = WindowsMediaTimeLine()
        for packet in Self.packets { _ = try Self.moved(&line, packet) }
        line.begins(goingOn: false)
        #expect(try Self.moved(&line, Self.packets[0]) == (0, 1_000, 0))
    }

    @Test("What is no packet is refused, and the line stays")
    func broken() throws {
        var line = WindowsMediaTimeLine()
        _ = try Self.moved(&line, Self.packets[0])
        var broken = [UInt8](repeating: 0xFF, count: Self.size)
        #expect(throws: (any Error).self) { try line.move(&broken, packetBytes: Self.size) }
        #expect(try Self.moved(&line, Self.packets[1]) == (100, 1_100, 1))
    }

    private static func shifted(_ packet: [UInt8], by milliseconds: Int32) throws -> [UInt8] {
        var packet = packet
        try ASFRetiming(milliseconds: milliseconds).apply(to: &packet, packetBytes: size)
        return packet
    }
}

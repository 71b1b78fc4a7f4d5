import Glibc
import PlaneLink
import Testing

@testable import FastPath

/// Readers of a splitter over real sockets on loopback, once per backend.
@Suite(.serialized) struct SplitterReaderTests {
    @Test("UDP readers get every packet byte for byte, in order, from the sender's ports", arguments: BackendName.allCases, [1, 2])
    func datagramReaders(backend: BackendName, workers: Int) throws {
        let bench = try SplitterBench(backend: backend, workers: workers)
        let stream = try bench.addStream()
        let sender = bench.added(try bench.splitter.openDatagramSender())
        let port = try #require(bench.splitter.rtpPort(of: sender))
        #expect(port % 2 == 0)
        let source = try bench.addPushed(stream)
        let sockets = (0..<40).map { _ in TestSocket(datagram: ()) }
        let readers = try sockets.map { try bench.addReader(stream, sender, $0) }
        for reader in readers { #expect(bench.joined(reader) != nil) }
        for number in 0..<50 { try bench.splitter.push(source, channel: 0, numbered(number)) }
        bench.splitter.flush()
        for socket in sockets {
            for number in 0..<50 {
                let (got, from) = try #require(socket.receiveFrom())
                #expect(sequence(got) == UInt16(number) && ssrc(got) == 0x5EED && got[12...] == numbered(number)[12...])
                #expect(from == port)
            }
        }
        // Counted once the kernel has them, and a reader may be quicker.
        #expect(bench.reaches { bench.splitter.counters[.packetsSent] >= 50 * 40 })
        #expect(bench.splitter.counters[.packetsSent] == 50 * 40)
        #expect(bench.splitter.counters(of: stream)?[.readersLive] == 40)
        #expect(bench.splitter.counters(of: stream)?[0, .packets] == 50)
        for reader in readers { try bench.splitter.removeReader(reader) }
        for reader in readers { #expect(bench.removed(reader)) }
        #expect(bench.splitter.counters(of: stream)?[.readersLive] == 0)
        #expect(bench.stop() == 0)
    }

    @Test("A TCP reader gets frames whole, and replies in order between them", arguments: BackendName.allCases)
    func interleavedReader(backend: BackendName) throws {
        let bench = try SplitterBench(backend: backend)
        let stream = try bench.addStream(.init(tracks: [SplitterBench.video, SplitterBench.audio], policy: SplitterBench.withoutBurst))
        let source = try bench.addPushed(stream)
        let (client, server) = TestSocket.connectedPair()
        bench.keep(server)
        var channels = ChannelMap()
        channels[0] = 6
        channels[2] = 9
        let reader = bench.added(
            try bench.splitter.addInterleavedReader(stream, descriptor: server.descriptor, channels: channels, begin: .now), stream)
        #expect(bench.joined(reader) != nil)
        let frames = FrameReader(client)
        for number in 0..<200 {
            try bench.splitter.push(source, channel: 0, numbered(number))
            try bench.splitter.push(source, channel: 2, rtp(sequence: UInt16(number), timestamp: UInt32(number), payload: [1, 2, 3]))
            if number % 20 == 0 { try bench.splitter.send(reader, Array("reply \(number) ".utf8)) }
            bench.splitter.flush()
            let video = try #require(frames.next())
            #expect(video.channel == 6 && video.packet[12...] == numbered(number)[12...] && sequence(video.packet) == UInt16(number))
            let audio = try #require(frames.next())
            #expect(audio.channel == 9 && audio.packet[12...] == [1, 2, 3] && ssrc(audio.packet) == 0x5EEE)
        }
        try bench.splitter.send(reader, Array("goodbye".utf8))
        try bench.splitter.removeReader(reader)
        #expect(bench.removed(reader))
        let replies = stride(from: 0, to: 200, by: 20).map { "reply \($0) " }.joined() + "goodbye"
        #expect(frames.hasText(replies.utf8.count), "what was queued before the removal leaves")
        #expect(frames.text == replies)
        // The descriptor is the caller's again: it may write.
        #expect(unsafe write(server.descriptor, "mine", 4) == 4)
        #expect(frames.hasText(replies.utf8.count + 4) && frames.text.hasSuffix("mine"))
        #expect(bench.stop() == 0)
    }

    @Test("A reader that waits is told where it begins, and begins there when it is started", arguments: BackendName.allCases)
    func waits(backend: BackendName) throws {
        let bench = try SplitterBench(backend: backend)
        let stream = try bench.addStream()
        let sender = bench.added(try bench.splitter.openDatagramSender())
        let source = try bench.addPushed(stream)
        let socket = TestSocket(datagram: ())
        let reader = try bench.addReader(stream, sender, socket, begin: .keyFrame, waits: true)
        #expect(throws: SplitterError.self) { try bench.splitter.start(reader) }
        try bench.splitter.push(source, channel: 0, numbered(7))
        try bench.splitter.push(source, channel: 0, rtp(sequence: 8, timestamp: 90_000, marker: true, payload: idr()))
        let point = try #require(bench.joined(reader))
        #expect(point[0].isKnown && point[0].sequence == 8 && point[0].timestamp == 90_000)
        #expect(socket.receive(milliseconds: 50) == nil)
        try bench.splitter.start(reader)
        try bench.splitter.start(reader)
        bench.splitter.flush()
        #expect(sequence(try #require(socket.receive())) == 8)
        #expect(bench.stop() == 0)
    }

    @Test("A newcomer begins at the newest key frame where the policy allows it", arguments: BackendName.allCases)
    func joinBurst(backend: BackendName) throws {
        let bench = try SplitterBench(backend: backend)
        let stream = try bench.addStream(.init(tracks: [SplitterBench.video]))
        let sender = bench.added(try bench.splitter.openDatagramSender())
        let source = try bench.addPushed(stream)
        try bench.splitter.push(source, channel: 0, rtp(sequence: 1, timestamp: 0, marker: true, payload: idr()))
        try bench.splitter.push(source, channel: 0, rtp(sequence: 2, timestamp: 3_000, marker: true, payload: slice()))
        #expect(bench.active(source))
        let socket = TestSocket(datagram: ())
        let reader = try bench.addReader(stream, sender, socket, begin: .keyFrame)
        #expect(try #require(bench.joined(reader))[0].sequence == 1)
        bench.splitter.flush()
        #expect(sequence(try #require(socket.receive())) == 1)
        #expect(sequence(try #require(socket.receive())) == 2)
        #expect(bench.stop() == 0)
    }

    @Test("A paused reader gets nothing, and begins anew when it is resumed", arguments: BackendName.allCases)
    func pause(backend: BackendName) throws {
        let bench = try SplitterBench(backend: backend)
        let stream = try bench.addStream()
        let source = try bench.addPushed(stream)
        let (client, server) = TestSocket.connectedPair()
        let reader = try bench.addInterleaved(stream, server)
        #expect(bench.joined(reader) != nil)
        let frames = FrameReader(client)
        try bench.splitter.push(source, channel: 0, numbered(1))
        bench.splitter.flush()
        #expect(sequence(try #require(frames.next()).packet) == 1)
        #expect(throws: SplitterError.self, "it is not paused") { try bench.splitter.resume(reader) }
        try bench.splitter.pause(reader)
        try bench.splitter.pause(reader)
        try bench.splitter.push(source, channel: 0, numbered(2))
        #expect(bench.reaches { bench.splitter.counters(of: stream)?[.packetsLogged] == 2 })
        try bench.splitter.send(reader, Array("paused".utf8))
        bench.splitter.flush()
        #expect(frames.hasText(6) && frames.text == "paused")
        try bench.splitter.resume(reader, begin: .now)
        #expect(try #require(bench.joined(reader))[0].sequence == 3)
        try bench.splitter.push(source, channel: 0, numbered(3))
        bench.splitter.flush()
        #expect(sequence(try #require(frames.next()).packet) == 3)
        #expect(bench.stop() == 0)
    }

    @Test("A TCP reader that takes nothing is given up by its own overload policy; others go on", arguments: BackendName.allCases)
    func overload(backend: BackendName) throws {
        var limits = Limits()
        limits.writeStallNanoseconds = 60_000_000_000
        let bench = try SplitterBench(backend: backend, limits: limits)
        let stream = try bench.addStream(.init(tracks: [SplitterBench.audio], bitRate: 4_000_000, windowMilliseconds: 500))
        let source = try bench.addPushed(stream)
        let (deaf, deafServer) = TestSocket.connectedPair(sendBuffer: 4_096, receiveBuffer: 4_096)
        bench.keep(deaf)
        let (client, server) = TestSocket.connectedPair()
        let slow = try bench.addInterleaved(stream, deafServer, overload: .disconnect(afterNanoseconds: 100_000_000))
        let quick = try bench.addInterleaved(stream, server)
        try bench.splitter.setOverload(quick, .dropOldest)
        #expect(bench.joined(slow) != nil)
        #expect(bench.joined(quick) != nil)
        let frames = FrameReader(client)
        var failure: SubscriberFailure?
        var number = 0
        let deadline = monotonicNanoseconds() + 8_000_000_000
        while failure == nil, monotonicNanoseconds() < deadline {
            try bench.splitter.push(source, channel: 0, numbered(number, bytes: 1_000))
            bench.splitter.flush()
            #expect(sequence(try #require(frames.next()).packet) == UInt16(truncatingIfNeeded: number))
            number += 1
            failure = bench.wait(milliseconds: 1) { if case .readerFailed(slow, let failure) = $0 { failure } else { nil } }
        }
        #expect(failure == .tooSlow)
        try bench.splitter.removeReader(slow)
        #expect(bench.removed(slow))
        #expect(bench.stop() == 0)
    }

    @Test("A connection that breaks is told, and its reader goes when it is removed", arguments: BackendName.allCases)
    func connectionLost(backend: BackendName) throws {
        let bench = try SplitterBench(backend: backend)
        let stream = try bench.addStream()
        let source = try bench.addPushed(stream)
        var (client, server): (TestSocket?, TestSocket) = TestSocket.connectedPair()
        let reader = try bench.addInterleaved(stream, server)
        #expect(bench.joined(reader) != nil)
        withExtendedLifetime(client) {}
        client = nil
        var failure: SubscriberFailure?
        for number in 0..<200 where failure == nil {
            try bench.splitter.push(source, channel: 0, numbered(number))
            failure = bench.wait(milliseconds: 10) { if case .readerFailed(reader, let failure) = $0 { failure } else { nil } }
        }
        #expect(failure == .connectionLost)
        try bench.splitter.removeReader(reader)
        #expect(bench.removed(reader))
        #expect(bench.stop() == 0)
    }

    @Test(
        "Packets and replies of the largest size pass; one that fits no datagram reaches TCP readers alone", arguments: BackendName.allCases
    )
    func largest(backend: BackendName) throws {
        let bench = try SplitterBench(backend: backend)
        let stream = try bench.addStream()
        let sender = bench.added(try bench.splitter.openDatagramSender())
        let source = try bench.addPushed(stream)
        let socket = TestSocket(datagram: ())
        let (client, server) = TestSocket.connectedPair()
        let reader = try bench.addInterleaved(stream, server)
        #expect(bench.joined(try bench.addReader(stream, sender, socket)) != nil)
        #expect(bench.joined(reader) != nil)
        let sizes = [12, 65_507, 65_508, 65_535, 100]
        let frames = FrameReader(client)
        for (number, size) in sizes.enumerated() {
            var packet = numbered(number, bytes: 65_535)
            packet.removeLast(packet.count - size)
            try bench.splitter.push(source, channel: 0, packet)
            bench.splitter.flush()
            let frame = try #require(frames.next())
            #expect(frame.packet.count == size && frame.packet[12...] == packet[12...] && sequence(frame.packet) == UInt16(number))
            if size <= 65_507 { #expect(try #require(socket.receive()).count == size) }
        }
        let reply = (0..<Splitter.replyBytesMax).map { UInt8(truncatingIfNeeded: $0 * 7) }
        try bench.splitter.send(reader, reply)
        bench.splitter.flush()
        var got: [UInt8] = []
        while got.count < reply.count, let more = client.receive(room: 1 << 20), !more.isEmpty { got += more }
        #expect(got == reply)
        #expect(bench.stop() == 0)
    }
}

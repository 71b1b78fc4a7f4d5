import Glibc
import PlaneLink
import Testing

@testable import FastPath

/// The engine over real sockets on loopback, once per backend: the same traffic gives the same result.
@Suite(.serialized) struct EngineTests {
    @Test("A UDP reader gets every packet, byte for byte, with the stream's SSRC", arguments: BackendName.allCases)
    func datagramReader(backend: BackendName) throws {
        let bench = try Bench(backend: backend)
        let source = bench.addFed()
        let socket = TestSocket(datagram: ())
        let reader = bench.addReader(0, socket)
        #expect(bench.join(reader) != nil)
        let packets = (0..<24).map { (number: Int) -> [UInt8] in
            let isLast = number == 23
            let payload: [UInt8] = [0x41] + [UInt8](repeating: UInt8(number), count: isLast ? 300 : 1_199)
            return rtp(sequence: 100 + UInt16(number), timestamp: 9_000, marker: isLast, payload: payload)
        }
        bench.feed(source, packets.flatMap { framed(0, $0) })
        for packet in packets {
            let got = try #require(socket.receive())
            #expect(ssrc(got) == 0x5EED)
            #expect(got[0..<8] == packet[0..<8])
            #expect(got[12...] == packet[12...])
        }
        #expect(bench.reaches(24) { bench.engine.counters[.packetsSent] })
        let messages: UInt64 = backend == .plain ? 24 : 1
        #expect(bench.engine.counters[.sendsSubmitted] == messages, "equal packets and a shorter last one are one train")
        #expect(bench.stop() == 0)
    }

    @Test("A reader begins with the first packet of the next key frame, and the report names it", arguments: BackendName.allCases)
    func joinsAtKeyFrame(backend: BackendName) throws {
        let bench = try Bench(backend: backend, tracks: 2)
        let source = bench.addFed(tracks: 2)
        bench.feed(source, framed(0, rtp(sequence: 1, timestamp: 0, marker: true, payload: idr())))
        bench.feed(source, framed(2, rtp(sequence: 50, timestamp: 480, ssrc: 0xBBBB, payload: [1, 2, 3])))
        let socket = TestSocket(datagram: ())
        let reader = bench.addReader(0, socket, now: false)
        #expect(bench.reaches(1) { bench.counters[.packetsLogged] })
        bench.feed(source, framed(0, rtp(sequence: 2, timestamp: 3_600, marker: true, payload: slice())))
        bench.feed(source, framed(0, rtp(sequence: 3, timestamp: 7_200, payload: [0x67, 1, 2])))
        bench.feed(source, framed(0, rtp(sequence: 4, timestamp: 7_200, marker: true, payload: idr())))
        let point = try #require(bench.join(reader))
        #expect(point[0].isKnown && point[0].sequence == 3 && point[0].timestamp == 7_200)
        #expect(point[1].isKnown && point[1].sequence == 51)
        bench.feed(source, framed(0, rtp(sequence: 5, timestamp: 10_800, marker: true, payload: slice())))
        for expected in 3...5 { #expect(sequence(try #require(socket.receive())) == UInt16(expected)) }
        #expect(bench.stop() == 0)
    }

    @Test("A source that is dialled again goes on in the readers' sequence and time, at a key frame", arguments: BackendName.allCases)
    func splice(backend: BackendName) throws {
        let bench = try Bench(backend: backend)
        let source = bench.addFed()
        let socket = TestSocket(datagram: ())
        let reader = bench.addReader(0, socket)
        _ = bench.join(reader)
        bench.feed(source, framed(0, rtp(sequence: 65_534, timestamp: 0xFFFF_FF00, marker: true, payload: idr())))
        #expect(sequence(try #require(socket.receive())) == 65_534)
        // As fast as it was made: a packet before its time would move the time line.
        usleep(40_000)
        bench.feed(source, framed(0, rtp(sequence: 65_535, timestamp: 0x0D10, marker: true, payload: slice())))
        let last = try #require(socket.receive())
        bench.submit(.beginEpoch(bench.stream))
        usleep(100_000)
        bench.feed(source, framed(0, rtp(sequence: 7, timestamp: 555, ssrc: 0xCCCC, marker: true, payload: slice())))
        bench.feed(source, framed(0, rtp(sequence: 8, timestamp: 4_155, ssrc: 0xCCCC, marker: true, payload: idr())))
        bench.feed(source, framed(0, rtp(sequence: 9, timestamp: 7_755, ssrc: 0xCCCC, marker: true, payload: slice())))
        let first = try #require(socket.receive())
        #expect(first[12] == 0x65, "the slice before the key frame is held back")
        #expect(sequence(first) == sequence(last) &+ 1)
        #expect(ssrc(first) == 0x5EED)
        let step = timestamp(first) &- timestamp(last)
        #expect(step >= 9_000 && step < 90_000, "about the 100 ms that passed, in 90 kHz ticks: \(step)")
        let second = try #require(socket.receive())
        #expect(sequence(second) == sequence(first) &+ 1 && timestamp(second) &- timestamp(first) == 3_600)
        #expect(bench.engine.counters[.packetsBeforeKeyFrame] == 1)
        #expect(bench.stop() == 0)
    }

    @Test("Datagrams from the source's host become packets; others are counted and dropped", arguments: BackendName.allCases)
    func datagramSource(backend: BackendName) throws {
        let bench = try Bench(backend: backend)
        let ingest = TestSocket(datagram: ())
        var on: Int32 = 1
        _ = unsafe setsockopt(ingest.descriptor, 17, 104, &on, 4)
        bench.keep(ingest)
        let handle = SourceHandle(index: 3, generation: 9)
        bench.submit(
            .addDatagramSource(
                handle, bench.stream, descriptor: ingest.descriptor, channel: 0, peer: HostAddress(ipv4: 0x7F00_0001), port: 0))
        let socket = TestSocket(datagram: ())
        _ = bench.join(bench.addReader(0, socket))
        let origin = TestSocket(datagram: ())
        let stranger = TestSocket(datagram: ())
        origin.send(rtp(sequence: 1, timestamp: 0, marker: true, payload: idr()), to: ingest.port)
        #expect(sequence(try #require(socket.receive())) == 1)
        stranger.send(rtp(sequence: 2, timestamp: 0, marker: true, payload: idr()), to: ingest.port)
        origin.send([1, 2, 3], to: ingest.port)
        origin.send([], to: ingest.port)
        for number in 2..<200 {
            origin.send(rtp(sequence: UInt16(number), timestamp: 3_600, marker: true, payload: slice(1_000)), to: ingest.port)
        }
        for number in 2..<200 { #expect(sequence(try #require(socket.receive())) == UInt16(number)) }
        #expect(bench.engine.counters[.datagramsForeign] == 1)
        #expect(bench.engine.counters[.datagramsMalformed] >= 1)
        #expect(bench.wait { if case .sourceActive(handle) = $0 { true } else { false } } != nil)
        bench.submit(.removeSource(handle))
        #expect(bench.wait { if case .sourceRemoved(handle) = $0 { true } else { false } } != nil)
        #expect(bench.stop() == 0)
    }

    @Test(
        "Interleaved: frames in, text handed up and resumed at its byte, frames out with replies between packets",
        arguments: BackendName.allCases)
    func interleaved(backend: BackendName) throws {
        let bench = try Bench(backend: backend)
        let (origin, ingest) = TestSocket.connectedPair()
        bench.keep(ingest)
        let source = SourceHandle(index: 1, generation: 1)
        var map = ChannelMap()
        map[0] = 6
        map[1] = 7
        let packet = rtp(sequence: 1, timestamp: 0, marker: true, payload: idr())
        let early = framed(6, packet)
        bench.submit(
            .addInterleavedSource(
                source, bench.stream, descriptor: ingest.descriptor, channels: map, prefix: LinkBuffer(Array(early[0..<10]))))
        let (player, connection) = TestSocket.connectedPair()
        bench.keep(connection)
        let reader = SubscriberHandle(index: 4, generation: 2)
        var readerMap = ChannelMap()
        readerMap[0] = 2
        readerMap[1] = 3
        bench.submit(.addInterleavedSubscriber(reader, bench.stream, descriptor: connection.descriptor, channels: readerMap))
        bench.submit(.arm(reader, now: true))
        #expect(bench.wait { if case .joined(reader, _) = $0 { true } else { false } } != nil)
        bench.submit(.send(reader, LinkBuffer(Array("RTSP/1.0 200 OK\r\n\r\n".utf8))))
        bench.submit(.go(reader))
        #expect(player.receive() == Array("RTSP/1.0 200 OK\r\n\r\n".utf8))
        let write: ([UInt8]) -> Void = { bytes in _ = unsafe Glibc.send(origin.descriptor, bytes, bytes.count, 0) }
        write(Array(early[10...]))
        var got = try #require(player.receive())
        #expect(Array(got[0..<4]) == [0x24, 2, 0, UInt8(packet.count)])
        write(Array("RTSP/1.0 200 OK\r\nCS".utf8))
        guard case .sourceText(_, let view) = bench.wait(for: { if case .sourceText(source, _) = $0 { true } else { false } }) else {
            Issue.record("the text was not handed up")
            return
        }
        #expect(view.copy() == Array("RTSP/1.0 200 OK\r\nCS".utf8))
        bench.submit(.resumeSource(source, consumed: 0))
        let rest = Array("eq: 5\r\n\r\n".utf8)
        write(rest + framed(6, rtp(sequence: 2, timestamp: 3_600, marker: true, payload: slice())) + framed(99, [1, 2]))
        guard case .sourceText(_, let whole) = bench.wait(for: { if case .sourceText(source, _) = $0 { true } else { false } }) else {
            Issue.record("the rest of the text was not handed up")
            return
        }
        let text = "RTSP/1.0 200 OK\r\nCSeq: 5\r\n\r\n"
        #expect(Array(whole.copy().prefix(text.utf8.count)) == Array(text.utf8))
        bench.submit(.resumeSource(source, consumed: UInt32(text.utf8.count)))
        got = try #require(player.receive())
        #expect(sequence(Array(got[4...])) == 2)
        #expect(bench.reaches(1) { bench.engine.counters[.framesUnknownChannel] })
        shutdown(origin.descriptor, Int32(SHUT_RDWR))
        #expect(bench.wait { if case .sourceEnded(source, 0) = $0 { true } else { false } } != nil)
        bench.submit(.removeSource(source))
        bench.submit(.removeSubscriber(reader))
        #expect(bench.wait { if case .subscriberRemoved(reader) = $0 { true } else { false } } != nil)
        #expect(bench.stop() == 0)
    }
}

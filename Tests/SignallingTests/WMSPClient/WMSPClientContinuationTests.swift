import Testing
import WireFormats

@testable import Signalling

/// Going on in the same session after a connection broke ([MS-WMSP] 4.2), whether pipelined or not.
@Suite struct WMSPClientContinuationTests {
    private let header = WMSPFraming.header(WMSPSample.headerBytes)

    private func broken(isPipelined: Bool, before: [UInt8] = []) throws -> WMSPClient.Continuation {
        var script: WMSPClientScript
        if isPipelined {
            script = try .pipelined()
            script.receive(ChunkedCoding.chunk(before))
        } else {
            script = try WMSPClientScript()
            script.start()
            script.receive(WMSPClientScript.describe(WMSPClientScript.offering + ["Connection: close"]))
            script.play()
            script.receive(WMSPClientScript.modern(WMSPClientScript.offering + ["Connection: close"]))
            script.receive(header + WMSPClientScript.data(40) + before)
        }
        #expect(script.close().failure == .cutOff)
        return try #require(script.client.continuation)
    }

    private func again(_ continuation: WMSPClient.Continuation) throws -> WMSPClientScript {
        try WMSPClientScript {
            $0.offersPipelining = true
            $0.continuation = continuation
        }
    }

    @Test(arguments: [true, false]) func anEntryGoesOn(isPipelined: Bool) throws {
        let continuation = try broken(isPipelined: isPipelined, before: WMSPClientScript.data(41))
        #expect(continuation.packet == 42 && !continuation.isEntryDone && continuation.header == WMSPSample.headerBytes)
        var script = try again(continuation)
        let asked = script.start().text()
        #expect(asked.contains("xPlayStrm=1") && asked.contains("packet-num=42,") && asked.contains("client-id=99"))
        #expect(asked.contains("playlist-gen-id=7\r\n") && asked.contains("playlist-seek-id=7\r\n") && !asked.contains("pl-offset"))
        #expect(asked.contains("stream-switch-entry=ffff:1:0") && asked.contains("version11-enabled=1") == isPipelined)
        let body = header + WMSPClientScript.data(42)
        let head = isPipelined ? WMSPClientScript.chunked : ["Connection: close"]
        let answer =
            WMSPClientScript.modern(WMSPClientScript.offering + head) + (isPipelined ? ChunkedCoding.chunk(body) : body)
        let media = script.receive(answer)
        #expect(media.first == .playing(header: WMSPSample.headerBytes, nil) && media.packetNumbers == [42])
        // And the next entry as ever.
        let change = script.receive(isPipelined ? ChunkedCoding.chunk(WMSPClientScript.entryChange) : WMSPClientScript.entryChange)
        #expect(change.text(isPipelined ? .media : .feedback).contains("LogStats"))
    }

    /// An entry that had ended is not played again: the one behind it is asked for.
    @Test func theNextEntryIsAskedFor() throws {
        let continuation = try broken(isPipelined: true, before: WMSPFraming.endOfStream(.entryDone))
        #expect(continuation.isEntryDone)
        var script = try again(continuation)
        let asked = script.start().text()
        #expect(asked.contains("no-cache,pl-offset=1,rate=1.000,stream-time=0") && asked.contains("playlist-seek-id=7"))
        #expect(asked.contains("packet-num=4294967295"))
        let first = WMSPClientScript.metadata(7) + header
        let next = WMSPSample.headerBytes(streams: [3])
        let second = WMSPFraming.streamChange() + WMSPClientScript.metadata(8) + WMSPFraming.header(next) + WMSPClientScript.data(0)
        let media = script.receive(WMSPClientScript.media(first + second))
        #expect(media.contains { if case .headerChanged(next, _, isNextEntry: true) = $0 { true } else { false } })
        // Nothing came of the entry that had ended: there is no log of it. The choice of streams is told.
        #expect(media.packetNumbers == [0] && !media.text().contains("LogStats") && media.text().contains("xPlayNextEntry=1"))
    }

    @Test func anEntryOfWhichNothingCameBeginsAnew() throws {
        let continuation = try broken(isPipelined: true, before: WMSPClientScript.entryChange)
        #expect(continuation.packet == 0 && !continuation.isEntryDone)
        #expect(continuation.header == WMSPSample.headerBytes(streams: [3]))
        var script = try again(continuation)
        #expect(script.start().text().contains("packet-num=0,") && script.actions.text().contains("playlist-seek-id=8"))
    }

    @Test(arguments: ["unknown", "another session", "closed", "unavailable"]) func theServerHasForgotten(how: String) throws {
        var script = try again(try broken(isPipelined: true))
        script.start()
        let done: [WMSPClient.Action]
        switch how {
        case "unknown": done = script.receive(WMSPClientScript.modern(["Content-Length: 0"], status: "400 Bad Request"))
        case "another session":
            done = script.receive(WMSPClientScript.modern(["Pragma: client-id=100, xResetStrm=1"] + WMSPClientScript.chunked))
        case "closed": done = script.close()
        default: done = script.receive(WMSPClientScript.modern(["Content-Length: 0"], status: "503 Service Unavailable"))
        }
        #expect(done.prefix(2) == [.close(.media), .connect(.media)])
        #expect(done.text().contains("pipeline-experiment=1") && !done.text().contains("client-id") && !done.text().contains("xPlayStrm"))
        #expect(script.receive(WMSPClientScript.describe()).count == 1)
    }

    @Test func aServerThatIsSilentIsTriedAgain() throws {
        let continuation = try broken(isPipelined: true)
        var script = try again(continuation)
        script.start()
        script.now += 10_000
        #expect(script.run { $0.timeElapsed(now: $1) }.failure == .noAnswer("Play", milliseconds: 10_000))
        #expect(script.client.continuation == continuation)
    }

    @Test func whatIsLiveIsNotGoneOnWith() throws {
        var script = try WMSPClientScript()
        script.start()
        script.receive(WMSPClientScript.head(WMSPClientScript.cougar + ["Content-Length: \(header.count)"]) + header)
        script.play()
        script.receive(WMSPClientScript.head(WMSPClientScript.cougar) + header + WMSPClientScript.data(40))
        #expect(script.close().failure == .cutOff && script.client.continuation == nil && script.client.resumption == nil)
    }
}

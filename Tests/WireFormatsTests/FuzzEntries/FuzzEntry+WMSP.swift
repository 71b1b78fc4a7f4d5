#if canImport(WireFormats)
    import WireFormats
#endif

// Windows Media over HTTP: framing, tokens, descriptions, and the HTTP below.

extension FuzzEntry {
    static func wmspFraming(_ bytes: [UInt8]) {
        let whole = packets(bytes, step: max(bytes.count, 1))
        check(whole == packets(bytes, step: 1), "one by one, the bytes give other packets")
        check(whole == packets(bytes, step: 5), "in pieces, the bytes give other packets")
        var pieces = WMSPPieces()
        for packet in whole.packets {
            switch packet.kind {
            case .data:
                let again = WMSPFraming.data(
                    packet.payload, locationID: packet.locationID, incarnation: packet.incarnation, sequence: packet.flags,
                    nextFollows: packet.nextFollows)
                guard let again else { return check(false, "a packet that was read cannot be written") }
                check(packets(again, step: again.count).packets == [packet], "a written packet reads differently")
            case .header, .metadata:
                guard let object = try? pieces.take(packet) else { continue }
                check(object.count <= WMSPPieces.bytesMax, "a whole above the bound")
                if packet.kind == .metadata { metadata(object) }
            case .endOfStream, .streamChange, .packetPair, .pipelineTest: break
            }
        }
    }

    private struct Framed: Equatable {
        var packets: [WMSPPacket] = []
        var trouble: WMSPParser.Trouble?
        var consumed: UInt64 = 0
    }

    private static func packets(_ bytes: [UInt8], step: Int) -> Framed {
        var found = Framed()
        var parser = WMSPParser()
        var start = 0
        do throws(WMSPParser.Trouble) {
            while start < bytes.count {
                parser.append(Array(bytes[start..<min(start + step, bytes.count)]))
                start += step
                while let packet = try parser.next() { found.packets.append(packet) }
            }
            check(Int(parser.bytesConsumed) + parser.bytesBuffered == bytes.count, "bytes consumed and left are not all bytes")
        } catch {
            check(!error.description.isEmpty, "a trouble without words")
            found.trouble = error
        }
        found.consumed = parser.bytesConsumed
        return found
    }

    private static func metadata(_ bytes: [UInt8]) {
        guard let metadata = try? WMSPMetadata(bytes) else { return }
        guard let again = try? WMSPMetadata(metadata.serialized()) else { return check(false, "written metadata cannot be read") }
        check(again.features == metadata.features && again.descriptions == metadata.descriptions, "written metadata reads differently")
    }

    /// Each line a header line of Pragma.
    static func pragma(_ bytes: [UInt8]) {
        let lines = bytes.split(separator: 10).map { String(decoding: $0, as: UTF8.self) }
        guard let list = try? PragmaList(lines) else { return }
        check(list.tokens.count <= PragmaList.tokensMax, "too many tokens")
        for token in list.tokens {
            check(list.contains(token.name), "a token that is not there")
            _ = (list.number(token.name), list.fraction(token.name), list.pair(token.name), list.isOn(token.name))
            for base in StreamSwitchEntry.NumberBase.allCases {
                let entries = StreamSwitchEntry.parse(token.value ?? token.name, streams: [1, 2, 10, 16], base: base)
                check(entries.count <= StreamSwitchEntry.entriesMax, "too many entries")
                let all = Set(entries.flatMap { [$0.source, $0.destination] }.compactMap { $0 })
                let again = StreamSwitchEntry.parse(StreamSwitchEntry.text(entries, base: base), streams: all, base: base)
                check(again == entries, "written entries read differently")
            }
            _ = (WMSPFeatures(token.value ?? ""), WMSPAgent.client(token.value), WMSPAgent.server(token.value))
        }
    }

    static func contentDescription(_ bytes: [UInt8]) {
        metadata(bytes)
        if let event = try? RemoteEvent(bytes) {
            check((try? RemoteEvent(event.serialized())) == event, "a written event reads differently")
        }
        guard let lists = try? ContentDescription.parse(bytes[...]) else { return }
        check(lists.reduce(0) { $0 + $1.items.count } <= ContentDescription.itemsMax, "too many items")
        // A list whose items were all unknown is written as a line end alone, which is no list.
        let known = lists.filter { !$0.items.isEmpty }
        check((try? ContentDescription.parse(known.flatMap { $0.serialized() }[...])) == known, "written lists read differently")
    }

    static func httpRequest(_ bytes: [UInt8]) {
        var parser = HTTPRequestParser(
            limits: HTTPLimits(lineBytesMax: 512, headBytesMax: 2_048, headerCountMax: 32, bodyBytesMax: 512))
        parser.append(bytes)
        do throws(HTTPRequestParser.Trouble) {
            while let request = try parser.next() {
                if let target = try? HTTPTarget(request.uri) {
                    check(target.isServer || target.path.utf8.first != UInt8(ascii: "/"), "a path with a slash in front")
                    _ = target.contentQuery
                }
                _ = (try? PragmaList(request.headers), WMSPSupported(request.headers), request.allowsAnother)
                if let agent = WMSPAgent.client(request.headers["User-Agent"]) { _ = WMSPDialect(agent) }
            }
        } catch { check((400...599).contains(error.status.code) && !error.description.isEmpty, "a trouble without a status") }
    }

    private struct Answers: Equatable {
        var heads: [HTTPResponse] = []
        var bodies: [[UInt8]] = [[]]
        var trouble: HTTPResponseReader.Trouble?
    }

    /// The bytes as responses, and as a chunked body.
    static func chunked(_ bytes: [UInt8]) {
        check(answers(bytes, step: max(bytes.count, 1)) == answers(bytes, step: 1), "one by one, the bytes give other responses")
        var decoder = ChunkedDecoder()
        guard let whole = try? decoder.decode(bytes[...]) else { return }
        check(whole.body.count <= whole.taken && whole.taken <= bytes.count, "more came out than went in")
        check(decoder.isEnded || whole.taken == bytes.count, "bytes are left, and no end")
        var again = ChunkedDecoder()
        check((try? again.decode((ChunkedCoding.chunk(whole.body) + ChunkedCoding.end)[...]))?.body == whole.body, "reads differently")
    }

    private static func answers(_ bytes: [UInt8], step: Int) -> Answers {
        var found = Answers()
        var reader = HTTPResponseReader(limits: HTTPLimits(lineBytesMax: 256, headBytesMax: 1_024, headerCountMax: 16, bodyBytesMax: 0))
        var start = 0
        do throws(HTTPResponseReader.Trouble) {
            while start < bytes.count {
                reader.append(Array(bytes[start..<min(start + step, bytes.count)]))
                start += step
                try drain(&reader, &found)
            }
            reader.close()
            try drain(&reader, &found)
        } catch {
            check(!error.description.isEmpty, "a trouble without words")
            // How much of the body was given out before depends on how the bytes came; the trouble itself does not.
            found.trouble = error
            found.bodies = []
        }
        return found
    }

    private static func drain(_ reader: inout HTTPResponseReader, _ found: inout Answers) throws(HTTPResponseReader.Trouble) {
        while let event = try reader.next() {
            switch event {
            case .head(let response): found.heads.append(response)
            case .body(let piece): found.bodies[found.bodies.count - 1] += piece
            case .end: found.bodies.append([])
            }
        }
    }
}

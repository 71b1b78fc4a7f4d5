#if canImport(WireFormats)
    import WireFormats
#endif

// ASF: headers, packets, whole files.

extension FuzzEntry {
    static func asfHeader(_ bytes: [UInt8]) {
        let need = try? ASFHeader.bytesNeeded(bytes.span)
        guard let header = try? ASFHeader(bytes.span) else { return }
        check(need == header.bytes.count && header.bytes.count <= bytes.count, "a header of another size than was asked for")
        var end = 30
        for object in header.objects where !object.isInExtension {
            check(object.offset == end && object.end >= object.offset + 24, "objects do not follow each other")
            end = object.end
        }
        check(end <= header.bytes.count - 50, "an object outside")
        check(!header.streams.isEmpty && header.streams.count <= 127, "no streams, or too many")
        check(header.isProtected || header.continues(header), "a header does not continue itself")
        for flaw in header.flaws { check(!flaw.description.isEmpty, "a flaw without words") }
        _ = (header.bitrate(of: .all), header.streams.map(\.codecName), header.file.contentMilliseconds)
        rewritten(header, ASFRewrite(), streams: header.streamNumbers)
        rewritten(header, ASFRewrite(form: .live, bytesMax: ASFRewrite.legacyBytesMax), streams: header.streamNumbers)
        for number in header.streamNumbers.numbers {
            rewritten(header, ASFRewrite(form: .live, streams: [number]), streams: [number])
        }
    }

    private static func rewritten(_ header: ASFHeader, _ rewrite: ASFRewrite, streams: ASFStreamSet) {
        do {
            let changed = try header.rewritten(rewrite)
            check(changed.streamNumbers == streams, "a rewritten header has other streams")
            check(changed.packetBytes == header.packetBytes, "a rewritten header has other packets")
            check(changed.bytes.count <= header.bytes.count, "a rewritten header is longer")
            check(rewrite.form != .live || changed.file.isBroadcast, "a live header that is not")
            check((try? changed.rewritten(rewrite)) == changed, "rewriting again changes it")
        } catch {
            // A stream whose second description was dropped with another's may be gone.
            if case .cannotFit = error { return }
            check(!header.flaws.isEmpty, "a header cannot be rewritten: \(error)")
        }
    }

    /// The first two bytes choose the size of packets and the streams.
    static func asfPacket(_ bytes: [UInt8]) {
        guard bytes.count > 2 else { return }
        let packetBytes = 32 + (Int(bytes[0]) << 4), input = Array(bytes.dropFirst(2))
        guard let packet = try? ASFPacket(input.span, packetBytes: packetBytes) else { return }
        check(packet.payloadsOffset <= packet.payloadsEnd && packet.payloadsEnd <= input.count, "payloads outside")
        guard let before = contents(input, packetBytes) else {
            check(
                (try? ASFPacket.full(input, packetBytes: packetBytes)) == (input.count == packetBytes ? input : nil),
                "broken, and yet written")
            check((try? ASFPacket.stripped(input, packetBytes: packetBytes)) == nil, "broken, and yet stripped")
            return
        }
        guard let full = try? ASFPacket.full(input, packetBytes: packetBytes),
            let short = try? ASFPacket.stripped(input, packetBytes: packetBytes)
        else { return check(false, "a packet cannot be written") }
        check(full.count == packetBytes && contents(full, packetBytes) == before, "at full size it is another packet")
        check(short.count <= input.count && contents(short, packetBytes) == before, "without padding it is another packet")
        check((try? ASFPacket.stripped(short, packetBytes: packetBytes)) == short, "stripped again it changes")

        var all = ASFSelection(streams: .all)
        check((try? all.packet(input, packetBytes: packetBytes, form: .full)) == full, "all streams are not the packet")
        var some = ASFSelection(streams: [bytes[1] & 0x7F, 1, 2], keyFramesOnly: [2], keyFrameStreams: [1], joins: bytes[1] & 0x80 != 0)
        if let kept = try? some.packet(input, packetBytes: packetBytes, form: .stripped) {
            guard let kept = contents(kept, packetBytes) else { return check(false, "a filtered packet cannot be read") }
            check(kept.count <= before.count && kept.allSatisfy(before.contains), "a filter made something up")
        }
        var moved = input
        if (try? ASFRetiming(milliseconds: 77).apply(to: &moved, packetBytes: packetBytes)) != nil {
            check(contents(moved, packetBytes)?.map(\.data) == before.map(\.data), "retiming changed data")
            try? ASFRetiming(milliseconds: -77).apply(to: &moved, packetBytes: packetBytes)
            check(moved == input, "there and back is not the same")
        } else {
            check(moved == input, "a packet that cannot be retimed was changed")
        }
        reassembled([input, short, full], packetBytes)
    }

    struct Content: Hashable {
        var stream: UInt8, isKey: Bool, number: UInt32, offset: UInt32, size: UInt32, time: UInt32?, data: [UInt8]
    }

    static func contents(_ bytes: [UInt8], _ packetBytes: Int) -> [Content]? {
        guard let packet = try? ASFPacket(bytes.span, packetBytes: packetBytes) else { return nil }
        var payloads = ASFPayloads(packet)
        var found: [Content] = []
        var end = packet.payloadsOffset
        do {
            while let payload = try payloads.next(in: bytes.span) {
                check(
                    payload.start == end && payload.dataOffset > payload.start && payload.end >= payload.dataOffset,
                    "a payload out of order")
                check(payload.end <= packet.payloadsEnd, "a payload outside")
                end = payload.end
                var parts = ASFSubPayloads(payload)
                while let part = try? parts.next(in: bytes.span) { check(part.end <= payload.end, "a part outside") }
                found.append(
                    Content(
                        stream: payload.stream, isKey: payload.isKey, number: payload.objectNumber, offset: payload.offset,
                        size: payload.objectBytes, time: payload.presentationTime, data: Array(bytes[payload.dataOffset..<payload.end])))
            }
        } catch {
            check(!error.description.isEmpty, "an error without words")
            return nil
        }
        check(found.count == packet.payloadCount, "another count of payloads")
        return found
    }

    private static func reassembled(_ packets: [[UInt8]], _ packetBytes: Int) {
        var reassembler = ASFReassembler(bytesMax: 1 << 12)
        var objects: [ASFMediaObject] = []
        for packet in packets { try? reassembler.take(packet.span, packetBytes: packetBytes) { objects.append($0) } }
        guard var packetiser = ASFPacketiser(packetBytes: 1_400, prerollMilliseconds: 5) else { return check(false, "no packetiser") }
        var written: [[UInt8]] = []
        for object in objects { packetiser.add(object) { written.append($0) } }
        packetiser.flush { written.append($0) }
        var again: [ASFMediaObject] = []
        var second = ASFReassembler()
        for packet in written {
            check(packet.count == 1_400, "a written packet of another size")
            do { try second.take(packet.span, packetBytes: 1_400) { again.append($0) } } catch {
                check(false, "a written packet cannot be read: \(error)")
            }
        }
        if packetiser.objectsDropped == 0 { check(again == objects, "objects changed on their way through packets") }
    }

    /// A whole file.
    static func asfIndex(_ bytes: [UInt8]) {
        guard let header = try? ASFHeader(bytes.span) else { return }
        let file = ASFFile(header: header, fileBytes: UInt64(bytes.count))
        check(file.packetsEnd + file.trailingBytes <= max(UInt64(bytes.count), UInt64(header.bytes.count)), "packets outside")
        check(UInt64(file.packetCount) * UInt64(header.packetBytes) <= UInt64(bytes.count), "more packets than bytes")
        let read = { (offset: UInt64, count: Int) -> [UInt8] in
            guard offset < UInt64(bytes.count), count > 0 else { return [] }
            return Array(bytes[Int(offset)...].prefix(count))
        }
        var scan = ASFScan(header: header)
        file.take(0..<file.packetCount, into: &scan, read)
        check(scan.packets == UInt64(file.packetCount), "the walk missed packets")
        let (index, flaws) = ASFIndex.read(of: file, read)
        for flaw in flaws { check(!flaw.description.isEmpty, "a flaw without words") }
        for index in [index, scan.index, nil] {
            for number in index?.streamNumbers.numbers ?? [] {
                let entries = index?.entries(stream: number) ?? []
                check(entries.allSatisfy { $0.packet < UInt32(file.packetCount) }, "an entry outside")
                check(zip(entries, entries.dropFirst()).allSatisfy { $0.time < $1.time && $0.packet < $1.packet }, "entries out of order")
            }
            let seek = ASFSeek(file: file, index: index)
            for time in [0, 1, 100, 5_000, .max] as [UInt64] {
                let start = seek.start(atMilliseconds: time, streams: .all, read)
                check(start.packet >= 0 && start.packet <= max(file.packetCount - 1, 0), "a start outside")
            }
            for packet in [-1, 0, 3, .max] {
                check(seek.start(atPacket: packet, streams: .all, read).packet <= file.packetCount, "outside")
            }
        }
        let repaired = try? header.rewritten(ASFRewrite(form: file.measured(read)))
        check(repaired?.file.packetCount == UInt64(file.packetCount), "a repaired header says something else")
    }
}

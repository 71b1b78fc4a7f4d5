import WireFormats

/// What the media link's bodies consist of.
extension WMSPClient {
    mutating func drainPackets() {
        while isMediaOpen {
            let packet: WMSPPacket?
            do throws(WMSPParser.Trouble) { packet = try media.parser.next() } catch {
                return fail(.notWindowsMedia(error.description))
            }
            guard let packet else { return }
            take(packet)
        }
    }

    private mutating func take(_ packet: WMSPPacket) {
        switch packet.kind {
        case .packetPair, .pipelineTest: break
        case .metadata:
            do throws(WMSPPieces.Trouble) {
                guard let whole = try media.metadata.take(packet) else { return }
                // Broken metadata is no reason to do without the media.
                lastMetadata = try? WMSPMetadata(whole)
                isBetweenEntries = false
                if let id = lastMetadata?.playlistGenID, id != 0 { playlistGenID = id }
                if let features = lastMetadata?.features { self.features = features }
            } catch { fail(.notWindowsMedia("$M: \(error)")) }
        case .header:
            do throws(WMSPPieces.Trouble) {
                guard let whole = try media.header.take(packet) else { return }
                took(header: whole)
            } catch { fail(.notWindowsMedia("$H: \(error)")) }
        case .data: take(data: packet)
        case .streamChange:
            if packet.reason.isFailure { return fail(.server(packet.reason)) }
            guard packet.reason != .previousEntry else { return atEnd(packet.reason) }
            awaitsEntry = true
            isBetweenEntries = true
            lastMetadata = nil
        case .endOfStream:
            if packet.reason.isFailure { return fail(.server(packet.reason)) }
            guard phase == .playing || phase == .starting || phase == .described else { return }
            guard packet.reason == .entryDone else { return atEnd(packet.reason) }
            isBetweenEntries = true
            actions.append(.entryEnded)
        }
    }

    private mutating func took(header bytes: [UInt8]) {
        let parsed: ASFHeader
        do throws(ASFHeaderError) { parsed = try ASFHeader(bytes.span) } catch { return fail(.notWindowsMedia(error.description)) }
        if media.mayRepeatHeader {
            media.mayRepeatHeader = false
            // The answer that the media goes on in may say what it is once more.
            if phase == .playing, !awaitsEntry, bytes == header?.bytes {
                lastMetadata = nil
                return
            }
        }
        // The log of the entry that is done goes before what is said of the next. Of one from which a skip led on there is none.
        if awaitsEntry {
            if received?.packets == 0 { received = nil } else { report() }
        }
        header = parsed
        isBetweenEntries = false
        let metadata = lastMetadata
        lastMetadata = nil
        switch phase {
        case .describing:
            phase = .described
            media.deadline = now &+ settings.tailMilliseconds
            actions.append(.described(header: bytes, metadata))
        case .starting:
            phase = .playing
            media.deadline = nil
            mediaBegins(metadata)
            actions.append(.playing(header: bytes, metadata))
        case .playing:
            let isNext = awaitsEntry
            awaitsEntry = false
            if isNext {
                pace.entryBegins()
                entryLag = lagMilliseconds
            }
            if received == nil { mediaBegins(metadata, isNext: isNext) }
            actions.append(.headerChanged(bytes, metadata, isNextEntry: isNext))
            // A server that does not predict waits for it, and one that does goes on to do so only if it hears it ([MS-WMSP] 3.2.4.2).
            guard isNext, clientID != nil, settings.followsEntries else { return }
            if media.isPipelined { say(.nextEntry) } else { ask(.selectStream) }
        case .described:
            actions.append(.described(header: bytes, metadata))
        case .new, .asking, .testing, .idle, .leaving, .over: break
        }
    }

    private mutating func mediaBegins(_ metadata: WMSPMetadata?, isNext: Bool = false) {
        var fresh = Received(since: now, start: 0, metadata: metadata)
        switch isNext ? .beginning : wanted?.position ?? .beginning {
        case .beginning: fresh.next = 0
        case .time(let milliseconds): fresh.start = milliseconds
        case .packet(let number): fresh.next = UInt32(exactly: number)
        }
        received = fresh
        if !isNext { pace = WMSPClientPace() }
    }

    private mutating func take(data packet: WMSPPacket) {
        switch phase {
        case .playing: break
        case .described:
            // The answer to Describe runs on: it is the Play.
            guard let header else { return }
            phase = .playing
            media.deadline = nil
            mediaBegins(nil)
            actions.append(.playing(header: header.bytes, nil))
        case .describing, .starting: return fail(.notWindowsMedia("a $D before any $H"))
        case .new, .asking, .testing, .idle, .leaving, .over: return
        }
        media.mayRepeatHeader = false
        // Media is on the way before the answer that it is to go on in: as long as it comes, that may yet.
        if let since = media.continuationSince {
            media.deadline = min(now &+ settings.answerMilliseconds, since &+ Self.continuationMilliseconds)
        }
        if let time = ASFPacket.sendTime(ofHead: packet.payload.span) { pace.take(sendTime: time, now: now) }
        received?.packets += 1
        received?.bytes += UInt64(packet.payload.count)
        received?.lastNumber = packet.locationID
        received?.next = packet.locationID &+ 1
        actions.append(.packet(number: packet.locationID, packet.payload))
    }

    private mutating func atEnd(_ reason: WMSPReason) {
        if !media.isPipelined { closeMedia() }
        report()
        rest()
        actions.append(.ended(reason))
    }
}

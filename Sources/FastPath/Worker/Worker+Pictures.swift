import PlaneLink
import WireFormats

/// Where a stream wants whole pictures: the packets of its first video track wait until the picture is there.
extension Worker where K: ~Copyable {
    /// Whether packets of a track wait for the rest of their picture. Not those of MPEG-TS, whose marker tells a leap of its clock.
    func holdsPictures(_ stream: Int, _ track: Int) -> Bool {
        streams[stream].state.pictures != nil && track == streams[stream].state.anchor
            && streams[stream].state.tracks[track].keyFrames != .mp2t
    }

    /// Takes a packet of that track, and lets go on what is whole. False when it was not fit to be used.
    @unsafe mutating func holdPicture(_ stream: Int, _ track: Int, _ bytes: UnsafeRawPointer, _ count: Int) -> Bool {
        let span = unsafe Span<UInt8>(_unsafeStart: bytes.assumingMemoryBound(to: UInt8.self), count: count)
        guard let header = try? RTPHeader(span) else { return false }
        let state = streams[stream].state.tracks[track]
        // Whether somebody else is the source from now on is for the time line to judge; until then its packets are no pictures of ours.
        if state.hasInput, header.ssrc != state.ssrcIn { return unsafe ingestRTP(stream, track, bytes, count) }
        // Packets of somebody else are not two in a row with one of the source between them, though that has not gone on yet.
        if state.candidateCount > 0, state.ssrcCandidate != header.ssrc { streams[stream].state.tracks[track].candidateCount = 0 }
        var verdict = unsafe offerPicture(stream, header, bytes, count)
        if verdict == .follows {
            passPicture(stream, track)
            verdict = unsafe offerPicture(stream, header, bytes, count)
        }
        switch verdict {
        case .held:
            streams[stream].state.pictures?.heldAt = now
            return true
        case .ends:
            passPicture(stream, track)
            return true
        case .overflows: passPicture(stream, track)
        case .passes, .passesUnheld, .follows: break
        }
        if verdict != .passes { streams[stream].state.counters.add(.picturesNotHeld) }
        return unsafe ingestRTP(stream, track, bytes, count)
    }

    /// Drops the picture that the source has not finished, and will not: nobody has seen any of it.
    func dropPicture(_ stream: Int) {
        if streams[stream].state.pictures?.drop() == true { streams[stream].state.counters.add(.framesCut) }
    }

    /// The same, and nothing is known of the source any more: it begins anew, with numbers of its own.
    func forgetPictures(_ stream: Int) {
        dropPicture(stream)
        streams[stream].state.pictures?.reset()
    }

    @unsafe private mutating func offerPicture(_ stream: Int, _ header: RTPHeader, _ bytes: UnsafeRawPointer, _ count: Int)
        -> PictureStage.Verdict
    {
        unsafe streams[stream].state.pictures?.offer(header, bytes, count) ?? .passes
    }

    /// What is kept goes on. It is taken out first: a time line that begins with it drops what is kept.
    private mutating func passPicture(_ stream: Int, _ track: Int) {
        let end = streams[stream].state.pictures?.takeAll() ?? 0
        var offset = 0
        while offset < end, let stage = streams[stream].state.pictures {
            let packet = unsafe stage.packet(at: offset)
            // Its header was read before.
            _ = unsafe ingestRTP(stream, track, packet.bytes, packet.count)
            offset = unsafe packet.next
        }
    }
}

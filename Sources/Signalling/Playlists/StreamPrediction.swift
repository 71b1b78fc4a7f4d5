import WireFormats

/// Which streams of the next entry a client will want, from what it chose of the one before ([MS-WMSP] 3.2.4.2 leaves this to the server): so
/// they can be sent at once, before it has seen the new header.
///
/// Pure, and kind by kind:
///
/// 1. A kind that the client had turned off stays off. A kind that the last entry did not have is on: nobody has refused it. Script commands
///    are always on.
/// 2. Of a kind's streams those in the language that was chosen count, if there are any; else those in the same language of another
///    country; else all.
/// 3. Of alternatives (streams that exclude each other, or, where the header excludes none, all of a kind) one is on: the one of the same
///    number if it fits the bit rate, else the richest that fits, else the poorest. What is alone on its own in the new header is on.
/// 4. The bit rate is the client's link (`LinkBW`) for all streams together, audio first. Where that is not known it is, for each kind, what
///    was chosen before and an eighth more.
/// 5. A kind that was sent in key frames alone stays so.
package struct StreamPrediction: Sendable {
    /// What was chosen, and of what.
    package var selection: WMSPSelection
    package var header: ASFHeader
    /// Bits per second that the client says it can take; nil, 0 or 2,147,483,647: not known.
    package var linkBitsPerSecond: UInt32?

    /// What is known of a client.
    package init(selection: WMSPSelection, of header: ASFHeader, linkBitsPerSecond: UInt32? = nil) {
        self.selection = selection
        self.header = header
        self.linkBitsPerSecond = linkBitsPerSecond
    }

    /// What it will want of the next entry.
    package func selection(of next: ASFHeader) -> WMSPSelection {
        var result = WMSPSelection()
        var kinds: [ASFStream.Kind] = []
        for stream in next.streams where !kinds.contains(stream.kind) { kinds.append(stream.kind) }
        // Audio is small, and missed first.
        kinds.sort { Self.order($0) < Self.order($1) }
        var wanted: [(kind: ASFStream.Kind, groups: [[ASFStream]])] = []
        for kind in kinds {
            if kind == .command {
                for stream in next.streams where stream.kind == .command { result.whole.insert(stream.number) }
            } else if !isRefused(kind) {
                wanted.append((kind, groups(of: kind, in: next)))
            }
        }
        // What the poorest of everything takes is spoken for; the rest goes to whoever comes first.
        let link = linkBitsPerSecond.flatMap { $0 == 0 || $0 >= 2_147_483_647 ? nil : UInt64($0) }
        var left = link.map { link in
            link - min(link, wanted.flatMap(\.groups).reduce(next.bitrate(of: result.whole)) { $0 + ($1.map(\.bitrate).min() ?? 0) })
        }
        for (kind, groups) in wanted {
            for group in groups {
                let poorest = group.map(\.bitrate).min() ?? 0
                let most = left.map { $0 + poorest } ?? budget(of: kind)
                guard let chosen = choose(group, bitrateMax: most) else { continue }
                left = left.map { $0 - min($0, chosen.bitrate - min(poorest, chosen.bitrate)) }
                if isThinned(kind), chosen.hasKeyFrames {
                    result.keyFramesOnly.insert(chosen.number)
                } else {
                    result.whole.insert(chosen.number)
                }
            }
        }
        return Self.obeying(next.mutualExclusions, result, preferred: selection.streams)
    }

    // MARK: What the client had

    private func before(_ kind: ASFStream.Kind) -> [ASFStream] { header.streams.filter { $0.kind == kind } }

    private func chosen(_ kind: ASFStream.Kind) -> [ASFStream] { before(kind).filter { selection.streams.contains($0.number) } }

    private func isRefused(_ kind: ASFStream.Kind) -> Bool {
        // Whoever chose nothing at all wants nothing.
        if selection.streams.isEmpty, !header.streams.isEmpty { return true }
        return !before(kind).isEmpty && chosen(kind).isEmpty
    }

    private func isThinned(_ kind: ASFStream.Kind) -> Bool {
        let chosen = chosen(kind)
        return !chosen.isEmpty && chosen.allSatisfy { selection.keyFramesOnly.contains($0.number) }
    }

    /// Without a link that is known: what one stream of this kind took, and a little more. Any, where that is not known either.
    private func budget(of kind: ASFStream.Kind) -> UInt64 {
        let rate = chosen(kind).map(\.bitrate).max() ?? 0
        return rate == 0 ? .max : rate.saturating(rate / 8)
    }

    // MARK: What there is

    /// The streams of a kind, those together of which one is to be chosen.
    private func groups(of kind: ASFStream.Kind, in next: ASFHeader) -> [[ASFStream]] {
        let streams = next.streams.filter { $0.kind == kind }
        let spoken = inLanguage(of: kind, streams, next)
        var groups: [[ASFStream]] = []
        var grouped = ASFStreamSet()
        for exclusion in next.mutualExclusions {
            let members = exclusion.alternatives.reduce(ASFStreamSet()) { $0.union($1) }
            let all = streams.filter { members.contains($0.number) }
            guard all.count > 1, all.contains(where: { !grouped.contains($0.number) }) else { continue }
            for stream in all { grouped.insert(stream.number) }
            let group = spoken.filter { members.contains($0.number) }
            // In another language alone: better than silence.
            groups.append(group.isEmpty ? all : group)
        }
        // One language of each, whatever excludes what.
        if kind == .audio, groups.count > 1 { groups = [spoken.filter { grouped.contains($0.number) }] }
        let free = spoken.filter { !grouped.contains($0.number) }
        guard !free.isEmpty else { return groups }
        let kept = free.filter { stream in chosen(kind).contains { $0.number == stream.number } }
        if chosen(kind).count > 1, !kept.isEmpty { return groups + kept.map { [$0] } }
        return groups.isEmpty ? [free] : groups
    }

    private func inLanguage(of kind: ASFStream.Kind, _ streams: [ASFStream], _ next: ASFHeader) -> [ASFStream] {
        let wanted = chosen(kind).compactMap { header.language(of: $0)?.lowercased() }
        guard !wanted.isEmpty else { return streams }
        func primary(_ tag: String) -> Substring { tag.prefix { $0 != "-" } }
        let exact = streams.filter { stream in next.language(of: stream).map { wanted.contains($0.lowercased()) } ?? false }
        if !exact.isEmpty { return exact }
        let near = streams.filter { stream in
            next.language(of: stream).map { language in wanted.contains { primary($0) == primary(language.lowercased()) } } ?? false
        }
        return near.isEmpty ? streams : near
    }

    private func choose(_ group: [ASFStream], bitrateMax: UInt64) -> ASFStream? {
        let fitting = group.filter { $0.bitrate <= bitrateMax }
        if let same = fitting.first(where: { stream in chosen(stream.kind).contains { $0.number == stream.number } }) { return same }
        // The first of equals, as the header has them.
        return fitting.max { $0.bitrate < $1.bitrate } ?? group.min { $0.bitrate < $1.bitrate }
    }

    private static func order(_ kind: ASFStream.Kind) -> Int {
        switch kind {
        case .command: 0
        case .audio: 1
        case .video: 2
        case .image, .fileTransfer, .binary, .other: 3
        }
    }

    /// Leaves one alternative of each exclusion: the one with a stream that was chosen before, else the first.
    private static func obeying(
        _ exclusions: [ASFMutualExclusion], _ selection: WMSPSelection, preferred: ASFStreamSet
    ) -> WMSPSelection {
        var result = selection
        for exclusion in exclusions {
            let on = exclusion.alternatives.filter { !$0.intersection(result.streams).isEmpty }
            guard on.count > 1 else { continue }
            let kept = on.first { !$0.intersection(result.streams).intersection(preferred).isEmpty } ?? on[0]
            for other in on where other != kept {
                let gone = other.subtracting(kept)
                result.whole = result.whole.subtracting(gone)
                result.keyFramesOnly = result.keyFramesOnly.subtracting(gone)
            }
        }
        return result
    }
}

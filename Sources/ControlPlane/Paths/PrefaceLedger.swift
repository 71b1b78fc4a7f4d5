import PlaneLink
import WireFormats

/// Which tracks' parameter sets go before their key frames: those of which readers may have others, from the description that they set up
/// their sessions with or from a clip. Pure.
///
/// A source that repeats its sets in band needs none of this, and the engine adds nothing where a key frame brings its own.
struct PrefaceLedger {
    /// By track: what it was described with first, and since then shown to all who read it.
    private var known: [Int: (ssrc: UInt32, sets: ParameterSets)] = [:]
    /// What goes before key frames, by track.
    private var repeated: [Int: [UInt8]] = [:]

    /// What the engine is to be told, now that the source is described so. `isShown`: the track whose sets came by in the stream itself;
    /// `isReplaced`: the one of which readers are sent others for a while.
    mutating func update(
        _ description: StreamDescription, isShown: Int? = nil, isReplaced: Int? = nil
    ) -> [(track: Int, payloads: [UInt8])] {
        var changes: [(track: Int, payloads: [UInt8])] = []
        for (track, media) in zip(description.tracks, description.sdp.media) where track.codec == .h264 || track.codec == .h265 {
            let number = track.number
            let sets = media.parameterSets
            if known[number]?.ssrc != track.plan.ssrc {
                known[number] = (track.plan.ssrc, sets)
                repeated[number] = nil
            }
            if number == isShown, repeated[number] == nil { known[number]?.sets = sets }
            guard !sets.isEmpty, repeated[number] != nil || number == isReplaced || known[number]?.sets != sets else { continue }
            let payloads = media.parameterSetPayloads
            guard payloads != repeated[number] else { continue }
            repeated[number] = payloads
            changes.append((number, payloads))
        }
        return changes
    }
}

extension MediaDescription {
    /// The parameter sets that are described, each behind its length, as ``Command/setPreface(_:track:_:)`` wants them. Empty when there are
    /// none, or more than fit, or packets would have to carry decoding order numbers.
    var parameterSetPayloads: [UInt8] {
        guard !hasDecodingOrderNumbers else { return [] }
        let sets = parameterSets
        var bytes: [UInt8] = []
        for unit in sets.video + sets.sequence + sets.picture {
            // Without one of them the others are of no use.
            guard unit.count <= Self.setBytesMax else { return [] }
            bytes += [UInt8(unit.count & 0xFF), UInt8(unit.count >> 8)] + unit
        }
        return bytes.count <= StreamSizing.prefaceBytesMax ? bytes : []
    }

    /// A parameter set is sent in one packet, which must fit a datagram.
    private static let setBytesMax = 1_400
}

import Logging
import NIOCore
import PlaneLink
import WireFormats

// What is known of a stream by its packets: parameter sets that its description lacks, and packets that are too large.

extension LiveStream {
    /// What the engine noticed.
    enum Notice {
        /// Other parameter sets than before.
        case parameterSets(track: Int)
        /// A packet beyond the path's limit for UDP, for the first time.
        case packetTooLarge(track: Int, bytes: Int)
    }
}

extension StreamDescription {
    /// With these parameter sets, by track, where the description has others or none.
    func with(_ learnt: [Int: ParameterSets]) -> StreamDescription {
        var next = self
        for (place, track) in tracks.enumerated() {
            guard let sets = learnt[track.number], next.sdp.media.indices.contains(place) else { continue }
            let own = sdp.media[place].parameterSets
            if !own.holdsAll(of: sets) { next.sdp.media[place].setParameterSets(sets.completed(from: own)) }
        }
        return next
    }

    /// What was learnt of `before` and still holds for this one, which comes of a new description of the source's: the sets of tracks that
    /// go on and are not described better now.
    func stillLacking(_ learnt: [Int: ParameterSets], of before: StreamDescription) -> [Int: ParameterSets] {
        learnt.filter { number, _ in
            guard let place = tracks.firstIndex(where: { $0.number == number }), sdp.media.indices.contains(place) else { return false }
            return before.tracks.contains(tracks[place]) && sdp.media[place].parameterSets.isEmpty
        }
    }
}

extension PacketSettings {
    /// Why a stream is not to be sent over UDP; nil when it may be. Judged by the largest packet of all tracks, since a player that was
    /// refused UDP for one track must not have it for another.
    func datagramRefusal(of description: StreamDescription) -> String? {
        guard oversize != .pass else { return nil }
        for track in description.tracks {
            let bytes = description.counters[track.number, .packetBytesMax]
            guard bytes > UInt64(bytesMax) else { continue }
            return
                "\(track.codec.name) of this stream comes in packets of up to \(bytes) bytes, and \(bytesMax) is the most that is sent by "
                + "UDP (udp-packet-max); ask for RTP/AVP/TCP"
        }
        return nil
    }
}

extension Path {
    /// A track that has just shown parameter sets is not looked at again for so long, whatever its source sends.
    static let parameterSetPauseMilliseconds: Int64 = 1_000

    /// Takes what the engine noticed of the stream.
    func noticed(_ notice: LiveStream.Notice) {
        switch notice {
        case .parameterSets(let track): learnParameterSets(track)
        case .packetTooLarge(let track, let bytes): warnOfSize(track, bytes)
        }
    }

    private func learnParameterSets(_ number: Int) {
        guard let live else { return }
        let handle = live.handle
        let units = port.parameterSets(of: handle, track: number)
        eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(Self.parameterSetPauseMilliseconds)) { [port] in
            port.acceptParameterSets(of: handle, track: number)
        }
        guard let track = live.description.tracks.first(where: { $0.number == number }) else { return }
        let sets = ParameterSets(codec: track.codec, units: units)
        guard !sets.isEmpty, live.learn(track: number, sets) else { return }
        logger.info(
            "the description follows the stream's parameter sets",
            metadata: ["track": "\(number)", "codec": "\(track.codec.name)", "version": "\(live.description.version)"])
        descriptionChanged()
    }

    private func warnOfSize(_ number: Int, _ bytes: Int) {
        let codec = live?.description.tracks.first { $0.number == number }?.codec.name ?? "?"
        let outcome =
            settings.packets.oversize == .pass
            ? "UDP readers get them in IP fragments"
            : "UDP readers that come now are answered 461 and take TCP; the others get IP fragments"
        var remedy = "have the source send smaller packets"
        if settings.packets.oversize == .refuse { remedy += ", or set oversize: fragment (H.264, H.265)" }
        if bytes <= PacketSettings.bytesMaxRange.upperBound { remedy += ", or raise udp-packet-max where the network takes it" }
        logger.warning(
            "the source's packets are too large for UDP",
            metadata: [
                "track": "\(number)", "codec": "\(codec)", "bytes": "\(bytes)", "udp-packet-max": "\(settings.packets.bytesMax)",
                "outcome": "\(outcome)", "remedy": "\(remedy)",
            ])
    }
}

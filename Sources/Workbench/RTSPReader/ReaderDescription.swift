import WireFormats

/// The tracks of a session description as a reader needs them.
struct ReaderDescription {
    /// What PLAY and TEARDOWN name.
    let aggregateURL: String
    /// What can be set up, in the description's order. Of Windows Media one: its streams come in one RTP session.
    let tracks: [ReaderTrack]
    /// What it says of Windows Media; nil for plain RTP.
    let windowsMedia: MSRTSPDescription?

    /// `base` is what relative control URLs stand against (RFC 2326 section C.1.1).
    init(_ body: [UInt8], base: String) throws(WorkbenchError) {
        let description: SessionDescription
        do { description = try SessionDescription(body) } catch {
            throw WorkbenchError("the server's description cannot be read: \(error)")
        }
        let aggregate = ControlURL.resolve(description.control ?? "*", base: base)
        aggregateURL = aggregate
        guard !MSRTSPDescription.isMSRTSP(description) else {
            let media: MSRTSPDescription
            do { media = try MSRTSPDescription(description) } catch { throw WorkbenchError("\(error)") }
            windowsMedia = media
            tracks = [Self.track(of: media, base: aggregate)]
            return
        }
        windowsMedia = nil
        // A control of a media stands against the session's, if that is absolute, else against the base.
        tracks = description.receivableMedia.map { index in
            let media = description.media[index]
            return ReaderTrack(
                kind: media.kind, payloadType: media.payloadTypes.first ?? 0, codec: media.codec,
                encoding: media.format?.encodingName ?? "", clockRate: media.clockRate,
                controlURL: ControlURL.resolve(media.control ?? "*", base: aggregate), channels: nil)
        }
        guard !tracks.isEmpty else { throw WorkbenchError("the server's description names no media") }
    }

    private static func track(of media: MSRTSPDescription, base: String) -> ReaderTrack {
        let urls = media.streams.map { ControlURL.resolve($0.control, base: base) }
        var track = ReaderTrack(
            kind: "application", payloadType: media.streams.first?.payloadType ?? 0, codec: .other("x-asf-pf"), encoding: "x-asf-pf",
            clockRate: 1_000, controlURL: urls.first ?? base, channels: nil)
        track.otherControlURLs = Array(urls.dropFirst())
        return track
    }
}

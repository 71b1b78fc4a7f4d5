import WireFormats

/// By what versions of an RTSP server's stored media are told apart: servers say little, and describe all that matters.
package enum RecordingTag {
    /// An entity tag over the description, without what is of one answer or one connection, and what the server's header fields add.
    package static func tag(of description: SessionDescription, etag: String?, lastModified: String?) -> String {
        let origin = SDPOrigin(sessionID: 1, sessionVersion: 1, address: "127.0.0.1")
        var text = description.forReaders(
            origin: origin, range: description.storedMicroseconds.map { .npt(start: .microseconds(0), end: .microseconds($0)) }
        ).serialized()
        for field in [etag, lastModified] { text += Array("\n\(field ?? "")".utf8) }
        return "\"\(Hexadecimal.text(of: SHA256.hash(text)))\""
    }
}

extension SessionDescription {
    /// The length of stored media in microseconds: `a=range:npt=0-30.5`, also with the `now` that GStreamer's server begins with before
    /// it has looked. Nil for what has no known end, or begins elsewhere.
    package var storedMicroseconds: Int64? {
        guard case .npt(let start, .microseconds(let end)?)? = range, end > 0, end <= RecordedPacket.microsecondsMax,
            start == nil || start == .now || start == .microseconds(0)
        else { return nil }
        return end
    }
}

/// A session description (RFC 4566, RFC 8866), read without loss: every line is kept, in order, known or not.
package struct SessionDescription: Sendable, Hashable {
    /// Longer texts are refused.
    package static let bytesMax = 1 << 20
    /// More lines are refused.
    package static let lineCountMax = 8_192
    /// More media are refused.
    package static let mediaCountMax = 64

    /// The lines before the first `m=`.
    package var lines: [SDPLine]
    /// The media blocks in order.
    package var media: [MediaDescription]
    /// What was wrong with the text it was read from.
    package private(set) var warnings: [SDPWarning] = []

    /// A description from its parts.
    package init(lines: [SDPLine], media: [MediaDescription]) {
        self.lines = lines
        self.media = media
    }

    /// Reads a description as tolerantly as cameras need it; what it stumbled over stands in ``warnings``.
    package init(_ bytes: [UInt8]) throws(SDPError) {
        var reader = SDPReader()
        try reader.read(bytes)
        lines = reader.lines
        media = reader.media
        warnings = reader.warnings
    }

    /// Reads a description.
    package init(_ text: String) throws(SDPError) { try self.init(Array(text.utf8)) }

    /// The description's text; every line ends with CR LF.
    package func serialized() -> [UInt8] {
        var bytes: [UInt8] = []
        func put(_ line: SDPLine) {
            bytes += [line.typeByte, ASCII.equals]
            bytes += line.bytes
            bytes += [ASCII.carriageReturn, ASCII.lineFeed]
        }
        for line in lines { put(line) }
        for media in media {
            put(SDPLine("m", media.mediaLine))
            for line in media.lines { put(line) }
        }
        return bytes
    }

    /// `s=`; nil when absent.
    package var sessionName: String? { lines.first("s") }
    /// `o=`; nil when absent.
    package var origin: String? { lines.first("o") }
    /// The session's `a=control`; nil when absent.
    package var control: String? { lines.attribute("control") }
    /// `a=range` of the session, or else of the first media that has one; nil when absent or not of its form.
    package var range: RangeHeader? {
        guard let text = lines.attribute("range") ?? media.lazy.compactMap({ $0.lines.attribute("range") }).first else { return nil }
        return try? RangeHeader.parse(text)
    }

    /// The media that a relay takes: all but back channels, or all if every one is marked as such.
    package var receivableMedia: [Int] {
        let some = media.indices.filter { !media[$0].isBackChannel }
        return some.isEmpty ? Array(media.indices) : some
    }

    /// `a=fmtp` of a media's payload type. Where the media itself has none, one that stands under another media counts, if that
    /// other does not use the payload type (some cameras put every fmtp at the end).
    package func formatParameters(media index: Int, payloadType: UInt8) -> String? {
        guard media.indices.contains(index) else { return nil }
        if let own = media[index].formatParameters(payloadType) { return own }
        for other in media.indices where other != index && !media[other].payloadTypes.contains(payloadType) {
            if let text = media[other].formatParameters(payloadType) { return text }
        }
        return nil
    }
}

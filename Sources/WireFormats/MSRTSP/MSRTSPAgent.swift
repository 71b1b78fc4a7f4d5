/// Who a peer of RTSP says it is: `User-Agent` of a client, `Server` of a server ([MS-RTSP] 2.2.6.13, 2.2.6.33).
///
///     WMPlayer/9.0.0.2980 guid/3300AD50-2C39-46C0-AE0A-C4D98694D7B4
package struct MSRTSPAgent: Sendable, Hashable {
    /// What it is.
    package enum Product: Sendable, Hashable, CaseIterable {
        /// Windows Media Player.
        case player
        /// A Windows Media server, also as the client of another.
        case server
        /// A cache of Windows Media.
        case cacheProxy
        /// FFmpeg's, and what is made with it: MPlayer, mpv.
        case lavf
        /// GStreamer's.
        case gstreamer
        /// LIVE555's: VLC.
        case liveMedia
        /// Anything else, or nothing.
        case other

        fileprivate static let names: [(Product, String)] = [
            (.player, "WMPlayer"), (.player, "NSPlayer"), (.server, "WMServer"), (.server, "NSServer"), (.cacheProxy, "WMCacheProxy"),
            (.lavf, "Lavf"), (.gstreamer, "GStreamer"), (.liveMedia, "LibVLC"), (.liveMedia, "VLC"),
        ]
    }

    /// What it is.
    package let product: Product
    /// Its version; 0.0 where none is given.
    package let version: WMSPAgent.Version
    /// Of one player: digits and capital letters without braces; nil where none is given.
    package let guid: String?
    /// The whole text, at most ``textBytesMax`` bytes.
    package let text: String

    /// What is kept of the text.
    package static let textBytesMax = 256

    /// The peer of that header; nil is an absent one.
    package init(_ header: String?) {
        let bytes = (header ?? "").byteSlice.trimmed
        text = bytes.prefix(Self.textBytesMax).text
        let words = bytes.prefix(1_024).split(whereSeparator: ASCII.isBlank)
        let found = Product.names.first { name in
            guard bytes.hasPrefixIgnoringCase(name.1) else { return false }
            let next = bytes.dropFirst(name.1.utf8.count).first
            return next == nil || next == ASCII.slash || next == ASCII.space || name.0 == .lavf && next.map(ASCII.isDigit) == true
        }
        // "LIVE555 Streaming Media v2022.07.14" stands behind the player's own name, in brackets.
        let isLiveMedia = words.contains { $0.trimmed.drop { $0 == UInt8(ascii: "(") }.hasPrefixIgnoringCase("LIVE555") }
        product = found?.0 ?? (isLiveMedia ? .liveMedia : .other)
        let digits = bytes.dropFirst(found?.1.utf8.count ?? bytes.count).drop { $0 == ASCII.slash || $0 == ASCII.space }
        let parts = digits.prefix { ASCII.isDigit($0) || $0 == ASCII.dot }.split(separator: ASCII.dot)
            .map { UInt16(truncatingIfNeeded: ASCII.decimal($0, max: 65_535) ?? 0) }
        version = WMSPAgent.Version(parts.first ?? 0, parts.count > 1 ? parts[1] : 0)
        guid = words.lazy.compactMap(Self.guid).first
    }

    /// `guid/` and 32 hexadecimal digits with dashes, in braces or not.
    private static func guid(_ word: ArraySlice<UInt8>) -> String? {
        guard word.hasPrefixIgnoringCase("guid/") else { return nil }
        var digits = word.dropFirst(5)
        if digits.first == UInt8(ascii: "{"), digits.last == UInt8(ascii: "}") { digits = digits.dropFirst().dropLast() }
        guard digits.count == 36 else { return nil }
        for (place, byte) in digits.enumerated() {
            let isDash = [8, 13, 18, 23].contains(place)
            guard isDash ? byte == ASCII.dash : ASCII.hexValue(byte) != nil else { return nil }
        }
        return digits.text.uppercased()
    }

    /// Whether each ASF packet must hold a single payload, else its seeks miss frames.
    package var wantsSinglePayloads: Bool { product == .lavf }
    /// Whether headers must say that the Data Object is empty, for the same reason.
    package var wantsEmptyDataObject: Bool { product == .lavf }
    /// Whether descriptions must not say when content ends: GStreamer's buffer never fills otherwise.
    package var wantsOpenRange: Bool { product == .gstreamer }
    /// Whether it is a player, server or cache of Windows Media, which knows every header.
    package var isWindowsMedia: Bool { product == .player || product == .server || product == .cacheProxy }

    /// What Weir calls itself as a client, with a player's GUID or without.
    package static func userAgent(_ product: String, version: String, guid: String?) -> String {
        "\(product)/\(version)" + (guid.map { " guid/\($0)" } ?? "")
    }
}

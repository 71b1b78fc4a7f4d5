// The headers of MS-RTSP that are a number, a word or a pair of numbers ([MS-RTSP] 2.2.6).

extension RTSPHeaders {
    /// `X-Playlist-Gen-Id`: which entry of a playlist is meant; nil where it is absent, 0 or no number.
    package var playlistGenID: UInt32? { number("X-Playlist-Gen-Id").flatMap { $0 == 0 ? nil : $0 } }

    /// `X-Playlist-Seek-Id`: the entry that a `Range` or a skip refers to; nil as above.
    package var playlistSeekID: UInt32? { number("X-Playlist-Seek-Id").flatMap { $0 == 0 ? nil : $0 } }

    /// `X-Playlist: pl-offset=n`: how many entries ahead a Play shall go, or back (negative); nil where it is absent, 0 or no number.
    package var playlistOffset: Int? {
        guard let value = self["X-Playlist"] else { return nil }
        for part in value.byteSlice.split(whereSeparator: { $0 == ASCII.semicolon || $0 == ASCII.comma }) {
            let (name, number) = part.split(atFirst: ASCII.equals)
            guard let number = number?.trimmed, ASCII.equalIgnoringCase(name.trimmed, "pl-offset") else { continue }
            let isNegative = number.first == ASCII.dash
            guard let offset = ASCII.decimal(isNegative ? number.dropFirst() : number, max: 1_000_000), offset > 0 else { return nil }
            return isNegative ? -Int(offset) : Int(offset)
        }
        return nil
    }

    /// `X-Playlist-Change-Notice: true`: nothing is sent for this Play; an end of stream and an announcement follow.
    package var isPlaylistChangeNotice: Bool { self["X-Playlist-Change-Notice"].map { ASCII.equalIgnoringCase($0, "true") } ?? false }

    /// `X-Receding-PlaylistChange: 1`: the entry that is announced is the one before.
    package var isRecedingPlaylistChange: Bool { number("X-Receding-PlaylistChange") == 1 }

    /// `X-Player-Lag-Time` in milliseconds: by how much more than usual a player lagged; nil where absent or no number.
    package var playerLagMilliseconds: UInt32? { number("X-Player-Lag-Time") }

    /// `X-Broadcast-Id`: names a live source within a playlist; nil where absent, 0 for what is no broadcast.
    package var broadcastID: UInt32? { number("X-Broadcast-Id") }

    /// `Bandwidth` in bit/s; the largest number of 31 bits means any. Nil where absent or no number.
    package var bandwidthBitsPerSecond: UInt32? { number("Bandwidth") }

    /// `X-Accelerate-Streaming`; nil where it is absent or lacks a number.
    package var acceleration: MSRTSPRate? { self["X-Accelerate-Streaming"].flatMap { MSRTSPRate($0, prefix: "Accel") } }

    /// `X-Burst-Streaming`; nil as above.
    package var burst: MSRTSPRate? { self["X-Burst-Streaming"].flatMap { MSRTSPRate($0, prefix: "Burst") } }

    private func number(_ name: String) -> UInt32? { self[name].flatMap { PragmaNumber.leading($0.byteSlice) } }
}

/// How much content is sent faster than in real time, and how fast: the value of `X-Accelerate-Streaming` (for a player) and of `X-Burst-Streaming`
/// (for a relay).
package struct MSRTSPRate: Sendable, Hashable {
    /// Of content.
    package var milliseconds: UInt32
    /// The rate of the link that is to be used.
    package var bitsPerSecond: UInt32

    /// A rate.
    package init(milliseconds: UInt32, bitsPerSecond: UInt32) {
        self.milliseconds = milliseconds
        self.bitsPerSecond = bitsPerSecond
    }

    init?(_ value: String, prefix: String) {
        var duration: UInt32?, bandwidth: UInt32?
        for part in value.byteSlice.split(separator: ASCII.semicolon) {
            let (name, rest) = part.split(atFirst: ASCII.equals)
            guard let number = rest.flatMap(PragmaNumber.leading) else { continue }
            if ASCII.equalIgnoringCase(name.trimmed, prefix + "Duration") { duration = number }
            if ASCII.equalIgnoringCase(name.trimmed, prefix + "Bandwidth") { bandwidth = number }
        }
        // Some clients name the duration alone: the rest is the server's.
        guard let duration else { return nil }
        self.init(milliseconds: duration, bitsPerSecond: bandwidth ?? UInt32(Int32.max))
    }

    /// The value of `X-Accelerate-Streaming`.
    package var accelerationText: String { "AccelDuration=\(milliseconds);AccelBandwidth=\(bitsPerSecond)" }

    /// The value of `X-Burst-Streaming`.
    package var burstText: String { "BurstDuration=\(milliseconds);BurstBandwidth=\(bitsPerSecond)" }
}

/// What a peer can do: the header `Supported` ([MS-RTSP] 2.2.6.10).
package struct MSRTSPSupported: NamedTokens, Sendable, Hashable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Ends of streams are told by a request.
    package static let endOfStream = MSRTSPSupported(rawValue: 1 << 0)
    /// Streams are changed by SET_PARAMETER.
    package static let streamSwitch = MSRTSPSupported(rawValue: 1 << 1)
    /// Streams of the next entry are selected for the client, and sent at once.
    package static let prediction = MSRTSPSupported(rawValue: 1 << 2)
    /// Packet pairs are asked for and sent.
    package static let packetPair = MSRTSPSupported(rawValue: 1 << 3)
    /// Packet pairs of RTP bear the SSRC of the stream of retransmissions.
    package static let packetPairSSRC = MSRTSPSupported(rawValue: 1 << 4)
    /// A server honours `Speed`.
    package static let fastCache = MSRTSPSupported(rawValue: 1 << 5)
    /// A client wants to be told which packet of the content each is.
    package static let locationID = MSRTSPSupported(rawValue: 1 << 6)
    /// `X-StartupProfile`.
    package static let startupProfile = MSRTSPSupported(rawValue: 1 << 7)

    static let names: [(MSRTSPSupported, String)] = [
        (.packetPair, "com.microsoft.wm.srvppair"), (.streamSwitch, "com.microsoft.wm.sswitch"),
        (.endOfStream, "com.microsoft.wm.eosmsg"), (.prediction, "com.microsoft.wm.predstrm"),
        (.fastCache, "com.microsoft.wm.fastcache"), (.packetPairSSRC, "com.microsoft.wm.packetpairssrc"),
        (.locationID, "com.microsoft.wm.locid"), (.startupProfile, "com.microsoft.wm.startupprofile"),
    ]

    /// What a message lists; nil when it has no such header: then what was known of the peer goes on to hold.
    package init?(_ headers: RTSPHeaders) {
        guard headers.contains("Supported") else { return nil }
        self = []
        for word in headers.list(named: "Supported") { insert(named: word.byteSlice) }
    }

    /// The header's value.
    package var text: String { text(separator: ", ") }
}

/// What the body of a request is, which tells what is asked for ([MS-RTSP] 2.2.7).
package enum MSRTSPContentType: String, Sendable, Hashable, CaseIterable {
    /// Which streams are sent.
    case streamSwitch = "application/x-wms-streamswitch"
    /// What a cache may do with the content.
    case contentInfo = "application/x-wms-getcontentinfo"
    /// Packet pairs on the connection.
    case packetPair = "application/x-rtsp-packetpair"
    /// Packet pairs as datagrams.
    case datagramPacketPair = "application/x-rtsp-udp-packetpair"
    /// A log of the beginning.
    case logConnect = "application/x-wms-Logconnectstats"
    /// A log of what was played.
    case logPlay = "application/x-wms-Logplaystats"
    /// An event of a cache: the body is a ``RemoteEvent``.
    case event = "application/x-wms-sendevent"
    /// An end of stream.
    case extensionCommand = "application/x-wms-extension-cmd"
    /// Listed in the document, and used by nobody.
    case contentDescription = "application/x-wms-contentdesc"
    case templates = "application/x-wms-gettemplates"
    /// An announcement, a description.
    case sdp = "application/sdp"

    /// What a message says; nil for another type, or none. Parameters and case do not count.
    package init?(_ headers: RTSPHeaders) {
        guard let type = headers.contentType, let found = Self.allCases.first(where: { ASCII.equalIgnoringCase($0.rawValue, type) }) else {
            return nil
        }
        self = found
    }

    /// As it goes over the wire, with the character set where the body is text that is not Weir's own.
    package var text: String {
        switch self {
        case .logConnect, .logPlay, .event: rawValue + ";charset=UTF-8"
        default: rawValue
        }
    }
}

/// `If-Match` and `If-None-Match` (RFC 2068 sections 14.25 and 14.26).
package enum EntityTagCondition: Sendable, Hashable {
    /// `*`
    case any
    /// Tags without their quotes.
    case tags([String])

    /// Tags of a list that are read; longer lists are refused.
    package static let countMax = 32

    /// The value taken apart. A tag may lack its quotes, and be weak.
    package static func parse(_ value: String, header: String = "If-Match") throws(RTSPHeaderError) -> EntityTagCondition {
        let whole = value.byteSlice.trimmed
        if whole.count == 1, whole.first == UInt8(ascii: "*") { return .any }
        var tags: [String] = []
        for part in whole.splitOutsideQuotes(ASCII.comma) {
            var part = part.trimmed
            if part.hasPrefixIgnoringCase("W/") { part = part.dropFirst(2) }
            let tag = part.unquoted
            guard !tag.isEmpty, !tag.contains(where: { $0 == ASCII.quote || ASCII.isControl($0) }) else {
                throw .malformed(header: header, parameter: "a tag", value: RTSPFirstLine.excerpt(part))
            }
            guard tags.count < countMax else { throw .tooMany(header: header, countMax: countMax) }
            tags.append(tag.text)
        }
        guard !tags.isEmpty else { throw .empty(header: header) }
        return .tags(tags)
    }

    /// Whether a tag (without quotes) is among them.
    package func matches(_ tag: String) -> Bool {
        switch self {
        case .any: true
        // GUIDs come in small and capital letters.
        case .tags(let tags): tags.contains { ASCII.equalIgnoringCase($0, tag) }
        }
    }
}

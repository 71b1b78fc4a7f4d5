import WireFormats

/// What an origin is told of a player that a relay served ([MS-WMLOG] 2.7, the rendering log): made from the log that the player sent to the
/// relay. Every word of it is the player's, but for those by which the relay says that it stood between.
package struct WMSPRenderingLog: Sendable, Equatable {
    /// What the relay says of itself and of the player.
    package struct Relay: Sendable, Equatable {
        /// The player's address; nil where the log says it already.
        package var player: String?
        /// Where the origin sees the relay; nil where that is not known.
        package var address: String?
        /// Players of the relay in all.
        package var players: Int

        /// All of it.
        package init(player: String?, address: String?, players: Int) {
            self.player = player
            self.address = address
            self.players = players
        }
    }

    /// The XML of an event's `@.REMOTE_LOG`.
    package let xml: String
    /// The player's `c-playerid`.
    package let playerID: String

    /// Names of the first 44 fields, in the order in which a line has them.
    static let names = [
        "c-ip", "date", "time", "c-dns", "cs-uri-stem", "c-starttime", "x-duration", "c-rate", "c-status", "c-playerid",
        "c-playerversion", "c-playerlanguage", "cs-User-Agent", "cs-Referer", "c-hostexe", "c-hostexever", "c-os", "c-osversion",
        "c-cpu", "filelength", "filesize", "avgbandwidth", "protocol", "transport", "audiocodec", "videocodec", "c-channelURL",
        "sc-bytes", "c-bytes", "s-pkts-sent", "c-pkts-received", "c-pkts-lost-client", "c-pkts-lost-net", "c-pkts-lost-cont-net",
        "c-resendreqs", "c-pkts-recovered-ECC", "c-pkts-recovered-resent", "c-buffercount", "c-totalbuffertime", "c-quality", "s-ip",
        "s-dns", "s-totalclients", "s-cpu-util",
    ]
    /// Those that say how the media was received, which a rendering log leaves to the relay's own.
    private static let receptionNames: Set = [
        "avgbandwidth", "sc-bytes", "s-pkts-sent", "c-pkts-received", "c-pkts-lost-client", "c-pkts-lost-net", "c-pkts-lost-cont-net",
        "c-resendreqs", "c-pkts-recovered-ECC", "c-pkts-recovered-resent", "c-buffercount", "c-totalbuffertime",
    ]
    /// Longer ones are not handed on: an event must hold it, and more.
    package static let bytesMax = 64 << 10
    private static let unknown: Substring = "-"

    /// Made from a player's log; nil where that is none of playing: a streaming log, one of the beginning, what is broken, what is too long.
    package init?(_ log: WMSPLog, relay: Relay) {
        guard log.text.utf8.count <= Self.bytesMax else { return nil }
        switch log.form {
        case .line: self.init(line: log.text[...], rest: "", relay: relay)
        case .xml:
            guard let summary = Self.element("Summary", of: log.text[...]) else { return nil }
            self.init(line: summary, rest: Self.more(in: log.text), relay: relay)
        }
    }

    /// Of a line with 44, 47 or 52 fields, still escaped as XML has it.
    private init?(line: Substring, rest: Substring, relay: Relay) {
        let words = line.split(whereSeparator: \.isWhitespace)
        guard [44, 47, 52].contains(words.count) else { return nil }
        var fields = Array(words[..<44])
        func field(_ name: String) -> Int { Self.names.firstIndex(of: name) ?? 0 }
        let protocolName = fields[field("protocol")].lowercased()
        let isRendering = words.count == 52 || protocolName == "cache"
        if !isRendering, fields[field("audiocodec")] == Self.unknown, fields[field("videocodec")] == Self.unknown { return nil }
        for name in Self.receptionNames { fields[field(name)] = Self.unknown }
        fields[field("protocol")] = "Cache"
        fields[field("transport")] = Self.unknown
        fields[field("c-quality")] = "100"
        if let player = relay.player { fields[field("c-ip")] = Self.word(player) }
        fields[field("cs-User-Agent")] = "_via_HTTP/1.0_WMCacheProxy/9.00.00.3171"
        fields[field("s-ip")] = relay.address.map(Self.word) ?? Self.unknown
        fields[field("s-dns")] = Self.unknown
        fields[field("s-totalclients")] = "\(max(relay.players, 0))"
        fields[field("s-cpu-util")] = Self.unknown
        // Of 52: cs-user-name s-session-id s-content-path cs-url cs-media-name c-max-bandwidth cs-media-role s-proxied; of 47: cs-url
        // cs-media-name cs-media-role.
        let url = words.count == 52 ? words[47] : words.count == 47 ? words[44] : fields[field("cs-uri-stem")]
        let media = words.count == 52 ? words[48] : words.count == 47 ? words[45] : Self.unknown
        let role = words.count == 52 ? words[50] : words.count == 47 ? words[46] : Self.unknown
        let kept = words.count == 52 ? words[44..<47] + [words[49]] : [Self.unknown, Self.unknown, Self.unknown, Self.unknown][...]
        let tail = Array(kept.prefix(3)) + [url, media] + Array(kept.suffix(1)) + [role, "1"]
        let summary = (fields + tail).map { Self.escaped($0) }.joined(separator: " ")
        let elements = zip(Self.names, fields).map { "<\($0)>\(Self.escaped($1))</\($0)>" }.joined()
        xml = "<XML><Summary>\(summary)</Summary>\(elements)<cs-url>\(Self.escaped(url))</cs-url><s-proxied>1</s-proxied>\(rest)</XML>"
        playerID = String(fields[field("c-playerid")].prefix(64))
    }

    /// The event that carries it: `agent` is the player's, `url` the origin's.
    package func event(agent: String, url: String) -> RemoteEvent { RemoteEvent(logOf: agent, guid: playerID, url: url, xml: xml) }

    /// What stands in an element, without blanks at its ends.
    private static func element(_ name: String, of text: Substring) -> Substring? {
        guard let start = text.firstRange(of: "<\(name)>"), let end = text[start.upperBound...].firstRange(of: "</\(name)>") else {
            return nil
        }
        return text[start.upperBound..<end.lowerBound]
    }

    /// What stands behind `cs-url`: the content's description and the blocks of vendors, which go on as they are.
    private static func more(in text: String) -> Substring {
        guard let start = text.firstRange(of: "</cs-url>"), let end = text.lastRange(ofElement: "</XML>"), start.upperBound <= end else {
            return ""
        }
        return text[start.upperBound..<end].replacing("<s-proxied>1</s-proxied>", with: "")[...]
    }

    private static func word(_ text: String) -> Substring {
        text.isEmpty || text.contains(where: \.isWhitespace) ? unknown : text[...]
    }

    /// Text of a line may hold what ends an element; what is escaped already stays as it is.
    private static func escaped(_ text: Substring) -> String {
        String(text).replacing("<", with: "&lt;").replacing(">", with: "&gt;")
    }
}

extension String {
    /// Where the last one begins.
    fileprivate func lastRange(ofElement mark: String) -> Index? { ranges(of: mark).last?.lowerBound }
}

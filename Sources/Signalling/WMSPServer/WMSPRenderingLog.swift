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
        /// What the relay's host is called; nil where it has no name.
        package var name: String?
        /// Players of the relay in all.
        package var players: Int
        /// How busy its processors are, in percent of all of them; nil where that is not known.
        package var processorPercent: Int?

        /// All of it.
        package init(player: String?, address: String?, name: String? = nil, players: Int, processorPercent: Int? = nil) {
            self.player = player
            self.address = address
            self.name = name
            self.players = players
            self.processorPercent = processorPercent
        }
    }

    /// The first 44 fields, and the eight behind them.
    private var fields: [Substring]
    private var tail: [Substring]
    /// What stands behind `cs-url`: the content's description and the blocks of vendors.
    private let rest: Substring

    /// Names of the first 44 fields, in the order in which a line has them.
    static let names = [
        "c-ip", "date", "time", "c-dns", "cs-uri-stem", "c-starttime", "x-duration", "c-rate", "c-status", "c-playerid",
        "c-playerversion", "c-playerlanguage", "cs-User-Agent", "cs-Referer", "c-hostexe", "c-hostexever", "c-os", "c-osversion",
        "c-cpu", "filelength", "filesize", "avgbandwidth", "protocol", "transport", "audiocodec", "videocodec", "c-channelURL",
        "sc-bytes", "c-bytes", "s-pkts-sent", "c-pkts-received", "c-pkts-lost-client", "c-pkts-lost-net", "c-pkts-lost-cont-net",
        "c-resendreqs", "c-pkts-recovered-ECC", "c-pkts-recovered-resent", "c-buffercount", "c-totalbuffertime", "c-quality", "s-ip",
        "s-dns", "s-totalclients", "s-cpu-util",
    ]
    private static let places = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, $0) })
    /// Those that say how the media was received, which a rendering log leaves to the relay's own.
    private static let receptionNames: Set = [
        "avgbandwidth", "sc-bytes", "s-pkts-sent", "c-pkts-received", "c-pkts-lost-client", "c-pkts-lost-net", "c-pkts-lost-cont-net",
        "c-resendreqs", "c-pkts-recovered-ECC", "c-pkts-recovered-resent", "c-buffercount", "c-totalbuffertime",
    ]
    /// Longer ones are not handed on: an event must hold it, and more.
    package static let bytesMax = 64 << 10
    /// Every relay says that it is one; what the player called itself is not told.
    static let agent = "_via_HTTP/1.0_WMCacheProxy/9.00.00.3171"
    private static let unknown: Substring = "-"

    /// Made from a player's log; nil where that is none of playing: a streaming log, one of the beginning, what is broken, what is too long.
    package init?(_ log: WMSPLog, relay: Relay) {
        switch WMSPLogKind(log) {
        case .connect, .streaming, .unusable: return nil
        case .legacy, .rendering: break
        }
        self.init(log)
        for name in Self.receptionNames { self[name] = Self.unknown }
        self["protocol"] = "Cache"
        self["transport"] = Self.unknown
        self["c-quality"] = "100"
        if let player = relay.player { self["c-ip"] = Self.word(player) }
        self["cs-User-Agent"] = Self.agent[...]
        self["s-ip"] = relay.address.map(Self.word) ?? Self.unknown
        self["s-dns"] = relay.name.map(Self.word) ?? Self.unknown
        self["s-totalclients"] = "\(max(relay.players, 0))"
        self["s-cpu-util"] = relay.processorPercent.map { "\(min(max($0, 0), 100))" } ?? Self.unknown
        tail[7] = "1"
    }

    /// One that was made so before, as ``xml`` has it; nil for anything else.
    package init?(made xml: String) {
        guard let agent = WMSPAgent.client("NSPlayer/9.0") else { return nil }
        self.init(WMSPLog(form: .xml, text: xml, agent: agent, path: ""))
        guard tail.last == "1", self["cs-User-Agent"] == Self.agent else { return nil }
    }

    /// Of a line with 44, 47 or 52 fields, still escaped as XML has it.
    private init?(_ log: WMSPLog) {
        guard let line = Self.line(of: log) else { return nil }
        let words = line.split(whereSeparator: \.isWhitespace)
        guard [44, 47, 52].contains(words.count) else { return nil }
        fields = Array(words[..<44])
        // Of 52: cs-user-name s-session-id s-content-path cs-url cs-media-name c-max-bandwidth cs-media-role s-proxied; of 47: cs-url
        // cs-media-name cs-media-role.
        let none = Self.unknown
        tail =
            switch words.count {
            case 52: Array(words[44...])
            case 47: [none, none, none, words[44], words[45], none, words[46], none]
            default: [none, none, none, fields[Self.places["cs-uri-stem"] ?? 0], none, none, none, none]
            }
        rest = log.form == .xml ? Self.more(in: log.text) : ""
    }

    /// The words of a log; nil where it has none, or too many.
    static func line(of log: WMSPLog) -> Substring? {
        guard log.text.utf8.count <= bytesMax else { return nil }
        return log.form == .line ? log.text[...] : element("Summary", of: log.text[...])
    }

    private subscript(name: String) -> Substring {
        get { Self.places[name].map { fields[$0] } ?? Self.unknown }
        set { if let place = Self.places[name] { fields[place] = newValue } }
    }

    /// The same, of a relay that its origin sees at that address.
    package func seen(at address: String) -> WMSPRenderingLog {
        var log = self
        log["s-ip"] = Self.word(address)
        return log
    }

    /// The player's `c-playerid`.
    package var playerID: String { String(self["c-playerid"].prefix(64)) }

    /// The XML of an event's `@.REMOTE_LOG`.
    package var xml: String {
        let summary = (fields + tail).map { Self.escaped($0) }.joined(separator: " ")
        let elements = zip(Self.names, fields).map { "<\($0)>\(Self.escaped($1))</\($0)>" }.joined()
        return "<XML><Summary>\(summary)</Summary>\(elements)<cs-url>\(Self.escaped(tail[3]))</cs-url><s-proxied>1</s-proxied>\(rest)</XML>"
    }

    /// The event that carries it: `agent` is the player's, `url` the origin's.
    package func event(agent: String, url: String) -> RemoteEvent { RemoteEvent(logOf: agent, guid: playerID, url: url, xml: xml) }

    /// What stands in an element.
    private static func element(_ name: String, of text: Substring) -> Substring? {
        guard let start = text.firstRange(of: "<\(name)>"), let end = text[start.upperBound...].firstRange(of: "</\(name)>") else {
            return nil
        }
        return text[start.upperBound..<end.lowerBound]
    }

    /// What stands behind `cs-url`, which goes on as it is.
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

/// What a log is about, by what stands in it ([MS-WMLOG] 2.5 to 2.8).
package enum WMSPLogKind: String, Sendable, Hashable, CaseIterable {
    /// Who plays, at the beginning: for whoever serves him.
    case connect
    /// How media was received, of a player that sends a rendering log besides: for whoever serves him.
    case streaming
    /// Both in one.
    case legacy
    /// How content was played, from wherever: for its origin.
    case rendering
    /// Neither a summary nor none, or too much of it.
    case unusable

    /// The kind of a log.
    package init(_ log: WMSPLog) {
        guard let line = WMSPRenderingLog.line(of: log) else {
            self = .unusable
            return
        }
        let words = line.split(whereSeparator: \.isWhitespace)
        switch words.count {
        case 0: self = log.form == .xml ? .connect : .unusable
        case 44, 47, 52:
            func field(_ name: String) -> Substring { WMSPRenderingLog.names.firstIndex(of: name).map { words[$0] } ?? "-" }
            if words.count == 52 || field("protocol").lowercased() == "cache" {
                self = .rendering
            } else {
                self = field("audiocodec") == "-" && field("videocodec") == "-" ? .streaming : .legacy
            }
        default: self = .unusable
        }
    }
}

extension String {
    /// Where the last one begins.
    fileprivate func lastRange(ofElement mark: String) -> Index? { ranges(of: mark).last?.lowerBound }
}

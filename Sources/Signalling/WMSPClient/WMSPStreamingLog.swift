import WireFormats

/// What a relay tells its origin at the end of a play: how the media was received ([MS-WMLOG] 2.6, the streaming log; a relay renders nothing).
package struct WMSPStreamingLog: Sendable, Equatable {
    /// Without user information.
    package var url: String
    /// `xClientGUID`.
    package var guid: String
    /// As in `User-Agent`.
    package var userAgent: String
    /// When it is written.
    package var unixSeconds: Int64
    /// Where in the content the media began, in seconds; 0 for what is live.
    package var startSeconds: UInt32 = 0
    /// For how long it came, in milliseconds.
    package var milliseconds: UInt64 = 0
    /// Packets, and their bytes without those of the protocol.
    package var packets: UInt64 = 0
    package var bytes: UInt64 = 0
    /// What carried it.
    package var carriage = Carriage()
    /// It came after a connection that broke.
    package var isReconnected = false
    /// What the header says of the content; 0 for what is live.
    package var contentSeconds: UInt64 = 0
    package var contentBytes: UInt64 = 0
    package var bitsPerSecond: UInt32 = 0
    /// What the server called the entry of a playlist, and its role there.
    package var entry: String?
    package var role: String?

    /// What carried the media, and what was lost on the way, in packets.
    package struct Carriage: Sendable, Equatable {
        package var protocolName = "http"
        package var transport = "TCP"
        package var lost: UInt64 = 0
        /// Asked for once more; those that came so; those that error correction made.
        package var asked: UInt64?
        package var resent: UInt64 = 0
        package var corrected: UInt64 = 0

        /// HTTP, which loses nothing.
        package init() {}

        /// Something else.
        package init(protocolName: String, transport: String) {
            self.protocolName = protocolName
            self.transport = transport
        }
    }

    /// Of a play that has brought nothing so far.
    package init(url: String, guid: String, userAgent: String, unixSeconds: Int64) {
        self.url = url
        self.guid = guid
        self.userAgent = userAgent
        self.unixSeconds = unixSeconds
    }

    private static let unknown = "-"

    /// Name and value, in the order in which lines and XML have them.
    private var fields: [(name: String, value: String)] {
        let (date, time) = HTTPDate.fields(unixSeconds: unixSeconds)
        let product = userAgent.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        let version = product.count > 1 ? String(product[1].prefix { $0 != " " && $0 != ";" }) : Self.unknown
        let stem = String(url.prefix { $0 != "?" })
        let seconds = milliseconds / 1_000 + (milliseconds % 1_000 == 0 ? 0 : 1)
        return [
            ("c-ip", "0.0.0.0"), ("date", date), ("time", time), ("c-dns", Self.unknown), ("cs-uri-stem", stem),
            ("c-starttime", "\(startSeconds)"), ("x-duration", "\(seconds)"), ("c-rate", "1"), ("c-status", isReconnected ? "210" : "200"),
            ("c-playerid", guid), ("c-playerversion", version), ("c-playerlanguage", Self.unknown), ("cs-User-Agent", userAgent),
            ("cs-Referer", Self.unknown), ("c-hostexe", "weir"), ("c-hostexever", Self.unknown), ("c-os", "Linux"),
            ("c-osversion", Self.unknown), ("c-cpu", Self.unknown), ("filelength", "\(contentSeconds)"), ("filesize", "\(contentBytes)"),
            ("avgbandwidth", bitsPerSecond == 0 ? Self.unknown : "\(bitsPerSecond)"), ("protocol", carriage.protocolName),
            ("transport", carriage.transport),
            ("audiocodec", Self.unknown), ("videocodec", Self.unknown), ("c-channelURL", Self.unknown), ("sc-bytes", Self.unknown),
            ("c-bytes", "\(min(bytes, UInt64(UInt32.max)))"), ("s-pkts-sent", Self.unknown),
            ("c-pkts-received", "\(min(packets, UInt64(UInt32.max)))"), ("c-pkts-lost-client", "0"),
            ("c-pkts-lost-net", "\(carriage.lost)"),
            ("c-pkts-lost-cont-net", "0"), ("c-resendreqs", carriage.asked.map { "\($0)" } ?? Self.unknown),
            ("c-pkts-recovered-ECC", "\(carriage.corrected)"),
            ("c-pkts-recovered-resent", "\(carriage.resent)"), ("c-buffercount", "0"), ("c-totalbuffertime", "0"), ("c-quality", "100"),
            ("s-ip", Self.unknown), ("s-dns", Self.unknown), ("s-totalclients", Self.unknown), ("s-cpu-util", Self.unknown),
        ].map { ($0.0, Self.word($0.1)) }
    }

    /// The 44 fields that servers before 9.0 take, in a line.
    package var line: String { fields.map(\.value).joined(separator: " ") }

    /// The XML of servers from 9.0 on.
    package var xml: String {
        let summary = "\(line) \(Self.word(url)) \(Self.word(entry ?? Self.unknown)) \(Self.word(role ?? Self.unknown))"
        let elements = (fields + [("cs-url", Self.word(url))]).map { "<\($0.name)>\(Self.escaped($0.value))</\($0.name)>" }
        return "<XML><Summary>\(Self.escaped(summary))</Summary>\(elements.joined())</XML>"
    }

    /// A value as a field: never empty, no blanks, nothing that ends a line.
    private static func word(_ value: String) -> String {
        let bytes = value.utf8.prefix(wordBytesMax).map { $0 > 0x20 && $0 != 0x7F ? $0 : UInt8(ascii: "_") }
        return bytes.isEmpty ? unknown : String(decoding: bytes, as: UTF8.self)
    }

    /// No value is longer.
    private static let wordBytesMax = 1_024

    private static func escaped(_ value: String) -> String {
        value.reduce(into: "") { text, character in
            switch character {
            case "&": text += "&amp;"
            case "<": text += "&lt;"
            case ">": text += "&gt;"
            default: text.append(character)
            }
        }
    }
}

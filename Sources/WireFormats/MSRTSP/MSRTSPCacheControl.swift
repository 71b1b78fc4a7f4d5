/// `Cache-Control` of Windows Media servers ([MS-RTSP] 2.2.6.3): what caches and relays may do with content.
package struct MSRTSPCacheControl: Sendable, Hashable {
    /// Directives of all lines that are read; those beyond are left out.
    package static let countMax = 32

    /// What an origin wants to hear of.
    package struct Events: OptionSet, Sendable, Hashable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }
        /// A cache opened the content for a player.
        package static let open = Events(rawValue: 1)
        /// A cache closed it.
        package static let close = Events(rawValue: 2)
        /// Players' logs.
        package static let log = Events(rawValue: 4)
        fileprivate static let names: [(Events, String)] = [(.open, "remote-open"), (.close, "remote-close"), (.log, "remote-log")]

        /// `x-wms-event-subscription="remote-open,remote-log"`.
        package var directive: String {
            "x-wms-event-subscription=\"\(Self.names.filter { contains($0.0) }.map(\.1).joined(separator: ","))\""
        }
    }

    /// Directives that are a word alone.
    package struct Flags: OptionSet, Sendable, Hashable {
        package let rawValue: UInt16
        package init(rawValue: UInt16) { self.rawValue = rawValue }
        /// Nobody keeps it.
        package static let noCache = Flags(rawValue: 1 << 0)
        /// Players do not keep it.
        package static let noUserCache = Flags(rawValue: 1 << 1)
        /// Nobody writes it to a disk.
        package static let noStore = Flags(rawValue: 1 << 2)
        /// It is for one user.
        package static let `private` = Flags(rawValue: 1 << 3)
        /// Everybody may keep and share it.
        package static let `public` = Flags(rawValue: 1 << 4)
        /// Players ask again before each use.
        package static let mustRevalidate = Flags(rawValue: 1 << 5)
        /// Proxies do.
        package static let proxyRevalidate = Flags(rawValue: 1 << 6)
        /// WMSP's: players may keep it.
        package static let userPublic = Flags(rawValue: 1 << 7)
        /// WMSP's: proxies may.
        package static let proxyPublic = Flags(rawValue: 1 << 8)
        /// One upstream connection may feed many players.
        package static let proxySplit = Flags(rawValue: 1 << 9)
        fileprivate static let names: [(Flags, String)] = [
            (.noCache, "no-cache"), (.noUserCache, "no-user-cache"), (.noStore, "no-store"), (.private, "private"), (.public, "public"),
            (.userPublic, "user-public"), (.mustRevalidate, "must-revalidate"), (.proxyPublic, "proxy-public"),
            (.proxyRevalidate, "proxy-revalidate"), (.proxySplit, "x-wms-proxy-split"),
        ]
    }

    /// The words.
    package var flags: Flags
    /// `max-age`: seconds for which it holds without asking; nil where not said.
    package var maxAgeSeconds: UInt32?
    /// `x-wms-content-size`: about how many bytes it has.
    package var contentBytes: UInt64?
    /// `x-wms-event-subscription`.
    package var events: Events
    /// `x-wms-stream-type`: live, the same for all.
    package var isBroadcast: Bool
    /// `x-wms-stream-type`: entries of a playlist.
    package var isPlaylist: Bool
    /// Directives that none of the above holds, as spelled.
    package var others: [String] = []

    /// Directives.
    package init(
        _ flags: Flags = [], maxAgeSeconds: UInt32? = nil, contentBytes: UInt64? = nil, events: Events = [], isBroadcast: Bool = false,
        isPlaylist: Bool = false
    ) {
        self.flags = flags
        self.maxAgeSeconds = maxAgeSeconds
        self.contentBytes = contentBytes
        self.events = events
        self.isBroadcast = isBroadcast
        self.isPlaylist = isPlaylist
    }

    /// What the lines of a message say, of RTSP or of HTTP. A value that does not fit its directive is left out.
    package init(_ values: [String]) {
        self.init()
        var count = 0
        for value in values {
            for part in value.byteSlice.splitOutsideQuotes(ASCII.comma) {
                let part = part.trimmed
                if part.isEmpty { continue }
                count += 1
                guard count <= Self.countMax else { return }
                take(part)
            }
        }
    }

    private mutating func take(_ part: ArraySlice<UInt8>) {
        let (name, rest) = part.split(atFirst: ASCII.equals)
        let value = (rest ?? []).trimmed.unquoted.trimmed
        switch name.trimmed.lowercasedText {
        case "max-age":
            guard !value.isEmpty, value.allSatisfy(ASCII.isDigit) else { return }
            maxAgeSeconds = UInt32(clamping: ASCII.decimal(value, max: .max) ?? .max)
        case "x-wms-content-size": contentBytes = ASCII.decimal(value, max: .max)
        case "x-wms-event-subscription":
            for word in value.split(separator: ASCII.comma) {
                for (event, name) in Events.names where ASCII.equalIgnoringCase(word.trimmed, name) { events.insert(event) }
            }
        case "x-wms-stream-type":
            for word in value.split(separator: ASCII.comma) {
                if ASCII.equalIgnoringCase(word.trimmed, "broadcast") { isBroadcast = true }
                if ASCII.equalIgnoringCase(word.trimmed, "playlist") { isPlaylist = true }
            }
        case let name:
            if let flag = Flags.names.first(where: { $0.1 == name }) { flags.insert(flag.0) } else { others.append(part.text) }
        }
    }

    /// Whether anybody may keep it at all: without a permission nobody may.
    package var permitsCaching: Bool { !flags.isDisjoint(with: [.mustRevalidate, .public, .proxyRevalidate]) }

    /// The header's value; `no-cache` where there is nothing to say.
    package var text: String {
        var parts: [String] = []
        if flags.contains(.noCache) { parts.append("no-cache") }
        if let contentBytes { parts.append("x-wms-content-size=\(contentBytes)") }
        if let maxAgeSeconds { parts.append("max-age=\(maxAgeSeconds)") }
        parts += Flags.names.filter { $0.0 != .noCache && flags.contains($0.0) }.map(\.1)
        if !events.isEmpty { parts.append(events.directive) }
        let types = (isBroadcast ? ["broadcast"] : []) + (isPlaylist ? ["playlist"] : [])
        if !types.isEmpty { parts.append("x-wms-stream-type=\"\(types.joined(separator: ","))\"") }
        parts += others
        return parts.isEmpty ? "no-cache" : parts.joined(separator: ", ")
    }
}

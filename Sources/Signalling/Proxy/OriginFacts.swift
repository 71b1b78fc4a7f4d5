import WireFormats

/// What an origin said of its content, by whichever protocol and request: what it may be used for, and by what one version of it is told from
/// another.
package struct OriginFacts: Sendable, Hashable {
    /// The language of what it said: `Cache-Control` does not mean the same in all.
    package enum Dialect: String, Sendable, Hashable, CaseIterable, Codable {
        /// Windows Media over HTTP.
        case wmsp
        /// Windows Media over RTSP.
        case msRTSP = "ms-rtsp"
        /// RTSP as everybody speaks it (RFC 2326).
        case rtsp
    }

    /// What kind of content it is.
    package enum Kind: String, Sendable, Hashable, CaseIterable, Codable {
        /// One file, for each player from where he wants it.
        case onDemand = "on-demand"
        /// Entries that follow each other, for each player from their beginning.
        case playlist
        /// The same for all at the same time.
        case broadcast
        /// The origin has said nothing by which it could be told. Once it was described this is taken as ``broadcast``.
        case unknown
    }

    /// Where the origin's words come from.
    package enum Credentials: String, Sendable, Hashable, CaseIterable {
        /// Nobody was asked who he is.
        case none
        /// It challenged a request, and the operator's own words, out of the source's URL, opened it.
        case operators
        /// It challenged a request, and a player's words opened it; or nothing has opened it yet.
        case players
    }

    /// The language of ``cacheControl``.
    package var dialect: Dialect
    /// Its directives; nil where it sent no such header at all.
    package var cacheControl: MSRTSPCacheControl?
    /// As it stood in the header, quotes and all; nil: none.
    package var etag: String?
    /// As it stood in the header; nil: none.
    package var lastModified: String?
    /// The size of the content in bytes, as far as it said; nil: not known.
    package var contentBytes: UInt64?
    /// What it is.
    package var kind: Kind
    /// Its header (or description) was seen: it will not become clearer what it is.
    package var isDescribed: Bool
    /// Who had to open it.
    package var credentials: Credentials
    /// It said (`Vary`) that others may be given something else for the same URL.
    package var varies: Bool
    /// When it said so, in seconds since 1970 by the wall clock: its age counts from here, over restarts.
    package var saidAt: Int64

    /// Facts, one by one.
    package init(
        dialect: Dialect, cacheControl: MSRTSPCacheControl? = nil, etag: String? = nil, lastModified: String? = nil,
        contentBytes: UInt64? = nil, kind: Kind = .unknown, isDescribed: Bool = false, credentials: Credentials = .none,
        varies: Bool = false, saidAt: Int64
    ) {
        self.dialect = dialect
        self.cacheControl = cacheControl
        self.etag = etag
        self.lastModified = lastModified
        self.contentBytes = contentBytes
        self.kind = kind
        self.isDescribed = isDescribed
        self.credentials = credentials
        self.varies = varies
        self.saidAt = saidAt
    }

    /// What the lines of an answer to GetContentInfo or Describe say.
    ///
    /// - Parameters:
    ///   - lines: the values of `Cache-Control`; none: it has nothing to say.
    ///   - vary: the values of `Vary`.
    ///   - features: as Describe told them (`$M`, or the SDP's); nil: not asked, or not said.
    ///   - length: what the header that Describe brought says of its length: nil where no header was seen.
    package init(
        dialect: Dialect, cacheControl lines: [String], etag: String?, lastModified: String?, vary: [String] = [],
        features: WMSPFeatures? = nil, length: HeaderLength? = nil, credentials: Credentials = .none, saidAt: Int64
    ) {
        let control = lines.contains { !$0.trimmedBlanks.isEmpty } ? MSRTSPCacheControl(lines) : nil
        let size = control?.contentBytes.flatMap { $0 == 0 ? nil : $0 }
        self.init(
            dialect: dialect, cacheControl: control, etag: Self.validator(etag), lastModified: Self.validator(lastModified),
            contentBytes: size, kind: Self.kind(control, features, length), isDescribed: length != nil, credentials: credentials,
            varies: Self.varies(vary), saidAt: saidAt)
        if case .whole(let bytes)? = length, let bytes, bytes > 0 { contentBytes = bytes }
    }

    /// What a header says of the content's length.
    package enum HeaderLength: Sendable, Hashable {
        /// So many packets of one size; with all bytes of header and packets, where they can be told.
        case whole(bytes: UInt64?)
        /// It is live, or does not say how long it is.
        case open
    }

    /// Later words of the same origin about the same content: what they leave unsaid stays.
    package func updated(by later: OriginFacts) -> OriginFacts {
        var facts = later
        facts.cacheControl = later.cacheControl ?? cacheControl
        // Directives are read in the language in which they were said.
        if later.cacheControl == nil { facts.dialect = dialect }
        facts.etag = later.etag ?? etag
        facts.lastModified = later.lastModified ?? lastModified
        facts.contentBytes = later.contentBytes ?? contentBytes
        if later.kind == .unknown { facts.kind = kind }
        facts.isDescribed = later.isDescribed || isDescribed
        if later.credentials == .none { facts.credentials = credentials }
        facts.varies = later.varies || varies
        return facts
    }

    /// How long a validator may be; longer ones count as none, so that they are never written anywhere.
    package static let validatorBytesMax = 256

    private static func validator(_ text: String?) -> String? {
        guard let text = text?.trimmedBlanks, !text.isEmpty, text.utf8.count <= validatorBytesMax,
            text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F })
        else { return nil }
        return text
    }

    /// Servers of Windows Media say `Vary: Accept` of descriptions; any other word means that what is kept for one might be wrong for another.
    private static func varies(_ lines: [String]) -> Bool {
        lines.lazy.flatMap { $0.split(separator: ",") }.contains { word in
            let word = String(word).trimmedBlanks
            return !word.isEmpty && !ASCII.equalIgnoringCase(word, "Accept")
        }
    }

    private static func kind(_ control: MSRTSPCacheControl?, _ features: WMSPFeatures?, _ length: HeaderLength?) -> Kind {
        if control?.isBroadcast == true || features?.contains(.broadcast) == true || features?.contains(.live) == true { return .broadcast }
        if control?.isPlaylist == true || features?.contains(.playlist) == true { return .playlist }
        switch length {
        case .whole: return .onDemand
        case .open: return .unknown
        case nil: break
        }
        return control?.contentBytes.map { $0 > 0 } == true || features?.contains(.seekable) == true ? .onDemand : .unknown
    }
}

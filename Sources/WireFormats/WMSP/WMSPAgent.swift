/// Who a peer says it is: `User-Agent` of a client, `Server` of a server ([MS-WMSP] 2.2.1.9, 2.2.1.11).
package struct WMSPAgent: Sendable, Hashable {
    /// What it is.
    package enum Product: String, Sendable, Hashable, CaseIterable {
        /// A player.
        case player = "NSPlayer"
        /// A server that pulls.
        case server = "NSServer"
        /// A cache that pulls.
        case cacheProxy = "WMCacheProxy"
        /// A server.
        case cougar = "Cougar"
        /// An encoder as a server.
        case rex = "Rex"

        /// It asks; the others answer.
        package var isClient: Bool {
            switch self {
            case .player, .server, .cacheProxy: true
            case .cougar, .rex: false
            }
        }
    }

    /// Two parts of a version.
    package struct Version: Sendable, Hashable, Comparable {
        package let major: UInt16
        package let minor: UInt16

        /// `major.minor`.
        package init(_ major: UInt16, _ minor: UInt16 = 0) {
            self.major = major
            self.minor = minor
        }

        package static func < (a: Version, b: Version) -> Bool { (a.major, a.minor) < (b.major, b.minor) }
    }

    /// What it is.
    package let product: Product
    /// Its version; 0.0 where none is given.
    package let version: Version
    /// Product and version as they were spelled, at most 64 bytes: for the log, and for what goes by an exact version.
    package let text: String
    /// A non-caching server on behalf of a player (`; via WMCacheProxy`).
    package let isVia: Bool

    /// The client of a `User-Agent`; nil where it is none of Windows Media's: a browser.
    package static func client(_ userAgent: String?) -> WMSPAgent? { userAgent.flatMap { WMSPAgent($0, isClient: true) } }

    /// The server of a `Server` header, a blank in place of the slash being taken (VLC, ffserver); nil where it is none of Windows Media's.
    package static func server(_ server: String?) -> WMSPAgent? { server.flatMap { WMSPAgent($0, isClient: false) } }

    private init?(_ text: String, isClient: Bool) {
        let bytes = text.byteSlice.trimmed
        let found = Product.allCases.first { product in
            guard product.isClient == isClient, bytes.hasPrefixIgnoringCase(product.rawValue) else { return false }
            let next = bytes.dropFirst(product.rawValue.utf8.count).first
            return next == nil || next == ASCII.slash || next == ASCII.space
        }
        guard let found else { return nil }
        product = found
        let rest = bytes.dropFirst(found.rawValue.utf8.count + 1)
        let word = rest.prefix { ASCII.isDigit($0) || $0 == ASCII.dot }
        let parts = word.split(separator: ASCII.dot).map { UInt16(truncatingIfNeeded: ASCII.decimal($0, max: 65_535) ?? 0) }
        version = Version(parts.first ?? 0, parts.count > 1 ? parts[1] : 0)
        let whole = word.isEmpty ? bytes.prefix(found.rawValue.utf8.count) : bytes[bytes.startIndex..<word.endIndex]
        self.text = whole.prefix(64).text
        isVia = rest[word.endIndex...].split(separator: ASCII.semicolon, omittingEmptySubsequences: false).contains {
            ASCII.equalIgnoringCase($0.trimmed, "via WMCacheProxy")
        }
    }
}

/// What may be said to a client ([MS-WMSP] 1.7 and the notes on product behaviour; and what FFmpeg, VLC and libmms were found to bear). The
/// one place where a version decides something.
package struct WMSPDialect: Sendable, Hashable {
    /// `$M` before `$H`, `Supported`, packet pairs, more than one `$H`, `$E` of reason 1, the bit B, prediction that can be confirmed.
    /// Clients that say an older version, which all free ones do, take such for broken.
    package let isModern: Bool
    /// The bit B of the first byte.
    package var marksNextFollows: Bool { isModern }
    /// `$M` stands before `$H`.
    package var takesMetadata: Bool { isModern }
    /// An ASF header may be cut into several `$H`.
    package var takesHeaderPieces: Bool { isModern }
    /// `$E` may come before a `$C`.
    package var takesEntryEnds: Bool { isModern }
    /// A playlist's entries may follow one another by `$C`; without it they are made one.
    package var takesStreamChanges: Bool { isModern }
    /// `$P` and `$T`.
    package var takesPacketPairs: Bool { isModern }
    /// Padding may be left out of `$D`, the packet's length being written into it; without it packets keep their size.
    package var takesShortPackets: Bool { isModern }
    /// The header `Supported`.
    package var takesSupported: Bool { isModern }
    /// The body may be chunked where the request says `version11-enabled=1`.
    package var takesChunks: Bool { isModern }
    /// `AccelBW` and `AccelDuration` in an answer.
    package let takesAcceleration: Bool
    /// The highest `AccelBW` in an answer; nil: any.
    package let accelerationBitsPerSecondMax: UInt32?
    /// `BurstBW` and `BurstDuration` in an answer.
    package let takesBurst: Bool
    /// The features `skipforward` and `skipbackward`, and `seekable` beside `playlist`.
    package let takesSkips: Bool
    /// A redirection by a status (302); older ones are led by a script command in the header. 4.1 is what FFmpeg, libmms and MPlayer call
    /// themselves: they follow a status, if anything.
    package let takesRedirection: Bool
    /// The type of a body is always `application/octet-stream` (Windows Media Player 6).
    package let wantsOctetStream: Bool
    /// Headers must say that the Data Object has no packets (a size of 50): FFmpeg's and VLC's seeks are right then.
    package let wantsEmptyDataObject: Bool
    /// After `$E` the connection is closed at once: FFmpeg would wait.
    package let closesAtEnd: Bool
    /// How its stream numbers are written, where that is not clear from the streams that there are.
    package let streamNumbers: StreamSwitchEntry.NumberBase
    /// Its `stream-offset` counts from the first packet rather than from the file's beginning, where both could be meant (VLC).
    package let countsOffsetsFromData: Bool
    /// Which `request-context` of a first Play needs the header twice, `$E` and `$C` between, if the session was not known: 2 for players
    /// before 7.0, 3 for servers before 7.0; nil for the others.
    package let repeatsHeaderAtContext: UInt32?

    /// What a client bears.
    package init(_ agent: WMSPAgent) {
        let version = agent.version
        let isVLC = version == .init(7, 10)
        isModern = version.major >= 9
        takesAcceleration = version.major >= 8
        accelerationBitsPerSecondMax = version.major == 8 ? 1_048_576 : nil
        takesBurst = version.major >= 9
        takesSkips = version.major >= 9
        takesRedirection = version.major >= 7 || agent.product == .player && version == .init(4, 1)
        // VLC's number is 7.10; it does not look at the type.
        wantsOctetStream = version.major < 7
        wantsEmptyDataObject = version.major < 9
        closesAtEnd = version.major < 9
        streamNumbers = version.major >= 9 || isVLC ? .hexadecimal : .decimal
        countsOffsetsFromData = isVLC
        repeatsHeaderAtContext =
            switch agent.product {
            // 4.1 is what FFmpeg and libmms call themselves: for them a second header is the end.
            case .player where version.major == 6: 2
            case .server where version.major < 7: 3
            case .player, .server, .cacheProxy, .cougar, .rex: nil
            }
    }
}

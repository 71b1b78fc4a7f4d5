/// The payload of `$M` ([MS-WMSP] 2.2.3.6): tokens in text, a zero byte, content descriptions.
package struct WMSPMetadata: Sendable, Hashable {
    /// Why bytes are no metadata.
    package enum Trouble: Error, Hashable, CustomStringConvertible {
        /// The tokens are broken, or too many.
        case tokens(PragmaList.Trouble)
        /// So are the descriptions.
        case descriptions(ContentDescription.Trouble)

        /// What was wrong, in words.
        package var description: String {
            switch self {
            case .tokens(let trouble): "in the metadata's tokens: \(trouble)"
            case .descriptions(let trouble): trouble.description
            }
        }
    }

    /// Names the entry of the playlist; nil when there was none.
    package var playlistGenID: UInt32?
    /// Names the live source within the playlist; 0 for what is not live.
    package var broadcastID: UInt32
    /// What can be done with the entry. Overrides the `features` of the head.
    package var features: WMSPFeatures
    /// A list for each language.
    package var descriptions: [ContentDescription]

    /// Metadata of an entry.
    package init(
        playlistGenID: UInt32?, broadcastID: UInt32 = 0, features: WMSPFeatures,
        descriptions: [ContentDescription] = [ContentDescription(language: "", [])]
    ) {
        self.playlistGenID = playlistGenID
        self.broadcastID = broadcastID
        self.features = features
        self.descriptions = descriptions
    }

    /// Takes a payload apart.
    package init(_ bytes: [UInt8]) throws(Trouble) {
        let (tokens, rest) = bytes[...].split(atFirst: 0)
        let list: PragmaList
        do throws(PragmaList.Trouble) { list = try PragmaList([tokens.text]) } catch { throw .tokens(error) }
        playlistGenID = list.number("playlist-gen-id")
        broadcastID = list.number("broadcast-id") ?? 0
        features = WMSPFeatures(list["features"] ?? "")
        do throws(ContentDescription.Trouble) { descriptions = try ContentDescription.parse(rest ?? []) } catch {
            throw .descriptions(error)
        }
    }

    /// The payload; an absent id is written as 1, because 0 is none.
    package func serialized() -> [UInt8] {
        let tokens = "playlist-gen-id=\(playlistGenID ?? 1), broadcast-id=\(broadcastID), features=\"\(features.text)\""
        return Array(tokens.utf8) + [0] + descriptions.flatMap { $0.serialized() }
    }
}

/// What can be done with content: the list `features` ([MS-WMSP] 2.2.1.4.5).
package struct WMSPFeatures: NamedTokens, Sendable, Hashable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// All see the same at the same time: no seeking.
    package static let broadcast = WMSPFeatures(rawValue: 1 << 0)
    /// It comes out of an encoder.
    package static let live = WMSPFeatures(rawValue: 1 << 1)
    /// The last entry of a playlist.
    package static let last = WMSPFeatures(rawValue: 1 << 2)
    /// Play may begin elsewhere than at the beginning.
    package static let seekable = WMSPFeatures(rawValue: 1 << 3)
    /// Play may have a rate other than 1.
    package static let stridable = WMSPFeatures(rawValue: 1 << 4)
    /// An entry of a playlist that the server keeps.
    package static let playlist = WMSPFeatures(rawValue: 1 << 5)
    /// The entry before may be asked for.
    package static let skipBackward = WMSPFeatures(rawValue: 1 << 6)
    /// The entry behind may be asked for.
    package static let skipForward = WMSPFeatures(rawValue: 1 << 7)

    static let names: [(WMSPFeatures, String)] = [
        (.broadcast, "broadcast"), (.live, "live"), (.last, "last"), (.seekable, "seekable"), (.stridable, "stridable"),
        (.playlist, "playlist"), (.skipBackward, "skipbackward"), (.skipForward, "skipforward"),
    ]

    /// The features of a list between commas; unknown ones are left out.
    package init(_ text: String) {
        self = []
        for word in text.byteSlice.split(separator: ASCII.comma) { insert(named: word.trimmed) }
    }

    /// The list between commas, without quotes.
    package var text: String { text(separator: ",") }
}

/// What a peer can do: the header `Supported` ([MS-WMSP] 2.2.1.10).
package struct WMSPSupported: NamedTokens, Sendable, Hashable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// A server sends packet pairs.
    package static let packetPair = WMSPSupported(rawValue: 1 << 0)
    /// SelectStream.
    package static let streamSwitch = WMSPSupported(rawValue: 1 << 1)
    /// Streams of the next entry are selected for the client, and sent at once.
    package static let prediction = WMSPSupported(rawValue: 1 << 2)
    /// A server honours `Speed`.
    package static let fastCache = WMSPSupported(rawValue: 1 << 3)
    /// `X-StartupProfile`.
    package static let startupProfile = WMSPSupported(rawValue: 1 << 4)

    static let names: [(WMSPSupported, String)] = [
        (.packetPair, "com.microsoft.wm.srvppair"), (.streamSwitch, "com.microsoft.wm.sswitch"),
        (.prediction, "com.microsoft.wm.predstrm"), (.fastCache, "com.microsoft.wm.fastcache"),
        (.startupProfile, "com.microsoft.wm.startupprofile"),
    ]

    /// What a header's lines list; nil when there is no such header: then what was known of the peer goes on to hold.
    package init?(_ headers: HTTPHeaders) {
        let values = headers.values(named: "Supported")
        guard !values.isEmpty else { return nil }
        self = []
        for value in values {
            for word in value.byteSlice.split(separator: ASCII.comma) { insert(named: word.trimmed) }
        }
    }

    /// The header's value.
    package var text: String { text(separator: ", ") }
}

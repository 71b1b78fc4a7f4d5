import Foundation
import Signalling
import WireFormats

/// A playlist of an origin as it is kept: its entries in the order in which they follow one another. An object of its own
/// (``CacheKind/list``); what the entries play lies in objects of theirs.
struct KeptList: Codable, Equatable {
    /// One entry.
    struct Entry: Codable, Equatable {
        /// The header, as the origin sent it.
        var header: Data
        /// How many packets the header names.
        var packets: UInt32
        /// What the origin told of it (`$M`); nil: nothing.
        var metadata: Data?
    }

    private var version = 1
    var entries: [Entry]

    /// Entries of one list: a longer one is passed on and not kept.
    static let entriesMax = 64
    /// Bytes of the headers of one list: the same.
    static let headerBytesMax = 1 << 20
    /// The form that is written.
    private static let versionKnown = 1

    init(entries: [Entry]) { self.entries = entries }

    /// Reads what was written; nil where it is none, or says what cannot be.
    init?(_ bytes: [UInt8]) {
        guard let list = try? JSONDecoder().decode(Self.self, from: Data(bytes)), list.version == Self.versionKnown,
            (1...Self.entriesMax).contains(list.entries.count)
        else { return nil }
        for entry in list.entries {
            guard let header = entry.asf, (1...CacheLimits.unitBytesMax).contains(header.packetBytes), entry.packets > 0,
                UInt64(entry.packets) == header.file.packetCount
            else { return nil }
        }
        self = list
    }

    /// To be written.
    var bytes: [UInt8] { (try? JSONEncoder().encode(self)).map { [UInt8]($0) } ?? [] }

    /// The document that ways through it go by.
    var root: PlaylistNode {
        let nodes = entries.indices.map { index in
            var media = PlaylistMedia(source: "entry \(index + 1)")
            media.location = .kept(index)
            let features = entries[index].features
            media.name = entries[index].name
            media.forbidsSkipping = !features.contains(.skipForward)
            media.forbidsReceding = !features.contains(.skipBackward)
            return PlaylistNode(line: index + 1, kind: .media(media))
        }
        return PlaylistNode(line: 1, kind: .sequence(nodes))
    }

    /// Under what an entry lies, of the version of the list that is `id`. No URL that anybody asks for has such a name.
    static func key(of index: Int, list key: String, id: String) -> String { "\(prefix(list: key, id: id))\(index)" }

    /// What the keys of all its entries begin with.
    static func prefix(list key: String, id: String) -> String { CacheStore.entryPrefix(list: key, id: id) }
}

extension KeptList.Entry {
    var asf: ASFHeader? { try? ASFHeader([UInt8](header).span) }
    var told: WMSPMetadata? { metadata.flatMap { try? WMSPMetadata([UInt8]($0)) } }
    /// What can be done with it at its origin; what it does not say can be.
    var features: WMSPFeatures { told?.features ?? [.seekable, .skipForward, .skipBackward] }

    /// What the origin says of it under that name.
    func told(_ name: String) -> String? {
        told?.descriptions.lazy.flatMap(\.items).first { $0.name == "WMS_CONTENT_DESCRIPTION_\(name)" }?.value
    }

    /// What logs call it.
    var name: String? { told("PLAYLIST_ENTRY_URL") }

    /// An entry that an origin described, or entered.
    ///
    /// Throws ``KeptList/Unfit`` where it is not a whole file that can be begun with anywhere: nothing else is the same each time it is played.
    init(_ description: OriginPlay.Description) throws(KeptList.Unfit) {
        let header = description.header
        guard let count = description.packetCount else {
            throw KeptList.Unfit(description: description.unfit ?? "its header does not say how many packets there are")
        }
        self.init(header: Data(header.bytes), packets: count, metadata: description.metadata.map { Data($0.serialized()) })
        guard description.metadata == nil || features.contains(.seekable) else {
            throw KeptList.Unfit(description: "it cannot be sought in")
        }
        if let start = told("PLAYLIST_ENTRY_START_OFFSET").flatMap({ UInt64($0) }), start > UInt64(header.file.prerollMilliseconds) {
            throw KeptList.Unfit(description: "it does not begin where its source does")
        }
        if let length = told("PLAYLIST_ENTRY_DURATION").flatMap({ UInt64($0) }), let whole = header.file.contentMilliseconds,
            length + Self.clipMilliseconds < whole
        {
            throw KeptList.Unfit(description: "it ends before its source does")
        }
    }

    /// What is cut off is more than so much.
    private static let clipMilliseconds: UInt64 = 250
}

extension KeptList {
    /// Why an entry, and with it the list, cannot be kept.
    struct Unfit: Error, CustomStringConvertible {
        let description: String
        /// The origin went away meanwhile: that says nothing of the list.
        var isPassing = false
    }
}

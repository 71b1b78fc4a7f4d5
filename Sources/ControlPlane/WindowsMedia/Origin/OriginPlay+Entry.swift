import Signalling
import WireFormats

/// One entry of a playlist, as a session with its origin finds it: from the list's beginning, over the end of each entry before.
struct OriginEntry {
    let list: KeptList
    let index: Int
    /// The list's, by which it is known that it is still the same; nil: the headers say it.
    let etag: String?

    /// What an origin describes, as the entry that is wanted.
    func description(_ described: OriginPlay.Description) -> OriginPlay.Description? {
        guard let header = list.entries[index].asf else { return nil }
        var entry = described
        entry.header = header
        entry.metadata = list.entries[index].told
        entry.packetCount = list.entries[index].packets
        entry.unfit = nil
        // It has numbers that stay, and an end of its own.
        entry.isPlaylist = false
        return entry
    }

    /// Whether an origin says that it is another version. Not every answer has the tag in quotes.
    func isOther(_ statement: OriginStatement) -> Bool {
        guard let etag, let other = statement.etag else { return false }
        return OriginFacts.opaque(etag) != OriginFacts.opaque(other)
    }

    /// Whether that is the header of an entry.
    func isAt(_ place: Int, _ header: [UInt8]) -> Bool {
        list.entries.indices.contains(place) && list.entries[place].header.elementsEqual(header)
    }

    /// The last packet of an entry, behind which the next one follows.
    func end(of place: Int) -> WMSPPosition {
        let packets = list.entries[place].packets
        return packets > 1 ? .packet(UInt64(packets - 1)) : .beginning
    }
}

/// How a session comes to its entry.
extension OriginPlay {
    /// The session is not at its entry yet.
    var isFinding: Bool { entry.map { place != $0.index } ?? false }

    /// Goes on to the end of the entry that it is at.
    func find() {
        guard let entry, let link else { return }
        link.play(from: entry.end(of: place), streams: nil, haste: .most)
    }

    /// The origin goes over to another entry.
    func enters(_ bytes: [UInt8], _ entry: OriginEntry) {
        // The one that is wanted is over.
        guard isFinding else { return finishedEntry() }
        guard entry.isAt(place + 1, bytes) else { return end(.changed("the origin's playlist has other entries than before")) }
        place += 1
        start()
    }

    /// Whether what an origin plays is the entry that it is at.
    func isAtPlace(_ bytes: [UInt8]) -> Bool { entry?.isAt(place, bytes) ?? false }
}

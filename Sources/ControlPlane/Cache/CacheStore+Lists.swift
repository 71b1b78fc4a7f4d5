/// Playlists: a document, and the objects that its entries are.
extension CacheStore {
    /// What the keys of all entries of a playlist begin with, of the version that is `id`: no URL has such a name.
    package static func entryPrefix(list key: String, id: String) -> String { "\(key)#\(id)-" }

    /// The entries of a playlist of which something was kept.
    package func entries(of list: CacheRecord) throws(CacheTrouble) -> [CacheRecord] {
        try index.entries(of: list).filter { real($0) != nil }
    }

    /// A new playlist, durable when this returns. What lay under its key is let go of. Throws as ``create(_:)`` does. Blocks.
    package func createList(key: String, url: String, document: [UInt8], facts: CacheFacts) throws(CacheTrouble) -> CacheObject {
        let object = try create(
            CacheDescription(key: key, kind: .list, url: url, head: [], unitBytes: 1, units: document.count, facts: facts))
        do throws(CacheTrouble) {
            try object.write(document, atUnit: 0)
            try object.commit()
        } catch {
            object.abandon()
            throw error
        }
        return object
    }

    /// The entries of a playlist go with it. `structure` is held.
    func removeEntries(of list: CacheRecord, because cause: CacheRemoval) {
        guard list.kind == .list, let entries = try? index.entries(of: list), !entries.isEmpty else { return }
        // What the index cannot be told now is never asked for again, and goes as what nobody uses.
        guard (try? index.delete(entries.map(\.id))) != nil else { return }
        for entry in entries where real(entry) != nil { removed(entry, because: cause) }
    }
}

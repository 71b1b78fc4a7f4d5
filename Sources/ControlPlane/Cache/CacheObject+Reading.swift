/// Units on their way to players.
extension CacheObject {
    /// Units of a range as far as they are there from its beginning on; one at least, else `.absent`. Checksums are looked at the first time
    /// in this process: `.damaged` means that the object was let go of. Blocks.
    package func read(_ range: Range<Int>) throws(CacheTrouble) -> [UInt8] {
        let end = try verify(range)
        let bytes: [UInt8]
        do throws(SystemRefusal) {
            bytes = try store.files.read(
                descriptor, at: offset(ofUnit: range.lowerBound), count: (end - range.lowerBound) * unitBytes)
        } catch {
            throw damage("\(error)")
        }
        guard bytes.count == (end - range.lowerBound) * unitBytes else { throw damage("its file is too short") }
        store.count { $0.bytesRead += UInt64(bytes.count) }
        return bytes
    }

    /// The same without the bytes, for what is read through ``descriptor``: returns the end of what is there and right. Blocks.
    package func verify(_ range: Range<Int>) throws(CacheTrouble) -> Int {
        let (end, unseen, isReadable) = state.withLock { state -> (Int?, [CacheExtent], Bool) in
            guard !range.isEmpty, let runEnd = state.here.end(ofRunFrom: range.lowerBound) else { return (nil, [], state.isReadable) }
            let end = min(runEnd, range.upperBound)
            return (end, state.table.unseen(in: range.lowerBound..<end), state.isReadable)
        }
        guard isReadable else { throw gone(removal ?? .failed) }
        guard let end else { throw CacheTrouble(.absent, "unit \(range.lowerBound) of \(url) is not in the cache") }
        for extent in unseen {
            guard try isRight(extent) else { throw damage("units \(extent.first) to \(extent.range.upperBound - 1)") }
            state.withLock { $0.table.markRight(extent) }
        }
        return end
    }

    /// Reads an extent and compares.
    private func isRight(_ extent: CacheExtent) throws(CacheTrouble) -> Bool {
        do throws(SystemRefusal) {
            let bytes = try store.files.read(descriptor, at: offset(ofUnit: extent.first), count: extent.count * unitBytes)
            store.count { $0.bytesVerified += UInt64(bytes.count) }
            return bytes.count == extent.count * unitBytes && extent.matches(bytes, id: id)
        } catch {
            throw damage("\(error)")
        }
    }

    private func damage(_ words: String) -> CacheTrouble {
        store.lose(self, because: .damaged)
        return CacheTrouble(.damaged, "object \(id) of \(url) is damaged (\(words)) and was let go of; look at the disk")
    }
}

#if canImport(WireFormats)
    import WireFormats
#endif

extension FuzzEntry {
    /// The first byte chooses: a head, records, or an index.
    static func recording(_ bytes: [UInt8]) {
        guard let first = bytes.first else { return }
        let rest = Array(bytes.dropFirst())
        switch first % 3 {
        case 0:
            guard let head = try? RecordingHead(rest) else { return }
            guard let again = try? RecordingHead(head.serialized()) else { return check(false, "a written head cannot be read") }
            check(again.tracks == head.tracks && again.microseconds == head.microseconds, "a written head reads differently")
        case 1:
            var offset = 0
            var written: [UInt8] = []
            while let record = try? RecordedPacket(rest.span, at: offset) {
                let start = offset + RecordedPacket.headerByteCount
                check(start + record.byteCount <= rest.count, "a packet outside")
                record.append(Array(rest[start..<(start + record.byteCount)]), to: &written)
                offset += record.recordByteCount
                check(written.count == offset, "a record of another size")
            }
            var again = 0
            while let record = try? RecordedPacket(written.span, at: again) { again += record.recordByteCount }
            check(again == written.count, "written records cannot be read")
        default:
            // As much before it as it says.
            let packets = rest.count >= 16 ? rest[(rest.count - 16)..<(rest.count - 8)].reduce(UInt64(0)) { $0 << 8 | UInt64($1) } : 0
            guard let index = try? RecordingIndex(rest, behind: packets) else { return }
            check(index.serialized(behind: packets) == rest, "a written index reads differently")
            for time in [Int64.min, 0, index.endMicroseconds, .max] {
                guard let place = index.place(for: time) else { continue }
                check(place.keyFrame < packets && place.first <= place.keyFrame, "a place outside")
            }
        }
    }
}

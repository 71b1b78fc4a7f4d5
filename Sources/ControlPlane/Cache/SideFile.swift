import Foundation
import Signalling

/// What stands beside the data of an object, so that it explains itself without the index: what it is, and the checksum of everything that
/// is there. Written behind what is there only; each record has a check of its own, so what a crash tore off is seen and cut.
///
///     "WEIRSIDE" 8 bytes, then records: length of the payload (4), kind (1), payload, check (8: SHA-256 of id, kind and payload, cut)
///
/// Numbers are little-endian. An extent's record is written when its units are on the disk (fdatasync), never before.
enum SideFile {
    static let magic = Array("WEIRSIDE".utf8)
    /// Of the description; a newer one is not touched.
    static let form = 1
    /// Bytes of an extent's record.
    static let extentBytes = 4 + 1 + 28 + 8

    /// What an object was made with.
    struct Description: Sendable, Equatable, Codable {
        var form = SideFile.form
        var id: String
        var key: String
        var kind: CacheKind
        var url: String
        var unitBytes: Int
        var units: Int?
        var headBytes: Int
        /// ``CacheDigest/text`` of the head.
        var head: String
        var facts: CacheFacts
        var createdAt: Int64
    }

    enum Record: Sendable, Equatable {
        case description(Description)
        case extent(CacheExtent)
        /// The number of units is known now.
        case units(Int)

        fileprivate var kind: UInt8 {
            switch self {
            case .description: 1
            case .extent: 2
            case .units: 3
            }
        }
    }

    /// What a side file says, and how much of it is sound.
    struct Contents: Sendable {
        var description: Description
        var extents = ExtentTable()
        var units: Int?
        /// Where the next record goes.
        var end: Int
        /// What stands behind, torn off or broken.
        var tornBytes: Int
    }

    enum Trouble: Error, Equatable {
        /// No side file, or not of this object.
        case foreign(String)
        case newer(Int)
    }

    static func bytes(_ record: Record, id: String) -> [UInt8] {
        var payload: [UInt8] = []
        switch record {
        case .description(let description):
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            payload = (try? Array(encoder.encode(description))) ?? []
        case .extent(let extent):
            append(UInt64(clamping: extent.first), 8, to: &payload)
            append(UInt64(clamping: extent.count), 4, to: &payload)
            append(extent.digest.high, 8, to: &payload)
            append(extent.digest.low, 8, to: &payload)
        case .units(let units):
            append(UInt64(clamping: units), 8, to: &payload)
        }
        var bytes: [UInt8] = []
        append(UInt64(payload.count), 4, to: &bytes)
        bytes.append(record.kind)
        bytes += payload
        append(check(id, record.kind, payload[...]), 8, to: &bytes)
        return bytes
    }

    /// Reads a side file as far as it is sound.
    static func parse(_ bytes: [UInt8], id: String) throws(Trouble) -> Contents {
        guard bytes.count >= magic.count, Array(bytes[..<magic.count]) == magic else { throw .foreign("it does not begin as one") }
        var contents: Contents?
        var position = magic.count
        while let record = next(bytes, at: position, id: id) {
            let payload = bytes[(position + 5)..<(record.end - 8)]
            switch (record.kind, contents) {
            case (1, nil):
                guard let description = try? JSONDecoder().decode(Description.self, from: Data(payload)) else {
                    throw .foreign("its description cannot be read")
                }
                guard description.form <= form else { throw .newer(description.form) }
                guard description.id == id, isSound(description) else { throw .foreign("its description is of another object") }
                contents = Contents(description: description, units: description.units, end: record.end, tornBytes: 0)
            case (2, .some) where payload.count == 28:
                let extent = CacheExtent(
                    first: Int(clamping: number(payload, 0, 8)), count: Int(clamping: number(payload, 8, 4)),
                    digest: CacheDigest(high: number(payload, 12, 8), low: number(payload, 20, 8)))
                if let description = contents?.description, fits(extent, description) { contents?.extents.insert(extent, isRight: false) }
            case (3, .some) where payload.count == 8:
                let units = Int(clamping: number(payload, 0, 8))
                if let description = contents?.description, CacheLimits.canHave(units: units, of: description.unitBytes) {
                    contents?.units = units
                }
            case (_, nil): throw .foreign("its first record is no description")
            // A kind that this version does not know: of no use here, and no harm.
            default: break
            }
            position = record.end
            contents?.end = position
        }
        guard var contents else { throw .foreign("its description is not whole") }
        contents.tornBytes = bytes.count - contents.end
        return contents
    }

    /// The record at a place, when all of it is there and its check is right.
    private static func next(_ bytes: [UInt8], at position: Int, id: String) -> (kind: UInt8, end: Int)? {
        guard bytes.count - position >= 13 else { return nil }
        let length = Int(number(bytes[position...], 0, 4))
        guard length <= CacheLimits.sideRecordBytesMax, bytes.count - position - 13 >= length else { return nil }
        let kind = bytes[position + 4]
        let end = position + 13 + length
        guard check(id, kind, bytes[(position + 5)..<(end - 8)]) == number(bytes[(end - 8)...], 0, 8) else { return nil }
        return (kind, end)
    }

    private static func isSound(_ description: Description) -> Bool {
        (1...CacheLimits.unitBytesMax).contains(description.unitBytes) && (0...CacheLimits.headBytesMax).contains(description.headBytes)
            && CacheLimits.canHave(units: description.units ?? 0, of: description.unitBytes)
            && description.key.utf8.count <= CacheLimits.keyBytesMax
    }

    /// No number in a record leads beyond what a file can be.
    private static func fits(_ extent: CacheExtent, _ description: Description) -> Bool {
        guard extent.first >= 0, extent.count > 0, extent.count <= max(1, CacheLimits.extentBytesMax / description.unitBytes) else {
            return false
        }
        let (end, isTooFar) = extent.first.addingReportingOverflow(extent.count)
        return !isTooFar && CacheLimits.canHave(units: end, of: description.unitBytes)
    }

    private static func check(_ id: String, _ kind: UInt8, _ payload: ArraySlice<UInt8>) -> UInt64 {
        var hash = SHA256()
        hash.update(Array(id.utf8) + [kind])
        hash.update(payload.span)
        return CacheDigest(hash).high
    }

    private static func append(_ value: UInt64, _ count: Int, to bytes: inout [UInt8]) {
        for shift in 0..<count { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * UInt64(shift)))) }
    }

    private static func number(_ bytes: ArraySlice<UInt8>, _ offset: Int, _ count: Int) -> UInt64 {
        var value: UInt64 = 0
        for index in (0..<count).reversed() { value = value << 8 | UInt64(bytes[bytes.startIndex + offset + index]) }
        return value
    }
}

extension SideFile {
    /// Reads an object's side file. Throws `.damaged` where it is none, `.indexNewer` where a newer Weir wrote it.
    static func load(_ id: String, files: any CacheFiles, directory: CInt) throws(CacheTrouble) -> Contents {
        var bytes: [UInt8] = []
        do throws(SystemRefusal) {
            let descriptor = try files.open(CacheLayout.side(id), in: directory, O_RDONLY)
            defer { files.close(descriptor) }
            bytes = try files.read(descriptor, at: 0, count: bytesMax)
        } catch {
            throw CacheTrouble(.damaged, "\(error)")
        }
        do throws(Trouble) { return try parse(bytes, id: id) } catch {
            switch error {
            case .foreign(let words): throw CacheTrouble(.damaged, "its side file is of no use: \(words)")
            case .newer(let form): throw CacheTrouble(.indexNewer, "its side file is of a newer Weir (form \(form))")
            }
        }
    }

    /// No side file is longer: a description, all extents that there may be, and some that newer versions may add.
    private static let bytesMax = CacheLimits.sideRecordBytesMax + (CacheLimits.extentsMax + 1_024) * extentBytes
}

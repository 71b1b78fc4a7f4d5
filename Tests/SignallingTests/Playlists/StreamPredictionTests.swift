import Testing

@testable import Signalling
@testable import WireFormats

/// What a client will want of the next entry, from what it chose of the last one.
struct StreamPredictionTests {
    /// `v1:300 a2:64:en s3 | 1,4`: streams with their kind, number, kbit/s and language; behind a stroke those that exclude each other.
    static func header(_ text: String) throws -> ASFHeader {
        var header = try WMSPSample.header()
        let parts = text.split(separator: "|", omittingEmptySubsequences: false)
        header.languages = []
        header.mutualExclusions = parts.dropFirst().map { group in
            ASFMutualExclusion(
                kind: .mutexBitrate,
                alternatives: group.split(separator: ",").compactMap { UInt8($0.filter(\.isNumber)) }.map { [$0] })
        }
        let sample = header.streams[0]
        header.streams = parts[0].split(separator: " ").map { word in
            let fields = word.split(separator: ":")
            var stream = sample
            stream.number = UInt8(fields[0].dropFirst()) ?? 0
            stream.kind = fields[0].first == "v" ? .video : fields[0].first == "a" ? .audio : .command
            stream.audio = nil
            stream.extended = nil
            stream.listedBitrate = fields.count > 1 ? UInt32(fields[1]).map { $0 * 1_000 } : nil
            if fields.count > 2 {
                if !header.languages.contains(String(fields[2])) { header.languages.append(String(fields[2])) }
                stream.extended = ASFExtendedProperties(
                    startMilliseconds: 0, endMilliseconds: 0, bitrate: 0, bufferMilliseconds: 0, fullnessMilliseconds: 0, objectBytesMax: 0,
                    flags: 0, language: UInt16(header.languages.firstIndex(of: String(fields[2])) ?? 0), frameDuration: 0,
                    extensionSystems: [])
            }
            return stream
        }
        return header
    }

    /// `1 2k`: stream 1 as it is, 2 in key frames.
    static func selection(_ text: String) -> WMSPSelection {
        var selection = WMSPSelection()
        for word in text.split(separator: " ") {
            let number = UInt8(word.filter(\.isNumber)) ?? 0
            if word.hasSuffix("k") { selection.keyFramesOnly.insert(number) } else { selection.whole.insert(number) }
        }
        return selection
    }

    static func words(_ selection: WMSPSelection) -> String {
        selection.streams.numbers.map { "\($0)" + (selection.keyFramesOnly.contains($0) ? "k" : "") }.joined(separator: " ")
    }

    @Test(arguments: [
        // The same again.
        ("a1:64 v2:300", "1 2", "a1:64 v2:300", 0, "1 2"),
        ("a1:64 v2:300", "1 2", "a2:64 v1:300", 0, "1 2"),
        // Kinds: off stays off; what was not there is on; script always.
        ("a1:64 v2:300", "1", "a1:64 v2:300", 0, "1"),
        ("a1:64 v2:300", "2", "a3:64 v4:300 s5", 0, "4 5"),
        ("a1:64", "1", "a1:64 v2:300 s3", 0, "1 2 3"),
        ("a1:64 v2:300 s3", "1 2", "a1 v2 s3", 0, "1 2 3"),
        ("a1:64 v2:300", "", "a1:64 v2:300", 0, ""),
        ("a1:64 v2:300", "1 2", "a7:64", 0, "7"),
        // Several rates: that which was had, or the richest below it.
        ("v1:300 v2:700 a3:64|1,2", "1 3", "v1:300 v2:700 a3:64|1,2", 0, "1 3"),
        ("v1:300 v2:700 a3:64|1,2", "2 3", "v4:250 v5:650 v6:1200 a7:64|4,5,6", 0, "5 7"),
        ("v1:300", "1", "v4:400 v5:650|4,5", 0, "4"),
        ("v1:300", "1", "v4:100 v5:330 v6:350|4,5,6", 0, "5"),
        ("v1:300", "1", "v1:900 v2:300|1,2", 0, "2"),
        // Nobody says how much: the same number, else the richest.
        ("v1", "1", "v4:400 v5:650|4,5", 0, "5"),
        ("v1", "1", "v1:400 v5:650|1,5", 0, "1"),
        // Not excluded by the header, and still several of a kind: one.
        ("v1:300 a2:64", "1 2", "v3:100 v4:300 v5:900 a6:64", 0, "4 6"),
        // Two cameras that were both on.
        ("v1:300 v2:300 a3:64", "1 2 3", "v1:300 v2:300 v4:300 a3:64", 0, "1 2 3"),
        // The link: audio first, video from what is left.
        ("v1:300 a2:64", "1 2", "v1:300 v2:700 v3:1500 a4:64|1,2,3", 1_000, "1 4"),
        ("v1:300 a2:64", "1 2", "v5:300 v6:700 v7:1500 a4:64|5,6,7", 1_000, "4 6"),
        ("v1:300 a2:64", "1 2", "v1:700 v2:1500 v3:100 a4:64 a5:192|1,2,3|4,5", 350, "3 5"),
        ("v1:300 a2:64", "1 2", "v1:700 v2:1500 a4:64|1,2", 100, "1 4"),
        ("v1:300 a2:64", "1 2", "v1:700 v2:300 a4:64|1,2", 2_147_484, "2 4"),
        // Languages: the same, a near one, else any.
        ("a1:64:en-us a2:64:de-de|1,2", "2", "a3:64:en-us a4:64:de-de|3,4", 0, "4"),
        ("a1:64:en-us a2:64:de-de|1,2", "1", "a3:64:de-de a4:64:en-gb|3,4", 0, "4"),
        ("a1:64:fr", "1", "a3:64:de-de a4:64:en-gb|3,4", 0, "3"),
        ("a1:64:de", "1", "a3:64:en a4:128:en a5:64:de a6:128:de|3,4|5,6", 0, "5"),
        ("a1:64:de", "1", "a1:64:en a5:64:DE|1,5", 0, "5"),
        // Key frames alone.
        ("v1:300 a2:64", "1k 2", "v3:300 a4:64", 0, "3k 4"),
        ("v1:300 a2:64", "1k", "v3:300 a4:64", 0, "3k"),
        // Whatever was chosen, one alternative is on.
        ("v1:300 v2:300", "1 2", "v1:300 v2:300|1,2", 0, "1"),
    ]) func predicts(_ old: String, _ chosen: String, _ new: String, _ linkKilobits: UInt32, _ expected: String) throws {
        let prediction = StreamPrediction(
            selection: Self.selection(chosen), of: try Self.header(old),
            linkBitsPerSecond: linkKilobits == 2_147_484 ? 2_147_483_647 : linkKilobits * 1_000)
        #expect(Self.words(prediction.selection(of: try Self.header(new))) == expected)
    }

    @Test func readsLanguages() throws {
        let header = try Self.header("a1:64:en-us a2:64:de")
        #expect(header.languages == ["en-us", "de"])
        #expect(header.streams.map { header.language(of: $0) } == ["en-us", "de"])
        #expect(header.language(of: try Self.header("a1").streams[0]) == nil)
    }
}

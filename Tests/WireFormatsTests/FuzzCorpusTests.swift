import Foundation
import Testing

/// Replays every file of the fuzz corpora through the fuzz targets' entries: an input that once broke a parser stays mended.
struct FuzzCorpusTests {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fuzz/Corpus")

    @Test(arguments: FuzzEntry.allCases) func replays(_ entry: FuzzEntry) throws {
        let files = try FileManager.default.contentsOfDirectory(
            at: Self.folder.appendingPathComponent(entry.rawValue), includingPropertiesForKeys: nil)
        #expect(files.count >= 3, "the corpus of \(entry.rawValue) has no seeds")
        for file in files {
            let bytes = Array(try Data(contentsOf: file))
            entry.run(bytes)
            // And what a broken connection leaves of it.
            for cut in stride(from: 0, to: bytes.count, by: max(bytes.count / 16, 1)) { entry.run(Array(bytes[..<cut])) }
        }
    }

    @Test func everyTargetHasAnEntry() throws {
        let targets = Self.folder.deletingLastPathComponent().appendingPathComponent("Targets")
        let names = try FileManager.default.contentsOfDirectory(at: targets, includingPropertiesForKeys: nil).map {
            $0.deletingPathExtension().lastPathComponent
        }
        #expect(names.sorted() == FuzzEntry.allCases.map(\.rawValue).sorted())
    }
}

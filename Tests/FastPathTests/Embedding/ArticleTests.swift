import Glibc
import Testing

/// The article's code is the examples' code, which is built and run by `Tests/Embed/swift_examples.py`.
@Suite struct ArticleTests {
    private static var root: String {
        "\(#filePath)".split(separator: "/", omittingEmptySubsequences: false).dropLast(4).joined(separator: "/")
    }

    private static func lines(of path: String) -> [String] {
        guard let stream = unsafe fopen("\(root)/\(path)", "r") else {
            Issue.record("there is no \(path)")
            return []
        }
        defer { unsafe fclose(stream) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = unsafe fread(&bytes, 1, bytes.count, stream)
        return String(decoding: bytes[..<count], as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    /// The lines of a region, without their common indentation.
    private static func region(_ name: String, of path: String) -> [String] {
        var region: [String] = []
        var isInside = false
        for line in lines(of: path) {
            let text = line.drop { $0 == " " }
            if text.hasPrefix("// [") {
                if isInside { break }
                isInside = text == "// [begin: \(name)]"
            } else if isInside {
                region.append(line)
            }
        }
        while region.last?.isEmpty == true { region.removeLast() }
        let indent = region.filter { !$0.isEmpty }.map { $0.prefix { $0 == " " }.count }.min() ?? 0
        return region.map { String($0.dropFirst(min(indent, $0.count))) }
    }

    @Test("Every piece of Swift in the article is a region of an example, line by line") func article() throws {
        let lines = Self.lines(of: "Sources/FastPath/FastPath.docc/EmbedTheFastPath.md")
        var pieces = 0
        for (number, line) in lines.enumerated() where line == "```swift" {
            pieces += 1
            let words = try #require(number > 0 ? lines[number - 1] : nil).split(whereSeparator: { " :".contains($0) })
            try #require(words.count == 4 && words[0] == "<!--", "line \(number): a comment names file and region")
            let code = lines[(number + 1)...].prefix { $0 != "```" }
            let region = Self.region(String(words[2]), of: String(words[1]))
            #expect(!region.isEmpty && Array(code) == region, "\(words[1]): \(words[2])")
        }
        #expect(pieces >= 6)
    }
}

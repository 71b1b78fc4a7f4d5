import Foundation
import Testing

@testable import Workbench

struct ASFProbeTests {
    /// The corpus of the fuzz target has whole files.
    static func probe(_ name: String) throws -> JSONValue {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        return try Probe.examine(ProbeOptions(source: root.appending(path: "Fuzz/Corpus/asf-index/\(name)").path)).json
    }

    @Test func tellsWhatAFileHolds() throws {
        let json = try Self.probe("sample")
        #expect(json["container"] == .text("asf") && json["duration"] == .number(0.138))
        #expect(json["file"]?["packets"] == .integer(2) && json["file"]?["packet_bytes"] == .integer(128))
        #expect(json["file"]?["cut_off"] == .boolean(false) && json["index"]?["state"] == .text("none"))
        #expect(json["walk"]?["broken"] == .integer(0) && json["walk"]?["padding_bytes"] == .integer(35))
        guard case .array(let streams) = json["streams"], let stream = streams.first else { throw WorkbenchError("no streams") }
        #expect(streams.count == 1 && stream["codec"] == .text("PCM") && stream["objects"] == .integer(3))
        #expect(stream["media_bytes"] == .integer(146) && stream["last_s"] == .number(0.138) && stream["key_frames"] == .null)
    }

    @Test(arguments: [("ffmpeg", "simple"), ("full", "full"), ("lying", "broken"), ("cut", "none"), ("sample", "none")])
    func tellsTheIndex(_ test: (name: String, state: String)) throws {
        let json = try Self.probe(test.name)
        #expect(json["index"]?["state"] == .text(test.state))
        #expect(json["file"]?["cut_off"] == .boolean(test.name == "cut"))
        #expect(json["walk"]?["broken"] == .integer(0))
    }

    @Test func namesTheFile() {
        let missing = #expect(throws: WorkbenchError.self) { try Probe.examine(ProbeOptions(source: "/nowhere/clip.wmv")) }
        #expect(missing?.description.contains("/nowhere/clip.wmv") == true)
        let other = #expect(throws: WorkbenchError.self) { try Probe.examine(ProbeOptions(source: #filePath)) }
        #expect(other?.kind == .usage)
    }
}

import Testing

@testable import WireFormats

struct FrameMarksTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let name: String, codec: KeyFrameCodec, payload: [UInt8], marks: FrameMarks
        var testDescription: String { "\(codec): \(name)" }

        init(_ codec: KeyFrameCodec, _ name: String, _ payload: [UInt8], _ marks: FrameMarks) {
            self.name = name
            self.codec = codec
            self.payload = payload
            self.marks = marks
        }
    }

    static let key: FrameMarks = [.startsKeyFrame, .keyPicture]
    static let sets: FrameMarks = [.startsKeyFrame, .parameterSets]

    /// A transport packet whose adaptation field says random access, and behind it a PES packet of that kind.
    static func transportPacket(kind: UInt8, randomAccess: Bool = true, unitStart: Bool = true, fieldLength: UInt8 = 7) -> [UInt8] {
        let start: [UInt8] = [0x47, unitStart ? 0x41 : 0x01, 0, 0x30, fieldLength, randomAccess ? 0x40 : 0]
        let stuffing = [UInt8](repeating: 0xFF, count: max(Int(fieldLength) - 1, 0))
        let packet = start + stuffing + [0, 0, 1, kind]
        return Array((packet + [UInt8](repeating: 0, count: 188)).prefix(188))
    }

    static let cases: [Case] = [
        Case(.opaque, "anything", [0x65, 0x88], []),
        Case(.h264, "IDR", [0x65, 0x88], key), Case(.h264, "a later slice of an IDR picture", [0x65, 0x40], []),
        Case(.h264, "non-IDR", [0x41, 0x9A], []),
        Case(.h264, "SPS", [0x67, 0x64], sets), Case(.h264, "PPS", [0x68, 0xEB], .parameterSets), Case(.h264, "SEI", [0x06, 0x05], []),
        Case(.h264, "STAP-A of SPS, PPS, IDR", [0x78, 0, 2, 0x67, 0x64, 0, 1, 0x68, 0, 2, 0x65, 0x88], sets.union(key)),
        Case(.h264, "STAP-A of AUD and non-IDR", [0x78, 0, 2, 0x09, 0xF0, 0, 2, 0x41, 0x9A], []),
        Case(.h264, "STAP-A with a size beyond its end", [0x78, 0xFF, 0xFF, 0x67], sets),
        Case(.h264, "STAP-A of sizes 0", [0x78, 0, 0, 0, 0, 0, 0], []),
        Case(.h264, "STAP-B of SPS", [0x79, 0, 1, 0, 2, 0x67, 0x64], sets),
        Case(.h264, "MTAP16 of IDR", [0x7A, 0, 1, 0, 2, 0, 0, 0, 0x65, 0x88], key),
        Case(.h264, "MTAP24 of IDR", [0x7B, 0, 1, 0, 2, 0, 0, 0, 0, 0x65, 0x88], key),
        Case(.h264, "FU-A start of IDR", [0x7C, 0x85, 0x88], key),
        Case(.h264, "FU-A start of IDR, reserved bit set", [0x7C, 0xA5, 0x88], key),
        Case(.h264, "FU-A middle of IDR", [0x7C, 0x05, 0x88], []), Case(.h264, "FU-A end of IDR", [0x7C, 0x45, 0x88], []),
        Case(.h264, "FU-A start of SPS", [0x7C, 0x87], sets),
        Case(.h264, "FU-B start of IDR", [0x7D, 0x85, 0, 1, 0x88], key), Case(.h264, "FU-A start of non-IDR", [0x7C, 0x81, 0x9A], []),
        Case(.h264, "one byte", [0x65], []),
        Case(.h265, "IDR_W_RADL", [0x26, 0x01, 0xAF], key), Case(.h265, "CRA", [0x2A, 0x01, 0x80], key),
        Case(.h265, "a later slice of an IDR picture", [0x26, 0x01, 0x20], []),
        Case(.h265, "TRAIL_R", [0x02, 0x01, 0xD0], []), Case(.h265, "VPS", [0x40, 0x01, 0x0C], sets),
        Case(.h265, "SPS", [0x42, 0x01, 0x01], sets),
        Case(.h265, "PPS", [0x44, 0x01, 0xC0], .parameterSets),
        Case(.h265, "AP of VPS, SPS, PPS", [0x60, 1, 0, 3, 0x40, 1, 0xC, 0, 3, 0x42, 1, 1, 0, 3, 0x44, 1, 0xC0], sets),
        Case(.h265, "AP of SEI and IDR", [0x60, 1, 0, 2, 0x4E, 1, 0, 3, 0x26, 1, 0xAF], key),
        Case(.h265, "FU start of IDR", [0x62, 1, 0x93, 0xAF], key),
        Case(.h265, "FU middle of IDR", [0x62, 1, 0x13, 0xAF], []), Case(.h265, "FU start of TRAIL_R", [0x62, 1, 0x81, 0xD0], []),
        Case(.h265, "FU without data", [0x62, 1, 0x93], []),
        Case(.av1, "new sequence", [0x18, 0x0A], sets.union(key)), Case(.av1, "no new sequence", [0x10, 0x32], []),
        Case(.av1, "a continuation", [0x88, 0x32], []),
        Case(.vp8, "key frame", [0x10, 0x50], key), Case(.vp8, "inter frame", [0x10, 0x51], []),
        Case(.vp8, "middle of a frame", [0x00, 0x50], []),
        Case(.vp8, "a later partition", [0x11, 0x50], []),
        Case(.vp8, "key frame behind all extensions", [0x90, 0xF0, 0x80, 1, 2, 3, 0x50], key),
        Case(.vp8, "short picture number", [0x90, 0x80, 0x01, 0x50], key),
        Case(.vp8, "cut inside of the extensions", [0x90, 0xF0, 0x80, 1], []),
        Case(.vp9, "key frame", [0x08, 0], key), Case(.vp9, "inter frame", [0x48, 0], []), Case(.vp9, "middle of a frame", [0x00, 0], []),
        Case(.vp9, "key frame with picture number and layers", [0xA8, 0x81, 2, 0x00, 0], key),
        Case(.vp9, "a higher spatial layer", [0xA8, 0x81, 2, 0x02, 0], []),
        Case(.mpeg4Part2, "intra frame", [0, 0, 1, 0xB6, 0x10], key), Case(.mpeg4Part2, "predicted frame", [0, 0, 1, 0xB6, 0x50], []),
        Case(.mpeg4Part2, "configuration alone", [0, 0, 1, 0xB0, 1, 0, 0, 1, 0xB5, 9], sets),
        Case(.mpeg4Part2, "configuration and intra frame", [0, 0, 1, 0xB0, 1, 0, 0, 1, 0x20, 9, 9, 0, 0, 1, 0xB6, 0x10], sets.union(key)),
        Case(.mpeg4Part2, "group and predicted frame", [0, 0, 1, 0xB3, 1, 1, 1, 0, 0, 1, 0xB6, 0x50], []),
        Case(.mpeg4Part2, "a later packet", [9, 0, 0, 1, 0xB6, 0x10], []),
        Case(.mpeg4Part2, "cut in the start code", [0, 0, 1, 0xB6], []),
        Case(.mpeg12Video, "sequence and intra", [0, 0, 0x21, 0, 0, 0, 1, 0xB3], sets.union(key)),
        Case(.mpeg12Video, "group and intra", [0, 0, 1, 0, 0, 0, 1, 0xB8], key),
        Case(.mpeg12Video, "intra picture", [0, 0, 1, 0, 0, 0, 1, 0], key),
        Case(.mpeg12Video, "predicted picture", [0, 0, 2, 0, 0, 0, 1, 0], []),
        Case(.mpeg12Video, "with the MPEG-2 extension", [4, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xB8], key),
        Case(.mpeg12Video, "slice of an intra picture", [0, 0, 1, 0, 0, 0, 1, 1], []),
        Case(.jpeg, "first fragment", [0, 0, 0, 0, 1, 50, 80, 60], key), Case(.jpeg, "a later fragment", [0, 0, 5, 0, 1, 50, 80, 60], []),
        Case(.mp2t, "random access to video", transportPacket(kind: 0xE0), key),
        Case(.mp2t, "random access to audio (FFmpeg)", transportPacket(kind: 0xC0), []),
        Case(.mp2t, "in the second packet", transportPacket(kind: 0xC0) + transportPacket(kind: 0xE3), key),
        Case(.mp2t, "video without the indicator", transportPacket(kind: 0xE0, randomAccess: false), []),
        Case(.mp2t, "the indicator, but no start", transportPacket(kind: 0xE0, unitStart: false), []),
        Case(.mp2t, "a field that fills the packet", transportPacket(kind: 0xE0, fieldLength: 183), []),
        Case(.mp2t, "a field longer than the packet", transportPacket(kind: 0xE0, fieldLength: 255), []),
        Case(.mp2t, "half a packet", Array(transportPacket(kind: 0xE0).prefix(100)), []),
    ]

    @Test(arguments: cases) func marks(_ test: Case) {
        #expect(frameMarks(codec: test.codec, payload: test.payload) == test.marks)
    }

    /// Every cut of every case: never a read outside (which traps).
    @Test(arguments: cases) func survivesEveryCut(_ test: Case) {
        for length in 0..<test.payload.count {
            for codec in KeyFrameCodec.allCases { _ = frameMarks(codec: codec, payload: Array(test.payload.prefix(length))) }
        }
        #expect(frameMarks(codec: test.codec, payload: [UInt8]()) == [])
    }
}

import Testing

@testable import WireFormats

/// The units of RTP payloads, as a receiver makes them of RFC 6184 and RFC 7798: written anew for the tests.
struct NALReceiver {
    let isH265: Bool
    private(set) var units: [[UInt8]] = []
    private(set) var errors = 0
    private var open: [UInt8]?

    init(isH265: Bool) { self.isH265 = isH265 }

    mutating func receive(_ payload: [UInt8]) {
        let head = isH265 ? 2 : 1
        let kind = isH265 ? payload[0] >> 1 & 0x3F : payload[0] & 0x1F
        switch kind {
        case isH265 ? 48 : 24:
            end()
            var rest = payload.dropFirst(head)
            while rest.count >= 2 {
                let size = Int(rest.removeFirst()) << 8 + Int(rest.removeFirst())
                if size > rest.count || size == 0 { errors += 1 } else { units.append(Array(rest.prefix(size))) }
                rest = rest.dropFirst(size)
            }
            errors += rest.count
        case isH265 ? 49 : 28:
            let fragment = payload[head]
            let type = fragment & (isH265 ? 0x3F : 0x1F)
            let first = isH265 ? payload[0] & 0x81 | type << 1 : payload[0] & 0xE0 | type
            if fragment & 0x80 != 0 {
                end()
                open = [first] + payload[1..<head]
            } else if open == nil {
                errors += 1
            }
            if fragment & 0xC0 == 0xC0 { errors += 1 }
            open? += payload.dropFirst(head + 1)
            if fragment & 0x40 != 0, let unit = open {
                units.append(unit)
                open = nil
            }
        default:
            end()
            units.append(payload)
        }
    }

    private mutating func end() {
        if open != nil { errors += 1 }
        open = nil
    }
}

/// What a payload is cut into; nil when it cannot be.
func cut(_ codec: KeyFrameCodec, _ payload: [UInt8], first: Int, max: Int) -> [[UInt8]]? {
    guard var fragmenter = NALFragmenter(codec: codec, payload: payload.span, firstBytesMax: first, bytesMax: max) else { return nil }
    var pieces: [[UInt8]] = []
    while let piece = fragmenter.piece(of: payload.span) {
        pieces.append((0..<piece.prefixCount).map(piece.prefixByte) + payload[piece.start..<piece.end])
        guard fragmenter.isDone == (fragmenter.next == fragmenter.end && fragmenter.data == fragmenter.dataEnd) else { return nil }
    }
    return fragmenter.isDone ? pieces : nil
}

struct NALFragmenterTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let codec: KeyFrameCodec, name: String, payload: [UInt8], pieces: [[UInt8]]?
        var testDescription: String { "\(codec): \(name)" }

        init(_ codec: KeyFrameCodec, _ name: String, _ payload: [UInt8], _ pieces: [[UInt8]]?) {
            self.codec = codec
            self.name = name
            self.payload = payload
            self.pieces = pieces
        }
    }

    private static func data(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) } }
    private static func sized(_ unit: [UInt8]) -> [UInt8] { [UInt8(unit.count >> 8), UInt8(unit.count & 0xFF)] + unit }

    // Pieces of at most 64 bytes.
    static let cases: [Case] = [
        Case(.h264, "a unit that fits goes as it is", [0x65] + data(63), [[0x65] + data(63)]),
        Case(
            .h264, "IDR of 65 bytes", [0x65] + data(64),
            [[0x7C, 0x85] + data(62), [0x7C, 0x45] + data(64)[62...]]),
        Case(
            .h264, "three fragments, NRI and F kept", [0xE1] + data(130),
            [[0xFC, 0x81] + data(62), [0xFC, 0x01] + data(124)[62...], [0xFC, 0x41] + data(130)[124...]]),
        Case(.h264, "FU-A start", [0x7C, 0x85] + data(70), [[0x7C, 0x85] + data(62), [0x7C, 0x05] + data(70)[62...]]),
        Case(.h264, "FU-A middle", [0x7C, 0x05] + data(70), [[0x7C, 0x05] + data(62), [0x7C, 0x05] + data(70)[62...]]),
        Case(.h264, "FU-A end", [0x7C, 0x45] + data(70), [[0x7C, 0x05] + data(62), [0x7C, 0x45] + data(70)[62...]]),
        Case(.h264, "FU-A with the reserved bit", [0x7C, 0xA5] + data(70), [[0x7C, 0xA5] + data(62), [0x7C, 0x25] + data(70)[62...]]),
        Case(.h264, "FU-A that fits", [0x7C, 0x85] + data(50), [[0x7C, 0x85] + data(50)]),
        Case(
            .h264, "STAP-A: those that fit stay together",
            [0x78] + sized([0x67] + data(20)) + sized([0x68] + data(5)) + sized([0x65] + data(40)) + sized([0x06] + data(9)),
            [[0x78] + sized([0x67] + data(20)) + sized([0x68] + data(5)), [0x78] + sized([0x65] + data(40)) + sized([0x06] + data(9))]),
        Case(
            .h264, "STAP-A with a unit that is too large", [0x78] + sized([0x67] + data(20)) + sized([0x65] + data(80)),
            [[0x67] + data(20), [0x7C, 0x85] + data(62), [0x7C, 0x45] + data(80)[62...]]),
        Case(
            .h264, "STAP-A with sizes of 0", [0x78, 0, 0] + sized([0x67] + data(20)) + [0, 0] + sized([0x68] + data(50)) + [0, 0, 0, 0],
            [[0x67] + data(20), [0x68] + data(50)]),
        Case(.h264, "STAP-A whose size is beyond its end", [0x78, 0, 90] + data(80), nil),
        Case(.h264, "STAP-A with one byte behind", [0x78] + sized([0x67] + data(70)) + [9], nil),
        Case(.h264, "STAP-A in a STAP-A", [0x78] + sized([0x78] + data(70)), nil),
        Case(.h264, "STAP-A of nothing", [0x78, 0, 0, 0, 0], nil),
        Case(.h264, "STAP-B", [0x79] + data(80), nil), Case(.h264, "MTAP16", [0x7A] + data(80), nil),
        Case(.h264, "FU-B", [0x7D, 0x85] + data(80), nil), Case(.h264, "a reserved type", [0x60] + data(80), nil),
        Case(
            .h265, "IDR", [0x26, 0x01] + data(65),
            [[0x62, 0x01, 0x93] + data(61), [0x62, 0x01, 0x53] + data(65)[61...]]),
        Case(
            .h265, "layer and temporal id kept", [0x03, 0x0A] + data(65),
            [[0x63, 0x0A, 0x81] + data(61), [0x63, 0x0A, 0x41] + data(65)[61...]]),
        Case(.h265, "FU middle", [0x62, 0x01, 0x13] + data(70), [[0x62, 0x01, 0x13] + data(61), [0x62, 0x01, 0x13] + data(70)[61...]]),
        Case(.h265, "FU end", [0x62, 0x01, 0x53] + data(70), [[0x62, 0x01, 0x13] + data(61), [0x62, 0x01, 0x53] + data(70)[61...]]),
        Case(
            .h265, "AP: VPS, SPS, PPS stay together, the picture does not",
            [0x60, 1] + sized([0x40, 1] + data(9)) + sized([0x42, 1] + data(9)) + sized([0x44, 1] + data(4)) + sized([0x26, 1] + data(70)),
            [
                [0x60, 1] + sized([0x40, 1] + data(9)) + sized([0x42, 1] + data(9)) + sized([0x44, 1] + data(4)),
                [0x62, 1, 0x93] + data(61), [0x62, 1, 0x53] + data(70)[61...],
            ]),
        Case(.h265, "PACI", [0x64, 1] + data(80), nil),
        Case(.h265, "a unit of an AP without a whole head", [0x60, 1, 0, 1, 0x40] + data(80), nil),
        Case(.jpeg, "another codec", data(100), nil), Case(.opaque, "any", data(100), nil),
    ]

    @Test(arguments: cases) func cuts(_ test: Case) {
        #expect(cut(test.codec, test.payload, first: 64, max: 64) == test.pieces)
    }

    @Test(arguments: cases) func survivesEveryCut(_ test: Case) {
        for length in 0..<test.payload.count {
            for codec in [KeyFrameCodec.h264, .h265] { _ = cut(codec, Array(test.payload.prefix(length)), first: 64, max: 70) }
        }
        #expect(cut(test.codec, test.payload, first: 63, max: 64) == nil, "no pieces are made so small")
    }

    @Test func theFirstMayBeSmaller() {
        let pieces = cut(.h264, [0x65] + Self.data(1_000), first: 100, max: 300)
        #expect(pieces?.map(\.count) == [100, 300, 300, 300, 10])
    }

    /// Random payloads of every kind, cut at random sizes: a receiver makes the same units of the pieces, none is too large, and the
    /// pieces are as few as promised.
    @Test(arguments: 0..<40) func depacketisingThePiecesGivesTheUnits(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<50 {
            let isH265 = Bool.random(using: &random)
            let max = Int.random(in: 64...1_500, using: &random)
            let first = Int.random(in: 64...max, using: &random)
            let payloads = Self.payloads(isH265: isH265, &random)
            var whole = NALReceiver(isH265: isH265), inPieces = NALReceiver(isH265: isH265)
            for payload in payloads {
                whole.receive(payload)
                let pieces = try #require(cut(isH265 ? .h265 : .h264, payload, first: first, max: max))
                #expect(pieces.first.map { $0.count <= first } == true && pieces.allSatisfy { !$0.isEmpty && $0.count <= max })
                #expect(pieces.count <= NALFragmenter.piecesMax(payload: payload.count, bytesMax: first))
                for piece in pieces { inPieces.receive(piece) }
            }
            #expect(whole.errors == 0 && inPieces.errors == 0)
            #expect(whole.units == inPieces.units)
        }
    }

    /// One payload, or the fragments of a unit.
    private static func payloads(isH265: Bool, _ random: inout SeededGenerator) -> [[UInt8]] {
        func unit(_ count: Int, _ random: inout SeededGenerator) -> [UInt8] {
            var bytes = (0..<max(count, 3)).map { _ in UInt8.random(in: 0...255, using: &random) }
            if isH265 {
                bytes[0] = UInt8.random(in: 0..<48, using: &random) << 1 | bytes[0] & 0x81
            } else {
                bytes[0] = bytes[0] & 0xE0 | UInt8.random(in: 1..<24, using: &random)
            }
            return bytes
        }
        func size(_ random: inout SeededGenerator) -> Int {
            Int.random(in: 3...([20, 200, 2_000, 20_000].randomElement(using: &random) ?? 20), using: &random)
        }
        switch Int.random(in: 0..<3, using: &random) {
        case 0: return [unit(size(&random), &random)]
        case 1:
            var payload: [UInt8] = isH265 ? [0x60, 1] : [0x78]
            for _ in 0..<Int.random(in: 1...12, using: &random) { payload += sized(unit(min(size(&random), 5_000), &random)) }
            return [payload]
        default:
            let whole = unit(max(size(&random), 100), &random)
            return cut(isH265 ? .h265 : .h264, whole, first: max(64, whole.count / 3), max: max(64, whole.count / 3)) ?? []
        }
    }
}

/// Random numbers that a seed decides.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }
    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
}

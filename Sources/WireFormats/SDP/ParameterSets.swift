/// The parameter sets of an H.264 or H.265 track: what a decoder must have before the first picture.
package struct ParameterSets: Sendable, Hashable {
    /// H.265 alone.
    package var video: [[UInt8]] = []
    package var sequence: [[UInt8]] = []
    package var picture: [[UInt8]] = []

    /// None.
    package init() {}

    /// The sets among these NAL units, each once, in their order; other units and such that are too short to be one are left out.
    package init(codec: MediaCodec, units: [[UInt8]]) {
        for unit in units {
            guard unit.count > (codec == .h265 ? 2 : 1), let first = unit.first else { continue }
            switch (codec, codec == .h265 ? (first >> 1) & 0x3F : first & 0x1F) {
            case (.h264, 7), (.h265, 33): Self.add(unit, to: &sequence)
            case (.h264, 8), (.h265, 34): Self.add(unit, to: &picture)
            case (.h265, 32): Self.add(unit, to: &video)
            default: break
            }
        }
    }

    private static func add(_ unit: [UInt8], to list: inout [[UInt8]]) {
        if !list.contains(unit) { list.append(unit) }
    }

    /// No set of any kind.
    package var isEmpty: Bool { video.isEmpty && sequence.isEmpty && picture.isEmpty }

    /// These, and of the kinds that are missing here those of `older`.
    package func completed(from older: ParameterSets) -> ParameterSets {
        var all = self
        if video.isEmpty { all.video = older.video }
        if sequence.isEmpty { all.sequence = older.sequence }
        if picture.isEmpty { all.picture = older.picture }
        return all
    }

    /// Whether each set of `other` is among these.
    package func holdsAll(of other: ParameterSets) -> Bool {
        other.video.allSatisfy(video.contains) && other.sequence.allSatisfy(sequence.contains) && other.picture.allSatisfy(picture.contains)
    }

    /// H.264's `profile-level-id`: three bytes of the first sequence parameter set (RFC 6184 section 8.1).
    var profileLevelID: String? {
        guard let set = sequence.first, set.count >= 4 else { return nil }
        let digits = Array("0123456789ABCDEF".utf8)
        return String(decoding: set[1...3].flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}

extension MediaDescription {
    /// The parameter sets in `a=fmtp` of the first payload type (`sprop-parameter-sets`, or `sprop-vps`, `-sps` and `-pps`); those that
    /// are not base 64 are left out. Start codes before a set, which some cameras send, are taken off.
    package var parameterSets: ParameterSets {
        let names = codec == .h265 ? ["sprop-vps", "sprop-sps", "sprop-pps"] : codec == .h264 ? ["sprop-parameter-sets"] : []
        let units = names.compactMap(formatParameter).flatMap { text in
            text.byteSlice.split(separator: ASCII.comma).compactMap { Base64.decode($0.trimmed.text) }
        }
        return ParameterSets(codec: codec, units: units.map(Self.withoutStartCode))
    }

    private static func withoutStartCode(_ unit: [UInt8]) -> [UInt8] {
        for code: [UInt8] in [[0, 0, 0, 1], [0, 0, 1]] where unit.starts(with: code) { return Array(unit.dropFirst(code.count)) }
        return unit
    }

    /// Whether its packets carry decoding order numbers: H.264 in interleaved mode (RFC 6184 section 6.4), H.265 with
    /// `sprop-max-don-diff` (RFC 7798 section 7.1).
    package var hasDecodingOrderNumbers: Bool {
        switch codec {
        case .h264: formatParameter("packetization-mode") == "2"
        case .h265: !["0", nil].contains(formatParameter("sprop-max-don-diff"))
        default: false
        }
    }

    /// Puts the sets into `a=fmtp` of the first payload type, in place of those that are there; other parameters stay. For H.264 the
    /// profile follows the sets, and `packetization-mode` becomes 1 where none is named or 0: what a relay sends may be fragments.
    package mutating func setParameterSets(_ sets: ParameterSets) {
        guard let type = payloadTypes.first, codec == .h264 || codec == .h265, !sets.isEmpty else { return }
        var parameters = Self.parameters(formatParameters(type) ?? "")
        if codec == .h264 {
            let mode = parameters.first { ASCII.equalIgnoringCase($0.name.byteSlice, "packetization-mode") }?.value
            if mode == nil || mode == "0" { Self.set("packetization-mode", "1", in: &parameters) }
            if let profile = sets.profileLevelID { Self.set("profile-level-id", profile, in: &parameters) }
            Self.set("sprop-parameter-sets", Self.text(sets.sequence + sets.picture), in: &parameters)
        } else {
            for (name, units) in [("sprop-vps", sets.video), ("sprop-sps", sets.sequence), ("sprop-pps", sets.picture)]
            where !units.isEmpty { Self.set(name, Self.text(units), in: &parameters) }
        }
        let text = parameters.map { parameter in parameter.value.map { "\(parameter.name)=\($0)" } ?? parameter.name }.joined(
            separator: ";")
        let line = SDPLine.attribute("fmtp", "\(type) \(text)")
        if let place = lines.firstIndex(where: { $0.isAttribute("fmtp") && Self.formatParameters($0)?.0 == type }) {
            lines[place] = line
        } else {
            let map = lines.firstIndex { $0.isAttribute("rtpmap") && Self.format($0)?.payloadType == type }
            lines.insert(line, at: map.map { $0 + 1 } ?? lines.endIndex)
        }
    }

    private typealias Parameter = (name: String, value: String?)

    private static func parameters(_ text: String) -> [Parameter] {
        text.byteSlice.split(separator: ASCII.semicolon).compactMap { part in
            let (name, value) = part.split(atFirst: ASCII.equals)
            return name.trimmed.isEmpty ? nil : (name.trimmed.text, value?.trimmed.text)
        }
    }

    private static func set(_ name: String, _ value: String, in parameters: inout [Parameter]) {
        if let place = parameters.firstIndex(where: { ASCII.equalIgnoringCase($0.name.byteSlice, name) }) {
            parameters[place].value = value
        } else {
            parameters.append((name, value))
        }
    }

    private static func text(_ units: [[UInt8]]) -> String { units.map(Base64.encode).joined(separator: ",") }
}

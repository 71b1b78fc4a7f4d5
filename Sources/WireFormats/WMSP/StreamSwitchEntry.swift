/// One entry of `stream-switch-entry` ([MS-WMSP] 2.2.1.4.30): which stream is sent, and how much of it.
package struct StreamSwitchEntry: Sendable, Hashable {
    /// How much of a stream is sent.
    package enum Thinning: UInt8, Sendable, Hashable, CaseIterable {
        /// All of it.
        case full = 0
        /// Key frames alone.
        case keyFrames = 1
        /// Nothing.
        case off = 2
    }

    /// How stream numbers are written. The document says hexadecimal; FFmpeg and libmms write decimal.
    package enum NumberBase: Sendable, Hashable, CaseIterable { case hexadecimal, decimal }

    /// The stream that ends; nil (`ffff`) where none does.
    package var source: UInt16?
    /// The stream that begins, or changes its thinning; nil where none does: the source is switched off.
    package var destination: UInt16?
    /// For the destination.
    package var thinning: Thinning

    /// An entry.
    package init(source: UInt16? = nil, destination: UInt16?, thinning: Thinning) {
        self.source = source
        self.destination = destination
        self.thinning = thinning
    }

    /// Entries of one list that are read: 127 streams, each off and on again.
    package static let entriesMax = 256

    /// The entries of a list between blanks. Where a number reads as one of `streams` in one base alone, it is that stream; `base` decides
    /// otherwise. What is no entry is left out, as is all behind ``entriesMax``.
    package static func parse(_ text: String, streams: some Collection<UInt16>, base: NumberBase) -> [StreamSwitchEntry] {
        var entries: [StreamSwitchEntry] = []
        for word in text.byteSlice.split(whereSeparator: { ASCII.isBlank($0) || $0 == ASCII.comma }) {
            guard entries.count < entriesMax else { break }
            let fields = word.split(separator: ASCII.colon, omittingEmptySubsequences: false)
            guard fields.count == 3, let thinning = PragmaNumber.leading(fields[2]).flatMap(UInt8.init(exactly:)).flatMap(Thinning.init),
                let source = stream(fields[0], streams: streams, base: base),
                let destination = stream(fields[1], streams: streams, base: base)
            else { continue }
            entries.append(StreamSwitchEntry(source: source.number, destination: destination.number, thinning: thinning))
        }
        return entries
    }

    /// The list as it goes over the wire.
    package static func text(_ entries: [StreamSwitchEntry], base: NumberBase = .hexadecimal) -> String {
        entries.map { entry in
            "\(word(entry.source, base)):\(word(entry.destination, base)):\(entry.thinning.rawValue)"
        }.joined(separator: " ")
    }

    private static func word(_ stream: UInt16?, _ base: NumberBase) -> String {
        stream.map { String($0, radix: base == .hexadecimal ? 16 : 10) } ?? "ffff"
    }

    /// Nil for what is no number; a `number` of nil for `ffff`.
    private static func stream(
        _ field: ArraySlice<UInt8>, streams: some Collection<UInt16>, base: NumberBase
    ) -> (number: UInt16?, Void)? {
        let hexadecimal = field.count <= 4 ? ASCII.hexadecimal(field).map { UInt16(truncatingIfNeeded: $0) } : nil
        let decimal = ASCII.decimal(field, max: 65_535).map { UInt16(truncatingIfNeeded: $0) }
        if hexadecimal == .max || decimal == .max { return (nil, ()) }
        let (first, second) = base == .hexadecimal ? (hexadecimal, decimal) : (decimal, hexadecimal)
        guard let best = first ?? second else { return nil }
        guard !streams.contains(best), let other = second, streams.contains(other) else { return (best, ()) }
        return (other, ())
    }
}

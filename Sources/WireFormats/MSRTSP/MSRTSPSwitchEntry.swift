/// An entry of a SelectStream's body ([MS-RTSP] 2.2.7.8): `SSEntry: <old> <new> <thinning> [<old URL>] [<new URL>]`.
package struct MSRTSPSwitchEntry: Sendable, Hashable {
    /// Why a body is no list of entries.
    package enum Trouble: Error, Hashable, CustomStringConvertible {
        /// A body above ``MSRTSPSwitchEntry/bytesMax``.
        case tooLong(bytes: Int)
        /// More than ``MSRTSPSwitchEntry/entriesMax``.
        case tooManyEntries
        /// Something else stands where a number must; which entry, from 1.
        case notANumber(String, entry: Int)
        /// A thinning other than 0, 1 and 2.
        case unknownThinning(String, entry: Int)
        /// Neither a stream that ends nor one that begins.
        case noStream(entry: Int)
        /// Nothing is listed.
        case empty

        /// What was wrong, in words.
        package var description: String {
            switch self {
            case .tooLong(let bytes): "a list of \(bytes) bytes is longer than \(MSRTSPSwitchEntry.bytesMax)"
            case .tooManyEntries: "there are more than \(MSRTSPSwitchEntry.entriesMax) SSEntry"
            case .notANumber(let word, let entry): "SSEntry \(entry): '\(word)' stands where a number below 2^32 must"
            case .unknownThinning(let word, let entry): "SSEntry \(entry): the thinning is 0, 1 or 2, not '\(word)'"
            case .noStream(let entry): "SSEntry \(entry) names no stream"
            case .empty: "there is no SSEntry"
            }
        }
    }

    /// The longest body.
    package static let bytesMax = 64 << 10
    /// Entries of one body: 127 streams, off and on.
    package static let entriesMax = 256
    /// What stands for no stream.
    private static let none = UInt32.max

    /// The stream that ends; nil where none does.
    package var source: UInt32?
    /// The stream that begins, or changes its thinning; nil where none does.
    package var destination: UInt32?
    /// For the destination.
    package var thinning: StreamSwitchEntry.Thinning
    /// The control URL of the source; nil where it has none, or says none.
    package var sourceURL: String?
    /// The control URL of the destination.
    package var destinationURL: String?

    /// An entry.
    package init(
        source: UInt32? = nil, destination: UInt32?, thinning: StreamSwitchEntry.Thinning = .full, sourceURL: String? = nil,
        destinationURL: String? = nil
    ) {
        self.source = source
        self.destination = destination
        self.thinning = thinning
        self.sourceURL = sourceURL
        self.destinationURL = destinationURL
    }

    /// The entries of a body. Lines may be folded, and the word before each entry may be missing; so may URLs.
    package static func parse(_ body: [UInt8]) throws(Trouble) -> [MSRTSPSwitchEntry] {
        guard body.count <= bytesMax else { throw .tooLong(bytes: body.count) }
        var words = body.split { ASCII.isBlank($0) || ASCII.isLineEnd($0) || $0 == 0 }[...]
        var entries: [MSRTSPSwitchEntry] = []
        while let first = words.first {
            if first.hasPrefixIgnoringCase("SSEntry:") {
                let rest = first.dropFirst(8)
                if rest.isEmpty { words.removeFirst() } else { words[words.startIndex] = rest }
            }
            guard entries.count < entriesMax else { throw .tooManyEntries }
            let place = entries.count + 1
            let source = try number(&words, place), destination = try number(&words, place)
            let level = words.popFirst() ?? []
            guard let value = ASCII.decimal(level, max: 255), let thinning = StreamSwitchEntry.Thinning(rawValue: UInt8(value)) else {
                throw .unknownThinning(RTSPFirstLine.excerpt(level), entry: place)
            }
            guard source != none || destination != none else { throw .noStream(entry: place) }
            var entry = MSRTSPSwitchEntry(
                source: source == none ? nil : source, destination: destination == none ? nil : destination, thinning: thinning)
            if source != none { entry.sourceURL = url(&words) }
            if destination != none { entry.destinationURL = url(&words) }
            entries.append(entry)
        }
        guard !entries.isEmpty else { throw .empty }
        return entries
    }

    private static func number(_ words: inout ArraySlice<ArraySlice<UInt8>>, _ entry: Int) throws(Trouble) -> UInt32 {
        let word = words.popFirst() ?? []
        guard let value = ASCII.decimal(word, max: UInt64(UInt32.max)) else { throw .notANumber(RTSPFirstLine.excerpt(word), entry: entry) }
        return UInt32(truncatingIfNeeded: value)
    }

    /// The next word, unless the next entry begins with it.
    private static func url(_ words: inout ArraySlice<ArraySlice<UInt8>>) -> String? {
        guard let word = words.first, !word.hasPrefixIgnoringCase("SSEntry:"), !word.allSatisfy(ASCII.isDigit) else { return nil }
        words.removeFirst()
        return word.text
    }

    /// The body of a request.
    package static func body(_ entries: [MSRTSPSwitchEntry]) -> [UInt8] {
        var bytes: [UInt8] = []
        for entry in entries {
            bytes.append(line: "SSEntry: \(entry.source ?? none) \(entry.destination ?? none) \(entry.thinning.rawValue)")
            for url in [entry.sourceURL, entry.destinationURL] {
                if let url { bytes.append(line: " " + url) }
            }
            bytes += [ASCII.carriageReturn, ASCII.lineFeed]
        }
        return bytes
    }
}

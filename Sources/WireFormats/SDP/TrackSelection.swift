/// Which media of a description are wanted: by kind, codec or number, and which are not.
///
/// Written as words with commas between them: a kind (`video`, `audio`, `application`, `text`), a codec by its name or its encoding name
/// (`h264`, `AAC`, `PCMU`), or the number of a media from 0 in the order of the `m=` lines. A word with `no-` or `!` before it leaves
/// out what it stands for. Wanted is what one of the words without it stands for (everything, if there is none) and none of those with it.
package struct TrackSelection: Sendable, Hashable, CustomStringConvertible {
    /// What one word stands for.
    package enum Mark: Sendable, Hashable {
        /// The kind of the `m=` line.
        case kind(String)
        /// Any of the codecs that share the name.
        case codec([MediaCodec])
        /// The media's place among all, from 0.
        case index(Int)
    }

    /// What is wrong with a text, in words that go behind its key.
    package struct Trouble: Error, Equatable, CustomStringConvertible {
        /// What is wrong and what is allowed.
        package let description: String
    }

    /// More words are refused.
    package static let wordsMax = 64

    private var wanted: [Mark] = []
    private var unwanted: [Mark] = []
    /// As it was written, in small letters and without blanks.
    package private(set) var description = "all"

    /// Everything.
    package init() {}

    /// Reads a list of words.
    package init(_ text: String) throws(Trouble) {
        let words = text.byteSlice.split(separator: ASCII.comma, omittingEmptySubsequences: false).map { $0.trimmed.text.lowercased() }
        guard words != [""] else { throw Trouble(description: "it is empty; \(Self.allowed)") }
        guard words.count <= Self.wordsMax else { throw Trouble(description: "it has more than \(Self.wordsMax) words") }
        for word in words {
            let bare = word.hasPrefix("!") ? word.dropFirst() : word.hasPrefix("no-") ? word.dropFirst(3) : word[...]
            let mark = try Self.mark(String(bare))
            if bare.utf8.count == word.utf8.count { wanted.append(mark) } else { unwanted.append(mark) }
        }
        if let both = wanted.firstIndex(where: unwanted.contains) {
            throw Trouble(description: "`\(Self.words(wanted[both]))` is both wanted and left out")
        }
        description = words.joined(separator: ",")
    }

    private static let allowed =
        "write words with commas between them: video, audio, application or text, a codec such as h264 or aac, or the number of a media "
        + "from 0; no- before a word leaves it out"

    private static func mark(_ word: String) throws(Trouble) -> Mark {
        if kinds.contains(word) { return .kind(word) }
        if let number = ASCII.decimal(word.byteSlice, max: UInt64(SessionDescription.mediaCountMax - 1)) { return .index(Int(number)) }
        let key = Self.key(word)
        if key == "g711" { return .codec([.pcmu, .pcma]) }
        let named = key.isEmpty ? [] : MediaCodec.allNamed.filter { Self.key($0.name) == key }
        if !named.isEmpty { return .codec(named) }
        let codec = MediaCodec(encodingName: word)
        if case .other = codec {
            throw Trouble(description: "`\(word.prefix(32))` is no kind, codec or number of a media that Weir knows; \(allowed)")
        }
        return .codec([codec])
    }

    private static let kinds = ["video", "audio", "application", "text"]

    /// Letters and digits alone: `H.264` is `h264`.
    private static func key(_ name: String) -> String {
        name.lowercased().filter { $0.isASCII && ($0.isLetter || $0.isNumber) }
    }

    private static func words(_ mark: Mark) -> String {
        switch mark {
        case .kind(let kind): kind
        case .codec(let codecs): codecs.first?.name ?? ""
        case .index(let index): String(index)
        }
    }

    /// Whether everything is wanted.
    package var isAll: Bool { wanted.isEmpty && unwanted.isEmpty }

    /// Whether the media of that number is wanted.
    package func wants(_ media: MediaDescription, index: Int) -> Bool {
        func fits(_ mark: Mark) -> Bool {
            switch mark {
            case .kind(let kind): ASCII.equalIgnoringCase(media.kind.byteSlice, kind)
            case .codec(let codecs): codecs.contains(media.codec)
            case .index(let number): number == index
            }
        }
        return (wanted.isEmpty || wanted.contains(where: fits)) && !unwanted.contains(where: fits)
    }
}

extension MediaCodec {
    /// Every codec that has a name of its own.
    static let allNamed: [MediaCodec] = [
        .h264, .h265, .av1, .vp8, .vp9, .mpeg4Part2, .mpeg12Video, .jpeg, .h263, .h261, .mp2t, .aac, .aacLATM, .opus, .pcmu, .pcma, .g722,
        .g726, .l16, .mpegAudio, .ac3, .gsm, .speex, .vorbis, .onvifMetadata,
    ]
}

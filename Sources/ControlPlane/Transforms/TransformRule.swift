import WireFormats

/// Which tracks of a path go through a program, or code of the program that embeds Weir, and how it is run. Only the configuration file makes
/// one: neither the environment nor anything from the network can name a program.
package struct TransformRule: Sendable, Equatable {
    /// Which tracks it is for.
    package enum Selector: Sendable, Equatable {
        /// All of a kind: `video`, `audio`, `application`, `text`.
        case kind(String)
        /// All of a codec, by its encoding name.
        case codec(MediaCodec)
        /// One, by its place in the source's description, from 0.
        case track(Int)
    }

    /// Which tracks it is for; of several rules that fit a track the first counts.
    package let selector: Selector
    /// The selector as the user wrote it.
    package let name: String
    /// What is run, unless ``use`` names something.
    package var command = ProgramCommand(words: [])
    /// The name of a ``TrackTransform`` in ``RelayExtensions/transforms``; nil: a program is run.
    package var use: String?
    /// What may wait for code within the process, each way, in bytes.
    package var queueBytes = 256 << 10
    /// What comes out; nil: the program writes it to the file `$OUTPUT_SDP`.
    package var gives: GivenMedia?
    /// How long the program may take to listen, and then to send the first packet of what it was given, in milliseconds.
    package var startMilliseconds = 15_000
    /// How long it may send nothing while it is given media, in milliseconds.
    package var silenceMilliseconds = 10_000
    /// How long it may take to end before it is killed, in milliseconds.
    package var stopMilliseconds = 2_000
    /// Limits of the process; 0: none beside the relay's own.
    package var memoryBytes = 0
    package var cpuSeconds = 0
    package var openFiles = 0
    /// How much nicer it is than the relay (0-19).
    package var nice = 0

    /// A rule for the tracks that `name` means: `video`, `audio`, `h265`, `0`, …
    init(name: String) throws(ValueProblem) {
        self.name = name
        if let number = Int(name), name.utf8.allSatisfy({ (0x30...0x39).contains($0) }), number < SessionDescription.mediaCountMax {
            selector = .track(number)
            return
        }
        if Self.kinds.contains(name) {
            selector = .kind(name)
            return
        }
        let codec = MediaCodec(encodingName: name)
        if case .other = codec {
            throw ValueProblem(
                "`\(name)` names no tracks; " + Suggestion.unknown(name, among: Self.kinds + ["h264", "h265", "opus", "0"])
                    + " (a kind of media, a codec's encoding name, or a track's number from 0)")
        }
        selector = .codec(codec)
    }

    /// The program's name, or ``use``.
    var what: String { use ?? command.programName }

    /// Keys that are of use for a program alone, or for code alone.
    static let keysOfPrograms: Set = ["exec", "gives", "memory", "cpu-time", "open-files", "nice"]
    static let keysOfCode: Set = ["use", "queue"]

    private static let kinds = ["video", "audio", "application", "text"]

    /// Whether it is for that media, the track of that number.
    func fits(_ media: MediaDescription, track: Int) -> Bool {
        switch selector {
        case .kind(let kind): media.kind.lowercased() == kind
        case .codec(let codec): media.codec == codec
        case .track(let number): number == track
        }
    }
}

extension TransformRule {
    private static let queueBytesRange = (16 << 10)...(16 << 20)

    /// The keys of one rule. `exec` is read apart: its list of words is not a list of values.
    static let fields: [Field<TransformRule>] = [
        Field(key: "use") { (rule, text) throws(ValueProblem) in
            guard !text.isEmpty else { throw ValueProblem("it names nothing") }
            rule.use = text
        },
        Field(key: "queue") { (rule, text) throws(ValueProblem) in
            let bytes = try SettingValue.bytes(text)
            guard queueBytesRange.contains(bytes) else {
                throw ValueProblem("`\(text)` is not between 16KiB and 16MiB, what may wait for a transform")
            }
            rule.queueBytes = bytes
        },
        Field(key: "gives") { (rule, text) throws(ValueProblem) in rule.gives = try GivenMedia(text) },
        Field(key: "start-wait") { (rule, text) throws(ValueProblem) in
            rule.startMilliseconds = max(try SettingValue.milliseconds(text, max: 600_000), 100)
        },
        Field(key: "silence") { (rule, text) throws(ValueProblem) in
            rule.silenceMilliseconds = max(try SettingValue.milliseconds(text, max: 600_000), 1_000)
        },
        Field(key: "stop-wait") { (rule, text) throws(ValueProblem) in
            // The relay's own end waits for it, with a bound of its own.
            rule.stopMilliseconds = try SettingValue.milliseconds(text, max: 5_000)
        },
        Field(key: "memory") { (rule, text) throws(ValueProblem) in rule.memoryBytes = try SettingValue.bytes(text) },
        Field(key: "cpu-time") { (rule, text) throws(ValueProblem) in
            rule.cpuSeconds = max(try SettingValue.milliseconds(text) / 1_000, 1)
        },
        Field(key: "open-files") { (rule, text) throws(ValueProblem) in
            rule.openFiles = try SettingValue.number(text, in: 8...1_048_576)
        },
        Field(key: "nice") { (rule, text) throws(ValueProblem) in rule.nice = try SettingValue.number(text, in: 0...19) },
    ]
}

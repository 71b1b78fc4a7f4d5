import Logging
import PlaneLink
import WireFormats

/// One key of a section: its name and how its text becomes a value. The same table serves the file, the environment and the help.
struct Field<Section>: Sendable {
    let key: String
    let set: @Sendable (inout Section, String) throws(ValueProblem) -> Void
    /// The value may hold a password: it is not repeated in messages.
    var isSecret = false
    /// A YAML list may stand for it: its items, with this between them.
    var isList = false
    var listSeparator = ","
    /// In the file it is no plain value, and read by other means.
    var isReadApart = false

    /// The key as part of a name of an environment variable.
    var environmentName: String { key.uppercased().replacing("-", with: "_") }
}

extension Configuration {
    /// The keys at the top of the file that have a plain value.
    static let fields: [Field<Configuration>] =
        [
            Field(
                key: "listen",
                set: { (section, text) throws(ValueProblem) in
                    do throws(ListenAddressError) {
                        let addresses = try ListenAddress.list(parsing: text)
                        section.listen = addresses[0]
                        section.listenBesides = Array(addresses.dropFirst())
                    } catch {
                        throw ValueProblem(error.description)
                    }
                }, isList: true),
            Field(key: "media-ports") { (section, text) throws(ValueProblem) in section.mediaPorts = try SettingValue.portRange(text) },
            Field(key: "log-level") { (section, text) throws(ValueProblem) in
                section.logLevel = try SettingValue.word(text, of: Logger.Level.self)
            },
        ] + distributionFields + cacheFields

    /// The keys under `engine:`.
    static let engineFields: [Field<Configuration>] = [
        Field(key: "backend") { (section, text) throws(ValueProblem) in
            section.engine.backend = try SettingValue.word(text, of: EngineSettings.Backend.self)
        },
        Field(key: "workers") { (section, text) throws(ValueProblem) in
            section.engine.workers = text == "auto" ? nil : try SettingValue.workers(text)
        },
        Field(key: "max-delay") { (section, text) throws(ValueProblem) in
            section.limits.delayMicrosecondsMax = try SettingValue.microseconds(text, max: 1_000_000)
        },
        Field(key: "zero-copy") { (section, text) throws(ValueProblem) in
            section.engine.zeroCopy = try SettingValue.word(text, of: EngineSettings.ZeroCopy.self)
        },
        Field(key: "require-io-uring") { (section, text) throws(ValueProblem) in section.engine.requireIOUring = try SettingValue.flag(text)
        },
    ]

    /// The keys under `limits:`.
    static let limitFields: [Field<Configuration>] = [
        Field(key: "streams") { (section, text) throws(ValueProblem) in
            section.limits.streamsMax = try SettingValue.number(text, in: 1...65_536)
        },
        Field(key: "sources") { (section, text) throws(ValueProblem) in
            section.limits.sourcesMax = try SettingValue.number(text, in: 1...65_536)
        },
        Field(key: "sessions") { (section, text) throws(ValueProblem) in
            section.limits.subscribersMax = try SettingValue.number(text, in: 1...200_000)
        },
        Field(key: "connections") { (section, text) throws(ValueProblem) in
            section.limits.connectionsMax = try SettingValue.number(text, in: 1...200_000)
        },
        Field(key: "joins-per-second-per-address") { (section, text) throws(ValueProblem) in
            section.limits.joinsPerSecondPerAddress = try SettingValue.number(text, in: 1...100_000)
        },
        Field(key: "joins-burst-per-address") { (section, text) throws(ValueProblem) in
            section.limits.joinsBurstPerAddress = try SettingValue.number(text, in: 1...1_000_000)
        },
        Field(key: "events-per-second-per-address") { (section, text) throws(ValueProblem) in
            section.limits.eventsPerSecondPerAddress = try SettingValue.number(text, in: 1...100_000)
        },
        Field(key: "events-burst-per-address") { (section, text) throws(ValueProblem) in
            section.limits.eventsBurstPerAddress = try SettingValue.number(text, in: 1...1_000_000)
        },
        Field(key: "run-time-paths") { (section, text) throws(ValueProblem) in
            section.limits.runTimePathsMax = try SettingValue.number(text, in: 0...65_536)
        },
        Field(key: "relay-hops") { (section, text) throws(ValueProblem) in
            section.limits.relayHopsMax = try SettingValue.number(text, in: 1...255)
        },
        Field(key: "redirect-hops") { (section, text) throws(ValueProblem) in
            section.limits.redirectHopsMax = try SettingValue.number(text, in: 0...255)
        },
        Field(key: "packet-log-bytes") { (section, text) throws(ValueProblem) in
            section.limits.packetLogBytesMax = try SettingValue.bytes(text)
        },
        Field(key: "window") { (section, text) throws(ValueProblem) in
            section.limits.windowMilliseconds = try SettingValue.milliseconds(text, max: 60_000)
        },
        Field(key: "bit-rate") { (section, text) throws(ValueProblem) in section.limits.bitRateDefault = try SettingValue.bitRate(text) },
        Field(key: "write-stall") { (section, text) throws(ValueProblem) in
            section.limits.writeStallNanoseconds = UInt64(try SettingValue.milliseconds(text, max: 600_000)) * 1_000_000
        },
        Field(key: "stored-files") { (section, text) throws(ValueProblem) in
            section.limits.storedFiles = try SettingValue.number(text, in: 1...65_536)
        },
        Field(key: "stored-blocks") { (section, text) throws(ValueProblem) in
            section.limits.storedBlocks = try SettingValue.number(text, in: 2...4_096)
        },
        Field(key: "stored-block-bytes") { (section, text) throws(ValueProblem) in
            let bytes = try SettingValue.bytes(text)
            guard (4_096...Limits.storedBlockBytesMax).contains(bytes) else {
                throw ValueProblem("`\(text)` is not from 4KiB to \(Limits.storedBlockBytesMax >> 10)KiB")
            }
            section.limits.storedBlockBytes = bytes
        },
        Field(key: "stored-stall") { (section, text) throws(ValueProblem) in
            section.limits.storedStallNanoseconds = UInt64(try SettingValue.milliseconds(text, max: 86_400_000)) * 1_000_000
        },
        Field(key: "stored-wait") { (section, text) throws(ValueProblem) in
            let milliseconds = try SettingValue.milliseconds(text, max: 86_400_000)
            guard milliseconds > 0 else { throw ValueProblem("`\(text)`: disks need some time; write 1s or more") }
            section.limits.storedWaitNanoseconds = UInt64(milliseconds) * 1_000_000
        },
    ]

    /// The sections by name; `paths` is one of another kind.
    static let sections: [(name: String, fields: [Field<Configuration>])] = [
        ("engine", engineFields), ("limits", limitFields), ("access", accessFields), ("register", registerFields),
        ("forward-proxy", forwardProxyFields),
    ]
}

extension PathSettings {
    /// The keys of one path.
    static let fields: [Field<PathSettings>] =
        [
            Field(
                key: "source",
                set: { (path, text) throws(ValueProblem) in
                    if let expression = path.expression?.expression {
                        path.source = try Source(text, for: expression)
                    } else {
                        path.source = try Source(text, takesCustom: true)
                    }
                }, isSecret: true),
            Field(key: "redirect") { (path, text) throws(ValueProblem) in path.source = try path.redirection(text) },
            Field(key: "parameters") { (path, text) throws(ValueProblem) in
                path.parameters = try SettingValue.word(text, of: ParameterPassing.self)
            },
            Field(key: "dial") { (path, text) throws(ValueProblem) in path.dial = try SettingValue.word(text, of: Dial.self) },
            Field(key: "fec") { (path, text) throws(ValueProblem) in path.fec = try FECParameters(setting: text) },
            Field(key: "broadcast") { (path, text) throws(ValueProblem) in path.isBroadcast = try SettingValue.flag(text) },
            Field(key: "serve") { (path, text) throws(ValueProblem) in path.serving = try SettingValue.word(text, of: Serving.self) },
            Field(key: "linger") { (path, text) throws(ValueProblem) in path.lingerMilliseconds = try SettingValue.milliseconds(text) },
            Field(key: "source-wait") { (path, text) throws(ValueProblem) in
                path.sourceWaitMilliseconds = try SettingValue.milliseconds(text, max: 60_000)
            },
            Field(
                key: "transform",
                set: { (_, _) throws(ValueProblem) in throw ValueProblem("only the configuration file names programs") },
                isReadApart: true),
            Field(key: "publisher-wait") { (path, text) throws(ValueProblem) in
                path.publisherWaitMilliseconds = try SettingValue.milliseconds(text)
            },
            Field(key: "transport") { (path, text) throws(ValueProblem) in path.transport = try SettingValue.word(text, of: Transport.self)
            },
            Field(
                key: "tracks",
                set: { (path, text) throws(ValueProblem) in
                    do throws(TrackSelection.Trouble) { path.tracks = try TrackSelection(text) } catch {
                        throw ValueProblem(error.description)
                    }
                }, isList: true),
            Field(key: "udp-wait") { (path, text) throws(ValueProblem) in
                path.udpWaitMilliseconds = try SettingValue.milliseconds(text, max: 60_000)
            },
            Field(key: "rtcp-mux") { (path, text) throws(ValueProblem) in
                path.multiplexing = try SettingValue.word(text, of: Multiplexing.self)
            },
            Field(key: "silence") { (path, text) throws(ValueProblem) in
                path.silenceMilliseconds = max(try SettingValue.milliseconds(text, max: 600_000), 1_000)
            },
            Field(key: "track-silence") { (path, text) throws(ValueProblem) in
                path.trackSilenceMilliseconds = text == "off" ? nil : max(try SettingValue.milliseconds(text, max: 600_000), 1_000)
            },
            Field(key: "window") { (path, text) throws(ValueProblem) in
                path.windowMilliseconds = try SettingValue.milliseconds(text, max: 60_000)
            },
            Field(key: "bit-rate") { (path, text) throws(ValueProblem) in path.bitRate = try SettingValue.bitRate(text) },
        ] + redundancyFields + readerFields + packetFields + slateFields + registerFields + expressionFields + distributionFields
        + multicastFields + playlistFields + accessFields + cacheFields + remoteEventFields
}

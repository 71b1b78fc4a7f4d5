import ArgumentParser
import ControlPlane

/// How the readers of a path are treated; the same for demo and relay, and the same keys as under a path in a file.
struct ReaderArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "How large frames are spread over time: off, adaptive, or the bits per second that one reader gets at most, such as 20M; "
                + "default adaptive.", valueName: "how"))
    var pacing: String?

    @Option(help: ArgumentHelp("Whether readers begin at the last key frame: on or off; default on.", valueName: "on|off"))
    var joinBurst: String?

    @Option(help: ArgumentHelp("No key frame older than this is gone back to; default 10s.", valueName: "duration"))
    var joinBurstTime: String?

    @Option(help: ArgumentHelp("No more than this is sent over again to one reader; default 32MiB.", valueName: "size"))
    var joinBurstBytes: String?

    @Option(help: ArgumentHelp("How many times faster than real time the past is sent; default 4.", valueName: "factor"))
    var joinBurstSpeed: String?

    @Option(
        help: ArgumentHelp(
            "What becomes of a reader that is too far behind: skip-to-keyframe, drop-oldest or disconnect; default skip-to-keyframe.",
            valueName: "policy"))
    var overload: String?

    @Option(help: ArgumentHelp("With --overload disconnect: how long a reader may be too far behind; default 5s.", valueName: "duration"))
    var disconnectAfter: String?

    @Option(help: ArgumentHelp("How far behind is too far; default 0, as far as the window reaches.", valueName: "duration"))
    var lagTime: String?

    @Option(help: ArgumentHelp("The same in bytes of the stream.", valueName: "size"))
    var lagBytes: String?

    /// Sets what was given.
    func apply(to path: inout PathSettings) throws {
        try set(&path, "--pacing", "pacing", pacing)
        try set(&path, "--join-burst", "join-burst", joinBurst)
        try set(&path, "--join-burst-time", "join-burst-time", joinBurstTime)
        try set(&path, "--join-burst-bytes", "join-burst-bytes", joinBurstBytes)
        try set(&path, "--join-burst-speed", "join-burst-speed", joinBurstSpeed)
        try set(&path, "--overload", "overload", overload)
        try set(&path, "--disconnect-after", "disconnect-after", disconnectAfter)
        try set(&path, "--lag-time", "lag-time", lagTime)
        try set(&path, "--lag-bytes", "lag-bytes", lagBytes)
    }
}

/// Sets one option by the key that it has under a path in the configuration file; what is wrong with it is a fault of the command line.
func set(_ path: inout PathSettings, _ option: String, _ key: String, _ text: String?) throws {
    guard let text else { return }
    do { try path.set(option: option, key: key, to: text) } catch { throw ValidationError(error.description) }
}

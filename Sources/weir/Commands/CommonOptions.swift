import ArgumentParser
import ControlPlane

/// What demo, serve and relay have in common.
struct CommonOptions: ParsableArguments {
    @Option(
        parsing: .singleValue,
        help: ArgumentHelp(
            "Where to listen, for RTSP and HTTP alike; may be given several times; default [::]:8554, all addresses.",
            valueName: "host:port"))
    var listen: [String] = []

    @Option(help: ArgumentHelp("UDP ports for media, such as 30000-30999; default: from the kernel.", valueName: "a-b"))
    var mediaPorts: String?

    @Option(help: ArgumentHelp("What is logged: trace, debug, info, notice, warning, error or critical.", valueName: "level"))
    var logLevel: String?

    @Option(
        help: ArgumentHelp(
            "Where weir status and weir top find this relay: a UNIX socket for this user alone, or off; default "
                + "$XDG_RUNTIME_DIR/weir/PORT.sock, else /run/weir (root) or /tmp/weir-UID.", valueName: "path"))
    var control: String?

    @Flag(help: "Print one line of JSON a second on standard output; all else goes to standard error.")
    var json = false

    /// Sets what was given.
    func apply(to configuration: inout Configuration) throws {
        try set(&configuration, "--listen", "listen", listen.isEmpty ? nil : listen.joined(separator: ","))
        try set(&configuration, "--media-ports", "media-ports", mediaPorts)
        try set(&configuration, "--log-level", "log-level", logLevel)
    }
}

/// Sets one option by the key that it has in the configuration file; what is wrong with it is a fault of the command line.
func set(_ configuration: inout Configuration, _ option: String, _ key: String, _ text: String?) throws {
    guard let text else { return }
    do { try configuration.set(option: option, key: key, to: text) } catch { throw ValidationError(error.description) }
}

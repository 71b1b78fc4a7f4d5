import ArgumentParser
import ControlPlane
import FastPath
import WeirRelay
import Workbench

/// The value of a switch that is spelled out.
enum OnOff: String, ExpressibleByArgument, CaseIterable {
    case on, off
}

extension ReaderTransport: ExpressibleByArgument {}

extension LoadPositions: ExpressibleByArgument {}

/// Runs a part of a measuring command: options that cannot be are the command line's fault, what failed ends with status 1 and
/// its sentence on standard error.
func measuring<Result>(_ body: () throws -> Result) throws -> Result {
    do {
        return try body()
    } catch let error as WorkbenchError {
        if error.kind == .usage { throw ValidationError(error.description) }
        progress("weir: \(error.description)")
        throw ExitCode(1)
    }
}

extension EngineArguments {
    /// The engine that these options ask for, with nothing from a configuration file, and one worker unless more are asked for: what
    /// is measured is then the same on every machine.
    func engineOptions() throws -> EngineOptions {
        var configuration = Configuration()
        configuration.engine.workers = 1
        try apply(to: &configuration)
        return EngineOptions(configuration)
    }
}

/// How a measuring command shows what it measured.
struct ReportArguments: ParsableArguments {
    @Flag(help: "Print the result as one line of JSON.")
    var json = false

    /// Prints a result on standard output.
    func show(_ result: JSONValue) { print(json ? result.line : result.table) }
}

/// The frames that the engine's benches send, and for how long.
struct FrameArguments: ParsableArguments {
    @Option(help: "RTP packets of a frame.")
    var packetsPerFrame = 12

    @Option(help: "Bytes of an RTP packet, its header included.")
    var packetSize = 1_200

    @Option(help: "Seconds in all, half for the engine, half for its limit.")
    var duration = 10.0
}

/// Numbers after commas, `200,1000,4000`.
struct NumberList: ExpressibleByArgument {
    let numbers: [Int]
    var defaultValueDescription: String { numbers.map(String.init).joined(separator: ",") }

    init(_ numbers: [Int]) { self.numbers = numbers }

    init?(argument: String) {
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
        guard !parts.isEmpty, !parts.contains(nil) else { return nil }
        numbers = parts.compactMap(\.self)
    }
}

import ArgumentParser
import ControlPlane
import FastPath
import Workbench

/// The value of a switch that is spelled out.
enum OnOff: String, ExpressibleByArgument, CaseIterable {
    case on, off
}

extension ReaderTransport: ExpressibleByArgument {}

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
    /// The engine that these options ask for, with nothing from a configuration file.
    func engineOptions() throws -> EngineOptions {
        var configuration = Configuration()
        try apply(to: &configuration)
        return EngineOptions(configuration)
    }
}

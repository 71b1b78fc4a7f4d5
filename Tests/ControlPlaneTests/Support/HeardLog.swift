import Logging

/// Keeps log lines, as `level message key=value …`, for a test to read.
final class HeardLog: Sendable {
    private let heard = Locked<[String]>([])

    /// The lines so far of this level or a higher one.
    func lines(from level: Logger.Level = .warning) -> [String] {
        heard.withLockedValue { lines in lines.filter { line in Logger.Level.allCases.contains { $0 >= level && line.hasPrefix("\($0) ") } }
        }
    }

    /// A logger that writes here.
    func logger() -> Logger { Logger(label: "test") { [heard] _ in Handler(heard: heard) } }

    private struct Handler: LogHandler {
        let heard: Locked<[String]>
        var metadata: Logger.Metadata = [:]
        var logLevel = Logger.Level.trace

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let all = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
            let line = (["\(event.level) \(event.message)"] + all.map { "\($0.key)=\($0.value)" }).joined(separator: " ")
            heard.withLockedValue { $0.append(line) }
        }
    }
}

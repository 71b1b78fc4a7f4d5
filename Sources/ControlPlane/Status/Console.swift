import Glibc
import Logging
import Synchronization

/// What the program shows: a live line on a terminal, log lines on standard error, everything else where it was asked for. Keeps
/// the live line and the log from writing into each other.
package final class Console: Sendable {
    /// The process has one.
    package static let shared = Console()

    private let isLineShown = Mutex(false)
    private let showsLine = isatty(STDOUT_FILENO) == 1

    private init() {}

    /// Shows the live line in the place of the one before; nothing without a terminal.
    package func show(live line: String) {
        guard showsLine else { return }
        isLineShown.withLock { isShown in
            isShown = true
            Self.write("\r\(line)\u{1B}[K", to: STDOUT_FILENO)
        }
    }

    /// Leaves the live line as it stands; what follows begins a line of its own.
    package func endLine() {
        isLineShown.withLock { isShown in
            if isShown { Self.write("\n", to: STDOUT_FILENO) }
            isShown = false
        }
    }

    /// Writes lines to standard output.
    package func print(_ text: String) { write(text, to: STDOUT_FILENO) }

    /// Writes lines to standard error.
    package func printError(_ text: String) { write(text, to: STDERR_FILENO) }

    private func write(_ text: String, to descriptor: CInt) {
        isLineShown.withLock { isShown in
            if isShown { Self.write("\r\u{1B}[K", to: STDOUT_FILENO) }
            isShown = false
            Self.write(text + "\n", to: descriptor)
        }
    }

    /// A reader that went away is no reason to end: what cannot be written is dropped.
    private static func write(_ text: String, to descriptor: CInt) {
        let bytes = Array(text.utf8)
        var start = 0
        while start < bytes.count {
            let count = unsafe bytes[start...].withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            start += count
        }
    }
}

/// Log lines as people read them: `12:31:07 warning source trouble="…" path="cam"`.
package struct ConsoleLog: LogHandler {
    package var metadata: Logger.Metadata = [:]
    package var logLevel = Logger.Level.info

    /// A handler that writes to the console.
    package init() {}

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var now = time(nil)
        var parts = unsafe tm()
        unsafe localtime_r(&now, &parts)
        func two(_ number: CInt) -> String { number < 10 ? "0\(number)" : "\(number)" }
        var text = unsafe "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)) \(event.level) \(event.message)"
        let merged = metadata.merging(event.metadata ?? [:]) { $1 }
        for (key, value) in merged.sorted(by: { $0.key < $1.key }) { text += " \(key)=\(Self.quoted("\(value)"))" }
        Console.shared.printError(text)
    }

    /// Peers' words reach the log: what is not printable is not printed.
    private static func quoted(_ text: String) -> String {
        let safe = String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? "?" : $0 }))
        return safe.contains(" ") || safe.isEmpty ? "\"\(safe)\"" : safe
    }
}

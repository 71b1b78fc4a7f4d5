import CSinks
import Foundation
import Glibc

/// What a child process tells its parent, a line each.
enum LoadNews: Codable, Equatable {
    /// So many sessions play, so many are joining.
    case joining(playing: Int, pending: Int)
    /// All that would join has joined; so many play.
    case joined(Int)
    /// The end.
    case done(LoadTally)
    /// It could not be; why.
    case failed(String)
}

/// What a parent process tells its child, a line each.
enum LoadOrder: Codable {
    /// The first: what to do.
    case begin(LoadOptions, LoadPart)
    /// The second, when all children have joined: when to measure, on the monotonic clock.
    case window(start: UInt64, end: UInt64)
}

/// The parent as a child process sees it.
final class LoadLeader {
    let input: Int32
    private let output: Int32
    private var lines = LineBuffer()
    /// When to measure, once the parent has said.
    private(set) var window: LoadWindow?

    /// Its two pipes. The caller's to close.
    init(input: Int32, output: Int32) {
        self.input = input
        self.output = output
    }

    /// Waits for the first order.
    func begin() throws -> (LoadOptions, LoadPart) {
        while true {
            if let line = lines.next() {
                guard case .begin(let options, let part) = try JSONDecoder().decode(LoadOrder.self, from: line) else {
                    throw WorkbenchError("the leading process sent something else than options")
                }
                return (options, part)
            }
            try read()
        }
    }

    /// Reads what the parent said; its end is ours.
    func listen() throws {
        try read()
        while let line = lines.next() {
            if case .window(let start, let end) = try JSONDecoder().decode(LoadOrder.self, from: line) {
                window = LoadWindow(start: start, end: end)
            }
        }
    }

    private func read() throws {
        guard try lines.read(input) > 0 else { throw WorkbenchError("the leading process has ended") }
    }

    /// Tells the parent; when it has ended, that shows in reading.
    func tell(_ news: LoadNews) {
        guard var line = try? JSONEncoder().encode(news) else { return }
        line.append(10)
        writeAll(line, to: output)
    }
}

/// Lines out of a pipe.
struct LineBuffer {
    private var bytes = Data()

    /// Reads once, 0 at the end. A pipe that would block counts as one byte read.
    mutating func read(_ descriptor: Int32) throws(WorkbenchError) -> Int {
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        let count = unsafe Glibc.read(descriptor, &chunk, chunk.count)
        if count < 0, errno == EINTR || errno == EAGAIN { return 1 }
        guard count >= 0 else { throw WorkbenchError("cannot read a pipe: \(errorText(errno))") }
        bytes += chunk[..<count]
        return count
    }

    /// The oldest whole line without its end; nil when there is none.
    mutating func next() -> Data? {
        guard let end = bytes.firstIndex(of: 10) else { return nil }
        let line = Data(bytes[..<end])
        bytes = Data(bytes[bytes.index(after: end)...])
        return line
    }
}

/// Writes all of it, waiting where the pipe is full; false when nobody reads it any more.
@discardableResult
func writeAll(_ data: Data, to descriptor: Int32) -> Bool {
    var rest = data[...]
    while !rest.isEmpty {
        let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { return false }
        rest = rest.dropFirst(count)
    }
    return true
}

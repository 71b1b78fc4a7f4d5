import CSinks
import Foundation
import Glibc

/// A load run in several processes, since each ends at its descriptors: children carry the sessions, the parent shares them
/// out, says when to measure, meters the server and makes one report of what all of them saw.
enum LoadFleet {
    /// Runs the whole. `start` makes child number n.
    static func run(_ options: LoadOptions, start: (Int) throws -> LoadChild) throws -> LoadReport {
        // A child that is gone shows in reading.
        signal(SIGPIPE, SIG_IGN)
        var children: [LoadChild] = []
        // Whatever happens none is left behind: a child ends when its orders do.
        defer { for child in children { child.end() } }
        for index in 0..<options.processes {
            let child = try start(index)
            children.append(child)
            try child.order(.begin(options.part(index), LoadPart(index: index, count: options.processes)))
        }
        var lastWord = monotonicNanoseconds()
        while children.contains(where: { $0.joined == nil }) {
            try listen(to: children, nanoseconds: 250_000_000)
            guard monotonicNanoseconds() - lastWord > 2_000_000_000 else { continue }
            lastWord = monotonicNanoseconds()
            let playing = children.reduce(0) { $0 + ($1.joined ?? $1.playing) }
            progress("\(playing) of \(options.sessions) sessions play, \(children.reduce(0) { $0 + $1.pending }) are joining")
        }
        progress("\(children.reduce(0) { $0 + ($1.joined ?? 0) }) of \(options.sessions) sessions play in \(children.count) processes")
        var window = LoadWindow(after: options)
        if !children.contains(where: { $0.joined ?? 0 > 0 }) { window = LoadWindow(start: window.start, end: window.start) }
        for child in children { try child.order(.window(start: window.start, end: window.end)) }
        let server = try meter(options.serverProcess, within: window) { try listen(to: children, nanoseconds: $0) }
        while children.contains(where: { $0.tally == nil }) { try listen(to: children, nanoseconds: 250_000_000) }
        return LoadReport(options, children.compactMap(\.tally), server: server)
    }

    private static func listen(to children: [LoadChild], nanoseconds: UInt64) throws {
        try Interruption.check()
        let open = children.map { $0.tally == nil ? $0.output : -1 }
        var ready = [Bool](repeating: false, count: open.count)
        try kernel("cannot wait for the children", unsafe csinks_wait_readable(open, UInt32(open.count), &ready, nanoseconds))
        for (child, isReady) in zip(children, ready) where isReady { try child.listen() }
    }

    /// What the server used within the window.
    private static func meter(
        _ process: Int32?, within window: LoadWindow, _ waiting: (UInt64) throws -> Void
    ) throws -> ServerCost? {
        func wait(until moment: UInt64, _ each: () -> Void) throws {
            while true {
                let now = monotonicNanoseconds()
                guard now < moment else { return }
                try waiting(min(moment - now, 250_000_000))
                each()
            }
        }
        try wait(until: window.start) {}
        guard let process else { return nil }
        var meter = try ProcessMeter(process: process)
        try wait(until: window.end) { meter.poll() }
        meter.poll()
        return ServerCost(nanoseconds: meter.cpuNanoseconds, residentMiB: meter.residentMiB)
    }
}

/// A child process of a load run, as its parent sees it.
final class LoadChild {
    /// What makes this program a child instead of what it was started as.
    static let arguments = ["weir", "load", "--child", "-"]

    /// Where its news come.
    let output: Int32
    private let input: Int32
    private let process: Int32?
    private let number: Int
    private var lines = LineBuffer()
    private var hasEnded = false
    /// What it said last.
    private(set) var playing = 0
    /// See ``playing``.
    private(set) var pending = 0
    /// How many play, once it has joined all that it could.
    private(set) var joined: Int?
    /// Its result.
    private(set) var tally: LoadTally?

    /// Starts this program again with other arguments.
    convenience init(arguments: [String], _ number: Int) throws(WorkbenchError) {
        var list = unsafe arguments.map { unsafe strdup($0) } + [nil]
        defer { for index in unsafe list.indices { unsafe free(list[index]) } }
        var input: Int32 = -1
        var output: Int32 = -1
        let process = try kernel("cannot start another process", unsafe csinks_spawn_self(&list, &input, &output))
        self.init(number: number, process: process, input: input, output: output)
    }

    /// A child that is there already: where its orders go and its news come from, closed with this.
    init(number: Int, process: Int32?, input: Int32, output: Int32) {
        self.number = number
        self.process = process
        self.input = input
        self.output = output
    }

    /// Tells it something.
    func order(_ order: LoadOrder) throws {
        var line = try JSONEncoder().encode(order)
        line.append(10)
        // One that does not take it has ended, and its last words say why.
        if !writeAll(line, to: input) { try listen() }
    }

    /// Reads what it said; throws when it failed or is gone.
    func listen() throws {
        let count = try lines.read(output)
        while let line = lines.next() {
            switch try JSONDecoder().decode(LoadNews.self, from: line) {
            case .joining(let playing, let pending): (self.playing, self.pending) = (playing, pending)
            case .joined(let playing): (joined, pending) = (playing, 0)
            case .done(let tally): self.tally = tally
            case .failed(let text): throw WorkbenchError("process \(number + 1): \(text)")
            }
        }
        guard count > 0 || tally != nil else { throw WorkbenchError("process \(number + 1) \(howItEnded())") }
    }

    /// Has it end, which it does when it gets no more orders, and waits for that.
    func end() {
        guard !hasEnded else { return }
        hasEnded = true
        close(input)
        close(output)
        if let process { _ = csinks_wait(process) }
    }

    private func howItEnded() -> String {
        guard let process, !hasEnded else { return "ended without a result" }
        hasEnded = true
        close(input)
        close(output)
        let status = csinks_wait(process)
        return status > 128 ? "was ended by signal \(status - 128)" : "ended with status \(status) and without a result"
    }
}

extension LoadClient {
    /// The other side: this process is a child, and its standard input and output are its parent's.
    package static func runAsChild(input: Int32 = 0, output: Int32 = 1) {
        let leader = LoadLeader(input: input, output: output)
        Interruption.watch()
        do {
            let (options, part) = try leader.begin()
            leader.tell(.done(try driver(options, part: part, leader: leader).measure()))
        } catch {
            leader.tell(.failed("\(error)"))
        }
    }
}

import PlaneLink
import Synchronization

@testable import ControlPlane

/// An engine that does nothing but remember its commands and let go of what it is told to.
final class RecordingEngine: EngineControl {
    private struct State {
        var commands: [Command] = []
        var reports: [Report] = []
        var refuses = false
    }

    private let state = Mutex(State())
    let reportDescriptor: Int32 = -1
    let counters = EngineCounters()
    let limits: Limits
    let workerCount: Int
    let backend = BackendChoice(name: "test", reason: "a test")

    init(limits: Limits = Limits(), workers: Int = 1) {
        self.limits = limits
        workerCount = workers
    }

    deinit { counters.free() }

    /// When set, the command queue is full.
    var refuses: Bool {
        get { state.withLock { $0.refuses } }
        set { state.withLock { $0.refuses = newValue } }
    }

    /// The names of the commands so far, oldest first.
    var names: [String] { state.withLock { $0.commands.map { String("\($0)".prefix { $0 != "(" }) } } }

    /// The commands so far.
    var commands: [Command] { state.withLock { $0.commands } }

    /// Forgets the commands so far.
    func forget() { state.withLock { $0.commands = [] } }

    /// Something to report.
    func report(_ report: Report) { state.withLock { $0.reports.append(report) } }

    func submit(_ command: Command) -> Bool {
        state.withLock { state in
            guard !state.refuses else { return false }
            state.commands.append(command)
            switch command {
            case .removeSource(let handle): state.reports.append(.sourceRemoved(handle))
            case .removeStream(let handle): state.reports.append(.streamRemoved(handle))
            case .removeSubscriber(let handle): state.reports.append(.subscriberRemoved(handle))
            case .feed(_, let buffer), .send(_, let buffer), .setPreface(_, _, let buffer), .sendBefore(_, let buffer, _),
                .sendLast(_, let buffer, _):
                state.reports.append(.bufferReturned(buffer))
            case .addInterleavedSource(_, _, _, _, let prefix): state.reports.append(.bufferReturned(prefix))
            case .removeDatagramEgress(let number): state.reports.append(.egressRemoved(number))
            case .shutdown: state.reports.append(.stopped(leaks: 0))
            default: break
            }
            return true
        }
    }

    func wake() {}

    func takeReport() -> Report? { state.withLock { $0.reports.isEmpty ? nil : $0.reports.removeFirst() } }
}

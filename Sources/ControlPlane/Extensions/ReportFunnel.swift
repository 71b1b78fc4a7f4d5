import Dispatch
import Synchronization

/// Brings reports from the event loop to a ``RelayReports``, which may be slow.
final class ReportFunnel: Sendable {
    /// What may wait; beyond it reports are left out.
    static let queueMax = 4_096

    enum Item: Sendable {
        case source(SourceReport)
        case reader(ReaderReport)
        case relay(RelayReport)
    }

    private struct State {
        var items: [Item] = []
        var isRunning = false
        var dropped: UInt64 = 0
    }

    let observer: any RelayReports
    private let queue = DispatchQueue(label: "weir-reports")
    private let state = Mutex(State())

    /// To this observer.
    init(_ observer: any RelayReports) { self.observer = observer }

    /// Reports that were left out.
    var dropped: UInt64 { state.withLock { $0.dropped } }

    /// Tells it, some time later.
    func put(_ item: Item) {
        let begins = state.withLock { state in
            guard state.items.count < Self.queueMax else {
                state.dropped += 1
                return false
            }
            state.items.append(item)
            defer { state.isRunning = true }
            return !state.isRunning
        }
        if begins { queue.async { self.run() } }
    }

    private func run() {
        while true {
            let items = state.withLock { state in
                state.isRunning = !state.items.isEmpty
                defer { state.items = [] }
                return state.items
            }
            guard !items.isEmpty else { return }
            for item in items {
                switch item {
                case .source(let report): observer.sourceReported(report)
                case .reader(let report): observer.readerReported(report)
                case .relay(let report): observer.relayReported(report)
                }
            }
        }
    }
}

/// Where reports on the source of a path go.
struct ReportScope: Sendable {
    let path: String
    let funnel: ReportFunnel

    /// The name to be called by; nil: there is none, or none that can be sent.
    var canonicalName: String? {
        funnel.observer.canonicalName(path: path).flatMap { name in
            (1...255).contains(name.utf8.count) && name.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F } ? name : nil
        }
    }
}

extension RelayExtensions {
    /// For a path; nil: nobody wants to hear of it.
    func scope(path: String) -> ReportScope? { funnel.map { ReportScope(path: path, funnel: $0) } }

    /// Whether its readers are told of the end.
    func saysGoodbye(path: String) -> Bool { funnel?.observer.saysGoodbye(path: path) ?? true }
}

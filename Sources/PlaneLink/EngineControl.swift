/// The engine as the control plane sees it. `FastPath.Engine` is one; tests use their own.
///
/// `submit` and `takeReport` belong to one thread, the control plane's.
public protocol EngineControl: AnyObject, Sendable {
    /// Queues a command; false when the queue is full, and then nothing happened.
    func submit(_ command: Command) -> Bool
    /// Wakes the engine to look at what was submitted. Cheap when it is awake; call once after a batch.
    func wake()
    /// The oldest report, or nil.
    func takeReport() -> Report?
    /// A descriptor that becomes readable (8 bytes, as an eventfd) when reports wait. Owned by the engine.
    var reportDescriptor: Int32 { get }
    /// The engine's counters.
    var counters: EngineCounters { get }
    /// The capacities that the engine was made with.
    var limits: Limits { get }
    /// Whether it sends packets from files (``Command/addStoredStream(_:_:_:)``).
    var sendsFiles: Bool { get }
    /// How many workers carry media; streams and readers are spread over them.
    var workerCount: Int { get }
    /// Which backend carries the media, and why it was chosen.
    var backend: BackendChoice { get }
}

extension EngineControl {
    /// Not unless it says so.
    public var sendsFiles: Bool { false }
}

/// Which backend carries the media, and why.
public struct BackendChoice: Sendable, Equatable {
    /// `io_uring`, `epoll`, `plain` or a test's name.
    public let name: String
    /// One sentence for the log and every status.
    public let reason: String

    /// Whether sources' sockets should hand over trains (UDP_GRO): datagrams of equal size, joined by the kernel.
    public let takesTrains: Bool

    /// A choice and its reason.
    public init(name: String, reason: String, takesTrains: Bool = true) {
        self.name = name
        self.reason = reason
        self.takesTrains = takesTrains
    }
}

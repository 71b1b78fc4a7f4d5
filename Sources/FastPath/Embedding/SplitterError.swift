/// Why a call of a ``Splitter`` was not carried out. Nothing has happened then: what was there before is as it was.
public enum SplitterError: Error, Sendable, CustomStringConvertible {
    /// What a handle names, or a limit counts.
    public enum Kind: String, Sendable, CaseIterable {
        case stream, source, reader, sender
    }

    /// No engine could be made; the reason and the remedy are in it.
    case engine(EngineError)
    /// An argument has a value that it cannot have; `allowed` says in words what it can.
    case argument(name: String, allowed: String)
    /// The handle names nothing (any more), or something that is being removed, or belongs to another splitter.
    case stale(Kind)
    /// So many of these exist already; `Limits` says how many there may be.
    case full(Kind, max: Int)
    /// The engine has more to do than it can note. Take the events that wait, and try again.
    case queueFull
    /// The memory for packets is given out: the sum, and what to change.
    case memory(PacketLogRefusal)
    /// The system refused something (an errno value).
    case system(what: String, errorNumber: Int32)
    /// ``Splitter/shutdown()`` was called.
    case stopped

    /// One sentence for whoever wrote or started the program.
    public var description: String {
        switch self {
        case .engine(let error): error.description
        case .argument(let name, let allowed): "`\(name)` cannot have this value; it must be \(allowed)"
        case .stale(let kind): "the handle names no \(kind.rawValue): it was removed, or belongs to another splitter"
        case .full(let kind, let max): "there are \(max) \(kind.rawValue)s, and the limits allow no more; remove one, or raise the limit"
        case .queueFull: "the engine's queue is full; take events with nextEvent(), and try again"
        case .memory(let refusal): refusal.description
        case .system(let what, let number): "\(what): \(errorText(number))"
        case .stopped: "the splitter was shut down"
        }
    }
}

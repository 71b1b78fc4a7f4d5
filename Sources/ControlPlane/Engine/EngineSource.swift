import Glibc
import PlaneLink

/// One source in the engine and what it holds until the engine is done with it.
///
/// `EnginePort` keeps it until then, so whoever made it may forget it after ``remove()``; nothing is heard of it any more.
final class EngineSource: SourceDelegate {
    private(set) var handle: SourceHandle?
    private let port: EnginePort
    private var release: (() -> Void)?
    var onActive: (() -> Void)?
    var onText: (([UInt8]) -> Void)?
    var onEnded: ((CInt) -> Void)?

    /// Adds a source with the command that `command` makes of its handle. `release` runs once, when the engine no longer uses what
    /// the command named, or at once if the engine does not take it.
    init(port: EnginePort, release: @escaping () -> Void, command: (SourceHandle) -> Command) throws(EnginePort.Refusal) {
        self.port = port
        self.release = release
        let handle: SourceHandle
        do { handle = try port.takeSourceHandle(delegate: self) } catch {
            release()
            throw error
        }
        guard port.submit(command(handle)) else {
            port.abandon(handle)
            release()
            throw .queueFull
        }
        self.handle = handle
    }

    /// Stops receiving; nothing is heard of this source afterwards.
    func remove() {
        onActive = nil
        onText = nil
        onEnded = nil
        guard let handle else { return }
        self.handle = nil
        port.submitAlways(.removeSource(handle))
    }

    func sourceActive() { onActive?() }

    func sourceText(_ bytes: [UInt8]) { onText?(bytes) }

    func sourceEnded(errorNumber: Int32) { onEnded?(errorNumber) }

    func sourceRemoved() {
        handle = nil
        release?()
        release = nil
    }
}

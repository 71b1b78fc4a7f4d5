import CFastPath
import FastPath

/// What an `fp_engine` pointer points to.
@safe final class EngineBox {
    let splitter: Splitter
    let lastError = TextBuffer(room: 512)
    var lastErrorNumber: Int32 = 0
    let backendName: TextBuffer
    let backendReason: TextBuffer
    /// What exists, and the program's pointer for it.
    private var users: [fp_id: UnsafeMutableRawPointer?] = unsafe [:]
    /// The text of the last event.
    private var eventText: UnsafeMutableRawBufferPointer?

    init(_ splitter: Splitter) {
        self.splitter = splitter
        backendName = TextBuffer(room: 32, splitter.backend.name)
        backendReason = TextBuffer(room: 512, splitter.backend.reason)
    }

    deinit { forgetText() }

    /// The engine of a pointer that is NULL or alive.
    static func of(_ engine: OpaquePointer?) -> EngineBox? {
        guard let engine = unsafe engine else { return nil }
        return unsafe Unmanaged<EngineBox>.fromOpaque(UnsafeRawPointer(engine)).takeUnretainedValue()
    }

    func fail(_ failure: Failure) -> Int32 {
        lastError.set(failure.detail)
        if failure.code == code(FP_ERROR_SYSTEM) { lastErrorNumber = failure.errorNumber }
        return failure.code
    }

    func counters(of stream: fp_stream) throws -> StreamStatistics {
        guard let counters = splitter.counters(of: try streamHandle(stream)) else { throw Failure(FP_ERROR_STALE, "the stream is gone") }
        return counters
    }

    // MARK: The program's pointers

    /// Notes that something exists.
    func began(_ id: fp_id) { unsafe users.updateValue(nil, forKey: id) }

    /// Forgets something, and returns the program's pointer for it.
    func ended(_ id: fp_id) -> UnsafeMutableRawPointer? { unsafe users.removeValue(forKey: id) ?? nil }

    func user(of id: fp_id) -> UnsafeMutableRawPointer? { unsafe users[id] ?? nil }

    func setUser(_ user: UnsafeMutableRawPointer?, of id: fp_id) throws(Failure) {
        guard unsafe users[id] != nil else { throw Failure(FP_ERROR_STALE, "id \(id) names nothing that exists") }
        unsafe users.updateValue(user, forKey: id)
    }

    // MARK: The text of an event

    /// Keeps a copy until the next event.
    func keepText(_ text: [UInt8]) -> UnsafePointer<UInt8>? {
        forgetText()
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(text.count, 1), alignment: 1)
        unsafe memory.copyBytes(from: text)
        unsafe eventText = memory
        return unsafe UnsafePointer(memory.baseAddress?.assumingMemoryBound(to: UInt8.self))
    }

    func forgetText() {
        unsafe eventText?.deallocate()
        unsafe eventText = nil
    }
}

/// Carries out a call and turns what it throws into a code and a text.
@unsafe func call(_ engine: OpaquePointer?, _ body: (EngineBox) throws -> Void) -> Int32 {
    guard let box = unsafe EngineBox.of(engine) else { return code(FP_ERROR_ARGUMENT) }
    do {
        try body(box)
        return code(FP_OK)
    } catch let failure as Failure {
        return box.fail(failure)
    } catch let error as SplitterError {
        return box.fail(Failure(error))
    } catch {
        return box.fail(Failure(FP_ERROR_STATE, "\(error)"))
    }
}

/// An output that must be there.
@unsafe func required<Value>(_ pointer: UnsafeMutablePointer<Value>?, _ name: String) throws(Failure) -> UnsafeMutablePointer<Value> {
    guard let pointer = unsafe pointer else { throw Failure(argument: "\(name) is NULL") }
    return unsafe pointer
}

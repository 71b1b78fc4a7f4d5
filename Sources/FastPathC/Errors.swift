// The functions are documented where they are declared, in fastpath.h; the compiler compares the two.
// swift-format-ignore-file: AllPublicDeclarationsHaveDocumentation

import CFastPath
import FastPath

/// Why a call failed, as C is told.
struct Failure: Error {
    let code: Int32
    let detail: String
    var errorNumber: Int32 = 0

    init(_ code: Int, _ detail: String, errorNumber: Int32 = 0) {
        self.code = Int32(truncatingIfNeeded: code)
        self.detail = detail
        self.errorNumber = errorNumber
    }

    init(argument detail: String) { self.init(FP_ERROR_ARGUMENT, detail) }
}

/// A constant of the header as functions return it.
func code(_ constant: Int) -> Int32 { Int32(truncatingIfNeeded: constant) }

/// A text that lives for ever, ended by a zero.
@unsafe func text(_ text: StaticString) -> UnsafePointer<CChar> {
    unsafe UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
}

@c @implementation public func fp_error_text(_ code: Int32) -> UnsafePointer<CChar>? {
    let sentence: StaticString =
        switch Int(code) {
        case FP_OK: "no error"
        case FP_ERROR_ARGUMENT: "an argument is NULL or out of range"
        case FP_ERROR_SIZE: "a structure's size is not one that this library knows"
        case FP_ERROR_STALE: "the id names nothing that exists"
        case FP_ERROR_LIMIT: "a limit of the engine is reached"
        case FP_ERROR_AGAIN: "the engine's queue is full: take events, then call again"
        case FP_ERROR_MEMORY: "the memory for streams does not allow it"
        case FP_ERROR_SYSTEM: "the system refused"
        case FP_ERROR_BACKEND: "the backend does not work here"
        case FP_ERROR_STATE: "not in this state"
        case FP_ERROR_STOPPED: "the engine was shut down"
        default: code > 0 ? "no error" : "an error code that this library does not know"
        }
    return unsafe text(sentence)
}

@c @implementation public func fp_last_error(_ engine: OpaquePointer?) -> UnsafePointer<CChar>? {
    guard let box = unsafe EngineBox.of(engine) else { return unsafe text("") }
    return unsafe box.lastError.pointer
}

@c @implementation public func fp_last_errno(_ engine: OpaquePointer?) -> Int32 {
    unsafe EngineBox.of(engine)?.lastErrorNumber ?? 0
}

@c @implementation public func fp_version() -> UInt32 { UInt32(FP_VERSION_MAJOR * 1_000_000 + FP_VERSION_MINOR * 1_000 + FP_VERSION_PATCH) }

@c @implementation public func fp_version_string() -> UnsafePointer<CChar>? { unsafe text("0.1.0") }

// The functions are documented where they are declared, in fastpath.h; the compiler compares the two.
// swift-format-ignore-file: AllPublicDeclarationsHaveDocumentation

import CFastPath
import FastPath

// An id is four bits of kind, 28 of slot, 32 of generation: never 0, and never one of another kind.

private enum Kind: UInt64 {
    case stream = 1
    case source, reader, sender
}

private func id(_ kind: Kind, _ index: UInt32, _ generation: UInt32) -> fp_id {
    kind.rawValue << 60 | UInt64(index & 0xFFF_FFFF) << 32 | UInt64(generation)
}

private func parts(_ id: fp_id, _ kind: Kind, _ name: String) throws(Failure) -> (index: UInt32, generation: UInt32) {
    guard id >> 60 == kind.rawValue else {
        throw Failure(FP_ERROR_STALE, id == 0 ? "0 is no \(name)'s id" : "the id names no \(name) but something else, or nothing")
    }
    return (UInt32(truncatingIfNeeded: id >> 32) & 0xFFF_FFFF, UInt32(truncatingIfNeeded: id))
}

func inC(_ handle: StreamHandle) -> fp_stream { id(.stream, handle.index, handle.generation) }
func inC(_ handle: SourceHandle) -> fp_source { id(.source, handle.index, handle.generation) }
func inC(_ handle: SubscriberHandle) -> fp_reader { id(.reader, handle.index, handle.generation) }
func inC(_ sender: SenderID) -> fp_sender { id(.sender, sender.index, sender.generation) }

func streamHandle(_ id: fp_stream) throws(Failure) -> StreamHandle {
    let (index, generation) = try parts(id, .stream, "stream")
    return StreamHandle(index: index, generation: generation)
}

func sourceHandle(_ id: fp_source) throws(Failure) -> SourceHandle {
    let (index, generation) = try parts(id, .source, "source")
    return SourceHandle(index: index, generation: generation)
}

func readerHandle(_ id: fp_reader) throws(Failure) -> SubscriberHandle {
    let (index, generation) = try parts(id, .reader, "reader")
    return SubscriberHandle(index: index, generation: generation)
}

func senderID(_ id: fp_sender) throws(Failure) -> SenderID {
    let (index, generation) = try parts(id, .sender, "sender")
    return SenderID(index: index, generation: generation)
}

@c @implementation public func fp_set_user(_ engine: OpaquePointer?, _ id: fp_id, _ user: UnsafeMutableRawPointer?) -> Int32 {
    unsafe call(engine) { box throws in try unsafe box.setUser(user, of: id) }
}

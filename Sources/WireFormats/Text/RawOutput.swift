extension [UInt8] {
    /// The bytes that `body` writes into a buffer of that capacity.
    init(capacity: Int, _ body: (inout OutputRawSpan) -> Void) {
        unsafe self.init(unsafeUninitializedCapacity: capacity) { buffer, count in
            // SAFETY: the span covers exactly the buffer that lives through this closure; UInt8 has no invalid bit patterns,
            // and `finalize` says how many bytes were initialised.
            let raw = UnsafeMutableRawBufferPointer(buffer)
            var span = unsafe OutputRawSpan(buffer: raw, initializedCount: 0)
            body(&span)
            count = unsafe span.finalize(for: raw)
        }
    }
}

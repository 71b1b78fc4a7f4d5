/// libFuzzer's entry for the parser that FuzzEntry.recording feeds; built and run by tools/fuzz.
@c(LLVMFuzzerTestOneInput)
public func fuzzerTestOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    // SAFETY: libFuzzer promises `count` readable bytes until we return; they are copied, so that an access outside is found.
    FuzzEntry.recording.run(unsafe Array(UnsafeBufferPointer(start: bytes, count: count)))
    return 0
}

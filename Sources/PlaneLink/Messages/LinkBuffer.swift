/// Bytes that one plane lends to the other. The side that made a buffer is the one that frees it, after the other reported
/// that it is done (``Report/bufferReturned(_:)``).
@safe public struct LinkBuffer: @unchecked Sendable, BitwiseCopyable {
    // Sendable because exactly one side uses the bytes at any time: the maker until it submits the command, the engine until
    // it reports the buffer back, the maker again afterwards.
    private let base: UnsafeMutableRawPointer
    /// How many bytes there are.
    public let count: Int

    /// Copies the bytes into memory of its own, at least one byte of it.
    public init(_ bytes: Span<UInt8>) {
        unsafe base = UnsafeMutableRawPointer.allocate(byteCount: max(bytes.count, 1), alignment: 16)
        count = bytes.count
        unsafe bytes.withUnsafeBytes { source in
            if let start = source.baseAddress { unsafe base.copyMemory(from: start, byteCount: source.count) }
        }
    }

    /// Copies the bytes into memory of its own.
    public init(_ bytes: [UInt8]) {
        self.init(bytes.span)
    }

    /// The bytes, for the side that holds the buffer just now.
    @unsafe public var bytes: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: base, count: count)
    }

    /// Tells buffers apart that are lent at the same time.
    public var identity: UInt { unsafe UInt(bitPattern: base) }

    /// Frees the memory. To be called once, by the side that made the buffer, when the other is done with it.
    public func free() {
        unsafe base.deallocate()
    }
}

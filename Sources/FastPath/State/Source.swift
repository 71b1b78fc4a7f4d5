import PlaneLink

/// One source as the worker keeps it.
@unsafe struct Source: BitwiseCopyable {
    enum Kind: UInt8, BitwiseCopyable { case free, datagrams, interleaved, fed, closing }

    var generation: UInt32
    var kind: Kind
    var isPending: Bool
    /// Interleaved: text was handed upward, or a frame waits for the answer.
    var isHeld: Bool
    var hasEnded: Bool
    var wasActive: Bool
    /// Fed: its packets fill gaps, and are used while the stream's own source is away.
    var isSlate: Bool
    /// Datagrams: how often the receive ended by itself since the last one came.
    var endings: UInt8
    var channel: UInt8
    /// Which of the stream's legs it is.
    var leg: UInt8
    var stream: UInt32
    var file: KernelFile
    var peer: HostAddress
    /// Any sender is welcome; the one that was latched is let go after a silence.
    var takesAnyPeer: Bool
    var heardAt: UInt64
    var port: UInt16
    var channels: ChannelMap
    /// Interleaved: `buffer[start..<end]` is what was received and not yet used.
    var buffer: UnsafeMutableRawPointer?
    var bufferStart: Int
    var bufferEnd: Int
}

import PlaneLink

/// A reply that waits for its place between two packets.
struct SendNode: BitwiseCopyable {
    var buffer: LinkBuffer
    /// Bytes of it that are gone.
    var sent: Int
    var next: UInt32
}

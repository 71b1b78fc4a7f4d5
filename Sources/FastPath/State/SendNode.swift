import PlaneLink

/// A reply that waits for its place between two packets; without bytes also of a UDP reader.
struct SendNode: BitwiseCopyable {
    var buffer: LinkBuffer
    /// Bytes of it that are gone.
    var sent: Int
    var next: UInt32
    /// The packet that it goes before, by the number that a verbatim stream gave it, where it has such a place.
    var before: UInt32
    var isPlaced: Bool
    /// The reader is sent no media behind it.
    var endsMedia: Bool
}

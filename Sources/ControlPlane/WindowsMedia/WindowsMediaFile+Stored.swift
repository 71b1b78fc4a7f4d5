/// Where packets lie on disk one behind the other, for who sends them from there.
struct StoredPlace: Sendable {
    /// A regular file, open as long as whoever gave this.
    let descriptor: CInt
    /// Packet `n` begins at this offset + n × the packets' size.
    let packetsOffset: UInt64
}

extension WindowsMediaFile {
    /// Where its packets lie; nil where they are not all in one file on this machine.
    var stored: StoredPlace? {
        guard isWhole, let descriptor = storage.descriptor else { return nil }
        return StoredPlace(descriptor: descriptor, packetsOffset: layout.offset(ofPacket: 0))
    }
}

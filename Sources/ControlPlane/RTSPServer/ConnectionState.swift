import Glibc

/// What the kernel knows of a TCP connection: how much it carried, how much waits in it, how far away its end is.
struct ConnectionState: Equatable {
    /// Bytes that were written into it since it was made, acknowledged or not.
    var bytesHanded: UInt64
    /// Bytes of them that the peer has not acknowledged.
    var bytesQueued: Int
    /// It takes no more just now.
    var isBlocked: Bool
    /// Its smoothed round trip.
    var roundTripMilliseconds: Double

    /// State by hand, for tests.
    init(bytesHanded: UInt64, bytesQueued: Int, isBlocked: Bool, roundTripMilliseconds: Double) {
        self.bytesHanded = bytesHanded
        self.bytesQueued = bytesQueued
        self.isBlocked = isBlocked
        self.roundTripMilliseconds = roundTripMilliseconds
    }

    // Of struct tcp_info in linux/tcp.h; the libc's own is older and shorter. The kernel only ever adds at its end.
    private static let roundTripOffset = 68
    private static let bytesAcknowledgedOffset = 120
    private static let size = 128

    /// Asks the kernel: three system calls. Nil for what is no TCP connection.
    init?(of descriptor: CInt) {
        var info = [UInt8](repeating: 0, count: Self.size)
        var length = socklen_t(Self.size)
        guard unsafe getsockopt(descriptor, CInt(IPPROTO_TCP), TCP_INFO, &info, &length) == 0, length >= Self.size else { return nil }
        let (microseconds, acknowledged) = unsafe info.withUnsafeBytes { bytes in
            unsafe (
                bytes.loadUnaligned(fromByteOffset: Self.roundTripOffset, as: UInt32.self),
                bytes.loadUnaligned(fromByteOffset: Self.bytesAcknowledgedOffset, as: UInt64.self)
            )
        }
        var queued: CInt = 0
        guard unsafe ioctl(descriptor, UInt(TIOCOUTQ), &queued) == 0 else { return nil }
        var poll = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        isBlocked = unsafe queued > 0 && Glibc.poll(&poll, 1, 0) == 0
        bytesQueued = max(Int(queued), 0)
        bytesHanded = acknowledged &+ UInt64(bytesQueued)
        roundTripMilliseconds = Double(microseconds) / 1_000
    }
}

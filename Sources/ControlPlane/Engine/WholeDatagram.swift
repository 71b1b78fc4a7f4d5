import Glibc

/// One datagram from a socket that may be set to cut what it sends into segments (UDP_SEGMENT): this one is not cut.
enum WholeDatagram {
    /// A control message as the kernel lays it out (cmsg(3)), with a value of 16 bits.
    private struct Control {
        /// Of the head and the value.
        var length = 18
        var level: CInt = 17  // SOL_UDP
        var type: CInt = 103  // UDP_SEGMENT
        var segmentBytes: UInt16 = 0
        var padding: (UInt16, UInt32) = (0, 0)
    }

    /// As `sendto`.
    @unsafe static func send(
        _ bytes: [UInt8], from descriptor: CInt, to address: UnsafePointer<sockaddr>, _ addressBytes: Int, flags: CInt
    ) -> Int {
        var control = Control()
        return unsafe bytes.withUnsafeBytes { bytes in
            unsafe withUnsafeMutableBytes(of: &control) { control in
                var vector = unsafe iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
                return unsafe withUnsafeMutablePointer(to: &vector) { vector in
                    var message = unsafe msghdr()
                    unsafe message.msg_name = UnsafeMutableRawPointer(mutating: address)
                    unsafe message.msg_namelen = socklen_t(addressBytes)
                    unsafe message.msg_iov = vector
                    unsafe message.msg_iovlen = 1
                    unsafe message.msg_control = control.baseAddress
                    unsafe message.msg_controllen = control.count
                    return unsafe sendmsg(descriptor, &message, flags)
                }
            }
        }
    }
}

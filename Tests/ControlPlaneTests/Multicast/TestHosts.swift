import Glibc

/// Addresses of this process alone: test runs beside one another must not hear each other's groups, nor take each other's ports.
enum TestHosts {
    private static let number = UInt32(bitPattern: getpid())
    private static let low = "\(number >> 8 & 0xFF).\(number & 0xFF)"
    private static let block = 16 + number >> 16 & 0x3F

    /// Two groups.
    static let group = "239.\(block).\(low)"
    static let otherGroup = "238.\(block).\(low)"
    /// An address of the loopback interface.
    static let loopback = "127.\(block).\(low)"
}

import CSinks
import Glibc
import PlaneLink

/// The text of an error number.
func errorText(_ number: Int32) -> String {
    guard let text = unsafe strerror(number) else { return "error \(number)" }
    return unsafe String(cString: text)
}

/// The result of a call of `CSinks`, or an error that says what was tried.
@discardableResult
func kernel<Number: SignedInteger>(_ what: @autoclosure () -> String, _ result: Number) throws(WorkbenchError) -> Number {
    guard result < 0 else { return result }
    throw WorkbenchError("\(what()): \(errorText(Int32(clamping: -result)))")
}

/// A descriptor that is closed with its owner.
struct Descriptor: ~Copyable {
    let number: Int32

    init(_ number: Int32) { self.number = number }

    deinit { close(number) }
}

/// Now on the monotonic clock.
func monotonicNanoseconds() -> UInt64 { csinks_monotonic_ns() }

/// An IPv4 or IPv6 address with a port.
package struct Endpoint: Sendable {
    var raw: csinks_address

    /// The first address of a host name or numeric address.
    package init(host: String, port: UInt16) throws(WorkbenchError) {
        raw = csinks_address()
        try kernel("cannot find the address of \(host)", unsafe csinks_address_resolve(host, port, &raw))
    }

    /// The address a socket is bound to.
    init(of descriptor: Int32) throws(WorkbenchError) {
        raw = csinks_address()
        try kernel("cannot tell a socket's address", unsafe csinks_address_of(descriptor, &raw))
    }

    /// Whether packets to it stay on this machine.
    package var isLoopback: Bool {
        var copy = raw
        return unsafe csinks_address_is_loopback(&copy)
    }

    /// The port.
    package var port: UInt16 {
        get {
            var copy = raw
            return unsafe csinks_address_port(&copy)
        }
        set { unsafe csinks_address_set_port(&raw, newValue) }
    }

    /// Whether it is an IPv4 address.
    var isIPv4: Bool { raw.length == 16 }  // sizeof(struct sockaddr_in)

    /// The host as the engine takes it.
    var host: HostAddress {
        let bytes = bytes
        func number(_ range: Range<Int>) -> UInt64 { bytes[range].reduce(0) { $0 << 8 | UInt64($1) } }
        // The address stands behind family and port, in IPv6 also behind the flow label; the interface of a link-local one follows
        // it, in the machine's byte order.
        if isIPv4 { return HostAddress(ipv4: UInt32(number(4..<8))) }
        guard bytes.count >= 28 else { return .any }
        let scope = bytes[24..<28].reversed().reduce(0 as UInt32) { $0 << 8 | UInt32($1) }
        return HostAddress(high: number(8..<16), low: number(16..<24), scope: scope)
    }

    /// The same host with another port.
    func withPort(_ port: UInt16) -> Endpoint {
        var copy = self
        copy.port = port
        return copy
    }

    /// The socket address as the kernel takes it.
    var bytes: [UInt8] {
        unsafe withUnsafeBytes(of: raw.bytes) { unsafe Array($0.prefix(Int(raw.length))) }
    }
}

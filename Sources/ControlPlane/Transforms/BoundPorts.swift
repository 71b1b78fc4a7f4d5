import Glibc

/// Tells whether some program listens at a UDP port of this machine, without disturbing it: the kernel's own list.
enum BoundPorts {
    /// Whether the port is bound, by IPv4 or IPv6; nil when the list cannot be read.
    static func isBound(_ port: UInt16) -> Bool? {
        var isKnown = false
        for name in ["/proc/self/net/udp", "/proc/self/net/udp6"] {
            guard let bytes = try? FileBytes.read(name, bytesMax: listBytesMax) else { continue }
            isKnown = true
            if contains(bytes, port: port) { return true }
        }
        return isKnown ? false : nil
    }

    /// Tens of thousands of sockets.
    private static let listBytesMax = 16 << 20

    /// Whether a list in the form of `/proc/net/udp` has a socket at the port: the second word of each line is `ADDRESS:PORT`, hexadecimal.
    static func contains(_ list: [UInt8], port: UInt16) -> Bool {
        let hexadecimal = Array("0123456789ABCDEF".utf8)
        let wanted = [12, 8, 4, 0].map { hexadecimal[Int(port >> UInt16($0)) & 0xF] }
        for line in list.split(separator: UInt8(ascii: "\n")).dropFirst() {
            let words = line.split(separator: UInt8(ascii: " "), maxSplits: 2)
            guard words.count > 1, let colon = words[1].lastIndex(of: UInt8(ascii: ":")) else { continue }
            if words[1][(colon + 1)...].elementsEqual(wanted) { return true }
        }
        return false
    }
}

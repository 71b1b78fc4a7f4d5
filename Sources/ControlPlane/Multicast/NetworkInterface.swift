import Glibc
import NIOCore
import PlaneLink

/// A network interface of this machine.
struct NetworkInterface: Equatable {
    let name: String
    /// The kernel's number of it, at least 1.
    let index: CInt

    /// The one of that name or with that address; throws ``MulticastTrouble`` with those there are.
    static func named(_ text: String) throws(MulticastTrouble) -> NetworkInterface {
        if let address = HostAddress(numeric: text) {
            guard let interface = holding(address) else {
                throw MulticastTrouble("no interface has the address \(text); there are \(listed)")
            }
            return interface
        }
        let index = unsafe if_nametoindex(text)
        guard index > 0 else { throw MulticastTrouble("there is no interface `\(text)`; there are \(listed)") }
        return NetworkInterface(name: text, index: CInt(bitPattern: index))
    }

    /// The one with that address; nil when there is none.
    static func holding(_ address: HostAddress) -> NetworkInterface? {
        let device = devices.first { HostAddress($0.address) == address }
        return device.map { NetworkInterface(name: $0.name, index: CInt(clamping: $0.interfaceIndex)) }
    }

    /// Whether a text can be the name of one (`dev_valid_name` of the kernel).
    static func isName(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count < 16 && text != "." && text != ".."
            && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "/") && $0 != UInt8(ascii: ":") }
    }

    private static var devices: [NIONetworkDevice] { (try? System.enumerateDevices()) ?? [] }

    /// `eth0 (192.168.1.10, fd00::2), lo (127.0.0.1)`.
    private static var listed: String {
        var names: [String] = []
        var addresses: [String: [String]] = [:]
        for device in devices {
            if !names.contains(device.name) { names.append(device.name) }
            if let host = HostAddress(device.address) { addresses[device.name, default: []].append(host.text) }
        }
        return names.map { name in addresses[name].map { "\(name) (\($0.joined(separator: ", ")))" } ?? name }.joined(separator: ", ")
    }
}

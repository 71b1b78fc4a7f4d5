import Glibc
import Logging

/// Asks the kernel for large socket buffers, and says once per start and direction when the system caps them.
final class SocketBuffers {
    private let logger: Logger?
    private let mayForce: Bool
    private let receiveBytesWanted: CInt
    private let sendBytesWanted: CInt
    private(set) var isReceiveCapped = false
    private(set) var isSendCapped = false

    /// What a receiving socket should hold: 80 ms of a 400 Mbit/s stream, and seconds of an ordinary one.
    static let receiveBytesWanted: CInt = 4 << 20
    /// What a sending socket should hold: a train of a key frame to thousands of readers passes through it at once.
    static let sendBytesWanted: CInt = 8 << 20

    /// Warnings go to `logger`. `mayForce` is for tests: without it privileges are not used.
    init(
        logger: Logger?, receiveBytesWanted: CInt = SocketBuffers.receiveBytesWanted, sendBytesWanted: CInt = SocketBuffers.sendBytesWanted,
        mayForce: Bool = true
    ) {
        self.logger = logger
        self.receiveBytesWanted = receiveBytesWanted
        self.sendBytesWanted = sendBytesWanted
        self.mayForce = mayForce
    }

    /// Makes a socket's receive buffer as large as wanted, or as allowed. Answers with the bytes granted, the kernel's own overhead not
    /// counted.
    @discardableResult
    func widenReceive(_ descriptor: CInt) -> Int {
        let granted = widen(descriptor, force: SO_RCVBUFFORCE, plain: SO_RCVBUF, wanted: receiveBytesWanted)
        if granted < receiveBytesWanted, !isReceiveCapped {
            isReceiveCapped = true
            warn("receive", granted: granted, wanted: receiveBytesWanted, setting: "rmem_max", price: "bursts of a source may be lost")
        }
        return Int(granted)
    }

    /// The same for the send buffer.
    @discardableResult
    func widenSend(_ descriptor: CInt) -> Int {
        let granted = widen(descriptor, force: SO_SNDBUFFORCE, plain: SO_SNDBUF, wanted: sendBytesWanted)
        if granted < sendBytesWanted, !isSendCapped {
            isSendCapped = true
            warn(
                "send", granted: granted, wanted: sendBytesWanted, setting: "wmem_max",
                price: "large frames to many UDP readers may be sent in several turns")
        }
        return Int(granted)
    }

    /// What helps against a receive buffer that overflows.
    var receiveRemedy: String {
        isReceiveCapped
            ? Self.remedy("rmem_max", receiveBytesWanted)
            : "the buffer has its full size: this machine is too busy for its sources and readers"
    }

    private func widen(_ descriptor: CInt, force: CInt, plain: CInt, wanted: CInt) -> CInt {
        // FORCE passes the system's limit and needs CAP_NET_ADMIN; without it the plain option is cut to that limit.
        if !mayForce || !BoundSocket.set(descriptor, SOL_SOCKET, force, wanted) {
            BoundSocket.set(descriptor, SOL_SOCKET, plain, wanted)
        }
        // The kernel doubles what it is asked for, for its own overhead.
        return (BoundSocket.get(descriptor, SOL_SOCKET, plain) ?? 0) / 2
    }

    private func warn(_ which: String, granted: CInt, wanted: CInt, setting: String, price: String) {
        logger?.warning(
            "the system caps the \(which) buffers of UDP sockets: \(price)",
            metadata: ["granted-bytes": "\(granted)", "wanted-bytes": "\(wanted)", "remedy": "\(Self.remedy(setting, wanted))"])
    }

    private static func remedy(_ setting: String, _ wanted: CInt) -> String {
        "sysctl -w net.core.\(setting)=\(wanted), or give Weir CAP_NET_ADMIN"
    }
}

/// The kernel's count of what it dropped at one receiving socket, since the buffer was full (`SO_MEMINFO`).
struct DropCounter {
    private let descriptor: CInt
    private var seen: UInt32

    private static let socketMemoryInfo: CInt = 55  // SO_MEMINFO
    private static let variables = 9  // SK_MEMINFO_VARS
    private static let dropsIndex = 8  // SK_MEMINFO_DROPS

    /// Counts from now on. The socket must stay open as long as the counter is read.
    init(_ descriptor: CInt) {
        self.descriptor = descriptor
        seen = Self.read(descriptor) ?? 0
    }

    /// How many datagrams were dropped since the last call.
    mutating func take() -> UInt64 {
        guard let now = Self.read(descriptor) else { return 0 }
        defer { seen = now }
        return UInt64(now &- seen)
    }

    private static func read(_ descriptor: CInt) -> UInt32? {
        var values = [UInt32](repeating: 0, count: variables)
        var size = socklen_t(variables * MemoryLayout<UInt32>.size)
        guard unsafe getsockopt(descriptor, SOL_SOCKET, socketMemoryInfo, &values, &size) == 0,
            Int(size) > dropsIndex * MemoryLayout<UInt32>.size
        else { return nil }
        return values[dropsIndex]
    }
}

import CSinks

/// An epoll set whose entries carry a number.
final class Poller {
    struct Ready {
        let key: UInt64
        let isReadable: Bool
        let isWritable: Bool
    }

    static let readable: UInt32 = 0x001
    static let writable: UInt32 = 0x004

    private let set: Descriptor
    private var ready: [csinks_ready]

    init() throws(WorkbenchError) {
        set = Descriptor(try kernel("cannot make an epoll set", csinks_poll_open()))
        ready = Array(repeating: csinks_ready(), count: 256)
    }

    func add(_ descriptor: Int32, events: UInt32, key: UInt64) throws(WorkbenchError) {
        try kernel("cannot wait for a socket", csinks_poll_add(set.number, descriptor, events, key))
    }

    func change(_ descriptor: Int32, events: UInt32, key: UInt64) throws(WorkbenchError) {
        try kernel("cannot wait for a socket", csinks_poll_change(set.number, descriptor, events, key))
    }

    func remove(_ descriptor: Int32) {
        csinks_poll_remove(set.number, descriptor)
    }

    /// Calls `body` for each that became ready within the time.
    func wait(nanoseconds: UInt64, _ body: (Ready) throws -> Void) throws {
        let count = unsafe csinks_poll_wait(set.number, &ready, UInt32(ready.count), nanoseconds)
        try kernel("cannot wait for sockets", count)
        for index in 0..<Int(count) {
            let one = ready[index]
            // Errors and hang-ups are seen by reading.
            let failed = one.events & 0x018 != 0
            try body(
                Ready(
                    key: one.key, isReadable: failed || one.events & Self.readable != 0, isWritable: one.events & Self.writable != 0))
        }
    }
}

import CSinks

/// Which way a sink counts, as reports name it.
package enum SinkKind: String, Sendable, Codable {
    /// An eBPF filter counts every packet in the kernel and discards it.
    case ebpf
    /// A classic filter discards; the socket's drop counter counts. No gaps, no trains.
    case cbpf
    /// TCP: bytes are thrown away unread (`MSG_TRUNC`); framing is followed on sampled sessions only.
    case trunc
    /// TCP: every interleaved frame of every session is looked at.
    case parse
}

/// UDP sockets on loopback, one per subscriber, that the kernel empties: nothing is queued, nobody wakes.
final class DatagramSinks {
    let kind: SinkKind
    let receiveGRO: Bool
    private let sockets: [DatagramSocket]
    private let filter: CountingFilter?
    /// Sampled sinks, whose packets a reader gets too.
    let sample: EvenSample
    private var settled = SinkCounts()

    /// `count` sockets with ports that lie close together; those of the sample deliver to a reader.
    init(count: Int, sample: EvenSample, receiveGRO: Bool) throws(WorkbenchError) {
        let counting = try? CountingFilter()
        if counting == nil, receiveGRO {
            progress("eBPF is not permitted here: trains are counted as one by the classic filter, arrivals are not checked")
        }
        let home = try Endpoint(host: "127.0.0.1", port: 0)
        var sockets: [DatagramSocket] = []
        sockets.reserveCapacity(count)
        for index in 0..<count {
            let isSampled = sample.contains(index)
            let socket = try DatagramSocket(
                at: home, receiveGRO: receiveGRO, timestamps: isSampled, receiveBytes: isSampled ? 8 << 20 : 0)
            if let counting {
                try counting.attach(to: socket.number, deliver: isSampled)
            } else if !isSampled {
                try socket.discardAll()
            }
            counting?.watch(port: socket.port, true)
            sockets.append(socket)
        }
        self.sockets = sockets
        self.sample = sample
        self.receiveGRO = receiveGRO
        filter = counting
        kind = counting == nil ? .cbpf : .ebpf
    }

    var count: Int { sockets.count }
    func port(_ index: Int) -> UInt16 { sockets[index].port }
    func descriptor(_ index: Int) -> Int32 { sockets[index].number }

    /// All addresses one after the other, as `sendmmsg` takes them, and the size of one.
    func addresses() throws(WorkbenchError) -> (bytes: [UInt8], each: Int) {
        var home = try Endpoint(host: "127.0.0.1", port: 0)
        var bytes: [UInt8] = []
        for socket in sockets {
            home.port = socket.port
            bytes += home.bytes
        }
        return (bytes, bytes.count / max(sockets.count, 1))
    }

    /// What all sinks counted; nil when they cannot count packets.
    var total: SinkCounts? {
        guard let filter else {
            guard !receiveGRO else { return nil }
            var counts = SinkCounts()
            for socket in sockets { counts.packets += socket.drops }
            return counts
        }
        return sockets.reduce(settled) { $0 + filter.counts(port: $1.port) }
    }

    /// Another sender comes: its sequence numbers are not the continuation of the last one's.
    func expectNewSequence() {
        guard let filter else { return }
        filter.forgetSpread()
        for socket in sockets {
            settled = settled + filter.counts(port: socket.port)
            filter.forget(port: socket.port)
        }
    }

    /// Packets that came to all sinks since the last call; none where the filter cannot count.
    func takeSpread() -> [PacketSpread] {
        guard let filter, sockets.count > 1 else { return [] }
        return filter.takeSpread(readers: sockets.count...sockets.count)
    }
}

import Glibc
import PlaneLink

@testable import FastPath

/// The other side of a worker's sockets: where its readers and sources are. Two stand behind it: loopback, and a script.
protocol ConformanceNetwork: AnyObject {
    /// A UDP socket that readers are sent from.
    func openEgress() -> Int32
    /// A UDP reader's port.
    func openReader() -> UInt16
    /// All datagrams that came to a reader so far.
    func datagrams(_ port: UInt16) -> [[UInt8]]
    /// The engine's end of a connection. With `isSmall` it has little room.
    func openConnection(isSmall: Bool) -> Int32
    /// All bytes that came over a connection so far.
    func received(_ connection: Int32) -> [UInt8]
    func write(_ bytes: [UInt8], over connection: Int32)
    /// The peer of a connection ends it.
    func finish(_ connection: Int32)
    /// A UDP socket that a source is received on.
    func openSource() -> Int32
    /// Sends a datagram to a source from one of several senders.
    func send(_ bytes: [UInt8], to source: Int32, from sender: Int)
    /// Sends packets of equal size, the last may be shorter, as one train where the network has such.
    func sendTrain(_ packets: [[UInt8]], to source: Int32)
}

/// Real sockets on 127.0.0.1.
final class LoopbackNetwork: ConformanceNetwork {
    private var sockets: [TestSocket] = []
    private var readers: [UInt16: (socket: TestSocket, got: [[UInt8]])] = [:]
    private var connections: [Int32: (peer: TestSocket, got: [UInt8])] = [:]
    private var sources: [Int32: UInt16] = [:]
    private var senders: [Int: TestSocket] = [:]

    func openEgress() -> Int32 {
        let socket = TestSocket(datagram: ())
        sockets.append(socket)
        return socket.descriptor
    }

    func openReader() -> UInt16 {
        let socket = TestSocket(datagram: ())
        readers[socket.port] = (socket, [])
        return socket.port
    }

    func datagrams(_ port: UInt16) -> [[UInt8]] {
        while let bytes = readers[port]?.socket.receive(milliseconds: 0) { readers[port]?.got.append(bytes) }
        return readers[port]?.got ?? []
    }

    func openConnection(isSmall: Bool) -> Int32 {
        let (peer, own) = TestSocket.connectedPair(sendBuffer: isSmall ? 8_192 : nil, receiveBuffer: isSmall ? 8_192 : nil)
        sockets.append(own)
        connections[own.descriptor] = (peer, [])
        return own.descriptor
    }

    func received(_ connection: Int32) -> [UInt8] {
        while let bytes = connections[connection]?.peer.receive(milliseconds: 0), !bytes.isEmpty { connections[connection]?.got += bytes }
        return connections[connection]?.got ?? []
    }

    func write(_ bytes: [UInt8], over connection: Int32) {
        guard let peer = connections[connection]?.peer else { return }
        unsafe _ = Glibc.send(peer.descriptor, bytes, bytes.count, 0)
    }

    func finish(_ connection: Int32) {
        if let peer = connections[connection]?.peer { _ = shutdown(peer.descriptor, Int32(SHUT_WR)) }
    }

    func openSource() -> Int32 {
        let socket = TestSocket(datagram: ())
        var on: Int32 = 1
        unsafe _ = setsockopt(socket.descriptor, 17, 104, &on, 4)  // UDP_GRO
        sockets.append(socket)
        sources[socket.descriptor] = socket.port
        return socket.descriptor
    }

    func send(_ bytes: [UInt8], to source: Int32, from sender: Int) {
        let socket = senders[sender] ?? TestSocket(datagram: ())
        senders[sender] = socket
        socket.send(bytes, to: sources[source] ?? 0)
    }

    func sendTrain(_ packets: [[UInt8]], to source: Int32) {
        let socket = senders[0] ?? TestSocket(datagram: ())
        senders[0] = socket
        var segment = Int32(packets.first?.count ?? 0)
        unsafe _ = setsockopt(socket.descriptor, 17, 103, &segment, 4)  // UDP_SEGMENT
        socket.send(packets.flatMap(\.self), to: sources[source] ?? 0)
        segment = 0
        unsafe _ = setsockopt(socket.descriptor, 17, 103, &segment, 4)
    }
}

/// A script's sockets: what was sent is looked up, what is to be received is laid ready.
final class ScriptedNetwork: ConformanceNetwork {
    private let script: Script
    private var nextDescriptor: Int32 = 100
    private var nextPort: UInt16 = 5_000
    private var sources = 0

    init(_ script: Script) { self.script = script }

    private func open() -> Int32 {
        nextDescriptor += 1
        return nextDescriptor
    }

    func openEgress() -> Int32 { open() }
    func openSource() -> Int32 { open() }
    func openConnection(isSmall: Bool) -> Int32 { open() }

    func openReader() -> UInt16 {
        nextPort += 1
        return nextPort
    }

    func datagrams(_ port: UInt16) -> [[UInt8]] {
        script.sent.filter { $0.port == port }.flatMap { sent in
            let segment = sent.segment > 0 ? sent.segment : max(sent.bytes.count, 1)
            return stride(from: 0, to: sent.bytes.count, by: segment).map { Array(sent.bytes[$0...].prefix(segment)) }
        }
    }

    func received(_ connection: Int32) -> [UInt8] {
        script.sent.filter { $0.port == 0 && script.descriptors[$0.slot] == connection }.flatMap(\.bytes)
    }

    func write(_ bytes: [UInt8], over connection: Int32) { script.inbox[connection, default: []].append(.init(bytes: bytes)) }
    func finish(_ connection: Int32) { script.inbox[connection, default: []].append(.init(bytes: [])) }
    func send(_ bytes: [UInt8], to source: Int32, from sender: Int) {
        script.inbox[source, default: []].append(.init(bytes: bytes, port: 7_000 + UInt16(sender)))
    }

    func sendTrain(_ packets: [[UInt8]], to source: Int32) {
        for packet in packets { send(packet, to: source, from: 0) }
    }
}

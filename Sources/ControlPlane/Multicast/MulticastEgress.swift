import Glibc
import NIOCore
import PlaneLink

/// The pair of sockets that one path's group is sent from. The engine writes to it; closed when the engine let go of it.
final class MulticastEgress {
    /// The engine's number of the pair.
    private(set) var number: UInt8 = 0
    /// Where the packets come from.
    let source: HostAddress
    private let pair: DatagramPair
    private let port: EnginePort
    /// Readers in the engine that are sent from here.
    private var users = 0
    private var isReleased = false

    private init(_ pair: DatagramPair, source: HostAddress, port: EnginePort) {
        self.pair = pair
        self.source = source
        self.port = port
    }

    /// Opens the pair with its options and names it to the engine; throws what the user should know.
    static func open(
        _ settings: MulticastSettings, to destination: MulticastSettings.Destination, port: EnginePort, mediaPorts: MediaPorts
    ) throws -> MulticastEgress {
        let group = destination.group
        let interface = try interface(settings)
        let source = try settings.source ?? GroupSocket.source(of: group, port: destination.port, interface: interface)
        let every = group.ipv4 == nil ? HostAddress.any : HostAddress(ipv4: 0)
        guard let local = (settings.source ?? every).socketAddress(port: 0) else {
            throw MulticastTrouble("\(source.text) is no address of a socket")
        }
        let egress = MulticastEgress(try mediaPorts.open(at: local, for: .group), source: source, port: port)
        do { try egress.prepare(settings, isIPv6: group.ipv4 == nil, interface, mediaPorts) } catch {
            egress.pair.close()
            throw error
        }
        return egress
    }

    private func prepare(_ settings: MulticastSettings, isIPv6: Bool, _ interface: NetworkInterface?, _ mediaPorts: MediaPorts) throws {
        mediaPorts.widenSend(pair)
        for descriptor in [pair.rtp, pair.rtcp] {
            try GroupSocket.prepareSending(descriptor, isIPv6: isIPv6, interface: interface, ttl: settings.ttl, loops: settings.loops)
            // Nobody reads here: what somebody sends all the same shall not fill memory.
            BoundSocket.set(descriptor, SOL_SOCKET, SO_RCVBUF, 1)
        }
        number = try port.addEgress(rtp: pair.rtp, rtcp: pair.rtcp) { [pair] in pair.close() }
    }

    /// The interface that the settings name, or that has their source address; nil when they name neither.
    static func interface(_ settings: MulticastSettings) throws(MulticastTrouble) -> NetworkInterface? {
        let ofSource: NetworkInterface? =
            if let source = settings.source { try NetworkInterface.named(source.text) } else { nil }
        return if let name = settings.interface { try NetworkInterface.named(name) } else { ofSource }
    }

    /// Adds a reader to the engine, as ``Subscription/datagram(port:stream:host:ports:sockets:)`` does.
    func subscribe(stream: StreamHandle, host: HostAddress, ports: PortMap) throws -> Subscription {
        let subscription = try Subscription.datagram(port: port, stream: stream, host: host, ports: ports, sockets: number)
        users += 1
        subscription.onGone = { [self] in
            users -= 1
            letGo()
        }
        return subscription
    }

    /// Sends a report to a port of the group, without waiting.
    func send(_ report: [UInt8], to group: HostAddress, port: UInt16) {
        guard !isReleased, let address = group.socketAddress(port: port) else { return }
        pair.send(report, from: pair.rtcp, to: address)
    }

    /// Closes the pair once the engine has no reader of it any more.
    func release() {
        guard !isReleased else { return }
        isReleased = true
        letGo()
    }

    private func letGo() {
        if isReleased, users == 0 { port.removeEgress(number) }
    }
}

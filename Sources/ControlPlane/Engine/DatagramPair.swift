import Glibc
import NIOCore

/// A pair of UDP sockets that media is received on: RTP on an even port, RTCP on the next (RFC 3550 section 11); or one socket for both
/// (RFC 5761).
///
/// Whoever holds it closes it, after the engine reported the sources on it removed.
final class DatagramPair {
    let rtp: CInt
    /// The same one where they share it.
    let rtcp: CInt
    let rtpPort: UInt16
    var rtcpPort: UInt16 { isMultiplexed ? rtpPort : rtpPort &+ 1 }
    var isMultiplexed: Bool { rtp == rtcp }
    /// What the kernel granted for the receive buffer, in bytes.
    let receiveBufferBytes: Int
    private var drops: [DropCounter]
    private var isOpen = true

    private static let udpLevel: CInt = 17  // SOL_UDP
    private static let receiveOffload: CInt = 104  // UDP_GRO

    /// Takes two bound sockets over and makes their receive buffers large. Trains are taken where the engine wants them.
    ///
    /// With `buffers` nil their receive buffers are left as they are.
    init(rtp: CInt, rtcp: CInt, rtpPort: UInt16, buffers: SocketBuffers?, takesTrains: Bool = true) {
        self.rtp = rtp
        self.rtcp = rtcp
        self.rtpPort = rtpPort
        // The kernel tells twice what was asked of it.
        receiveBufferBytes = buffers?.widenReceive(rtp) ?? Int((BoundSocket.get(rtp, SOL_SOCKET, SO_RCVBUF) ?? 0) / 2)
        if rtcp != rtp { buffers?.widenReceive(rtcp) }
        drops = rtcp == rtp ? [DropCounter(rtp)] : [DropCounter(rtp), DropCounter(rtcp)]
        if takesTrains { takeTrains(true) }
    }

    /// Whether datagrams of equal size may arrive as one train (generic receive offload) where the path knows how.
    func takeTrains(_ isWelcome: Bool) {
        for descriptor in [rtp, rtcp] { BoundSocket.set(descriptor, Self.udpLevel, Self.receiveOffload, isWelcome ? 1 : 0) }
    }

    /// How many datagrams the kernel dropped since the last call because a receive buffer was full.
    func takeDrops() -> UInt64 {
        guard isOpen else { return 0 }
        var sum: UInt64 = 0
        for index in drops.indices { sum &+= drops[index].take() }
        return sum
    }

    /// Sends one datagram without waiting. A refusal is of no consequence: RTCP is repeated, and a punch is a courtesy.
    func send(_ bytes: [UInt8], from descriptor: CInt, to address: SocketAddress) {
        guard isOpen else { return }
        let flags = CInt(MSG_DONTWAIT) | CInt(MSG_NOSIGNAL)
        unsafe address.withSockAddr { pointer, size in
            // The engine may send trains from this socket, and has the kernel cut what leaves there.
            let sent = unsafe WholeDatagram.send(bytes, from: descriptor, to: pointer, size, flags: flags)
            // A kernel that knows no trains does not know how to ask for none.
            if sent < 0, errno == EINVAL {
                _ = unsafe sendto(descriptor, bytes, bytes.count, flags, pointer, socklen_t(size))
            }
        }
    }

    /// What arrives is of no interest: the kernel drops nearly all of it, and the sender is not told that nobody listens.
    func discard() {
        for descriptor in [rtp, rtcp] { BoundSocket.set(descriptor, SOL_SOCKET, SO_RCVBUF, 1) }
    }

    /// Closes both sockets.
    func close() {
        guard isOpen else { return }
        isOpen = false
        Glibc.close(rtp)
        if rtcp != rtp { Glibc.close(rtcp) }
    }
}

/// Gives out pairs of ports, from the kernel or from a range.
final class MediaPorts {
    /// Sizes the sockets' buffers.
    let buffers: SocketBuffers
    private let range: ClosedRange<UInt16>?
    private let takesTrains: Bool
    private let opener: (any MediaSocketOpener)?
    private var next: UInt16

    /// How many pairs are tried when the kernel chooses.
    private static let attemptsMax = 64

    /// Pairs from `range`, or nil: from the kernel. Without `takesTrains` no receive offload is asked for. `opener` opens the sockets; nil:
    /// they are Weir's own.
    init(
        range: ClosedRange<UInt16>?, buffers: SocketBuffers = SocketBuffers(logger: nil), takesTrains: Bool = true,
        opener: (any MediaSocketOpener)? = nil
    ) {
        self.opener = opener
        self.takesTrains = takesTrains
        self.range = range
        self.buffers = buffers
        next = range?.lowerBound ?? 0
    }

    /// Makes the send buffers of a pair large, unless they were opened by somebody who chose them.
    func widenSend(_ pair: DatagramPair) {
        guard opener == nil else { return }
        for descriptor in [pair.rtp, pair.rtcp] { buffers.widenSend(descriptor) }
    }

    /// A socket for a purpose; nil: for what is within the relay.
    private func socket(_ purpose: MediaSocketRequest.Purpose?, at local: SocketAddress, isShared: Bool = false) throws -> CInt {
        guard let opener, let purpose else { return try BoundSocket.open(.datagram, at: local, isShared: isShared) }
        return try GivenSocket.open(opener, purpose, at: local, isShared: isShared)
    }

    private func pair(rtp: CInt, rtcp: CInt, port: UInt16, _ purpose: MediaSocketRequest.Purpose?) -> DatagramPair {
        let isGiven = opener != nil && purpose != nil
        return DatagramPair(rtp: rtp, rtcp: rtcp, rtpPort: port, buffers: isGiven ? nil : buffers, takesTrains: takesTrains)
    }

    /// Binds a pair at the address (its port does not matter), for a purpose, or nil: for what is within the relay; throws ``ListenError``.
    func open(at local: SocketAddress, for purpose: MediaSocketRequest.Purpose? = nil) throws -> DatagramPair {
        if let range { return try open(at: local, for: purpose, from: range) }
        var lastError: (any Error)?
        for _ in 0..<Self.attemptsMax {
            let first = try socket(purpose, at: local.withPort(0))
            let port = BoundSocket.port(of: first)
            // The kernel gave RTP an odd port: its even neighbour may be free as well.
            if let pair = pair(first, port, at: local, for: purpose, &lastError) { return pair }
        }
        throw lastError ?? ListenError(address: "\(local)", trouble: "no pair of ports is free")
    }

    /// Binds so many pairs at the same two ports; throws ``ListenError``. What arrives there is given to any one of them, as the kernel
    /// likes, so all must be read; sent from any of them, a packet looks the same. No other program can join, or use the ports.
    func open(at local: SocketAddress, sharedBy count: Int) throws -> [DatagramPair] {
        // The first is bound alone: where somebody else has the port this fails, though he would share it.
        let first = try open(at: local, for: .readers)
        var pairs = [first]
        do {
            Self.share(pairs, true)
            for _ in 1..<max(count, 1) {
                let rtp = try socket(.readers, at: local.withPort(first.rtpPort), isShared: true)
                do {
                    let rtcp = try socket(.readers, at: local.withPort(first.rtcpPort), isShared: true)
                    pairs.append(pair(rtp: rtp, rtcp: rtcp, port: first.rtpPort, .readers))
                } catch {
                    Glibc.close(rtp)
                    throw error
                }
            }
        } catch {
            for pair in pairs { pair.close() }
            throw error
        }
        Self.share(pairs, false)
        return pairs
    }

    private static func share(_ pairs: [DatagramPair], _ isShared: Bool) {
        for pair in pairs {
            for descriptor in [pair.rtp, pair.rtcp] { BoundSocket.set(descriptor, SOL_SOCKET, SO_REUSEPORT, isShared ? 1 : 0) }
        }
    }

    private func pair(
        _ first: CInt, _ port: UInt16, at local: SocketAddress, for purpose: MediaSocketRequest.Purpose?, _ lastError: inout (any Error)?
    ) -> DatagramPair? {
        let isEven = port % 2 == 0
        guard isEven || port > 1_024 else {
            Glibc.close(first)
            return nil
        }
        do {
            let other = try socket(purpose, at: local.withPort(isEven ? port &+ 1 : port &- 1))
            return isEven
                ? pair(rtp: first, rtcp: other, port: port, purpose) : pair(rtp: other, rtcp: first, port: port &- 1, purpose)
        } catch {
            Glibc.close(first)
            lastError = error
            return nil
        }
    }

    /// Goes round the range, so that a port that was just closed rests longest: late packets of a former source die out.
    private func open(
        at local: SocketAddress, for purpose: MediaSocketRequest.Purpose?, from range: ClosedRange<UInt16>
    ) throws -> DatagramPair {
        var lastError: (any Error)?
        let pairs = (Int(range.upperBound) - Int(range.lowerBound) + 1) / 2
        for _ in 0...pairs {
            var port = next
            if port % 2 == 1 { port &+= 1 }
            if port < range.lowerBound || port >= range.upperBound { port = range.lowerBound + range.lowerBound % 2 }
            next = port >= range.upperBound - 1 ? range.lowerBound : port + 2
            guard port < range.upperBound else { break }
            do {
                let first = try socket(purpose, at: local.withPort(port))
                if let pair = pair(first, port, at: local, for: purpose, &lastError) { return pair }
            } catch { lastError = error }
        }
        throw ListenError(
            address: "media ports \(range.lowerBound)-\(range.upperBound)",
            trouble:
                "no even port with a free odd neighbour is left (\(lastError.map { "\($0)" } ?? "the range holds none")); widen --media-ports"
        )
    }
}

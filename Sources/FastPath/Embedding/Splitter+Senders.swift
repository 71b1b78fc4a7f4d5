extension Splitter {
    /// Opens the sockets that UDP readers are sent from: a pair for each worker at the same two ports, RTP on an even one and RTCP on the
    /// next (see ``rtpPort(of:)``), with large send buffers. `rtpPort` 0: the kernel chooses. With `HostAddress.any` they reach
    /// IPv4 and IPv6 readers. The splitter closes them after ``SplitterEvent/senderRemoved(_:)``. What readers send there is not read.
    public func openDatagramSender(rtpPort: UInt16 = 0, host: HostAddress = .any) throws(SplitterError) -> SenderID {
        try checkRunning()
        guard rtpPort % 2 == 0 else { throw .argument(name: "rtpPort", allowed: "even (RTCP takes the next one), or 0") }
        guard senders.hasRoom else { throw .full(.sender, max: Limits.egressMax) }
        let (pairs, port) = try MediaSocket.openPairs(host: host, rtpPort: rtpPort, count: workerCount)
        for (rtp, rtcp) in pairs { MediaSocket.narrowReceive([rtp, rtcp]) }
        return try addSender(pairs, owned: pairs.flatMap { [$0.0, $0.1] }, port: port)
    }

    /// Sends readers from two UDP sockets of the caller's, which may be the same one twice. They stay the caller's, who may read from
    /// them, until ``SplitterEvent/senderRemoved(_:)``. All workers send from them; with several workers
    /// ``openDatagramSender(rtpPort:host:)`` is faster.
    public func addDatagramSender(rtp: Int32, rtcp: Int32) throws(SplitterError) -> SenderID {
        try checkRunning()
        guard MediaSocket.isDatagram(rtp) else { throw .argument(name: "rtp", allowed: "an open IPv4 or IPv6 UDP socket") }
        guard MediaSocket.isDatagram(rtcp) else { throw .argument(name: "rtcp", allowed: "an open IPv4 or IPv6 UDP socket") }
        return try addSender(Array(repeating: (rtp, rtcp), count: workerCount), owned: [], port: MediaSocket.port(of: rtp))
    }

    /// Opens a pair of sockets that groups are sent from; a reader whose host is the group then is the group. `interface` is the name of
    /// the one to leave by (nil: as the routes say), `timeToLive` how many routers may pass it on (the hop limit of IPv6), `loops`
    /// whether this machine hears it, too.
    public func addMulticastSender(
        isIPv6: Bool = false, interface: String? = nil, timeToLive: UInt8 = 16, loops: Bool = true
    ) throws(SplitterError) -> SenderID {
        try checkRunning()
        guard senders.hasRoom else { throw .full(.sender, max: Limits.egressMax) }
        let index = try MediaSocket.index(ofInterface: interface)
        let (pairs, port) = try MediaSocket.openPairs(host: isIPv6 ? .any : HostAddress(ipv4: 0), rtpPort: 0, count: 1)
        let (rtp, rtcp) = pairs[0]
        do {
            for descriptor in [rtp, rtcp] {
                try MediaSocket.prepareSending(descriptor, isIPv6: isIPv6, interface: index, timeToLive: timeToLive, loops: loops)
            }
        } catch {
            MediaSocket.close([rtp, rtcp])
            throw error
        }
        MediaSocket.narrowReceive([rtp, rtcp])
        return try addSender(Array(repeating: (rtp, rtcp), count: workerCount), owned: [rtp, rtcp], port: port)
    }

    /// Removes a sender once its last reader is gone; no reader can be added to it meanwhile. Ends with
    /// ``SplitterEvent/senderRemoved(_:)``.
    public func removeSender(_ sender: SenderID) throws(SplitterError) {
        let entry = try find(sender)
        senders[sender.index, sender.generation]?.isRemoving = true
        if entry.readers == 0 { submitAlways(.removeDatagramEgress(UInt8(truncatingIfNeeded: sender.index))) }
    }

    /// The port that a sender's RTP comes from; nil for a stale one.
    public func rtpPort(of sender: SenderID) -> UInt16? { senders[sender.index, sender.generation]?.port }

    // MARK: Helpers

    private func addSender(_ pairs: [(Int32, Int32)], owned: [Int32], port: UInt16) throws(SplitterError) -> SenderID {
        guard let slot = senders.insert(SenderEntry(owned: owned, port: port)) else {
            MediaSocket.close(owned)
            throw .full(.sender, max: Limits.egressMax)
        }
        let sender = SenderID(index: slot.index, generation: slot.generation)
        for (worker, pair) in pairs.enumerated() {
            let command = Command.addDatagramEgress(
                UInt8(truncatingIfNeeded: slot.index), worker: UInt8(truncatingIfNeeded: worker), rtp: pair.0, rtcp: pair.1)
            guard worker == 0 else {
                submitAlways(command)
                continue
            }
            do { try submit(command) } catch {
                senders[sender.index, sender.generation] = nil
                MediaSocket.close(owned)
                throw error
            }
        }
        return sender
    }

    /// A sender's reader ended.
    func readerLeft(_ sender: SenderID) {
        senders[sender.index, sender.generation]?.readers -= 1
        guard let entry = senders[sender.index, sender.generation], entry.isRemoving, entry.readers == 0, state != .stopped else { return }
        submitAlways(.removeDatagramEgress(UInt8(truncatingIfNeeded: sender.index)))
    }
}

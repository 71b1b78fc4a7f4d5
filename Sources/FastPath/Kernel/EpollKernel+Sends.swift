import CUring
import Glibc
import PlaneLink

/// Sends: datagrams wait for the flush, bytes for connections leave at once.
extension EpollKernel {
    package mutating func setSegment(_ file: KernelFile, segmentBytes: Int, bytes: Int) {
        guard let wanted = SegmentOption.change(from: entries[Int(file.slot)].segment, segmentBytes: segmentBytes, bytes: bytes) else {
            entries[Int(file.slot)].refusesSegments = false
            return
        }
        flush()
        systemCalls += 1
        let isDone = curing_set_segment(entries[Int(file.slot)].descriptor, wanted) == 0
        if isDone { entries[Int(file.slot)].segment = wanted }
        entries[Int(file.slot)].refusesSegments = !isDone
    }

    @unsafe package mutating func sendDatagram(
        _ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, host: HostAddress, port: UInt16, tag: RequestTag
    ) {
        if sendsQueued == sendBatchMax { flush() }
        if entries[Int(file.slot)].refusesSegments { return finishSend(tag, -EIO) }
        let place = sendsQueued
        let isIPv4 = entries[Int(file.slot)].isIPv4
        let address = SocketAddressBytes(host: host, port: port, isIPv4Socket: isIPv4)
        unsafe withUnsafePointer(to: address) {
            unsafe curing_batch_put(
                outgoing, UInt32(place), bytes, count, $0, UInt32(SocketAddressBytes.count(isIPv4Socket: isIPv4)))
        }
        sendFiles[place] = entries[Int(file.slot)].descriptor
        sendTags[place] = tag.raw
        sendsQueued += 1
    }

    @unsafe package mutating func sendBytes(_ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, tag: RequestTag) {
        systemCalls += 1
        let sent = unsafe send(entries[Int(file.slot)].descriptor, bytes, count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
        finishSend(tag, sent < 0 ? -errno : Int32(clamping: sent))
    }

    private mutating func finishSend(_ tag: RequestTag, _ result: Int32) {
        if !results.isFull { results.push(SendResult(tag: tag, result: result)) }
    }

    @unsafe package mutating func sendGathered(
        _ file: KernelFile, _ vectors: UnsafeMutableRawPointer, vectorCount: Int, tag: RequestTag
    ) {
        systemCalls += 1
        let sent = unsafe curing_send_gathered(entries[Int(file.slot)].descriptor, vectors, UInt32(vectorCount))
        finishSend(tag, Int32(clamping: sent))
    }

    package mutating func flush() {
        var place = 0
        while place < sendsQueued {
            let descriptor = sendFiles[place]
            var end = place + 1
            while end < sendsQueued, sendFiles[end] == descriptor { end += 1 }
            place = sendGroup(descriptor, from: place, to: end)
        }
        sendsQueued = 0
    }

    /// Sends the messages of one socket; what the kernel refuses becomes a result. A full socket ends the group.
    private mutating func sendGroup(_ descriptor: Int32, from first: Int, to end: Int) -> Int {
        var place = first
        while place < end {
            let sent =
                switch calls {
                case .batched: unsafe curing_batch_send(outgoing, descriptor, UInt32(place), UInt32(end))
                case .single: unsafe curing_batch_send_singly(outgoing, descriptor, UInt32(place), UInt32(end))
                }
            systemCalls += calls == .batched ? 1 : UInt64(max(sent, 1))
            if sent > 0 {
                place += Int(sent)
                continue
            }
            let number = -sent
            if number == EINTR { continue }
            let isFull = number == EAGAIN || number == ENOBUFS
            let refusedEnd = isFull ? end : place + 1
            while place < refusedEnd {
                finishSend(RequestTag(raw: sendTags[place]), -number)
                place += 1
            }
        }
        return end
    }

    package mutating func nextSendResult() -> SendResult? { results.pop() }

    // MARK: Without a copy

    // Zero copy needs a ring here: MSG_ZEROCOPY's notices come by the socket's error queue, a system call each.
    package var canZeroCopy: Bool { false }
    @unsafe package mutating func register(_ base: UnsafeMutableRawPointer, count: Int, index: Int) -> Bool { false }
    package mutating func unregister(index: Int) {}
    @unsafe package mutating func sendDatagramZeroCopy(
        _ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, host: HostAddress, port: UInt16, buffer: Int, tag: RequestTag
    ) { unsafe sendDatagram(file, bytes, count: count, host: host, port: port, tag: tag) }
    @unsafe package mutating func sendBytesZeroCopy(
        _ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, buffer: Int, tag: RequestTag
    ) { unsafe sendBytes(file, bytes, count: count, tag: tag) }
}

import CUring
import Glibc
import PlaneLink

/// Sends: queued as submissions, gone when the flush returns.
extension UringKernel {
    package mutating func setSegment(_ file: KernelFile, segmentBytes: Int, bytes: Int) {
        guard let wanted = SegmentOption.change(from: files[Int(file.slot)].segment, segmentBytes: segmentBytes, bytes: bytes) else {
            files[Int(file.slot)].refusesSegments = false
            return
        }
        if sendsQueued > 0 { flush() }
        systemCalls += 1
        let isDone = curing_set_segment(files[Int(file.slot)].descriptor, wanted) == 0
        if isDone { files[Int(file.slot)].segment = wanted }
        files[Int(file.slot)].refusesSegments = !isDone
    }

    @unsafe package mutating func sendDatagram(
        _ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, host: HostAddress, port: UInt16, tag: RequestTag
    ) {
        if sendsQueued == sendBatchMax { flush() }
        if files[Int(file.slot)].refusesSegments { return refuse(tag) }
        guard let submission = unsafe next() else { return }
        let place = sendsQueued
        let isIPv4 = files[Int(file.slot)].isIPv4
        addresses[place] = SocketAddressBytes(host: host, port: port, isIPv4Socket: isIPv4)
        unsafe curing_send_to(
            submission, file.slot, bytes, UInt32(count), addresses.pointer(to: place),
            UInt32(SocketAddressBytes.count(isIPv4Socket: isIPv4)), tag.raw)
        sendsQueued += 1
    }

    /// A message that the socket would not cut.
    private mutating func refuse(_ tag: RequestTag) {
        if results.isFull { reap() }
        if !results.isFull { results.push(SendResult(tag: tag, result: -EIO)) }
    }

    @unsafe package mutating func sendBytes(_ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, tag: RequestTag) {
        if sendsQueued == sendBatchMax { flush() }
        guard let submission = unsafe next() else { return }
        unsafe curing_send(submission, file.slot, bytes, UInt32(count), tag.raw)
        sendsQueued += 1
    }

    // MARK: Without a copy

    @unsafe package mutating func register(_ base: UnsafeMutableRawPointer, count: Int, index: Int) -> Bool {
        guard index < Self.placesMax, failure == 0 else { return false }
        systemCalls += 1
        return unsafe curing_set_memory(ring, UInt32(index), base, count) == 0
    }

    package mutating func unregister(index: Int) {
        guard index < Self.placesMax, !isAbandoned else { return }
        systemCalls += 1
        _ = unsafe curing_set_memory(ring, UInt32(index), nil, 0)
    }

    @unsafe package mutating func sendDatagramZeroCopy(
        _ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, host: HostAddress, port: UInt16, buffer: Int, tag: RequestTag
    ) {
        if sendsQueued == sendBatchMax { flush() }
        if files[Int(file.slot)].refusesSegments {
            refuse(tag)
            return events.push(Completion(tag: tag.raw, result: 0, flags: 0))
        }
        guard let submission = unsafe next() else { return }
        let place = sendsQueued
        let isIPv4 = files[Int(file.slot)].isIPv4
        addresses[place] = SocketAddressBytes(host: host, port: port, isIPv4Socket: isIPv4)
        unsafe curing_send_zero_copy(
            submission, file.slot, bytes, UInt32(count), addresses.pointer(to: place),
            UInt32(SocketAddressBytes.count(isIPv4Socket: isIPv4)), Int32(buffer), tag.raw)
        sendsQueued += 1
        requests += 1
    }

    @unsafe package mutating func sendBytesZeroCopy(
        _ file: KernelFile, _ bytes: UnsafeRawPointer, count: Int, buffer: Int, tag: RequestTag
    ) {
        if sendsQueued == sendBatchMax { flush() }
        guard let submission = unsafe next() else { return }
        unsafe curing_send_zero_copy(submission, file.slot, bytes, UInt32(count), nil, 0, Int32(buffer), tag.raw)
        sendsQueued += 1
        requests += 1
    }

    @unsafe package mutating func sendGathered(
        _ file: KernelFile, _ vectors: UnsafeMutableRawPointer, vectorCount: Int, tag: RequestTag
    ) {
        if sendsQueued == sendBatchMax { flush() }
        guard let submission = unsafe next() else { return }
        let place = sendsQueued
        unsafe curing_send_gather(ring, submission, file.slot, vectors, UInt32(vectorCount), UInt32(place), tag.raw)
        sendsQueued += 1
    }

    package mutating func flush() {
        if sendsQueued > 0 { submit() }
    }

    package mutating func nextSendResult() -> SendResult? {
        if results.count == 0 { reap() }
        return results.pop()
    }
}

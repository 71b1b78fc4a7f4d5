import CUring
import Glibc
import PlaneLink

/// Receives: of what epoll says is ready.
extension EpollKernel {
    mutating func read(_ slot: Int) {
        switch entries[slot].reading {
        case .none: break
        case .datagrams: readDatagrams(slot)
        case .bytes:
            guard let base = unsafe UnsafeMutableRawPointer(bitPattern: entries[slot].readBase) else { return }
            systemCalls += 1
            let count = unsafe recv(entries[slot].descriptor, base, entries[slot].readCount, Int32(MSG_DONTWAIT))
            let number = errno
            if count < 0, number == EAGAIN { return }
            end(slot, count < 0 ? -number : Int32(truncatingIfNeeded: count))
        case .wake:
            var value: UInt64 = 0
            systemCalls += 1
            guard unsafe Glibc.read(entries[slot].descriptor, &value, 8) == 8 else { return }
            if slot == Int(peerFile.slot) {
                return unsafe push(KernelEvent(tag: RequestTag(raw: entries[slot].readTag), result: 0, continues: true))
            }
            entries[slot].reading = .none
            finish(RequestTag(raw: entries[slot].readTag), 8)
        }
    }

    /// Completes a read.
    private mutating func end(_ slot: Int, _ result: Int32) {
        entries[slot].reading = .none
        // The worker reads on in the same turn, unless it holds the source back; epoll would report it for ever then.
        if stale.isFull { updateInterest(slot) } else { stale.push(Int32(slot)) }
        finish(RequestTag(raw: entries[slot].readTag), result)
    }

    private mutating func readDatagrams(_ slot: Int) {
        var room = 0
        while room < Self.receiveBatch, let buffer = freeBuffers.pop() {
            unsafe curing_batch_lend(incoming, UInt32(room), buffers + Int(buffer) * bufferBytes, bufferBytes)
            lent[room] = buffer
            room += 1
        }
        guard room > 0 else { return }
        let received =
            switch calls {
            case .batched: unsafe curing_batch_receive(incoming, entries[slot].descriptor, UInt32(room))
            case .single: unsafe curing_batch_receive_singly(incoming, entries[slot].descriptor, UInt32(room))
            }
        systemCalls += calls == .batched ? 1 : UInt64(max(received, 0)) + 1
        if received < 0, received != -EAGAIN, received != -EINTR { end(slot, received) }
        for place in 0..<room {
            guard place < received, unsafe !events.isFull else {
                freeBuffers.push(lent[place])
                continue
            }
            pushDatagram(slot, place, lent[place])
        }
    }

    private mutating func pushDatagram(_ slot: Int, _ place: Int, _ buffer: Int32) {
        var datagram = unsafe curing_received()
        unsafe curing_batch_received(incoming, UInt32(place), &datagram)
        let sender = unsafe SocketAddressBytes.read(datagram.name, count: Int(datagram.name_bytes))
        var event = unsafe KernelEvent(
            tag: RequestTag(raw: entries[slot].readTag), result: Int32(clamping: datagram.payload_bytes), continues: true)
        unsafe event.payload = sender == nil ? nil : buffers + Int(buffer) * bufferBytes
        unsafe event.payloadCount = Int(datagram.payload_bytes)
        unsafe event.segmentBytes = Int(datagram.segment_bytes)
        unsafe event.isCut = datagram.is_cut
        unsafe event.host = sender?.host ?? .any
        unsafe event.port = sender?.port ?? 0
        unsafe event.buffer = buffer
        unsafe push(event)
    }
}

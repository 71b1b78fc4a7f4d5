import Glibc
import PlaneLink

extension Worker where K: ~Copyable {
    // MARK: Coming and going

    private mutating func openSource(
        _ handle: SourceHandle, _ streamHandle: StreamHandle, _ kind: Source.Kind, ofRTP: Bool = true
    ) -> Int? {
        let source = Int(handle.index)
        guard !hasKernelFailed, unsafe source < sources.count, unsafe sources[source].kind == .free, let stream = find(streamHandle),
            !ofRTP || isOfKind(stream, verbatim: false)
        else {
            report(.sourceRemoved(handle))
            return nil
        }
        if let buffer = unsafe sources[source].buffer { unsafe free(buffer) }
        unsafe sources[source] = Source(
            generation: handle.generation, kind: kind, isPending: false, isHeld: false, hasEnded: false, wasActive: false,
            isSlate: false, endings: 0, channel: 0, leg: streams[stream].state.legOfNewSources, stream: UInt32(stream), file: .none,
            peer: .any,
            takesAnyPeer: false, heardAt: 0, port: 0,
            channels: ChannelMap(), buffer: nil,
            bufferStart: 0, bufferEnd: 0)
        sourcesInUse += 1
        return source
    }

    mutating func addDatagramSource(
        _ handle: SourceHandle, _ stream: StreamHandle, _ descriptor: Int32, _ channel: UInt8, _ peer: HostAddress, _ port: UInt16
    ) {
        guard let source = openSource(handle, stream, .datagrams) else { return }
        guard let file = kernel.attach(descriptor: descriptor) else { return finishSource(source) }
        unsafe sources[source].file = file
        unsafe sources[source].channel = channel
        unsafe sources[source].peer = peer
        unsafe sources[source].takesAnyPeer = peer == .any
        unsafe sources[source].port = port
        unsafe sources[source].isPending = true
        kernel.receiveDatagrams(file, tag: sourceTag(source, .datagramSource))
    }

    mutating func addInterleavedSource(
        _ handle: SourceHandle, _ stream: StreamHandle, _ descriptor: Int32, _ channels: ChannelMap, _ prefix: LinkBuffer
    ) {
        defer { report(.bufferReturned(prefix)) }
        guard let source = openSource(handle, stream, .interleaved) else { return }
        guard let file = kernel.attach(descriptor: descriptor), let buffer = unsafe malloc(limits.interleavedBufferBytes) else {
            return finishSource(source)
        }
        unsafe sources[source].file = file
        unsafe sources[source].channels = channels
        unsafe sources[source].buffer = buffer
        guard prefix.count <= limits.interleavedBufferBytes else {
            unsafe sources[source].hasEnded = true
            return report(.sourceEnded(handle, errorNumber: EMSGSIZE))
        }
        let count = prefix.count
        if let start = unsafe prefix.bytes.baseAddress { unsafe buffer.copyMemory(from: start, byteCount: count) }
        unsafe sources[source].bufferEnd = count
        readFrames(source)
        receiveMore(source)
    }

    mutating func addFedSource(_ handle: SourceHandle, _ stream: StreamHandle, _ channels: ChannelMap, isSlate: Bool) {
        guard let source = openSource(handle, stream, .fed, ofRTP: isSlate) else { return }
        unsafe sources[source].channels = channels
        unsafe sources[source].isSlate = isSlate
    }

    func sourceTag(_ source: Int, _ kind: RequestTag.Kind) -> RequestTag {
        RequestTag(kind, index: UInt32(source), generation: unsafe sources[source].generation)
    }

    mutating func removeSource(_ source: Int) {
        let kind: RequestTag.Kind = unsafe sources[source].kind == .datagrams ? .datagramSource : .interleavedSource
        unsafe sources[source].kind = .closing
        if unsafe sources[source].isPending {
            kernel.cancel(unsafe sources[source].file, tag: sourceTag(source, kind))
        } else {
            finishSource(source)
        }
    }

    mutating func finishSource(_ source: Int) {
        kernel.detach(unsafe sources[source].file)
        // A report of text that nobody has taken yet points into the buffer: then it goes when the slot is used again, for that comes
        // after the report of the source's end was taken, or with the engine.
        if unsafe !sources[source].isHeld, let buffer = unsafe sources[source].buffer {
            unsafe free(buffer)
            unsafe sources[source].buffer = nil
        }
        let handle = handle(ofSource: source)
        unsafe sources[source].kind = .free
        sourcesInUse -= 1
        report(.sourceRemoved(handle))
    }

    /// The source that an event is for, unless the slot has another user by now.
    private func source(of tag: RequestTag) -> Int? {
        let source = Int(tag.index)
        guard unsafe source < sources.count, unsafe sources[source].kind != .free,
            unsafe sources[source].generation & 0xFF_FFFF == tag.generation
        else { return nil }
        return source
    }

    private mutating func noteActive(_ source: Int) {
        guard unsafe !sources[source].wasActive else { return }
        unsafe sources[source].wasActive = true
        report(.sourceActive(handle(ofSource: source)))
    }

    // MARK: Datagrams

    /// A receive that ended by itself so often, with no datagram between, is given up.
    static var endingsMax: UInt8 { 100 }

    /// A datagram, or a train of them that the kernel joined, or the end of the receive.
    @unsafe mutating func datagramArrived(_ event: KernelEvent) {
        defer { unsafe kernel.recycle(event.buffer) }
        guard let source = unsafe source(of: event.tag) else { return }
        if unsafe !event.continues { unsafe receiveEnded(source, event.result) }
        guard unsafe sources[source].kind == .datagrams, let payload = unsafe event.payload else { return }
        unsafe sources[source].endings = 0
        guard unsafe isFromPeer(source, event.host, event.port) else { return counters.add(.datagramsForeign) }
        if unsafe event.isCut { return counters.add(.datagramsOversize) }
        let segment = unsafe event.segmentBytes > 0 ? event.segmentBytes : max(event.payloadCount, 1)
        let channel = unsafe sources[source].channel
        let stream = unsafe Int(sources[source].stream)
        var offset = 0
        while unsafe offset < event.payloadCount {
            let count = unsafe min(segment, event.payloadCount - offset)
            if unsafe arrange(source, stream, channel: channel, payload + offset, count) {
                // The first packet shows where the peer really sends from (NAT); from then on only that port is heard.
                unsafe latch(source, event.host, event.port)
                noteActive(source)
            }
            offset += count
        }
    }

    private func isFromPeer(_ source: Int, _ host: HostAddress, _ port: UInt16) -> Bool {
        if unsafe sources[source].takesAnyPeer {
            // Nobody is latched, or nothing was heard of who is.
            if unsafe sources[source].port == 0 || now &- sources[source].heardAt > limits.senderSilenceNanoseconds { return true }
        }
        return unsafe host == sources[source].peer && (sources[source].port == 0 || port == sources[source].port)
    }

    private func latch(_ source: Int, _ host: HostAddress, _ port: UInt16) {
        guard unsafe sources[source].takesAnyPeer || sources[source].port == 0 else { return }
        unsafe sources[source].heardAt = now
        unsafe sources[source].peer = host
        unsafe sources[source].port = port
    }

    /// A receive that ends by itself (no buffer was left, an ICMP message brought an error, the kernel cancelled it) says nothing of
    /// the next packet: it is begun anew, unless it ends again and again.
    private mutating func receiveEnded(_ source: Int, _ result: Int32) {
        unsafe sources[source].isPending = false
        if unsafe sources[source].kind == .closing { return finishSource(source) }
        if result == -ENOBUFS { counters.add(.receiveBuffersExhausted) }
        unsafe sources[source].endings += 1
        let isOver = result == -EBADF || result == -ENOTSOCK || result == -EINVAL
        guard !isOver, unsafe sources[source].endings < Self.endingsMax else {
            unsafe sources[source].hasEnded = true
            return report(.sourceEnded(handle(ofSource: source), errorNumber: -min(result, 0)))
        }
        unsafe sources[source].isPending = true
        kernel.receiveDatagrams(unsafe sources[source].file, tag: sourceTag(source, .datagramSource))
    }

    // MARK: Interleaved frames

    mutating func feed(_ handle: SourceHandle, _ bytes: LinkBuffer) {
        defer { report(.bufferReturned(bytes)) }
        guard let source = find(handle), unsafe sources[source].kind == .fed, let base = unsafe bytes.bytes.baseAddress else { return }
        var offset = 0
        while bytes.count - offset >= 4, unsafe base.load(fromByteOffset: offset, as: UInt8.self) == 0x24 {
            let length =
                unsafe Int(base.load(fromByteOffset: offset + 2, as: UInt8.self)) << 8
                | Int(base.load(fromByteOffset: offset + 3, as: UInt8.self))
            guard bytes.count - offset - 4 >= length else { break }
            unsafe takeFrame(source, base.load(fromByteOffset: offset + 1, as: UInt8.self), base + offset + 4, length)
            offset += 4 + length
        }
        if offset < bytes.count { counters.add(.datagramsMalformed) }
    }

    @unsafe private mutating func takeFrame(_ source: Int, _ wire: UInt8, _ payload: UnsafeRawPointer, _ length: Int) {
        guard let channel = unsafe sources[source].channels.channel(ofWire: wire) else { return counters.add(.framesUnknownChannel) }
        let stream = unsafe Int(sources[source].stream)
        if streams[stream].state.isVerbatim {
            if unsafe ingestVerbatim(stream, startsKeyFrame: channel & 1 != 0, payload, length) { noteActive(source) }
            return
        }
        if unsafe sources[source].isSlate {
            return unsafe ingestSlate(stream, channel: UInt8(channel), payload, length)
        }
        if unsafe arrange(source, stream, channel: UInt8(channel), payload, length) { noteActive(source) }
    }

    /// Bytes of an interleaved connection came, or its end.
    @unsafe mutating func bytesArrived(_ event: KernelEvent) {
        guard let source = unsafe source(of: event.tag) else { return }
        unsafe sources[source].isPending = false
        if unsafe sources[source].kind == .closing { return finishSource(source) }
        let result = unsafe event.result
        if result == -EINTR || result == -EAGAIN { return receiveMore(source) }
        guard result > 0 else {
            unsafe sources[source].hasEnded = true
            return report(.sourceEnded(handle(ofSource: source), errorNumber: -result))
        }
        unsafe sources[source].bufferEnd += Int(result)
        kernel.acknowledge(unsafe sources[source].file)
        readFrames(source)
        receiveMore(source)
    }

    private mutating func receiveMore(_ source: Int) {
        guard unsafe sources[source].kind == .interleaved, unsafe !sources[source].isPending, unsafe !sources[source].isHeld,
            unsafe !sources[source].hasEnded, let buffer = unsafe sources[source].buffer
        else { return }
        let room = unsafe limits.interleavedBufferBytes - sources[source].bufferEnd
        guard room > 0 else { return }
        unsafe sources[source].isPending = true
        unsafe kernel.receive(
            sources[source].file, into: buffer + sources[source].bufferEnd, count: room, tag: sourceTag(source, .interleavedSource))
    }

    /// Takes whole frames out of the buffer; hands text upward; moves what is left to the front.
    private mutating func readFrames(_ source: Int) {
        guard let buffer = unsafe sources[source].buffer else { return }
        var start = unsafe sources[source].bufferStart
        let end = unsafe sources[source].bufferEnd
        while start < end, unsafe sources[source].kind == .interleaved {
            guard unsafe buffer.load(fromByteOffset: start, as: UInt8.self) == 0x24 else {
                unsafe sources[source].bufferStart = start
                return handUp(source)
            }
            guard end - start >= 4 else { break }
            let length =
                unsafe Int(buffer.load(fromByteOffset: start + 2, as: UInt8.self)) << 8
                | Int(buffer.load(fromByteOffset: start + 3, as: UInt8.self))
            guard end - start >= 4 + length else { break }
            unsafe takeFrame(source, buffer.load(fromByteOffset: start + 1, as: UInt8.self), buffer + start + 4, length)
            start += 4 + length
        }
        unsafe sources[source].bufferStart = start
        compact(source)
    }

    /// Moves the unused bytes to the buffer's front, so that a frame of any size fits behind them.
    private func compact(_ source: Int) {
        guard let buffer = unsafe sources[source].buffer else { return }
        let start = unsafe sources[source].bufferStart
        let count = unsafe sources[source].bufferEnd - start
        if start > 0, count > 0 { unsafe memmove(buffer, buffer + start, count) }
        unsafe sources[source].bufferStart = 0
        unsafe sources[source].bufferEnd = count
    }

    /// Text lies between frames: the control plane reads it and says where it ends.
    private mutating func handUp(_ source: Int) {
        compact(source)
        guard let buffer = unsafe sources[source].buffer else { return }
        unsafe sources[source].isHeld = true
        let view = unsafe LinkView(base: UnsafeRawPointer(buffer), count: sources[source].bufferEnd)
        report(.sourceText(handle(ofSource: source), view))
    }

    mutating func resumeSource(_ handle: SourceHandle, _ consumed: Int) {
        guard let source = find(handle), unsafe sources[source].isHeld else { return }
        unsafe sources[source].isHeld = false
        let end = unsafe sources[source].bufferEnd
        if consumed > 0 {
            unsafe sources[source].bufferStart = min(consumed, end)
            readFrames(source)
        } else if end >= limits.interleavedBufferBytes {
            // Nobody can use it and nothing more fits: the connection is lost.
            unsafe sources[source].hasEnded = true
            return report(.sourceEnded(handle, errorNumber: EMSGSIZE))
        }
        receiveMore(source)
    }
}

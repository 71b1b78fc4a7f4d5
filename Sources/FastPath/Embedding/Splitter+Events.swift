extension Splitter {
    /// The oldest event that was not taken yet, or nil; has the engine carry out the calls made so far when it answers nil.
    ///
    /// Take events until there are none whenever ``eventDescriptor`` is readable: readers begin only as their events are taken, and an
    /// engine whose events nobody takes ends up refusing calls with ``SplitterError/queueFull``.
    public func nextEvent() -> SplitterEvent? {
        while true {
            if let event = events.popFirst() { return event }
            guard state != .stopped else {
                clearSignal()
                return nil
            }
            if let report = engine.takeReport() {
                receive(report)
                continue
            }
            clearSignal()
            // A report that came before that is seen now; one that comes later makes the descriptor readable again.
            guard let report = engine.takeReport() else {
                flush()
                return nil
            }
            signal()
            receive(report)
        }
    }

    private func receive(_ report: Report) {
        switch report {
        case .joined(let handle, let point): joined(handle, point)
        case .subscriberFailed(let handle, let failure): if isHeard(handle) { events.append(.readerFailed(handle, failure)) }
        case .subscriberLagged(let handle, let cause, let packets):
            if isHeard(handle) { events.append(.readerLagged(handle, cause, packets: packets)) }
        case .subscriberRemoved(let handle): end(handle)
        case .sourceActive(let handle): if isHeard(handle) { events.append(.sourceActive(handle)) }
        case .sourceText(let handle, let view):
            guard isHeard(handle) else { return }
            sources[handle.index, handle.generation]?.textBytes = view.count
            events.append(.sourceText(handle, view.copy()))
        case .sourceEnded(let handle, let errorNumber):
            if isHeard(handle) { events.append(.sourceEnded(handle, errorNumber: errorNumber)) }
        case .sourceRemoved(let handle): end(handle)
        case .senderReport(let stream, let track, let ssrc, let ntp, let rtpTime):
            guard isHeard(stream) else { return }
            events.append(.senderReport(stream, track: Int(track), ssrc: ssrc, ntp: ntp, rtpTime: rtpTime))
        case .sourceBye(let stream, let track): if isHeard(stream) { events.append(.sourceBye(stream, track: Int(track))) }
        // Packets of files are not for programs.
        case .parameterSets, .packetTooLarge, .storedEnded: break
        case .bufferReturned(let buffer): takeBack(buffer)
        case .streamRemoved(let handle):
            guard let entry = streams[handle.index, handle.generation] else { return }
            streams[handle.index, handle.generation]?.isGone = true
            if entry.members == 0 { end(handle) }
        case .egressRemoved(let number): endSender(UInt32(number))
        case .refused(let refusal, let errorNumber): events.append(.refused(refusal, errorNumber: errorNumber))
        case .stopped(let leaks): endAll(leaks: leaks)
        }
    }

    // MARK: What is heard

    private func isHeard(_ handle: SubscriberHandle) -> Bool {
        guard let entry = readers[handle.index, handle.generation] else { return false }
        return !isEnding(entry)
    }

    private func isHeard(_ handle: SourceHandle) -> Bool {
        guard let entry = sources[handle.index, handle.generation] else { return false }
        return !isEnding(entry)
    }

    private func isHeard(_ handle: StreamHandle) -> Bool {
        guard let entry = streams[handle.index, handle.generation] else { return false }
        return !entry.isRemoving
    }

    private func joined(_ handle: SubscriberHandle, _ point: JoinPoint) {
        guard isHeard(handle), let entry = readers[handle.index, handle.generation], entry.phase != .paused else { return }
        if !entry.waits || entry.phase == .playing {
            if state == .running { submitAlways(.go(handle)) }
            readers[handle.index, handle.generation]?.phase = .playing
        } else {
            readers[handle.index, handle.generation]?.phase = .joined
        }
        events.append(.readerJoined(handle, point))
    }

    // MARK: Ends

    private func end(_ handle: SubscriberHandle) {
        guard let entry = readers[handle.index, handle.generation] else { return }
        readers[handle.index, handle.generation] = nil
        descriptorsInUse.remove(entry.descriptor)
        events.append(.readerRemoved(handle))
        if let sender = entry.sender { readerLeft(sender) }
        memberEnded(of: entry.stream)
    }

    private func end(_ handle: SourceHandle) {
        guard let entry = sources[handle.index, handle.generation] else { return }
        sources[handle.index, handle.generation] = nil
        descriptorsInUse.remove(entry.descriptor)
        MediaSocket.close(entry.owned)
        events.append(.sourceRemoved(handle))
        memberEnded(of: entry.stream)
    }

    private func memberEnded(of stream: StreamHandle) {
        streams[stream.index, stream.generation]?.members -= 1
        guard let entry = streams[stream.index, stream.generation], entry.isGone, entry.members == 0 else { return }
        end(stream)
    }

    private func end(_ handle: StreamHandle) {
        guard let entry = streams[handle.index, handle.generation] else { return }
        streams[handle.index, handle.generation] = nil
        entry.memory.free()
        budget.giveBack(entry.sizing)
        events.append(.streamRemoved(handle))
    }

    private func endSender(_ index: UInt32) {
        guard let entry = senders[index] else { return }
        let sender = SenderID(index: index, generation: senders.generation(of: index))
        senders[index] = nil
        MediaSocket.close(entry.owned)
        events.append(.senderRemoved(sender))
    }

    /// The engine has ended: so has everything that it did not say so of.
    private func endAll(leaks: UInt32) {
        state = .stopped
        postponed = FIFO()
        for slot in readers.used { end(SubscriberHandle(index: slot.index, generation: slot.generation)) }
        for slot in sources.used { end(SourceHandle(index: slot.index, generation: slot.generation)) }
        for slot in streams.used { end(StreamHandle(index: slot.index, generation: slot.generation)) }
        for slot in senders.used { endSender(slot.index) }
        for loan in loans.values { loan.buffer.free() }
        loans = [:]
        pushed = []
        events.append(.stopped(leaks: leaks))
        signal()
    }
}

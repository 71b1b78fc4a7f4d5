import Glibc
import PlaneLink

/// What is left when the kernel interface has ended for good: nothing can be received or sent, but whoever asked for something is
/// told, and every command still gets its answer.
extension Worker where K: ~Copyable {
    /// Tells the control plane, gives every source and every reader up, and lets go of all that the kernel held.
    mutating func giveUp(_ number: Int32) {
        guard !hasKernelFailed else { return }
        hasKernelFailed = true
        peers.fail(index)
        report(.refused(.ringFailed, errorNumber: number))
        kernel.abandon()
        while let event = unsafe kernel.nextEvent() { unsafe kernel.recycle(event.buffer) }
        while kernel.nextSendResult() != nil {}
        letGoOfAll()
        giveUpStored()
        for source in unsafe 0..<sources.count { giveUpSource(source, number) }
        for reader in 0..<subscribers.count where subscribers[reader].state != .free { giveUpReader(reader) }
        for stream in 0..<streams.count where streams[stream].generation != 0 { unpin(stream) }
        closeAllEgress()
        kernel.detach(commandWakeFile)
        commandWakeFile = .none
        firstDirty = SubscriberList.end
        nextSweep = .max
    }

    private mutating func giveUpSource(_ source: Int, _ number: Int32) {
        guard unsafe sources[source].kind != .free else { return }
        unsafe sources[source].isPending = false
        if unsafe sources[source].kind == .closing { return finishSource(source) }
        guard unsafe !sources[source].hasEnded else { return }
        unsafe sources[source].hasEnded = true
        report(.sourceEnded(handle(ofSource: source), errorNumber: number))
    }

    private mutating func giveUpReader(_ reader: Int) {
        if subscribers[reader].isBlocked {
            subscribers[reader].isBlocked = false
            readersBlocked -= 1
        }
        subscribers[reader].sendsHeld = 0
        if subscribers[reader].state == .closing { return finishRemoval(reader) }
        fail(reader, .connectionLost)
    }

    /// Waits for commands by itself, and answers them.
    mutating func turnWithoutKernel() {
        if hasReported { wakeReports() }
        if commands.count == 0 || !hasRoomToReport {
            var waiting = pollfd(fd: commandWake, events: Int16(POLLIN), revents: 0)
            var value: UInt64 = 0
            // Nobody says when reports were taken.
            let isReady = unsafe poll(&waiting, 1, hasRoomToReport ? 250 : 2) > 0
            if isReady, waiting.revents & Int16(POLLIN) != 0 { unsafe _ = read(commandWake, &value, 8) }
        }
        now = kernel.clock()
        counters.add(.turns)
        takeCommands()
        if hasReported { wakeReports() }
    }
}

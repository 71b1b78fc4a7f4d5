extension Splitter {
    /// Opens a stream. Its memory is taken from `Limits.packetLogBytesMax` until ``SplitterEvent/streamRemoved(_:)``.
    ///
    /// Throws ``SplitterError/argument(name:allowed:)``, ``SplitterError/memory(_:)``, ``SplitterError/full(_:max:)`` or
    /// ``SplitterError/queueFull``.
    public func addStream(_ configuration: StreamConfiguration) throws(SplitterError) -> StreamHandle {
        try configuration.checkTracks()
        return try openStream(configuration, isVerbatim: false)
    }

    func openStream(_ configuration: StreamConfiguration, isVerbatim: Bool) throws(SplitterError) -> StreamHandle {
        try checkRunning()
        try configuration.check()
        let sizing = StreamSizing(
            bitRate: configuration.bitRate ?? limits.bitRateDefault,
            windowMilliseconds: configuration.windowMilliseconds ?? limits.windowMilliseconds)
        guard streams.hasRoom else { throw .full(.stream, max: limits.streamsMax) }
        do { try budget.take(sizing) } catch { throw .memory(error) }
        let memory = StreamMemory(sizing: sizing, workers: workerCount)
        // The one "track" of a stream that has none counts its packets.
        let trackCount = isVerbatim ? 1 : configuration.tracks.count
        let entry = StreamEntry(memory: memory, sizing: sizing, trackCount: trackCount, isVerbatim: isVerbatim)
        guard let slot = streams.insert(entry) else { throw .full(.stream, max: limits.streamsMax) }
        let handle = StreamHandle(index: slot.index, generation: slot.generation)
        let opens: Command =
            isVerbatim ? .addVerbatimStream(handle, memory) : .addStream(handle, memory, trackCount: UInt8(truncatingIfNeeded: trackCount))
        do { try submit(opens) } catch {
            streams[handle.index, handle.generation] = nil
            budget.giveBack(sizing)
            memory.free()
            throw error
        }
        submitAlways(.setPolicy(handle, configuration.policy))
        for (number, plan) in configuration.tracks.enumerated() {
            submitAlways(.setTrack(handle, track: UInt8(truncatingIfNeeded: number), plan))
        }
        return handle
    }

    /// Removes a stream with all its sources and readers. Their ends are told first, then ``SplitterEvent/streamRemoved(_:)``. Readers
    /// are not sent what was still due to them, but for a packet that is on its way already.
    public func removeStream(_ stream: StreamHandle) throws(SplitterError) {
        _ = try find(stream)
        streams[stream.index, stream.generation]?.isRemoving = true
        submitAlways(.removeStream(stream))
    }

    /// Says that the next packet of each track begins a new time line (the source was dialled again): readers' sequence numbers and
    /// times go on without a break, and video resumes at a key frame.
    public func beginEpoch(_ stream: StreamHandle) throws(SplitterError) {
        _ = try find(stream)
        try submit(.beginEpoch(stream))
    }
}

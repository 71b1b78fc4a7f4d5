/// What an engine has counted, all workers together, at one moment.
public struct EngineStatistics: Sendable {
    private let values: [UInt64]

    init(_ counters: EngineCounters) { values = EngineCounter.allCases.map { counters[$0] } }

    /// The value of a counter.
    public subscript(counter: EngineCounter) -> UInt64 { values[counter.rawValue] }
}

/// What a stream and its tracks have counted at one moment.
public struct StreamStatistics: Sendable {
    private let values: [UInt64]
    private let trackValues: [[UInt64]]

    init(_ counters: StreamCounters, trackCount: Int) {
        values = StreamCounter.allCases.map { counters[$0] }
        trackValues = (0..<trackCount).map { track in TrackCounter.allCases.map { counters[track, $0] } }
    }

    /// The value of a counter of the stream.
    public subscript(counter: StreamCounter) -> UInt64 { values[counter.rawValue] }

    /// The value of a counter of a track; 0 for a track that the stream does not have.
    public subscript(track: Int, counter: TrackCounter) -> UInt64 {
        trackValues.indices.contains(track) ? trackValues[track][counter.rawValue] : 0
    }
}

extension Splitter {
    /// What was counted so far. A copy, which costs about a microsecond.
    public var counters: EngineStatistics { EngineStatistics(engine.counters) }

    /// What was counted of a stream so far; nil for a stale handle. A copy. A stream that is being removed still counts.
    public func counters(of stream: StreamHandle) -> StreamStatistics? {
        guard let entry = streams[stream.index, stream.generation] else { return nil }
        return StreamStatistics(entry.memory.counters, trackCount: entry.trackCount)
    }
}

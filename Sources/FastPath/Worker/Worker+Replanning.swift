import PlaneLink

/// A track that becomes another one while the stream runs: its source came back with another codec, or without it.
extension Worker where K: ~Copyable {
    /// Begins a track anew under another plan. Every worker does it in the order of its commands; what was logged under the plan before
    /// is sent to nobody from here on (``TrackPlans``).
    mutating func planAnew(_ stream: Int, _ track: Int, _ plan: TrackPlan) {
        streams[stream].state.plans.count(track)
        if streams[stream].state.isHome {
            streams[stream].state.tracks[track] = TrackState()
            // What waits to be put in order is of the plan before.
            if track < streams[stream].state.reorder.tracks { streams[stream].state.reorder[track].reset() }
            // The counters first: whoever sees the plan's number finds nothing of the plan before in them.
            streams[stream].state.counters.clear(track)
            streams[stream].state.board.store(.plans, streams[stream].state.plans.word)
        }
        setPlan(stream, track, plan)
        let anchor = firstWithKeyFrames(stream)
        guard anchor != streams[stream].state.anchor || anchor == track else { return }
        streams[stream].state.anchor = anchor
        streams[stream].state.keeper?.clear()
        streams[stream].state.pictures?.reset()
        if streams[stream].state.isHome { forgetKeyFrames(stream) }
        releaseOrphans(stream)
    }

    private func firstWithKeyFrames(_ stream: Int) -> Int {
        for track in 0..<streams[stream].state.trackCount where streams[stream].state.tracks[track].plan.codec != .opaque { return track }
        return -1
    }
}

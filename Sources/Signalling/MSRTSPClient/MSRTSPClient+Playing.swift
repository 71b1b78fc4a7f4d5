import WireFormats

/// Media from any place, again and again.
extension MSRTSPClient {
    /// What of the media may come faster than it is played.
    package struct Haste: Sendable, Equatable {
        /// For a relay's own needs, and on a player's behalf.
        package var burst: MSRTSPRate?
        package var acceleration: MSRTSPRate?
        /// `Speed`, a factor on all of it, where the server offers that.
        package var speed: String?

        /// Nothing comes faster, unless told.
        package init(burst: MSRTSPRate? = nil, acceleration: MSRTSPRate? = nil, speed: String? = nil) {
            self.burst = burst
            self.acceleration = acceleration
            self.speed = speed
        }
    }

    /// Media is wanted from elsewhere: while it plays, or after its end. Pause, what there is to say of the play before, Play; what comes before
    /// ``Action/playing(_:)`` is of the play before, and not given out.
    package mutating func play(
        from position: WMSPPosition, haste: Haste? = nil, _ statistics: Statistics = Statistics(), now: UInt64
    ) -> [Action] {
        self.now = now
        switch phase {
        case .playing, .draining(isEntry: false): ask(.pause)
        case .ended: break
        case .starting where !isStale:
            // The Play before is not answered: its answer is no more than that.
            ask(.pause)
        default: return take()
        }
        report(statistics)
        self.position = position
        self.haste = haste
        phaseDeadline = nil
        isStale = true
        for place in slots.indices { slots[place].sequence = nil }
        forgetPlays()
        ask(.play)
        phase = .starting
        return take()
    }

    /// No more media is wanted for now; the session is kept.
    package mutating func stop(_ statistics: Statistics, now: UInt64) -> [Action] {
        self.now = now
        switch phase {
        case .playing, .starting, .draining(isEntry: false):
            ask(.pause)
            report(statistics)
            forgetPlays()
            phase = .ended
            phaseDeadline = nil
            isStale = true
        default: break
        }
        return take()
    }

    /// What a client that is for an event tells: to be said before its connection stands.
    package mutating func tells(_ event: RemoteEvent) { settings.errand = .event(event) }

    /// The header of what is described; nil before.
    package var contentHeader: [UInt8]? { description?.header }

    /// What is told of it, as the other dialect tells it; nil before.
    package var contentMetadata: WMSPMetadata? {
        guard let description, let features = contentFeatures else { return nil }
        let lists = description.contentDescriptions
        return WMSPMetadata(
            playlistGenID: generation == 0 ? nil : generation, features: features,
            descriptions: lists.isEmpty ? [ContentDescription(language: "", [])] : lists)
    }

    /// What can be done with it, as the other dialect tells it; nil before.
    package var contentFeatures: WMSPFeatures? {
        guard let told = description?.features else { return nil }
        var features: WMSPFeatures = []
        if told.contains(.broadcast) { features.insert(.broadcast) }
        if told.contains(.playlist) { features.insert(.playlist) }
        if told.contains(.skipBackward) { features.insert(.skipBackward) }
        if told.contains(.skipForward) { features.insert(.skipForward) }
        if told.isDisjoint(with: [.broadcast, .notSeekable]) { features.insert(.seekable) }
        if told.isDisjoint(with: [.broadcast, .notStridable]) { features.insert(.stridable) }
        return features
    }

    /// Plays that were asked for are answered, and that is all.
    private mutating func forgetPlays() {
        for place in outstanding.indices where outstanding[place].question == .play {
            let before = outstanding[place]
            outstanding[place] = Outstanding(
                number: before.number, question: .keepAlive, method: before.method, milliseconds: before.milliseconds,
                deadline: before.deadline)
        }
    }

    /// Where the media is wanted from, as `Range` has it.
    var positionText: String {
        switch position {
        case .beginning: "npt=0.000-"
        case .time(let milliseconds): RangeHeader.npt(start: .microseconds(Int64(milliseconds) * 1_000), end: nil).text
        case .packet(let number): MSRTSPRange.packets(number, nil).text
        }
    }

    /// Which entry of a playlist the place is in, where it is not the beginning of what is described.
    var seekID: UInt32? {
        guard position != .beginning, generation != 0, description?.features.contains(.playlist) ?? false else { return nil }
        return generation
    }
}

extension MSRTSPClient.Errand {
    /// It tells something, and has no other way of doing so.
    var isEvent: Bool { if case .event = self { true } else { false } }
}

/// What a peer says of itself, for people.
enum PeerText {
    private static let bytesMax = 256

    static func clipped(_ text: String) -> String { String(decoding: text.utf8.prefix(bytesMax), as: UTF8.self) }
}

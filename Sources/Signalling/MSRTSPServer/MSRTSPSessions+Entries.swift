import WireFormats

/// How media ended.
package enum MSRTSPMediaEnd: Sendable, Hashable, CaseIterable {
    /// Everything was sent.
    case done
    /// It came to the beginning, backwards.
    case rewound
    /// It broke off.
    case failed
}

/// From one entry of a playlist to the next ([MS-RTSP] 3.2.4.2, 3.2.4.3), from one header of a live source to the next, and to the end.
extension MSRTSPSessions {
    // MARK: What becomes of the content

    /// Another entry, or another header of a live source, follows: its packets wait until ``MSRTSPServerAction/select(session:_:)`` or a
    /// start. Clients that do not know EndOfStream bear no other header than the one they have: for them content that does not simply go on
    /// has ended. `nextSequence` is what the next packet will bear; `isReceding` says that it is the entry before.
    package mutating func contentChanged(
        _ id: UInt64, to content: WMSPContent, entryEnded: Bool = false, isReceding: Bool = false, nextSequence: UInt16?, now: UInt64
    ) -> [MSRTSPServerAction] {
        guard var session = sessions[id] else { return [] }
        let change = MSRTSPSession.Change(
            content: content, isReceding: isReceding, isEndTold: false, dueAt: now, sequence: nextSequence)
        if session.state == .starting { session.deferred = change } else { changed(&session, change, now: now) }
        sessions[id] = session
        return take()
    }

    /// The last packet was sent, and nobody sends any more.
    package mutating func mediaEnded(
        _ id: UInt64, reason: MSRTSPMediaEnd = .done, nextSequence: UInt16?, now: UInt64
    ) -> [MSRTSPServerAction] {
        guard var session = sessions[id] else { return [] }
        if session.state == .starting {
            return startFailed(id, .unavailable("it broke off before it began", retryAfterSeconds: 5), now: now)
        }
        session.start = nil
        session.hasMedia = false
        session.hasEnded = true
        session.change = nil
        session.state = .ready
        session.idleSince = now
        let told: MSRTSPEndOfStream.Reason =
            switch reason {
            case .done: .end
            case .rewound: .receding
            case .failed: .disconnected
            }
        tellEnd(&session, told, sequence: nextSequence)
        sessions[id] = session
        return take()
    }

    /// What a change means for a session that is not waiting for media to begin.
    mutating func changed(_ session: inout MSRTSPSession, _ change: MSRTSPSession.Change, now: UInt64) {
        guard session.followsEntries else {
            if change.content.header.continues(session.content.header) {
                session.content = change.content
            } else if session.state == .playing {
                actions.append(.finish(session: session.id))
                session.start = nil
                session.hasMedia = false
                session.hasEnded = true
                session.state = .ready
                session.idleSince = now
                tellEnd(&session, .end, sequence: change.sequence)
            } else if session.hasMedia {
                // Paused, and what it would go on with is something else: it has to ask anew.
                actions.append(.stop(session: session.id))
                session.hasMedia = false
                session.hasEnded = true
            }
            return
        }
        var change = change
        if session.state == .playing {
            tellEnd(&session, change.isReceding ? .receding : .entry, sequence: change.sequence)
            change.isEndTold = true
            change.dueAt = now &+ min(session.lagMilliseconds, settings.lagMillisecondsMax)
            session.lagMilliseconds = 0
            session.state = .ready
            session.idleSince = now
        } else if let waiting = session.change {
            // One that the client never heard of is passed over.
            change.isEndTold = waiting.isEndTold
            change.dueAt = waiting.dueAt
            change.sequence = change.sequence ?? waiting.sequence
        } else {
            // Paused, or asked which streams it wants: it hears of this when it plays.
            session.change = change
            if session.hasMedia { hold(&session) }
            return
        }
        session.change = change
        if !announceWhatIsDue(&session, now: now), session.hasMedia { hold(&session) }
    }

    /// Nothing is sent, and nobody waits for the place where that would begin.
    mutating func hold(_ session: inout MSRTSPSession) {
        session.start = nil
        actions.append(.hold(session: session.id))
    }

    /// What a Play found is in another entry than the one that it was about.
    mutating func beginElsewhere(
        _ session: inout MSRTSPSession, _ change: MSRTSPSession.Change, _ reply: MSRTSPSession.Reply, _ beginning: MSRTSPBeginning,
        on connection: UInt64, now: UInt64
    ) {
        guard session.followsEntries else {
            guard change.content.header.continues(session.content.header) else {
                session.state = .ready
                session.hasMedia = false
                session.hasEnded = true
                actions.append(.stop(session: session.id))
                let refusal = RequestRefusal.contentChanged("it is something else now than what was described")
                return answer(refusal.response, of: session, on: connection)
            }
            session.content = change.content
            session.state = .playing
            answer(reply, beginning, of: session, on: connection)
            actions.append(.go(session: session.id))
            return
        }
        answerWithChange(of: session, on: connection)
        session.state = .ready
        session.change = change
        session.change?.dueAt = now
        session.change?.sequence = beginning.sequence
        announceWhatIsDue(&session, now: now)
        if session.state == .playing { actions.append(.go(session: session.id)) }
    }

    /// Tells the client of the entry that waits, if it may be told now; whether it was.
    @discardableResult mutating func announceWhatIsDue(_ session: inout MSRTSPSession, now: UInt64) -> Bool {
        guard let change = session.change, change.dueAt <= now, !session.expectsPlay, !session.isPaused, session.connection != nil else {
            return false
        }
        session.change = nil
        if !change.isEndTold { tellEnd(&session, change.isReceding ? .receding : .entry, sequence: nil) }
        announce(change.content, isReceding: change.isReceding, sequence: change.sequence, &session)
        guard session.hasMedia else { return true }
        if isForeseen(session) {
            session.state = .playing
            actions.append(.select(session: session.id, session.selection))
        } else {
            hold(&session)
        }
        return true
    }

    // MARK: What a Play makes of it

    /// A Play that leads to another entry: nothing of this one is sent for it. The end is that of an entry also where the next one is the one
    /// before: only rewinding recedes.
    mutating func goTo(_ target: WMSPContent, wish: Wish, _ session: inout MSRTSPSession, _ incoming: Incoming) {
        let sequence = incoming.place.nextSequence
        if session.state == .playing {
            actions.append(.finish(session: session.id))
        } else if session.hasMedia {
            actions.append(.stop(session: session.id))
        }
        answerWithChange(of: session, on: incoming.connection)
        session.hasMedia = false
        session.state = .ready
        session.start = nil
        let isEndTold = session.change?.isEndTold ?? false
        session.change = nil
        if !isEndTold { tellEnd(&session, .entry, sequence: sequence) }
        announce(target, isReceding: false, sequence: sequence, &session)
        session.rate = 1
        session.speed = 1
        let isLive = target.features.contains(.broadcast)
        let goesOn = isForeseen(session)
        // Held, it is what the client would choose: it says what it wants.
        let isStale = session.slots.map(\.isStale)
        for index in session.slots.indices { session.slots[index].isStale = false }
        let play = makePlay(&session, position: isLive ? .beginning : wish.position ?? .beginning, end: isLive ? nil : wish.end)
        for (index, isStale) in isStale.enumerated() { session.slots[index].isStale = isStale }
        if var play {
            play.isHeld = !goesOn
            play.sequence = goesOn ? sequence : nil
            session.state = goesOn ? .playing : .ready
            session.start = .told
            actions.append(.start(play))
        }
        sessions[session.id] = session
    }

    /// A Play of an entry that is over, while the next one waits for it: that is announced now.
    mutating func goOnToChange(_ session: inout MSRTSPSession, _ incoming: Incoming) {
        answerWithChange(of: session, on: incoming.connection)
        if session.lagMilliseconds > 0, let change = session.change {
            let lag = min(session.lagMilliseconds, settings.lagMillisecondsMax)
            session.change?.dueAt = max(change.dueAt, incoming.now &+ lag)
            session.lagMilliseconds = 0
        }
        if session.change?.isEndTold == false {
            tellEnd(&session, session.change?.isReceding == true ? .receding : .entry, sequence: nil)
            session.change?.isEndTold = true
        }
        announceWhatIsDue(&session, now: incoming.now)
        sessions[session.id] = session
    }

    private mutating func answerWithChange(of session: MSRTSPSession, on connection: UInt64) {
        var response = ServerAnswers.ok()
        response.headers.add("X-Playlist-Change-Notice", "true")
        answer(response, of: session, on: connection)
    }

    // MARK: Requests of the server's

    /// EndOfStream: nothing more comes of what was being sent.
    mutating func tellEnd(_ session: inout MSRTSPSession, _ reason: MSRTSPEndOfStream.Reason, sequence: UInt16?) {
        session.allowsPause = reason == .entry || reason == .receding
        guard let connection = session.connection else { return }
        let beginnings = session.beginnings(sequence: sequence)
        actions.append(
            .request(
                connection: connection, session: session.id,
                MSRTSPAnswers.endOfStream(of: session.url, session: session.id, content: session.content, beginnings, reason)))
        counters.noticesSent += 1
        // FFmpeg waits for ever behind an end that it is told of, and ends where the connection does.
        if !session.followsEntries, sessionsByConnection[connection]?.count == 1 {
            session.isDismissed = true
            actions.append(.close(connection: connection))
        }
    }

    /// Announce: what is sent from now on. Streams are chosen for a client that bears it, in the place that it has.
    private mutating func announce(_ content: WMSPContent, isReceding: Bool, sequence: UInt16?, _ session: inout MSRTSPSession) {
        session.foresee(content, makeID: makeID)
        session.content = content
        session.expectsPlay = true
        session.entrySequence = sequence
        session.transactions = max(session.transactions - 4, 0)
        let isForeseen = isForeseen(session)
        guard let connection = session.connection else { return }
        let description = MSRTSPAnswers.announcement(of: session, isForeseen: isForeseen, isReceding: isReceding, sequence: sequence)
        if !isForeseen { for index in session.slots.indices { session.slots[index].isStale = true } }
        var request = description
        request.headers.add("Supported", supportedText)
        request.headers.add("Session", session.header(timeoutMilliseconds: settings.keepAliveMilliseconds).id)
        actions.append(.request(connection: connection, session: session.id, request))
        counters.noticesSent += 1
    }

    /// Streams of the entry that was announced are sent without the client's word.
    private func isForeseen(_ session: MSRTSPSession) -> Bool {
        session.features.contains(.prediction) && !session.selection.streams.isEmpty
    }
}

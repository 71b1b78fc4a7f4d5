import WireFormats

extension MSRTSPSessions {
    /// What a Play asks for, read before anything is changed.
    struct Wish {
        var position: WMSPPosition?
        var end: WMSPPlay.End?
        /// Nil: as before.
        var rate: Double?
        var speed: Double?
        /// The URLs of the streams that are kept; nil where it does not say.
        var kept: [String]?
        var hasRange = false
    }

    // MARK: Play

    mutating func play(_ incoming: Incoming) throws(RequestRefusal) {
        var session = try required(incoming)
        let request = incoming.request, headers = request.message.headers
        let content = needsContent(request, session) ? try incoming.contentOrRefusal() : session.content
        guard session.state != .starting else { throw .notNow(.play, "the PLAY before is not answered yet") }
        guard !session.slots.isEmpty else { throw .notNow(.play, "SETUP comes first") }
        var wish = try wish(headers, content)
        if request.offset != nil, content.skipsTo.isEmpty { throw .requestMalformed("there is no entry on that side of this one") }
        if content.playlistGenID != session.content.playlistGenID, !session.followsEntries {
            guard content.header.continues(session.content.header) else {
                throw .contentChanged("it is something else now than what was described")
            }
            session.content = content
        }
        session.bitsPerSecond = headers.bandwidthBitsPerSecond ?? session.bitsPerSecond
        session.lagMilliseconds = UInt64(headers.playerLagMilliseconds ?? 0)
        let wasAnnounced = session.expectsPlay
        // Of an entry that was announced, the beginning is what is held.
        if wasAnnounced, session.hasMedia, wish.position == .beginning { wish.position = nil }
        session.expectsPlay = false
        session.isPaused = false
        session.allowsPause = false
        if let target = content.skipsTo.first, session.followsEntries {
            return goTo(target, wish: Wish(), &session, incoming)
        }
        if content.playlistGenID != session.content.playlistGenID {
            return goTo(content, wish: wish, &session, incoming)
        }
        if session.change != nil { return goOnToChange(&session, incoming) }
        // What belongs to this content and no other: a profile of its beginning, a tag.
        session.content = content
        if session.state == .playing, !asksForAnotherPlace(wish, session, wasAnnounced) {
            return confirm(wish, wasAnnounced, &session, incoming)
        }
        keepSelected(&session, wish)
        begin(wish, &session, incoming, content)
    }

    /// A Play goes elsewhere than its session is: to another entry, or another place of this one, or it begins.
    func needsContent(_ request: MSRTSPRequest, _ session: MSRTSPSession) -> Bool {
        if request.offset != nil { return true }
        if let id = request.seekID, id != session.content.playlistGenID { return true }
        if session.change != nil { return false }
        guard session.hasMedia, !session.hasEnded, session.state != .starting else { return true }
        guard let wish = try? wish(request.message.headers, session.content) else { return false }
        if session.state == .playing { return asksForAnotherPlace(wish, session, session.expectsPlay) }
        guard let position = wish.position, !session.content.features.contains(.broadcast) else { return false }
        return !(session.expectsPlay && position == .beginning)
    }

    /// A Play where media is being sent wants it from elsewhere, or at another rate.
    private func asksForAnotherPlace(_ wish: Wish, _ session: MSRTSPSession, _ wasAnnounced: Bool) -> Bool {
        if let rate = wish.rate, rate != session.rate { return true }
        if let speed = wish.speed, speed != session.speed { return true }
        guard !session.content.features.contains(.broadcast), let position = wish.position else { return false }
        // Of an entry that began by itself, the beginning is what is being sent.
        return !(wasAnnounced && position == .beginning)
    }

    /// Media is being sent, and nothing else is asked for: of an entry that was announced it says which streams are kept.
    private mutating func confirm(_ wish: Wish, _ wasAnnounced: Bool, _ session: inout MSRTSPSession, _ incoming: Incoming) {
        let before = session.selection
        keepSelected(&session, wish)
        var response = ServerAnswers.ok()
        if session.content.features.contains(.broadcast) || wasAnnounced {
            response.headers.add("Range", RangeHeader.fromStart.text)
        }
        if wasAnnounced {
            let beginnings = session.beginnings(sequence: session.entrySequence)
            if !beginnings.isEmpty { response.headers.add("RTP-Info", MSRTSPInfoHeader.text(beginnings)) }
        }
        sessions[session.id] = session
        reply(response, to: incoming)
        let selection = session.selection
        if selection.streams.isEmpty {
            hold(&session)
            session.state = .ready
        } else if selection != before {
            actions.append(.select(session: session.id, selection))
        }
        sessions[session.id] = session
    }

    /// Leaves what a Play of an entry that was announced says that it keeps; without fresh streams, what was foreseen.
    private func keepSelected(_ session: inout MSRTSPSession, _ wish: Wish) {
        if session.slots.contains(where: { !$0.isStale }) {
            session.slots.removeAll { $0.isStale }
        } else {
            for index in session.slots.indices { session.slots[index].isStale = false }
        }
        guard let kept = wish.kept, session.slots.contains(where: { kept.contains($0.url) }) else { return }
        session.slots.removeAll { !kept.contains($0.url) }
    }

    /// Media begins; the Play is answered when it is known where.
    private mutating func begin(_ wish: Wish, _ session: inout MSRTSPSession, _ incoming: Incoming, _ content: WMSPContent) {
        let headers = incoming.request.message.headers
        var reply = MSRTSPSession.Reply(headers: RTSPHeaders(), endMilliseconds: nil, hasRange: true)
        let isLive = content.features.contains(.broadcast)
        let isSameRun = session.hasMedia && !session.hasEnded
        var place = wish.position
        if isLive { place = session.hasMedia ? nil : .beginning }
        if place == nil, !isSameRun { place = .beginning }
        session.rate = wish.rate ?? (wish.position == nil ? session.rate : 1)
        session.speed = wish.speed ?? (wish.position == nil ? session.speed : 1)
        if headers.contains("Scale") { reply.headers.add("Scale", MSRTSPAnswers.fraction(session.rate)) }
        if headers.contains("Speed") { reply.headers.add("Speed", MSRTSPAnswers.fraction(session.speed)) }
        guard var play = makePlay(&session, position: place, end: isLive ? nil : wish.end) else {
            // Streams were set up, and every one is switched off: there is nothing to send, and nothing wrong.
            session.state = .ready
            sessions[session.id] = session
            return self.reply(ServerAnswers.ok(), to: incoming)
        }
        play.fastStart = fastStart(headers, content, play, &reply.headers)
        if play.fastStart != nil, play.rate == 1, session.features.contains(.startupProfile), let profile = content.startupProfile {
            reply.headers.add("X-StartupProfile", profile)
        }
        if !isLive, !session.agent.wantsOpenRange {
            if case .absolute(let end)? = play.end {
                reply.endMilliseconds = UInt64(end)
            } else {
                reply.endMilliseconds = content.header.file.contentMilliseconds
            }
        }
        session.state = .starting
        session.start = .answering(connection: incoming.connection, reply)
        sessions[session.id] = session
        actions.append(.start(play))
    }

    /// Media for what is selected; nil where nothing is.
    mutating func makePlay(_ session: inout MSRTSPSession, position: WMSPPosition?, end: WMSPPlay.End? = nil) -> MSRTSPPlay? {
        guard let carrier = session.carrier, let connection = session.connection else { return nil }
        var form = MSRTSPPlay.Form()
        form.splitsPayloads = session.agent.wantsSinglePayloads
        form.sendsLocation = session.features.contains(.locationID)
        form.fec = session.isInterleaved ? nil : session.fec
        var play = MSRTSPPlay(
            session: session.id, connection: connection, selection: session.selection, position: position, end: end,
            transport: carrier.transport, ssrc: carrier.ssrc, retransmission: session.isInterleaved ? nil : session.retransmission?.asked,
            form: form, followsEntries: session.followsEntries)
        play.rate = session.rate
        play.speed = session.speed
        session.sent = (carrier.transport, carrier.ssrc)
        session.isDismissed = false
        session.hasMedia = true
        session.hasEnded = false
        return play
    }

    /// The answer to a Play, now that it is known where it begins.
    mutating func answer(
        _ reply: MSRTSPSession.Reply, _ beginning: MSRTSPBeginning, of session: MSRTSPSession, on connection: UInt64
    ) {
        var response = ServerAnswers.ok()
        let start = beginning.milliseconds.map { Int64(clamping: min($0, 1 << 52)) * 1_000 } ?? 0
        let end = reply.endMilliseconds.flatMap { end in
            session.rate > 0 && Int64(clamping: end) * 1_000 > start ? NormalPlayTime.microseconds(Int64(clamping: end) * 1_000) : nil
        }
        response.headers.add("Range", RangeHeader.npt(start: .microseconds(start), end: end).text)
        let beginnings = session.beginnings(sequence: beginning.sequence, rtpTime: beginning.rtpTime)
        if !beginnings.isEmpty { response.headers.add("RTP-Info", MSRTSPInfoHeader.text(beginnings)) }
        for field in reply.headers.fields { response.headers.add(field.name, field.value) }
        answer(response, of: session, on: connection)
    }

    // MARK: What a Play says

    private func wish(_ headers: RTSPHeaders, _ content: WMSPContent) throws(RequestRefusal) -> Wish {
        var wish = Wish()
        if content.features.contains(.stridable), let scale = headers.scale, scale != 0 { wish.rate = min(max(scale, -5), 5) }
        if headers.contains("Scale"), wish.rate == nil { wish.rate = 1 }
        if !content.features.contains(.broadcast), let speed = headers.speed { wish.speed = min(max(speed, 1), max(settings.speedMax, 1)) }
        if let text = headers["X-RTP-Info"] {
            do throws(RTSPHeaderError) { wish.kept = try MSRTSPInfoHeader.parse(text).map(\.url) } catch {
                throw .headerMalformed("X-RTP-Info", "\(error)")
            }
        }
        guard let text = headers["Range"] else { return wish }
        wish.hasRange = true
        let range: MSRTSPRange
        do throws(RTSPHeaderError) { range = try MSRTSPRange.parse(text) } catch { throw .rangeInvalid("\(error)") }
        switch range {
        case .packets(let first, _): wish.position = first == 0 ? .beginning : .packet(first)
        case .bytes(let first, _):
            // Offsets count in the file that a player would have got.
            let head = UInt64(clamping: content.header.bytes.count), size = UInt64(clamping: content.header.packetBytes)
            let packet = first > head && size > 0 ? (first - head) / size : 0
            wish.position = packet == 0 ? .beginning : .packet(packet)
        case .time(.npt(let start, let end)): try set(start, end, of: &wish, content)
        case .time(.smpte(_, let start, let end)):
            try set(
                start.map { .microseconds(Self.microseconds($0)) }, end.map { .microseconds(Self.microseconds($0)) }, of: &wish, content)
        case .time(.clock): throw .rangeInvalid("a range is npt=, smpte=, x-asf-packet= or x-asf-byte= here")
        }
        return wish
    }

    private func set(
        _ start: NormalPlayTime?, _ end: NormalPlayTime?, of wish: inout Wish, _ content: WMSPContent
    ) throws(RequestRefusal) {
        let isLive = content.features.contains(.broadcast)
        var first: UInt32 = 0
        if case .microseconds(let micros)? = start, !isLive {
            let length = content.header.file.contentMilliseconds ?? .max
            guard let milliseconds = UInt32(exactly: micros / 1_000), UInt64(milliseconds) <= length else {
                throw .rangeInvalid("it begins behind the end of what is played")
            }
            first = milliseconds
        }
        wish.position = first == 0 ? .beginning : .time(milliseconds: first)
        guard case .microseconds(let micros)? = end, !isLive, let last = UInt32(exactly: micros / 1_000) else { return }
        let isBackwards = (wish.rate ?? 1) < 0
        guard isBackwards ? last <= first : last > first else { throw .rangeInvalid("it ends before it begins") }
        wish.end = .absolute(milliseconds: last)
    }

    private static func microseconds(_ time: SMPTETime) -> Int64 {
        let seconds = Int64(time.hours) * 3_600 + Int64(time.minutes) * 60 + Int64(time.seconds)
        return seconds * 1_000_000 + Int64(time.frames) * 1_000_000 / 30
    }

    /// What of `X-Accelerate-Streaming` or `X-Burst-Streaming` is granted, and what the answer says of it.
    private func fastStart(
        _ headers: RTSPHeaders, _ content: WMSPContent, _ play: MSRTSPPlay, _ answer: inout RTSPHeaders
    ) -> WMSPPlay.FastStart? {
        let millisecondsMax = min(settings.fastStartMillisecondsMax, content.fastStartMillisecondsMax ?? .max)
        guard play.rate == 1, millisecondsMax > 0 else { return nil }
        if let asked = headers.burst, asked.bitsPerSecond > 0, asked.milliseconds > 0, settings.burstBitsPerSecondMax > 0 {
            let granted = MSRTSPRate(
                milliseconds: min(asked.milliseconds, millisecondsMax),
                bitsPerSecond: min(asked.bitsPerSecond, settings.burstBitsPerSecondMax))
            answer.add("X-Burst-Streaming", granted.burstText)
            return .init(bitsPerSecond: granted.bitsPerSecond, milliseconds: granted.milliseconds)
        }
        if let asked = headers.acceleration, asked.bitsPerSecond > 0, asked.milliseconds > 0, settings.accelerationBitsPerSecondMax > 0 {
            let twice = UInt32(clamping: min(content.header.bitrate(of: play.selection.streams), 1 << 31) * 2)
            let granted = MSRTSPRate(
                milliseconds: min(asked.milliseconds, millisecondsMax),
                bitsPerSecond: min(asked.bitsPerSecond, max(settings.accelerationBitsPerSecondMax, twice)))
            answer.add("X-Accelerate-Streaming", granted.accelerationText)
            return .init(bitsPerSecond: granted.bitsPerSecond, milliseconds: granted.milliseconds)
        }
        return nil
    }

    /// What a Play wants to know of the content's beginning (`X-StartupProfile`): which streams, from where, and how much of them; nil where
    /// it does not say that it understands it, or is not sent anything faster.
    package func startupWish(of request: MSRTSPRequest, content: WMSPContent) -> WMSPStartupWish? {
        guard request.kind == .play, case .id(let id) = request.session, var session = sessions[id], content.skipsTo.isEmpty,
            (request.supported ?? session.features).contains(.startupProfile), let wish = try? wish(request.message.headers, content),
            (wish.rate ?? 1) == 1
        else { return nil }
        keepSelected(&session, wish)
        var copy = self
        guard let play = copy.makePlay(&session, position: wish.position) else { return nil }
        var unsaid = RTSPHeaders()
        guard let fast = fastStart(request.message.headers, content, play, &unsaid) else { return nil }
        return WMSPStartupWish(selection: play.selection, position: wish.position ?? .beginning, milliseconds: fast.milliseconds)
    }
}

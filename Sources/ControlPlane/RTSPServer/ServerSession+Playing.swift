import NIOCore
import PlaneLink
import Signalling
import WireFormats

extension ServerSession {
    /// PLAY. `reply` is called once, now or when the first packet is known.
    func play(_ reply: @escaping PlayReply) {
        do {
            switch try machine.play() {
            case .start:
                pendingPlay = reply
                start()
            case .none, .go, .stop, .record, .end: reply(.success([])) {}
            }
        } catch { reply(.failure(RequestRefusal(error, method: .play))) {} }
    }

    /// Finds the first packet for the tracks as they are now.
    func start() {
        if let replay {
            // A track of several was torn down: the others go on.
            replay.tracksChanged(machine.tracks)
            _ = machine.joined()
            return
        }
        starts += 1
        let number = starts
        path.play().assumeIsolated().whenComplete { [self] result in
            guard machine.state == .starting, number == starts else { return }
            switch result {
            case .success(let current):
                // The stream that was set up is the one that plays, or `streamEnded` would have come.
                guard current.stream == description.stream else { return end(.streamEnded) }
                switch machine.kind {
                case .interleaved: attachInterleaved(number)
                case .multicast: joinGroup(number)
                case .datagram, nil: attachDatagrams()
                }
            case .failure(let error): startFailed(RequestRefusal(pathError: error))
            }
        }
    }

    private func attachDatagrams() {
        do {
            if subscription == nil || subscribedTracks != machine.tracks {
                subscription?.remove()
                subscription = nil
                var ports = PortMap()
                for track in machine.tracks {
                    guard case .datagram(let rtp, let rtcp) = track.transport else { continue }
                    ports[2 * track.number] = rtp
                    ports[2 * track.number + 1] = rtcp
                }
                adopt(try .datagram(port: server.port, stream: description.stream, host: host, ports: ports))
            }
            arm()
        } catch { startFailed(.unavailable("\(error)", retryAfterSeconds: 1)) }
    }

    private func attachInterleaved(_ number: Int) {
        var channels = ChannelMap()
        for track in machine.tracks {
            guard case .interleaved(let rtp, let rtcp) = track.transport else { continue }
            channels[2 * track.number] = rtp
            channels[2 * track.number + 1] = rtcp
        }
        if let subscription {
            guard subscribedTracks == machine.tracks || (subscription.pause() && subscription.setChannels(channels)) else {
                return startFailed(.unavailable("the engine is busy", retryAfterSeconds: 1))
            }
            subscribedTracks = machine.tracks
            return arm()
        }
        guard let connection else { return end(.connectionClosed) }
        // What NIO still holds must leave before the engine writes its first byte.
        connection.whenFlushed { [self] in
            guard machine.state == .starting, number == starts else { return }
            do {
                let descriptor = try connection.duplicateDescriptor()
                adopt(
                    try .interleaved(port: server.port, stream: description.stream, descriptor: descriptor, channels: channels))
                if let subscription { connection.handWritesOver(to: subscription) }
                arm()
            } catch { startFailed(.unavailable("\(error)", retryAfterSeconds: 1)) }
        }
    }

    /// The group is the path's: what the engine sends there serves all its sessions.
    private func joinGroup(_ number: Int) {
        guard let group = path.multicast else { return end(.streamEnded) }
        do {
            try group.play(
                self, stream: description.stream, failed: { [weak self] in self?.end(SessionEnd($0)) },
                joined: { [weak self] point in
                    guard let self, machine.state == .starting, number == starts else { return }
                    joined(at: point)
                })
        } catch { startFailed(.unavailable("\(error)", retryAfterSeconds: 1)) }
    }

    private func adopt(_ new: Subscription) {
        subscription = new
        subscribedTracks = machine.tracks
        if let overload { new.setOverload(overload) }
        // Nothing is heard of one that was removed, and the one before always is: these are the news of `subscription`.
        new.onJoined = { [weak self] point in self?.joined(at: point) }
        new.onFailed = { [weak self] failure in
            guard let self else { return }
            server.readerFailed(self, failure)
            end(SessionEnd(failure))
        }
        new.onLagged = { [weak self] cause, packets in
            guard let self else { return }
            server.readerLagged(self, cause, packets: packets)
        }
    }

    private func arm() {
        guard subscription?.arm(now: false) == true else { return startFailed(.unavailable("the engine is busy", retryAfterSeconds: 1)) }
        keyFrameDeadline = .now() + .milliseconds(server.keyFrameWaitMilliseconds)
    }

    private func startFailed(_ refusal: RequestRefusal) {
        machine.startFailed()
        keyFrameDeadline = nil
        let reply = pendingPlay
        pendingPlay = nil
        reply?(.failure(refusal)) {}
    }

    private func joined(at point: JoinPoint) {
        guard machine.joined() == .go else { return }
        progressBegins(at: point)
        keyFrameDeadline = nil
        answerDeadline = nil
        answerPlay(at: point) { [weak self, starts] in
            // PAUSE or TEARDOWN may have come by another connection while the answer was on its way.
            guard let self, machine.state == .playing, starts == self.starts, let subscription else { return }
            if !subscription.go() { end(.queueFull) }
        }
    }

    private func answerPlay(at point: JoinPoint, _ onFlushed: @escaping () -> Void) {
        guard let reply = pendingPlay else { return onFlushed() }
        pendingPlay = nil
        let beginnings = machine.tracks.map { track in
            let start = point[track.number]
            return RTPInfo(url: track.url, sequence: start.isKnown ? start.sequence : nil, rtpTime: start.isKnown ? start.timestamp : nil)
        }
        reply(.success(beginnings), onFlushed)
    }

    /// Looks at the session's deadlines.
    func sweep(now: NIODeadline) {
        if let deadline = keyFrameDeadline, now >= deadline {
            // Better a picture that builds up than none: some streams have no key frames that we know.
            keyFrameDeadline = nil
            if subscription?.arm(now: true) != true { return end(.queueFull) }
            answerDeadline = now + .milliseconds(server.keyFrameWaitMilliseconds)
        }
        if let deadline = answerDeadline, now >= deadline {
            // Not a single packet came: the client hears that it plays, and gets what comes whenever it comes.
            answerDeadline = nil
            answerPlay(at: JoinPoint()) {}
        }
    }

    /// PAUSE.
    func pause() throws(RequestRefusal) {
        do {
            switch try machine.pause() {
            case .stop: if let replay { replay.pause() } else { stop() }
            case .none, .start, .go, .record, .end: break
            }
        } catch { throw RequestRefusal(error, method: .pause) }
    }

    private func stop() {
        starts += 1
        keyFrameDeadline = nil
        answerDeadline = nil
        path.multicast?.leave(self)
        if let subscription, !subscription.pause() { return end(.queueFull) }
        let reply = pendingPlay
        pendingPlay = nil
        reply?(.failure(.notNow(.play, "PAUSE came in between"))) {}
    }
}

extension LagCause {
    /// What happened, for the log.
    var words: String {
        switch self {
        case .socketFull: "a send buffer stayed full: the reader, or the way to it, is too slow"
        case .ringOverrun: "what it had not taken yet left the path's window"
        case .policy: "it was further behind than the path's lag-time or lag-bytes allows"
        case .kernelRefusal: "the system refused to send to its address"
        }
    }
}

extension SessionEnd {
    /// How the engine's reason is counted.
    init(_ failure: SubscriberFailure) {
        switch failure {
        case .stalled: self = .stalled
        case .connectionLost: self = .connectionLost
        case .queueFull: self = .queueFull
        case .tooSlow: self = .tooSlow
        }
    }
}

extension RequestRefusal {
    /// What a path refuses, as an answer.
    init(pathError error: any Error, method: RTSPMethod = .describe) {
        guard let error = error as? PathError else {
            self = .unavailable("\(error)", retryAfterSeconds: 5)
            return
        }
        self =
            switch error {
            case .notFound, .removed, .notPublished, .notRTP: .notFound(error.description)
            case .loop(let words): .loop(words)
            case .notReady(let words, let seconds): .unavailable(words, retryAfterSeconds: seconds)
            case .readOnly: .methodNotAllowed(method, error.description)
            case .alreadyPublished: .forbidden(error.description)
            case .refused(let words): .unavailable(words, retryAfterSeconds: 5)
            }
    }
}

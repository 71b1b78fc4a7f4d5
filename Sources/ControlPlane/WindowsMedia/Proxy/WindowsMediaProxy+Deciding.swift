import NIOCore
import Signalling
import WireFormats

/// How a request is met: what is known is gathered, ``ProxyDecision`` says what to do, and that is done.
extension WindowsMediaProxy {
    /// Looks what is kept, then decides.
    func look(_ resolution: ProxyResolution, _ path: Path) {
        resolution.hasLooked = true
        if object?.isOfUse != true { object = keys.lazy.compactMap { [parts] in parts.commons.shelf[$0] }.first { $0.isOfUse } }
        if let object {
            resolution.stored = object.state
            return decide(resolution, path)
        }
        guard let desk = parts.commons.desk, !keys.isEmpty, parts.policy.keeping != .nothing else { return decide(resolution, path) }
        let texts = keys.map(\.url)
        desk.reading { store -> (record: CacheRecord, list: FoundList?)? in
            for text in texts {
                guard let record = try store.find(text) else { continue }
                if record.kind == .asf { return (record, nil) }
                if record.kind == .list, let list = try Self.find(record, in: store) { return (record, list) }
            }
            return nil
        }.assumeIsolated().whenComplete { [weak self] result in
            guard let self else { return }
            switch result {
            case .success(let found?) where found.list != nil:
                isFailing = false
                guard let list = found.list, let kept = situation(found.record, list) else { break }
                resolution.storedRecord = found.record
                resolution.storedList = kept.list
                resolution.stored = kept.object
            case .success(let found):
                isFailing = false
                resolution.storedRecord = found?.record
                resolution.stored = (found?.record).map {
                    ProxySituation.Object(
                        facts: OriginFacts($0.facts), extent: $0.isWhole ? .whole : $0.ranges.isEmpty ? .empty : .partial)
                }
            case .failure(let error): cacheFails(error)
            }
            decide(resolution, path)
        }
    }

    func cacheFails(_ error: any Error) {
        if !isFailing { logger.warning("the cache cannot be used just now", metadata: ["why": "\(error)"]) }
        isFailing = true
    }

    private func situation(_ resolution: ProxyResolution) -> ProxySituation {
        ProxySituation(
            policy: parts.policy, role: role(resolution), stored: resolution.stored, origin: resolution.origin,
            room: parts.commons.desk == nil || keys.isEmpty ? .none : isFailing ? .failing : .disk,
            mayForward: resolution.ask?.mayForward ?? true, now: CacheClock.now())
    }

    /// A shared connection if there is one, else one without a player, else a private one.
    func role(_ resolution: ProxyResolution) -> ProxySituation.Role {
        guard resolution.authorization == nil, let role = chosenRole else { return .none }
        let players = role.isIdle ? 0 : max(role.players + role.pull.waiting.count, 1)
        return .receiving(role.facts, players: players, isPrivate: role.isPrivate)
    }

    func decide(_ resolution: ProxyResolution, _ path: Path) {
        resolution.steps += 1
        guard resolution.steps <= ProxyResolution.stepsMax else {
            return refuse(resolution, ProxyRefusal.refused(status: 502, "the origin does not make up its mind"))
        }
        let decision = ProxyDecision.decide(situation(resolution))
        leaveFailing(decision, resolution)
        logger.debug(
            "decided",
            metadata: ["action": "\(decision.action)", "outcome": "\(decision.outcome?.words ?? "-")", "discards": "\(decision.discards)"])
        if decision.discards { discard(resolution, decision) }
        let outcome = decision.outcome ?? ProxyOutcome(.bypass, "")
        switch decision.action {
        case .ask(.contentInfo): if mayTry(resolution) { tryLive(resolution, path) } else { ask(resolution, path) }
        case .ask(.describe): describe(resolution, path)
        case .awaitRole, .join: join(resolution, path)
        case .open(let sharing): open(sharing, decision.facts, outcome, resolution, path)
        case .serve: serve(decision, outcome, resolution, path)
        case .keep(let place): keep(place, decision, outcome, resolution, path)
        case .relay(let credentials): relay(credentials, decision, outcome, resolution, path)
        case .redirect:
            path.readersRedirected += resolution.waiters.count
            logger.info(
                "players are sent to the origin",
                metadata: ["players": "\(resolution.waiters.count)", "why": "\(decision.reason?.rawValue ?? "")"])
            refuse(resolution, ProxyRefusal.moved(parts.route.origin))
        case .refuse(504) where mayWait(resolution, path): wait(resolution, path)
        case .refuse(let status):
            refuse(resolution, ProxyRefusal.refused(status: status, "the origin: \(decision.reason?.rawValue ?? "") \(lastWords)"))
        }
    }

    /// A shared connection that failed is of no use where the origin says that it has something else now.
    private func leaveFailing(_ decision: ProxyDecision, _ resolution: ProxyResolution) {
        switch (resolution.origin, decision.action) {
        case (_, .ask), (_, .open(.shared)), (_, .join), (_, .awaitRole), (.notAsked, _), (.doesNotSay, _), (.unreachable, _): break
        default: failingRole?.release("the origin has something else now")
        }
    }

    // MARK: What is asked

    private func ask(_ resolution: ProxyResolution, _ path: Path) {
        let call = call(for: resolution.ask, resolution.authorization, isCache: true)
        resolution.question = OriginQuestion.ask(origin, call, tools, means: .contentInfo) { [weak self] reply in
            resolution.question = nil
            guard let self else { return }
            answered(reply, resolution)
            decide(resolution, path)
        }
    }

    /// Nothing is to be kept, so what the origin would say of that decides nothing: a source of which nothing is known is taken as live until
    /// its description says otherwise. Encoders that bear one connection alone would not outlive a question.
    private func mayTry(_ resolution: ProxyResolution) -> Bool {
        guard !isKnown, !resolution.hasTried, resolution.authorization == nil, parts.route.ways.count == 1, case .http = parts.route.ways[0]
        else { return false }
        return !keepsAnything
    }

    /// Players of what is not kept wait for their source a while, as for any other.
    private func mayWait(_ resolution: ProxyResolution, _ path: Path) -> Bool {
        guard case .unreachable = resolution.origin, !keepsAnything, parts.policy.isConfigured, !resolution.waiters.isEmpty else {
            return false
        }
        let waited = NIODeadline.now() - resolution.began + .milliseconds(Self.retryMilliseconds)
        return waited < .milliseconds(Int64(path.settings.sourceWaitMilliseconds))
    }

    private func wait(_ resolution: ProxyResolution, _ path: Path) {
        let timer = LoopTimer(eventLoop)
        resolution.retry = timer
        timer.start(milliseconds: Int(Self.retryMilliseconds)) { [weak self] in
            guard let self else { return }
            resolution.origin = .notAsked
            resolution.hasTried = false
            resolution.steps = 0
            if resolution.waiters.isEmpty { _ = finish(resolution) } else { decide(resolution, path) }
        }
    }

    private static var retryMilliseconds: Int64 { 1_000 }

    /// Something of this source may be kept.
    private var keepsAnything: Bool { parts.commons.desk != nil && parts.policy.keeping != .nothing }

    func tryLive(_ resolution: ProxyResolution, _ path: Path) {
        resolution.hasTried = true
        let facts = OriginFacts(dialect: .wmsp, saidAt: CacheClock.now())
        let outcome = ProxyOutcome(.split, facts.splitting(parts.policy).reason.rawValue)
        let role =
            failingRole
            ?? LiveRole(facts: facts, isPrivate: false, outcome: outcome, host: host, on: eventLoop) { [parts] in
                parts.makePull($0, nil)
            }
        resolution.trial = role
        role.onTried = { [weak self] said, isTaken in
            resolution.trial = nil
            guard let self, isTaken else {
                role.release(said == nil ? "the origin cannot be had" : "the origin has something else now")
                self?.isKnown = said != nil
                // Who does not answer has nothing to say to a question, either.
                if said == nil, !role.pull.wasAnswered { resolution.origin = .unreachable }
                self?.decide(resolution, path)
                return
            }
            add(role)
            for waiter in finish(resolution) { give(role, waiter, path) }
        }
        role.attempt(parts.policy)
    }

    private func answered(_ reply: OriginReply, _ resolution: ProxyResolution) {
        switch reply {
        case .says(let statement):
            resolution.origin = .says(OriginFacts(statement, isPlayers: resolution.authorization != nil))
            lastWords = "asked"
        case .challenged(let challenge):
            resolution.challenge = challenge
            resolution.origin = .challenges
            lastWords = "it wants to know who asks"
        case .redirected(let words):
            resolution.origin = .refuses(status: 502)
            lastWords = words
        case .refused(let status, let words):
            // What it does not know is asked by Describe, which it must know.
            resolution.origin =
                [400, 404, 405, 415, 501].contains(status) && resolution.stored == nil ? .doesNotSay : .refuses(status: status)
            lastWords = words
        case .plain(let words):
            resolution.origin = .refuses(status: 415)
            lastWords = words
            if host?.sourceTurnsOut(windowsMedia: false) == true { return }
        case .unreachable(let words):
            resolution.origin = .unreachable
            lastWords = words
        }
        switch resolution.origin {
        case .says: host?.sourcePlays()
        // That is between it and the player.
        case .challenges, .doesNotSay: break
        default: host?.sourceFailed(lastWords)
        }
    }

    /// Describes the content in a session that can play it, too.
    private func describe(_ resolution: ProxyResolution, _ path: Path) {
        guard resolution.opened == nil else {
            return refuse(resolution, ProxyRefusal.refused(status: 502, "what the origin describes is not clear"))
        }
        openSession(for: resolution.ask, resolution.authorization, isCache: true) { [weak self] play, opened in
            guard let self else { return }
            switch opened {
            case .described(let description):
                resolution.opened = (play, description)
                let said = OriginFacts(description, isPlayers: resolution.authorization != nil)
                if case .says(let before) = resolution.origin {
                    resolution.origin = .says(before.updated(by: said))
                } else {
                    resolution.origin = .says(said)
                }
            case .ended(let end):
                let reply = OriginReply(end)
                answered(reply, resolution)
                // There is no other way to ask.
                if resolution.origin == .doesNotSay, case .refused(let status, _) = reply { resolution.origin = .refuses(status: status) }
            }
            decide(resolution, path)
        }
    }

    /// Opens a session with the origin; it is kept until `done` was called.
    func openSession(
        for ask: ProxyAsk?, _ authorization: String?, isCache: Bool,
        _ done: @escaping (ObjectPlay, ObjectPlay.Opened) -> Void
    ) {
        let play = ObjectPlay(id: nextPlayNumber())
        play.onOpened = { opened in done(play, opened) }
        play.open { OriginPlay(origin, call(for: ask, authorization, isCache: isCache), tools, owner: $0) }
    }

    // MARK: What is given

    /// What nobody new is given any more.
    private func discard(_ resolution: ProxyResolution, _ decision: ProxyDecision) {
        // What another path made of it meanwhile is another version.
        let id = resolution.storedRecord?.id ?? object?.stored?.id
        resolution.stored = nil
        resolution.storedRecord = nil
        resolution.storedList = nil
        list?.outdate("the origin says so")
        list = nil
        if let object {
            // Who plays it has nothing to fear of a permission that is gone; of another version nothing fits.
            let isAnother = if case .says(let facts) = resolution.origin { !object.facts.isSameVersion(as: facts) } else { false }
            if isAnother { object.fill.changed("the origin says so") } else { object.fill.letGo(decision.reason?.rawValue ?? "") }
            self.object = nil
        }
        guard let desk = parts.commons.desk, let id else { return }
        let texts = keys.map(\.url)
        desk.writing { store in for text in texts { try store.remove(text, id: id, because: .changed) } }.assumeIsolated().whenFailure {
            [weak self] in self?.cacheFails($0)
        }
    }

    func finish(_ resolution: ProxyResolution) -> [ProxyResolution.Waiter] {
        if shared === resolution { shared = nil }
        if let opened = resolution.opened {
            resolution.opened = nil
            opened.play.leave()
        }
        return resolution.takeWaiters()
    }

    func refuse(_ resolution: ProxyResolution, _ error: any Error) {
        let error = (error as? ProxyRefusal).map(parts.onRefused) ?? error
        for waiter in finish(resolution) { waiter.done(.failure(error)) }
        tidy()
    }

    func give(_ object: ProxiedObject, _ outcome: ProxyOutcome, _ resolution: ProxyResolution) {
        for waiter in finish(resolution) { give(object, outcome, waiter) }
        object.fill.onChange(self) { [weak self] in self?.tidy() }
        host?.sourcePlays()
    }

    func give(_ object: ProxiedObject, _ outcome: ProxyOutcome, _ waiter: ProxyResolution.Waiter) {
        object.fill.ask = waiter.ask
        remember(waiter.ask, .object(object, outcome))
        waiter.done(.success(.file(object.file(outcome, for: waiter.ask.dialect, on: eventLoop))))
    }

    private func serve(_ decision: ProxyDecision, _ outcome: ProxyOutcome, _ resolution: ProxyResolution, _ path: Path) {
        if resolution.storedList != nil { return serveList(decision, outcome, resolution, path) }
        let isAsked = if case .says = resolution.origin { true } else { false }
        if let object, object.isOfUse {
            if isAsked, let facts = decision.facts { renew(object, facts) }
            return give(object, outcome, resolution)
        }
        guard let desk = parts.commons.desk, let record = resolution.storedRecord else {
            resolution.stored = nil
            return decide(resolution, path)
        }
        let key = record.key
        desk.reading { store in try store.open(key) as CacheObject? }.assumeIsolated().whenComplete { [weak self] result in
            guard let self else { return }
            let opened: CacheObject?
            switch result {
            case .success(let object): opened = object
            case .failure(let error):
                cacheFails(error)
                opened = nil
            }
            let head = opened?.head ?? []
            guard let opened, opened.id == record.id, let header = try? ASFHeader(head.span), header.packetBytes == opened.unitBytes else {
                // It went meanwhile, or is no ASF file.
                resolution.stored = nil
                resolution.storedRecord = nil
                return decide(resolution, path)
            }
            let facts = decision.facts ?? OriginFacts(opened.facts)
            let object = makeObject(
                header, opened.units.flatMap { UInt32(exactly: $0) }, facts, stored: opened, nil, isPrivate: false, nil, nil)
            keep(object)
            if isAsked { renew(object, facts) }
            give(object, outcome, resolution)
        }
    }

    /// Whoever comes is given it from now on, by other paths, too.
    private func keep(_ object: ProxiedObject) {
        self.object = object
        if let key = object.stored?.key { parts.commons.shelf.put(object, key) }
    }

    /// The origin said that it is what it was.
    private func renew(_ object: ProxiedObject, _ facts: OriginFacts) {
        object.facts = facts
        guard let stored = object.stored, let desk = parts.commons.desk else { return }
        let id = stored.id, kept = facts.kept
        desk.writing { store in _ = try store.validate(id: id, kept) }.assumeIsolated().whenFailure { [weak self] in self?.cacheFails($0) }
    }

    /// An object with what brings it.
    func makeObject(
        _ header: ASFHeader, _ count: UInt32?, _ facts: OriginFacts, stored: CacheObject?, _ description: OriginPlay.Description?,
        isPrivate: Bool, _ own: (ask: ProxyAsk, authorization: String?)?, _ share: ProxyMemory.Share?, entry: OriginEntry? = nil
    ) -> ProxiedObject {
        let settings = parts.settings.cache, origin = origin, tools = tools
        let call = call(for: own?.ask, own?.authorization, isCache: !isPrivate)
        let order = ObjectFill.Order(
            header: header, packetCount: count, object: stored, desk: stored == nil ? nil : parts.commons.desk,
            memory: isPrivate ? .window(ObjectFill.windowBytesMax) : share.map { .share($0) } ?? .common(parts.commons.memory),
            sessionsMax: isPrivate ? 1 : settings.fillSessionsMax,
            leaving: settings.fill.leaving, sharesOperators: parts.policy.sharesOperators, counts: parts.commons.counts, logger: logger,
            makePlay: { OriginPlay(origin, call.asked(by: $0), tools, entry: entry, owner: $1) })
        let fill = ObjectFill(order, on: eventLoop)
        fill.ask = own?.ask
        fill.onBrought = { [weak self] in self?.host?.sourceBrought($0) }
        return ProxiedObject(
            facts: facts, fill: fill, stored: stored, packetCount: count,
            features: description?.statement.features, metadata: description?.metadata, isPrivate: isPrivate, origin: parts.route.origin)
    }

    private func keep(
        _ place: ProxyDecision.Place, _ decision: ProxyDecision, _ outcome: ProxyOutcome, _ resolution: ProxyResolution, _ path: Path
    ) {
        let outcome = resolution.miss ?? outcome
        resolution.miss = outcome
        if decision.facts?.kind == .playlist { return keepList(decision, outcome, resolution, path) }
        // What is kept has to be described; then it may look otherwise.
        guard let opened = resolution.opened, let facts = decision.facts else { return describe(resolution, path) }
        let description = opened.description
        if let unfit = description.unfit {
            logger.notice("it cannot be kept", metadata: ["why": "\(unfit)"])
            return relay(facts.credentials, decision, ProxyOutcome(.bypass, "unfit"), resolution, path)
        }
        guard place == .disk, let desk = parts.commons.desk, let key = key(for: facts) else {
            let packets = (description.packetCount.map(Int.init) ?? 0) + 1, bytes = packets * description.header.packetBytes
            guard let share = parts.commons.memory.share(bytes, least: bytes) else {
                return relay(facts.credentials, decision, ProxyOutcome(.bypass, ProxyReason.noStore.rawValue), resolution, path)
            }
            return adopt(opened, description, facts, stored: nil, outcome, resolution, share)
        }
        // Another path may have it from the same place at the same time.
        let shelf = parts.commons.shelf
        let mayMake = shelf.begins(key) { [weak self] in
            guard let self else { return opened.play.leave() }
            guard let other = shelf[key], other.isOfUse, other.fill.header.bytes == description.header.bytes else {
                return keep(place, decision, outcome, resolution, path)
            }
            object = other
            give(other, outcome, resolution)
        }
        guard mayMake else { return }
        let header = description.header
        let order = CacheDescription(
            key: key.url, kind: .asf, url: parts.route.origin, head: header.bytes, unitBytes: header.packetBytes,
            units: description.packetCount.map(Int.init), facts: facts.kept)
        desk.writing { store in try store.create(order) }.assumeIsolated().whenComplete { [weak self] result in
            // Other paths wait for it, also where this one is gone.
            defer { shelf.made(key) }
            guard let self else { return opened.play.leave() }
            switch result {
            case .success(let stored): adopt(opened, description, facts, stored: stored, outcome, resolution)
            case .failure(let error):
                logger.warning("it is not kept", metadata: ["why": "\(error)"])
                let reason = (error as? CacheTrouble)?.kind == .tooLarge ? "too-large" : "cache-full"
                relay(facts.credentials, decision, ProxyOutcome(.bypass, reason), resolution, path)
            }
        }
    }

    /// The key of the protocol by which it came.
    func key(for facts: OriginFacts) -> CacheKey? {
        keys.first { facts.dialect == .wmsp ? $0.scheme == .mmsh : $0.scheme != .mmsh } ?? keys.first
    }

    private func adopt(
        _ opened: (play: ObjectPlay, description: OriginPlay.Description), _ description: OriginPlay.Description, _ facts: OriginFacts,
        stored: CacheObject?, _ outcome: ProxyOutcome, _ resolution: ProxyResolution, _ share: ProxyMemory.Share? = nil
    ) {
        let object = makeObject(
            description.header, description.packetCount, facts, stored: stored, description, isPrivate: false, nil, share)
        keep(object)
        resolution.opened = nil
        object.fill.adopt(opened.play)
        give(object, outcome, resolution)
    }
}

extension OriginReply {
    /// How a session ended before it described anything.
    init(_ end: OriginPlay.End) {
        self =
            switch end {
            case .challenged(let challenge): .challenged(challenge)
            case .redirected(let words): .redirected(words)
            case .refused(let status, let words): .refused(status: status, words)
            case .plain(let words): .plain(words)
            case .unreachable(let words): .unreachable(words)
            case .changed(let words), .lying(let words): .refused(status: 502, words)
            }
    }
}

extension ProxyRefusal {
    /// Why a session did not come about.
    init(_ end: OriginPlay.End) {
        self =
            switch end {
            case .challenged(let challenge): .challenged(challenge.lines)
            case .redirected(let words), .changed(let words), .lying(let words): .refused(status: 502, words)
            case .refused(let status, let words): .refused(status: status, words)
            case .plain(let words): .refused(status: 415, words)
            case .unreachable(let words): .refused(status: 504, words)
            }
    }
}

extension PathCacheSettings.Fill {
    /// In the planner's words.
    var leaving: FillPlanner.Leaving {
        switch self {
        case .auto: .auto
        case .finish: .finish
        case .stop: .stop
        }
    }
}

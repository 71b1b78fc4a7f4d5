import NIOCore
import PlaneLink
import Signalling
import WireFormats

/// What carries a live play to its player.
protocol LiveLine: AnyObject {
    /// Runs `body` when all that goes before the media was written; never if the player goes before.
    func whenFree(_ body: @escaping () -> Void)
    /// A reader of that class, which is sent nothing yet.
    func subscribe(to variant: WindowsMediaVariant) throws -> Subscription
    /// From here on all that goes the media's way is written by the engine, which is given it by `send`; what is given calls back when it left.
    func handWritesOver(to send: @escaping (_ bytes: [UInt8], _ onLeft: @escaping () -> Void) -> Bool)
    /// The engine has been told to let go: what is written waits for ``writesReturned()``.
    func writesReturn()
    /// The engine let go.
    func writesReturned()
    /// Runs `body` when nothing waits to be written any more, or never will.
    func whenOver(_ body: @escaping () -> Void)
    /// The player has to come again: at once, or after what was written.
    func close()
    func drain()
}

/// One player of a broadcast: a reader in the engine that is sent the bytes of its selection. Belongs to the event loop.
///
/// Another selection is another stream of the engine. The player goes over to it at a packet with which that can be entered: what it reads
/// ends before that packet, a second reader of the same socket begins with it, and goes when the first has nothing left to send.
final class LivePlay {
    /// A reader in the engine, and whose bytes it sends.
    private struct Feed {
        let variant: WindowsMediaVariant
        let subscription: Subscription
    }

    /// On the way from one reader to the next.
    private struct Crossing {
        let next: Feed
        var hasLeft = false
        var hasJoined = false
        /// What the protocol has to say meanwhile, each before the next reader's packet of a number.
        var words: [(bytes: [UInt8], packet: UInt32, onLeft: () -> Void)] = []
    }

    private enum Phase {
        /// For the connection to be free.
        case waiting
        /// For a packet with which it can begin.
        case joining
        case playing
        /// Sent nothing until something is selected.
        case held
        case crossing(Crossing)
    }

    private let fastStart: WMSPPlay.FastStart?
    private let kind: WindowsMediaClass
    private let broadcast: WindowsMediaBroadcast
    private let connection: any LiveLine
    private let port: EnginePort
    private var phase = Phase.waiting
    private var feed: Feed?
    /// The selection that it waits to be able to enter.
    private var target: WindowsMediaVariant?
    private var selection: WMSPSelection
    private var isHeld = false
    private var onEnd: ((String?) -> Void)?
    private var keyFrameDeadline: NIODeadline?
    private var isOver = false
    private(set) var packetsMissed: UInt64 = 0
    /// The first packet that it will be sent, until it is sent media: what is said before stands before that.
    private var beginning: UInt32?
    /// Where it begins is known, and nothing was sent yet, nor is before ``go()``; nil: it goes at once.
    var onBegin: ((_ variant: WindowsMediaVariant, _ packet: UInt32) -> Void)?
    /// It missed packets.
    var onLagged: ((LagCause, UInt32) -> Void)?

    /// How long a key frame is waited for before anything will do.
    static let keyFrameWaitSeconds: Int64 = 10

    /// A play that sends nothing yet.
    init(
        _ kind: WindowsMediaClass, fastStart: WMSPPlay.FastStart?, broadcast: WindowsMediaBroadcast, connection: any LiveLine,
        port: EnginePort
    ) {
        self.kind = kind
        selection = kind.selection
        self.fastStart = fastStart
        self.broadcast = broadcast
        self.connection = connection
        self.port = port
    }

    /// What it is sent just now: the class, and the reader in the engine. Nil before it is sent anything, and after the end.
    var sent: (variant: WindowsMediaVariant, subscription: Subscription)? { feed.map { ($0.variant, $0.subscription) } }

    /// The sequence number behind all that came for it until now; nil where there are none.
    var nextSequence: UInt16? {
        var variant = feed?.variant
        if case .crossing(let crossing) = phase { variant = crossing.next.variant }
        variant?.flush()
        return variant?.nextSequence
    }

    /// Sends from the next place on at which it can begin. `onEnd` is called once if the broadcast, or the engine's patience, ends.
    func start(onEnd: @escaping (_ failure: String?) -> Void) {
        self.onEnd = onEnd
        broadcast.addObserver(self)
        // What NIO still holds must leave before the engine writes its first byte.
        connection.whenFree { [weak self] in self?.attach() }
    }

    private func attach() {
        guard !isOver else { return }
        do {
            let feed = try makeFeed(try firstVariant())
            self.feed = feed
            phase = .joining
            take(over: feed)
            if let fast = fastStart {
                feed.subscription.setBurst(
                    nanoseconds: UInt64(fast.milliseconds) * 1_000_000, bitsPerSecondMax: UInt64(fast.bitsPerSecond))
            }
            guard !isHeld else { return phase = .held }
            guard feed.subscription.arm(now: false) else { return fail("the engine is busy") }
            keyFrameDeadline = .now() + .seconds(Self.keyFrameWaitSeconds)
        } catch { fail("\(error)") }
    }

    private func firstVariant() throws -> WindowsMediaVariant {
        let wanted = feedKind(selection)
        guard case .promise? = wanted.origin else { return try broadcast.variant(wanted) }
        do throws(PathError) { return try broadcast.variant(wanted) } catch {
            // Without room for a class of its own its numbers leap.
            return try broadcast.variant(WindowsMediaClass(selection: selection, form: kind.form))
        }
    }

    private func feedKind(_ selection: WMSPSelection) -> WindowsMediaClass {
        selection == kind.selection ? kind : WindowsMediaClass(selection: selection, form: kind.form)
    }

    /// A reader that is sent nothing yet.
    private func makeFeed(_ variant: WindowsMediaVariant) throws -> Feed {
        variant.playerArrived()
        let subscription: Subscription
        do { subscription = try connection.subscribe(to: variant) } catch {
            variant.playerLeft()
            throw error
        }
        subscription.onJoined = { [weak self, weak subscription] (point: JoinPoint) in
            if let subscription { self?.joined(subscription, point) }
        }
        subscription.onFailed = { [weak self] (_: SubscriberFailure) in self?.connection.close() }
        subscription.onLagged = { [weak self] (cause: LagCause, packets: UInt32) in
            self?.packetsMissed += UInt64(packets)
            self?.onLagged?(cause, packets)
        }
        return Feed(variant: variant, subscription: subscription)
    }

    /// This reader writes from now on, and nobody else.
    private func take(over feed: Feed) {
        feed.subscription.onGone = { [connection] in connection.writesReturned() }
        // Bytes of the protocol go behind all packets that came until now.
        connection.handWritesOver { [weak self, subscription = feed.subscription, variant = feed.variant] bytes, onLeft in
            variant.flush()
            return subscription.send(bytes, before: self?.beginning ?? variant.packetsFed, onLeft: onLeft)
        }
    }

    private func joined(_ subscription: Subscription, _ point: JoinPoint) {
        guard !isOver else { return }
        switch phase {
        case .joining where subscription === feed?.subscription:
            keyFrameDeadline = nil
            phase = .playing
            guard let variant = feed?.variant, let onBegin else { return go() }
            self.onBegin = nil
            beginning = point[0].timestamp
            onBegin(variant, point[0].timestamp)
        case .crossing(var crossing) where subscription === crossing.next.subscription:
            crossing.hasJoined = true
            phase = .crossing(crossing)
            finishCrossing()
        case .waiting, .joining, .playing, .held, .crossing: break
        }
    }

    /// Sends from where it begins.
    func go() {
        guard !isOver, case .playing = phase, let feed else { return }
        if feed.subscription.go() { beginning = nil } else { fail("the engine is busy") }
    }

    // MARK: Other streams

    /// Other streams from where they can be entered, or the same again after ``hold()``.
    func select(_ selection: WMSPSelection) {
        guard !isOver, selection != self.selection || isHeld else { return }
        self.selection = selection
        let wasHeld = isHeld
        isHeld = false
        switch phase {
        case .waiting, .crossing: break
        case .joining, .playing, .held: aim(goesOn: !wasHeld)
        }
    }

    /// Waits for a packet with which the selection can be entered.
    private func aim(goesOn: Bool) {
        abandonTarget()
        do {
            let wanted = feed?.variant.next(selection) ?? feedKind(selection)
            let variant = try broadcast.variant(wanted)
            // It changed its mind before anything came of it.
            if goesOn, variant === feed?.variant { return }
            variant.playerArrived()
            target = variant
            broadcast.await(variant, for: self)
        } catch {
            // It keeps what it has; without anything to keep it has to come again.
            if !goesOn { connection.drain() }
        }
    }

    private func abandonTarget() {
        guard let target else { return }
        self.target = nil
        broadcast.forget(self)
        target.playerLeft()
    }

    /// The packet that comes next is one with which the awaited selection can be entered.
    func enter() {
        guard !isOver, let target, let feed else { return }
        self.target = nil
        defer { target.playerLeft() }
        guard target.goOn(from: feed.variant) else { return aim(goesOn: !isWaitingHeld) }
        let next: Feed
        do { next = try makeFeed(target) } catch { return aim(goesOn: !isWaitingHeld) }
        feed.variant.flush()
        target.flush()
        guard next.subscription.arm(at: target.packetsFed) else { return giveUp(next) }
        if case .joining = phase {
            keyFrameDeadline = nil
            _ = feed.subscription.pause()
        }
        let before = phase
        phase = .crossing(Crossing(next: next))
        let isTaken = feed.subscription.last(before: feed.variant.packetsFed) { [weak self] in
            guard let self, case .crossing(var crossing) = phase else { return }
            crossing.hasLeft = true
            phase = .crossing(crossing)
            finishCrossing()
        }
        guard isTaken else {
            phase = before
            return giveUp(next)
        }
        // Until it writes, only a refusal ends it: the player would wait for it for ever.
        next.subscription.onGone = { [connection] in connection.close() }
        let place = target
        connection.handWritesOver { [weak self] bytes, onLeft in
            guard let self, case .crossing(var crossing) = phase else { return false }
            place.flush()
            crossing.words.append((bytes, place.packetsFed, onLeft))
            phase = .crossing(crossing)
            return true
        }
    }

    /// It has nothing that goes on until the target is entered.
    private var isWaitingHeld: Bool { if case .held = phase { true } else { false } }

    /// The engine is busy: it goes over with a later packet.
    private func giveUp(_ next: Feed) {
        release(next)
        aim(goesOn: !isWaitingHeld)
    }

    private func finishCrossing() {
        guard !isOver, case .crossing(let crossing) = phase, crossing.hasLeft, crossing.hasJoined, let old = feed else { return }
        release(old)
        feed = crossing.next
        phase = .playing
        take(over: crossing.next)
        let subscription = crossing.next.subscription
        if isHeld {
            phase = .held
            _ = subscription.pause()
        }
        for one in crossing.words where !subscription.send(one.bytes, before: one.packet, onLeft: one.onLeft) { return connection.close() }
        guard isHeld || subscription.go() else { return fail("the engine is busy") }
        if !isHeld { aim(goesOn: true) }
    }

    private func release(_ feed: Feed) {
        feed.subscription.onGone = nil
        feed.subscription.remove()
        feed.variant.playerLeft()
    }

    /// An entry ended, and the player has not said what it wants: it is sent nothing more until ``select(_:)``.
    func hold() {
        isHeld = true
        abandonTarget()
        switch phase {
        case .waiting, .crossing, .held: break
        case .joining:
            keyFrameDeadline = nil
            _ = feed?.subscription.pause()
            phase = .held
        case .playing:
            guard let feed else { return }
            phase = .held
            feed.variant.flush()
            if !feed.subscription.last(before: feed.variant.packetsFed, onLeft: {}) { fail("the engine is busy") }
        }
    }

    func sweep(now: NIODeadline) {
        guard let deadline = keyFrameDeadline, now >= deadline else { return }
        // Better a picture that builds up than none: some streams have no key frames that we know.
        keyFrameDeadline = nil
        if feed?.subscription.arm(now: true) != true { fail("the engine is busy") }
    }

    private func fail(_ words: String) {
        let onEnd = onEnd
        self.onEnd = nil
        onEnd?(words)
    }

    /// Takes nothing more, and calls `done` when all has left that was taken, or never will.
    func finish(_ done: @escaping () -> Void) {
        onEnd = nil
        abandonTarget()
        guard !isOver, let feed, case .playing = phase else { return done() }
        feed.variant.flush()
        if !feed.subscription.last(before: feed.variant.packetsFed, onLeft: done) { done() }
    }

    /// Sends nothing more; what the connection is given from now on comes behind what was sent.
    func stop() {
        guard !isOver else { return }
        isOver = true
        onEnd = nil
        broadcast.removeObserver(self)
        abandonTarget()
        guard let feed else { return }
        self.feed = nil
        if case .crossing(let crossing) = phase {
            release(crossing.next)
            take(over: feed)
            for one in crossing.words {
                if !feed.subscription.send(one.bytes, before: feed.variant.packetsFed, onLeft: one.onLeft) { connection.close() }
            }
        }
        // What was begun is finished, and what follows in this turn leaves, before the engine lets go: a removal would cut it off.
        _ = feed.subscription.pause()
        port.eventLoop.assumeIsolated().execute { [connection] in
            connection.whenOver {
                connection.writesReturn()
                feed.subscription.remove()
                feed.variant.playerLeft()
            }
        }
    }
}

extension LivePlay: WindowsMediaBroadcastObserver {
    func broadcastEnded(_ reason: String) {
        let onEnd = onEnd
        self.onEnd = nil
        onEnd?(nil)
    }
}

import NIOCore
import Signalling
import WireFormats

/// Windows Media elsewhere that one way through a playlist pulls for an entry of its own: from where the server begins to where it ends. Belongs
/// to the event loop; whoever drops it lets go of the server.
///
/// It is opened before its turn, so what comes is kept until somebody sends it.
final class EntryPull {
    /// Packets that wait, with their numbers.
    private(set) var kept: [(packet: [UInt8], number: UInt32)] = []
    /// Nothing more comes; with the reason where that is no end.
    private(set) var end: PumpEnd?
    /// More came, or nothing more will.
    var onMore: (() -> Void)?

    private let pulls: PlaylistPulls
    private let timer: LoopTimer
    private var source: (any PathSource & WindowsMediaLive)?
    private var tap: Tap?
    private var done: ((Result<WindowsMediaBroadcast, PlaylistOpener.Trouble>) -> Void)?
    private var isCounted = true
    private var keptBytes = 0
    private var taken = 0

    /// Bytes that wait at most: a player that takes less than the server sends is told that it is over.
    static let keptBytesMax = 16 << 20
    /// So long the server has for its header, by each way in which it may be reached.
    static let openMilliseconds = 6_000

    fileprivate init(_ pulls: PlaylistPulls) {
        self.pulls = pulls
        timer = LoopTimer(pulls.eventLoop)
        pulls.running += 1
    }

    deinit {
        source?.stop {}
        leave()
    }

    fileprivate func open(_ url: WMSPSourceURL, _ done: @escaping (Result<WindowsMediaBroadcast, PlaylistOpener.Trouble>) -> Void) {
        self.done = done
        source = pulls.make(url, self)
        guard let source else { return fail("\(url) cannot be pulled here") }
        let ways = WindowsMediaRoute(url).ways.count
        timer.start(milliseconds: Self.openMilliseconds * ways) { [weak self] in self?.fail("\(url) did not say in time what it is") }
        source.want(.playing)
    }

    private func fail(_ words: String) {
        timer.stop()
        let done = done
        self.done = nil
        stop(.failed(words))
        done?(.failure(PlaylistOpener.Trouble(description: words)))
    }

    /// Lets go of the server; what is kept stays.
    func stop(_ end: PumpEnd = .done) {
        if self.end == nil { self.end = end }
        timer.stop()
        tap = nil
        let source = source
        self.source = nil
        leave()
        // Not while it says something.
        if let source { pulls.eventLoop.assumeIsolated().execute { source.stop {} } }
    }

    private func leave() {
        guard isCounted else { return }
        isCounted = false
        pulls.running -= 1
    }

    /// Takes the packet that has waited longest.
    func next() -> (packet: [UInt8], number: UInt32)? {
        guard taken < kept.count else {
            kept.removeAll(keepingCapacity: true)
            taken = 0
            return nil
        }
        let one = kept[taken]
        kept[taken].packet = []
        keptBytes -= one.packet.count
        taken += 1
        return one
    }

    fileprivate func take(_ packet: [UInt8], _ number: UInt32) {
        guard end == nil else { return }
        guard keptBytes + packet.count <= Self.keptBytesMax else {
            return stop(.failed("the player takes less than the server sends: \(Self.keptBytesMax >> 20) MiB wait for it"))
        }
        if taken > 1_024, taken * 2 > kept.count {
            kept.removeFirst(taken)
            taken = 0
        }
        kept.append((packet, number))
        keptBytes += packet.count
    }

    fileprivate func over(_ end: PumpEnd) {
        guard self.end == nil else { return }
        stop(end)
        onMore?()
    }

    /// Hears the broadcast, which keeps it, and does not keep the pull.
    private final class Tap: WindowsMediaTap {
        weak var pull: EntryPull?
        init(_ pull: EntryPull) { self.pull = pull }
        func tapped(_ packet: [UInt8], number: UInt32) { pull?.take(packet, number) }
        func tapFlushed() { pull?.onMore?() }
        // What comes behind another header is another programme.
        func tapHeaderChanged() { pull?.over(.done) }
        func tapEnded(_ reason: String) { pull?.over(.done) }
    }
}

extension EntryPull: PathSourceHost {
    var isAwaited: Bool { true }
    var via: String? { pulls.via() }

    func sourcePlays() {
        guard tap == nil, end == nil, let broadcast = source?.broadcast else { return }
        timer.stop()
        let tap = Tap(self)
        self.tap = tap
        broadcast.addTap(tap)
        let done = done
        self.done = nil
        done?(.success(broadcast))
    }

    // The end of what a server plays is no other word than this one. It is not dialled again.
    func sourceFailed(_ words: String) { if done != nil { fail(words) } else { over(.done) } }

    func sourceDescribed(_ sdp: SessionDescription) throws -> StreamDescription { throw PathError.refused("it is RTP, not Windows Media") }
    func standbyDescribed(_ sdp: SessionDescription) throws -> StreamDescription? { nil }
    func mediaBegins() {}
    func sourceDropped(_ datagrams: UInt64) {}
    func sourceReleased() {}
}

/// How entries that are elsewhere are pulled, all ways through one playlist together. Belongs to the event loop.
final class PlaylistPulls {
    let eventLoop: any EventLoop
    /// How many may run at a time, and how many do.
    let most: Int
    fileprivate(set) var running = 0
    /// Pulls that were refused for ``most``.
    private(set) var refused = 0

    fileprivate let make: (WMSPSourceURL, any PathSourceHost) -> (any PathSource & WindowsMediaLive)?
    fileprivate let via: () -> String?
    private let permits: (String) -> Bool

    /// `make` gives a source that is not dialled; `permits` says whether a host may be.
    init(
        most: Int, eventLoop: any EventLoop, via: @escaping () -> String?, permits: @escaping (String) -> Bool,
        make: @escaping (WMSPSourceURL, any PathSourceHost) -> (any PathSource & WindowsMediaLive)?
    ) {
        self.most = most
        self.eventLoop = eventLoop
        self.via = via
        self.permits = permits
        self.make = make
    }

    /// Pulls from there. `done` is called once, maybe at once.
    func open(
        _ url: WMSPSourceURL, _ done: @escaping (Result<(EntryPull, WindowsMediaBroadcast), PlaylistOpener.Trouble>) -> Void
    ) {
        guard permits(url.host) else {
            return done(.failure(PlaylistOpener.Trouble(description: "\(url.host) is not among the hosts that `allow:` names")))
        }
        guard running < most else {
            refused += 1
            return done(.failure(PlaylistOpener.Trouble(description: "\(most) entries are pulled already (playlist-pulls)")))
        }
        let pull = EntryPull(self)
        // It keeps itself until it is open.
        pull.open(url) { result in done(result.map { (pull, $0) }) }
    }
}

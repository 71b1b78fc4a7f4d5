import NIOCore
import Signalling
import WireFormats

/// One search for how players are to be given content: what was found out for them so far. Those who ask for the same at the same time share it.
final class ProxyResolution {
    typealias Done = (Result<WindowsMediaContent, any Error>) -> Void

    /// Somebody who waits for its end.
    struct Waiter {
        let ask: ProxyAsk
        let done: Done
    }

    private(set) var waiters: [Int: Waiter] = [:]
    private var nextWaiter = 0
    /// With these words of one player; nil: with nobody's.
    let authorization: String?
    /// What the origin answered so far.
    var origin = ProxySituation.Origin.notAsked
    var challenge: PassedChallenge?
    /// What was found in the cache, and whether it was looked.
    var stored: ProxySituation.Object?
    var storedRecord: CacheRecord?
    /// What that says, where it is a playlist.
    var storedList: KeptList?
    var hasLooked = false
    /// The session that described the content, for its first play.
    var opened: (play: ObjectPlay, description: OriginPlay.Description)?
    /// A connection that was opened without asking, to see what comes; and whether that was done.
    var trial: LiveRole?
    var hasTried = false
    /// Why what is being fetched anew was not served.
    var miss: ProxyOutcome?
    /// Steps so far: none has many.
    var steps = 0
    var question: OriginQuestion?
    let began = NIODeadline.now()
    /// Runs until the origin is tried again.
    var retry: LoopTimer?

    static let stepsMax = 12

    init(authorization: String? = nil) { self.authorization = authorization }

    /// Somebody waits; answers with his number.
    func add(_ waiter: Waiter) -> Int {
        nextWaiter += 1
        waiters[nextWaiter] = waiter
        return nextWaiter
    }

    func remove(_ number: Int) { waiters[number] = nil }

    /// Who made it begin; nil: he has left, as all others.
    var ask: ProxyAsk? { waiters.min { $0.key < $1.key }?.value.ask }

    /// All who wait, the first one first; nobody does any more.
    func takeWaiters() -> [Waiter] {
        let all = waiters.sorted { $0.key < $1.key }.map(\.value)
        waiters = [:]
        return all
    }
}

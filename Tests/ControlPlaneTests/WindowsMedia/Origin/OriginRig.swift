import Glibc
import Logging
import NIOCore
import NIOPosix
import Signalling
import Testing
import WireFormats

@testable import ControlPlane

/// A session with an origin, and what its owner hears of it.
final class OriginRig: @unchecked Sendable, OriginPlayOwner {
    // All but `loop` is used on the loop alone.
    let loop = MultiThreadedEventLoopGroup.singleton.next()
    var call = OriginCall(isCache: true)
    private let route: OriginRoute
    private var play: OriginPlay?
    /// The entry of a playlist that is played, instead of what is described.
    var entry: OriginEntry?

    private(set) var description: OriginPlay.Description?
    private(set) var starts: [OriginPlay.Start] = []
    private(set) var packets: [(number: UInt32, bytes: [UInt8])] = []
    private(set) var skipped: [Range<UInt32>] = []
    private(set) var finished = 0
    private(set) var entries = 0
    private(set) var end: OriginPlay.End?
    /// Pauses behind so many packets.
    var pausesAt: Int?
    /// Plays from there behind so many packets, once.
    var seeks: (at: Int, to: WMSPPosition)?

    init(_ url: String, _ change: (inout OriginCall) -> Void = { _ in }) throws {
        if WMSPSourceURL.isOne(url) {
            route = OriginRoute(WindowsMediaRoute(try WMSPSourceURL(url)))
        } else {
            route = OriginRoute(WindowsMediaRoute(try SourceURL(url), transport: .auto))
        }
        change(&call)
    }

    var tools: OriginTools { OriginTools(eventLoop: loop, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }) }

    /// Runs on the loop.
    func run<T: Sendable>(_ body: @escaping @Sendable (OriginRig) -> T) throws -> T { try loop.submit { body(self) }.wait() }

    /// Plays from there.
    func start(_ position: WMSPPosition? = .beginning, pace: OriginPlay.Pace = .asFastAsAllowed) throws {
        try run { rig in
            let play = OriginPlay(rig.route, rig.call, rig.tools, entry: rig.entry, owner: rig)
            rig.play = play
            if let position { play.play(from: position, pace: pace) } else { play.open() }
        }
    }

    func with(_ body: @escaping @Sendable (OriginPlay) -> Void) throws { try run { rig in rig.play.map(body) ?? () } }

    /// What was heard of packets is not looked at any more.
    func forget() { packets = [] }

    func leave() throws { try run { $0.play?.leave() } }

    /// Waits until something holds.
    func eventually(_ what: Comment, seconds: Int = 10, _ condition: @escaping @Sendable (OriginRig) -> Bool) throws {
        for _ in 0..<(seconds * 200) {
            if try run(condition) { return }
            usleep(5_000)
        }
        let words = try run {
            "\($0.packets.count) packets, \($0.finished) finished, \(String(describing: $0.end)), \($0.play?.words ?? "")"
        }
        Issue.record("\(what): \(words)")
    }

    /// How it ended.
    func ended(seconds: Int = 10) throws -> OriginPlay.End? {
        try eventually("it ends", seconds: seconds) { $0.end != nil }
        return try run { $0.end }
    }

    func ask(_ means: OriginStatement.Means = .contentInfo) throws -> OriginReply {
        let promise = loop.makePromise(of: Answer.self)
        try run { rig in
            OriginQuestion.ask(rig.route, rig.call, rig.tools, means: means) { promise.succeed(Answer(reply: $0)) }
            return
        }
        return try promise.futureResult.wait().reply
    }

    func deliver(_ event: RemoteEvent, _ address: Locked<String?> = Locked(nil)) throws -> OriginDelivery {
        let promise = loop.makePromise(of: Delivered.self)
        try run { rig in
            OriginErrand.deliver(to: rig.route, rig.call, rig.tools) { local in
                address.withLockedValue { $0 = local }
                return event
            } _: {
                promise.succeed(Delivered(delivery: $0))
            }
        }
        return try promise.futureResult.wait().delivery
    }

    /// What a playlist consists of.
    func walk() throws -> Result<(list: KeptList, statement: OriginStatement), KeptList.Unfit> {
        let promise = loop.makePromise(of: Walked.self)
        try run { rig in
            _ = ListWalk(on: rig.loop, { OriginPlay(rig.route, rig.call, rig.tools, owner: $0) }) { promise.succeed(Walked(result: $0)) }
        }
        return try promise.futureResult.wait().result
    }

    private struct Walked: @unchecked Sendable { let result: Result<(list: KeptList, statement: OriginStatement), KeptList.Unfit> }
    private struct Answer: @unchecked Sendable { let reply: OriginReply }
    private struct Delivered: @unchecked Sendable { let delivery: OriginDelivery }

    // MARK: What is heard

    func originDescribed(_ play: OriginPlay, _ description: OriginPlay.Description) { self.description = description }
    func originBegan(_ play: OriginPlay, _ start: OriginPlay.Start) { starts.append(start) }
    func origin(_ play: OriginPlay, packet number: UInt32, _ bytes: [UInt8]) {
        packets.append((number, bytes))
        if packets.count == pausesAt { play.pause() }
        if let seeks, packets.count == seeks.at {
            self.seeks = nil
            packets = []
            play.play(from: seeks.to, pace: .asFastAsAllowed)
        }
    }
    func origin(_ play: OriginPlay, skipped range: Range<UInt32>) { skipped.append(range) }
    func originFinished(_ play: OriginPlay) { finished += 1 }
    func originEntered(_ play: OriginPlay, _ description: OriginPlay.Description) { entries += 1 }
    func originEnded(_ play: OriginPlay, _ end: OriginPlay.End) { self.end = end }
}

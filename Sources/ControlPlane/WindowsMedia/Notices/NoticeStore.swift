import Signalling

/// Where notices wait that origins have not heard yet, over a restart too. Belongs to the event loop and does not make it wait: what is kept and
/// struck out is done in order, some time later.
protocol NoticeStore: AnyObject {
    /// What an earlier run left. Called once, before anything else; answers on the event loop.
    func load(_ done: @escaping (Result<[OriginNoticeQueue.Entry], any Error>) -> Void)
    /// Writes one down.
    func keep(_ entry: OriginNoticeQueue.Entry)
    /// Strikes some out.
    func forget(_ numbers: [Int64])
    /// Runs `body` when all is written that there was to write.
    func whenIdle(_ body: @escaping () -> Void)
    /// How often something could not be written.
    var failures: Int { get }
}

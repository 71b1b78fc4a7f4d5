import NIOCore
import Signalling

/// What is brought into the cache before anybody asks for it, as the control socket wants it. Belongs to the event loop.
final class CachePrefetches {
    private let paths: PathTable
    private let eventLoop: any EventLoop
    private var jobs: [Int: CachePrefetch] = [:]
    private var order: [Int] = []
    private var next = 1

    /// So many are fetched at a time; others wait.
    static let runningMax = 4
    /// So many are known, those that are over included.
    static let jobsMax = 1_024

    /// Of the paths of a relay.
    init(paths: PathTable, eventLoop: any EventLoop) {
        self.paths = paths
        self.eventLoop = eventLoop
    }

    /// Ends all.
    func stop() { for job in Array(jobs.values) { job.stop("Weir stops") } }

    /// Answers what came over the control socket: `do=start url=…`, `do=look id=…`, `do=stop id=…`.
    func answer(_ request: ControlRequest) throws(ControlAnswer.Trouble) -> PrefetchAnswer {
        switch request.arguments["do"] {
        case "start":
            try request.check(takes: ["do", "url"])
            return try start(request.arguments["url"] ?? "")
        case "look", "stop":
            try request.check(takes: ["do", "id"])
            let id = try request.number("id", in: 1...Int.max, else: 0)
            guard let job = jobs[id] else { throw .init(code: "argument", message: "there is no prefetch \(id) (any more)") }
            if request.arguments["do"] == "stop" { job.stop() }
            return job.answer
        default: throw .init(code: "argument", message: "prefetch takes do=start with url=…, do=look and do=stop with id=…")
        }
    }

    private func start(_ url: String) throws(ControlAnswer.Trouble) -> PrefetchAnswer {
        let shown = PeerWords.printable(String(url.prefix(256)))
        let keys: [CacheKey]
        do throws(CacheKey.Trouble) { keys = try CacheKey.candidates(url) } catch {
            throw .init(code: "argument", message: "\(shown): \(error)")
        }
        guard let path = place(keys) else {
            throw .init(
                code: "path", message: "no path of this relay has \(shown) as its source, so it would never be served from there")
        }
        makeRoom()
        guard jobs.count < Self.jobsMax else {
            throw .init(code: "busy", message: "\(Self.jobsMax) others wait to be fetched; try again when some are done")
        }
        let job = CachePrefetch(id: next, path: path, url: keys.last?.url ?? shown, eventLoop: eventLoop)
        jobs[next] = job
        order.append(next)
        next += 1
        job.onEnd = { [weak self] in self?.begin() }
        begin()
        return job.answer
    }

    /// The path whose source is that.
    private func place(_ keys: [CacheKey]) -> Path? {
        paths.all.first { path in
            if let proxy = path.windowsMediaProxy { return !Set(proxy.keys).isDisjoint(with: keys) }
            guard case .pull(let url) = path.settings.source, path.mayBeWindowsMedia, let key = try? CacheKey(url.request) else {
                return false
            }
            return keys.contains(key)
        }
    }

    private func begin() {
        // Who ends just now is not in the middle of it any more.
        eventLoop.assumeIsolated().execute { [weak self] in
            guard let self else { return }
            let running = jobs.values.count { [.asking, .fetching].contains($0.answer.state) }
            let waiting = order.filter { jobs[$0]?.answer.state == .waiting }
            for id in waiting.prefix(max(Self.runningMax - running, 0)) { jobs[id]?.start() }
        }
    }

    /// The oldest that are over are forgotten.
    private func makeRoom() {
        while jobs.count >= Self.jobsMax, let old = order.first(where: { jobs[$0]?.answer.state.isFinal ?? true }) {
            jobs[old] = nil
            order.removeAll { $0 == old }
        }
    }
}

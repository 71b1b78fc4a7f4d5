import NIOCore
import Signalling

extension Path {
    /// Whether it was looked what is kept of the path's server; while that goes on somebody waits for it.
    enum CacheLook { case none, looking, done }

    /// What is kept of sources; nil: nothing is.
    var cacheDesk: CacheDesk? { commons.desk }

    /// Looks, once, whether Windows Media of the path's server is kept: that tells what it has, also while it cannot be reached. Fails with
    /// ``PathError/notRTP(_:)`` where it is so, as the server itself would bring about; nil: there is nothing to look for.
    func lookInCache() -> EventLoopFuture<Void>.Isolated? {
        guard isUndecided, cacheLook == .none, settings.cache.keeping != .no, let cacheDesk, case .pull(let url) = settings.source else {
            return nil
        }
        cacheLook = .looking
        let keys = ((try? CacheKey.candidates(url.request)) ?? []).map(\.url)
        return cacheDesk.reading { store in try keys.contains { try store.find($0)?.kind == .asf } }.assumeIsolated().recover { _ in false }
            .flatMapThrowing { [self] isKept in
                cacheLook = .done
                // Gone unless whoever waits for this takes an interest now.
                instance?.idle(self)
                if isKept, isUndecided, sourceTurnsOut(windowsMedia: true) { throw PathError.notRTP(name) }
            }
    }
}

import NIOCore

extension Path {
    /// The description of the server's stored media, where that is kept; nil for what goes the way of any other source.
    func describedStored() -> EventLoopFuture<StreamDescription>? {
        guard let cachedPull, !cachedPull.isLive else { return nil }
        touch()
        let promise = eventLoop.makePromise(of: StreamDescription.self)
        cachedPull.describe { [self] result in
            switch result {
            case .success(let description?): promise.succeed(description)
            case .success(nil): describedLive().cascade(to: promise)
            case .failure(let error): promise.fail(error)
            }
        }
        return promise.futureResult
    }
}

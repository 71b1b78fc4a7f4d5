import NIOCore

/// Promises that wait for the source, each with its time.
struct WaitingList {
    private var entries: [Int: (promise: EventLoopPromise<StreamDescription>, timer: LoopTimer)] = [:]
    private var next = 0

    var isEmpty: Bool { entries.isEmpty }

    mutating func add(_ promise: EventLoopPromise<StreamDescription>, _ timer: LoopTimer) -> Int {
        next += 1
        entries[next] = (promise, timer)
        return next
    }

    mutating func remove(_ number: Int) -> EventLoopPromise<StreamDescription>? { entries.removeValue(forKey: number)?.promise }

    mutating func removeAll() -> [EventLoopPromise<StreamDescription>] {
        let all = entries.sorted { $0.key < $1.key }.map(\.value)
        entries = [:]
        for entry in all { entry.timer.stop() }
        return all.map(\.promise)
    }
}

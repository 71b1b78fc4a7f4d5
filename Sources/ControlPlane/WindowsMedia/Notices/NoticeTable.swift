import Foundation
import GRDB
import Logging
import NIOCore
import NIOPosix
import Signalling
import WireFormats

/// The notices that wait, in a table of a database. Belongs to the event loop; what is to be written goes to another thread, one transaction
/// after the other, and what comes meanwhile is in the next one.
final class NoticeTable: NoticeStore {
    /// A transaction, on a thread that may wait; its result comes back to the event loop.
    typealias Transaction = @Sendable (Database) throws -> [OriginNoticeQueue.Entry]

    private enum Step: Sendable {
        case keep(OriginNoticeQueue.Entry)
        case forget([Int64])
    }

    private let run: (@escaping Transaction) -> EventLoopFuture<[OriginNoticeQueue.Entry]>
    private let logger: Logger
    private var waiting: [Step] = []
    private var isWriting = false
    private var idle: [() -> Void] = []
    private(set) var failures = 0

    /// No more are read: an index that grew beyond it is not this relay's.
    private static let countMax = 65_536
    /// Steps that wait for a disk that takes nothing; beyond them the oldest go.
    private static let stepsMax = 16_384

    /// In a database whose transactions `run` runs.
    init(logger: Logger, _ run: @escaping (@escaping Transaction) -> EventLoopFuture<[OriginNoticeQueue.Entry]>) {
        self.logger = logger
        self.run = run
    }

    /// In a file of its own.
    convenience init(path: String, eventLoop: any EventLoop, logger: Logger) throws {
        let database = try DatabaseQueue(path: path)
        self.init(logger: logger) { body in
            NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop) { try database.write(body) }
        }
    }

    /// The table, if there is none yet.
    static func create(in database: Database) throws {
        try database.execute(
            sql: """
                CREATE TABLE IF NOT EXISTS notice (
                    number INTEGER NOT NULL PRIMARY KEY, url TEXT NOT NULL, agent TEXT NOT NULL, made_at INTEGER NOT NULL,
                    body BLOB NOT NULL
                ) STRICT
                """)
    }

    func load(_ done: @escaping (Result<[OriginNoticeQueue.Entry], any Error>) -> Void) {
        run { database in
            try Self.create(in: database)
            // The newest: numbers go on behind them. Older ones would never be seen.
            let rows = try Row.fetchAll(
                database, sql: "SELECT number, url, agent, made_at, body FROM notice ORDER BY number DESC LIMIT ?",
                arguments: [Self.countMax])
            if rows.count == Self.countMax, let lowest = rows.last.flatMap({ Int64.fromDatabaseValue($0["number"]) }) {
                try database.execute(sql: "DELETE FROM notice WHERE number < ?", arguments: [lowest])
            }
            return rows.reversed().compactMap(Self.entry)
        }.assumeIsolated().whenComplete(done)
    }

    /// Rows that cannot be read are passed over: whatever else is wrong, what players did is told as far as it can be.
    private static func entry(_ row: Row) -> OriginNoticeQueue.Entry? {
        guard let number = Int64.fromDatabaseValue(row["number"]), let url = String.fromDatabaseValue(row["url"]),
            let agent = String.fromDatabaseValue(row["agent"]), let made = Int64.fromDatabaseValue(row["made_at"]),
            let body = Data.fromDatabaseValue(row["body"]), let event = try? RemoteEvent(Array(body))
        else { return nil }
        return .init(number: number, notice: OriginNotice(url: url, event: event, agent: agent), unixSeconds: made)
    }

    func keep(_ entry: OriginNoticeQueue.Entry) {
        waiting.append(.keep(entry))
        write()
    }

    func forget(_ numbers: [Int64]) {
        // What was told before it was written down need not be.
        var left = numbers
        waiting.removeAll { step in
            guard case .keep(let entry) = step, let index = left.firstIndex(of: entry.number) else { return false }
            left.remove(at: index)
            return true
        }
        if !left.isEmpty { waiting.append(.forget(left)) }
        write()
    }

    /// Runs `body` when all is written.
    func whenIdle(_ body: @escaping () -> Void) {
        // What could not be written is tried once more.
        if !isWriting, !waiting.isEmpty { write() }
        if isWriting { idle.append(body) } else { body() }
    }

    private func rest() {
        let idle = idle
        self.idle = []
        for body in idle { body() }
    }

    private func write() {
        guard !isWriting else { return }
        guard !waiting.isEmpty else { return rest() }
        isWriting = true
        let steps = waiting
        waiting = []
        run { database in
            try Self.create(in: database)
            for step in steps { try Self.perform(step, in: database) }
            return []
        }.assumeIsolated().whenComplete { [self] result in
            isWriting = false
            guard case .failure(let error) = result else { return write() }
            failed(error)
            // It is tried again with what comes next.
            let isMore = !waiting.isEmpty
            waiting = (steps + waiting).suffix(Self.stepsMax)
            if isMore { write() } else { rest() }
        }
    }

    private static func perform(_ step: Step, in database: Database) throws {
        switch step {
        case .keep(let entry):
            try database.execute(
                sql: "INSERT OR REPLACE INTO notice (number, url, agent, made_at, body) VALUES (?, ?, ?, ?, ?)",
                arguments: [
                    entry.number, entry.notice.url, entry.notice.agent, entry.unixSeconds, Data(entry.notice.event.serialized()),
                ])
        case .forget(let numbers):
            for number in numbers { try database.execute(sql: "DELETE FROM notice WHERE number = ?", arguments: [number]) }
        }
    }

    private func failed(_ error: any Error) {
        failures += 1
        guard failures == 1 else { return }
        logger.warning(
            "what origins have not heard yet cannot be written down, and would be lost at a restart", metadata: ["trouble": "\(error)"])
    }
}

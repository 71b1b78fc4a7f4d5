import NIOCore
import Signalling

/// What `weir playlist` is answered.
package struct PlaylistAnswer: Sendable, Codable, Equatable {
    /// What was done, in words.
    package var done: String?
    /// The number of the entry that it was done to.
    package var entry: UInt32?
    /// How many readers it reached.
    package var readers: Int?
    /// The elements, for `ls`.
    package var listing: PlaylistListing?
}

extension PlaylistProgramme {
    /// Does what a `playlist` request asks.
    func answer(_ request: ControlRequest) throws(ControlAnswer.Trouble) -> PlaylistAnswer {
        try request.check(takes: ["path", "do", "entry", "source", "after"])
        switch request.arguments["do"] {
        case "ls": return PlaylistAnswer(listing: listing)
        case "next":
            let readers = try refusing { () throws(PlaylistRefusal) in try next() }
            return PlaylistAnswer(done: "next, for \(Self.words(readers))", readers: readers)
        case "jump":
            let entry = try request.argument("entry")
            let readers = try refusing { () throws(PlaylistRefusal) in try jump(to: entry) }
            return PlaylistAnswer(done: "jumped, for \(Self.words(readers))", readers: readers)
        case "insert":
            let source = try request.argument("source")
            let number = try refusing { () throws(PlaylistRefusal) in try insert(source, after: request.arguments["after"]) }
            return PlaylistAnswer(done: "inserted as \(number)", entry: number)
        case "remove":
            let entry = try request.argument("entry")
            let number = try refusing { () throws(PlaylistRefusal) in try remove(entry) }
            return PlaylistAnswer(done: "\(number) is removed", entry: number)
        default: throw .init(code: "argument", message: "do: write ls, next, jump, insert or remove")
        }
    }

    private func refusing<Result>(_ body: () throws(PlaylistRefusal) -> Result) throws(ControlAnswer.Trouble) -> Result {
        do throws(PlaylistRefusal) { return try body() } catch { throw .init(code: "playlist", message: error.description) }
    }

    private static func words(_ readers: Int?) -> String { readers == 1 ? "1 reader" : "\(readers ?? 0) readers" }
}

extension ControlRequest {
    /// A value that has to be there.
    fileprivate func argument(_ name: String) throws(ControlAnswer.Trouble) -> String {
        if let value = arguments[name], !value.isEmpty { return value }
        throw .init(code: "argument", message: "\(name) is missing")
    }
}

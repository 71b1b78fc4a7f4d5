import Foundation

extension Overview {
    /// One line of JSON. The same overview gives the same line.
    public func json() throws -> String { try ControlJSON.line(self) }
}

/// How values cross the control socket.
package enum ControlJSON {
    /// A value on one line, members sorted by name.
    package static func line(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    /// The value of a line.
    package static func value<Value: Decodable>(_ type: Value.Type, of line: String) throws -> Value {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(type, from: Data(line.utf8))
    }
}

/// What the control socket answers to one request.
package struct ControlAnswer: Sendable, Codable, Equatable {
    /// ``ControlRequest/version``.
    package var weir = ControlRequest.version
    /// What was asked for; left out when there is an error.
    package var status: Overview?
    /// What was done to a playlist, or what is in it.
    package var playlist: PlaylistAnswer?
    /// How far a prefetch is.
    package var prefetch: PrefetchAnswer?
    /// Why there is no answer.
    package var error: Trouble?

    /// Why a request was not answered.
    package struct Trouble: Sendable, Codable, Equatable, Error, CustomStringConvertible {
        /// A word for programs: `version`, `command`, `argument`, `request_too_long`, `busy`, `answer_too_long`, `stopping`,
        /// `path`, `playlist`.
        package var code: String
        /// What is wrong and what to do, for people.
        package var message: String
        package var description: String { message }

        /// The relay stops, or has stopped.
        package static let stopping = Trouble(code: "stopping", message: "the relay is not running")
    }

    /// An overview.
    package init(status: Overview) { self.status = status }
    /// An answer about a playlist.
    package init(playlist: PlaylistAnswer) { self.playlist = playlist }
    /// An answer about a prefetch.
    package init(prefetch: PrefetchAnswer) { self.prefetch = prefetch }
    /// An error.
    package init(error: Trouble) { self.error = error }
}

extension Double {
    /// One digit behind the point: more would say nothing, and make long lines.
    var tenths: Double { isFinite ? (self * 10).rounded() / 10 : 0 }
}

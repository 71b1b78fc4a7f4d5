import NIOCore
import Signalling
import WireFormats

/// Where readers go that there is no room for.
package struct Distribution: Sendable, Equatable {
    /// Readers at a time; nil: no bound of its own.
    package var readersMax: Int?
    /// Relays that serve the same names, asked in turn.
    package var then: [RelayAddress] = []

    /// No bound.
    package init() {}

    /// What holds, for `weir serve --check`; nil when nothing does.
    var words: String? {
        guard let readersMax else { return nil }
        return "up to \(readersMax) readers, " + (then.isEmpty ? "no more" : "then at \(then.map(\.description).joined(separator: ", "))")
    }
}

/// Another relay: `rtsp://relay2.example:8554`.
package struct RelayAddress: Sendable, Equatable, CustomStringConvertible {
    /// Scheme, host and port.
    package let description: String

    init(parsing text: String) throws(ValueProblem) {
        let url: RTSPURL
        do throws(RTSPURLError) { url = try RTSPURL(text) } catch {
            throw ValueProblem(
                "it names no relay (write rtsp://HOST:PORT): \(text.contains("@") ? "it cannot be read" : error.description)")
        }
        guard url.user == nil else { throw ValueProblem("it holds a user: readers are told this URL; they log in there by themselves") }
        guard url.path.isEmpty || url.path == "/", url.query == nil else {
            throw ValueProblem("a relay is named without a path: the reader's own is kept; write rtsp://\(url.authority)")
        }
        description = "\(url.scheme.rawValue)://\(url.authority)"
    }
}

extension Distribution {
    /// Reads the list of relays.
    static func relays(_ text: String) throws(ValueProblem) -> [RelayAddress] {
        var relays: [RelayAddress] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            relays.append(try RelayAddress(parsing: String(part).trimmedBlanks))
        }
        return relays
    }
}

extension PathSettings {
    /// The keys of a path that say how many readers it takes.
    static let distributionFields: [Field<PathSettings>] = [
        Field(key: "readers-max") { (path, text) throws(ValueProblem) in
            path.distribution.readersMax = try SettingValue.number(text, in: 0...1_000_000)
        },
        Field(
            key: "then", set: { (path, text) throws(ValueProblem) in path.distribution.then = try Distribution.relays(text) }, isList: true),
    ]
}

extension Configuration {
    /// The keys at the top of the file that say how many readers all paths together take.
    static let distributionFields: [Field<Configuration>] = [
        Field(key: "readers-max") { (section, text) throws(ValueProblem) in
            section.distribution.readersMax = try SettingValue.number(text, in: 0...1_000_000)
        },
        Field(
            key: "then", set: { (section, text) throws(ValueProblem) in section.distribution.then = try Distribution.relays(text) },
            isList: true),
    ]
}

/// How often a reader was sent on already: `weir-hop=1` in the query of the URL that it was sent to.
enum RedirectionMark {
    static let key = "weir-hop="

    /// The query of a request's URI, without what players put behind it.
    static func query(of uri: String) -> Substring? {
        guard let mark = uri.utf8.firstIndex(of: UInt8(ascii: "?")) else { return nil }
        return uri[uri.utf8.index(after: mark)...].prefix { $0 != "/" }
    }

    /// How often; 0 for a reader that came by itself. What is no number counts as often enough.
    static func hops(in uri: String) -> Int {
        guard let part = query(of: uri)?.split(separator: "&").first(where: { $0.hasPrefix(key) }) else { return 0 }
        return Int(part.dropFirst(key.count)).map { max($0, 0) } ?? .max
    }

    /// The URL at another relay of the path that was asked for here, with one hop more.
    static func url(at relay: RelayAddress, path: String, uri: String) -> String {
        let kept = (query(of: uri) ?? "").split(separator: "&").filter { !$0.hasPrefix(key) }.map(String.init)
        return "\(relay)/\(path)?" + (kept + ["\(key)\(hops(in: uri) + 1)"]).joined(separator: "&")
    }
}

/// Counts readers, and holds a place for those who asked for a description until they set up: a crowd that comes at once asks for all its
/// descriptions before the first of it reads.
struct ReaderPlaces {
    /// How long a place is held.
    static let holdSeconds: Int64 = 10

    private struct Place {
        let path: ObjectIdentifier
        let until: NIODeadline
    }
    private var places: [ObjectIdentifier: Place] = [:]
    private var counts: [ObjectIdentifier: Int] = [:]

    /// Places that are held, of all paths and of one.
    var count: Int { places.count }
    func count(_ path: ObjectIdentifier) -> Int { counts[path] ?? 0 }

    /// Whether the connection has a place there.
    func holds(_ connection: ObjectIdentifier, _ path: ObjectIdentifier) -> Bool { places[connection]?.path == path }

    /// Holds a place for a connection, instead of any other.
    mutating func hold(_ connection: ObjectIdentifier, _ path: ObjectIdentifier, now: NIODeadline) {
        release(connection)
        places[connection] = Place(path: path, until: now + .seconds(Self.holdSeconds))
        counts[path, default: 0] += 1
    }

    /// The connection set up, or is gone.
    mutating func release(_ connection: ObjectIdentifier) {
        guard let place = places.removeValue(forKey: connection) else { return }
        let left = (counts[place.path] ?? 1) - 1
        counts[place.path] = left > 0 ? left : nil
    }

    /// Gives up those that were held long enough.
    mutating func sweep(now: NIODeadline) {
        for (connection, place) in places where place.until <= now { release(connection) }
    }
}

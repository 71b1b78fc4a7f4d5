/// The body of a SendEvent request ([MS-WMSP] 2.2.5): what a cache tells its origin of a player.
package struct RemoteEvent: Sendable, Hashable {
    /// What happened.
    package enum Kind: UInt8, Sendable, Hashable, CaseIterable {
        /// The cache opened an item.
        case open = 28
        /// It closed it.
        case close = 29
        /// A player's log.
        case log = 30
    }

    /// Why a body is no event.
    package enum Trouble: Error, Hashable, CustomStringConvertible {
        /// A body above ``RemoteEvent/bytesMax``.
        case tooLong(bytes: Int)
        /// The first line is not `1`, or the second not `1,kind,reason`.
        case malformed(line: Int)
        /// A kind that is not known.
        case unknownKind(UInt32)
        /// The two descriptions of a log are missing, or broken.
        case descriptions(String)

        /// What was wrong, in words.
        package var description: String {
            switch self {
            case .tooLong(let bytes): "an event of \(bytes) bytes is longer than \(RemoteEvent.bytesMax)"
            case .malformed(let line): "line \(line) of the event is not as [MS-WMSP] 2.2.5 has it ('1', then '1,kind,reason')"
            case .unknownKind(let kind): "events are of kind 28, 29 or 30, not \(kind)"
            case .descriptions(let why): "the event's descriptions: \(why)"
            }
        }
    }

    /// The longest body.
    package static let bytesMax = 128 << 10

    /// What happened.
    package var kind: Kind
    /// An HRESULT, 0 for success.
    package var reason: UInt32
    /// Of the player: `WMS_USER_AGENT`, `WMS_USER_GUID`. Nil but for ``Kind/log``.
    package var player: ContentDescription?
    /// Of the content: `@WMS_COMMAND_CONTEXT_URL`, and `@.REMOTE_LOG`, the log in XML. Nil but for ``Kind/log``.
    package var content: ContentDescription?

    /// An opening or closing.
    package init(kind: Kind, reason: UInt32 = 0) {
        self.kind = kind
        self.reason = reason
    }

    /// A log of a player: its agent and GUID, the URL that it asked for, its log in XML.
    package init(logOf agent: String, guid: String, url: String, xml: String) {
        kind = .log
        reason = 0
        player = ContentDescription([
            .init("context-type", .i4, "2"), .init("WMS_USER_AGENT", .lpwstr, agent), .init("WMS_USER_GUID", .lpwstr, guid),
        ])
        content = ContentDescription([
            .init("context-type", .i4, "5"), .init("@WMS_COMMAND_CONTEXT_URL", .lpwstr, url), .init("@.REMOTE_LOG", .lpwstr, xml),
        ])
    }

    /// Takes a body apart.
    package init(_ bytes: [UInt8]) throws(Trouble) {
        guard bytes.count <= Self.bytesMax else { throw .tooLong(bytes: bytes.count) }
        let (first, rest) = bytes[...].split(atFirst: ASCII.lineFeed)
        guard Self.line(first).elementsEqual("1".utf8), let rest else { throw .malformed(line: 1) }
        let (second, descriptions) = rest.split(atFirst: ASCII.lineFeed)
        let words = Self.line(second).split(separator: ASCII.comma, omittingEmptySubsequences: false)
        guard words.count == 3, words[0].elementsEqual("1".utf8), let kind = PragmaNumber.leading(words[1]) else {
            throw .malformed(line: 2)
        }
        guard let known = UInt8(exactly: kind).flatMap(Kind.init) else { throw .unknownKind(kind) }
        // An HRESULT may be written as a negative number.
        let negative = words[2].first == ASCII.dash
        guard let reason = PragmaNumber.leading(negative ? words[2].dropFirst() : words[2]) else { throw .malformed(line: 2) }
        self.init(kind: known, reason: negative ? 0 &- reason : reason)
        guard known == .log else { return }
        let lists: [ContentDescription]
        do throws(ContentDescription.Trouble) { lists = try ContentDescription.parse(descriptions ?? []) } catch {
            throw .descriptions(error.description)
        }
        guard lists.count >= 2 else { throw .descriptions("a log needs two of them") }
        player = lists[0]
        content = lists[1]
    }

    /// The body.
    package func serialized() -> [UInt8] {
        var bytes = Array("1\r\n1,\(kind.rawValue),\(reason)\r\n".utf8)
        if kind == .log { bytes += (player ?? .init()).serialized() + (content ?? .init()).serialized() }
        return bytes
    }

    private static func line(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        (bytes.last == ASCII.carriageReturn ? bytes.dropLast() : bytes).trimmed
    }
}

import PlaneLink
import Signalling

/// What a reader may choose for itself, in the query of the URL that it sets up with: `rtsp://host/cam?overload=drop-oldest`.
enum ReaderWish {
    private static let overloadKey = "overload="

    /// What is to become of this reader when it falls behind, nil if it leaves that to the path. A word that means nothing is refused.
    static func overload(in uri: String, settings: ReaderSettings) throws(RequestRefusal) -> OverloadPolicy? {
        guard let mark = uri.utf8.firstIndex(of: UInt8(ascii: "?")) else { return nil }
        // Players put a track's name behind the query.
        let query = uri[uri.utf8.index(after: mark)...].prefix { $0 != "/" }
        guard let wish = query.split(separator: "&").first(where: { $0.hasPrefix(overloadKey) }) else { return nil }
        let word = String(wish.dropFirst(overloadKey.count))
        do throws(ValueProblem) {
            return settings.policy(for: try SettingValue.word(word, of: ReaderSettings.Overload.self))
        } catch {
            throw .uriMalformed("\(overloadKey)… \(error.text)")
        }
    }
}

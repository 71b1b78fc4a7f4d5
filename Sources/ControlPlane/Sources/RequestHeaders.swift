import Logging

/// Further header fields of the requests that are made to RTSP servers.
enum RequestHeaders {
    /// Those that the client says itself.
    private static let own: Set = [
        "cseq", "session", "authorization", "proxy-authorization", "transport", "content-length", "content-type", "content-base", "range",
        "via", "require", "accept", "x-sessioncookie",
    ]
    static let countMax = 16
    static let valueBytesMax = 1_024

    /// What is to be added for a path's source; fields that cannot be are left out, and the log says so.
    static func fields(_ extensions: RelayExtensions, path: String, url: String, logger: Logger) -> [(name: String, value: String)] {
        guard let asked = extensions.requestHeaders?(path, url) else { return [] }
        var fields: [(name: String, value: String)] = []
        for field in asked {
            guard let trouble = problem(field, count: fields.count) else {
                fields.append(field)
                continue
            }
            logger.warning(
                "a header field of requests is left out",
                metadata: ["field": "\(PeerWords.printable(field.name))", "trouble": "\(trouble)"])
        }
        return fields
    }

    private static func problem(_ field: (name: String, value: String), count: Int) -> String? {
        let isToken =
            !field.name.isEmpty && field.name.utf8.count <= 64
            && field.name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && !"()<>@,;:\\\"/[]?={}".utf8.contains($0) }
        if !isToken { return "it is no name of a header field" }
        if own.contains(field.name.lowercased()) { return "that one is the client's own" }
        if field.value.utf8.count > valueBytesMax || !field.value.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) {
            return "its value must be printable ASCII, up to \(valueBytesMax) characters"
        }
        return count < countMax ? nil : "there are more than \(countMax)"
    }
}

import WireFormats

/// Where Windows Media is pulled from over HTTP: `mmsh://`, `mms://`, `mmshttp://` or `http://`, which all name the same
/// there.
package struct WMSPSourceURL: Sendable, Equatable, CustomStringConvertible {
    /// A name or an address, an IPv6 address without its brackets.
    package var host: String { url.host }
    /// The port to connect to: 80 where none is given.
    package var port: UInt16 { url.port ?? 80 }
    /// From the URL's user information.
    package let credentials: Credentials?
    /// Path and query, as the request line has them.
    package var target: String { (url.path.isEmpty ? "/" : url.path) + (url.query.map { "?\($0)" } ?? "") }
    /// As the `Host` header has it.
    package var authority: String { url.authority }

    /// The scheme is `mms`, which leaves open which protocol the server speaks.
    package var isAnyProtocol: Bool { scheme == "mms" }
    /// The same place by RTSP: at the port that is named, or at RTSP's own.
    package var rtsp: SourceURL? { try? SourceURL(url.requestURI, inherited: credentials) }

    private let url: RTSPURL
    private let scheme: String

    private static let schemes = ["mmsh", "mms", "mmshttp", "http"]

    /// What is wrong with a URL, in words that repeat no password.
    package struct Trouble: Error, Equatable, CustomStringConvertible {
        /// What is wrong and what is expected.
        package let description: String
    }

    /// Whether a text begins as such a URL does.
    package static func isOne(_ text: String) -> Bool { split(text) != nil }

    /// Takes a URL apart. `inherited` stands in for user information that the URL does not carry.
    package init(_ text: String, inherited: Credentials? = nil) throws(Trouble) {
        guard let (scheme, rest) = Self.split(text) else {
            throw Trouble(description: "the URL does not begin with mmsh://, mms:// or http://")
        }
        self.scheme = scheme
        // Behind the scheme it is as any other URL.
        do throws(RTSPURLError) { url = try RTSPURL("rtsp://\(rest)") } catch {
            guard !text.contains("@") else {
                throw Trouble(description: "the URL cannot be read; in a user or password write %2F for /, %3F for ? and %23 for #")
            }
            throw Trouble(description: error.description)
        }
        guard !url.requestURI.contains(" ") else { throw Trouble(description: "the URL contains a blank; write it as %20") }
        credentials = url.user.map { [url] in Credentials(user: $0, password: url.password ?? "") } ?? inherited
    }

    /// Where a `Location` leads from here: another URL, or another path on the same server.
    package func following(_ location: String) throws(Trouble) -> WMSPSourceURL {
        if location.utf8.first == UInt8(ascii: "/"), !location.utf8.starts(with: "//".utf8) {
            return try WMSPSourceURL("\(scheme)://\(authority)\(location)", inherited: credentials)
        }
        return try WMSPSourceURL(location)
    }

    /// The URL without user information, its query included.
    package var whole: String { "\(scheme)://\(authority)\(target)" }

    /// Whether both lead to the same: who asks is not looked at.
    package func isSamePlace(as other: WMSPSourceURL) -> Bool {
        host.lowercased() == other.host.lowercased() && port == other.port && target == other.target
    }

    /// The URL without user information, and without its query.
    package var description: String { "\(scheme)://\(authority)\(url.path)\(url.query == nil ? "" : "?…")" }

    private static func split(_ text: String) -> (scheme: String, rest: String)? {
        let text = text.trimmedBlanks
        guard let end = text.firstRange(of: "://") else { return nil }
        let scheme = text[..<end.lowerBound].lowercased()
        return schemes.contains(scheme) ? (scheme, String(text[end.upperBound...])) : nil
    }
}

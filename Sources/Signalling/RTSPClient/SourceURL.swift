import WireFormats

/// Where a stream is pulled from: an RTSP URL whose user and password are kept away from everything that is printed or requested.
package struct SourceURL: Sendable, Equatable, CustomStringConvertible {
    /// A name or an address, an IPv6 address without its brackets.
    package var host: String { url.host }
    /// The port to connect to.
    package var port: UInt16 { url.portOrDefault }
    /// From the URL's user information.
    package let credentials: Credentials?
    /// What the scheme says of the transport: `rtspt` is TCP, `rtspu` is UDP, `rtsp` says nothing.
    package var transport: TransportSpec.LowerTransport? {
        switch url.scheme {
        case .rtspt: .tcp
        case .rtspu: .udp
        case .rtsp, .rtsps, .rtsph: nil
        }
    }
    /// The scheme is `rtsph`: RTSP through HTTP.
    package var isTunnelled: Bool { url.scheme == .rtsph }
    /// The URL as it stands in a request line.
    package var request: String { url.requestURI }

    private let url: RTSPURL

    /// What is wrong with a URL, in words that repeat no password.
    package struct Trouble: Error, Equatable, CustomStringConvertible {
        /// What is wrong and what is expected.
        package let description: String
    }

    /// Takes a URL apart. `inherited` stands in for user information that the URL does not carry.
    package init(_ text: String, inherited: Credentials? = nil) throws(Trouble) {
        // Checked first: a text that is no URL could be repeated in the words, password and all.
        guard ControlURL.isAbsolute(text) else { throw Trouble(description: "the URL does not begin with rtsp://") }
        do throws(RTSPURLError) { url = try RTSPURL(text) } catch {
            // The words could hold a piece of a password with a slash in it.
            guard !text.contains("@") else {
                throw Trouble(description: "the URL cannot be read; in a user or password write %2F for /, %3F for ? and %23 for #")
            }
            throw Trouble(description: error.description)
        }
        guard url.user != nil || !(url.path + (url.query ?? "")).contains("@") else {
            throw Trouble(description: "the URL has an @ behind its host: write %40 for it, and %2F for a / in a password")
        }
        switch url.scheme {
        case .rtsp, .rtspt, .rtspu, .rtsph: break
        case .rtsps: throw Trouble(description: "rtsps:// is not built yet; only rtsp:// is")
        }
        guard !url.requestURI.contains(" ") else { throw Trouble(description: "the URL contains a blank; write it as %20") }
        credentials = url.user.map { [url] in Credentials(user: $0, password: url.password ?? "") } ?? inherited
    }

    /// The URL without user information, and without its query: many cameras want their password there.
    package var description: String {
        let parts = request.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        return parts.count > 1 ? "\(parts[0])?…" : request
    }
}

/// How the URL of a track comes about from a base and `a=control` (RFC 2326 section C.1.1), and how a server finds both again.
package enum ControlURL {
    /// The URL of a track or, with `*` or nothing as control, of the whole presentation.
    ///
    /// An absolute control is taken as it is. A relative one is put behind the base with one slash between, even if the base
    /// has a query: that is what FFmpeg and LIVE555 do, and what servers expect.
    package static func resolve(_ control: String, base: String) -> String {
        let value = control.trimmedBlanks
        if value.isEmpty || value == "*" { return base }
        if isAbsolute(value) { return value }
        let slashes = (base.utf8.last == ASCII.slash, value.utf8.first == ASCII.slash)
        switch slashes {
        case (true, true): return base + value.droppingFirstBytes(1)
        case (true, false), (false, true): return base + value
        case (false, false): return base + "/" + value
        }
    }

    /// Whether a control names scheme and host itself.
    package static func isAbsolute(_ control: String) -> Bool {
        RTSPURL.Scheme.allCases.contains { control.byteSlice.hasPrefixIgnoringCase($0.rawValue + "://") }
    }

    /// The base for a description's controls: `Content-Base`, else `Content-Location`, else the URL that was asked for. A relative
    /// one stands against that URL. Content-Base of a host that cannot be reached is the caller's affair.
    package static func base(request: String, headers: RTSPHeaders) -> String {
        guard let value = headers.contentBase?.trimmedBlanks, !value.isEmpty else { return request }
        if (try? RTSPURL(value)) != nil {
            // Some cameras answer "rtsp://rtsp://host/": one scheme is enough.
            let inner = value.byteSlice.dropFirst(7)
            return inner.hasPrefixIgnoringCase("rtsp://") ? inner.text : value
        }
        guard isAbsolute(value) else {
            return value.utf8.first == ASCII.slash ? atRoot(value, of: request) : ControlURL.resolve(value, base: request)
        }
        return request
    }

    private static func atRoot(_ path: String, of request: String) -> String {
        guard let url = try? RTSPURL(request) else { return request }
        return "\(url.scheme.rawValue)://\(url.authority)\(path)"
    }
}

extension RTSPURL {
    /// The URL without its last component, and that component: what stands behind the last slash of the query if it has one
    /// (FFmpeg's `/path?x=1/trackID=1`), else of the path (GStreamer's `/path/trackID=1?x=1`). A slash at the very end does not
    /// count. Nil when there is no component.
    package func splittingLastComponent() -> (aggregate: RTSPURL, component: String)? {
        var aggregate = self
        if let query, let (front, component) = Self.cut(query) {
            aggregate.query = front
            return (aggregate, component)
        }
        guard let (front, component) = Self.cut(path) else { return nil }
        aggregate.path = front
        return (aggregate, component)
    }

    /// The aggregate URL, if this URL ends in that relative control as one of the two orders above; nil if it does not.
    /// An absolute control matches only the same path and query.
    package func removing(control: String) -> RTSPURL? {
        if ControlURL.isAbsolute(control) {
            guard let other = try? RTSPURL(control), other.path == path, other.query == query else { return nil }
            return self
        }
        let suffix = "/" + (control.utf8.first == ASCII.slash ? control.droppingFirstBytes(1) : control)
        guard suffix.utf8.count > 1 else { return nil }
        var aggregate = self
        if let query, query.endsWithBytes(of: suffix) {
            aggregate.query = query.droppingLastBytes(suffix.utf8.count)
            return aggregate
        }
        // The control itself may carry a query, which then is the URL's.
        let (own, ownQuery) = suffix.byteSlice.split(atFirst: UInt8(ascii: "?"))
        guard ownQuery == nil || ownQuery?.text == query, path.endsWithBytes(of: own.text) else { return nil }
        aggregate.path = path.droppingLastBytes(own.count)
        if ownQuery != nil { aggregate.query = nil }
        return aggregate
    }

    /// The path without slashes at its ends, percent-decoded: a name to look up.
    package var pathName: String {
        var bytes = path.byteSlice
        while bytes.first == ASCII.slash { bytes = bytes.dropFirst() }
        while bytes.last == ASCII.slash { bytes = bytes.dropLast() }
        return PercentEncoding.decoded(bytes)
    }

    private static func cut(_ text: String) -> (String, String)? {
        var bytes = text.byteSlice
        while bytes.last == ASCII.slash { bytes = bytes.dropLast() }
        guard let slash = bytes.lastIndex(of: ASCII.slash) else { return nil }
        let component = bytes[(slash + 1)...]
        return component.isEmpty ? nil : (bytes[..<slash].text, component.text)
    }
}

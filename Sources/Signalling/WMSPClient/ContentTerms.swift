import WireFormats

/// What a server's answer says of who may keep and share its content, and of which version it is, word for word: `Cache-Control`, `Etag`,
/// `Last-Modified` and `Vary` of Describe or GetContentInfo ([MS-WMSP] 2.2.1.1, [MS-RTSP] 2.2.6.3).
package struct ContentTerms: Sendable, Equatable {
    /// The values of the `Cache-Control` lines; empty: nothing is said.
    package var cacheControl: [String]
    /// As it stands in the header, quotes and all.
    package var etag: String?
    /// As it stands in the header.
    package var lastModified: String?
    /// The values of the `Vary` lines.
    package var vary: [String] = []

    /// Terms.
    package init(cacheControl: [String] = [], etag: String? = nil, lastModified: String? = nil) {
        self.cacheControl = cacheControl
        self.etag = etag
        self.lastModified = lastModified
    }

    /// What an answer says; headers that are longer than anybody needs are taken for absent.
    package init(_ headers: HTTPHeaders) {
        func fits(_ value: String) -> Bool { value.utf8.count <= Self.valueBytesMax }
        cacheControl = headers.values(named: "Cache-Control").filter(fits)
        vary = headers.values(named: "Vary").filter(fits)
        etag = headers["Etag"].flatMap { fits($0) && !$0.isEmpty ? $0 : nil }
        lastModified = headers["Last-Modified"].flatMap { fits($0) && !$0.isEmpty ? $0 : nil }
    }

    /// The longest value that is taken.
    package static let valueBytesMax = 1_024

    /// It says nothing at all: VLC, FFmpeg.
    package var isSilent: Bool { cacheControl.isEmpty && etag == nil && lastModified == nil }
}

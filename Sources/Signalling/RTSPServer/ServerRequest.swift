import WireFormats

/// A request that passed what can be checked without knowing any path or session.
package struct ServerRequest: Sendable, Equatable {
    /// The request as it came.
    package let message: RTSPRequest
    /// What its URI names.
    package let target: RequestTarget
    /// The session it names, if any.
    package let session: String?

    /// Longest `CSeq` that is echoed.
    private static let sequenceDigitsMax = 20

    /// Checks version, method, `CSeq`, `Require` and URI.
    package init(_ message: RTSPRequest) throws(RequestRefusal) {
        self.message = message
        guard message.version == .rtsp1 else { throw .versionUnsupported(message.version.description) }
        guard Self.sequence(of: message) != nil else { throw .sequenceMissing(message.headers["CSeq"].map { String($0.prefix(32)) }) }
        guard ServerMethods.known.contains(message.method) else { throw .methodUnknown(message.method.name) }
        let required = message.headers.requiredOptions
        guard required.isEmpty else { throw .optionsUnsupported(required.joined(separator: ", ")) }
        target = try RequestTarget(uri: message.uri)
        session = message.headers.session?.id
    }

    /// The `CSeq` to echo; nil when there is none that is a number.
    package static func sequence(of message: RTSPRequest) -> String? {
        message.headers.cseq.flatMap(sequence)
    }

    /// The value if it can be echoed: what a peer sent comes back only if it is a number.
    package static func sequence(_ value: String) -> String? {
        !value.isEmpty && value.utf8.count <= sequenceDigitsMax && value.utf8.allSatisfy { (0x30...0x39).contains($0) } ? value : nil
    }

    /// Whether `Accept` lets a description pass.
    package func checkAccept() throws(RequestRefusal) {
        guard let accept = message.headers["Accept"] else { return }
        let types = accept.split(separator: ",").map { entry in
            (entry.split(separator: ";", omittingEmptySubsequences: false).first.map(String.init) ?? "").trimmedBlanks.lowercased()
        }
        guard types.contains(where: { ["application/sdp", "application/*", "*/*"].contains($0) }) else { throw .notAcceptable(accept) }
    }

    /// Whether the body is said to be a description.
    package func checkContentType() throws(RequestRefusal) {
        let type = message.headers.contentType
        guard type == "application/sdp" else { throw .unsupportedMediaType(type) }
    }

    /// PLAY of a live stream begins where it begins, whatever is asked; only a range that cannot be read is refused (457).
    package func checkRange() throws(RequestRefusal) {
        guard let range = message.headers["Range"] else { return }
        do { _ = try RangeHeader.parse(range) } catch { throw .rangeInvalid("\(error); a live stream takes npt=now-") }
    }

    /// The parameters that GET_PARAMETER asks for or SET_PARAMETER sets; Weir knows none, so an empty body (a keep-alive) alone is
    /// right.
    package func checkParameters() throws(RequestRefusal) {
        guard !message.body.isEmpty else { return }
        let lines = String(decoding: message.body.prefix(1_024), as: UTF8.self).split { $0 == "\r\n" || $0 == "\n" || $0 == "\r" }
        let names = lines.compactMap { line -> String? in
            let name = String(line.split(separator: ":", maxSplits: 1).first ?? "").trimmedBlanks
            return name.isEmpty ? nil : String(name.prefix(64))
        }
        if !names.isEmpty { throw .parametersUnknown(Array(names.prefix(16))) }
    }
}

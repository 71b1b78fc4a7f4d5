import PlaneLink

/// A source that sends RTP to a group or to us without being asked, described by an SDP file.
package struct RTPSource: Sendable, Equatable, CustomStringConvertible {
    /// The SDP file.
    package let file: String
    /// The group, or the address of ours, and the first track's port: they stand in for what the file says. Nil: the file says it.
    package private(set) var address: HostAddress?
    package private(set) var port: UInt16?
    /// The only sender to listen to; nil: whoever the file allows.
    package private(set) var source: HostAddress?
    /// The name or an address of the interface to join at; nil: as the routes say.
    package private(set) var interface: String?

    private static let keys = ["sdp", "source", "interface"]

    /// Whether a source's text is meant for this: `rtp://…`, or a file that ends in `.sdp`, with or without `?…`.
    static func isMeant(by text: String) -> Bool {
        text.lowercased().hasPrefix("rtp://") || (!text.contains("://") && file(of: text).lowercased().hasSuffix(".sdp"))
    }

    /// What stands before the first `?`.
    private static func file(of text: String) -> Substring { text.prefix { $0 != "?" } }

    /// Reads `rtp://239.1.2.3:5004?sdp=FILE&source=ADDRESS&interface=NAME`, or `FILE.sdp?source=…&interface=…`.
    init(_ text: String) throws(ValueProblem) {
        let start = Self.file(of: text)
        var values: [String: String] = [:]
        for part in text.dropFirst(start.count + 1).split(separator: "&") {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let key = String(pair[0])
            guard Self.keys.contains(key) else {
                throw ValueProblem("`\(key)` means nothing here; " + Suggestion.unknown(key, among: Self.keys))
            }
            guard pair.count == 2, !pair[1].isEmpty else { throw ValueProblem("`\(key)=` has no value") }
            guard values.updateValue(String(pair[1]), forKey: key) == nil else { throw ValueProblem("`\(key)=` stands there twice") }
        }
        if start.lowercased().hasPrefix("rtp://") {
            guard let file = values["sdp"] else {
                throw ValueProblem(
                    "an rtp:// source needs its description: write rtp://GROUP:PORT?sdp=FILE.sdp (RTP itself does not say what it carries)")
            }
            self.file = file
            let place = try Self.place(String(start.dropFirst("rtp://".count)))
            address = place.address
            port = place.port
        } else {
            guard values["sdp"] == nil else { throw ValueProblem("`sdp=` is for rtp:// sources; this one is an SDP file already") }
            file = String(start)
        }
        if let text = values["source"] { source = try MulticastSettings.source(text) }
        if let text = values["interface"] { interface = try MulticastSettings.interface(text) }
    }

    private static func place(_ text: String) throws(ValueProblem) -> (address: HostAddress, port: UInt16) {
        let form = "write rtp://GROUP:PORT?sdp=FILE.sdp, such as rtp://239.1.2.3:5004?sdp=camera.sdp"
        guard let colon = text.lastIndex(of: ":"), !text.hasSuffix("]") else { throw ValueProblem("`\(text)` has no port; \(form)") }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            throw ValueProblem("`\(text)`: an IPv6 address needs brackets; \(form)")
        }
        guard let address = HostAddress(numeric: String(host)) else { throw ValueProblem("`\(host)` is no numeric address; \(form)") }
        let number = try SettingValue.number(String(text[text.index(after: colon)...]), in: 1...MulticastSettings.Destination.portMax)
        guard number % 2 == 0 else {
            throw ValueProblem("the port \(number) is odd: RTP takes an even one and RTCP the next; write \(number - 1) or \(number + 1)")
        }
        return (address, UInt16(number))
    }

    /// As the user writes it.
    package var description: String {
        var words: [String] = []
        if address != nil { words.append("sdp=\(file)") }
        if let source { words.append("source=\(source.text)") }
        if let interface { words.append("interface=\(interface)") }
        let start = if let address, let port { "rtp://\(address.text(port: port))" } else { file }
        return words.isEmpty ? start : "\(start)?\(words.joined(separator: "&"))"
    }
}

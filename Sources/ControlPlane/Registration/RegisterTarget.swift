import Signalling
import WireFormats

/// A proxy that is to serve one of our paths: `rtsp://USER:PASSWORD@PROXY:PORT/NAME`, with `?transport=udp` and `?reuse-connection=no`
/// behind it where the defaults (over this connection, interleaved) will not do.
package struct RegisterTarget: Sendable, Equatable, CustomStringConvertible {
    /// Where the proxy is, and the login for it.
    let proxy: SourceURL
    /// The name at the proxy; nil: as the path is called here.
    let suffix: String?
    /// The proxy uses the connection that we make.
    var reusesConnection = true
    var delivery = RegisterHeader.Delivery.interleaved

    private enum Choice: String, CaseIterable { case interleaved, tcp, udp }

    /// Reads a target. The words of the error hold no password.
    package init(parsing text: String) throws(ValueProblem) {
        let mark = text.firstIndex(of: "?") ?? text.endIndex
        do throws(SourceURL.Trouble) { proxy = try SourceURL(String(text[..<mark])) } catch { throw ValueProblem(error.description) }
        guard proxy.transport == nil, !proxy.isTunnelled else {
            throw ValueProblem("a proxy is written rtsp://USER:PASSWORD@HOST:PORT/NAME")
        }
        let name = (try? RequestTarget(uri: proxy.request))?.readings.first?.path ?? ""
        if !name.isEmpty, let problem = ConfigurationReader.problem(ofName: name) { throw ValueProblem(problem) }
        suffix = name.isEmpty ? nil : name
        for part in text[mark...].dropFirst().split(separator: "&") {
            let (key, value) = (part.prefix { $0 != "=" }, String(part.drop { $0 != "=" }.dropFirst()))
            switch key {
            case "transport": delivery = try SettingValue.word(value, of: Choice.self) == .udp ? .udp : .interleaved
            case "reuse-connection": reusesConnection = try SettingValue.flag(value)
            default:
                throw ValueProblem("behind the ? of a proxy: " + Suggestion.unknown(String(key), among: ["transport", "reuse-connection"]))
            }
        }
    }

    /// The name at the proxy.
    func name(of path: String) -> String { suffix ?? path }

    /// The proxy, without a password.
    package var description: String { proxy.description }
}

extension PathSettings {
    /// The keys of a path that say where else it is to be served.
    static let registerFields: [Field<PathSettings>] = [
        Field(
            key: "register-at",
            set: { (path, text) throws(ValueProblem) in
                var targets: [RegisterTarget] = []
                for line in text.split(separator: "\n") { targets.append(try RegisterTarget(parsing: String(line).trimmedBlanks)) }
                guard targets.count <= registrationsMax else { throw ValueProblem("more than \(registrationsMax) proxies") }
                path.registerAt = targets
            }, isSecret: true, isList: true, listSeparator: "\n")
    ]

    /// Proxies that one path registers at.
    static let registrationsMax = 16
}

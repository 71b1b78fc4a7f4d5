import Signalling
import WireFormats

/// Whether players may have Windows Media of other servers through this relay by naming it in full (`GET http://origin/film.wmv`,
/// `DESCRIBE rtsp://origin/film.wmv`), and of which.
package struct ForwardProxySettings: Sendable, Equatable {
    /// Whom it asks; empty: there is no forward proxy.
    package var allow = ForwardAllowList()
    /// Who may use it; nil: every user where there are users, else whoever is near (``nearby``).
    package var use: AccessRule?
    /// By which names players know this relay itself, beside its addresses.
    package var names: [String] = []
    /// Targets that are carried at the same time.
    package var targetsMax = 100
    /// Servers (host and port) that they may be on.
    package var originsMax = 32
    /// How long a target that could not be had is answered without asking again, in milliseconds.
    package var negativeMilliseconds = 10_000
    /// Such targets that are remembered at the same time.
    package var negativesMax = 1_024
    /// What holds for each target's path.
    package var path = PathSettings(name: "forward-proxy", source: .publish)
    /// A key of it was given.
    package internal(set) var isGiven = false

    /// Off.
    package init() {}

    /// There is one.
    package var isOn: Bool { !allow.isEmpty }

    /// Whoever is on this machine, this link or this site.
    static let nearby = AccessRule(
        grants: ["127.0.0.0/8", "::1", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10"]
            .compactMap { try? NetworkPrefix(parsing: $0) }.map { .network($0) })

    /// Who may use it.
    func rule(hasUsers: Bool) -> AccessRule { use ?? (hasUsers ? .users : Self.nearby) }

    /// What would be done, for `weir serve --check`; nil when nothing is.
    package var words: String? {
        guard isOn else { return nil }
        return "forward proxy: Windows Media of \(allow.words), up to \(targetsMax) targets on \(originsMax) servers"
            + (use.map { "; use: \($0)" } ?? "")
    }
}

extension Configuration {
    /// The keys under `forward-proxy:`.
    static let forwardProxyFields: [Field<Configuration>] =
        [
            Field(
                key: "allow",
                set: { (section, text) throws(ValueProblem) in
                    let texts = text.split(separator: ",", omittingEmptySubsequences: false).map { String($0).trimmedBlanks }
                    do throws(ForwardAllowList.Trouble) { section.forwardProxy.allow = try ForwardAllowList(texts) } catch {
                        throw ValueProblem(error.description)
                    }
                    section.forwardProxy.isGiven = true
                }, isList: true),
            Field(
                key: "use",
                set: { (section, text) throws(ValueProblem) in
                    section.forwardProxy.use = try AccessRule(parsing: text)
                    section.forwardProxy.isGiven = true
                }, isList: true),
            Field(
                key: "names",
                set: { (section, text) throws(ValueProblem) in
                    var names: [String] = []
                    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
                        let name = String(part).trimmedBlanks
                        guard let key = try? CacheKey("mmsh://\(name)/"), key.host == name.lowercased(), key.port == 80 else {
                            throw ValueProblem("`\(name)` is no host name; write the names of this relay without a port")
                        }
                        names.append(key.host)
                    }
                    section.forwardProxy.names = names
                    section.forwardProxy.isGiven = true
                }, isList: true),
            Field(key: "targets-max") { (section, text) throws(ValueProblem) in
                section.forwardProxy.targetsMax = try SettingValue.number(text, in: 1...65_536)
                section.forwardProxy.isGiven = true
            },
            Field(key: "origins-max") { (section, text) throws(ValueProblem) in
                section.forwardProxy.originsMax = try SettingValue.number(text, in: 1...65_536)
                section.forwardProxy.isGiven = true
            },
            Field(key: "negative-time") { (section, text) throws(ValueProblem) in
                section.forwardProxy.negativeMilliseconds = try SettingValue.milliseconds(text, max: 3_600_000)
                section.forwardProxy.isGiven = true
            },
            Field(key: "negatives-max") { (section, text) throws(ValueProblem) in
                section.forwardProxy.negativesMax = try SettingValue.number(text, in: 0...1_000_000)
                section.forwardProxy.isGiven = true
            },
        ]
        + PathSettings.fields.filter { pathKeys.contains($0.key) }.map { field in
            Field(
                key: field.key,
                set: { (section, text) throws(ValueProblem) in
                    try field.set(&section.forwardProxy.path, text)
                    section.forwardProxy.isGiven = true
                }, isSecret: field.isSecret, isList: field.isList)
        }

    /// Keys of a path that hold for each target. What the operator's own password opened is no matter here: he has none at the origins.
    private static let pathKeys: Set<String> = [
        "cache", "cache-fill", "cache-fill-sessions", "cache-age", "stale", "linger", "silence", "window",
    ]

    /// What is wrong with it beyond single values, each with its key.
    var forwardProxyProblems: [(key: String, problem: String)] {
        guard forwardProxy.isGiven, !forwardProxy.isOn else { return [] }
        return [
            (
                "forward-proxy",
                "it names no servers that may be asked; list them under `allow:`, such as media.example.org, *.example.net:8080 or 10.0.0.0/8"
            )
        ]
    }
}

import PlaneLink
import Signalling
import WireFormats

/// What a path whose name is an expression (`~^cam-(\d+)$`) has beside other paths: any name that matches is a path of its own, made when
/// somebody asks for it.
package struct ExpressionSettings: Sendable, Equatable {
    /// What names must match.
    package let expression: NameExpression
    /// Paths that are made of it at the same time.
    package var instancesMax = 100
    /// How long a name whose source could not be had is answered without asking again, in milliseconds.
    package var negativeMilliseconds = 10_000
    /// Names that are remembered so at the same time.
    package var negativesMax = 1_024
    /// The only hosts that may be dialled; empty: the one that the source names.
    package var allow: [HostRule] = []

    /// Of an expression, with the defaults.
    init(_ expression: NameExpression) { self.expression = expression }

    /// Whether a source may be on this host.
    func permits(_ host: String) -> Bool { allow.isEmpty || allow.contains { $0.permits(host) } }
}

extension PathSettings {
    /// What a name that is an expression begins with.
    package static let expressionMark: Character = "~"

    /// The keys that only paths with expressions have.
    static let expressionFields: [Field<PathSettings>] = [
        Field(key: "instances-max") { (path, text) throws(ValueProblem) in
            try path.setExpression { (settings) throws(ValueProblem) in
                settings.instancesMax = try SettingValue.number(text, in: 1...65_536)
            }
        },
        Field(key: "negative-time") { (path, text) throws(ValueProblem) in
            try path.setExpression { (settings) throws(ValueProblem) in
                settings.negativeMilliseconds = try SettingValue.milliseconds(text, max: 3_600_000)
            }
        },
        Field(key: "negatives-max") { (path, text) throws(ValueProblem) in
            try path.setExpression { (settings) throws(ValueProblem) in
                settings.negativesMax = try SettingValue.number(text, in: 0...1_000_000)
            }
        },
        Field(
            key: "allow",
            set: { (path, text) throws(ValueProblem) in
                var rules: [HostRule] = []
                for part in text.split(separator: ",", omittingEmptySubsequences: false) {
                    rules.append(try HostRule(parsing: String(part).trimmedBlanks))
                }
                try path.setExpression { settings in settings.allow = rules }
            }, isList: true),
    ]

    /// Reads the name, if it is an expression; throws what is wrong with it, expression or not.
    mutating func takeExpression(ofName name: String) throws(ValueProblem) {
        guard name.first == Self.expressionMark else {
            if let problem = ConfigurationReader.problem(ofName: name) { throw ValueProblem(problem) }
            return
        }
        do throws(NameExpression.Trouble) {
            expression = ExpressionSettings(try NameExpression(String(name.dropFirst())))
        } catch { throw ValueProblem("the expression cannot be used: \(error)") }
    }

    /// What `redirect:` names.
    func redirection(_ text: String) throws(ValueProblem) -> Source {
        // Readers are told it as it is: no `$` has a meaning where the name has no groups.
        let template: URLTemplate
        if let expression {
            template = try URLTemplate(text, for: expression.expression)
        } else {
            template = try URLTemplate(literal: text)
        }
        guard !template.namesWindowsMedia else {
            throw ValueProblem("readers are sent to rtsp:// URLs; for Windows Media write `source:` with the URL, and `serve: redirect`")
        }
        guard !template.holdsCredentials else {
            throw ValueProblem("it holds a user: readers are told this URL; they log in there by themselves")
        }
        return .redirect(template)
    }

    private mutating func setExpression(_ change: (inout ExpressionSettings) throws(ValueProblem) -> Void) throws(ValueProblem) {
        guard var settings = expression else {
            throw ValueProblem("it is for paths whose names are expressions, such as ~^cam-(\\d+)$")
        }
        try change(&settings)
        expression = settings
    }
}

extension Configuration {
    /// What is wrong with paths made of expressions beyond single values, each with its key.
    var expressionProblems: [(key: String, problem: String)] {
        var problems: [(key: String, problem: String)] = []
        for path in paths {
            guard let expression = path.expression else { continue }
            func report(_ key: String, _ problem: String) { problems.append(("paths.\(path.name).\(key)", problem)) }
            if path.dial != .onDemand {
                report("dial", "an expression names no path that could be dialled before somebody asks for it; leave it out")
            }
            if path.multicast != MulticastSettings() {
                report("multicast", "one group cannot take the many paths of an expression; give a path by its name a group")
            }
            switch path.source {
            case .template(let template), .redirect(let template):
                let hosts = template.variesHost ? nil : template.source(for: [])?.host
                if template.variesHost, expression.allow.isEmpty {
                    report(
                        path.source.isRedirect ? "redirect" : "source",
                        "whoever asks for a name would choose the host that is named; say under `allow:` which hosts that may be, such as "
                            + "10.0.0.0/24 or *.cams.example")
                } else if let host = hosts, !expression.permits(host) {
                    report("allow", "\(host), the host of the source, is not among what is allowed")
                }
            case .publish:
                if !expression.allow.isEmpty { report("allow", "publishers come by themselves, no host is dialled; leave it out") }
            case .pull, .rtp, .file, .windowsMedia, .windowsMediaFile, .playlist, .demonstration, .custom: break
            }
        }
        return problems
    }
}

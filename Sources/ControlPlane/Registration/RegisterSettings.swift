import PlaneLink
import Signalling

/// Which back ends may have their streams served (REGISTER), and how. Off unless somebody is allowed to.
package struct RegisterSettings: Sendable, Equatable {
    /// Where the streams of registered back ends may be fetched from.
    enum Host: Sendable, Hashable {
        /// The address that REGISTER came from.
        case requester
        /// Anywhere.
        case any
        case network(NetworkPrefix)
        /// The host of that name, as the URL spells it.
        case name(String)
    }

    /// Who may register, and take back what was registered.
    var allow = AccessRule(grants: [])
    /// Every registered name begins so.
    var prefix = ""
    /// Where streams may be fetched from, unless the connection that brought REGISTER is used.
    var hosts: [Host] = [.requester]
    /// Registered paths at the same time.
    var pathsMax = 64
    /// A registered path whose back end cannot be had is removed after this time, in milliseconds; its readers are held till then.
    var waitMilliseconds = 60_000

    /// Nobody may.
    package init() {}

    /// Whether anybody may register.
    package var isOn: Bool { !allow.grants.isEmpty }

    /// What holds, for `weir serve --check`; nil: nothing does.
    var words: String? {
        guard isOn else { return nil }
        let hosts = hosts.map(\.description).joined(separator: ", ")
        return "register: \(allow) as /\(prefix)…; from \(hosts); up to \(pathsMax) paths"
    }

    /// Why a stream may not be fetched from there, or nil. A name is only taken if it is named: what it stands for is decided by whoever
    /// rules its zone, and may be an address within our network.
    func refusal(of url: SourceURL, requester: HostAddress) -> String? {
        let address = HostAddress(numeric: url.host)
        let isAllowed = hosts.contains { host in
            switch host {
            case .any: true
            case .requester: address == requester
            case .network(let network): address.map(network.contains) ?? false
            case .name(let name): name == url.host.lowercased()
            }
        }
        return isAllowed ? nil : "streams of \(url.host.prefix(64)) are not fetched on behalf of others (register: hosts)"
    }
}

extension RegisterSettings.Host: CustomStringConvertible {
    init(parsing text: String) throws(ValueProblem) {
        switch text {
        case "requester": self = .requester
        case "any": self = .any
        default:
            if text.contains("/") || text.contains(":") || HostAddress(numeric: text) != nil {
                self = .network(try NetworkPrefix(parsing: text))
                return
            }
            let isName =
                !text.isEmpty && text.utf8.count <= 253
                && text.utf8.allSatisfy { $0 < 0x80 && ($0.isLetterOrDigit || "-._".utf8.contains($0)) }
            guard isName else { throw ValueProblem("`\(text)` is no host; write requester, any, addresses, networks or names of hosts") }
            self = .name(text.lowercased())
        }
    }

    /// As it may be written.
    var description: String {
        switch self {
        case .requester: "requester"
        case .any: "any"
        case .network(let network): network.description
        case .name(let name): name
        }
    }
}

extension UInt8 {
    fileprivate var isLetterOrDigit: Bool {
        (0x30...0x39).contains(self) || (0x41...0x5A).contains(self) || (0x61...0x7A).contains(self)
    }
}

extension Configuration {
    /// The keys under `register:`.
    static let registerFields: [Field<Configuration>] = [
        Field(
            key: "allow",
            set: { (section, text) throws(ValueProblem) in section.register.allow = try AccessRule(parsing: text) }, isList: true),
        Field(key: "prefix") { (section, text) throws(ValueProblem) in
            if !text.isEmpty, let problem = ConfigurationReader.problem(ofName: text + "x") { throw ValueProblem(problem) }
            section.register.prefix = text
        },
        Field(
            key: "hosts",
            set: { (section, text) throws(ValueProblem) in
                var hosts: [RegisterSettings.Host] = []
                for part in text.split(separator: ",", omittingEmptySubsequences: false) {
                    hosts.append(try RegisterSettings.Host(parsing: String(part).trimmedBlanks))
                }
                section.register.hosts = hosts
            }, isList: true),
        Field(key: "paths-max") { (section, text) throws(ValueProblem) in
            section.register.pathsMax = try SettingValue.number(text, in: 1...65_536)
        },
        Field(key: "wait") { (section, text) throws(ValueProblem) in
            section.register.waitMilliseconds = max(try SettingValue.milliseconds(text), 1_000)
        },
    ]
}

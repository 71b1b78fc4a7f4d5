import Signalling

extension Configuration {
    /// The keys under `access:`.
    static let accessFields: [Field<Configuration>] = [
        Field(
            key: "read",
            set: { (section, text) throws(ValueProblem) in section.access.rules[.read] = try AccessRule(parsing: text) }, isList: true),
        Field(
            key: "publish",
            set: { (section, text) throws(ValueProblem) in section.access.rules[.publish] = try AccessRule(parsing: text) }, isList: true),
        Field(
            key: "control",
            set: { (section, text) throws(ValueProblem) in section.access.rules[.control] = try AccessRule(parsing: text) }, isList: true),
        Field(key: "realm") { (section, text) throws(ValueProblem) in
            guard !text.isEmpty, text.utf8.count <= 128, text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F && !"\"\\".utf8.contains($0) })
            else {
                throw ValueProblem("a realm is made of 1 to 128 printable ASCII characters without \" \\")
            }
            section.access.login.realm = text
        },
        Field(
            key: "methods",
            set: { (section, text) throws(ValueProblem) in
                var methods: Set<LoginMethod> = []
                for part in text.split(separator: ",", omittingEmptySubsequences: false) {
                    methods.insert(try SettingValue.word(String(part).trimmedBlanks, of: LoginMethod.self))
                }
                section.access.login.methods = methods
            }, isList: true),
        Field(key: "nonce-life") { (section, text) throws(ValueProblem) in
            section.access.login.nonceMilliseconds = UInt64(max(try SettingValue.milliseconds(text), 1_000))
        },
        Field(key: "nonces-max") { (section, text) throws(ValueProblem) in
            section.access.login.nonceCountsMax = try SettingValue.number(text, in: 16...1_000_000)
        },
        Field(key: "failures-max") { (section, text) throws(ValueProblem) in
            section.access.failuresMax = try SettingValue.number(text, in: 1...1_000_000)
        },
        Field(key: "failures-forgiven-per-minute") { (section, text) throws(ValueProblem) in
            section.access.failuresForgivenPerMinute = try SettingValue.number(text, in: 1...60_000)
        },
        Field(key: "addresses-max") { (section, text) throws(ValueProblem) in
            section.access.addressesMax = try SettingValue.number(text, in: 16...1_000_000)
        },
    ]

    /// What is wrong with users and rules beyond single values, each with its key.
    var accessProblems: [(key: String, problem: String)] {
        var problems: [(key: String, problem: String)] = []
        let names = access.users.map(\.name)
        func check(_ rule: AccessRule?, _ key: String) {
            for name in rule?.usersNamed ?? [] where !names.contains(name) {
                let words = names.isEmpty ? "there is no user under `users:`" : Suggestion.unknown(name, among: names)
                problems.append((key, "`\(name)` is no user, address or network; \(words)"))
            }
        }
        check(register.allow, "register.allow")
        check(forwardProxy.use, "forward-proxy.use")
        for right in AccessRight.allCases {
            check(access.rules[right], "access.\(right.rawValue)")
            for path in paths { check(path.access[right], "paths.\(path.name).\(right.rawValue)") }
        }
        for user in access.users where user.password == nil {
            problems.append(("users.\(user.name)", "it has no `password:`"))
        }
        for user in access.users {
            guard let secret = user.password?.secret(user: user.name, realm: access.login.realm) else { continue }
            let methods = access.login.methods
            guard !methods.contains(where: { $0.algorithm.map(secret.serves) ?? true }) else { continue }
            problems.append(
                (
                    "users.\(user.name).password",
                    "its hash serves none of the methods: \(methods.map(\.rawValue).sorted().joined(separator: ", "))"
                )
            )
        }
        return problems
    }
}

extension UserSettings {
    /// The keys of one user.
    static let fields: [Field<UserSettings>] = [
        Field(
            key: "password", set: { (user, text) throws(ValueProblem) in user.password = try UserPassword(parsing: text) }, isSecret: true),
        Field(
            key: "from",
            set: { (user, text) throws(ValueProblem) in
                var networks: [NetworkPrefix] = []
                for part in text.split(separator: ",", omittingEmptySubsequences: false) {
                    networks.append(try NetworkPrefix(parsing: String(part).trimmedBlanks))
                }
                user.networks = networks
            }, isList: true),
    ]
}

extension PathSettings {
    /// The keys of a path that say who may use it.
    static let accessFields: [Field<PathSettings>] = AccessRight.allCases.map { right in
        Field(
            key: right.rawValue,
            set: { (path, text) throws(ValueProblem) in path.access[right] = try AccessRule(parsing: text) }, isList: true)
    }
}

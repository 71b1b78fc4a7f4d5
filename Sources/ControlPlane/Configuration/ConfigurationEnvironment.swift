extension ConfigurationReader {
    /// The variables that belong to Weir begin so.
    static let environmentPrefix = "WEIR_"
}

/// Applies environment variables to a configuration: `WEIR_LISTEN`, `WEIR_ENGINE_BACKEND`, `WEIR_LIMITS_SESSIONS`,
/// `WEIR_PATHS_CAM_SOURCE`, `WEIR_USERS_ALICE_PASSWORD`. A path is found by its name in capitals with `_` for what is neither letter nor digit; one that is
/// not in the file is made, in small letters. A variable that begins with `WEIR_` and means nothing is an error.
struct ConfigurationEnvironment {
    private(set) var configuration: Configuration
    private(set) var errors: [ConfigurationError] = []

    /// Changes this configuration.
    init(_ configuration: Configuration) { self.configuration = configuration }

    /// Applies all variables, in the order of their names.
    mutating func apply(_ variables: [String: String]) {
        for (name, value) in variables.sorted(by: { $0.key < $1.key }) where name.hasPrefix(ConfigurationReader.environmentPrefix) {
            let key = String(name.dropFirst(ConfigurationReader.environmentPrefix.count))
            do throws(ValueProblem) {
                try apply(key, value)
            } catch {
                errors.append(ConfigurationError(place: .environment(name), key: "", problem: error.text))
            }
        }
    }

    private mutating func apply(_ key: String, _ value: String) throws(ValueProblem) {
        if let field = Configuration.fields.first(where: { $0.environmentName == key }) { return try field.set(&configuration, value) }
        for section in Configuration.sections {
            let prefix = Self.environmentName(ofPath: section.name) + "_"
            if let field = section.fields.first(where: { prefix + $0.environmentName == key }) {
                return try field.set(&configuration, value)
            }
        }
        if key.hasPrefix("USERS_"), try applyUser(key.dropFirst("USERS_".count), value) { return }
        if key.hasPrefix("PATHS_"), try applyPath(key.dropFirst("PATHS_".count), value) { return }
        throw ValueProblem("it means nothing; " + Suggestion.unknown(Self.prefixed(key), among: Self.known))
    }

    /// A user is found, or made, as a path is.
    private mutating func applyUser(_ rest: Substring, _ value: String) throws(ValueProblem) -> Bool {
        guard let field = UserSettings.fields.first(where: { rest.hasSuffix("_" + $0.environmentName) }) else { return false }
        let name = rest.dropLast(field.environmentName.count + 1)
        guard !name.isEmpty else { return false }
        if let index = configuration.access.users.firstIndex(where: { Self.environmentName(ofPath: $0.name) == name }) {
            try field.set(&configuration.access.users[index], value)
        } else {
            if let problem = UserSettings.problem(ofName: name.lowercased()) { throw ValueProblem(problem) }
            var user = UserSettings(name: name.lowercased())
            try field.set(&user, value)
            configuration.access.users.append(user)
        }
        return true
    }

    private mutating func applyPath(_ rest: Substring, _ value: String) throws(ValueProblem) -> Bool {
        // The longest key that fits: `…_SOURCE_WAIT` is `source-wait`, not a path `…_SOURCE` with a key `wait`.
        let fields = PathSettings.fields.sorted { $0.key.count > $1.key.count }
        guard let field = fields.first(where: { rest.hasSuffix("_" + $0.environmentName) }) else { return false }
        let name = rest.dropLast(field.environmentName.count + 1)
        guard !name.isEmpty else { return false }
        if let index = configuration.paths.firstIndex(where: { Self.environmentName(ofPath: $0.name) == name }) {
            try field.set(&configuration.paths[index], value)
        } else {
            guard field.key == "source" else {
                throw ValueProblem("there is no path for it: the file names none and \(Self.prefixed("PATHS_\(name)_SOURCE")) is not set")
            }
            if let problem = ConfigurationReader.problem(ofName: name.lowercased()) { throw ValueProblem(problem) }
            var path = PathSettings(name: name.lowercased(), source: .publish)
            try field.set(&path, value)
            configuration.paths.append(path)
        }
        return true
    }

    private static func environmentName(ofPath name: String) -> String {
        String(name.uppercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
    }

    private static func prefixed(_ key: String) -> String { ConfigurationReader.environmentPrefix + key }

    private static let known: [String] =
        (Configuration.fields.map(\.environmentName)
        + Configuration.sections.flatMap { section in
            section.fields.map { "\(environmentName(ofPath: section.name))_\($0.environmentName)" }
        }
        + UserSettings.fields.map { "USERS_NAME_\($0.environmentName)" }
        + PathSettings.fields.map { "PATHS_NAME_\($0.environmentName)" }).map(prefixed)
}

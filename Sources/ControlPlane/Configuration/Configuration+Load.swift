extension Configuration {
    /// A configuration file is no larger.
    static let fileBytesMax = 4 << 20

    /// Reads a file (nil: none) and the environment; throws everything that is wrong at once.
    package static func load(
        file: String?, environment: [String: String], extensions: RelayExtensions = RelayExtensions()
    ) throws(ConfigurationErrors) -> Configuration {
        var reader = ConfigurationReader(fileName: file ?? "")
        if let file {
            do throws(FileBytes.Trouble) {
                let bytes = try FileBytes.read(file, bytesMax: fileBytesMax)
                reader.read(yaml: String(decoding: bytes, as: UTF8.self))
            } catch {
                throw ConfigurationErrors(errors: [.init(place: .file(file, line: nil), key: "", problem: error.description)])
            }
        }
        return try finish(reader, environment, extensions)
    }

    /// Reads configuration text as ``load(file:environment:)`` does a file; messages name `fileName`.
    package static func parse(
        _ yaml: String, fileName: String = "weir.yml", environment: [String: String] = [:], extensions: RelayExtensions = RelayExtensions()
    ) throws(ConfigurationErrors) -> Configuration {
        var reader = ConfigurationReader(fileName: fileName)
        reader.read(yaml: yaml)
        return try finish(reader, environment, extensions)
    }

    private static func finish(
        _ reader: ConfigurationReader, _ environment: [String: String], _ extensions: RelayExtensions
    ) throws(ConfigurationErrors) -> Configuration {
        var overlay = ConfigurationEnvironment(reader.configuration)
        overlay.apply(environment)
        let problems =
            overlay.configuration.multicastProblems + overlay.configuration.redundancyProblems + overlay.configuration.accessProblems
            + overlay.configuration.expressionProblems + overlay.configuration.windowsMediaProblems
            + overlay.configuration.recordingProblems + overlay.configuration.forwardProxyProblems
            + overlay.configuration.extensionProblems(extensions)
        // A user whose password cannot be read is named once.
        let known = Set((reader.errors + overlay.errors).map(\.key))
        let whole = problems.filter { problem in !known.contains { $0.hasPrefix(problem.key) } }.map {
            ConfigurationError(place: .file(reader.fileName, line: reader.lines[$0.key]), key: $0.key, problem: $0.problem)
        }
        let errors = reader.errors + overlay.errors + whole
        guard errors.isEmpty else { throw ConfigurationErrors(errors: errors) }
        return overlay.configuration
    }

    /// Sets one option of the command line by its key, as the file would: `listen`, `engine.backend`, `paths.NAME.…` not included.
    package mutating func set(option: String, key: String, to text: String) throws(ConfigurationErrors) {
        let fields = Self.fields + Self.sections.flatMap(\.fields)
        guard let field = fields.first(where: { $0.key == key }) else { preconditionFailure("no such key: \(key)") }
        do throws(ValueProblem) {
            try field.set(&self, text)
        } catch {
            throw ConfigurationErrors(errors: [.init(place: .option(option), key: "", problem: error.text)])
        }
    }

    /// What would be done, for `weir serve --check`; one line each, no secrets.
    package var summary: [String] {
        var lines = [
            "listen on \(([listen] + listenBesides).map(\.description).joined(separator: ", "))",
            "media ports \(mediaPorts.map { "\($0.lowerBound)-\($0.upperBound)" } ?? "from the kernel")",
            "backend \(engine.backend.rawValue)\(engine.requireIOUring ? ", io_uring required" : "")",
            "workers \(engine.workers.map(String.init) ?? "auto"), max-delay \(limits.delayMicrosecondsMax)us, "
                + "zero-copy \(engine.zeroCopy.rawValue)",
            "up to \(limits.subscribersMax) sessions, \(limits.connectionsMax) connections",
        ]
        lines += access.summary
        if let words = register.words { lines.append(words) }
        if let words = distribution.words { lines.append(words) }
        if let words = forwardProxy.words { lines.append(words) }
        if paths.isEmpty, !register.isOn, !forwardProxy.isOn { lines.append("no path: nothing would be served") }
        for path in paths {
            let when = path.source == .publish ? ", when published" : path.source.isRedirect ? "" : ", \(path.dial.rawValue)"
            let what = path.expression.map { "names that match \($0.expression)" } ?? "path /\(path.name)"
            lines.append("\(what): \(path.source)\(when)")
            for (number, backup) in path.redundancy.backups.enumerated() { lines.append("  backup \(number + 1): \(backup)") }
            if let expression = path.expression {
                let hosts = expression.allow.isEmpty ? "" : ", on \(expression.allow.map(\.description).joined(separator: ", ")) alone"
                lines.append("  up to \(expression.instancesMax) at a time\(hosts)")
            }
            if let words = path.distribution.words { lines.append("  \(words)") }
            if let words = path.multicast.words { lines.append("  \(words)") }
            for right in AccessRight.allCases {
                if let rule = path.access[right] { lines.append("  \(right.rawValue): \(rule)") }
            }
        }
        return lines
    }
}

extension Configuration {
    /// Opens the recordings that paths name; throws what is wrong with them, as being in `fileName`.
    package func checkFiles(fileName: String) throws(ConfigurationErrors) {
        var errors: [ConfigurationError] = []
        for path in paths {
            do throws(ValueProblem) { try path.checkFile() } catch {
                errors.append(ConfigurationError(place: .file(fileName, line: nil), key: "paths.\(path.name).source", problem: error.text))
            }
        }
        if !errors.isEmpty { throw ConfigurationErrors(errors: errors) }
    }
}

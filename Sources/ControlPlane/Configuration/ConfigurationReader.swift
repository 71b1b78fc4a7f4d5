import Yams

/// Reads a configuration strictly: an unknown key and a bad value are errors with file, line and key. All errors are gathered.
struct ConfigurationReader {
    private(set) var configuration = Configuration()
    private(set) var errors: [ConfigurationError] = []
    let fileName: String
    /// Where each value stands, by its key with its sections: for what is wrong beyond single values.
    private(set) var lines: [String: Int] = [:]

    /// Nothing has been read yet; messages will name `fileName`.
    init(fileName: String) { self.fileName = fileName }

    /// Reads a whole file.
    mutating func read(yaml: String) {
        let root: Node?
        do {
            root = try compose(yaml: yaml)
        } catch {
            let (line, problem) = Self.words(error)
            return report("", line: line, problem)
        }
        guard let root, root.null == nil else { return }  // An empty file is an empty configuration.
        eachKey(of: root, at: "") { reader, key, keyNode, value in
            if let section = Configuration.sections.first(where: { $0.name == key }) {
                reader.lines[key] = keyNode.mark?.line
                reader.eachKey(of: value, at: key) { reader, name, nameNode, value in
                    reader.apply(section.fields, key: name, at: "\(key).\(name)", value: value, keyNode: nameNode)
                }
            } else if key == "paths" {
                reader.readPaths(value)
            } else if key == "users" {
                reader.readUsers(value)
            } else {
                reader.apply(
                    Configuration.fields, key: key, at: key, value: value, keyNode: keyNode,
                    others: Configuration.sections.map(\.name) + ["paths", "users"])
            }
        }
    }

    private mutating func readUsers(_ node: Node) {
        eachKey(of: node, at: "users") { reader, name, keyNode, value in
            let place = "users.\(name)"
            reader.lines[place] = keyNode.mark?.line
            if let problem = UserSettings.problem(ofName: name) { return reader.report(place, line: keyNode.mark?.line, problem) }
            var user = UserSettings(name: name)
            reader.eachKey(of: value, at: place) { reader, key, keyNode, value in
                reader.apply(UserSettings.fields, to: &user, key: key, at: "\(place).\(key)", value: value, keyNode: keyNode)
            }
            reader.configuration.access.users.append(user)
        }
    }

    private mutating func readPaths(_ node: Node) {
        eachKey(of: node, at: "paths") { reader, name, keyNode, value in
            let place = "paths.\(name)"
            var path = PathSettings(name: name, source: .publish)
            reader.lines[place] = keyNode.mark?.line
            do throws(ValueProblem) { try path.takeExpression(ofName: name) } catch {
                return reader.report(place, line: keyNode.mark?.line, error.text)
            }
            if reader.configuration.paths.contains(where: { $0.name == path.name }) {
                return reader.report(place, line: keyNode.mark?.line, "the path `\(path.name)` is already there")
            }
            var sources = 0
            reader.eachKey(of: value, at: place) { reader, key, keyNode, value in
                if key == "source" || key == "redirect" { sources += 1 }
                reader.apply(PathSettings.fields, to: &path, key: key, at: "\(place).\(key)", value: value, keyNode: keyNode)
            }
            if sources == 0 {
                reader.report(
                    place, line: keyNode.mark?.line,
                    "it has no `source:`; write an rtsp:// or rtp:// URL, a file (.rtpdump, .sdp) or publish")
            }
            if sources > 1 {
                reader.report(place, line: keyNode.mark?.line, "it has both `source:` and `redirect:`; a path is served here or elsewhere")
            }
            reader.configuration.paths.append(path)
            reader.readTransforms(of: value, at: place)
        }
    }

    /// `transform:` of the path that was read last, a rule for each kind of tracks.
    private mutating func readTransforms(of node: Node, at place: String) {
        guard let last = configuration.paths.indices.last, let rules = node.mapping?["transform"] else { return }
        eachKey(of: rules, at: "\(place).transform") { reader, name, keyNode, value in
            let place = "\(place).transform.\(name)"
            do throws(ValueProblem) {
                var rule = try TransformRule(name: name)
                var keys: [String] = []
                reader.eachKey(of: value, at: place) { reader, key, keyNode, value in
                    keys.append(key)
                    if key == "exec" { return reader.readCommand(value, at: "\(place).exec", into: &rule) }
                    reader.apply(
                        TransformRule.fields, to: &rule, key: key, at: "\(place).\(key)", value: value, keyNode: keyNode, others: ["exec"])
                }
                if keys.contains("use"), let odd = keys.first(where: TransformRule.keysOfPrograms.contains) {
                    reader.report(
                        place, line: keyNode.mark?.line,
                        "`\(odd)` is for programs, and `use:` names a part of this one; leave one of them out")
                } else if !keys.contains("use"), let odd = keys.first(where: TransformRule.keysOfCode.contains) {
                    reader.report(place, line: keyNode.mark?.line, "`\(odd)` is of use beside `use:` alone")
                } else if rule.use == nil, rule.command.words.isEmpty, !keys.contains("use"),
                    !reader.errors.contains(where: { $0.key == "\(place).exec" })
                {
                    reader.report(
                        place, line: keyNode.mark?.line,
                        "it has no `exec:`; write the program and its words (or, in a program that embeds Weir, `use:` and a name)")
                }
                reader.configuration.paths[last].transforms.append(rule)
            } catch { reader.report(place, line: keyNode.mark?.line, error.text) }
        }
    }

    private mutating func readCommand(_ node: Node, at place: String, into rule: inout TransformRule) {
        do throws(ValueProblem) {
            if let items = node.sequence {
                let words = items.compactMap { $0.null == nil ? $0.scalar?.string : nil }
                guard words.count == items.count else {
                    throw ValueProblem("a list of plain words is expected here; put `\"\"` for an empty one")
                }
                rule.command = try ProgramCommand(checking: words)
            } else if let line = node.null == nil ? node.scalar?.string : nil {
                rule.command = try ProgramCommand(line: line)
            } else {
                throw ValueProblem("a command line or a list of its words is expected here")
            }
        } catch { report(place, line: node.mark?.line, error.text) }
    }

    /// Why a path cannot have this name, or nil.
    static func problem(ofName name: String) -> String? {
        let trimmed = PathSettings.trimmed(name)
        guard !trimmed.isEmpty else { return "a path needs a name" }
        guard !trimmed.hasPrefix("~") else { return "a path's name does not begin with ~: that is for expressions in the configuration" }
        guard trimmed.utf8.count <= 255, trimmed.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && !"?#%\"<>\\".utf8.contains($0) }) else {
            return "a path's name is made of printable ASCII without blanks and ? # % \" < > \\, at most 255 characters"
        }
        if trimmed.split(separator: "/", omittingEmptySubsequences: false).contains(where: {
            $0.isEmpty || $0 == "." || $0 == ".." || $0.hasPrefix("trackID=")
        }) {
            return "the parts of a path's name between slashes cannot be empty, `.`, `..` or begin with `trackID=`"
        }
        return nil
    }

    // MARK: One mapping, one value

    private mutating func eachKey(of node: Node, at place: String, _ body: (inout Self, String, Node, Node) -> Void) {
        guard let mapping = node.mapping else {
            if node.null != nil { return }  // `paths:` with nothing behind it.
            return report(place, line: node.mark?.line, "a map of keys and values is expected here")
        }
        for (key, value) in mapping {
            guard let name = key.scalar?.string else {
                report(place, line: key.mark?.line, "a key must be a plain word")
                continue
            }
            body(&self, name, key, value)
        }
    }

    private mutating func apply(
        _ fields: [Field<Configuration>], key: String, at place: String, value: Node, keyNode: Node, others: [String] = []
    ) {
        var section = configuration
        apply(fields, to: &section, key: key, at: place, value: value, keyNode: keyNode, others: others)
        configuration = section
    }

    private mutating func apply<Section>(
        _ fields: [Field<Section>], to section: inout Section, key: String, at place: String, value: Node, keyNode: Node,
        others: [String] = []
    ) {
        guard let field = fields.first(where: { $0.key == key }) else {
            let words = Suggestion.unknown(key, among: fields.map(\.key) + others)
            return report(place, line: keyNode.mark?.line, "unknown key; \(words)")
        }
        if field.isReadApart { return }
        lines[place] = (value.mark ?? keyNode.mark)?.line
        guard let text = Self.text(of: value, separator: field.isList ? field.listSeparator : nil) else {
            let expected = field.isList ? "a single value or a list of them is expected here" : "a single value is expected here"
            return report(place, line: (value.mark ?? keyNode.mark)?.line, expected)
        }
        do throws(ValueProblem) {
            try field.set(&section, text)
        } catch {
            report(place, line: value.mark?.line, error.text)
        }
    }

    private static func text(of value: Node, separator: String?) -> String? {
        if let separator, let items = value.sequence {
            let texts = items.compactMap { $0.null == nil ? $0.scalar?.string : nil }
            // A list of lines ends like one: an item with blanks in it stays one item.
            return texts.count == items.count ? texts.joined(separator: separator) + (separator == "\n" ? separator : "") : nil
        }
        return value.null == nil ? value.scalar?.string : nil
    }

    private mutating func report(_ key: String, line: Int?, _ problem: String) {
        errors.append(ConfigurationError(place: .file(fileName, line: line), key: key, problem: problem))
    }

    /// The line and the words of an error of the YAML parser, without its excerpt of the file: that may hold a password.
    private static func words(_ error: any Error) -> (line: Int?, problem: String) {
        guard let error = error as? YamlError else { return (nil, "this is not YAML") }
        switch error {
        case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            return (mark.line, "this is not YAML: \(problem)\(context.map { " (\($0.text))" } ?? "")")
        case .duplicatedKeysInMapping(let duplicates, let context):
            return (context.mark.line, "a key stands here twice: \(duplicates.joined(separator: ", "))")
        case .reader(let problem, _, _, _): return (nil, "this is not text in UTF-8: \(problem)")
        case .no, .memory, .writer, .emitter, .representer, .dataCouldNotBeDecoded: return (nil, "this is not YAML")
        }
    }
}

import PlaneLink

extension PathSettings {
    /// The keys of a path that are about its multicast group.
    static let multicastFields: [Field<PathSettings>] = [
        Field(key: "multicast") { (path, text) throws(ValueProblem) in
            path.multicast.destination = try MulticastSettings.Destination(parsing: text)
        },
        Field(key: "multicast-ttl") { (path, text) throws(ValueProblem) in
            path.multicast.ttl = UInt8(clamping: try SettingValue.number(text, in: 0...255))
        },
        Field(key: "multicast-interface") { (path, text) throws(ValueProblem) in
            path.multicast.interface = try MulticastSettings.interface(text)
        },
        Field(key: "multicast-source") { (path, text) throws(ValueProblem) in
            path.multicast.source = try MulticastSettings.source(text)
        },
        Field(key: "multicast-loop") { (path, text) throws(ValueProblem) in path.multicast.loops = try SettingValue.flag(text) },
        Field(key: "multicast-only") { (path, text) throws(ValueProblem) in path.multicast.isOnly = try SettingValue.flag(text) },
        Field(key: "multicast-always") { (path, text) throws(ValueProblem) in path.multicast.isAlways = try SettingValue.flag(text) },
    ]
}

extension MulticastSettings {
    /// The name of an interface, or one of its addresses. Whether there is one is seen when it is used.
    static func interface(_ text: String) throws(ValueProblem) -> String {
        guard HostAddress(numeric: text)?.isMulticast != true else {
            throw ValueProblem("`\(text)` is a group; write the name of an interface, such as eth0, or its address")
        }
        guard HostAddress(numeric: text) != nil || NetworkInterface.isName(text) else {
            throw ValueProblem("`\(text)` is neither the name of an interface, such as eth0, nor a numeric address")
        }
        return text
    }

    /// An address that packets come from.
    static func source(_ text: String) throws(ValueProblem) -> HostAddress {
        guard let source = HostAddress(numeric: text), !source.isMulticast, !source.isUnspecified else {
            throw ValueProblem("`\(text)` is no address that packets can come from; write a numeric one, such as 192.168.1.10")
        }
        return source
    }
}

extension Configuration {
    /// What is wrong with the paths' groups beyond single values, each with its path and key.
    var multicastProblems: [(key: String, problem: String)] {
        var problems: [(key: String, problem: String)] = []
        var groups: [(name: String, destination: MulticastSettings.Destination)] = []
        for path in paths {
            func report(_ key: String, _ problem: String) { problems.append(("paths.\(path.name).\(key)", problem)) }
            let settings = path.multicast
            guard let destination = settings.destination else {
                // A pull by multicast joins at the interface, and needs no group of its own.
                var rest = settings
                if path.transport == .multicast { rest.interface = nil }
                if rest.isUseless {
                    report("multicast", "it is missing, and without a group the other multicast keys mean nothing; write GROUP:PORT")
                }
                continue
            }
            if let source = settings.source, (source.ipv4 == nil) != (destination.group.ipv4 == nil) {
                report("multicast-source", "\(source.text) is not of the same family (IPv4 or IPv6) as the group \(destination.group.text)")
            }
            if destination.group.isLinkLocalGroup, settings.interface == nil {
                report("multicast-interface", "\(destination.group.text) reaches one link only: say which by the name of an interface")
            }
            if let other = groups.first(where: { $0.destination.overlaps(destination) }) {
                report(
                    "multicast",
                    "the path /\(other.name) sends to \(other.destination.group.text(port: other.destination.port)), and each path takes "
                        + "\(2 * tracksPerStreamMax) ports; choose another group, or ports further apart")
            }
            groups.append((path.name, destination))
        }
        return problems
    }
}

extension MulticastSettings.Destination {
    fileprivate func overlaps(_ other: Self) -> Bool {
        group == other.group && abs(Int(port) - Int(other.port)) < 2 * tracksPerStreamMax
    }
}

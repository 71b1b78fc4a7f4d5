import Signalling

/// An overview as people read it: lines of a terminal, at most so many characters wide.
package struct OverviewTable {
    private let overview: Overview
    private let width: Int

    /// Nothing can be shown in less.
    package static let widthMin = 40

    /// A table of an overview.
    package init(_ overview: Overview, width: Int) {
        self.overview = overview
        self.width = max(width, Self.widthMin)
    }

    /// All of it. The first line is the head; lines that begin a section hold its names.
    package var lines: [String] {
        var lines = head + [""] + paths
        if !overview.publishers.isEmpty { lines += [""] + publishers }
        lines += [""] + readers
        let trouble = causes
        lines.append("")
        if let cache = overview.cache { lines += wrapped("CACHE", Self.items(cache)) }
        if !trouble.isEmpty { lines += wrapped("COUNTED", trouble) }
        lines += wrapped("LIMITS", limits)
        return lines.map { Self.cut($0, width) }
    }

    // MARK: Sections

    private var head: [String] {
        let program = overview.program, totals = overview.totals, rates = overview.rates, engine = overview.engine
        let failed = engine.workersFailed == 0 ? "" : " (\(engine.workersFailed) FAILED)"
        return [
            "weir \(program.version)  \(program.listen)  pid \(program.process)  up \(Self.duration(program.upSeconds))  \(engine.backend), "
                + "\(engine.workers) worker\(engine.workers == 1 ? "" : "s")\(failed): \(engine.backendReason)",
            "in \(Self.bits(rates.bitsReceivedPerSecond)) \(Self.count(rates.packetsReceivedPerSecond)) pkt/s   out "
                + "\(Self.bits(rates.bitsSentPerSecond)) \(Self.count(rates.packetsSentPerSecond)) pkt/s   paths \(totals.sourcesPlaying)/"
                + "\(overview.paths.count) playing   readers \(totals.readersPlaying)/\(overview.readers.count) playing, "
                + "\(overview.readers.behind) behind, \(overview.readers.lossy) lossy, \(overview.readers.silent) silent   publishers \(totals.publishers)",
        ]
    }

    private var paths: [String] {
        guard !overview.paths.isEmpty else { return ["PATHS    none"] }
        var grid = Grid(["PATH", "STATE", "FOR", "READERS", "IN", "OUT", "LOST", "DROPS", "SOURCE"], right: [2, 3, 4, 5, 6, 7])
        var notes: [[String]] = []
        for path in overview.paths {
            let lost = path.tracks.reduce(Int64(0)) { $0 &+ max($1.lost, 0) }
            grid.add([
                path.name, path.state.rawValue, Self.duration(path.stateSeconds), "\(path.readers)", Self.bits(path.bitsReceivedPerSecond),
                Self.bits(path.bitsSentPerSecond), "\(lost)", "\(path.receiveDrops)", path.source,
            ])
            notes.append(Self.notes(path))
        }
        return grid.lines(width, notes: notes)
    }

    /// What a path's row does not say: what goes on, and what went wrong.
    private static func notes(_ path: PathOverview) -> [String] {
        var notes: [String] = []
        if let error = path.lastError {
            if let since = error.sinceSeconds {
                let again = path.nextTrySeconds.map { ", next try in \(duration($0))" } ?? ""
                notes.append("    ! \(error.words) (for \(duration(since)), \(error.inARow) in a row\(again))")
            } else {
                notes.append("    last error \(duration(error.secondsAgo)) ago: \(error.words)")
            }
        } else if path.state != .playing, !path.words.isEmpty {
            notes.append("    \(path.words)")
        }
        for leg in path.legs {
            let mark = leg.isFeeding ? "→" : "·"
            let merge = leg.merge.map { ", \($0.filled) filled, \($0.lost) lost, \($0.lagMilliseconds) ms behind" } ?? ""
            notes.append(
                "    \(mark) \(leg.role) \(leg.source): \(leg.words)\(merge)" + (leg.failures == 0 ? "" : ", failed \(leg.failures) times"))
        }
        if let slate = path.slate {
            if slate.isOn { notes.append("    on its slate (\(slate.kind)) for \(Self.duration(slate.sinceSeconds ?? 0))") }
            if let trouble = slate.trouble { notes.append("    no slate: \(trouble)") }
        }
        if let cache = path.cache { notes.append("    \(words(cache))") }
        for line in path.playlist?.lines ?? [] { notes.append("    \(line)") }
        for transform in path.transforms ?? [] { notes.append("    \(transform.words)") }
        if !path.tracks.isEmpty, path.state == .playing {
            notes.append(
                "    " + path.tracks.map { $0.codec + ($0.silentSeconds > 0 ? " (\($0.words))" : "") }.joined(separator: ", ")
                    + (path.epochs > path.tracks.count ? ", spliced" : "")
                    + (path.tracksLeftOut.isEmpty ? "" : "; left out: " + path.tracksLeftOut.joined(separator: ", ")))
        }
        return notes
    }

    private var publishers: [String] {
        var grid = Grid(["PUBLISHER", "PATH", "VIA", "STATE", "SINCE", "USER", "AGENT"], right: [4])
        for publisher in overview.publishers {
            grid.add([
                publisher.address, publisher.path, publisher.transport, publisher.state, Self.duration(publisher.sinceSeconds),
                publisher.user ?? "-", publisher.userAgent ?? "-",
            ])
        }
        return grid.lines(width, notes: [])
    }

    private var readers: [String] {
        let list = overview.readers
        let ways = list.byTransport.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }.joined(separator: ", ")
        guard !list.shown.isEmpty else { return ["READERS  \(list.count == 0 ? "none" : "\(list.count) (\(ways))")"] }
        // Only where some of what is shown comes from elsewhere.
        let hasCache = list.shown.contains { $0.cache != nil }
        let names = ["READER", "PATH", "VIA", "STATE"] + (hasCache ? ["CACHE"] : [])
        var grid = Grid(
            names + ["SINCE", "LAG", "LOSS", "JITTER", "RTT", "MISSED", "SENT", "HEARD", "AGENT"],
            right: Set(names.count..<(names.count + 8)))
        for reader in list.shown {
            let state = [reader.isBlocked == true ? "blocked" : reader.state] + (hasCache ? [reader.cache ?? "-"] : [])
            grid.add(
                [reader.address, reader.path, reader.transport] + state + [
                    Self.duration(reader.sinceSeconds), Self.milliseconds(reader.lagMilliseconds),
                    reader.lossPercent.map { "\($0)%" } ?? "-", Self.milliseconds(reader.jitterMilliseconds),
                    Self.milliseconds(reader.roundTripMilliseconds), "\(reader.packetsMissed)",
                    reader.bytesSent.map { Self.bytes(Double($0)) } ?? "-", reader.reportSecondsAgo.map { Self.duration($0) } ?? "-",
                    (reader.user.map { "\($0) " } ?? "") + (reader.userAgent ?? "-"),
                ])
        }
        let more = list.count > list.shown.count ? ["    … \(list.shown.count) of \(list.count) readers (\(ways)), the worst first"] : []
        return grid.lines(width, notes: []) + more
    }

    /// Counters that are not 0, the highest first.
    private var causes: [String] {
        let causes = overview.causes
        var counted: [(String, UInt64)] = causes.drops.map { ("drop:\($0.key)", $0.value) }
        counted += causes.refusals.map { ("refused:\($0.key)", UInt64(clamping: $0.value)) }
        counted += causes.sourceFaults.map { ("source:\($0.key)", $0.value) }
        // Sessions that began are no trouble.
        counted += causes.windowsMedia.filter { $0.key != "opened" }.map { ("wm:\($0.key)", UInt64(clamping: $0.value)) }
        counted += causes.sessionEnds.map { ("ended:\($0.key)", UInt64(clamping: $0.value)) }
        counted += [
            ("receive-drops", overview.totals.sourceDatagramsDropped), ("report-drops", overview.totals.reportDatagramsDropped),
        ]
        return counted.filter { $0.1 > 0 }.sorted { ($1.1, $0.0) < ($0.1, $1.0) }.map { "\($0.0) \($0.1)" }
    }

    /// How plays were met, what is kept, and what origins have not heard yet.
    private static func items(_ cache: CacheOverview) -> [String] {
        var items = [
            ("HIT", cache.hits), ("MISS", cache.misses), ("REVALIDATED", cache.revalidations), ("SPLIT", cache.splits),
            ("BYPASS", cache.bypasses),
        ].filter { $0.1 > 0 }.map { "\($0.0) \($0.1)" }
        items += ["from the cache \(bytes(Double(cache.bytesFromCache)))", "from origins \(bytes(Double(cache.bytesFromOrigin)))"]
        if let store = cache.store {
            items.append("\(store.objects) kept, \(bytes(Double(store.bytes)))/\(bytes(Double(store.bytesMax)))")
            if store.evictions > 0 { items.append("evicted \(store.evictions)") }
            if store.writeFailures > 0 { items.append("write failures \(store.writeFailures)") }
            if store.damaged > 0 { items.append("damaged \(store.damaged)") }
        }
        let notices = cache.notices
        if notices.waiting > 0 || notices.originsAway > 0 {
            let away = notices.originsAway > 0 ? " (origins away: \(notices.originsAway))" : ""
            items.append("to be told \(notices.waiting)\(away)")
        }
        let lost = notices.overflowed + notices.expired
        if lost > 0 { items.append("never told \(lost)") }
        let heard = notices.eventsHeard.values.reduce(0, +)
        if heard > 0 { items.append("heard from relays \(heard)") }
        return items
    }

    /// The same of one path.
    private static func words(_ cache: PathCacheOverview) -> String {
        let words = ProxyOutcome.Word.allCases.compactMap { word in cache.plays[word.rawValue].map { "\(word.rawValue) \($0)" } }
        let plays = words.isEmpty ? "" : ": " + words.joined(separator: ", ") + ", last \(cache.last)"
        return "cache\(plays); \(bytes(Double(cache.bytesFromCache))) from it, \(bytes(Double(cache.bytesFromOrigin))) from the origin"
    }

    private var limits: [String] {
        overview.limits.map { limit in
            let share = limit.max == 0 ? 0 : Int(min(Double(limit.used) / Double(limit.max) * 100, 1e6).rounded(.up))
            return "\(limit.name) \(Self.count(Double(limit.used)))/\(Self.count(Double(limit.max))) (\(share)%)"
        }
    }

    /// Items one after the other under a name, in as many lines as they need.
    private func wrapped(_ name: String, _ items: [String]) -> [String] {
        let indent = 9
        var lines = [name + String(repeating: " ", count: indent - name.count)]
        for item in items {
            let last = lines[lines.count - 1]
            if last.count > indent, last.count + 2 + item.count > width { lines.append(String(repeating: " ", count: indent)) }
            lines[lines.count - 1] += (lines[lines.count - 1].count > indent ? "  " : "") + item
        }
        return lines
    }

    // MARK: Words

    static func cut(_ text: String, _ width: Int) -> String {
        text.count <= width ? text : text.prefix(max(width - 1, 0)) + "…"
    }

    static func duration(_ seconds: Double) -> String {
        let whole = seconds.isFinite ? Int(min(max(seconds, 0), 1e9)) : 0
        switch whole {
        case 0..<100: return "\(whole)s"
        case 100..<6_000: return "\(whole / 60)m\(whole % 60 < 10 ? "0" : "")\(whole % 60)s"
        case 6_000..<172_800: return "\(whole / 3_600)h\(whole / 60 % 60 < 10 ? "0" : "")\(whole / 60 % 60)m"
        default: return "\(whole / 86_400)d\(whole / 3_600 % 24)h"
        }
    }

    private static func milliseconds(_ value: Double?) -> String {
        guard let value, value.isFinite else { return "-" }
        return value < 1_000 ? "\(value < 10 ? "\(value.tenths)" : "\(Int(value))")ms" : "\((value / 1_000).tenths)s"
    }

    private static func bits(_ value: Double) -> String { scaled(value, 1_000, ["bit/s", "kbit/s", "Mbit/s", "Gbit/s"]) }
    static func bytes(_ value: Double) -> String { scaled(value, 1_024, ["B", "KiB", "MiB", "GiB", "TiB"]) }
    private static func count(_ value: Double) -> String { scaled(value, 1_000, ["", "k", "M", "G"]) }

    private static func scaled(_ value: Double, _ step: Double, _ units: [String]) -> String {
        var value = value.isFinite ? max(value, 0) : 0
        var unit = 0
        while value >= step, unit + 1 < units.count {
            value /= step
            unit += 1
        }
        let digits = unit == 0 || value >= 100 ? "\(Int(value))" : "\(value.tenths)"
        return units[0].isEmpty ? digits + units[unit] : "\(digits) \(units[unit])"
    }
}

/// Columns as wide as what they hold. The last one takes the room that is left.
struct Grid {
    private let right: Set<Int>
    private var rows: [[String]]

    /// Columns with these names, some of them to the right.
    init(_ names: [String], right: Set<Int>) {
        self.right = right
        rows = [names]
    }

    /// One more row, with as many cells as there are columns.
    mutating func add(_ row: [String]) { rows.append(row) }

    /// The rows, each followed by its notes. Where there is too little room, columns before the last are narrowed no further than their
    /// names, the widest first.
    func lines(_ width: Int, notes: [[String]]) -> [String] {
        let count = rows[0].count
        var widths = (0..<count).map { column in rows.reduce(0) { max($0, $1[column].count) } }
        var excess = widths.dropLast().reduce(0, +) + 2 * (count - 1) + rows[0][count - 1].count - width
        while excess > 0, let widest = (0..<(count - 1)).filter({ widths[$0] > rows[0][$0].count }).max(by: { widths[$0] < widths[$1] }) {
            widths[widest] -= 1
            excess -= 1
        }
        var lines: [String] = []
        for (number, row) in rows.enumerated() {
            let cells = row.enumerated().map { column, text in
                if column == count - 1 { return text }
                let cell = OverviewTable.cut(text, widths[column])
                let blanks = String(repeating: " ", count: widths[column] - cell.count)
                return right.contains(column) ? blanks + cell : cell + blanks
            }
            lines.append(cells.joined(separator: "  "))
            if number > 0, number <= notes.count { lines += notes[number - 1] }
        }
        return lines
    }
}

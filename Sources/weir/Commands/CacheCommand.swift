import ArgumentParser
import ControlPlane
import Foundation

/// `weir cache`.
struct CacheCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cache",
        abstract: "Look at what a cache on disk holds, check it, and let go of it.",
        discussion: """
            Works beside a relay that runs, and without one. Objects are named by their URL, or by the beginning of their id (from ls). \
            The cache is that of --cache DIR, else cache-dir of the configuration (--config FILE, weir.yml, WEIR_CACHE_DIR).

              weir cache ls
              weir cache pin mmsh://media.example/film.wmv
              weir cache purge mmsh://media.example/old.wmv --cache /var/cache/weir
              weir cache verify --config /etc/weir.yml
              weir cache prefetch films.txt

            Exit status: 0 done, 1 refused, failed, or something is damaged, 64 the command line cannot be, 65 the index cannot be used \
            (damaged, or of a newer Weir), 75 another relay writes the cache, or the relay did not do in 10 s what it was asked for.
            """,
        subcommands: [List.self, Statistics.self, Verify.self, Purge.self, Pin.self, Unpin.self, Prefetch.self, Exercise.self])

    /// Which cache.
    struct Target: ParsableArguments {
        @Option(help: ArgumentHelp("The cache's directory; without it cache-dir of the configuration.", valueName: "dir"))
        var cache: String?

        @Option(help: ArgumentHelp("The configuration file; default weir.yml if there is one.", valueName: "file"))
        var config: String?

        @Flag(help: "Print one line of JSON.")
        var json = false

        func view() throws -> CacheView { try CacheView(directory()) }

        /// The directory that is meant.
        func directory() throws -> String {
            if let cache { return cache }
            let file = config ?? (FileManager.default.fileExists(atPath: "weir.yml") ? "weir.yml" : nil)
            let directory = try loadConfiguration(file: file).cache.directory
            guard !directory.isEmpty else {
                throw ValidationError(
                    "which cache? Give --cache DIR, or a configuration with cache-dir (--config FILE, weir.yml, WEIR_CACHE_DIR)")
            }
            return directory
        }

        /// Prints a value as JSON, or lines for people.
        func show(_ value: some Encodable, _ lines: [String]) throws {
            if json {
                Console.shared.print(try ControlJSON.line(value))
            } else {
                for line in lines { Console.shared.print(line) }
            }
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "ls", abstract: "List objects, those used last first: how much is here, how old, how often used.",
            discussion: """
                AGE is the time since the origin confirmed it last, USED since it was played last.

                  weir cache ls
                  weir cache ls mms://media.example/film.wmv --cache /var/cache/weir
                  weir cache ls --json | jq -r '.rows[] | select(.whole | not) | .url'
                """)

        @OptionGroup var target: Target
        @Argument(help: "Only these: URLs, or beginnings of ids.")
        var names: [String] = []

        func run() throws {
            try cacheWork {
                let view = try target.view()
                let all = try view.records()
                let records = names.isEmpty ? all : try chosen(names, of: all)
                let listing = CacheListing(directory: view.directory, records: records, pins: names.isEmpty ? try view.pins() : [])
                try target.show(listing, listing.lines(TerminalScreen.width))
            }
        }
    }

    struct Statistics: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "stats", abstract: "Sum up: objects, bytes, pins, checksums, and which process writes it.",
            discussion: """
                What a running relay counts (evictions, refusals, failures) weir status says.

                  weir cache stats --cache /var/cache/weir
                  weir cache stats --json | jq .bytes
                """)

        @OptionGroup var target: Target

        func run() throws {
            try cacheWork {
                let statistics = try CacheStatistics(target.view())
                try target.show(statistics, statistics.lines)
            }
        }
    }

    struct Verify: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "verify", abstract: "Read objects from the disk and compare their checksums; make a new index of them.",
            discussion: """
                Without --purge nothing is changed: what is damaged is named, and the exit status is 1. A relay that runs is not held up.

                --rebuild is for an index that is damaged, missing or of a newer Weir, with no relay running: all objects are read, what is \
                right of them goes into a new index, and the old index stays beside it as index-TIME.sqlite.

                  weir cache verify
                  weir cache verify --rebuild --cache /var/cache/weir
                """)

        @OptionGroup var target: Target
        @Argument(help: "Only these: URLs, or beginnings of ids.")
        var names: [String] = []
        @Flag(help: "Let go of what is damaged.")
        var purge = false
        @Flag(help: "Make a new index from the objects.")
        var rebuild = false

        func validate() throws {
            if rebuild, purge || !names.isEmpty {
                throw ValidationError("--rebuild looks at all objects and removes none; leave the rest out")
            }
        }

        /// What is printed as JSON.
        struct Report: Encodable {
            struct Damage: Encodable {
                var id: String
                var url: String
                var trouble: String
            }
            var objects = 0
            var bytes: Int64 = 0
            var damaged: [Damage] = []
            var purged = false
        }

        func run() throws {
            try cacheWork { if rebuild { try makeIndex() } else { try look() } }
        }

        private func makeIndex() throws {
            let report = try CacheStore.rebuild(CacheSettings(directory: try target.directory())) { done, all in
                Console.shared.show(live: "object \(done) of \(all)")
            }
            Console.shared.endLine()
            var lines = [
                "a new index names \(report.objects) objects (\(report.whole) whole), \(report.bytes) bytes, \(report.pins) pins"
            ]
            if report.notices > 0 { lines.append("\(report.notices) events that origins have yet to hear of were taken over") }
            if report.mended > 0 { lines.append("\(report.mended) objects were damaged in part; the damaged parts are fetched again") }
            lines += report.leftOut.map { "left out, and cleared away when a relay opens the cache: \($0)" }
            if let old = report.oldIndex { lines.append("the old index is \(old)") }
            try target.show(report, lines)
        }

        private func look() throws {
            let view = try target.view()
            let all = try view.records()
            let records = names.isEmpty ? all : try chosen(names, of: all)
            var report = Report()
            var damaged: [CacheRecord] = []
            for (number, record) in records.enumerated() {
                if !target.json { Console.shared.show(live: "object \(number + 1) of \(records.count)") }
                let verdict = try view.verify(record)
                if verdict.isGone { continue }
                report.objects += 1
                report.bytes += verdict.bytes
                guard let trouble = verdict.trouble else { continue }
                damaged.append(record)
                report.damaged.append(Report.Damage(id: record.id, url: record.url, trouble: trouble))
            }
            if !target.json { Console.shared.endLine() }
            if purge, !damaged.isEmpty {
                try letGo(damaged, of: view, because: .damaged)
                report.purged = true
            }
            var lines = report.damaged.map { "damaged: \($0.url) (\($0.id.prefix(8))): \($0.trouble)" }
            lines.append(
                "\(report.objects) objects, \(report.bytes) bytes: "
                    + (damaged.isEmpty ? "all as they were written" : "\(damaged.count) damaged\(purge ? ", and let go of" : "")"))
            try target.show(report, lines)
            if !damaged.isEmpty, !purge { throw ExitCode(1) }
        }
    }

    struct Purge: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "purge", abstract: "Let go of objects; players that have them play on.",
            discussion: """
                A pinned object goes when it is named; --all spares those that are pinned. Pins stay.

                  weir cache purge mmsh://media.example/old.wmv
                  weir cache purge --all --cache /var/cache/weir
                """)

        @OptionGroup var target: Target
        @Argument(help: "URLs, or beginnings of ids.")
        var names: [String] = []
        @Flag(help: "Everything that is not pinned.")
        var all = false

        func validate() throws {
            if names.isEmpty != all { throw ValidationError("name what is to go, or give --all for everything that is not pinned") }
        }

        func run() throws {
            try cacheWork {
                let view = try target.view()
                let present = try view.records()
                let records = all ? present.filter { !$0.isPinned } : try chosen(names, of: present)
                try letGo(records, of: view, because: .purged)
                try target.show(["purged": records.map(\.url)], records.map { "purged \($0.url) (\($0.id.prefix(8)))" })
            }
        }
    }

    struct Pin: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "pin", abstract: "Keep what lies under URLs, now or later, however full the cache is.",
            discussion: """
                A URL may be pinned before anything is kept under it.

                  weir cache pin mmsh://media.example/film.wmv
                """)

        @OptionGroup var target: Target
        @Argument(help: "URLs, or beginnings of ids.")
        var names: [String]
        func run() throws { try setPins(names, true, target) }
    }

    struct Unpin: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "unpin", abstract: "Let URLs that were pinned go when room is needed.",
            discussion: """
                What lies under them stays until room is needed.

                  weir cache unpin mmsh://media.example/film.wmv
                """)

        @OptionGroup var target: Target
        @Argument(help: "URLs, or beginnings of ids.")
        var names: [String]
        func run() throws { try setPins(names, false, target) }
    }
}

/// The objects that words name; a word that names none ends the command.
private func chosen(_ names: [String], of records: [CacheRecord]) throws -> [CacheRecord] {
    var ids: Set<String> = []
    for name in names {
        let found = CacheView.matching(name, in: records)
        guard !found.isEmpty else { throw CacheTrouble(.absent, "the cache holds nothing under \(name); see weir cache ls") }
        ids.formUnion(found.map(\.id))
    }
    return records.filter { ids.contains($0.id) }
}

private func letGo(_ records: [CacheRecord], of view: CacheView, because cause: CacheRemoval) throws {
    guard try view.remove(records, because: cause) else {
        throw CacheTrouble(
            .inUse,
            "the relay that writes \(view.directory) (process \(view.owner ?? 0)) was asked and has not done it within 10 s; it will when it can"
        )
    }
}

/// Pins what URLs mean. Of `mms://`, which may lie under two keys, all that are there, else both.
private func setPins(_ names: [String], _ isPinned: Bool, _ target: CacheCommand.Target) throws {
    try cacheWork {
        let view = try target.view()
        let records = try view.records()
        var keys: [String] = []
        for name in names {
            let found = CacheView.matching(name, in: records).map(\.key)
            let meant = found.isEmpty ? CacheView.keys(name) : found
            guard !meant.isEmpty else { throw CacheTrouble(.absent, "\(name) is neither a URL that can be kept nor an id of the cache") }
            keys += meant
        }
        for key in keys { try view.pin(key, isPinned) }
        try target.show([isPinned ? "pinned" : "unpinned": keys], keys.map { "\(isPinned ? "pinned" : "unpinned") \($0)" })
    }
}

/// Runs what works on a cache; what goes wrong is said on standard error and told by the exit status (sysexits.h).
func cacheWork(_ body: () throws -> Void) throws {
    do { try body() } catch let error as CacheTrouble {
        Console.shared.endLine()
        Console.shared.printError("weir: \(error)")
        let code: Int32 =
            switch error.kind {
            case .indexDamaged, .indexNewer: 65  // EX_DATAERR
            case .inUse: 75  // EX_TEMPFAIL
            default: 1
            }
        throw ExitCode(code)
    }
}

import ArgumentParser
import ControlPlane

extension CacheCommand {
    /// `weir cache exercise`, for tools/cache-kill.
    struct Exercise: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "exercise",
            abstract: "Fill a directory with made-up content until this is ended; or look at what such a run left.",
            discussion: """
                Example: weir cache exercise --cache /tmp/x --log /tmp/x.log & sleep 1; kill -9 $!; weir cache exercise --cache /tmp/x \
                --log /tmp/x.log --check
                """,
            shouldDisplay: false)

        @OptionGroup var target: Target
        @Option(help: ArgumentHelp("Where commits are written down.", valueName: "file"))
        var log: String?
        @Flag(help: "The disk may be full; commits are not written down.")
        var full = false
        @Option(help: "What is done follows from it.")
        var seed: UInt64 = 1
        @Option(help: "It ends by itself after so long.")
        var seconds = 60.0
        @Option(help: "How many work side by side, 1 to 64.")
        var threads = 3
        @Flag(help: "Open what a run left, compare every byte, and print what was there.")
        var check = false

        func validate() throws {
            guard full != (log != nil) else { throw ValidationError("give --log FILE, or --full") }
            guard (1...64).contains(threads), seconds > 0 else { throw ValidationError("--threads is 1 to 64, --seconds above 0") }
        }

        func run() throws {
            try cacheWork {
                guard check else {
                    let refusals = try CacheExercise.run(try target.directory(), log: log, seed: seed, seconds: seconds, threads: threads)
                    return try target.show(["refusals": refusals], ["the disk refused \(refusals) times"])
                }
                let result = try CacheExercise.check(try target.directory(), log: log)
                try target.show(result, ["\(result.objects) objects, \(result.bytes) bytes, \(result.commits) commits: all as written"])
            }
        }
    }
}

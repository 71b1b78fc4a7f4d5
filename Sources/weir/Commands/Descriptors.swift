import Glibc

/// The process's limit on open descriptors.
enum Descriptors {
    /// Raises the soft limit to the hard one and answers with what is allowed now. Every command calls it first.
    @discardableResult
    static func raise() -> Int {
        var limit = rlimit()
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard unsafe getrlimit(resource, &limit) == 0 else { return 1_024 }
        if limit.rlim_cur < limit.rlim_max {
            limit.rlim_cur = limit.rlim_max
            _ = unsafe setrlimit(resource, &limit)
            _ = unsafe getrlimit(resource, &limit)
        }
        return Int(clamping: limit.rlim_cur)
    }

    /// What to say when fewer are allowed than would be needed; nil when they suffice.
    static func shortage(allowed: Int, needed: Int, for purpose: String) -> String? {
        guard allowed < needed else { return nil }
        return
            "Descriptors: \(allowed) are allowed; \(purpose) would need \(needed) (`ulimit -Hn`, or LimitNOFILE= of a service)."
    }
}

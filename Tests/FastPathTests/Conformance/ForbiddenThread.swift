import CForbidding
import Glibc

/// A rule: this call fails with that number.
func rule<Call: BinaryInteger>(_ call: Call, _ error: Int32) -> forbidding_rule {
    forbidding_rule(call: Int32(call), level: -1, option: -1, error: error)
}

/// A rule: setting this option fails with that number.
func rule(setting option: Int32, level: Int32, _ error: Int32) -> forbidding_rule {
    forbidding_rule(call: Int32(FORBIDDING_SETSOCKOPT), level: level, option: option, error: error)
}

/// Runs something on a thread of its own, and something more with its result after system calls were forbidden there and on all threads
/// that it makes.
func onForbiddenThread<Made, Result>(
    _ rules: [forbidding_rule], before: @escaping () throws -> Made, _ body: @escaping (Made) throws -> Result
) -> Swift.Result<Result, any Error> {
    let box = ThreadBox<Result> {
        let made = try before()
        let result = unsafe forbidding_forbid(rules, Int32(rules.count))
        guard result == 0 else { throw ConformanceFailure(description: "no filter can be installed here: error \(-result)") }
        return try body(made)
    }
    return box.run()
}

/// The same without a beginning.
func onForbiddenThread<Result>(_ rules: [forbidding_rule], _ body: @escaping () throws -> Result) -> Swift.Result<Result, any Error> {
    onForbiddenThread(rules, before: {}, { try body() })
}

private protocol Runnable: AnyObject { func carryOut() }

private final class ThreadBox<Value>: Runnable {
    private let body: () throws -> Value
    private var result: Result<Value, any Error>?

    init(_ body: @escaping () throws -> Value) { self.body = body }

    func carryOut() { result = Result { try body() } }

    func run() -> Result<Value, any Error> {
        var thread = pthread_t()
        let argument = unsafe Unmanaged.passRetained(self as AnyObject).toOpaque()
        let made = unsafe pthread_create(
            &thread, nil,
            { argument in
                guard let argument = unsafe argument else { return nil }
                (unsafe Unmanaged<AnyObject>.fromOpaque(argument).takeRetainedValue() as? any Runnable)?.carryOut()
                return nil
            }, argument)
        guard made == 0 else { return .failure(ConformanceFailure(description: "no thread: error \(made)")) }
        _ = pthread_join(thread, nil)
        return result ?? .failure(ConformanceFailure(description: "the thread did nothing"))
    }
}

import Glibc

/// A line for the person who waits, on standard error: standard output carries the result alone.
package func progress(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    unsafe bytes.withUnsafeBytes { _ = unsafe write(2, $0.baseAddress, $0.count) }
}

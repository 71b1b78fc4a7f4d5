/// Dates as the headers and the logs of this field have them. Times before 1970 count as 1970.
package enum HTTPDate {
    /// `Sun, 06 Nov 1994 08:49:37 GMT` for seconds since 1970 (RFC 1123 section 5.2.14), which RFC 2326 section 12.18 asks for.
    package static func format(unixSeconds: Int64) -> String {
        let seconds = max(0, unixSeconds)
        let days = seconds / 86_400
        let (year, month, day) = date(days: days)
        let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        return "\(weekdays[Int(days % 7)]), \(two(day)) \(months[Int(month - 1)]) \(year) \(clock(seconds)) GMT"
    }

    /// `1994-11-06` and `08:49:37`, in UTC, as the logs of W3C have them.
    package static func fields(unixSeconds: Int64) -> (date: String, time: String) {
        let seconds = max(0, unixSeconds)
        let (year, month, day) = date(days: seconds / 86_400)
        return ("\(year)-\(two(month))-\(two(day))", clock(seconds))
    }

    /// Days since 1970 to a date of the Gregorian calendar, counted in eras of 400 years that begin on 1 March.
    private static func date(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthIndex = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthIndex + 2) / 5 + 1
        let month = monthIndex < 10 ? monthIndex + 3 : monthIndex - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }

    private static func clock(_ seconds: Int64) -> String {
        let rest = seconds % 86_400
        return "\(two(rest / 3_600)):\(two(rest / 60 % 60)):\(two(rest % 60))"
    }

    private static func two(_ number: Int64) -> String { number < 10 ? "0\(number)" : "\(number)" }
}

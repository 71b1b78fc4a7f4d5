/// Requests for streams as a relay at the edge of a network sees them, made by a generator: no public trace of streaming servers was at hand that
/// may be kept here. It has the properties that the studies of such servers agree on (and MediSyn, a generator of HP Laboratories, is built of):
///
/// - Popularity follows Zipf's law, with an exponent of 0.8, and most contents are asked for once or twice.
/// - It does not stay: each day brings new contents, which are asked for most in their first days, and are forgotten (half-lives of some hours for
///   news, days for films, none for a shelf of evergreens).
/// - Lengths go from half a minute to two hours, rates from 64 kbit/s to 2 Mbit/s: sizes over four powers of ten.
/// - More than half of the players leave early; who stays, stays to the end. Of what is left early only the beginning is there, unless a quarter is
///   (then it is fetched to its end): the relay's rule.
/// - A day has a curve, with its top in the evening.
///
/// All of it is made of whole numbers and a seed: the same on every machine.
struct StreamingTrace {
    struct Request {
        var second: Int64
        var content: Int
        /// Bytes that the player wanted from the beginning on.
        var bytes: Int64
    }

    /// Bytes of each content.
    private(set) var sizes: [Int64] = []
    private(set) var requests: [Request] = []
    var bytesOfAll: Int64 { sizes.reduce(0, +) }

    static let days = 14
    private static let perDay = 3_000
    /// Requests of each two hours, in hundredths of a day.
    private static let curve = [3, 2, 2, 3, 6, 9, 9, 9, 11, 15, 18, 13]

    init(seed: UInt64) {
        var random = SplitMix(seed: seed)
        var born: [Int] = [], halfLives: [Int] = [], weights: [Int] = []
        let rates: [Int64] = [8_000, 16_000, 37_500, 37_500, 62_500, 125_000, 250_000]
        // Seconds: clips, news, episodes, films.
        let lengths: [ClosedRange<Int64>] = [30...240, 60...600, 1_200...3_000, 4_500...7_200]
        func add(day: Int, rank: Int) {
            let kind = [0, 0, 0, 1, 1, 1, 2, 2, 3][Int.random(in: 0..<9, using: &random)]
            sizes.append(rates[Int.random(in: 0..<rates.count, using: &random)] * Int64.random(in: lengths[kind], using: &random))
            born.append(day)
            halfLives.append(rank % 7 == 0 ? 1_000 : [3, 1, 4, 6][kind])
            weights.append(Self.weights[min(rank, Self.weights.count - 1)])
        }
        for rank in 0..<1_200 { add(day: -Int.random(in: 0..<20, using: &random), rank: rank) }
        for day in 0..<Self.days {
            // The day's own, of every rank.
            for _ in 0..<60 { add(day: day, rank: Int.random(in: 0..<1_200, using: &random)) }
            var sums: [Int] = [], sum = 0
            for content in sizes.indices {
                let halvings = (day - born[content]) * 4 / halfLives[content]
                // Quarters of a halving: 1, 0.84, 0.71, 0.59.
                let share = [1_000, 841, 707, 595][halvings & 3] >> min(halvings / 4, 20)
                sum += weights[content] * share
                sums.append(sum)
            }
            for (part, percent) in Self.curve.enumerated() {
                let start = Int64(day * 86_400 + part * 7_200), count = Self.perDay * percent / 100
                for index in 0..<count {
                    let pick = Int.random(in: 0..<max(1, sum), using: &random)
                    var low = 0, high = sums.count - 1
                    while low < high {
                        let middle = (low + high) / 2
                        if sums[middle] > pick { high = middle } else { low = middle + 1 }
                    }
                    let size = sizes[low]
                    let wanted: Int64 =
                        switch Int.random(in: 0..<100, using: &random) {
                        case ..<30: size * Int64.random(in: 1...10, using: &random) / 100
                        case ..<55: size * Int64.random(in: 10...60, using: &random) / 100
                        default: size
                        }
                    requests.append(
                        Request(second: start + Int64(index) * 7_200 / Int64(max(1, count)), content: low, bytes: max(1, wanted)))
                }
            }
        }
    }

    /// 1,000,000 / rank^0.8, as a table of powers of two with lines between.
    private static let weights: [Int] = (1...1_200).map { rank in
        var power = 1, value = 1_000_000.0
        while power * 2 <= rank {
            power *= 2
            value *= 0.574_349_177
        }
        let part = Double(rank - power) / Double(power)
        return Int(value * (1 - part * (1 - 0.574_349_177)))
    }
}

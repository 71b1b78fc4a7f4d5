/// The field of 256 elements that the FEC of [MS-RTSP] 2.2.2.2 counts in: polynomials over two elements modulo x⁸ + x⁴ + x³ + x² + 1.
package enum GF256 {
    /// The polynomial.
    private static let polynomial: UInt16 = 0x11D

    private static let tables: (exp: [UInt8], log: [UInt8]) = {
        var exp = [UInt8](repeating: 0, count: 512), log = [UInt8](repeating: 0, count: 256)
        var value: UInt16 = 1
        for index in 0..<255 {
            exp[index] = UInt8(truncatingIfNeeded: value)
            exp[index + 255] = exp[index]
            log[Int(value)] = UInt8(index)
            value <<= 1
            if value & 0x100 != 0 { value ^= polynomial }
        }
        return (exp, log)
    }()

    /// All products: that of a and b stands at 256 a + b.
    static let products: [UInt8] = {
        var products = [UInt8](repeating: 0, count: 65_536)
        for a in 1..<256 {
            for b in 1..<256 { products[a << 8 | b] = tables.exp[Int(tables.log[a]) + Int(tables.log[b])] }
        }
        return products
    }()

    /// The product.
    package static func multiply(_ a: UInt8, _ b: UInt8) -> UInt8 { products[Int(a) << 8 | Int(b)] }

    /// What gives 1 times a; 0 for 0, which has none.
    package static func inverse(_ a: UInt8) -> UInt8 { a == 0 ? 0 : tables.exp[255 - Int(tables.log[Int(a)])] }

    /// Adds factor times source to what begins at `offset` of the target; the source must not reach beyond its end.
    static func add(_ source: Span<UInt8>, times factor: UInt8, to target: inout MutableSpan<UInt8>, at offset: Int, products: Span<UInt8>)
    {
        precondition(offset >= 0 && source.count <= target.count - offset)
        let row = Int(factor) << 8
        for index in source.indices {
            target[offset &+ index] ^= products[row | Int(source[index])]
        }
    }
}

/// The systematic Vandermonde code of [MS-RTSP] 2.2.2.2: k packets of media as they are, and packets of FEC, any k of which all tell everything.
package enum VandermondeCode {
    /// Packets of media, at most.
    package static let countMax = 24

    /// What the packets of media are multiplied by, to be summed up to the FEC packet of that number (from 0) for `count` of them.
    ///
    /// The document makes a Vandermonde matrix systematic, by the inverse of its upper square. A row of the product is what interpolation
    /// through the points 1…k gives at the point k + 1 + row, which needs no inverse.
    package static func coefficients(row: Int, count: Int) -> [UInt8] {
        guard (1...countMax).contains(count), (0..<countMax).contains(row) else { return [] }
        let point = UInt8(count + row + 1)
        return (1...UInt8(count)).map { own in
            var above: UInt8 = 1, below: UInt8 = 1
            for other in 1...UInt8(count) where other != own {
                above = GF256.multiply(above, point ^ other)
                below = GF256.multiply(below, own ^ other)
            }
            return GF256.multiply(above, GF256.inverse(below))
        }
    }

    /// Turns a square matrix into its inverse; nil where it has none. At most ``countMax`` rows.
    static func inverse(_ matrix: [[UInt8]]) -> [[UInt8]]? {
        let count = matrix.count
        var left = matrix
        var right = (0..<count).map { row in (0..<count).map { $0 == row ? UInt8(1) : 0 } }
        for column in 0..<count {
            guard let pivot = (column..<count).first(where: { left[$0][column] != 0 }) else { return nil }
            left.swapAt(column, pivot)
            right.swapAt(column, pivot)
            let factor = GF256.inverse(left[column][column])
            for index in 0..<count {
                left[column][index] = GF256.multiply(left[column][index], factor)
                right[column][index] = GF256.multiply(right[column][index], factor)
            }
            for row in 0..<count where row != column && left[row][column] != 0 {
                let factor = left[row][column]
                for index in 0..<count {
                    left[row][index] ^= GF256.multiply(left[column][index], factor)
                    right[row][index] ^= GF256.multiply(right[column][index], factor)
                }
            }
        }
        return right
    }
}

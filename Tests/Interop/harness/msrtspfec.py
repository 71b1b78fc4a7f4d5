"""x-wms-fec: a systematic Vandermonde code over GF(256), polynomial 0x11D, generator 2."""
import functools
import struct

from .registry import check

POWERS, LOGS = [0] * 510, [0] * 256
value = 1
for exponent in range(255):
    POWERS[exponent] = POWERS[exponent + 255] = value
    LOGS[value] = exponent
    value = value << 1 ^ (0x11D if value & 128 else 0)
TABLES = [bytes(POWERS[LOGS[factor] + LOGS[byte]] if factor and byte else 0 for byte in range(256)) for factor in range(256)]
HEADER_BYTES = 16


def times(one, other):
    return TABLES[one][other]


def inverse(one):
    return POWERS[255 - LOGS[one]]


def power(base, exponent):
    return 1 if exponent == 0 else 0 if base == 0 else POWERS[LOGS[base] * exponent % 255]


def solve(matrix, right):
    """The rows X with matrix * X = right, where rows of `right` are byte strings; None if there is none."""
    size = len(matrix)
    matrix, right = [list(row) for row in matrix], [bytes(row) for row in right]
    for column in range(size):
        pivot = next((row for row in range(column, size) if matrix[row][column]), None)
        if pivot is None:
            return None
        for table in (matrix, right):
            table[column], table[pivot] = table[pivot], table[column]
        factor = inverse(matrix[column][column])
        matrix[column] = [times(factor, one) for one in matrix[column]]
        right[column] = scaled(right[column], factor)
        for row in range(size):
            if row != column and (factor := matrix[row][column]):
                matrix[row] = [one ^ times(factor, other) for one, other in zip(matrix[row], matrix[column])]
                right[row] = added(right[row], scaled(right[column], factor))
    return right


def scaled(data, factor):
    return data.translate(TABLES[factor])


def added(one, other):
    size = max(len(one), len(other))
    return (int.from_bytes(one.ljust(size, b"\0"), "big") ^ int.from_bytes(other.ljust(size, b"\0"), "big")).to_bytes(size, "big")


@functools.lru_cache(None)
def rows(sources, repairs):
    """The coefficients of the repair packets: V * (top of V)^-1, without its identity."""
    vandermonde = [[power(row + 1, column) for column in range(sources)] for row in range(sources + repairs)]
    identity = [bytes(row == column for column in range(sources)) for row in range(sources)]
    top = solve(vandermonde[:sources], identity)
    return [bytes(functools.reduce(lambda one, other: one ^ other, (times(row[j], top[j][column]) for j in range(sources)))
                  for column in range(sources)) for row in vandermonde[sources:]]


def combined(coefficients, parts):
    size = max(len(part) for part in parts)
    total = bytes(size)
    for coefficient, part in zip(coefficients, parts):
        total = added(total, scaled(part.ljust(size, b"\0"), coefficient))
    return total


# Published values: the matrix of six sources and four repairs, and what comes of six rows of eight bytes.
MATRIX = [bytes.fromhex(row) for row in ("ba69d3d268bb", "fe608960f781", "563a7b93ac29", "d802cd2595a6")]
SOURCES = [bytes.fromhex(row) for row in ("dfe3abc941cff8f5", "c56be71bb8a5422f", "4db1fca7354e67dc", "6f4ca7b4624b677e", "29c5ca1d2e4fa469",
                                          "fa1bebd24bc26847")]
REPAIRS = [bytes.fromhex(row) for row in ("58c0c8cc9052b0c6", "797623121bfd19ef", "6ee95474142b6955", "8af234c01e73d937")]


def check_arithmetic():
    check(rows(6, 4) == MATRIX, f"the matrix is {[row.hex() for row in rows(6, 4)]}")
    check([combined(row, SOURCES) for row in rows(6, 4)] == REPAIRS, "the repairs differ from the published ones")


def protected(raw):
    """What the code runs over, of an RTP packet: length, type and time, then everything behind the fixed header."""
    return struct.pack(">HBI", len(raw) - 12, raw[1] & 127, struct.unpack_from(">I", raw, 4)[0]) + raw[12:]


class Repair:
    """A FEC packet, taken apart."""

    def __init__(self, rtp):
        check(rtp.marker, "a FEC packet without the marker")
        check(len(rtp.payload) > HEADER_BYTES, f"a FEC packet of {len(rtp.payload)} bytes")
        base, length, kind, high, low, time_, index, span, flags, reserved = struct.unpack_from(">HHBBHIBBBB", rtp.payload)
        check(not kind & 128 and index < 32 and span < 32 and not flags and not reserved, f"the header of a FEC packet: {rtp.payload[:16].hex(' ')}")
        self.mask, self.index, self.span = high << 16 | low, index, span
        check(self.mask & 1, f"the mask {self.mask:06x} does not begin with its base")
        self.sequences = [(base + bit) & 0xFFFF for bit in range(24) if self.mask >> bit & 1]
        self.symbol = struct.pack(">HBI", length, kind, time_) + rtp.payload[HEADER_BYTES:]
        self.group = (base, self.mask)


def repair_packet(sources, index, count, sequence, payload_type, ssrc):
    """The repair `index` of `count` of RTP packets in their order; those may be every m-th of the stream."""
    base = struct.unpack_from(">H", sources[0], 2)[0]
    mask = 0
    for raw in sources:
        mask |= 1 << (struct.unpack_from(">H", raw, 2)[0] - base & 0xFFFF)
    symbol = combined(rows(len(sources), count)[index], [protected(raw) for raw in sources])
    length, kind, time_ = struct.unpack_from(">HBI", symbol)
    head = struct.pack(">BBHII", 0x80, 128 | payload_type, sequence & 0xFFFF, struct.unpack_from(">I", sources[-1], 4)[0], ssrc)
    return head + struct.pack(">HHBBHIBBBB", base, length, kind & 127, mask >> 16, mask & 0xFFFF, time_, index, count, 0, 0) + symbol[7:]


def recovered(repairs, present, ssrc, payload_type):
    """{sequence: RTP packet} of what is missing of one group. `present`: {sequence: raw}. The marker is not told: it is set."""
    sequences = repairs[0].sequences
    missing = [one for one in sequences if one not in present]
    if not missing or len(repairs) < len(missing):
        return {}
    repairs = repairs[:len(missing)]
    table = rows(len(sequences), max(one.index for one in repairs) + 1)
    right, matrix = [], []
    for one in repairs:
        symbol = one.symbol
        for column, sequence in enumerate(sequences):
            if sequence in present:
                symbol = added(symbol, scaled(protected(present[sequence]).ljust(len(symbol), b"\0"), table[one.index][column]))
        right.append(symbol)
        matrix.append([table[one.index][sequences.index(sequence)] for sequence in missing])
    solution = solve(matrix, right)
    result = {}
    for sequence, symbol in zip(missing, solution or []):
        length, _, time_ = struct.unpack_from(">HBI", symbol)
        # Of the type only seven bits of a sum of eight came, so it is the one that was agreed upon.
        check(7 + length <= len(symbol) and not any(symbol[7 + length:]), f"a recovered packet of {length} bytes in {len(symbol) - 7}")
        result[sequence] = struct.pack(">BBHII", 0x80, 128 | payload_type, sequence, time_, ssrc) + symbol[7:7 + length]
    return result

// The counting filter: an eBPF socket filter, assembled here so that no compiler for it and no libbpf are needed.
#define _GNU_SOURCE
#include "csinks.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    ports = 65536,
    program_max = 200,
    // The filter sees the packet from its UDP header on.
    udp_header_bytes = 8,
    sequence_offset = udp_header_bytes + 2,
    // Up to and with the RTP timestamp.
    head_bytes = udp_header_bytes + 8,
    // A packet this far behind is late; beyond, the sender began a new sequence (RFC 3550, A.1: MAX_DROPOUT).
    restart_distance = 3000,
    window = 64,
    // Of every so many sequence numbers one is looked at for the spread: a power of two.
    spread_step = csinks_spread_step,
    spread_shift = 3,
};

_Static_assert(sizeof(struct csinks_counts) == 64, "one cache line per port");
_Static_assert(1 << spread_shift == spread_step, "numbers and rows of the spread");

// MARK: A small assembler

enum label {
    here,
    discard,
    spread,
    later,
    verdict,
    single,
    train,
    spanned,
    first_packet,
    backward,
    advance,
    train_bits,
    train_all,
    set_next,
    duplicate,
    too_late,
    restart,
    labels,
};

struct assembly {
    struct bpf_insn code[program_max];
    uint8_t target[program_max];
    int16_t place[labels];
    int count;
};

static void emit(struct assembly *a, uint8_t code, int dst, int src, int16_t off, int32_t imm) {
    if (a->count < program_max)
        a->code[a->count] = (struct bpf_insn){.code = code, .dst_reg = dst, .src_reg = src, .off = off, .imm = imm};
    a->count++;
}

static void mark(struct assembly *a, enum label label) { a->place[label] = (int16_t)a->count; }

// 64-bit arithmetic with a number and with a register.
static void op(struct assembly *a, uint8_t code, int dst, int32_t imm) { emit(a, BPF_ALU64 | code | BPF_K, dst, 0, 0, imm); }
static void opr(struct assembly *a, uint8_t code, int dst, int src) { emit(a, BPF_ALU64 | code | BPF_X, dst, src, 0, 0); }
static void load(struct assembly *a, uint8_t size, int dst, int src, int off) {
    emit(a, BPF_LDX | BPF_MEM | size, dst, src, (int16_t)off, 0);
}
static void store(struct assembly *a, uint8_t size, int dst, int off, int src) {
    emit(a, BPF_STX | BPF_MEM | size, dst, src, (int16_t)off, 0);
}
static void call(struct assembly *a, int function) { emit(a, BPF_JMP | BPF_CALL, 0, 0, 0, function); }
static void big_endian_16(struct assembly *a, int dst) { emit(a, BPF_ALU | BPF_END | BPF_TO_BE, dst, 0, 0, 16); }
static void big_endian_32(struct assembly *a, int dst) { emit(a, BPF_ALU | BPF_END | BPF_TO_BE, dst, 0, 0, 32); }

static void jump(struct assembly *a, uint8_t code, int dst, int32_t imm, enum label to) {
    if (a->count < program_max) a->target[a->count] = to;
    emit(a, BPF_JMP | code | BPF_K, dst, 0, 0, imm);
}
static void jumpr(struct assembly *a, uint8_t code, int dst, int src, enum label to) {
    if (a->count < program_max) a->target[a->count] = to;
    emit(a, BPF_JMP | code | BPF_X, dst, src, 0, 0);
}

static void add_to_field(struct assembly *a, uint8_t size, int field, int amount_register) {
    load(a, size, BPF_REG_1, BPF_REG_8, field);
    opr(a, BPF_ADD, BPF_REG_1, amount_register);
    store(a, size, BPF_REG_8, field, BPF_REG_1);
}

#define FIELD(name) ((int)offsetof(struct csinks_counts, name))
#define SPREAD(name) ((int)offsetof(struct csinks_spread, name))

// Registers from the look-up on: 6 the packet, 7 its first sequence number, 8 the port's row, 9 segments.
// Stack: -16...-1 the packet's head, -20 the key, -24 the last sequence number, -32 how many numbers the buffer spans.
static int assemble(struct assembly *a, int map, int spreads) {
    memset(a, 0, sizeof *a);
    opr(a, BPF_MOV, BPF_REG_6, BPF_REG_1);

    // The head. A packet shorter than that is no RTP.
    op(a, BPF_MOV, BPF_REG_2, 0);
    opr(a, BPF_MOV, BPF_REG_3, BPF_REG_10);
    op(a, BPF_ADD, BPF_REG_3, -head_bytes);
    op(a, BPF_MOV, BPF_REG_4, head_bytes);
    call(a, BPF_FUNC_skb_load_bytes);
    jump(a, BPF_JNE, BPF_REG_0, 0, discard);

    // The row of the destination port.
    load(a, BPF_H, BPF_REG_1, BPF_REG_10, -head_bytes + 2);
    big_endian_16(a, BPF_REG_1);
    store(a, BPF_W, BPF_REG_10, -20, BPF_REG_1);
    emit(a, BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, map);
    emit(a, 0, 0, 0, 0, 0);
    opr(a, BPF_MOV, BPF_REG_2, BPF_REG_10);
    op(a, BPF_ADD, BPF_REG_2, -20);
    call(a, BPF_FUNC_map_lookup_elem);
    jump(a, BPF_JEQ, BPF_REG_0, 0, discard);
    opr(a, BPF_MOV, BPF_REG_8, BPF_REG_0);

    // RTP version 2, and no RTCP on the same port (RFC 5761: 192...223 in the second byte).
    load(a, BPF_B, BPF_REG_1, BPF_REG_10, -head_bytes + udp_header_bytes);
    op(a, BPF_AND, BPF_REG_1, 0xc0);
    jump(a, BPF_JNE, BPF_REG_1, 0x80, verdict);
    load(a, BPF_B, BPF_REG_1, BPF_REG_10, -head_bytes + udp_header_bytes + 1);
    op(a, BPF_ADD, BPF_REG_1, -192);
    op(a, BPF_AND, BPF_REG_1, 0xff);
    jump(a, BPF_JLT, BPF_REG_1, 32, verdict);

    load(a, BPF_H, BPF_REG_7, BPF_REG_10, -head_bytes + sequence_offset);
    big_endian_16(a, BPF_REG_7);
    load(a, BPF_W, BPF_REG_1, BPF_REG_10, -head_bytes + udp_header_bytes + 4);
    big_endian_32(a, BPF_REG_1);
    store(a, BPF_W, BPF_REG_8, FIELD(timestamp_last), BPF_REG_1);

    // How many packets this buffer is, and the last one's sequence number.
    store(a, BPF_H, BPF_REG_10, -24, BPF_REG_7);
    load(a, BPF_W, BPF_REG_9, BPF_REG_6, offsetof(struct __sk_buff, gso_segs));
    jump(a, BPF_JGT, BPF_REG_9, 1, train);
    op(a, BPF_MOV, BPF_REG_9, 1);
    jump(a, BPF_JA, 0, 0, single);
    mark(a, train);
    load(a, BPF_W, BPF_REG_2, BPF_REG_6, offsetof(struct __sk_buff, gso_size));
    opr(a, BPF_MOV, BPF_REG_1, BPF_REG_9);
    op(a, BPF_ADD, BPF_REG_1, -1);
    opr(a, BPF_MUL, BPF_REG_2, BPF_REG_1);
    op(a, BPF_ADD, BPF_REG_2, sequence_offset);
    opr(a, BPF_MOV, BPF_REG_1, BPF_REG_6);
    opr(a, BPF_MOV, BPF_REG_3, BPF_REG_10);
    op(a, BPF_ADD, BPF_REG_3, -24);
    op(a, BPF_MOV, BPF_REG_4, 2);
    call(a, BPF_FUNC_skb_load_bytes);
    jump(a, BPF_JNE, BPF_REG_0, 0, verdict);
    load(a, BPF_H, BPF_REG_1, BPF_REG_10, -24);
    big_endian_16(a, BPF_REG_1);
    store(a, BPF_H, BPF_REG_10, -24, BPF_REG_1);
    mark(a, single);

    // Totals.
    load(a, BPF_W, BPF_REG_1, BPF_REG_8, FIELD(buffers));
    op(a, BPF_ADD, BPF_REG_1, 1);
    store(a, BPF_W, BPF_REG_8, FIELD(buffers), BPF_REG_1);
    load(a, BPF_W, BPF_REG_2, BPF_REG_6, offsetof(struct __sk_buff, len));
    op(a, BPF_ADD, BPF_REG_2, -udp_header_bytes);
    add_to_field(a, BPF_DW, FIELD(bytes), BPF_REG_2);
    load(a, BPF_DW, BPF_REG_3, BPF_REG_8, FIELD(packets));
    opr(a, BPF_MOV, BPF_REG_1, BPF_REG_3);
    opr(a, BPF_ADD, BPF_REG_1, BPF_REG_9);
    store(a, BPF_DW, BPF_REG_8, FIELD(packets), BPF_REG_1);

    // Sequence numbers from first to last; more of them than segments: some are missing inside the train.
    load(a, BPF_H, BPF_REG_2, BPF_REG_10, -24);
    opr(a, BPF_SUB, BPF_REG_2, BPF_REG_7);
    op(a, BPF_AND, BPF_REG_2, 0xffff);
    op(a, BPF_ADD, BPF_REG_2, 1);
    // Fewer, or far more: the train's ends are out of order. Then it is taken as whole.
    opr(a, BPF_MOV, BPF_REG_1, BPF_REG_2);
    opr(a, BPF_SUB, BPF_REG_1, BPF_REG_9);
    jump(a, BPF_JLE, BPF_REG_1, restart_distance, spanned);
    opr(a, BPF_MOV, BPF_REG_2, BPF_REG_9);
    mark(a, spanned);
    store(a, BPF_DW, BPF_REG_10, -32, BPF_REG_2);

    jump(a, BPF_JEQ, BPF_REG_3, 0, first_packet);

    // Distance from the number we expected, as a signed 16-bit number.
    opr(a, BPF_MOV, BPF_REG_1, BPF_REG_7);
    load(a, BPF_W, BPF_REG_2, BPF_REG_8, FIELD(sequence_next));
    opr(a, BPF_SUB, BPF_REG_1, BPF_REG_2);
    op(a, BPF_AND, BPF_REG_1, 0xffff);
    jump(a, BPF_JSGE, BPF_REG_1, 0x8000, backward);

    // Ahead, or where it should be. Register 1: numbers skipped.
    opr(a, BPF_MOV, BPF_REG_4, BPF_REG_1);
    load(a, BPF_DW, BPF_REG_2, BPF_REG_10, -32);
    opr(a, BPF_ADD, BPF_REG_4, BPF_REG_2);
    opr(a, BPF_SUB, BPF_REG_4, BPF_REG_9); // skipped before and inside
    add_to_field(a, BPF_W, FIELD(lost), BPF_REG_4);
    // seen moves on by what was skipped and what the buffer spans.
    opr(a, BPF_ADD, BPF_REG_4, BPF_REG_9);
    op(a, BPF_MOV, BPF_REG_3, 0);
    jump(a, BPF_JGE, BPF_REG_4, window, advance);
    load(a, BPF_DW, BPF_REG_3, BPF_REG_8, FIELD(seen));
    opr(a, BPF_LSH, BPF_REG_3, BPF_REG_4);
    mark(a, advance);
    jump(a, BPF_JGE, BPF_REG_2, window, train_all);
    op(a, BPF_MOV, BPF_REG_5, 1);
    opr(a, BPF_LSH, BPF_REG_5, BPF_REG_2);
    op(a, BPF_ADD, BPF_REG_5, -1);
    opr(a, BPF_OR, BPF_REG_3, BPF_REG_5);
    jump(a, BPF_JA, 0, 0, set_next);
    mark(a, train_all);
    op(a, BPF_MOV, BPF_REG_3, -1);
    mark(a, set_next);
    store(a, BPF_DW, BPF_REG_8, FIELD(seen), BPF_REG_3);
    load(a, BPF_DW, BPF_REG_1, BPF_REG_10, -32);
    opr(a, BPF_ADD, BPF_REG_1, BPF_REG_7);
    op(a, BPF_AND, BPF_REG_1, 0xffff);
    store(a, BPF_W, BPF_REG_8, FIELD(sequence_next), BPF_REG_1);
    jump(a, BPF_JA, 0, 0, spread);

    mark(a, first_packet);
    call(a, BPF_FUNC_ktime_get_ns);
    store(a, BPF_DW, BPF_REG_8, FIELD(first_ns), BPF_REG_0);
    jump(a, BPF_JA, 0, 0, train_all); // what came before counts as seen

    mark(a, backward); // register 1: 0x10000 minus how far behind
    op(a, BPF_MOV, BPF_REG_2, 0x10000);
    opr(a, BPF_SUB, BPF_REG_2, BPF_REG_1);
    jump(a, BPF_JGT, BPF_REG_2, restart_distance, restart);
    jump(a, BPF_JGT, BPF_REG_2, window, too_late);
    // A train that begins behind and ends ahead cannot be told apart: its numbers were not consecutive to ours.
    jumpr(a, BPF_JLT, BPF_REG_2, BPF_REG_9, too_late);
    // The buffer's bits: `segments` ones, its last packet at bit (behind - segments).
    op(a, BPF_MOV, BPF_REG_5, -1);
    jump(a, BPF_JGE, BPF_REG_9, window, train_bits);
    op(a, BPF_MOV, BPF_REG_5, 1);
    opr(a, BPF_LSH, BPF_REG_5, BPF_REG_9);
    op(a, BPF_ADD, BPF_REG_5, -1);
    mark(a, train_bits);
    opr(a, BPF_SUB, BPF_REG_2, BPF_REG_9);
    op(a, BPF_AND, BPF_REG_2, window - 1);
    opr(a, BPF_LSH, BPF_REG_5, BPF_REG_2);
    load(a, BPF_DW, BPF_REG_3, BPF_REG_8, FIELD(seen));
    opr(a, BPF_MOV, BPF_REG_4, BPF_REG_3);
    opr(a, BPF_AND, BPF_REG_4, BPF_REG_5);
    jump(a, BPF_JNE, BPF_REG_4, 0, duplicate);
    opr(a, BPF_OR, BPF_REG_3, BPF_REG_5);
    store(a, BPF_DW, BPF_REG_8, FIELD(seen), BPF_REG_3);
    load(a, BPF_W, BPF_REG_1, BPF_REG_8, FIELD(lost));
    opr(a, BPF_SUB, BPF_REG_1, BPF_REG_9); // it was counted lost when it was skipped
    store(a, BPF_W, BPF_REG_8, FIELD(lost), BPF_REG_1);
    mark(a, too_late);
    add_to_field(a, BPF_W, FIELD(reordered), BPF_REG_9);
    jump(a, BPF_JA, 0, 0, spread);
    mark(a, duplicate);
    add_to_field(a, BPF_W, FIELD(duplicates), BPF_REG_9);
    jump(a, BPF_JA, 0, 0, verdict);
    mark(a, restart);
    load(a, BPF_W, BPF_REG_1, BPF_REG_8, FIELD(restarts));
    op(a, BPF_ADD, BPF_REG_1, 1);
    store(a, BPF_W, BPF_REG_8, FIELD(restarts), BPF_REG_1);
    jump(a, BPF_JA, 0, 0, train_all);

    // The spread: when the first and the last reader got this number. Two CPUs may do this at a time for two readers: then the
    // first or last time is off by the nanoseconds between them, and the count is right.
    mark(a, spread);
    load(a, BPF_W, BPF_REG_1, BPF_REG_8, FIELD(verdict));
    op(a, BPF_AND, BPF_REG_1, 1);
    jump(a, BPF_JEQ, BPF_REG_1, 0, verdict);
    // The newest multiple of the step that the buffer holds, if it holds one.
    load(a, BPF_H, BPF_REG_1, BPF_REG_10, -24);
    load(a, BPF_DW, BPF_REG_2, BPF_REG_10, -32);
    opr(a, BPF_MOV, BPF_REG_3, BPF_REG_1);
    op(a, BPF_AND, BPF_REG_3, spread_step - 1);
    jumpr(a, BPF_JGE, BPF_REG_3, BPF_REG_2, verdict);
    op(a, BPF_RSH, BPF_REG_1, spread_shift);
    store(a, BPF_W, BPF_REG_10, -20, BPF_REG_1);
    emit(a, BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, spreads);
    emit(a, 0, 0, 0, 0, 0);
    opr(a, BPF_MOV, BPF_REG_2, BPF_REG_10);
    op(a, BPF_ADD, BPF_REG_2, -20);
    call(a, BPF_FUNC_map_lookup_elem);
    jump(a, BPF_JEQ, BPF_REG_0, 0, verdict);
    opr(a, BPF_MOV, BPF_REG_7, BPF_REG_0);
    call(a, BPF_FUNC_ktime_get_ns);
    load(a, BPF_DW, BPF_REG_1, BPF_REG_7, SPREAD(readers));
    jump(a, BPF_JNE, BPF_REG_1, 0, later);
    store(a, BPF_DW, BPF_REG_7, SPREAD(first_ns), BPF_REG_0);
    mark(a, later);
    store(a, BPF_DW, BPF_REG_7, SPREAD(last_ns), BPF_REG_0);
    op(a, BPF_MOV, BPF_REG_1, 1);
    emit(a, BPF_STX | BPF_XADD | BPF_DW, BPF_REG_7, BPF_REG_1, SPREAD(readers), 0);

    mark(a, verdict);
    load(a, BPF_W, BPF_REG_0, BPF_REG_8, FIELD(verdict));
    op(a, BPF_AND, BPF_REG_0, -2);
    emit(a, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    mark(a, discard);
    op(a, BPF_MOV, BPF_REG_0, 0);
    emit(a, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);

    if (a->count > program_max) return -E2BIG;
    for (int i = 0; i < a->count; i++)
        if (a->target[i] != here) a->code[i].off = (int16_t)(a->place[a->target[i]] - i - 1);
    return 0;
}

// MARK: Loading

static int bpf(int command, union bpf_attr *attributes) {
    long result = syscall(SYS_bpf, command, attributes, sizeof *attributes);
    return result < 0 ? -errno : (int)result;
}

// A map of rows by number that the kernel writes and we read in place; its descriptor.
static int open_rows(uint32_t count, uint32_t bytes, void **rows) {
    union bpf_attr map;
    memset(&map, 0, sizeof map);
    map.map_type = BPF_MAP_TYPE_ARRAY;
    map.key_size = 4;
    map.value_size = bytes;
    map.max_entries = count;
    map.map_flags = BPF_F_MMAPABLE;
    int descriptor = bpf(BPF_MAP_CREATE, &map);
    if (descriptor < 0) return descriptor;
    void *memory = mmap(NULL, (size_t)count * bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (memory == MAP_FAILED) {
        int error = -errno;
        close(descriptor);
        return error;
    }
    *rows = memory;
    return descriptor;
}

int csinks_filter_open(struct csinks_filter *filter) {
    *filter = (struct csinks_filter){.map_descriptor = -1, .spread_descriptor = -1, .program_descriptor = -1};
    // Before Linux 5.11 maps count as locked memory.
    struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    (void)setrlimit(RLIMIT_MEMLOCK, &unlimited);

    void *rows = NULL;
    int error = filter->map_descriptor = open_rows(ports, sizeof(struct csinks_counts), &rows);
    filter->counts = rows;
    if (error >= 0) {
        rows = NULL;
        error = filter->spread_descriptor = open_rows(csinks_spread_rows, sizeof(struct csinks_spread), &rows);
        filter->spreads = rows;
    }
    struct assembly assembly;
    if (error >= 0) error = assemble(&assembly, filter->map_descriptor, filter->spread_descriptor);
    if (error == 0) {
        union bpf_attr program;
        memset(&program, 0, sizeof program);
        program.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
        program.insns = (uint64_t)(uintptr_t)assembly.code;
        program.insn_cnt = (uint32_t)assembly.count;
        program.license = (uint64_t)(uintptr_t) "Apache-2.0";
        // A signal that comes meanwhile ends the kernel's check of the program with EAGAIN (libbpf, too, tries five times).
        for (int tries = 0; tries < 5; tries++) {
            error = filter->program_descriptor = bpf(BPF_PROG_LOAD, &program);
            if (error != -EAGAIN) break;
        }
    }
    if (error < 0) {
        csinks_filter_close(filter);
        return error;
    }
    return 0;
}

void csinks_filter_close(struct csinks_filter *filter) {
    if (filter->counts) munmap(filter->counts, ports * sizeof(struct csinks_counts));
    if (filter->spreads) munmap(filter->spreads, csinks_spread_rows * sizeof(struct csinks_spread));
    if (filter->program_descriptor >= 0) close(filter->program_descriptor);
    if (filter->spread_descriptor >= 0) close(filter->spread_descriptor);
    if (filter->map_descriptor >= 0) close(filter->map_descriptor);
    *filter = (struct csinks_filter){.map_descriptor = -1, .spread_descriptor = -1, .program_descriptor = -1};
}

int csinks_filter_attach(struct csinks_filter *filter, int descriptor, bool deliver) {
    struct csinks_address local;
    int error = csinks_address_of(descriptor, &local);
    if (error < 0) return error;
    struct csinks_counts *row = &filter->counts[csinks_address_port(&local)];
    memset(row, 0, sizeof *row);
    row->verdict = deliver ? UINT32_MAX - 1 : 0;
    int program = filter->program_descriptor;
    return setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_BPF, &program, sizeof program) < 0 ? -errno : 0;
}

void csinks_filter_watch(struct csinks_filter *filter, uint16_t port, bool is_watched) {
    uint32_t *verdict = &filter->counts[port].verdict;
    *verdict = (*verdict & ~1u) | (is_watched ? 1u : 0u);
}

int csinks_discard_attach(int descriptor) {
    struct sock_filter reject = BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog program = {.len = 1, .filter = &reject};
    return setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ? -errno : 0;
}

int64_t csinks_drops(int descriptor) {
    uint32_t information[SK_MEMINFO_VARS] = {0};
    socklen_t length = sizeof information;
    if (getsockopt(descriptor, SOL_SOCKET, SO_MEMINFO, information, &length) < 0) return -errno;
    return information[SK_MEMINFO_DROPS];
}

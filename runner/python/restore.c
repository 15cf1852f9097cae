/*
 * Becomes a snapshot (snapshot.h): the program that a cell's runner executes where a function's process
 * is not started but restored.
 *
 *   3 ──► one byte and the snapshot's descriptor, from whoever has the other end of the link
 *           │ its list of mappings; one of this program's own in the way: executed again, elsewhere
 *           │ files, nothing, and the pages that have a content, each at its address
 *           │ the kernel's own code to where it was; signals, directory, thread
 *           ▼
 *         hearth_snapshot returns 0
 *
 * It runs in a cell as any program of a function's does, behind every wall of one and without a privilege:
 * a snapshot that was forged would make of this process what its function can make of it anyway.
 *
 * It is linked to an address that nothing else uses, so that it is not in its own way; its stack and the
 * kernel's code are where the kernel put them, and may be. What is left of it when it has become the other
 * is a few pages that nobody refers to.
 *
 * Freestanding: there is no C library whose state could be mixed up with that of the snapshot.
 */

#include "snapshot.h"

/* `wire::link`: where the link is, in the cell. The snapshot is put behind it. */
enum { LINK = 3, SNAPSHOT = 4 };
enum { SYS_dup2 = 33 };
enum { SOL_SOCKET = 1, SCM_RIGHTS = 1 };
enum { MREMAP_MAYMOVE = 1, MREMAP_FIXED = 2, SS_DISABLE = 2, SIGKILL = 9, SIGSTOP = 19 };
/* As `sandbox::plan` limits it; and between a stack and what is below it (the kernel's default). */
enum { MOST_STACK = 8 << 20, STACK_GAP = 1 << 20 };
/* Addresses are drawn anew with every execution; one in two thousand is in the way. */
enum { MOST_TRIES = 8 };
enum { FAILED = 71 };

struct iovec { void *base; u64 length; };
struct msghdr {
    void *name; u32 name_length; struct iovec *parts; u64 part_count;
    void *control; u64 control_length; u32 flags;
};
struct cmsghdr { u64 length; int level, type; };

static struct header header;
static struct area areas[MOST_AREAS];
static struct run runs[MOST_RUNS];
static char texts[MOST_TEXT];
static char maps[1 << 16];

__attribute__((noreturn)) static void fail(const char *step) {
    const char *parts[3] = { "hearth: a snapshot cannot be restored: ", step, "\n" };
    for (int i = 0; i < 3; i++) {
        long length = 0;
        while (parts[i][length]) length++;
        call(SYS_write, 2, (long)parts[i], length, 0);
    }
    for (;;) call(SYS_exit, FAILED, 0, 0, 0);
}

static long map(u64 start, u64 length, u64 protection, u32 flags, long file, u64 offset) {
    return call6(SYS_mmap, (long)start, (long)length, (long)protection, flags, file, (long)offset);
}

/* === the snapshot === */

/* Takes its descriptor off the link, with the one byte that it came with. */
static void take(void) {
    struct { struct cmsghdr header; int number, padding; } control;
    u8 byte;
    struct iovec part = { &byte, 1 };
    struct msghdr message = { 0, 0, &part, 1, &control, sizeof control, 0 };
    long count;
    do count = call(SYS_recvmsg, LINK, (long)&message, 0, 0);
    while (count == -EINTR);
    if (count != 1 || message.control_length < sizeof control.header + sizeof(int) ||
        control.header.level != SOL_SOCKET || control.header.type != SCM_RIGHTS)
        fail("receive");
    if (control.number == SNAPSHOT) return;
    if (call(SYS_dup2, control.number, SNAPSHOT, 0, 0) < 0) fail("descriptor");
    call(SYS_close, control.number, 0, 0, 0);
}

static void load(void *into, u64 length, u64 at) {
    if ((u64)call(SYS_pread64, SNAPSHOT, (long)into, (long)length, (long)at) != length) fail("read");
}

static void load_lists(void) {
    load(&header, sizeof header, 0);
    if (header.magic != MAGIC || header.area_count > MOST_AREAS || header.run_count > MOST_RUNS ||
        header.text_bytes > MOST_TEXT)
        fail("format");
    load(areas, header.area_count * sizeof(struct area), header.areas);
    load(runs, header.run_count * sizeof(struct run), header.runs);
    load(texts, header.text_bytes, header.texts);
    /* A stack has room to grow to its limit, as far as nothing is in the way. */
    for (u64 i = 0; i < header.area_count; i++) {
        if (areas[i].kind != AREA_STACK) continue;
        u64 start = areas[i].end - MOST_STACK, below = i ? areas[i - 1].end + STACK_GAP : start;
        if (start < below) start = below;
        if (start < areas[i].start) areas[i].start = start;
    }
}

/* === this program's own === */

/* Where the kernel's code is in this process: data, code, end. */
static u64 vdso_start, vdso_code, vdso_end;

/* Looks at the own mappings: whether one is where the snapshot needs the place. */
static int is_in_the_way(void) {
    long file = call(SYS_open, (long)"/proc/self/maps", O_RDONLY | O_CLOEXEC, 0, 0), length = 0, count;
    if (file < 0) fail("look at itself");
    while ((count = call(SYS_read, file, (long)(maps + length), (long)sizeof maps - length, 0)) > 0)
        length += count;
    call(SYS_close, file, 0, 0, 0);
    if (count < 0) fail("look at itself");
    struct mapping line;
    for (const char *at = maps; at < maps + length;) {
        at = read_mapping(at, &line);
        if (is_called(&line, "[vsyscall]")) continue;
        if (is_called(&line, "[v*")) {
            if (!vdso_start) vdso_start = line.start;
            if (is_called(&line, "[vdso]")) vdso_code = line.start;
            vdso_end = line.end;
        }
        for (u64 i = 0; i < header.area_count; i++)
            if (line.start < areas[i].end && areas[i].start < line.end) return 1;
        if (line.start < header.vdso_end && header.vdso_start < line.end) return 1;
    }
    return 0;
}

/* === becoming it === */

static void map_areas(void) {
    long file = -1;
    u32 path = 0;
    for (u64 i = 0; i < header.area_count; i++) {
        const struct area *area = &areas[i];
        u32 flags = MAP_FIXED_NOREPLACE | MAP_PRIVATE;
        u64 length = area->end - area->start;
        long result;
        if (area->kind == AREA_ANONYMOUS || area->kind == AREA_STACK)
            result = map(area->start, length, area->protection, flags | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        else {
            if (area->path >= header.text_bytes) fail("format");
            if (area->path != path) {
                if (file >= 0) call(SYS_close, file, 0, 0, 0);
                path = area->path;
                file = call(SYS_open, (long)(texts + path), O_RDONLY | O_CLOEXEC, 0, 0);
                if (file < 0) fail(texts + path);
            }
            if (area->kind == AREA_SHARED_FILE) flags = MAP_FIXED_NOREPLACE | MAP_SHARED;
            result = map(area->start, length, area->protection, flags, file, area->offset);
        }
        if ((u64)result != area->start) fail("map");
    }
    if (file >= 0) call(SYS_close, file, 0, 0, 0);
}

static void map_runs(void) {
    for (u64 i = 0; i < header.run_count; i++) {
        const struct run *run = &runs[i];
        long result = map(run->start, run->end - run->start, run->protection, MAP_FIXED | MAP_PRIVATE,
                          SNAPSHOT, run->at);
        if ((u64)result != run->start) fail("map pages");
    }
}

/* The C library remembers where the kernel's code was. */
static void move_vdso(void) {
    u64 length = vdso_end - vdso_start;
    if (length != header.vdso_end - header.vdso_start ||
        vdso_code - vdso_start != header.vdso_code - header.vdso_start)
        fail("another kernel");
    /* Mapping by mapping: each is moved as a whole, or refused. */
    struct mapping line;
    for (const char *at = maps; length; ) {
        at = read_mapping(at, &line);
        if (line.start < vdso_start || line.end > vdso_end) continue;
        u64 size = line.end - line.start, to = header.vdso_start + (line.start - vdso_start);
        long result = call6(SYS_mremap, (long)line.start, (long)size, (long)size,
                            MREMAP_MAYMOVE | MREMAP_FIXED, (long)to, 0);
        if ((u64)result != to) fail("move the kernel's code");
        length -= size;
    }
}

static void tell_kernel(void) {
    for (int signal = 1; signal <= SIGNALS; signal++) {
        const struct action *action = &header.actions[signal - 1];
        if (signal == SIGKILL || signal == SIGSTOP || !(action->handler | action->flags)) continue;
        if (call(SYS_rt_sigaction, signal, (long)action, 0, 8)) fail("signals");
    }
    if (!(header.alternate.flags & SS_DISABLE) && header.alternate.size) {
        header.alternate.flags = 0;
        if (call(SYS_sigaltstack, (long)&header.alternate, 0, 0, 0)) fail("signal stack");
    }
    if (call6(SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, (long)&header.memory, sizeof header.memory, 0, 0))
        fail("places of memory");
    if (header.directory >= header.text_bytes ||
        call(SYS_chdir, (long)(texts + header.directory), 0, 0, 0))
        fail("working directory");
    call(SYS_umask, header.mask, 0, 0, 0);
    call(SYS_prctl, PR_SET_NAME, (long)header.name, 0, 0);
    /* What the C library keeps of its thread, and the kernel with it. */
    if (call(SYS_set_robust_list, (long)header.robust_list, (long)header.robust_length, 0, 0))
        fail("robust list");
    long number = call(SYS_set_tid_address, (long)header.tid, 0, 0, 0);
    if (number < 0) fail("thread");
    *(int *)header.tid = (int)number;
    if (header.sequence &&
        call(SYS_rseq, (long)header.sequence, (long)header.sequence_size, 0, RSEQ_SIGNATURE) < 0) {
        /* Whoever asks which CPU this is, asks the kernel: its field says "not registered". */
        *(u32 *)(header.sequence + 4) = ~0U;
    }
    if (call(SYS_arch_prctl, ARCH_SET_FS, (long)header.registers.thread, 0, 0)) fail("thread");
    if (call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&header.blocked, 0, 8)) fail("signals");
}

__attribute__((noreturn)) static void go_on(const struct registers *from) {
    __asm__ volatile("ldmxcsr 64(%0)\n\t"
                     "fldcw 68(%0)\n\t"
                     "movq 0(%0), %%rbx\n\t"
                     "movq 8(%0), %%rbp\n\t"
                     "movq 16(%0), %%r12\n\t"
                     "movq 24(%0), %%r13\n\t"
                     "movq 32(%0), %%r14\n\t"
                     "movq 40(%0), %%r15\n\t"
                     "movq 48(%0), %%rsp\n\t"
                     "xorl %%eax, %%eax\n\t"
                     "jmpq *56(%0)"
                     : : "D"(from) : "memory");
    __builtin_unreachable();
}

/* The arguments as the kernel leaves them: their number, then the arguments. The second, if there is
 * one, has a letter for every execution so far. */
__attribute__((noreturn, used)) static void begin(u64 *stack) {
    char **arguments = (char **)(stack + 1);
    char tries[MOST_TRIES + 1] = { 0 };
    int tried = 0;
    if (stack[0] < 2) take();
    else
        for (; tried < MOST_TRIES && arguments[1][tried]; tried++) tries[tried] = '.';
    load_lists();
    if (is_in_the_way()) {
        if (tried == MOST_TRIES) fail("no room");
        tries[tried] = '.';
        char *again[3] = { arguments[0], tries, 0 };
        char *environment[1] = { 0 };
        call(SYS_execve, (long)arguments[0], (long)again, (long)environment, 0);
        fail("start again");
    }
    map_areas();
    map_runs();
    call(SYS_close, SNAPSHOT, 0, 0, 0);
    move_vdso();
    tell_kernel();
    go_on(&header.registers);
}

__attribute__((naked, noreturn, used)) void _start(void) {
    __asm__("xorl %ebp, %ebp\n\t"
            "movq %rsp, %rdi\n\t"
            "andq $-16, %rsp\n\t"
            "call begin");
}

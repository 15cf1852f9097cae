/*
 * Writes a snapshot of this process: what no interpreter can do to itself.
 *
 * snapshot.py loads this as a library, calls hearth_prepare before a line of the function's has run, and
 * hearth_snapshot when the function is initialised. The latter sends the snapshot (snapshot.h) on a
 * socket, in frames of `src/wire/link.rs`, and returns 1; in every process that restore.c makes of it,
 * the same call returns 0.
 *
 * Nothing here has, or needs, any privilege: a process reads its own mappings, its own pages and what the
 * kernel says of itself. What cannot be had again in another process is refused, by name: shared memory
 * that can be written, files that are gone, memory that cannot be read.
 *
 * Which pages have a content of their own, the kernel says (/proc/self/pagemap): of an anonymous mapping
 * those that are there, of a file's those that were written to. All others need not be kept, so a
 * snapshot is as large as what initialisation has made, without the libraries it is made of.
 *
 * Freestanding, as fork.c is: raw system calls, no symbol of a C library, so that what it copies does not
 * change while it does.
 */

#include "snapshot.h"

#define EXPORTED __attribute__((visibility("default")))

#if defined(__x86_64__)

/* Runs that are this close are one: a mapping costs more than a few pages of zeroes. */
enum { GAP = 8 };
/* Body of a frame, and `wire::link::Kind::Pages`. */
enum { CHUNK = 256 * 1024, FRAME_HEADER = 8, FRAME_PAGES = 9 };
enum { MOST_MAPS = 1 << 20, PAGEMAP_BATCH = 512 };
/* Of an entry of /proc/self/pagemap: the page is of a file (or shared), is swapped, is there. */
static const u64 PAGE_OF_FILE = 1UL << 61, PAGE_SWAPPED = 1UL << 62, PAGE_PRESENT = 1UL << 63;

static struct header header;
static struct area areas[MOST_AREAS];
static struct run runs[MOST_RUNS];
static char texts[MOST_TEXT];
static char maps[MOST_MAPS];
static u64 entries[PAGEMAP_BATCH];
static long sequence_offset;
static u32 sequence_bytes;
/* For whoever is told that it cannot be: what is in the way. */
static char obstacle[256];

/* `__builtin_setjmp` would keep three registers and trust the compiler with the rest; this keeps what
 * the calling convention says. Returns 1; 0 when restore.c comes back to it. */
__attribute__((naked, noinline, returns_twice)) static int remember(struct registers *at __attribute__((unused))) {
    __asm__("movq %rbx, 0(%rdi)\n\t"
            "movq %rbp, 8(%rdi)\n\t"
            "movq %r12, 16(%rdi)\n\t"
            "movq %r13, 24(%rdi)\n\t"
            "movq %r14, 32(%rdi)\n\t"
            "movq %r15, 40(%rdi)\n\t"
            "leaq 8(%rsp), %rax\n\t"
            "movq %rax, 48(%rdi)\n\t"
            "movq (%rsp), %rax\n\t"
            "movq %rax, 56(%rdi)\n\t"
            "stmxcsr 64(%rdi)\n\t"
            "fnstcw 68(%rdi)\n\t"
            "movl $1, %eax\n\t"
            "ret");
}

static u8 *thread_pointer(void) {
    u8 *pointer;
    __asm__("mov %%fs:0, %0" : "=r"(pointer));
    return pointer;
}

static long refuse(const char *what, const char *name, u64 length) {
    u64 at = 0;
    for (; what[at] && at < sizeof obstacle - 1; at++) obstacle[at] = what[at];
    for (u64 i = 0; i < length && at < sizeof obstacle - 1; i++) obstacle[at++] = name[i];
    obstacle[at] = 0;
    return -ENOTSUP;
}

static long open_file(const char *path) {
    return call(SYS_open, (long)path, O_RDONLY | O_CLOEXEC, 0, 0);
}

/* The text of a file of /proc; its length, with a newline at the end at least. */
static long read_text(const char *path, char *into, long room) {
    long file = open_file(path), length = 0, count = 0;
    if (file < 0) return file;
    while (length < room - 1 && (count = call(SYS_read, file, (long)(into + length), room - 1 - length, 0)) > 0)
        length += count;
    call(SYS_close, file, 0, 0, 0);
    if (count < 0) return count;
    return length < room - 1 ? length : -E2BIG;
}

/* Keeps a text; its place. */
static long keep(const char *text, u64 length) {
    u64 at = header.text_bytes;
    if (at + length + 1 > MOST_TEXT) return -E2BIG;
    for (u64 i = 0; i < length; i++) texts[at + i] = text[i];
    texts[at + length] = 0;
    header.text_bytes += length + 1;
    return (long)at;
}

/* === what is there === */

static long add_run(const struct area *area, u64 start, u64 end) {
    if (header.run_count) {
        struct run *last = &runs[header.run_count - 1];
        if (last->start >= area->start && start - last->end <= GAP * PAGE) {
            last->end = end;
            return 0;
        }
    }
    if (header.run_count == MOST_RUNS) return -E2BIG;
    runs[header.run_count++] = (struct run){ start, end, 0, area->protection };
    return 0;
}

static int is_zero(u64 page) {
    const u64 *at = (const u64 *)page;
    for (int i = 0; i < PAGE / 8; i++)
        if (at[i]) return 0;
    return 1;
}

/* Which pages of an area have a content of their own. */
static long look_through(int pagemap, const struct area *area) {
    int of_file = area->kind == AREA_FILE;
    for (u64 at = area->start; at < area->end;) {
        u64 count = (area->end - at) / PAGE;
        if (count > PAGEMAP_BATCH) count = PAGEMAP_BATCH;
        long bytes = call(SYS_pread64, pagemap, (long)entries, (long)(count * 8), (long)(at / PAGE * 8));
        if (bytes != (long)(count * 8)) return bytes < 0 ? bytes : -EPROTO;
        for (u64 i = 0; i < count; i++, at += PAGE) {
            u64 entry = entries[i];
            if (!(entry & (PAGE_PRESENT | PAGE_SWAPPED))) continue;
            if (of_file && entry & PAGE_OF_FILE) continue;
            if (!(area->protection & PROT_READ)) return refuse("memory that cannot be read", "", 0);
            /* A page of a file that became one of zeroes is not what the file has. */
            if (!of_file && is_zero(at)) continue;
            long result = add_run(area, at, at + PAGE);
            if (result) return result;
        }
    }
    return 0;
}

static long add_area(const struct mapping *line) {
    if (is_called(line, "[vvar]") || is_called(line, "[vvar_vclock]") || is_called(line, "[vdso]")) {
        if (!header.vdso_start) header.vdso_start = line->start;
        if (header.vdso_end && header.vdso_end != line->start)
            return refuse("a kernel that spreads its code out", "", 0);
        if (is_called(line, "[vdso]")) header.vdso_code = line->start;
        header.vdso_end = line->end;
        return 0;
    }
    if (is_called(line, "[vsyscall]")) return 0;
    if (header.area_count == MOST_AREAS) return refuse("too many mappings", "", 0);
    struct area *area = &areas[header.area_count++];
    *area = (struct area){ line->start, line->end, line->offset, 0, line->protection, AREA_ANONYMOUS };
    int named = line->path_length && line->path[0] == '/';
    if (line->shared && (!named || line->protection & PROT_WRITE))
        return refuse("memory that is shared: ", line->path, line->path_length);
    if (!named) {
        if (is_called(line, "[stack]")) area->kind = AREA_STACK;
        else if (line->path_length && !is_called(line, "[heap]") && !is_called(line, "[anon:*"))
            return refuse("a mapping of ", line->path, line->path_length);
        area->offset = 0;
        return 0;
    }
    static const char DELETED[] = " (deleted)";
    u64 tail = sizeof DELETED - 1, length = line->path_length, same = 0;
    while (length > tail && same < tail && line->path[length - tail + same] == DELETED[same]) same++;
    if (same == tail) return refuse("a file that is gone: ", line->path, length);
    if (is_called(line, "/tmp/*") || is_called(line, "/dev/*") || is_called(line, "/proc/*"))
        return refuse("a mapping of ", line->path, length);
    long path = keep(line->path, length);
    if (path < 0) return path;
    area->path = (u32)path;
    area->kind = line->shared ? AREA_SHARED_FILE : AREA_FILE;
    return 0;
}

static long survey(void) {
    long length = read_text("/proc/self/maps", maps, MOST_MAPS);
    if (length < 0) return length;
    struct mapping line;
    for (const char *at = maps; at < maps + length;) {
        at = read_mapping(at, &line);
        long result = add_area(&line);
        if (result) return result;
    }
    long pagemap = open_file("/proc/self/pagemap"), result = 0;
    if (pagemap < 0) return pagemap;
    for (u64 i = 0; i < header.area_count && !result; i++)
        if (areas[i].kind != AREA_SHARED_FILE) result = look_through((int)pagemap, &areas[i]);
    call(SYS_close, pagemap, 0, 0, 0);
    return result;
}

/* Where the kernel takes everything to be: numbers of /proc/self/stat, after the name in parentheses. */
static long locate(struct memory_map *map) {
    enum { FIRST = 3, START_CODE = 26, START_DATA = 45, LAST = 51 };
    long length = read_text("/proc/self/stat", maps, MOST_MAPS);
    if (length < 0) return length;
    const char *at = maps + length;
    while (at > maps && at[-1] != ')') at--;
    static u64 fields[LAST + 1];
    for (int field = 0; field <= LAST; field++) fields[field] = 0;
    for (int field = FIRST; field <= LAST; field++) {
        while (at < maps + length && *at == ' ') at++;
        for (; at < maps + length && *at != ' ' && *at != '\n'; at++)
            if (*at >= '0' && *at <= '9') fields[field] = fields[field] * 10 + (u64)(*at - '0');
    }
    const u64 *code = fields + START_CODE, *data = fields + START_DATA;
    map->start_code = code[0];
    map->end_code = code[1];
    map->start_stack = code[2];
    map->start_data = data[0];
    map->end_data = data[1];
    map->start_heap = data[2];
    map->start_arguments = data[3];
    map->end_arguments = data[4];
    map->start_environment = data[5];
    map->end_environment = data[6];
    map->heap = (u64)call(SYS_brk, 0, 0, 0, 0);
    map->program = ~0U;
    return map->end_environment ? 0 : -EPROTO;
}

/* What the kernel keeps of the process, and is said to it again later. */
static long ask_kernel(void) {
    char directory[4096];
    long result = call(SYS_prctl, PR_GET_TID_ADDRESS, (long)&header.tid, 0, 0);
    if (!result) result = call(SYS_get_robust_list, 0, (long)&header.robust_list, (long)&header.robust_length, 0);
    if (!result) result = call(SYS_arch_prctl, ARCH_GET_FS, (long)&header.registers.thread, 0, 0);
    if (!result) result = call(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)&header.blocked, 8);
    if (!result) result = call(SYS_sigaltstack, 0, (long)&header.alternate, 0, 0);
    if (!result) result = call(SYS_prctl, PR_GET_NAME, (long)header.name, 0, 0);
    for (int signal = 1; signal <= SIGNALS && !result; signal++)
        result = call(SYS_rt_sigaction, signal, 0, (long)&header.actions[signal - 1], 8);
    if (!result) result = locate(&header.memory);
    if (result) return result;
    header.mask = (u32)call(SYS_umask, 0, 0, 0, 0);
    call(SYS_umask, header.mask, 0, 0, 0);
    if (sequence_bytes) {
        header.sequence = (u64)(thread_pointer() + sequence_offset);
        header.sequence_size = sequence_bytes < 32 ? 32 : sequence_bytes;
    }
    result = call(SYS_getcwd, (long)directory, sizeof directory, 0, 0);
    if (result < 0) return result;
    if (directory[0] != '/') return refuse("a working directory that is gone", "", 0);
    result = keep(directory, (u64)result - 1);
    if (result < 0) return result;
    header.directory = (u32)result;
    return 0;
}

static u64 whole_pages(u64 bytes) { return (bytes + PAGE - 1) / PAGE * PAGE; }

static void lay_out(void) {
    header.magic = MAGIC;
    header.areas = whole_pages(sizeof header);
    header.runs = header.areas + header.area_count * sizeof(struct area);
    header.texts = header.runs + header.run_count * sizeof(struct run);
    header.pages = whole_pages(header.texts + header.text_bytes);
    u64 at = header.pages;
    for (u64 i = 0; i < header.run_count; i++) {
        runs[i].at = at;
        at += runs[i].end - runs[i].start;
    }
    header.bytes = at;
}

/* === sending it === */

static int sink;
/* Bytes of the frame that is being sent which are still to come, and of all frames. */
static u64 open_frame, outstanding;

static long write_all(const u8 *bytes, u64 length) {
    while (length) {
        long count = call(SYS_write, sink, (long)bytes, (long)length, 0);
        if (count == -EINTR) continue;
        if (count <= 0) return count ? count : -EPROTO;
        bytes += count;
        length -= (u64)count;
    }
    return 0;
}

static long send(const void *bytes, u64 length) {
    const u8 *at = bytes;
    while (length) {
        if (!open_frame) {
            u64 size = outstanding < CHUNK ? outstanding : CHUNK;
            u8 head[FRAME_HEADER] = { (u8)size, (u8)(size >> 8), (u8)(size >> 16), 0, FRAME_PAGES, 0, 0, 0 };
            long result = write_all(head, sizeof head);
            if (result) return result;
            open_frame = size;
            outstanding -= size;
        }
        u64 part = length < open_frame ? length : open_frame;
        long result = write_all(at, part);
        if (result) return result;
        at += part;
        length -= part;
        open_frame -= part;
    }
    return 0;
}

static long pad(u64 from) {
    static const u8 nothing[PAGE];
    u64 rest = whole_pages(from) - from;
    return rest ? send(nothing, rest) : 0;
}

static long send_all(void) {
    outstanding = header.bytes;
    open_frame = 0;
    long result = send(&header, sizeof header);
    if (!result) result = pad(sizeof header);
    if (!result) result = send(areas, header.area_count * sizeof(struct area));
    if (!result) result = send(runs, header.run_count * sizeof(struct run));
    if (!result) result = send(texts, header.text_bytes);
    if (!result) result = pad(header.texts + header.text_bytes);
    for (u64 i = 0; i < header.run_count && !result; i++)
        result = send((const void *)runs[i].start, runs[i].end - runs[i].start);
    return result;
}

/* === what snapshot.py calls === */

/* `offset` and `size` are the C library's __rseq_offset and __rseq_size, 0 where it has none. */
EXPORTED long hearth_prepare(long offset, u32 size) {
    sequence_offset = offset;
    sequence_bytes = size;
    return 0;
}

/* Sends a snapshot of at most so many bytes: 1 here, 0 in whatever is restored from it, or an error;
 * then nothing was sent, unless it is the socket's. Everything in one call: between looking for pages
 * and sending them nothing else may run. */
EXPORTED long hearth_snapshot(int socket, u64 most) {
    header.text_bytes = 1;
    long result = ask_kernel();
    if (!result) result = survey();
    if (result) return result;
    lay_out();
    if (header.bytes > most) return refuse("too much memory", "", 0);
    sink = socket;
    if (!remember(&header.registers)) return 0;
    result = send_all();
    return result < 0 ? result : 1;
}

EXPORTED const char *hearth_obstacle(void) { return obstacle; }

#else

EXPORTED long hearth_prepare(long offset, u32 size) {
    (void)offset, (void)size;
    return -ENOSYS;
}
EXPORTED long hearth_snapshot(int socket, u64 most) {
    (void)socket, (void)most;
    return -ENOSYS;
}
EXPORTED const char *hearth_obstacle(void) { return ""; }

#endif

/*
 * What a snapshot of a process is, for snapshot.c, which writes one, and restore.c, which becomes one.
 *
 *   0          header       one page and a bit: registers, what the kernel keeps of the process
 *   .areas     area[]       its mappings, in order of address
 *   .runs      run[]        which of their pages have a content of their own, and where that is here
 *   .texts     char[]       paths, each with its NUL; the first is empty
 *   .pages     pages        the contents, page by page; from here on everything is aligned to a page
 *
 * Numbers are the machine's own: a snapshot is restored on the machine, and under the kernel, on which
 * it was taken. Whoever reads one is in a sandbox of the function version whose process wrote it, and
 * is no more than that process could have been.
 *
 * x86_64 only. Elsewhere snapshot.c says that it cannot.
 */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

enum { PAGE = 4096 };
/* "hearthS" and the version of this layout. */
static const u64 MAGIC = 0x0153687472616568;

/* A process of one thread with a few hundred modules has 500 mappings; twice that many runs. */
enum { MOST_AREAS = 4096, MOST_RUNS = 16384, MOST_TEXT = 65536 };
enum { SIGNALS = 64 };

/* What an area is restored as. */
enum { AREA_ANONYMOUS = 1, AREA_FILE = 2, AREA_SHARED_FILE = 3, AREA_STACK = 4 };

struct area {
    u64 start, end, offset;
    u32 path;
    u16 protection, kind;
};

/* Pages of one area, with the area's protection. */
struct run {
    u64 start, end, at;
    u64 protection;
};

/* What a call must preserve, and where it goes on. */
struct registers {
    u64 rbx, rbp, r12, r13, r14, r15, rsp, rip;
    u32 mxcsr;
    u16 x87, padding;
    u64 thread;
};

struct action { u64 handler, flags, restorer, mask; };
struct alternate { u64 stack; int flags; int padding; u64 size; };

/* `struct prctl_mm_map`. Without it the heap would grow where the other program's ended. */
struct memory_map {
    u64 start_code, end_code, start_data, end_data, start_heap, heap, start_stack;
    u64 start_arguments, end_arguments, start_environment, end_environment;
    u64 vector;
    u32 vector_bytes, program;
};

struct header {
    u64 magic, bytes;
    u64 area_count, run_count, text_bytes;
    u64 areas, runs, texts, pages;
    struct registers registers;
    /* The C library's: where its thread's number stands, its robust list, its restartable sequence. */
    u64 tid, robust_list, robust_length, sequence, sequence_size;
    /* Where the kernel takes code, data, heap, stack, arguments and environment to be. */
    struct memory_map memory;
    /* The kernel's code that every process has, and its data before it. */
    u64 vdso_start, vdso_code, vdso_end;
    u64 blocked;
    struct alternate alternate;
    u32 mask, directory;
    char name[16];
    struct action actions[SIGNALS];
};

/* === system calls === */

#if defined(__x86_64__)

enum {
    SYS_read = 0, SYS_write = 1, SYS_open = 2, SYS_close = 3, SYS_mmap = 9, SYS_brk = 12,
    SYS_rt_sigaction = 13, SYS_rt_sigprocmask = 14, SYS_pread64 = 17, SYS_mremap = 25,
    SYS_recvmsg = 47, SYS_execve = 59, SYS_exit = 60, SYS_getcwd = 79, SYS_chdir = 80,
    SYS_umask = 95, SYS_sigaltstack = 131, SYS_prctl = 157, SYS_arch_prctl = 158, SYS_gettid = 186,
    SYS_set_tid_address = 218, SYS_set_robust_list = 273, SYS_get_robust_list = 274,
    SYS_rseq = 334
};

static inline long call6(long number, long a, long b, long c, long d, long e, long f) {
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall" : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

static inline long call(long number, long a, long b, long c, long d) {
    return call6(number, a, b, c, d, 0, 0);
}

#endif

enum { EINTR = 4, ENOMEM = 12, ENOSYS = 38, E2BIG = 7, EPROTO = 71, ENOTSUP = 95, EINVAL = 22 };
enum { O_RDONLY = 0, O_CLOEXEC = 02000000 };
enum { PROT_NONE = 0, PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4 };
enum { MAP_SHARED = 1, MAP_PRIVATE = 2, MAP_FIXED = 0x10, MAP_ANONYMOUS = 0x20, MAP_NORESERVE = 0x4000 };
static const u32 MAP_FIXED_NOREPLACE = 0x100000;
enum {
    PR_SET_NAME = 15, PR_GET_NAME = 16, PR_SET_MM = 35, PR_SET_MM_MAP = 14, PR_GET_TID_ADDRESS = 40
};
enum { ARCH_SET_FS = 0x1002, ARCH_GET_FS = 0x1003 };
enum { SIG_BLOCK = 0, SIG_SETMASK = 2 };
static const u32 RSEQ_SIGNATURE = 0x53053053;

/* === the kernel's list of mappings === */

/* A line of /proc/self/maps. */
struct mapping {
    u64 start, end, offset;
    u16 protection;
    u8 shared;
    /* Not ended by a NUL. */
    const char *path;
    u64 path_length;
};

static inline u64 hexadecimal(const char **at) {
    u64 value = 0;
    for (;; ++*at) {
        char c = **at;
        if (c >= '0' && c <= '9') value = value << 4 | (u64)(c - '0');
        else if (c >= 'a' && c <= 'f') value = value << 4 | (u64)(c - 'a' + 10);
        else return value;
    }
}

/* Reads the line at `at`, which a newline ends; what comes after it. */
static inline const char *read_mapping(const char *at, struct mapping *line) {
    line->start = hexadecimal(&at);
    at++;
    line->end = hexadecimal(&at);
    at++;
    line->protection = (u16)((at[0] == 'r' ? PROT_READ : 0) | (at[1] == 'w' ? PROT_WRITE : 0) |
                             (at[2] == 'x' ? PROT_EXEC : 0));
    line->shared = at[3] == 's';
    at += 5;
    line->offset = hexadecimal(&at);
    /* Device and inode. */
    for (int word = 0; word < 2; word++) {
        while (*at == ' ') at++;
        while (*at != ' ' && *at != '\n') at++;
    }
    while (*at == ' ') at++;
    line->path = at;
    while (*at != '\n') at++;
    line->path_length = (u64)(at - line->path);
    return at + 1;
}

/* Whether a mapping is called so; of a name that ends in a star, whether it begins so. */
static inline int is_called(const struct mapping *line, const char *name) {
    u64 i = 0;
    for (; name[i] && name[i] != '*'; i++)
        if (i >= line->path_length || line->path[i] != name[i]) return 0;
    return name[i] == '*' || i == line->path_length;
}

/*
 * The fork of a template into a cell: what neither Python nor Rust can express.
 *
 * template.py loads this as a library and calls, in this order: hearth_prepare, hearth_ready, then for
 * ever hearth_receive and hearth_fork. The messages are those of `src/wire/template.rs`.
 *
 *   template                        stage                             fork
 *   hearth_fork
 *     clone(VM, VFORK, FILES) ────► joins the cell's control groups
 *     stands still                  enters its seven namespaces
 *                                   clone() ────────────────────────► is a copy of the template, PID 2 of the
 *                                   ends                              cell, a child of the spawner
 *     Forked + pidfd                                                  behind every wall: returns 0
 *     returns 1
 *
 * The stage exists because entering a pid namespace is for one's children only, and entering the others
 * would be for ever: it shares the template's memory, so there is one copy and not two. It runs on the
 * template's own stack, as after vfork(2), below a frame that the template does not touch until the
 * stage has ended; the fork then returns through copies of the same frames. Hence no function between
 * the two clones may return before the second one has been made, and `stage` is not inlined.
 *
 * Freestanding: raw system calls, no symbol of a C library, so that no lock, cache or hook of one is in
 * the way. What the C library keeps of a thread is put right by hand: its number (`struct pthread.tid`,
 * found in two ways that must agree), its robust list, its restartable sequence.
 *
 * x86_64 is tested; aarch64 is the same with the table below.
 */

#define EXPORTED __attribute__((visibility("default")))

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

/* === what differs between architectures === */

#if defined(__x86_64__)

enum {
    SYS_write = 1, SYS_close = 3, SYS_sendmsg = 46, SYS_recvmsg = 47, SYS_clone = 56, SYS_exit = 60,
    SYS_fcntl = 72, SYS_setsid = 112, SYS_setresuid = 117, SYS_setresgid = 119, SYS_capset = 126,
    SYS_prctl = 157, SYS_gettid = 186, SYS_keyctl = 250, SYS_openat = 257, SYS_unshare = 272,
    SYS_set_robust_list = 273, SYS_get_robust_list = 274, SYS_dup3 = 292, SYS_setns = 308,
    SYS_seccomp = 317, SYS_rseq = 334, SYS_close_range = 436, SYS_landlock_create_ruleset = 444,
    SYS_landlock_add_rule = 445, SYS_landlock_restrict_self = 446
};

static inline long call(long number, long a, long b, long c, long d, long e) {
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
}

static inline u8 *thread_pointer(void) {
    u8 *pointer;
    __asm__("mov %%fs:0, %0" : "=r"(pointer));
    return pointer;
}

/* clone's last two arguments are the other way round on most other architectures. */
static inline long clone_call(u64 flags, int *pidfd, int *tid) {
    return call(SYS_clone, (long)flags, 0, (long)pidfd, (long)tid, 0);
}

/* glibc's struct pthread begins at the thread pointer; its tid was at 720 for the last ten years. */
enum { TID_FROM = 256, TID_TO = 2048 };
static const u32 RSEQ_SIGNATURE = 0x53053053;

#elif defined(__aarch64__)

enum {
    SYS_dup3 = 24, SYS_fcntl = 25, SYS_openat = 56, SYS_close = 57, SYS_write = 64, SYS_capset = 91,
    SYS_exit = 93, SYS_unshare = 97, SYS_set_robust_list = 99, SYS_get_robust_list = 100,
    SYS_setresuid = 147, SYS_setresgid = 149, SYS_setsid = 157, SYS_prctl = 167, SYS_gettid = 178,
    SYS_sendmsg = 211, SYS_recvmsg = 212, SYS_keyctl = 219, SYS_clone = 220, SYS_setns = 268,
    SYS_seccomp = 277, SYS_rseq = 293, SYS_close_range = 436, SYS_landlock_create_ruleset = 444,
    SYS_landlock_add_rule = 445, SYS_landlock_restrict_self = 446
};

static inline long call(long number, long a, long b, long c, long d, long e) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
}

static inline u8 *thread_pointer(void) {
    u8 *pointer;
    __asm__("mrs %0, tpidr_el0" : "=r"(pointer));
    return pointer;
}

static inline long clone_call(u64 flags, int *pidfd, int *tid) {
    return call(SYS_clone, (long)flags, 0, (long)pidfd, 0, (long)tid);
}

/* glibc's struct pthread ends at the thread pointer. */
enum { TID_FROM = -2048, TID_TO = 0 };
static const u32 RSEQ_SIGNATURE = 0xd428bc00;

#else
#error "one more table is needed"
#endif

/* === the kernel's numbers and structures === */

enum { ENOSYS = 38, EBUSY = 16, EINVAL = 22, EPROTO = 71, ESRCH = 3 };
enum { AT_FDCWD = -100, O_RDWR = 2, O_NONBLOCK = 04000, O_CLOEXEC = 02000000, O_PATH = 010000000 };
#if defined(__aarch64__)
enum { O_NOFOLLOW = 0100000 };
#else
enum { O_NOFOLLOW = 0400000 };
#endif
enum { F_GETFL = 3, F_SETFL = 4, SIGKILL = 9, SIGCHLD = 17 };
enum { SOL_SOCKET = 1, SCM_RIGHTS = 1, MSG_CTRUNC = 8, MSG_TRUNC = 0x20 };
static const u32 MSG_NOSIGNAL = 0x4000, MSG_CMSG_CLOEXEC = 0x40000000;

static const u64 CLONE_VM = 0x100, CLONE_FILES = 0x400, CLONE_PIDFD = 0x1000, CLONE_VFORK = 0x4000,
                 CLONE_PARENT = 0x8000, CLONE_THREAD = 0x10000, CLONE_CHILD_CLEARTID = 0x200000,
                 CLONE_CHILD_SETTID = 0x1000000;

enum {
    PR_SET_PDEATHSIG = 1, PR_SET_DUMPABLE = 4, PR_CAPBSET_DROP = 24, PR_SET_SECUREBITS = 28,
    PR_GET_TID_ADDRESS = 40, PR_CAP_AMBIENT = 47, PR_CAP_AMBIENT_CLEAR_ALL = 4
};
/* NOROOT, NO_SETUID_FIXUP and NO_CAP_AMBIENT_RAISE with their locks, and KEEP_CAPS' lock: as
 * `sandbox::sys::privilege` locks them. */
enum { SECUREBITS = 0xEF };
enum { KEYCTL_JOIN_SESSION_KEYRING = 1, SECCOMP_SET_MODE_FILTER = 1, LANDLOCK_RULE_PATH_BENEATH = 1 };

struct iovec { void *base; u64 length; };
struct msghdr {
    void *name; u32 name_length; struct iovec *parts; u64 part_count;
    void *control; u64 control_length; u32 flags;
};
struct cmsghdr { u64 length; int level, type; };
struct capabilities_header { u32 version; int pid; };
struct capabilities { u32 effective, permitted, inheritable; };
struct ruleset { u64 handled_fs, handled_net, scoped; };
struct __attribute__((packed)) path_beneath { u64 access; int parent; };
struct filter_program { u16 length; const void *instructions; };

/* === what is known, all of it from hearth_prepare or the order being served === */

/* `src/wire/template.rs`: SOCKET, MAX_MESSAGE, FIXED_DESCRIPTORS, and as many doors as there can be. */
enum { SOCKET = 3, MAX_MESSAGE = 4096, LOG = 0, LINK = 1, FIRST_NAMESPACE = 2, NAMESPACES = 7 };
enum { FIRST_DOOR = FIRST_NAMESPACE + NAMESPACES, MOST_DESCRIPTORS = FIRST_DOOR + 8 };
enum { ORDER_RECIPE = 1, ORDER_FORK = 2, ANSWER_READY = 1, ANSWER_FORKED = 2, ANSWER_FAILED = 3 };
/* Places in `wire::template::STEPS`. */
enum { STEP_RECEIVE, STEP_ONE_THREAD, STEP_STAGE, STEP_DOORS, STEP_NAMESPACES, STEP_CLONE };

/* In the order of `wire::template::NAMESPACES`: user, cgroup, ipc, uts, net, pid, mnt. */
static const long NAMESPACE_FLAGS[NAMESPACES] = {
    0x10000000, 0x02000000, 0x08000000, 0x04000000, 0x40000000, 0x20000000, 0x00020000
};

static struct {
    u8 bytes[MAX_MESSAGE];
    u32 id, rule_count, filter_bytes;
    struct ruleset ruleset;
    const u8 *rules, *filter;
} recipe;

static int *tid;
static void *robust_list;
static u64 robust_length;
static u8 *sequence;

/* Written by the stage, which shares this memory, and read by the template when it has ended. */
static volatile struct {
    u32 cell;
    int count, descriptors[MOST_DESCRIPTORS];
    int step, error, pid, pidfd;
} order;

/* === small things === */

static u32 get32(const u8 *at) {
    return at[0] | (u32)at[1] << 8 | (u32)at[2] << 16 | (u32)at[3] << 24;
}

static u64 get64(const u8 *at) { return get32(at) | (u64)get32(at + 4) << 32; }

static void put32(u8 *at, u32 value) {
    for (int i = 0; i < 4; i++) at[i] = (u8)(value >> 8 * i);
}

static long prctl(long option, long a, long b) { return call(SYS_prctl, option, a, b, 0, 0); }

static void close(int number) { call(SYS_close, number, 0, 0, 0, 0); }

__attribute__((noreturn)) static void leave(int status) {
    for (;;) call(SYS_exit, status, 0, 0, 0, 0);
}

/* Receives one datagram; how many bytes, or an error. Its descriptors are the order's. */
static long receive(u8 *bytes) {
    struct { struct cmsghdr header; int numbers[MOST_DESCRIPTORS]; } control;
    struct iovec part = { bytes, MAX_MESSAGE };
    struct msghdr message = { 0, 0, &part, 1, &control, sizeof control, 0 };
    long count;
    do count = call(SYS_recvmsg, SOCKET, (long)&message, MSG_CMSG_CLOEXEC, 0, 0);
    while (count == -4);
    order.count = 0;
    if (count < 0) return count;
    if (message.control_length >= sizeof control.header && control.header.level == SOL_SOCKET &&
        control.header.type == SCM_RIGHTS) {
        u64 room = (control.header.length - sizeof control.header) / sizeof(int);
        for (u64 i = 0; i < room && i < MOST_DESCRIPTORS; i++)
            order.descriptors[order.count++] = control.numbers[i];
    }
    return message.flags & (MSG_TRUNC | MSG_CTRUNC) ? -EPROTO : count;
}

static long answer(const u8 *bytes, u64 length, int descriptor) {
    struct { struct cmsghdr header; int number, padding; } control =
        { { sizeof(struct cmsghdr) + sizeof(int), SOL_SOCKET, SCM_RIGHTS }, descriptor, 0 };
    struct iovec part = { (void *)bytes, length };
    struct msghdr message = { 0, 0, &part, 1, &control, sizeof control, 0 };
    if (descriptor < 0) message.control = 0, message.control_length = 0;
    return call(SYS_sendmsg, SOCKET, (long)&message, MSG_NOSIGNAL, 0, 0);
}

/* === once === */

/* Reads the recipe, and leaves pointers into it. */
static long take_recipe(void) {
    long length = receive(recipe.bytes);
    if (length < 0) return length;
    const u8 *at = recipe.bytes, *end = at + length;
    if (length < 29 || at[0] != ORDER_RECIPE || order.count) return -EPROTO;
    recipe.id = get32(at + 1);
    recipe.ruleset = (struct ruleset){ get64(at + 5), 0, get64(at + 13) };
    recipe.rule_count = get32(at + 21);
    recipe.rules = at += 25;
    for (u32 i = 0; i < recipe.rule_count; i++) {
        if (end - at < 12 || (u64)(end - at - 12) < get32(at + 8) || !get32(at + 8)) return -EPROTO;
        at += 12 + get32(at + 8);
        if (at[-1]) return -EPROTO;
    }
    if (end - at < 4 || (u64)(end - at - 4) != get32(at)) return -EPROTO;
    recipe.filter_bytes = get32(at);
    recipe.filter = at + 4;
    return recipe.filter_bytes && recipe.filter_bytes % 8 == 0 ? 0 : -EPROTO;
}

/* Where the C library keeps this thread's number: where it told the kernel to clear it, and where it
 * stands. */
static long find_tid(void) {
    int *told = 0, *found = 0, own = (int)call(SYS_gettid, 0, 0, 0, 0, 0);
    long result = prctl(PR_GET_TID_ADDRESS, (long)&told, 0);
    if (result < 0) return result;
    for (long at = TID_FROM; at < TID_TO && !found; at += sizeof(int)) {
        int *place = (int *)(thread_pointer() + at);
        if (*place == own) found = place;
    }
    tid = told;
    return told && told == found ? 0 : -ESRCH;
}

/* Before anything else: 0, or an error. `sequence_offset` and `sequence_size` are the C library's
 * __rseq_offset and __rseq_size, 0 where it has none. */
EXPORTED long hearth_prepare(long sequence_offset, u32 sequence_size) {
    long result = take_recipe();
    if (!result) result = find_tid();
    if (!result)
        result = call(SYS_get_robust_list, 0, (long)&robust_list, (long)&robust_length, 0, 0);
    if (sequence_size) sequence = thread_pointer() + sequence_offset;
    /* Others with this id, where an ordinary user has only one, do not look in. */
    if (!result) result = prctl(PR_SET_DUMPABLE, 0, 0);
    return result;
}

/* Fails where there is more than one thread, and does nothing else. */
static long one_thread(void) { return call(SYS_unshare, (long)CLONE_THREAD, 0, 0, 0, 0); }

/* When everything is imported. */
EXPORTED long hearth_ready(void) {
    u8 bytes[1] = { ANSWER_READY };
    long result = one_thread();
    return result < 0 ? result : answer(bytes, sizeof bytes, -1);
}

/* === for every order === */

/* Waits for an order: 1 if there is one, 0 at the end, or an error. */
EXPORTED long hearth_receive(void) {
    u8 bytes[MAX_MESSAGE];
    long length = receive(bytes);
    if (length <= 0) return length;
    if (length != 5 || bytes[0] != ORDER_FORK || order.count < FIRST_DOOR) return -EPROTO;
    order.cell = get32(bytes + 1);
    return 1;
}

static int failed(int step, long result) {
    order.step = step;
    order.error = (int)-result;
    return -1;
}

/* In the stage: 0 in the fork; the stage itself ends. */
__attribute__((noinline)) static long stage(void) {
    long result = 0;
    for (int i = FIRST_DOOR; i < order.count; i++) {
        result = call(SYS_write, order.descriptors[i], (long)"0", 1, 0, 0);
        if (result < 0) leave(failed(STEP_DOORS, result));
    }
    for (int i = 0; i < NAMESPACES; i++) {
        int number = order.descriptors[FIRST_NAMESPACE + i];
        result = call(SYS_setns, number, NAMESPACE_FLAGS[i], 0, 0, 0);
        if (result < 0) leave(failed(STEP_NAMESPACES, result));
    }
    u64 flags = CLONE_PARENT | CLONE_PIDFD | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD;
    result = clone_call(flags, (int *)&order.pidfd, tid);
    if (result == 0) return 0;
    if (result < 0) failed(STEP_CLONE, result);
    else order.pid = (int)result;
    leave(result < 0);
}

/* === in the fork === */

static long enter_domain(void) {
    if (!recipe.ruleset.handled_fs) return 0;
    long set = call(SYS_landlock_create_ruleset, (long)&recipe.ruleset, sizeof recipe.ruleset, 0, 0, 0);
    if (set < 0) return set;
    const u8 *at = recipe.rules;
    for (u32 i = 0; i < recipe.rule_count; i++, at += 12 + get32(at + 8)) {
        long path = call(SYS_openat, AT_FDCWD, (long)(at + 12), O_PATH | O_NOFOLLOW | O_CLOEXEC, 0, 0);
        if (path < 0) return path;
        struct path_beneath rule = { get64(at), (int)path };
        long result = call(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, (long)&rule, 0, 0);
        if (result < 0) return result;
        close((int)path);
    }
    return call(SYS_landlock_restrict_self, set, 0, 0, 0, 0);
}

/* 0, 1, 2 and the link; nothing else. Numbers below 4 are all taken, so no copy meets its original. */
static long place_descriptors(void) {
    int log = order.descriptors[LOG], link = order.descriptors[LINK];
    long null = call(SYS_openat, AT_FDCWD, (long)"/dev/null", O_RDWR | O_CLOEXEC, 0, 0);
    if (null < 0) return null;
    /* A function's output waits for a slow reader instead of failing: a property of the open file. */
    long flags = call(SYS_fcntl, log, F_GETFL, 0, 0, 0);
    if (flags >= 0) flags = call(SYS_fcntl, log, F_SETFL, flags & ~(long)O_NONBLOCK, 0, 0);
    if (flags < 0) return flags;
    const int from[4] = { (int)null, log, log, link };
    for (int to = 0; to < 4; to++) {
        long result = call(SYS_dup3, from[to], to, 0, 0, 0);
        if (result < 0) return result;
    }
    return call(SYS_close_range, 4, ~0U, 0, 0, 0);
}

static long drop_privileges(void) {
    long id = recipe.id, result = call(SYS_setresgid, id, id, id, 0, 0);
    if (!result) result = call(SYS_setresuid, id, id, id, 0, 0);
    /* Entering the user namespace has filled the bounding set. The first number that is no capability
     * ends the list. */
    for (int number = 0; !result; number++) {
        result = prctl(PR_CAPBSET_DROP, number, 0);
        if (result == -EINVAL && number > 0) { result = 0; break; }
    }
    if (!result) result = prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0);
    if (!result) result = prctl(PR_SET_SECUREBITS, SECUREBITS, 0);
    struct capabilities_header header = { 0x20080522, 0 };
    struct capabilities none[2] = { { 0, 0, 0 }, { 0, 0, 0 } };
    if (!result) result = call(SYS_capset, (long)&header, (long)none, 0, 0, 0);
    return result;
}

/* What the C library keeps of this thread, and the kernel did not copy. */
static long restore_thread(void) {
    if (sequence && call(SYS_rseq, (long)sequence, 32, 0, RSEQ_SIGNATURE, 0) < 0) {
        /* Whoever asks which CPU this is, asks the kernel: its field says "not registered". */
        put32(sequence + 4, ~0U);
    }
    return call(SYS_set_robust_list, (long)robust_list, (long)robust_length, 0, 0, 0);
}

/* From a copy of the template, with every capability in the cell, to what a cell's process is. The
 * name of the step that failed, or null. */
static const char *become_function(void) {
    long result = restore_thread();
    if (result) return "robust list";
    if (call(SYS_setsid, 0, 0, 0, 0, 0) < 0) return "setsid";
    if (drop_privileges()) return "privileges";
    /* As the id of its own: the kernel counts keyrings by id, two hundred of each. */
    result = call(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0);
    if (result < 0 && result != -ENOSYS) return "session keyring";
    /* Changing credentials has cleared both; the template's own memory may not be looked at. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0)) return "death signal";
    if (prctl(PR_SET_DUMPABLE, 1, 0)) return "dumpable";
    if (enter_domain()) return "domain";
    if (place_descriptors()) return "descriptors";
    struct filter_program program = { (u16)(recipe.filter_bytes / 8), recipe.filter };
    if (call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, (long)&program, 0, 0)) return "filter";
    return 0;
}

/* Into the log, whatever its number is by now. */
static void complain(const char *step) {
    const char *parts[3] = { "hearth: a fork cannot be confined: ", step, "\n" };
    for (int i = 0; i < 3; i++) {
        long length = 0;
        while (parts[i][length]) length++;
        call(SYS_write, order.descriptors[LOG], (long)parts[i], length, 0, 0);
        call(SYS_write, 2, (long)parts[i], length, 0, 0);
    }
}

/* Serves the order: 0 in the fork, 1 in the template, which has answered then; or an error of the
 * socket's. */
EXPORTED long hearth_fork(void) {
    order.pid = order.pidfd = -1;
    /* As long as nobody says better: the stage was killed. */
    failed(STEP_STAGE, -ESRCH);
    long result = one_thread();
    if (result < 0) failed(STEP_ONE_THREAD, result);
    else {
        result = clone_call(CLONE_VM | CLONE_VFORK | CLONE_FILES | CLONE_PARENT | SIGCHLD, 0, 0);
        if (result == 0) {
            stage();
            const char *step = become_function();
            if (!step) return 0;
            complain(step);
            leave(71);
        }
        if (result < 0) failed(STEP_STAGE, result);
    }
    for (int i = 0; i < order.count; i++) close(order.descriptors[i]);
    u8 bytes[10];
    put32(bytes + 1, order.cell);
    if (order.pidfd < 0) {
        bytes[0] = ANSWER_FAILED;
        bytes[5] = (u8)order.step;
        put32(bytes + 6, (u32)order.error);
        result = answer(bytes, 10, -1);
    } else {
        bytes[0] = ANSWER_FORKED;
        put32(bytes + 5, (u32)order.pid);
        result = answer(bytes, 9, order.pidfd);
        close(order.pidfd);
    }
    return result < 0 ? result : 1;
}

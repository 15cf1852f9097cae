/* Calls every number from 0 to 1023 and says what came of each: a statically linked program, so that
 * nothing but the filter stands between it and the kernel.
 *
 * Each call is made in a child of its own with every argument -1, which is no pointer, no descriptor
 * and no valid flag; what the child sees is its exit status. A call that blocks is given a moment.
 *
 *   calls           one line per number: the number, and ERRNO as a number, "passes" or "signal N"
 *   calls int80     getpid of the i386 convention
 *   calls x32       getpid of the x32 convention
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { END = 1024, PATIENCE_MS = 300 };

static long call(long number)
{
	register long r10 __asm__("r10") = -1;
	register long r8 __asm__("r8") = -1;
	register long r9 __asm__("r9") = -1;
	long result;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(-1L), "S"(-1L), "d"(-1L), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

/* What is written is 0 for success, or errno. The child of a vfork or fork writes as well: the first
 * word counts. */
static void attempt(long number, int out)
{
	long result = call(number);
	int32_t word = result < 0 && result > -4096 ? (int32_t)-result : 0;
	(void)!write(out, &word, sizeof word);
	_exit(0);
}

static void report(long number)
{
	int ends[2], status;
	int32_t word;
	if (pipe(ends) != 0)
		_exit(70);
	pid_t child = fork();
	if (child < 0)
		_exit(71);
	if (child == 0) {
		/* Whatever it opens, changes or makes ends with it. */
		close(ends[0]);
		attempt(number, ends[1]);
	}
	close(ends[1]);
	struct pollfd wait = { .fd = ends[0], .events = POLLIN };
	int ready = poll(&wait, 1, PATIENCE_MS);
	if (ready == 0)
		kill(child, SIGKILL);
	ssize_t got = read(ends[0], &word, sizeof word);
	close(ends[0]);
	waitpid(child, &status, 0);
	if (got == sizeof word)
		word == 0 ? printf("%ld success\n", number) : printf("%ld %d\n", number, word);
	else if (ready != 0 && WIFSIGNALED(status))
		printf("%ld signal %d\n", number, WTERMSIG(status));
	else
		printf("%ld ends\n", number);
}

int main(int count, char **words)
{
	long result;
	if (count > 1 && strcmp(words[1], "int80") == 0) {
		__asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory");
		printf("%s\n", result == getpid() ? "done" : "strange");
		return 0;
	}
	if (count > 1 && strcmp(words[1], "x32") == 0) {
		result = call(0x40000000L | 39);
		printf("%s\n", result == getpid() ? "done" : result == -ENOSYS ? "not built in" : "strange");
		return 0;
	}
	setvbuf(stdout, NULL, _IONBF, 0);
	for (long number = 0; number < END; number++)
		report(number);
	return 0;
}

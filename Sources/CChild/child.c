#define _GNU_SOURCE
#include "cchild.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int limit(int resource, uint64_t value) {
    if (value == 0) return 0;
    struct rlimit limit;
    if (getrlimit(resource, &limit) < 0) return -1;
    if (limit.rlim_max != RLIM_INFINITY && value > limit.rlim_max) value = limit.rlim_max;
    limit.rlim_cur = limit.rlim_max = (rlim_t)value;
    return setrlimit(resource, &limit);
}

// Runs in the parent's memory until exec (vfork): a copy of its page tables would cost the packet path a fault on every page.
// So nothing here but system calls.
static void become(const struct cchild_options *options, pid_t parent) {
    // The parent's handlers are no functions of the program's. (Signal dispositions are the child's own.)
    for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
    umask(077);
    int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, 0) < 0) return;
    if (dup2(options->output, 1) < 0 || dup2(options->output, 2) < 0) return;
    syscall(SYS_close_range, 3u, ~0u, 0u);
    if (chdir(options->directory) < 0) return;
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    if (limit(RLIMIT_DATA, options->data_bytes) < 0 || limit(RLIMIT_CPU, options->cpu_seconds) < 0) return;
    if (limit(RLIMIT_NOFILE, options->files) < 0) return;
    if (options->nice > 0) setpriority(PRIO_PROCESS, 0, options->nice);
    execvpe(options->arguments[0], options->arguments, options->environment);
}

int cchild_spawn(const struct cchild_options *options) {
    volatile int error = 0;
    sigset_t all, before;
    sigfillset(&all);
    // No handler of ours may run in the child while it shares our memory.
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t parent = getpid();
    pid_t child = vfork();
    if (child == 0) {
        become(options, parent);
        error = errno;
        _exit(127);
    }
    if (child < 0) error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (child < 0) return -error;
    if (error != 0) {
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
        return -error;
    }
    return child;
}

const char *cchild_environment(int index) { return environ ? environ[index] : NULL; }

int cchild_has_ended(int process, int *status) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    if (waitid(P_PID, (id_t)process, &info, WEXITED | WNOHANG | WNOWAIT) < 0) return -errno;
    if (info.si_pid != process) return 0;
    *status = info.si_code == CLD_EXITED ? (info.si_status & 0xFF) << 8 : info.si_status;
    return 1;
}

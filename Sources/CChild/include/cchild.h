#ifndef CCHILD_H
#define CCHILD_H

#include <stdint.h>

/// What a program is started with. Everything is read before `cchild_spawn` returns.
struct cchild_options {
    /// Its words, the program first, ended by NULL. A program without a slash is looked for in PATH.
    char *const *arguments;
    /// `NAME=value`, ended by NULL.
    char *const *environment;
    /// Where it runs.
    const char *directory;
    /// Becomes its standard output and standard error.
    int output;
    /// Limits (RLIMIT_DATA, RLIMIT_CPU, RLIMIT_NOFILE); 0 leaves one as it is.
    uint64_t data_bytes, cpu_seconds, files;
    /// How much nicer than ours it is to others, 0-19.
    int nice;
};

/// Starts a program as the leader of a session and process group of its own, with /dev/null as standard input and no other
/// descriptor of ours. The kernel kills it when the calling thread ends. Gives its process number, or a negative error number
/// when it could not be started (and then nothing runs).
int cchild_spawn(const struct cchild_options *options);

/// Whether the program has ended: 1 and what `waitpid` would say in `status`, 0 while it runs, or a negative error number. It stays
/// to be reaped, so its number names nobody else.
int cchild_has_ended(int process, int *status);

/// A variable of our environment, `NAME=value`, by its place; NULL behind the last.
const char *cchild_environment(int index);

#endif

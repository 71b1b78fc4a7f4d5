#define _GNU_SOURCE
#include "csinks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static ssize_t read_text(const char *path, char *text, size_t bytes) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return -errno;
    ssize_t count = read(file, text, bytes - 1);
    int error = -errno;
    close(file);
    if (count < 0) return error;
    text[count] = 0;
    return count;
}

int csinks_threads(int process, struct csinks_thread *threads, uint32_t threads_max) {
    char path[96], text[128];
    snprintf(path, sizeof path, "/proc/%d/task", process);
    DIR *directory = opendir(path);
    if (!directory) return -errno;
    uint32_t count = 0;
    struct dirent *entry;
    while (count < threads_max && (entry = readdir(directory))) {
        int id = atoi(entry->d_name);
        if (id <= 0) continue;
        struct csinks_thread thread = {.id = id};
        snprintf(path, sizeof path, "/proc/%d/task/%d/schedstat", process, id);
        if (read_text(path, text, sizeof text) <= 0) continue; // it ended meanwhile
        thread.cpu_ns = strtoull(text, NULL, 10);
        snprintf(path, sizeof path, "/proc/%d/task/%d/comm", process, id);
        ssize_t length = read_text(path, text, sizeof text);
        if (length > 0) {
            text[strcspn(text, "\n")] = 0;
            snprintf(thread.name, sizeof thread.name, "%.15s", text);
        }
        threads[count++] = thread;
    }
    closedir(directory);
    return (int)count;
}

int64_t csinks_resident_bytes(int process) {
    char path[64], text[128];
    snprintf(path, sizeof path, "/proc/%d/statm", process);
    ssize_t length = read_text(path, text, sizeof text);
    if (length < 0) return length;
    unsigned long long size = 0, resident = 0;
    if (sscanf(text, "%llu %llu", &size, &resident) != 2) return -EINVAL;
    return (int64_t)resident * sysconf(_SC_PAGESIZE);
}

int32_t csinks_thread_id(void) { return (int32_t)syscall(SYS_gettid); }

uint64_t csinks_process_cpu_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec;
}

// MARK: Children

int csinks_spawn_self(char *const arguments[], int *to_child, int *from_child) {
    int down[2], up[2];
    if (pipe2(down, O_CLOEXEC) < 0) return -errno;
    if (pipe2(up, O_CLOEXEC) < 0) {
        int error = -errno;
        close(down[0]);
        close(down[1]);
        return error;
    }
    posix_spawn_file_actions_t actions;
    pid_t process = -1;
    int error = posix_spawn_file_actions_init(&actions);
    if (error == 0) {
        // dup2 onto another number clears close-on-exec for the child alone; the pipes are never 0 or 1 unless those were closed.
        error = posix_spawn_file_actions_adddup2(&actions, down[0], STDIN_FILENO);
        if (error == 0) error = posix_spawn_file_actions_adddup2(&actions, up[1], STDOUT_FILENO);
        if (error == 0) error = posix_spawn(&process, "/proc/self/exe", &actions, NULL, arguments, environ);
        posix_spawn_file_actions_destroy(&actions);
    }
    close(down[0]);
    close(up[1]);
    if (error) {
        close(down[1]);
        close(up[0]);
        return -error;
    }
    *to_child = down[1];
    *from_child = up[0];
    return process;
}

int csinks_wait(int process) {
    int status;
    while (waitpid(process, &status, 0) < 0)
        if (errno != EINTR) return -errno;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int csinks_unblock(int descriptor) {
    int flags = fcntl(descriptor, F_GETFL);
    return flags < 0 || fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

int csinks_wait_readable(const int *descriptors, uint32_t count, bool *ready, uint64_t timeout_ns) {
    enum { descriptors_max = 256 };
    struct pollfd wanted[descriptors_max];
    if (count > descriptors_max) return -EINVAL;
    for (uint32_t i = 0; i < count; i++) wanted[i] = (struct pollfd){.fd = descriptors[i], .events = POLLIN};
    struct timespec timeout = {(time_t)(timeout_ns / 1000000000u), (long)(timeout_ns % 1000000000u)};
    int found = ppoll(wanted, count, &timeout, NULL);
    if (found < 0 && errno != EINTR) return -errno;
    for (uint32_t i = 0; i < count; i++) ready[i] = found > 0 && wanted[i].revents != 0;
    return found < 0 ? 0 : found;
}

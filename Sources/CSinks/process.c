#define _GNU_SOURCE
#include "csinks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

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

// What the repair of a deleted file costs a program that does nothing else. `repair_floor DIR`: waits for names that disappear from the directory and
// writes each of them again: a temporary file, synced, renamed, the directory synced. Prints a line when it listens; ends when its input does.
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

static char text[4096];

static void fail_if(int failed, const char *what) {
    if (failed) {
        perror(what);
        exit(1);
    }
}

// The content is that of `kit.rs`.
static size_t content(unsigned n) {
    size_t size = 0;
    for (int line = 0; line < 5; line++) size += (size_t)sprintf(text + size, "key%06u = value %06u of a managed file\n", n, n);
    return size;
}

static void repair(int dir, const char *name) {
    unsigned n;
    if (sscanf(name, "f%6u.conf", &n) != 1) return;
    size_t size = content(n);
    int fd = openat(dir, "new.tmp", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    fail_if(fd < 0, "create");
    fail_if(write(fd, text, size) != (ssize_t)size || fchmod(fd, 0644) || fsync(fd), "write");
    fail_if(renameat(dir, "new.tmp", dir, name) || close(fd) || fsync(dir), "rename");
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    int dir = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC), events = inotify_init1(IN_CLOEXEC);
    fail_if(dir < 0 || events < 0 || inotify_add_watch(events, argv[1], IN_DELETE) < 0, argv[1]);
    puts("listens");
    fflush(stdout);
    struct pollfd waits[2] = {{.fd = events, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    for (;;) {
        fail_if(poll(waits, 2, -1) < 0, "poll");
        if (waits[1].revents) return 0;
        _Alignas(struct inotify_event) char buffer[8192];
        ssize_t size = read(events, buffer, sizeof buffer);
        fail_if(size <= 0, "read");
        for (char *at = buffer; at < buffer + size;) {
            struct inotify_event *event = (void *)at;
            if (event->len) repair(dir, event->name);
            at += sizeof *event + event->len;
        }
    }
}

// What it costs to put deleted files back, for a program that does nothing else. `watch_floor DIR`: watches the directory; each file that is deleted
// is written to a temporary file, synced, renamed, and the directory is synced. It prints a line when it watches, and runs until it is killed.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

int main(int argc, char **argv) {
    static char buffer[65536] __attribute__((aligned(8))), text[512], line[64];
    int queue = inotify_init1(IN_CLOEXEC), dir;
    if (argc != 2 || chdir(argv[1]) || inotify_add_watch(queue, ".", IN_DELETE) < 0 || (dir = open(".", O_RDONLY)) < 0) return 1;
    printf("watching\n");
    fflush(stdout);
    for (;;) {
        ssize_t size = read(queue, buffer, sizeof buffer);
        if (size <= 0) return 1;
        for (char *at = buffer; at < buffer + size;) {
            struct inotify_event *event = (struct inotify_event *)at;
            at += sizeof *event + event->len;
            if (!event->len || event->name[0] != 'f') continue;
            long number = strtol(event->name + 1, NULL, 10);
            text[0] = 0;
            snprintf(line, sizeof line, "key%06ld = value %06ld of a managed file\n", number, number);
            for (int i = 0; i < 5; i++) strcat(text, line);
            int file = open(".new", O_WRONLY | O_CREAT | O_EXCL, 0644);
            if (file < 0 || write(file, text, strlen(text)) < 0 || fsync(file) || close(file) || rename(".new", event->name) || fsync(dir)) return 1;
        }
    }
}

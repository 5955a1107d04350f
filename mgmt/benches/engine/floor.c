// What these files cost a program that does nothing else. `floor DIR COUNT`: looks at each file and hashes what it holds and what it must hold; one
// that differs is written to a temporary file, synced and renamed, one after the other, and the directory is synced in the end.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint32_t k[64], start[8];

// The constants of SHA-256: bits 1 to 32 behind the point of the cube and square roots of the first primes, by bisection in whole numbers.
static uint32_t root(unsigned prime, int cubic) {
    unsigned __int128 low = 0, high = (unsigned __int128)1 << 36, middle, power, goal = (unsigned __int128)prime << (cubic ? 96 : 64);
    while (high - low > 1) {
        middle = (low + high) / 2;
        power = middle * middle;
        if (cubic) power *= middle;
        if (power <= goal) low = middle; else high = middle;
    }
    return (uint32_t)low;
}

static void constants(void) {
    for (unsigned prime = 2, found = 0; found < 64; prime++) {
        unsigned divisor = 2;
        while (divisor * divisor <= prime && prime % divisor) divisor++;
        if (divisor * divisor <= prime) continue;
        if (found < 8) start[found] = root(prime, 0);
        k[found++] = root(prime, 1);
    }
}

static inline uint32_t turn(uint32_t x, int by) { return x >> by | x << (32 - by); }

static void mix(uint32_t state[8], const uint8_t *bytes) {
    uint32_t w[64], s[8];
    for (int i = 0; i < 64; i++) {
        if (i < 16) {
            w[i] = (uint32_t)bytes[4 * i] << 24 | bytes[4 * i + 1] << 16 | bytes[4 * i + 2] << 8 | bytes[4 * i + 3];
            continue;
        }
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (turn(a, 7) ^ turn(a, 18) ^ a >> 3) + (turn(b, 17) ^ turn(b, 19) ^ b >> 10);
    }
    memcpy(s, state, sizeof s);
    for (int i = 0; i < 64; i++) {
        uint32_t e = s[4], a = s[0];
        uint32_t one = s[7] + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + (s[6] ^ (e & (s[5] ^ s[6]))) + k[i] + w[i];
        uint32_t two = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & s[1]) | (s[2] & (a | s[1])));
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += one;
        s[0] = one + two;
    }
    for (int i = 0; i < 8; i++) state[i] += s[i];
}

static void digest(uint32_t state[8], const char *text, size_t length) {
    uint8_t end[128] = {0};
    size_t whole = length / 64 * 64, rest = length - whole, size = rest < 56 ? 64 : 128;
    memcpy(state, start, sizeof start);
    for (size_t at = 0; at < whole; at += 64) mix(state, (const uint8_t *)text + at);
    memcpy(end, text + whole, rest);
    end[rest] = 128;
    for (int i = 0; i < 8; i++) end[size - 1 - i] = (uint8_t)((uint64_t)length * 8 >> (8 * i));
    for (size_t at = 0; at < size; at += 64) mix(state, end + at);
}

static void must(int well, const char *what) {
    if (!well) {
        perror(what);
        exit(1);
    }
}

static int differs(int dir, const char *name, const char *wanted, size_t length) {
    struct stat stat;
    char found[4096];
    uint32_t is[8], should[8];
    if (fstatat(dir, name, &stat, AT_SYMLINK_NOFOLLOW) || !S_ISREG(stat.st_mode) || (stat.st_mode & 07777) != 0644) return 1;
    int file = openat(dir, name, O_RDONLY | O_CLOEXEC);
    must(file >= 0, name);
    ssize_t got = read(file, found, sizeof found);
    must(got >= 0 && !close(file), name);
    digest(is, found, (size_t)got);
    digest(should, wanted, length);
    return memcmp(is, should, sizeof is) != 0;
}

int main(int argc, char **argv) {
    must(argc == 3, "floor DIR COUNT");
    constants();
    int dir = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC), changed = 0;
    must(dir >= 0, argv[1]);
    for (int n = 0; n < atoi(argv[2]); n++) {
        char name[32], beside[48], wanted[1024];
        size_t length = 0;
        for (int line = 0; line < 5; line++) length += (size_t)sprintf(wanted + length, "key%06d = value %06d of a managed file\n", n, n);
        sprintf(name, "f%06d.conf", n);
        if (!differs(dir, name, wanted, length)) continue;
        sprintf(beside, ".%s.new", name);
        int file = openat(dir, beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        must(file >= 0 && write(file, wanted, length) == (ssize_t)length && !fchmod(file, 0644) && !fsync(file) && !close(file), beside);
        must(!renameat(dir, beside, dir, name), name);
        changed = 1;
    }
    must(!changed || !fsync(dir), argv[1]);
    return 0;
}

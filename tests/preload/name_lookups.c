/* Reports every name lookup of a process on its stderr, and answers none: loaded before libc by tests/suite/telemetry.rs. */
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void report(const char *name) {
    char line[512];
    int length = snprintf(line, sizeof line, "NAME LOOKUP %s\n", name ? name : "(none)");
    if (write(2, line, (size_t)length) < 0) _exit(99);
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    (void)service; (void)hints; (void)found;
    report(name);
    return EAI_FAIL;
}

struct hostent *gethostbyname(const char *name) {
    report(name);
    return NULL;
}

struct hostent *gethostbyname2(const char *name, int family) {
    (void)family;
    report(name);
    return NULL;
}

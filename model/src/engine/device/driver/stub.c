/* A libcuda.so.1 for tests: it has no GPU, writes down what it is asked, and fails where it is told to. */
#include <stddef.h>
#include <stdio.h>

#ifndef INIT
#define INIT 0
#endif
#ifndef SET
#define SET 0
#endif
#ifndef KEEPS
#define KEEPS 1
#endif

static unsigned flags = 0x08;

static void note(const char *call, unsigned number) {
    FILE *log = fopen(LOG, "a");
    if (log != NULL) {
        fprintf(log, "%s %#x\n", call, number);
        fclose(log);
    }
}

int cuInit(unsigned zero) {
    note("cuInit", zero);
    return INIT;
}

int cuDeviceGet(int *device, int ordinal) {
    note("cuDeviceGet", (unsigned)ordinal);
    *device = 7;
    return 0;
}

int cuDevicePrimaryCtxGetState(int device, unsigned *current, int *active) {
    note("cuDevicePrimaryCtxGetState", (unsigned)device);
    *current = flags;
    *active = 1;
    return 0;
}

#ifndef OLD
int cuDevicePrimaryCtxSetFlags_v2(int device, unsigned asked) {
    note(device == 7 ? "cuDevicePrimaryCtxSetFlags_v2" : "of another device", asked);
    if (KEEPS) {
        flags = asked;
    }
    return SET;
}
#endif

int cuGetErrorString(int error, const char **words) {
    *words = error == 100 ? "no CUDA-capable device is detected" : NULL;
    return *words == NULL;
}

/* What CUDA's runtime or another library of the process may do. */
void other_library_spins(void) { flags = 0x01; }
